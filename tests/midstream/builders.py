"""Runs as test data: a plain promotion with 80 crossing streams, and what a test changes in it.

All instants are seconds; the cutover (T8) is at 100 s, SIGTERM (T13) at 106 s, the old pod is gone at 120 s.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.timeline import Cutover, Mark, MarkName, Timeline
from midstream.run import Image, LedgerCount, Limits, PreviewFinding, Run, ScriptEnd, State, Subject
from midstream.streams.clock import Clocks
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane, StreamRecord

NS = 1_000_000_000
OLD, NEW, POD = "7c9f", "b2d4", "vllm-7c9f-x"
T0, T8, T12, T13, T14 = 81.0, 100.0, 104.0, 106.0, 120.0


def ns(seconds: float) -> int:
    return round(seconds * NS)


def stream(
    ending: Ending = Ending.COMPLETE, *, at: float = 95.0, lasts: float = 10.0, **changes: Any
) -> StreamRecord:
    """A stream sent at `at` that ends `lasts` later; a refused one has no token and no label."""
    refused = ending.outcome is Outcome.REFUSED
    record: StreamRecord = StreamRecord(
        id=f"s-{ending}-{at}-{lasts}",
        scenario="default",
        lane=Lane.MAIN,
        fresh=True,
        worker="w1",
        ending=ending,
        scheduled_ns=ns(at),
        opened_ns=ns(at),
        connected_ns=ns(at),
        sent_ns=ns(at),
        end_ns=ns(at + lasts),
        headers_ns=None if refused else ns(at + 0.01),
        first_event_ns=None if refused else ns(at + 0.05),
        first_token_ns=None if refused else ns(at + 0.05),
        last_token_ns=None if refused else ns(at + lasts),
        status=_STATUS.get(ending, None if refused else 200),
        tokens=0 if refused else 100,
        asked_tokens=100,
        revisions=() if refused else (OLD if at < T8 else NEW,),
    )
    changed: StreamRecord = msgspec.structs.replace(record, **changes)
    return changed


_STATUS = {Ending.HTTP_429: 429, Ending.HTTP_4XX: 404, Ending.HTTP_5XX: 503}


def streams(count: int, ending: Ending = Ending.COMPLETE, **changes: Any) -> tuple[StreamRecord, ...]:
    """So many alike; their id tells them apart."""
    name = f"{ending}-{changes.get('at', 95.0)}-{changes.get('lasts', 10.0)}"
    return tuple(stream(ending, **changes, id=f"{name}-{number}") for number in range(count))


def pulse(at: float, ending: Ending = Ending.COMPLETE, **changes: Any) -> StreamRecord:
    return stream(ending, at=at, lasts=0.4, lane=Lane.PULSE, **changes)


def mark(name: MarkName, at: float, *, width: float = 0.02, **changes: Any) -> Mark:
    """A mark seen at `at`, which was certainly not there `width` before."""
    found = Mark(
        name=name,
        seen_ns=ns(at),
        not_before_ns=ns(at - width),
        source=_SOURCES.get(name, "watch"),
    )
    return msgspec.structs.replace(found, **changes)


_SOURCES = {
    MarkName.T8: "watch Service/vllm-stable spec.selector",
    MarkName.T13: "T12 + preStop 2 s (lifecycle.preStop.sleep)",
}


def timeline(
    *,
    exit_code: int | None = 0,
    without: Iterable[MarkName] = (),
    width: float = 0.02,
    end_width: float = 0.02,
    **changes: Any,
) -> Timeline:
    at = mark(MarkName.T8, T8, width=width, revision=NEW)
    of_pod: dict[str, Any] = {"pod": POD, "revision": OLD}
    marks = (
        mark(MarkName.T0, T0, revision=NEW),
        at,
        mark(MarkName.T12, T12, width=width, **of_pod),
        mark(MarkName.T13, T13, width=width, **of_pod),
        mark(MarkName.T14, T14, width=end_width, exit_code=exit_code, **of_pod),
    )
    line = Timeline(
        marks=tuple(each for each in marks if each.name not in set(without)),
        cutovers=(Cutover(number=1, old=OLD, new=NEW, at=at, old_pods=(POD,)),),
    )
    return msgspec.structs.replace(line, **changes)


SUBJECT = Subject(
    target="http://127.20.1.2:8000",
    path="LoadBalancer 127.20.1.2:8000 of Service vllm-stable",
    namespace="llm-serving",
    rollout="vllm",
    old=Image(revision=OLD, images={"vllm": "engine:v1"}, command=("vllm", "serve", "--shutdown-timeout=30")),
    new=Image(revision=NEW, images={"vllm": "engine:v2"}, command=("vllm", "serve", "--shutdown-timeout=30")),
)
WITHOUT_TIMEOUT = Image(revision=OLD, command=("vllm", "serve", "model"))
BUDGET = DrainBudget(scale_down_delay_s=4, pre_stop_s=2, grace_s=40, engine_drain_s=30, sources={})
LIMITS = Limits(require_drain=True)


WHOLE = (*streams(72), *streams(8, lasts=15.0), *streams(5, at=110.0))


def run(records: Iterable[StreamRecord] | None = None, **changes: Any) -> Run:
    """A whole promotion; without records: 80 crossing streams, 8 of them open at SIGTERM, 5 later ones."""
    records = WHOLE if records is None else tuple(records)
    whole = Run(
        subject=SUBJECT,
        limits=LIMITS,
        deadlines=Deadlines(),
        started_ns=ns(60),
        stopped_ns=ns(140),
        wall_minus_monotonic_ns=1_790_000_000 * NS,
        streams=records,
        ledger=LedgerCount(opened=len(records), closed=len(records), still_open=0),
        script=ScriptEnd(state=State.DONE, reason="", finished=True),
        watches_rollout=True,
        timeline=timeline(),
        budget=BUDGET,
        preview=PreviewFinding(fit=True, streams=3),
        baseline_ns=(ns(70), ns(80)),
        clocks=Clocks(reads=9_000),
    )
    return msgspec.structs.replace(whole, **changes)


def plain(records: Iterable[StreamRecord], **changes: Any) -> Run:
    """A plain load, which watches no rollout."""
    given: dict[str, Any] = {"timeline": Timeline(), "budget": None, "preview": None, "baseline_ns": None}
    return run(records, watches_rollout=False, **(given | changes))
