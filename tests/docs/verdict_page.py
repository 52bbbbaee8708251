"""docs/Verdict.md, printed from the checks, their examples, the faults with what whole runs said of them."""

import inspect
import re
import sys
from pathlib import Path

import msgspec
import yaml

from midstream.checks import QUESTIONS, Question
from midstream.checks.check import Check
from midstream.rehearsal.faults import bundled_faults
from tests.docs.check_examples import answers
from tests.e2e.fault_table import ROWS, Found

LINES = Path(__file__).with_name("fault_lines.yaml")  # written by `make faults`

HEAD = """\
# Verdict

Every run ends with one word. **FAIL** beats **INCONCLUSIVE** beats **PASS**: a check that fails on evidence
that stands is a FAIL, whatever else is unclear; a check whose evidence does not carry an answer makes it
INCONCLUSIVE; PASS is left when nothing of that is found. The exit code is 0, 1 or 3. What could not be
examined is named in the sentence.

This page is printed from the code by `make docs`: the checks with examples, the faults of the rehearsal with
what the verdict of a real run said (`make faults` runs them all).

## Checks

Each example: the answer, what was observed, the limit, why. `skipped` does not change the verdict. Most are
of a promotion with 80 crossing streams, 8 of them open at SIGTERM.
"""
FAULTS = """
## Faults of the rehearsal

Each breaks one thing where it breaks in real life (`--rehearsal-fault NAME`, several times if wanted).
Neither the hooks nor the verdict know of it: they have the API, the sockets and the clock.
"""
_SOURCES = re.compile(r" \([^()]*facts \d\)")  # a note for who reads the code


class Said(msgspec.Struct, frozen=True):
    """What one whole run said."""

    sentence: str
    causes: list[str]


def page() -> str:
    """The whole page."""
    lines = read_lines()
    parts = [HEAD, *map(_check, QUESTIONS), FAULTS, *(_fault(row, lines) for row in ROWS)]
    return "\n".join(parts)


def read_lines() -> dict[str, Said]:
    """What whole runs said, by the row's name."""
    content = yaml.safe_load(LINES.read_text(encoding="utf-8")) if LINES.exists() else {}
    return msgspec.convert(content, dict[str, Said])


def write_lines(lines: dict[str, Said]) -> None:
    """Keep what runs said, beside that of those which were not run now."""
    kept = read_lines() | lines
    content = {name: msgspec.to_builtins(kept[name]) for name in sorted(kept)}
    LINES.write_text(yaml.safe_dump(content, width=110, sort_keys=False), encoding="utf-8")


def _check(question: Question) -> str:
    doc = _SOURCES.sub("", inspect.cleandoc(question.ask.__doc__ or ""))
    told = [f"### {question.name}", "", doc, ""]
    return "\n".join([*told, *(_answer(check) for check in answers(question.name)), ""])


def _answer(check: Check) -> str:
    word = {"pass": "ok", "not_examined": "skipped"}.get(check.status, check.status.upper())
    seen = f"{check.observed}, limit {check.limit}: " if check.observed not in check.why else ""
    return f"- **{word}** {seen}{check.why}"


def _fault(row: Found, lines: dict[str, Said]) -> str:
    bundled = bundled_faults()
    options = f" `{' '.join(row.options)}`" if row.options else ""
    sentences = [bundled[name].sentence for name in row.fault_names if name in bundled]
    told = [f"### {row.name}{options}", "", *sentences, "", f"**{row.verdict}**"]
    said = lines.get(row.name)
    if said is not None:
        told += ["", f"> {said.sentence}", *(f">\n> - {line}" for line in said.causes)]
    return "\n".join([*told, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
