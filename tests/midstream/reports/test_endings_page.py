"""docs/Endings.md says what the code says."""

import subprocess
import sys
from pathlib import Path

from midstream.reports.endings_page import endings_page
from midstream.streams.ending import Ending

PROJECT = Path(__file__).resolve().parents[3]
PAGE = PROJECT / "docs" / "Endings.md"


def test_the_page_is_of_today():
    written = PAGE.read_text(encoding="utf-8")
    assert written == endings_page(), "docs/Endings.md is stale: `make docs` writes it anew"


def test_every_ending_has_one_row_with_all_that_is_known():
    rows = [line.split(" | ") for line in endings_page().splitlines() if line.startswith("| `")]
    assert [row[0].strip("|` ") for row in rows] == list(Ending)
    assert {len(row) for row in rows} == {4}
    for row, ending in zip(rows, Ending, strict=True):
        assert row[1].startswith(ending.sentence)
        assert ("limit of ours" in row[1]) is ending.is_deadline
        assert row[2] == ending.on_the_wire
        assert row[3].removesuffix(" |") == ending.usual_cause


def test_the_command_prints_the_page():
    command = [sys.executable, "-m", "midstream.reports.endings_page"]
    printed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout == endings_page()
