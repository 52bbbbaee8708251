"""A second opinion on one stream's body, by sseclient-py, kept where it is right."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from sseclient import SSEClient

from midstream.streams.ending import Ending
from midstream.streams.exchange import Observed
from midstream.streams.openai import ABORTS, error_words
from midstream.streams.sse import EventReader
from midstream.streams.traits import Traits

# sseclient-py joins an event line by line, which is quadratic: 64 lines of one 4 MiB event take some 0.1 s.
BODY_LIMIT_BYTES = 4 * 1024 * 1024
EVENT_LIMIT_LINES = 64

_BOM = b"\xef\xbb\xbf"
_DONE = "[DONE]"
# The endings in which our own reader said, from the events alone, that the stream was not whole.
_NOT_WHOLE_BY_EVENTS = frozenset({Ending.ENDED_EARLY, Ending.NO_DONE, Ending.ERROR_EVENT, Ending.ABORTED})


class TooLargeError(Exception):
    """The body is beyond what the second reader can read in bounded time."""


class Reading(NamedTuple):
    """What sseclient-py finds in a body."""

    events: tuple[tuple[str, str], ...] = ()  # (type, data) of each, [DONE] too
    text: str = ""  # of all choices, in the order in which it came
    tokens: int = 0  # by token ids
    finish_reasons: tuple[str | None, ...] = ()  # one for each choice; None: never came
    done: bool = False
    error: str = ""  # the first error event in words
    fault: str = ""  # an event that has no place in such a stream

    @property
    def chunks(self) -> int:
        """Events before [DONE]."""
        return len(self.events) - self.done

    @property
    def finished(self) -> bool:
        """Whether every choice has a finish_reason."""
        return bool(self.finish_reasons) and None not in self.finish_reasons

    def lack(self, traits: Traits) -> str:
        """Why this is no whole stream of a server with these traits, "" where it is one (facts 2)."""
        aborts = [reason for reason in self.finish_reasons if reason in ABORTS]
        if self.fault or self.error or aborts:
            return self.fault or (f"the error {self.error!r}" if self.error else f"finish_reason {aborts[0]}")
        if traits.finish_reason and not self.finished:
            return "no finish_reason"
        return "no [DONE]" if traits.done and not self.done else ""


def read_again(body: bytes) -> Reading:
    """Read a body without its HTTP framing; TooLargeError. Whatever its bytes are, nothing else is raised."""
    events = tuple((event.event, event.data) for event in SSEClient(_whole_events(body)).events())
    return _meaning(events)


def disagreement(observed: Observed, traits: Traits) -> str:
    """Where the two readers do not agree on the stream, in one sentence; "" where they do.

    Endings that rest on sockets, framing or the clock are none of the second reader's business: it has
    the body alone. Demanded is what the traits say that the server shows.
    """
    record, signs = observed.record, observed.signs
    if record.ending is not Ending.COMPLETE and record.ending not in _NOT_WHOLE_BY_EVENTS:
        return ""
    try:
        reading = read_again(observed.body)
    except TooLargeError as error:
        return f"the two readers cannot be compared: {error}" if record.ending is Ending.COMPLETE else ""
    lack = reading.lack(traits)
    if record.ending is not Ending.COMPLETE:
        whole = not lack and (reading.done or reading.finished)
        return f"the two readers disagree: ours says {record.ending}, sseclient-py nothing amiss" * whole
    return _first(
        f"ours says complete, sseclient-py finds {lack}" if lack else "",
        _other_events(observed.body, reading),
        _other_tokens(signs.ids, reading.tokens),
    )


def _first(*found: str) -> str:
    words = next(filter(None, found), "")
    return f"the two readers disagree: {words}" if words else ""


def _other_events(body: bytes, reading: Reading) -> str:
    ours = EventReader().feed(body)
    if len(ours) != len(reading.events):
        return f"ours reads {len(ours)} events, sseclient-py {len(reading.events)}"
    for number, (event, theirs) in enumerate(zip(ours, reading.events, strict=True), 1):
        if (event.type, event.data.decode("utf-8", "replace")) != theirs:
            return f"event {number} is {event.data[:80]!r} to ours, {theirs[1][:80]!r} to sseclient-py"
    return ""


def _other_tokens(ours: int, theirs: int) -> str:
    return f"ours counts {ours} token ids, sseclient-py {theirs}" if ours != theirs else ""


def _whole_events(body: bytes) -> Iterator[bytes]:
    """The body as sseclient-py reads it rightly, one whole event a piece.

    Its known defects in 1.9.0, each closed here: it loses the first event behind a BOM, raises on invalid
    UTF-8, merges events on mixed line ends, dispatches a tail that no blank line closes (even [DONE]).
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise TooLargeError(f"the body has more than {BODY_LIMIT_BYTES} bytes")
    sound = body.removeprefix(_BOM).decode("utf-8", "replace").encode()
    lines = sound.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *events, _unclosed_tail = lines.split(b"\n\n")
    for event in events:
        if event.count(b"\n") >= EVENT_LIMIT_LINES:
            raise TooLargeError(f"one event has more than {EVENT_LIMIT_LINES} lines")
        yield event + b"\n\n"


def _meaning(events: tuple[tuple[str, str], ...]) -> Reading:
    texts: list[str] = []
    tokens, done, error, fault = 0, False, "", ""
    reasons: dict[int, str | None] = {}
    for kind, data in events:
        if done:
            fault = fault or f"an event behind [DONE]: {data[:80]!r}"
        elif data == _DONE:
            done = True
        elif kind == "error":
            error = error or data
        else:
            chunk = _object(data)
            fault = fault or ("" if chunk is not None else f"an event that is no JSON object: {data[:80]!r}")
            error = error or _error_in(chunk or {})
            for choice in _objects((chunk or {}).get("choices")):
                texts.append(_text(choice))
                tokens += _ids(choice)
                _note_reason(choice, reasons)
    return Reading(events, "".join(texts), tokens, tuple(reasons.values()), done, error, fault)


def _note_reason(choice: dict[str, Any], reasons: dict[int, str | None]) -> None:
    """Gateways send a choice with an index alone beside the closing usage (facts 2): it is none."""
    if all(choice.get(name) is None for name in ("text", "delta", "finish_reason")):
        return
    index, reason = choice.get("index"), choice.get("finish_reason")
    number = index if isinstance(index, int) else 0
    reasons[number] = reason if isinstance(reason, str) else reasons.get(number)


def _ids(choice: dict[str, Any]) -> int:
    ids = choice.get("token_ids")
    return len(ids) if isinstance(ids, list) else 0


def _error_in(chunk: dict[str, Any]) -> str:
    if chunk.get("error") is not None:
        return error_words(chunk["error"]) or "without words"
    return (str(chunk.get("message")) or "without words") if chunk.get("object") == "error" else ""


def _text(choice: dict[str, Any]) -> str:
    """What a person could read: of completions its text, of chat the content or the reasoning."""
    (delta,) = _objects([choice.get("delta")]) or [{}]
    found = (choice.get("text"), *(delta.get(name) for name in ("content", "reasoning", "reasoning_content")))
    return next((part for part in found if isinstance(part, str) and part), "")


def _object(data: str) -> dict[str, Any] | None:
    """By the standard library, so that no JSON is read twice by the same code."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _objects(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
