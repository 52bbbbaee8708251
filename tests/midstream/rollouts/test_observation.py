"""Stored notes tell the same timeline as the live ones did."""

from midstream.rollouts.marks import read_timeline
from midstream.rollouts.observation import read_notes, replay, write_notes
from tests.midstream.rollouts.story import whole


def test_notes_survive_being_stored():
    notes = whole()
    lines = write_notes(notes)
    assert len(lines.splitlines()) == len(notes)
    assert read_notes(lines) == notes
    assert read_timeline(replay("vllm", read_notes(lines))) == read_timeline(replay("vllm", notes))
