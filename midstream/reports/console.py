"""The report as text that reads well in a terminal, and in a CI log without one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.box import ASCII2
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from midstream.checks.check import percent
from midstream.cohorts import NS_PER_S, Row
from midstream.metrics import Figures, Headroom
from midstream.metrics import Group as FigureGroup
from midstream.reports.printable import printable
from midstream.reports.report import Report
from midstream.rollouts.timeline import MARK_WORDS, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.verdict import Cause, Check, Decision, Status, Verdict

LOG_WIDTH = 110  # columns where there is no terminal to ask
PODS_SHOWN = 3  # lines for a mark that every pod has; of more pods the first and the last
CAUSES_SHOWN = 8
FIGURE_COLUMNS = 4
FIGURE_COLUMNS_SHOWN = 12  # the main lane with its largest groups: three tables
SCENARIO_ROWS_SHOWN = 20

_DECISION_STYLE: dict[Decision, str] = {
    Decision.PASS: "bold green",
    Decision.FAIL: "bold red",
    Decision.INCONCLUSIVE: "bold yellow",
}
_STATUS_WORDS: dict[Status, tuple[str, str]] = {
    Status.PASS: ("ok", "green"),
    Status.FAIL: ("FAIL", "bold red"),
    Status.INCONCLUSIVE: ("unclear", "yellow"),
    Status.NOT_EXAMINED: ("skipped", "dim"),
}


def write_console(report: Report, stream: TextIO, folder: Path | None = None) -> None:
    """Print the report to `stream`; `folder` is where the files are.

    What matters most stands last, where a terminal leaves the reader. What came from outside is shown with
    its control characters escaped, as is what the stream's encoding cannot hold.
    """
    width = None if stream.isatty() else LOG_WIDTH
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as text:
        for part in _parts(report, folder):
            console.print(part)
    encoding = stream.encoding or "utf-8"
    shown = text.get().encode(encoding, "backslashreplace").decode(encoding)
    stream.writelines(line.rstrip() + "\n" for line in shown.splitlines())


def _parts(report: Report, folder: Path | None) -> Iterator[RenderableType]:
    yield from _titled("subject", _subject(report))
    if report.run.timeline.marks:
        yield from _titled("timeline", [_timeline(report.run)])
    yield from _titled("cohorts", [_cohorts(report.cohort_table)])
    yield from _titled("metrics", _figures(report))
    if report.run.watches_rollout:
        yield from _titled("headroom", [_text(headroom_words(report.metrics.headroom))])
    yield from _titled("notes", [_text(note) for note in _notes(report)])
    yield from _titled("checks", [_checks(report.verdict.checks), *_open_checks(report.verdict.checks)])
    yield from _titled("causes", _causes(report.verdict.causes))
    if folder is not None:
        yield from _titled("files", [_text(f"{folder}/verdict.json, timeline.json, streams.jsonl")])
    yield Text()
    style = _DECISION_STYLE[report.verdict.decision]
    title = f"exit code {report.verdict.exit_code}"
    yield Panel(_verdict(report.verdict, style), box=ASCII2, border_style=style, subtitle=title)


def _verdict(verdict: Verdict, style: str) -> Group:
    """The answer, and for a FAIL what most of its losses come from."""
    parts = [_text(verdict.sentence, style)]
    if verdict.decision is Decision.FAIL and verdict.causes:
        largest, *others = verdict.causes
        more = f" (and {len(others)} more above)" if others else ""
        parts += [_text(f"cause: {largest.why}{more}")] * bool(largest.why)
    return Group(*parts)


def _text(words: str, style: str = "") -> Text:
    return Text(printable(words), style=style)


def _titled(title: str, parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """A block under its title; nothing when it is empty."""
    parts = list(parts)
    if parts:
        yield Text()
        yield Text(title, style="bold")
        yield from (Padding(part, (0, 0, 0, 2)) for part in parts)


def _subject(report: Report) -> Iterator[Text]:
    subject = report.run.subject
    yield _text(f"target    {subject.target}")
    yield _text(f"path      {subject.path}")
    if subject.path_proves_not:
        yield _text(f"          {subject.path_proves_not}")
    if not report.run.watches_rollout:
        yield _text("rollout   none was watched: these are the thresholds of a plain load alone")
        return
    yield _text(f"rollout   {subject.namespace}/{subject.rollout}")
    for name, image in (("old", subject.old), ("new", subject.new)):
        if image is not None:
            images = ", ".join(f"{container}={tag}" for container, tag in image.images.items())
            yield _text(f"{name}       {image.revision}  {images}")


def _grid(*columns: tuple[str, bool]) -> Table:
    """A table without lines; a column is its title with whether it holds numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title, is_number in columns:
        table.add_column(printable(title), justify="right" if is_number else "left", overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(_text(cell) for cell in cells))


