"""What a client's body asks for, checked in vLLM's order."""

import json
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from midstream.rehearsal.engine import vocabulary
from midstream.rehearsal.engine.refusal import Refusal, bad_json, invalid, out_of_range, unknown_model
from midstream.rehearsal.engine.sequence import Sampling


class Api(StrEnum):
    """The two ways to ask for a text."""

    COMPLETIONS = "completions"
    CHAT = "chat"


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream tells of its token counts."""

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False  # nothing without include_usage


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of both APIs that change what is generated; vLLM ignores unknown ones, so do we."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = 1
    temperature: float | None = 1.0
    seed: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: str | list[str] | None = None
    return_token_ids: bool | None = False


class CompletionsBody(Body, frozen=True, kw_only=True):
    """POST /v1/completions."""

    prompt: str | list[str | int | list[int]]
    max_tokens: int | None = 16  # OpenAI's default
    echo: bool | None = False


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message; parts that are no text say nothing to this engine."""

    text: str = ""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: str
    content: str | list[ContentPart] | None = None

    def rendered(self) -> str:
        """The message in the engine's chat template."""
        content = self.content or ""
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return f"<{self.role}> {text}\n"


class ChatBody(Body, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


class Prompt(NamedTuple):
    """One prompt, as text and as ids."""

    text: str
    ids: tuple[int, ...]
    came_as_ids: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be served."""

    api: Api
    prompts: tuple[Prompt, ...]
    n: int  # choices for each prompt
    sampling: tuple[Sampling, ...]  # for each prompt
    noise: int | None  # None: greedy, so that the prompt alone decides
    stream: bool
    include_usage: bool
    continuous_usage: bool
    return_token_ids: bool
    echo: bool

    @property
    def choices(self) -> int:
        """How many texts it gets."""
        return len(self.prompts) * self.n

    @property
    def came_as_ids(self) -> bool:
        """Whether nothing has to be tokenized."""
        return all(prompt.came_as_ids for prompt in self.prompts)


class Served(NamedTuple):
    """What the engine can be asked for."""

    names: tuple[str, ...]
    max_model_len: int


T = TypeVar("T", bound=Body)


def read_completions(raw: bytes, served: Served) -> Ask:
    """The request in a body of /v1/completions. Raises Refusal."""
    body = _decode(raw, CompletionsBody)
    _check(body, body.max_tokens, served)
    return _ask(Api.COMPLETIONS, body, _prompts(body.prompt), body.max_tokens, served, echo=bool(body.echo))


def read_chat(raw: bytes, served: Served) -> Ask:
    """The request in a body of /v1/chat/completions. Raises Refusal."""
    body = _decode(raw, ChatBody)
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    _check(body, limit, served)
    text = "".join(message.rendered() for message in body.messages) + "<assistant>"
    prompt = Prompt(text, vocabulary.tokenize(text))
    return _ask(Api.CHAT, body, (prompt,), limit, served, echo=False)


READERS: dict[Api, Callable[[bytes, Served], Ask]] = {
    Api.COMPLETIONS: read_completions,
    Api.CHAT: read_chat,
}


def _decode(raw: bytes, kind: type[T]) -> T:
    # The standard library's JSON, because vLLM quotes its position and reason in the refusal.
    try:
        data = json.loads(raw)
    except json.JSONDecodeError as error:
        raise bad_json(error.pos, error.msg) from error
    except UnicodeDecodeError as error:
        raise bad_json(error.start, error.reason) from error
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        path = str(error).rpartition("`$")[2].strip("`.") if "`$" in str(error) else ""
        raise invalid(".".join(filter(None, ("body", path))), str(error)) from error


def _prompts(prompt: str | list[str | int | list[int]]) -> tuple[Prompt, ...]:
    if isinstance(prompt, str):
        return (_prompt(prompt),)
    ids = [part for part in prompt if isinstance(part, int)]
    if len(ids) == len(prompt):
        return (_prompt(ids),)
    if ids:
        raise invalid("body.prompt", "a list of prompts cannot hold single token ids")
    return tuple(_prompt(part) for part in prompt if not isinstance(part, int))


def _prompt(part: str | list[int]) -> Prompt:
    if isinstance(part, str):
        return Prompt(part, vocabulary.tokenize(part))
    strange = [number for number in part if not 0 <= number < vocabulary.SIZE]
    if strange:
        raise Refusal(400, f"Token id {strange[0]} is out of vocabulary", "BadRequestError")
    return Prompt(vocabulary.detokenize(part), tuple(part), came_as_ids=True)


def _check(body: Body, max_tokens: int | None, served: Served) -> None:
    """Refuse what does not depend on the prompt."""
    if body.model is not None and body.model not in served.names:
        raise unknown_model(body.model, served.names)
    if body.stream_options is not None and not body.stream:
        raise invalid("body.stream_options", "Stream options can only be defined when `stream=True`.")
    n, temperature = body.n or 1, _temperature(body)
    too_long = f"max_tokens={max_tokens} cannot be greater than max_model_len={served.max_model_len}."
    limit = served.max_model_len if max_tokens is None else max_tokens
    # (field, value, refused, sentence): the first row that is refused answers.
    rows = (
        ("max_tokens", limit, limit < 1, f"max_tokens must be at least 1, got {limit}."),
        (
            "max_tokens",
            limit,
            limit > served.max_model_len,
            f"{too_long} Please request fewer output tokens.",
        ),
        ("min_tokens", body.min_tokens, body.min_tokens < 0, "min_tokens must be at least 0."),
        (
            "min_tokens",
            body.min_tokens,
            body.min_tokens > limit,
            f"min_tokens must be less than or equal to max_tokens={limit}, got {body.min_tokens}.",
        ),
        ("n", n, n < 1, f"n must be at least 1, got {n}."),
        ("n", n, n > 1 and temperature == 0, f"n must be 1 when using greedy sampling, got {n}."),
        (
            "temperature",
            temperature,
            temperature < 0,
            f"temperature must be non-negative, got {temperature}.",
        ),
        ("stop", body.stop, "" in _stops(body), "stop cannot contain an empty string."),
    )
    for param, value, refused, sentence in rows:
        if refused:
            raise out_of_range(param, value, sentence)


def _temperature(body: Body) -> float:
    return 1.0 if body.temperature is None else body.temperature


def _stops(body: Body) -> tuple[str, ...]:
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())


def _ask(
    api: Api, body: Body, prompts: tuple[Prompt, ...], max_tokens: int | None, served: Served, *, echo: bool
) -> Ask:
    usage = body.stream_options or StreamOptions()
    chance = secrets.randbits(64) if body.seed is None else body.seed
    return Ask(
        api=api,
        prompts=prompts,
        n=body.n or 1,
        sampling=tuple(_sampling(body, prompt, max_tokens, served) for prompt in prompts),
        noise=chance if _temperature(body) > 0 else None,
        stream=bool(body.stream),
        include_usage=bool(usage.include_usage),
        continuous_usage=bool(usage.include_usage and usage.continuous_usage_stats),
        return_token_ids=bool(body.return_token_ids),
        echo=echo,
    )


def _sampling(body: Body, prompt: Prompt, max_tokens: int | None, served: Served) -> Sampling:
    """How this prompt may be continued. Raises Refusal when it does not fit into the context."""
    size = len(prompt.ids)
    if not size:
        raise Refusal(400, "The decoder prompt cannot be empty", "BadRequestError")
    room = served.max_model_len - size
    wanted = max(1, room) if max_tokens is None else max_tokens
    if wanted > room:
        sentence = (
            f"This model's maximum context length is {served.max_model_len} tokens. However, you requested "
            f"{wanted} output tokens and your prompt contains {size} input tokens, for a total of "
            f"{size + wanted} tokens. "
            "Please reduce the length of the input prompt or the number of requested output tokens."
        )
        raise out_of_range("input_tokens", size, sentence)
    return Sampling(
        max_tokens=wanted, min_tokens=body.min_tokens, ignore_eos=body.ignore_eos, stop=_stops(body)
    )
