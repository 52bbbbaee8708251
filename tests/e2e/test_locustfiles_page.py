"""docs/Locustfiles.md: its code runs as it stands, its table names what there is."""

import re

import pytest

from hooks.figure_rows import ROWS
from midstream.streams.record import StreamRecord
from tests.e2e.scenarios import LOCUSTFILES_PAGE

PAGE = LOCUSTFILES_PAGE.read_text()


@pytest.mark.whole_run("own-locustfile")
def test_the_pages_locustfile_runs_outside_the_project(ended):
    assert ended.exit_code == 0, ended.output
    assert "Traceback" not in ended.output
    assert {(stream["scenario"], stream["ending"]) for stream in ended.streams} == {("support", "complete")}
    assert max(stream["tokens"] for stream in ended.streams) == 64
    assert ended.requests == len(ended.streams) >= 4


@pytest.mark.whole_run("own-locustfile")
def test_its_figures_have_rows(ended):
    assert ended.rows.keys() <= {("support", kind) for kind in ("SSE", *ROWS)}
    assert ended.rows[("support", "TTFT")] == ended.requests


def test_every_field_of_its_table_is_one_of_the_record():
    table = PAGE.partition("## What the record says")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert len(names) >= 20
    assert [name for name in names if not hasattr(StreamRecord, name)] == []


def test_every_row_of_locusts_tables_is_named():
    told = PAGE.partition("## What Locust's tables show")[2]
    assert [kind for kind in ROWS if f"`{kind}`" not in told] == []
