"""Whether a server answers as an LLM server does: its health, one whole completion, one stream read twice."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from midstream.streams.ending import Outcome
from midstream.streams.exchange import Observed
from midstream.streams.openai import ABORTS, error_in_body
from midstream.streams.probe import (
    KEY_REFUSALS,
    ModelUnknownError,
    learn,
    served_models,
)
from midstream.streams.reactor import Reactor
from midstream.streams.request import Api, StreamRequest
from midstream.streams.second_reader import TooLargeError, disagreement, read_again
from midstream.streams.target import Target
from midstream.streams.traits import Traits, TraitsUnknownError

HEALTH_LIMIT_S = 10.0
COMPLETION_LIMIT_S = 60.0  # a queued request waits for its whole answer here
COMPLETION_TOKENS = 16
SHOWN_CHARACTERS = 40
_PROMPT = "Say hello."


class Finding(StrEnum):
    """What came of a step."""

    OK = "ok"
    FAILED = "FAILED"
    UNKNOWN = "unknown"  # nothing that says anything of the server


class Step(NamedTuple):
    """One of the questions, with its answer in words."""

    name: str
    finding: Finding
    seen: str


class ModelAsked(NamedTuple):
    """What is asked, of which API."""

    api: Api
    model: str


def steps(
    reactor: Reactor, target: Target, api: Api, model: str | None, *, with_health: bool = True
) -> Iterator[Step]:
    """Each step once it is over; a failed one does not keep the next from being tried."""
    if with_health:
        yield _step("health", lambda: _health(reactor, target))
    try:
        asked = ModelAsked(api, model or served_models(reactor, target)[0].name)
    except ModelUnknownError as error:
        yield Step("completion", Finding.FAILED, str(error))
        yield Step("stream", Finding.FAILED, "not asked for, as there is no model to name")
        return
    yield _step("completion", lambda: _completion(reactor, target, asked))
    yield _step("stream", lambda: _stream(reactor, target, asked))


class _FailedError(Exception):
    """The step failed; the text is what was seen."""


class _UnknownError(Exception):
    """The step says nothing of the server; the text is why."""


def _step(name: str, ask: Callable[[], str]) -> Step:
    try:
        return Step(name, Finding.OK, ask())
    except _UnknownError as error:
        return Step(name, Finding.UNKNOWN, str(error))
    except (_FailedError, OSError, ValueError) as error:
        return Step(name, Finding.FAILED, str(error))


def _health(reactor: Reactor, target: Target) -> str:
    """vLLM's path stands beside /v1, not below it."""
    path = f"{target.prefix.removesuffix('/v1')}/health"
    status, body = reactor.ask(target, "GET", path, HEALTH_LIMIT_S)
    if status == 404:
        raise _FailedError(f"GET {path} answered 404: a server without it is asked with --no-health")
    if status != 200:
        raise _FailedError(f"GET {path} answered {_refusal(status, body)}")
    return f"GET {path} answered 200"


def _completion(reactor: Reactor, target: Target, asked: ModelAsked) -> str:
    path, fields = target.stream_path(asked.api), _fields(asked)
    status, body = reactor.ask(target, "POST", path, COMPLETION_LIMIT_S, msgspec.json.encode(fields))
    if status != 200:
        raise _FailedError(f"POST {path} answered {_refusal(status, body)}")
    choice = _first_choice(body)
    if choice is None:
        raise _FailedError(f"POST {path} answered 200, but with no completion: {body[:80]!r}")
    reason = choice.get("finish_reason")
    if reason in ABORTS:
        raise _FailedError(f"POST {path} answered 200, but with finish_reason {reason}")
    text = _text(choice)
    if not text:
        raise _FailedError(f"POST {path} answered 200, but without text")
    return f"model {asked.model} answered {text[:SHOWN_CHARACTERS]!r}, finish_reason {reason}"


def _stream(reactor: Reactor, target: Target, asked: ModelAsked) -> str:
    probes = _Probes(reactor)
    try:
        learnt = learn(probes, target, asked.api, asked.model)
    except TraitsUnknownError as error:
        last = probes.last
        if last is not None:
            _doubt(last, Traits())
        raise _FailedError(_hinted(str(error), last)) from error
    observed, traits = probes.seen[learnt.record.id], learnt.traits
    _doubt(observed, traits)
    return _seen_of(observed)


def _seen_of(observed: Observed) -> str:
    """What a whole stream brought; _FailedError where it has no tokens, or no [DONE]."""
    try:
        reading = read_again(observed.body)
    except TooLargeError as error:
        raise _UnknownError(str(error)) from error
    record = observed.record
    if not record.tokens:
        raise _FailedError(f"{reading.chunks} chunks came, but not one token")
    if not reading.done:
        raise _FailedError(f"{record.tokens} tokens in {reading.chunks} chunks came, but no [DONE]")
    took_s = (record.end_ns - record.opened_ns) / 1_000_000_000
    return (
        f"{record.tokens} tokens in {reading.chunks} chunks, then [DONE], in {took_s:.2f} s; "
        f"finish_reason {record.finish_reason}; two readers agree"
    )


def _doubt(observed: Observed, traits: Traits) -> None:
    """Raise where the stream says nothing of the server: it failed by our doing, or its readers disagree."""
    record = observed.record
    if record.outcome is Outcome.OURS:
        raise _UnknownError(f"{record.ending}: {record.ending.sentence} {record.evidence.error}".rstrip())
    words = disagreement(observed, traits)
    if words:
        raise _UnknownError(words)


class _Probes:
    """The streams of one probe, each with its body."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.seen: dict[str, Observed] = {}
        self.last: Observed | None = None

    def observe(self, target: Target, request: StreamRequest, traits: Traits) -> Observed:
        """As the reactor does."""
        kept = msgspec.structs.replace(request, keep_body=True)
        self.last = self.seen[request.id] = self._reactor.observe(target, kept, traits)
        return self.last


def _fields(asked: ModelAsked) -> dict[str, Any]:
    """Nothing that only some servers know."""
    prompt: dict[str, Any] = {"prompt": _PROMPT}
    if asked.api == "chat":
        prompt = {"messages": [{"role": "user", "content": _PROMPT}]}
    return {"model": asked.model, **prompt, "max_tokens": COMPLETION_TOKENS, "stream": False}


def _first_choice(body: bytes) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    choices = document.get("choices") if isinstance(document, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _text(choice: dict[str, Any]) -> str:
    """What a person could read; a model that reasons may not get any further within a few tokens."""
    message = choice.get("message")
    of_chat = message if isinstance(message, dict) else {}
    found = [
        choice.get("text"),
        *(of_chat.get(name) for name in ("content", "reasoning", "reasoning_content")),
    ]
    return next((part for part in found if isinstance(part, str) and part), "")


def _refusal(status: int, body: bytes) -> str:
    words = error_in_body(body)
    return f"{status}{f': {words}' if words else ''}{_hint(status)}"


def _hint(status: int | None) -> str:
    return " (give the server's key with --api-key-env NAME)" if status in KEY_REFUSALS else ""


def _hinted(words: str, observed: Observed | None) -> str:
    return words + _hint(observed.record.status if observed is not None else None)
