from typing import Any

import msgspec

from midstream.streams.ending import Ending
from midstream.streams.record import Lane, StreamRecord


def record(**changes):
    fields: dict[str, Any] = {
        "id": "a",
        "scenario": "s",
        "lane": Lane.MAIN,
        "fresh": True,
        "worker": "local",
        "ending": Ending.COMPLETE,
        "scheduled_ns": 0,
        "opened_ns": 0,
        "sent_ns": 10,
        "first_token_ns": 40,
        "last_token_ns": 100,
        "end_ns": 120,
        "tokens": 4,
    }
    return StreamRecord(**(fields | changes))


def test_times_follow_their_formulas():
    assert record().ttft_ns == 30
    assert record().tpot_ns == 20.0


def test_a_moment_that_never_came_gives_no_figure():
    assert record(first_token_ns=None).ttft_ns is None
    assert record(sent_ns=None).ttft_ns is None
    assert record(tokens=1).tpot_ns is None


def test_open_from_sent_until_its_end():
    assert [record().open_at(at) for at in (9, 10, 119, 120)] == [False, True, True, False]
    assert not record(sent_ns=None).open_at(50)


def test_a_record_survives_json():
    one = record(gap_counts={700: 3}, revisions=("rev-a",))
    assert msgspec.json.decode(msgspec.json.encode(one), type=StreamRecord) == one