def _timeline(run: Run) -> Table:
    zero_ns, since = _zero(run)
    table = _grid(
        (f"s from {since}", True),
        ("within s", True),
        ("mark", False),
        ("moment", False),
        ("source", False),
    )
    shown: dict[tuple[MarkName, int], list[Mark]] = {}
    for mark in run.timeline.marks:
        shown.setdefault((mark.name, mark.cutover), []).append(mark)
    for mark in run.timeline.marks:
        alike = shown[mark.name, mark.cutover]
        if len(alike) > PODS_SHOWN and mark not in (alike[0], alike[-1]):
            continue
        _add(
            table,
            f"{(mark.seen_ns - zero_ns) / NS_PER_S:+.2f}",
            f"{(mark.seen_ns - mark.not_before_ns) / NS_PER_S:.2f}" if mark.name in _JUDGED_BY else "",
            mark.name.value,
            MARK_WORDS[mark.name] + _about(mark, alike),
            mark.source,
        )
    return table


# The moments that tell the cohorts. They are looked at for their earliest instant too, the others are not.
_JUDGED_BY = frozenset({MarkName.T8, MarkName.T12, MarkName.T13})


def _zero(run: Run) -> tuple[int, str]:
    """What instants are told from: the first cutover, without any the start."""
    cutovers = run.timeline.cutovers
    return (cutovers[0].at.seen_ns, "T8") if cutovers else (run.started_ns, "start")


def _about(mark: Mark, alike: Sequence[Mark]) -> str:
    """Which pod with its exit code; of many pods the first, and the last with the codes of all."""
    if len(alike) <= PODS_SHOWN:
        pod = f", {mark.pod}" if mark.pod and mark.pod not in mark.source else ""
        return pod + (f", exit {mark.exit_code}" if mark.exit_code is not None else "")
    if mark is alike[0]:
        return f", first of {len(alike)}"
    codes = Counter(each.exit_code for each in alike if each.exit_code is not None)
    told = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items()))
    return f", last of {len(alike)}" + (f", exit codes {told}" if told else "")


def _checks(checks: Iterable[Check]) -> Table:
    table = _grid(("", False), ("check", False), ("observed", False), ("limit", False))
    for check in checks:
        word, style = _STATUS_WORDS[check.status]
        table.add_row(Text(word, style=style), check.name, _text(check.observed), _text(check.limit))
    return table


def _open_checks(checks: Iterable[Check]) -> Iterator[Text]:
    """Why a check could not answer; checks with the same reason share a line."""
    alike: dict[tuple[Status, str], list[str]] = {}
    for check in checks:
        if check.status in (Status.INCONCLUSIVE, Status.NOT_EXAMINED):
            alike.setdefault((check.status, check.why), []).append(check.name)
    for (status, why), names in alike.items():
        word, style = _STATUS_WORDS[status]
        yield Text.assemble((word, style), printable(f"  {', '.join(names)}: {why}"))


def _causes(causes: Sequence[Cause]) -> Iterator[RenderableType]:
    """The largest groups of losses; those of one cause share its evidence and its mend."""
    alike: dict[tuple[str, str], list[Cause]] = {}
    for cause in causes[:CAUSES_SHOWN]:
        alike.setdefault((cause.cause, cause.mend), []).append(cause)
    for (_, mend), group in alike.items():
        yield from (_text(f"- {cause.line}") for cause in group)
        evidence = dict.fromkeys(words for cause in group for words in cause.evidence)
        details = [*(f"seen: {words}" for words in evidence), f"mend: {mend}"]
        yield from (Padding(_text(detail), (0, 0, 0, 2)) for detail in details)
    left = causes[CAUSES_SHOWN:]
    if left:
        lost = sum(cause.streams for cause in left)
        yield _text(f"- and {len(left)} smaller groups with {lost} streams: see verdict.json")


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
        _add(table, f"{row.cohort}{number}", row.lane, row.revision or "unknown", str(row.streams), *counts)
    return table


_FIGURE_ROWS: tuple[tuple[str, str], ...] = (
    ("streams", "streams"),
    ("completion rate", "completion"),
    ("error rate", "error_rate"),
    ("5xx rate", "rate_5xx"),
    ("TTFT p50", "ttft_p50_s"),
    ("TTFT p95", "ttft_p95_s"),
    ("TTFT since due p95", "ttft_due_p95_s"),
    ("ITL p50", "itl_p50_s"),
    ("ITL p99", "itl_p99_s"),
    ("TPOT p50", "tpot_p50_s"),
    ("tokens/s", "tokens_per_s"),
)


