"""Servers that promise less than vLLM: none is blamed for that, each is found out when it really cuts."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from midstream.contract import stops_early, without_contract
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending, Outcome
from midstream.streams.probe import learn
from midstream.streams.reactor import Reactor
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from midstream.streams.traits import NO_SIGN, PROBE_TOKENS, Traits, TraitsUnknownError, UsageShown
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.streams import request

Events = list[dict[str, Any] | str]
LONG_TOKENS = 40
CUT_AFTER = 5  # tokens
WHOLE_STREAMS = 4  # beside a cut one: enough that a single early stop is no rule
# Only silent streams wait for the idle limit: all that a server sends goes out in one piece.
LIMITS = Deadlines(connect_s=20.0, headers_s=20.0, first_token_s=20.0, idle_s=0.5, total_s=30.0)
HTTP_10 = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class Profile(NamedTuple):
    """What a server does with the length contract, with what it shows of a stream."""

    refused: frozenset[str] = frozenset()  # fields that it answers with 400
    stops_at: int | None = None  # tokens of its own wish, where ignore_eos is not heeded
    usage: UsageShown = UsageShown.CONTINUOUS
    ids: bool = True
    done: bool = True
    finish: bool = True

    def events(self, fields: Mapping[str, Any]) -> Events:
        """The whole stream that it answers with."""
        asked = fields["max_tokens"]
        count = min(asked, self.stops_at or asked)
        options = fields.get("stream_options", {})
        tokens = wire.tokens(count, ("length" if count == asked else "stop") if self.finish else None)
        for event in tokens:
            if not (self.usage is UsageShown.CONTINUOUS and "continuous_usage_stats" in options):
                del event["usage"]
            if not (self.ids and "return_token_ids" in fields):
                del event["choices"][0]["token_ids"]
        closing = [wire.closing(count)] if self.usage is not UsageShown.NONE and options else []
        return [*tokens, *closing, *(["[DONE]"] if self.done else [])]

    def refusal(self, fields: Mapping[str, Any]) -> bytes:
        """A 400 that names what it does not know; empty when it knows all."""
        unknown = sorted(self.refused & (fields.keys() | fields.get("stream_options", {}).keys()))
        if not unknown:
            return b""
        content = json.dumps({"error": {"message": f"unknown field {unknown[0]}"}}).encode()
        return b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%s" % (len(content), content)


NEVER = UsageShown.NONE
VLLM_ONLY = frozenset({"ignore_eos", "min_tokens", "return_token_ids", "continuous_usage_stats"})
PROFILES: dict[str, tuple[Profile, dict[str, Any]]] = {
    "vLLM": (Profile(), {"honours_length": True, "token_ids": True, "usage": UsageShown.CONTINUOUS}),
    "400 to unknown fields": (
        Profile(refused=VLLM_ONLY),
        {"honours_length": True, "token_ids": False, "usage": UsageShown.AT_END},
    ),
    "400 to stream_options too": (
        Profile(refused=VLLM_ONLY | {"include_usage"}),
        {"honours_length": True, "token_ids": False, "usage": NEVER},
    ),
    "stops early in the probe": (Profile(stops_at=9), {"honours_length": False}),
    "stops early in long streams only": (Profile(stops_at=25), {"honours_length": True}),
    "stops early in long streams only, uncounted": (
        Profile(stops_at=25, usage=NEVER, ids=False),
        {"honours_length": True, "usage": NEVER},
    ),
    "no usage": (Profile(usage=NEVER, ids=False), {"usage": NEVER, "token_ids": False, "done": True}),
    "no [DONE]": (Profile(done=False), {"done": False, "finish_reason": True}),
    "no finish_reason": (Profile(finish=False), {"finish_reason": False, "done": True}),
    "[DONE] alone": (
        Profile(finish=False, usage=NEVER, ids=False),
        {"finish_reason": False, "done": True, "usage": NEVER, "token_ids": False},
    ),
    "finish_reason alone": (
        Profile(done=False, usage=NEVER, ids=False),
        {"finish_reason": True, "done": False, "usage": NEVER, "token_ids": False},
    ),
    "all tokens alone": (
        Profile(finish=False, done=False),
        {"finish_reason": False, "done": False, "honours_length": True},
    ),
}
NOT_KEPT_IN_LONG = [name for name in PROFILES if "long streams only" in name]


def chunked(events: Events) -> bytes:
    return wire.HEAD + wire.body(events)


def silent(peer: Peer, events: Events) -> None:
    peer.send(chunked(events[:CUT_AFTER]))
    peer.wait_for_close()


def by_reset(peer: Peer, events: Events) -> None:
    peer.send(chunked(events[:CUT_AFTER]))
    peer.reset()


def aborted(peer: Peer, events: Events) -> None:
    rest = [event for event in events if event == "[DONE]"]
    last: Events = [wire.token(CUT_AFTER + 1, finish="abort")]
    peer.send(chunked([*events[:CUT_AFTER], *last, *rest]) + wire.LAST_CHUNK)


def by_error_event(peer: Peer, events: Events) -> None:
    failure: Events = [{"error": {"message": "engine dead", "code": 500}}, "[DONE]"]
    peer.send(chunked([*events[:CUT_AFTER], *failure]) + wire.LAST_CHUNK)


def hidden_as_stop(peer: Peer, events: Events) -> None:
    """A gateway whose upstream was cut (facts 2): `stop`, usage, [DONE], a clean end."""
    stop = {"model": "rev-a", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    peer.send(
        chunked([*events[:CUT_AFTER], stop, wire.closing(CUT_AFTER), "[DONE]"]) + wire.LAST_CHUNK,
    )


Cut = Callable[[Peer, Events], None]
CUTS: dict[str, tuple[Cut, Ending]] = {
    "FIN within the body": (lambda peer, events: peer.send(chunked(events[:CUT_AFTER])), Ending.TRUNCATED),
    "RST": (by_reset, Ending.RESET),
    "silence": (silent, Ending.STALLED),
    "a clean end behind a proxy": (
        lambda peer, events: peer.send(chunked(events[:CUT_AFTER]) + wire.LAST_CHUNK),
        Ending.ENDED_EARLY,
    ),
    "a clean end by HTTP/1.0": (
        lambda peer, events: peer.send(HTTP_10 + b"".join(map(wire.sse, events[:CUT_AFTER]))),
        Ending.ENDED_EARLY,
    ),
    "abort": (aborted, Ending.ABORTED),
    "error event": (by_error_event, Ending.ERROR_EVENT),
}


def whole(peer: Peer, events: Events) -> None:
    peer.send(chunked(events) + wire.LAST_CHUNK)


class Service:
    """A server of one profile; `cut` is how it treats long streams from now on."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.cut: Cut = whole

    def __call__(self, peer: Peer) -> None:
        fields = json.loads(peer.read_request().partition(b"\r\n\r\n")[2])
        refusal = self.profile.refusal(fields)
        if refusal:
            peer.send(refusal)
            return
        end = whole if fields["max_tokens"] == PROBE_TOKENS else self.cut
        end(peer, self.profile.events(fields))


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    one = Reactor(LIMITS)
    yield one
    one.close()


