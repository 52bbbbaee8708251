"""Every ending in one whole run: what the server did to a stream is what its record says."""

import json
import re
from collections import Counter

import pytest

from tests.e2e.scenarios import PLAYED
from tests.e2e.wire_server import TURNS

PSS_LIMIT = 250_000_000  # about 80 MB with one event of 10 MB at a time
RUN_LIMIT_S = 30.0  # -t 5 s, the total limit of 6 s, with room for a slow machine

pytestmark = pytest.mark.whole_run("every-ending")


@pytest.fixture
def played(ended) -> dict[str, str]:
    """X-Request-Id -> turn, as the server wrote it down."""
    pairs = json.loads((ended.folder.parents[1] / PLAYED).read_text())
    assert len({request_id for request_id, _ in pairs}) == len(pairs), "a stream was asked for twice"
    return dict(pairs)


def test_each_stream_has_the_ending_that_was_played(ended, played):
    assert set(played.values()) == set(TURNS), "a turn was never played"
    told = {stream["id"]: stream["ending"] for stream in ended.streams}
    assert told == {request_id: TURNS[name].ending for request_id, name in played.items()}


def test_each_says_why_in_words(ended, played):
    errors = [(played[stream["id"]], stream.get("evidence", {}).get("error", "")) for stream in ended.streams]
    assert [(name, error) for name, error in errors if not re.search(TURNS[name].words, error)] == []


def test_locust_the_records_and_the_server_count_alike(ended, played):
    assert ended.requests == len(ended.streams) == len(played)
    ledger = ended.verdict["ledger"]
    assert (ledger["opened"], ledger["closed"], ledger["still_open"]) == (len(played), len(played), 0)


def test_is_a_fail_without_a_traceback(ended):
    assert ended.exit_code == 1, ended.output
    assert "Traceback" not in ended.output
    assert "\x1b[31m" not in ended.output, "a server's words steered the terminal"
    assert Counter(stream["ending"] for stream in ended.streams)["client_error"] == 0


def test_is_over_in_time_within_bounded_memory(ended):
    began_ns = min(stream["opened_ns"] for stream in ended.streams)
    over_ns = max(stream["end_ns"] for stream in ended.streams)
    assert over_ns - began_ns < RUN_LIMIT_S * 1e9
    assert 0 < ended.peak_pss < PSS_LIMIT
    assert not ended.survivors
