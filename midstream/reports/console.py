"""The report as text that reads well in a terminal, and in a CI log without one."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from rich.box import ASCII2
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from midstream.checks.check import percent
from midstream.cohorts import NS_PER_S, Row
from midstream.metrics import Figures, Headroom
from midstream.reports.report import Report
from midstream.rollouts.timeline import MARK_WORDS
from midstream.streams.ending import Outcome
from midstream.verdict import Cause, Check, Decision, Status

LOG_WIDTH = 110  # columns where there is no terminal to ask

_DECISION_STYLE: dict[Decision, str] = {
    Decision.PASS: "bold green",
    Decision.FAIL: "bold red",
    Decision.INCONCLUSIVE: "bold yellow",
}
_STATUS_WORDS: dict[Status, tuple[str, str]] = {
    Status.PASS: ("ok", "green"),
    Status.FAIL: ("FAIL", "bold red"),
    Status.INCONCLUSIVE: ("unclear", "yellow"),
    Status.NOT_EXAMINED: ("not seen", "dim"),
}


def write_console(report: Report, stream: TextIO, folder: Path | None = None) -> None:
    """Print the report to `stream`; `folder` is where the files are."""
    width = None if stream.isatty() else LOG_WIDTH
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as text:
        for part in _parts(report, folder):
            console.print(part)
    stream.writelines(line.rstrip() + "\n" for line in text.get().splitlines())


def _parts(report: Report, folder: Path | None) -> Iterator[RenderableType]:
    yield from _titled("subject", _subject(report))
    if report.run.timeline.marks:
        yield from _titled("timeline", [_timeline(report)])
    yield from _titled("checks", [_checks(report.verdict.checks), *_doubts(report.verdict.checks)])
    yield from _titled("causes", _causes(report.verdict.causes))
    yield from _titled("cohorts", [_cohorts(report.cohort_table)])
    yield from _titled("metrics", [_figures(report)])
    if report.run.watches_rollout:
        yield from _titled("headroom", [Text(headroom_words(report.metrics.headroom))])
    yield from _titled("notes", [Text(note) for note in _notes(report)])
    if folder is not None:
        yield from _titled("files", [Text(f"{folder}/verdict.json, timeline.json, streams.jsonl")])
    yield Text()
    style = _DECISION_STYLE[report.verdict.decision]
    title = f"exit code {report.verdict.exit_code}"
    yield Panel(Text(report.verdict.sentence, style=style), box=ASCII2, border_style=style, subtitle=title)


def _titled(title: str, parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """A block under its title; nothing when it is empty."""
    parts = list(parts)
    if parts:
        yield Text()
        yield Text(title, style="bold")
        yield from (Padding(part, (0, 0, 0, 2)) for part in parts)


def _subject(report: Report) -> Iterator[Text]:
    subject = report.run.subject
    yield Text(f"target    {subject.target}")
    not_proven = f" ({subject.path_proves_not})" if subject.path_proves_not else ""
    yield Text(f"path      {subject.path}{not_proven}")
    if not report.run.watches_rollout:
        yield Text("rollout   none was watched: these are the thresholds of a plain load alone")
        return
    yield Text(f"rollout   {subject.namespace}/{subject.rollout}")
    for name, image in (("old", subject.old), ("new", subject.new)):
        if image is not None:
            images = ", ".join(f"{container}={tag}" for container, tag in image.images.items())
            yield Text(f"{name}       {image.revision}  {images}")


def _grid(*columns: tuple[str, bool]) -> Table:
    """A table without lines; a column is its title with whether it holds numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title, is_number in columns:
        table.add_column(title, justify="right" if is_number else "left", overflow="fold")
    return table


def _timeline(report: Report) -> Table:
    marks = report.run.timeline.marks
    cutovers = report.run.timeline.cutovers
    zero_ns = cutovers[0].at.seen_ns if cutovers else report.run.started_ns
    since = "T8" if cutovers else "start"
    table = _grid((f"s from {since}", True), ("mark", False), ("moment", False), ("source", False))
    for mark in marks:
        pod = f", {mark.pod}" if mark.pod else ""
        code = f", exit {mark.exit_code}" if mark.exit_code is not None else ""
        table.add_row(
            f"{(mark.seen_ns - zero_ns) / NS_PER_S:+.2f}",
            mark.name.value,
            f"{MARK_WORDS[mark.name]}{pod}{code}",
            mark.source,
        )
    return table