def hold(reactor: Reactor, target: Target, traits: Traits) -> StreamRecord:
    return reactor.stream(target, request(tokens=LONG_TOKENS), traits)


def judged(records: list[StreamRecord]) -> list[StreamRecord]:
    """As a verdict reads them: where early stops are the rule, the length is not demanded."""
    return list(without_contract(records)) if stops_early(records) else records


def held(reactor: Reactor, service: Service, *ways: Cut) -> list[StreamRecord]:
    """What becomes of long streams that end in these ways, on a server learnt by its probe."""
    with RawServer(service) as server:
        target = Target.parse(server.url)
        traits = learn(reactor, target, "completions", "m").traits
        records = []
        for way in ways:
            service.cut = way
            records.append(hold(reactor, target, traits))
    return records


@pytest.mark.parametrize(("profile", "shown"), PROFILES.values(), ids=PROFILES)
def test_what_the_probe_teaches(reactor, profile, shown):
    with RawServer(Service(profile)) as server:
        traits = learn(reactor, Target.parse(server.url), "completions", "m").traits
    assert {name: getattr(traits, name) for name in shown} == shown
    assert not traits.optional & profile.refused


@pytest.mark.parametrize("name", PROFILES)
def test_no_profile_makes_a_false_loss(reactor, name):
    records = held(reactor, Service(PROFILES[name][0]), *[whole] * WHOLE_STREAMS)
    assert [record.ending for record in judged(records)] == [Ending.COMPLETE] * WHOLE_STREAMS
    assert stops_early(records) is (name in NOT_KEPT_IN_LONG)


@pytest.mark.parametrize(("cut", "ending"), CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_lost_when_really_cut(reactor, name, cut, ending):
    *others, lost = judged(held(reactor, Service(PROFILES[name][0]), *[whole] * WHOLE_STREAMS, cut))
    assert {record.ending for record in others} == {Ending.COMPLETE}
    assert (lost.ending, lost.outcome) == (ending, Outcome.LOST)


@pytest.mark.parametrize("name", [name for name in PROFILES if "stops early" not in name])
def test_a_cut_told_as_stop_is_lost_where_the_length_or_the_reason_is_kept(reactor, name):
    *others, last = judged(
        held(reactor, Service(PROFILES[name][0]), *[whole] * WHOLE_STREAMS, hidden_as_stop)
    )
    assert {record.ending for record in others} == {Ending.COMPLETE}
    # Where nothing but [DONE] was ever shown, such a stream has all that this server promises.
    assert last.ending is (Ending.COMPLETE if name == "[DONE] alone" else Ending.SHORT)


WITHOUT_A_SIGN = {
    "neither finish_reason nor [DONE] nor a count": Profile(finish=False, done=False, usage=NEVER, ids=False),
    "a count that is not the one asked": Profile(finish=False, done=False, stops_at=9),
}


@pytest.mark.parametrize("profile", WITHOUT_A_SIGN.values(), ids=WITHOUT_A_SIGN)
def test_a_server_without_any_sign_of_completeness_is_not_judged(reactor, profile):
    with RawServer(Service(profile)) as server, pytest.raises(TraitsUnknownError, match=NO_SIGN):
        learn(reactor, Target.parse(server.url), "completions", "m")