def _figures(report: Report) -> Iterator[RenderableType]:
    """The main lane as a whole, lane and revision apart, a few columns at a time; then a row a scenario."""
    whole = [group for group in report.metrics.groups if group.scenario is None]
    shown = _largest(whole, FIGURE_COLUMNS_SHOWN - 1)
    columns = [("main lane", report.metrics.main)]
    columns += [(f"{group.lane} {group.revision or 'unknown'}", group.figures) for group in shown]
    for first in range(0, len(columns), FIGURE_COLUMNS):
        yield _figure_table(columns[first : first + FIGURE_COLUMNS], report.run)
    yield from _left_out(len(whole) - len(shown))
    parts = [group for group in report.metrics.groups if group.scenario is not None]
    if parts:
        shown = _largest(parts, SCENARIO_ROWS_SHOWN)
        yield Text()
        yield _scenario_table(shown, report.run)
        yield from _left_out(len(parts) - len(shown))


def _largest(groups: Sequence[FigureGroup], count: int) -> list[FigureGroup]:
    """Those with the most streams, in the order given."""
    by_size = sorted(range(len(groups)), key=lambda number: -groups[number].figures.streams)
    return [groups[number] for number in sorted(by_size[:count])]


def _left_out(count: int) -> Iterator[Text]:
    if count:
        yield _text(f"and {count} smaller groups: see metrics.groups in verdict.json")


_SCENARIO_COLUMNS: tuple[tuple[str, str], ...] = (
    ("streams", "streams"),
    ("TTFT p95", "ttft_p95_s"),
    ("ITL p50", "itl_p50_s"),
    ("TPOT p50", "tpot_p50_s"),
    ("tokens/s", "tokens_per_s"),
)


def _scenario_table(groups: Sequence[FigureGroup], run: Run) -> Table:
    titles = [title for title, _ in _SCENARIO_COLUMNS]
    names = [("scenario", False), ("lane", False), ("revision", False)]
    table = _grid(*names, *((title, True) for title in titles), ("longest gap", True))
    for group in groups:
        cells = (_figure(field, getattr(group.figures, field)) for _, field in _SCENARIO_COLUMNS)
        name, revision = group.scenario or "", group.revision or "unknown"
        _add(table, name, group.lane, revision, *cells, _longest(group.figures, run))
    return table


def _figure_table(columns: Sequence[tuple[str, Figures]], run: Run) -> Table:
    table = _grid(("", False), *((name, True) for name, _ in columns))
    every = [figures for _, figures in columns]
    for title, field in _FIGURE_ROWS:
        if field == "ttft_due_p95_s" and run.open_loop is None:
            continue
        _add(table, title, *(_figure(field, getattr(figures, field)) for figures in every))
    _add(table, "longest gap", *(_longest(figures, run) for figures in every))
    _add(table, "HTTP status", *(_counts(figures.statuses) for figures in every))
    _add(table, "endings", *(_counts(figures.endings) for figures in every))
    return table


def _figure(field: str, value: float | None) -> str:
    if value is None:
        return "-"
    if field.endswith("_per_s"):
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    if field.endswith("_s"):
        return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"
    return str(value) if isinstance(value, int) else percent(value)


def _longest(figures: Figures, run: Run) -> str:
    gap = figures.longest_gap
    if gap is None:
        return "-"
    zero_ns, since = _zero(run)
    sure = "" if gap.certain else "up to "
    return f"{sure}{gap.length_s:.2f} s at {since} {(gap.from_ns - zero_ns) / NS_PER_S:+.1f} s"


def _counts(counts: dict[str, int]) -> str:
    return "\n".join(f"{name}: {count}" for name, count in counts.items()) or "-"


def headroom_words(headroom: Headroom) -> str:
    """How long streams could still have been, in one or two sentences."""
    proven = _proven(headroom)
    if headroom.budget_s is None:
        return f"how long a stream may live after the cutover cannot be told from the spec; {proven}"
    budget = f"by its spec a stream may live {headroom.budget_s:.1f} s after the cutover; {proven}"
    if headroom.left_s is None:
        return budget
    return f"{budget}; streams could have been {max(0.0, headroom.left_s):.1f} s longer"


def _proven(headroom: Headroom) -> str:
    if headroom.proven_s is None:
        return "no complete stream crossed it"
    past_s = headroom.proven_past_sigterm_s
    past = f"{past_s:.1f} s past SIGTERM" if past_s is not None else "none past SIGTERM"
    return f"the longest complete one lived {headroom.proven_s:.1f} s, {past}"


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    if report.run.traits_missing:
        yield f"not shown by this server, hence not demanded: {', '.join(report.run.traits_missing)}"
