"""How long the streams of a planned test are against the budget."""

from collections.abc import Iterator

from midstream.rollouts.lint.case import Case
from midstream.rollouts.lint.finding import Finding, error, warning


def streams_miss_sigterm(case: Case) -> Iterator[Finding]:
    """A stream that ends before SIGTERM proves nothing of the drain."""
    until_s = case.budget.until_sigterm_s
    if case.stream_s is not None and until_s is not None and case.stream_s <= until_s:
        yield warning(
            f"streams of {case.stream_s:g} s, and SIGTERM comes {until_s:g} s after the cutover",
            "none of them meets SIGTERM: a PASS says nothing of the drain",
            f"--sigterm-streams, or --stream-seconds above {until_s:g}",
        )


def streams_outlive_budget(case: Case) -> Iterator[Finding]:
    """A stream that began just before the cutover needs all of its time after it."""
    total_s = case.budget.total_s
    if case.stream_s is not None and total_s is not None and case.stream_s > total_s:
        yield error(
            f"streams of {case.stream_s:g} s, and {total_s:g} s for them after the cutover",
            "those that began shortly before it are cut",
            f"a budget above {case.stream_s:g} s: scaleDownDelaySeconds is its cheapest part",
        )
