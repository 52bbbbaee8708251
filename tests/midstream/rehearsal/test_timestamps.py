"""Instants are written as Kubernetes writes them and read back in both of its forms."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from midstream.rehearsal.timestamps import parse_time, time_text

AT = datetime(2026, 11, 3, 12, 0, 5, 987_654, tzinfo=UTC)


def test_time_is_cut_to_whole_seconds_of_utc():
    assert time_text(AT) == "2026-11-03T12:00:05Z"
    assert time_text(AT.astimezone(timezone(timedelta(hours=5)))) == "2026-11-03T12:00:05Z"


@pytest.mark.parametrize("text", ["2026-11-03T12:00:05.987654Z", "2026-11-03T13:00:05.987654+01:00"])
def test_either_form_is_read(text):
    assert parse_time(text) == AT


@pytest.mark.parametrize("text", ["", "soon", "2026-11-03T12:00:05"])
def test_text_that_names_no_instant_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)
