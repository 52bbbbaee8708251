"""A scene as the few rows that stay at the foot of a terminal while a test runs."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions
from rich.text import Text

from midstream.reports.printable import one_line
from midstream.reports.scene import Scene, deadline_words, label_words, lost_words

WAIT_ROWS = 3  # what a state waits for may name many pods
REVISIONS_SHOWN = 6
NARROWEST_BAR = 4
_BAR_STYLES = ("cyan", "green", "magenta", "yellow")


class LiveScene:
    """The rows of one scene, drawn as wide as the terminal is at that moment.

    They are plain rows and no table: one is drawn in well under a millisecond, beside streams whose
    bytes must be read in time.
    """

    def __init__(self, scene: Scene, encoding: str = "utf-8") -> None:
        self._scene = scene
        self._encoding = encoding

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One Text a row, none wider than the console."""
        for row in rows(self._scene, options.max_width, self._encoding):
            row.truncate(options.max_width, overflow="crop")
            row.no_wrap = True
            yield row


def rows(scene: Scene, width: int, encoding: str = "utf-8") -> Iterator[Text]:
    """The rows of a scene for so many columns; what the encoding cannot hold is not drawn with."""
    shown = _shown_open(scene)
    names = ["waits for", "baseline", *(one_line(label_words(label), encoding) for label, _ in shown)]
    pad = min(max(map(cell_len, names)) + 2, max(width // 3, 6))
    inner = max(width - pad, 1)
    yield _row("state", _steps(scene, inner), pad)
    yield from _waits(scene, inner, pad, encoding)
    block, rest = ("█", "░") if encoding.lower().startswith("utf") else ("#", ".")
    if scene.share is not None:
        yield _row("baseline", _share(scene.share, inner, block, rest), pad)
    for number, (label, count) in enumerate(shown):
        style = _BAR_STYLES[number % len(_BAR_STYLES)] if label else "dim"
        name = one_line(label_words(label), encoding)
        yield _row(name, _bar(count, scene.most_open, inner, block, style), pad)
    yield from (_row(name, words, pad) for name, words in _counts(scene, inner, encoding))


def _row(name: str, words: Text, pad: int) -> Text:
    label = Text(name)
    label.truncate(pad - 1, overflow="crop")
    label.append(" " * (pad - label.cell_len))
    label.stylize("dim")
    return label + words


def _steps(scene: Scene, width: int) -> Text:
    """Every state, the current one in brackets; where that is too wide, this one with its number."""
    if scene.at not in scene.steps:
        return Text(scene.at, style="bold")
    current = scene.steps.index(scene.at)
    if sum(len(step) + 1 for step in scene.steps) + 1 > width:
        return Text.assemble((scene.at, "bold"), f" ({current + 1} of {len(scene.steps)})")
    words = [
        (f"[{step}]", "bold") if number == current else (step, "green" if number < current else "dim")
        for number, step in enumerate(scene.steps)
    ]
    return Text(" ").join(Text(word, style=style) for word, style in words)


def _waits(scene: Scene, width: int, pad: int, encoding: str) -> Iterator[Text]:
    lines = chop_cells(one_line(scene.waits_for, encoding), width) if scene.waits_for else []
    if len(lines) > WAIT_ROWS:
        lines = [*lines[: WAIT_ROWS - 1], lines[WAIT_ROWS - 1][:-3] + "..."]
    for number, line in enumerate(lines):
        yield _row("" if number else "waits for", Text(line), pad)
    if scene.left_s is not None:
        yield _row("deadline", Text(deadline_words(scene)), pad)


def _shown_open(scene: Scene) -> Sequence[tuple[str, int]]:
    if len(scene.open) <= REVISIONS_SHOWN:
        return scene.open
    rest = scene.open[REVISIONS_SHOWN - 1 :]
    return (
        *scene.open[: REVISIONS_SHOWN - 1],
        (f"{len(rest)} others", sum(count for _, count in rest)),
    )


def _share(share: float, width: int, block: str, rest: str) -> Text:
    length = max(width - 6, NARROWEST_BAR)
    full = round(max(0.0, min(1.0, share)) * length)
    return Text.assemble((block * full, "green"), (rest * (length - full), "dim"), f" {share:4.0%}")


def _bar(count: int, most: int, width: int, block: str, style: str) -> Text:
    """As long as the count beside the largest until now; one block for the fewest streams."""
    length = max(width - 6, NARROWEST_BAR)
    full = 0 if not count else max(1, round(length * count / max(most, count)))
    return Text.assemble((block * full, style), " " * (length - full), f" {count:>4}")


def _counts(scene: Scene, width: int, encoding: str) -> Iterator[tuple[str, Text]]:
    yield "ended", Text(f"{scene.ended}, {scene.not_whole} not whole")
    if scene.http_5xx:
        yield "5xx", Text(f"{scene.http_5xx} answers to streams and pulses")
    if scene.pulses:
        yield "pulses", Text(f"{scene.pulses}, {scene.pulses_failed} not answered")
    if scene.lost:
        yield "lost", Text(one_line(lost_words(scene), encoding), style="bold red")
    if scene.marks:
        yield "moments", Text(_marks(scene.marks, width))


def _marks(marks: Sequence[tuple[str, float]], width: int) -> str:
    """As many of the last ones as fit, the latest at the end."""
    words = ""
    for name, at_s in reversed(marks):
        longer = f"{name} {at_s:.1f} s  {words}"
        if len(longer.rstrip()) > width:
            break
        words = longer
    return words.rstrip()
