"""For every check runs that show its answers."""

from typing import Any

from msgspec import structs

from midstream.arrivals import OpenLoop
from midstream.checks import QUESTIONS
from midstream.checks.check import Check, Status
from midstream.rollouts.timeline import MarkName, RolloutEvent, Timeline
from midstream.run import ControlFinding, LateSpell, LedgerCount, PreviewFinding, Run, ScriptEnd, State
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from midstream.verdict import judge
from tests.midstream.builders import LIMITS, NEW, ns, plain, pulse, run, stream, streams, timeline


def pulses(*, dark_s: float = 0.0, fresh: bool = True) -> tuple[StreamRecord, ...]:
    """Five a second until the watch is over; from T8 + 1 s on not answered for a while."""
    times = [95 + 0.2 * number for number in range(190)]
    return tuple(
        pulse(at, Ending.CONNECT_REFUSED if 101 <= at <= 101 + dark_s else Ending.COMPLETE, fresh=fresh)
        for at in times
    )


def limited(**limits: Any) -> dict[str, Any]:
    """Limits other than the default."""
    return {"limits": structs.replace(LIMITS, **limits)}


def happened(what: str, at: float, detail: str) -> Timeline:
    """A promotion in which something else happened too."""
    event = RolloutEvent(what=what, seen_ns=ns(at), source="watch", detail=detail)
    return structs.replace(timeline(), events=(event,))


_LABELLED = (*streams(80, revisions=("7c9f",)), *streams(5, at=110.0, revisions=(NEW,)))
_LATE_OLD = (*_LABELLED, *streams(3, at=113.0, revisions=("7c9f",)))
_LOST = (*streams(79), stream(Ending.ABORTED, lasts=12.0))
_SLIPPED = tuple(structs.replace(each, scheduled_ns=each.opened_ns - ns(3) + ns(0)) for each in streams(80))
_LOOP = OpenLoop(rate=5, ramp_up_s=10, most_open=1000, offered=85)
_CRASHED = ScriptEnd(state=State.DRAIN, reason="", crash="watch pods: KeyError: 'metadata'")
_NO_PODS = "state preview was not over within 900 s (--preview-limit): it waited for the new pods to be ready"

EXAMPLES: dict[str, tuple[Run, ...]] = {
    "preview": (
        run(),
        run(preview=PreviewFinding(fit=False, streams=3, why="3 of 3 streams answered 404")),
        run(preview=PreviewFinding(fit=None, why="the preview Service cannot be reached from here")),
    ),
    "crossing_lost": (run(), run(_LOST), run(streams(20))),
    "at_sigterm": (run(), run((*streams(80), stream(Ending.TRUNCATED, lasts=14.0))), run(streams(80))),
    "reachability": (
        run((*streams(80), *pulses(dark_s=0.5))),
        run((*streams(80), *pulses(dark_s=4.0))),
        run((*streams(80), *pulses()[::9])),
        run(),
    ),
    "kept_connections": (
        run((*streams(80), *pulses(fresh=False)), **limited(max_kept_blackout_s=2.0)),
        run((*streams(80), *pulses(dark_s=9.0, fresh=False)), **limited(max_kept_blackout_s=2.0)),
    ),
    "routing": (run(_LABELLED), run(_LATE_OLD), run()),
    "rollout": (
        run(),
        run(timeline=happened("switched_back", 115, "the active Service selects 7c9f again")),
        run(timeline=timeline(without=[MarkName.T14])),
    ),
    "error_rate": (run(), run((*streams(80), *streams(9, Ending.CONNECT_REFUSED, at=110.0)))),
    "5xx_rate": (run(), run((*streams(80), *streams(3, Ending.HTTP_5XX, at=110.0)))),
    "completion": (run(), run((*streams(60), *streams(20, Ending.RESET)))),
    "ttft_p95": (
        plain(streams(80), **limited(max_ttft_p95_s=1.0)),
        plain(streams(80, lasts=30.0, first_token_ns=ns(99)), **limited(max_ttft_p95_s=1.0)),
    ),
    "max_gap": (
        plain(streams(80), **limited(max_gap_s=5.0)),
        plain(
            (*streams(79), stream(Ending.STALLED, lasts=25.0, last_token_ns=ns(97))), **limited(max_gap_s=5.0)
        ),
    ),
    "script": (
        run(),
        run(script=ScriptEnd(state=State.PREVIEW, reason=_NO_PODS)),
        run(script=_CRASHED),
    ),
    "baseline": (
        run(),
        run(
            script=ScriptEnd(
                state=State.BASELINE,
                reason="the service failed before anything was triggered: 9 of 40 streams lost or refused",
                baseline_failed=True,
            )
        ),
    ),
    "ledger": (run(), run(ledger=LedgerCount(opened=86, closed=85, still_open=0))),
    "ourselves": (
        run(),
        run(
            (*streams(80), *streams(9, Ending.CLIENT_ERROR)),
            late=(LateSpell(from_ns=ns(99), to_ns=ns(103)),),
        ),
    ),
    "arrivals": (run(open_loop=_LOOP), run(_SLIPPED, open_loop=_LOOP)),
    "negative_control": (
        run(control=ControlFinding(streams=1, lost=1, pod="vllm-b2d4-x")),
        run(control=ControlFinding(streams=1, pod="vllm-b2d4-x")),
    ),
    "second_witness": (run(),),
}


def answers(name: str) -> list[Check]:
    """What the examples of one check say, PASS first."""
    found = [check for each in EXAMPLES[name] for check in judge(each).checks if check.name == name]
    return sorted(found, key=lambda check: list(Status).index(check.status))


def missing() -> set[str]:
    """Checks without an example."""
    return {question.name for question in QUESTIONS} ^ EXAMPLES.keys()
