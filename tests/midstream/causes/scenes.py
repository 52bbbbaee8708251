"""Pieces of runs for the causes: who was answered, who was refused, which container died."""

from typing import Any

from msgspec import structs

from midstream.causes import Cause, find_causes
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import ContainerEnd
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from tests.midstream.builders import NEW, ns, stream, timeline

NEW_POD = "vllm-b2d4-y"


def found(judged: Run) -> tuple[Cause, ...]:
    return find_causes(judged, read_cohorts(judged))


def names(judged: Run) -> set[str]:
    return {cause.cause for cause in found(judged)}


def answered(revision: str, *at: float) -> list[StreamRecord]:
    """New connections that this revision answered whole."""
    return [stream(at=each, lasts=1.0, revisions=(revision,)) for each in at]


def refused(*at: float, ending: Ending = Ending.CONNECT_REFUSED, **changes: Any) -> list[StreamRecord]:
    return [stream(ending, at=each, lasts=0.02, **changes) for each in at]


def spread(first: float, last: float, step: float = 0.2) -> list[float]:
    return [first + step * number for number in range(round((last - first) / step))]


def died(at: float, ready: float | None = None, **changes: Any) -> dict[str, Any]:
    """A container of the new revision's pod was seen to have ended by SIGKILL."""
    end = ContainerEnd(
        pod=NEW_POD,
        revision=NEW,
        container="vllm",
        exit_code=137,
        reason="OOMKilled",
        restarts=1,
        seen_ns=ns(at),
        not_before_ns=ns(60),
        ready_ns=None if ready is None else ns(ready),
        source=f"watch Pod/{NEW_POD} status.containerStatuses",
    )
    return {"timeline": timeline(container_ends=(structs.replace(end, **changes),))}
