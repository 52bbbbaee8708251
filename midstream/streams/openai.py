"""What the payload of one event means, for completions as for chat completions."""

from typing import Any

import msgspec

DONE = b"[DONE]"
ABORTS = frozenset({"abort", "error"})  # the finish_reasons that are no success; unknown ones are (facts 2)
ERROR_TEXT_LIMIT = 512


class Usage(msgspec.Struct, gc=False):
    """Token counts so far; per choice where a request has several (`completions-n2`)."""

    completion_tokens: int | None = None


class Delta(msgspec.Struct, gc=False):
    """What chat adds in one event. Reasoning has two spellings in the field."""

    content: str | list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class Choice(msgspec.Struct, gc=False):
    """One choice of an event; gateways send some with an index alone (facts 2)."""

    index: int = 0
    text: str | None = None
    delta: Delta | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None

    @property
    def speaks(self) -> bool:
        """Whether it holds anything a person could read: text, reasoning, a tool call."""
        if self.text:
            return True
        delta = self.delta
        return delta is not None and bool(
            delta.content
            or delta.reasoning
            or delta.reasoning_content
            or delta.refusal
            or delta.tool_calls
            or delta.function_call
        )

    @property
    def is_bare(self) -> bool:
        """Whether it only stands beside the closing usage."""
        return self.text is None and self.delta is None and self.finish_reason is None


class Chunk(msgspec.Struct, gc=False):
    """The parts of an event that tell how a stream fares."""

    model: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    object: str | None = None
    message: Any = None

    @property
    def error_text(self) -> str | None:
        """The server's error in words; None when this event is no error."""
        if self.error is not None:
            return error_words(self.error)
        if self.object == "error":  # the whole event is the error object
            return error_words({"message": self.message})
        return None


_CHUNKS = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes) -> Chunk:
    """Decode the data of one event. ValueError with a sentence when it is no such JSON object."""
    try:
        return _CHUNKS.decode(data)
    except msgspec.ValidationError as error:
        raise ValueError(f"an event's JSON has an unknown shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _read_lossily(data, error)


def _read_lossily(data: bytes, first: Exception) -> Chunk:
    """An event stream is decoded with U+FFFD for invalid UTF-8 (WHATWG), which then is sound JSON."""
    try:
        return _CHUNKS.decode(data.decode("utf-8", "replace"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"an event is not JSON: {data[:80]!r} ({first})") from first


def error_words(error: object) -> str:
    """An error object in one line: its message, type, code (which some send as a string)."""
    if not isinstance(error, dict):
        return str(error)[:ERROR_TEXT_LIMIT]
    parts = [str(error[name]) for name in ("message", "type", "code") if error.get(name) is not None]
    return " | ".join(parts)[:ERROR_TEXT_LIMIT]


def error_in_body(body: bytes) -> str:
    """The error text of a response that is no stream; its begin where it holds no error object."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if isinstance(document, dict) and ("error" in document or "message" in document):
        return error_words(document.get("error", document))
    return body[:ERROR_TEXT_LIMIT].decode("utf-8", "backslashreplace")