def _checks(checks: Iterable[Check]) -> Table:
    table = _grid(("", False), ("check", False), ("observed", False), ("limit", False))
    for check in checks:
        word, style = _STATUS_WORDS[check.status]
        table.add_row(Text(word, style=style), check.name, check.observed, check.limit)
    return table


def _doubts(checks: Iterable[Check]) -> Iterator[Text]:
    for check in checks:
        if check.status is not Status.PASS:
            word, style = _STATUS_WORDS[check.status]
            yield Text.assemble((word, style), f" {check.name}: {check.why}")


def _causes(causes: Iterable[Cause]) -> Iterator[RenderableType]:
    for cause in causes:
        yield Text(f"- {cause.line}")
        details = [f"seen: {'; '.join(cause.evidence)}"] * bool(cause.evidence) + [f"mend: {cause.mend}"]
        yield from (Padding(Text(detail), (0, 0, 0, 2)) for detail in details)


def _cohorts(rows: Iterable[Row]) -> Table:
    table = _grid(
        ("cohort", False),
        ("lane", False),
        ("revision", False),
        ("streams", True),
        *((outcome.value, True) for outcome in Outcome),
    )
    for row in rows:
        number = f" {row.cutover}" if row.cutover > 1 else ""
        counts = (str(row.outcomes[outcome]) for outcome in Outcome)
        table.add_row(f"{row.cohort}{number}", row.lane, row.revision or "unknown", str(row.streams), *counts)
    return table


_FIGURE_ROWS: tuple[tuple[str, str], ...] = (
    ("streams", "streams"),
    ("completion rate", "completion"),
    ("error rate", "error_rate"),
    ("5xx rate", "rate_5xx"),
    ("TTFT p50", "ttft_p50_s"),
    ("TTFT p95", "ttft_p95_s"),
    ("ITL p50", "itl_p50_s"),
    ("ITL p99", "itl_p99_s"),
    ("TPOT p50", "tpot_p50_s"),
    ("tokens/s", "tokens_per_s"),
)


def _figures(report: Report) -> Table:
    groups = report.metrics.groups
    names = (f"{group.lane} {group.revision or 'unknown'}" for group in groups)
    table = _grid(("", False), ("main lane", True), *((name, True) for name in names))
    every = [report.metrics.main, *(group.figures for group in groups)]
    for title, field in _FIGURE_ROWS:
        table.add_row(title, *(_figure(field, getattr(figures, field)) for figures in every))
    table.add_row("longest gap", *(_longest(figures, report) for figures in every))
    table.add_row("HTTP status", *(_counts(figures.statuses) for figures in every))
    table.add_row("endings", *(_counts(figures.endings) for figures in every))
    return table


def _figure(field: str, value: float | None) -> str:
    if value is None:
        return "-"
    if field.endswith("_per_s"):
        return f"{value:.1f}"
    if field.endswith("_s"):
        return f"{1000 * value:.1f} ms"
    return str(value) if isinstance(value, int) else percent(value)


def _longest(figures: Figures, report: Report) -> str:
    gap = figures.longest_gap
    if gap is None:
        return "-"
    at_s = (gap.from_ns - report.run.started_ns) / NS_PER_S
    sure = "" if gap.certain else "up to "
    return f"{sure}{gap.length_s:.2f} s at {at_s:.1f} s"


def _counts(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} {count}" for name, count in counts.items()) or "-"


def headroom_words(headroom: Headroom) -> str:
    """How long streams could still have been, in one or two sentences."""
    if headroom.budget_s is None:
        budget = "how long a stream may live after the cutover is not known from the spec (measured only)"
    else:
        budget = f"a stream may live {headroom.budget_s:.1f} s after the cutover"
    if headroom.proven_s is None:
        return f"{budget}; no stream was proven to outlive it"
    proven = f"the longest complete one lived {headroom.proven_s:.1f} s of it"
    past = headroom.proven_past_sigterm_s
    proven += f", {past:.1f} s past SIGTERM" if past is not None else ", none past SIGTERM"
    if headroom.left_s is None:
        return f"{budget}; {proven}"
    left = f"streams could have been {max(0.0, headroom.left_s):.1f} s longer"
    return f"{budget}; {proven}; {left}"


def _notes(report: Report) -> Iterator[str]:
    yield from report.run.notes
    if report.run.traits_missing:
        yield f"not shown by this server, hence not demanded: {', '.join(report.run.traits_missing)}"
