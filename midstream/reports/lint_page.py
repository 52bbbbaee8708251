"""What lint found of one workload, as plain lines: the drain budget as a sum, then the findings."""

from collections.abc import Iterator, Sequence

from midstream.reports.printable import printable
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.lint.case import Case
from midstream.rollouts.lint.rules import Told


def page_lines(case: Case, told: Sequence[Told], unseen: Sequence[str]) -> list[str]:
    """The whole page; nothing of a manifest's words steers a terminal."""
    lines = [f"{case.kind} {case.name}", *budget_lines(case), *_findings(told)]
    lines += [f"not examined: {each}" for each in unseen]
    return [printable(line).replace("\n", " ") for line in lines]


def budget_lines(case: Case) -> Iterator[str]:
    """The sum with the source of each number."""
    budget, sources = case.budget, case.budget.sources
    begin = "the deletion of its pod" if case.is_rolling else "the cutover"
    yield f"how long a stream can live after {begin}:"
    if not case.is_rolling:
        yield f"    {_number(budget.scale_down_delay_s)}  delay    {sources['scale_down_delay_s']}"
    mark = " " if case.is_rolling else "+"
    pre_stop = "unknown" if sources["pre_stop_s"].startswith("unknown") else _number(budget.pre_stop_s)
    yield f"  {mark} {pre_stop:>7}  preStop  {sources['pre_stop_s']}"
    yield f"  + {_number(budget.drain_s)}  drain    {_drain(budget)}"
    yield f"  = {_number(budget.total_s)}{'  or more: without preStop' if pre_stop == 'unknown' else ''}"


def _drain(budget: DrainBudget) -> str:
    left = f"grace {budget.grace_s:g} - preStop {budget.pre_stop_s:g} ({budget.sources['grace_s']})"
    if budget.engine_drain_s is None:
        return f"{budget.sources['engine_drain_s']}; at most {left} = {budget.most_drain_s:g} s"
    return f"the smaller of {budget.engine_drain_s:g} ({budget.sources['engine_drain_s']}) and {left}"


def _number(seconds: float | None) -> str:
    return f"{'unknown' if seconds is None else f'{seconds:g} s':>7}"


def _findings(told: Sequence[Told]) -> Iterator[str]:
    for rule, finding in told:
        yield f"{finding.severity:<7}  {rule}: {finding.seen}"
        yield f"         why:  {finding.why}"
        yield f"         mend: {finding.mend}"
    if not told:
        yield "no finding"
