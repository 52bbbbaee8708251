"""What the times of a run are worth, in sentences: the endings stand whatever these say."""

from collections.abc import Iterator

from midstream.checks.check import percent
from midstream.metrics import LEAST_CERTAIN, Metrics
from midstream.streams.clock import Clocks

UNDATED_TOLD = 0.01  # of the reads: the kernel begins to stamp a little after it was asked
CERTAIN_TOLD = 0.9  # of the gaps: ITL that rests on fewer is told with its share


def time_notes(clocks: Clocks, metrics: Metrics) -> tuple[str, ...]:
    """One sentence for each reason why times are less exact than kernel stamps in single reads."""
    return (*_of_clocks(clocks), *_of_itl(metrics))


def _of_clocks(clocks: Clocks) -> Iterator[str]:
    if clocks.reads and clocks.undated_reads == clocks.reads:
        yield "the kernel stamped no read: times are user-space stamps, late by as much as this process was"
    elif clocks.undated_share >= UNDATED_TOLD:
        yield (
            f"the kernel stamped all reads but {percent(clocks.undated_share)}: the tokens of those have "
            "user-space stamps, and count as uncertain"
        )
    if clocks.steps:
        times = "once" if clocks.steps == 1 else f"{clocks.steps} times"
        yield (
            f"the wall clock was set {times} during the test: stamps around that moment are not believed, "
            "those of the 0.1 s before it was noticed may be wrong, so limits on times are not judged"
        )


def _of_itl(metrics: Metrics) -> Iterator[str]:
    share, uncertain = metrics.main.itl_from, metrics.main.uncertain_tokens
    if share is None or share >= CERTAIN_TOLD:
        return
    why = f"{uncertain} of {metrics.main.tokens} tokens came in reads that held several, or had no stamp"
    if share < LEAST_CERTAIN:
        yield f"ITL of the main lane is not told, it would rest on {percent(share)} of the gaps: {why}"
    else:
        yield f"ITL of the main lane rests on {percent(share)} of the gaps: {why}"
