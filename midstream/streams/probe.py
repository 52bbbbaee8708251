"""Asking a server, before any load, what it serves with what it shows of a whole stream."""

import time
from typing import NamedTuple, Protocol

import msgspec

from midstream.streams.ending import Ending, Outcome
from midstream.streams.exchange import Observed
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.request import Api, StreamRequest
from midstream.streams.target import Target
from midstream.streams.traits import (
    PROBE_TOKENS,
    Signs,
    Traits,
    TraitsUnknownError,
    field_to_drop,
    traits_of,
)

FIELD_REFUSALS = (400, 422)  # 422 is how servers with a schema check say it
KEY_REFUSALS = (401, 403)
_PROMPT = "Count slowly from one to one hundred."


class ModelUnknownError(Exception):
    """The server names no model; the message says why, with the next step."""


class ServedModel(NamedTuple):
    """One entry of /v1/models."""

    name: str
    context_tokens: int | None  # prompt and answer together; None: not told


class StreamSource(Protocol):
    """What learning needs of a reactor; the tests play a server without sockets."""

    def observe(self, target: Target, request: StreamRequest, traits: Traits) -> Observed:
        """One stream with what it showed."""


class AnswerSource(Protocol):
    """What asking for models needs of a reactor."""

    def ask(self, target: Target, method: str, path: str, timeout_s: float) -> tuple[int, bytes]:
        """Status with body of one answer; OSError, ValueError."""


class Learnt(NamedTuple):
    """What a probe showed."""

    traits: Traits
    record: StreamRecord  # the whole stream that they were read from


def learn(reactor: StreamSource, target: Target, api: Api, model: str) -> Learnt:
    """The traits of a server, from one whole stream of 16 tokens with the full length contract.

    Optional fields are dropped one by one while the server answers 400; those that the answer did not
    name are then offered again. TraitsUnknownError when no whole stream comes of it.
    """
    traits = Traits()
    doubtful: list[str] = []
    record, signs = _probe(reactor, target, api, model, traits)
    while record.status in FIELD_REFUSALS:
        field = field_to_drop(traits.optional, record.evidence.error)
        if field is None:
            break
        if field not in record.evidence.error:
            doubtful.append(field)
        traits = Traits(optional=_with_dependants_dropped(traits.optional, field))
        record, signs = _probe(reactor, target, api, model, traits)
    learnt = _learnt(target, record, signs, traits)
    for field in reversed(doubtful):
        if field == "continuous_usage_stats" and "include_usage" not in learnt.traits.optional:
            continue  # it would not be sent
        wider = Traits(optional=learnt.traits.optional | {field})
        record, signs = _probe(reactor, target, api, model, wider)
        if record.ending is Ending.COMPLETE:
            learnt = _learnt(target, record, signs, wider)
    return learnt


def served_models(reactor: AnswerSource, target: Target, timeout_s: float = 5.0) -> tuple[ServedModel, ...]:
    """The models of GET /v1/models, at least one; ModelUnknownError when there is none."""
    path = target.path("models")
    advice = "check the URL or name one with --model"
    try:
        status, body = reactor.ask(target, "GET", path, timeout_s)
        document = _document(status, body)
    except OSError as error:  # naming a model would not help
        words = f"cannot ask {target.url}{path} for a model ({error}): check the URL, http or https too"
        raise ModelUnknownError(words) from error
    except ValueError as error:
        raise ModelUnknownError(f"cannot ask {target.url}{path} for a model ({error}): {advice}") from error
    entries = document.get("data") if isinstance(document, dict) else None
    models = tuple(filter(None, map(_served, entries if isinstance(entries, list) else [])))
    if status in KEY_REFUSALS:
        raise ModelUnknownError(
            f"{target.url}{path} answered {status}: give the server's key with --api-key-env NAME"
        )
    if status != 200 or not models:
        raise ModelUnknownError(f"{target.url}{path} answered {status} and names no model: {advice}")
    return models


def _document(status: int, body: bytes) -> object:
    """The JSON of an answer; None where an error comes without, as gateways say it in HTML. ValueError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if status >= 400:
            return None
        raise ValueError(f"it answered {status} without JSON: {error}") from error


def _served(entry: object) -> ServedModel | None:
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str) or not name:
        return None
    context = entry.get("max_model_len")  # vLLM's own key; others leave it out (capture `models`)
    return ServedModel(name, context if isinstance(context, int) and context > 0 else None)


def _probe(
    reactor: StreamSource, target: Target, api: Api, model: str, traits: Traits
) -> tuple[StreamRecord, Signs]:
    now_ns = time.monotonic_ns()
    request = StreamRequest(
        id=f"midstream-probe-{now_ns:x}",
        scenario="probe",
        lane=Lane.PULSE,
        fresh=True,
        api=api,
        model=model,
        prompt=_PROMPT,
        tokens=PROBE_TOKENS,
        contract=True,
        scheduled_ns=now_ns,
    )
    observed = reactor.observe(target, request, traits)
    return observed.record, observed.signs


def _with_dependants_dropped(optional: frozenset[str], field: str) -> frozenset[str]:
    """Without the field; continuous_usage_stats is nothing without include_usage (captures)."""
    dropped = {field, "continuous_usage_stats"} if field == "include_usage" else {field}
    return optional - dropped


def _learnt(target: Target, record: StreamRecord, signs: Signs, traits: Traits) -> Learnt:
    # A body that ended cleanly may be all that this server ever shows; anything else is a failure by itself.
    if record.ending not in (Ending.COMPLETE, Ending.ENDED_EARLY):
        missed = "come whole" if record.outcome is Outcome.LOST else "begin"
        why = f"{record.ending.sentence} {record.evidence.error}".rstrip()
        raise TraitsUnknownError(
            f"the probe stream to {target.url} did not {missed} ({record.ending}): {why}"
        )
    return Learnt(traits_of(signs, record.ending, traits.optional), record)
