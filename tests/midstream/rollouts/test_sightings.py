"""What an object went through is the same, in whatever mixture of reads it was seen."""

import pytest

from midstream.rollouts.sightings import history
from tests.midstream.rollouts.objects import service
from tests.midstream.rollouts.story import MS, listed, looked, seen


def vllm(revision, version):
    return service("vllm", revision, version)


def changes(*observations):
    """(from version, to version, not before ms, seen ms) of each change."""
    return [
        (version(change.before), version(change.after), change.not_before_ns / MS, change.seen_ns / MS)
        for change in history(observations).changes
    ]


def version(item):
    return item and int(item["metadata"]["resourceVersion"])


FIRST = listed("services", vllm("a", 5))


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        pytest.param([FIRST], [], id="the first list changes nothing"),
        pytest.param(
            [FIRST, seen("services", "MODIFIED", vllm("b", 6), 500)], [(5, 6, 100, 500)], id="a watch event"
        ),
        pytest.param(
            [FIRST, looked("services", vllm("a", 5), 300), seen("services", "MODIFIED", vllm("b", 6), 500)],
            [(5, 6, 300, 500)],
            id="a look at the unchanged object brings its next change closer",
        ),
        pytest.param(
            [
                FIRST,
                looked("services", vllm("b", 6), 300),
                seen("services", "MODIFIED", vllm("b", 6), 306),
                seen("services", "MODIFIED", vllm("c", 7), 500),
            ],
            [(5, 6, 100, 305), (6, 7, 300, 500)],
            id="a look that overtakes the watch is the sighting",
        ),
        pytest.param(
            [
                FIRST,
                looked("services", vllm("c", 7), 300),
                seen("services", "MODIFIED", vllm("b", 6), 306),
            ],
            [(5, 7, 100, 305)],
            id="what the watch brings late is no way back",
        ),
        pytest.param(
            [FIRST, listed("services", vllm("b", 9), at=800)], [(5, 9, 100, 810)], id="a list after a gap"
        ),
        pytest.param([FIRST, listed("services", at=800)], [(5, None, 100, 810)], id="missing from a list"),
        pytest.param(
            [FIRST, seen("services", "DELETED", vllm("b", 6), 500)],
            [(5, 6, 100, 500), (6, None, 100, 500)],
            id="a deletion shows the last state too",
        ),
        pytest.param(
            [FIRST, seen("services", "DELETED", vllm("a", 6), 500), looked("services", vllm("a", 5), 499)],
            [(5, 6, 100, 500), (6, None, 100, 500)],
            id="a late answer brings nothing back to life",
        ),
        pytest.param(
            [FIRST, seen("services", "ADDED", service("other", "a", 6), 500)],
            [(None, 6, 100, 500)],
            id="a new object is newer than the list",
        ),
    ],
)
def test_changes(observations, expected):
    assert changes(*observations) == expected


def test_an_object_made_anew_under_its_name_is_another_one():
    again = vllm("a", 9)
    again["metadata"]["uid"] = "another"
    assert changes(FIRST, listed("services", again, at=800)) == [(5, None, 100, 810), (None, 9, 100, 810)]


def test_what_is_there_now_and_what_ever_was():
    found = history([FIRST, seen("services", "DELETED", vllm("a", 6), 500)])
    assert found.now == {}
    assert [version(item) for item in found.ever()] == [5, 6, 6]
