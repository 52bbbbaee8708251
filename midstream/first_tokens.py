"""Whether first tokens come later on a new revision than on the one before it."""

from collections.abc import Iterator

import msgspec

from midstream.checks.check import seconds
from midstream.checks.times import ttft_bounds
from midstream.cohorts import Cohorts
from midstream.metrics import quantile
from midstream.run import Run
from midstream.streams.record import Lane

SLOWER = 2.0  # times: less is within what load and prompts do
FEWEST = 10  # streams of each revision: the median of fewer is one stream's luck


class SlowerStart(msgspec.Struct, frozen=True, kw_only=True):
    """The medians of TTFT (first token - sent) on two revisions, in ns."""

    old: str
    new: str
    old_p50_ns: float
    new_p50_ns: float

    @property
    def sentence(self) -> str:
        """How many times longer, with both medians."""
        longer = f"{self.new_p50_ns / self.old_p50_ns:.1f} times as long"
        medians = f"p50 {seconds(self.new_p50_ns)} against {seconds(self.old_p50_ns)}"
        return f"first tokens on revision {self.new} took {longer} as on {self.old}: {medians}"


def slower_starts(run: Run, cohorts: Cohorts) -> Iterator[SlowerStart]:
    """Each cutover to a revision whose median TTFT is surely SLOWER times that of the one before it."""
    bounds: dict[str | None, list[tuple[float, float]]] = {}
    for member in cohorts.members:
        if member.stream.lane is Lane.MAIN and member.stream.ttft_ns is not None:
            bounds.setdefault(member.revision, []).append(ttft_bounds(member.stream, run))
    for cutover in run.timeline.cutovers:
        old, new = bounds.get(cutover.old, []), bounds.get(cutover.new, [])
        if min(len(old), len(new)) < FEWEST:
            continue
        old_ns, new_ns = _median(most for _, most in old), _median(most for _, most in new)
        least_ns = _median(least for least, _ in new)
        if 0 < SLOWER * old_ns <= least_ns:
            yield SlowerStart(
                old=cutover.old,
                new=cutover.new,
                old_p50_ns=old_ns,
                new_p50_ns=new_ns,
            )


def _median(values: Iterator[float]) -> float:
    return quantile(sorted(values), 0.5) or 0.0
