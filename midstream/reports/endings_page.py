"""docs/Endings.md from the table of endings: `python -m midstream.reports.endings_page` prints it."""

import sys

from midstream.streams.ending import Ending, Outcome

_HEAD = """\
# Endings

Every stream ends in exactly one of these ways; the ending stands on its record (`streams.jsonl`) and in
Locust's failures. Its group is what rates are computed from. HTTP 200 and `[DONE]` alone never make a stream
complete.

This page is printed from `midstream/streams/ending.py`; `make docs` writes it anew.
"""

_GROUPS: dict[Outcome, str] = {
    Outcome.COMPLETE: "The server kept all that it promises.",
    Outcome.LOST: "A stream was promised and not delivered whole.",
    Outcome.REFUSED: "The stream never began.",
    Outcome.OURS: "Says nothing of the service: counted apart, in no rate.",
}

_DEADLINE = "Told by a limit of ours (`--help-midstream` lists them)."


def endings_page() -> str:
    """The whole page as Markdown: a section for each outcome, a row for each ending, in the enum's order."""
    return "\n".join([_HEAD, *map(_section, Outcome)])


def _section(outcome: Outcome) -> str:
    rows = "".join(_row(ending) for ending in Ending if ending.outcome is outcome)
    return (
        f"## {outcome.capitalize()}\n\n{_GROUPS[outcome]}\n\n"
        "| ending | what it means | on the wire | usually caused by |\n|---|---|---|---|\n" + rows
    )


def _row(ending: Ending) -> str:
    means = f"{ending.sentence} {_DEADLINE}" if ending.is_deadline else ending.sentence
    cells = (f"`{ending}`", means, ending.on_the_wire, ending.usual_cause)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    sys.stdout.write(endings_page())
