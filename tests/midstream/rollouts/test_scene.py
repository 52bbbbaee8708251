"""Events are told apart by pod, reason and time, whichever field holds that."""

from midstream.rollouts.scene import conditions
from tests.midstream.rollouts.scenes import event, scene

EARLY, LATE = "2026-11-03T12:00:01Z", "2026-11-03T12:00:02.5Z"


def test_the_last_word_is_the_newest_of_that_pod_and_reason():
    found = scene(
        events=[
            event("p1", "Unhealthy", "late", series={"lastObservedTime": LATE}),
            event("p1", "Unhealthy", "early", EARLY),
            event("p1", "Pulled", "another reason", LATE),
            event("p2", "Unhealthy", "another pod", LATE),
        ]
    )
    assert found.last_word("p1", {"Unhealthy"}) == "Unhealthy: late"
    assert found.last_word("p3", {"Unhealthy"}) == ""


def test_conditions_by_type_and_status():
    one = {"type": "Progressing", "status": "False"}
    item = {"status": {"conditions": [one, {"type": "Available", "status": "False"}]}}
    assert conditions(item, "Progressing", "False") == [one]
    assert conditions(item, "Progressing", "True") == []
    assert conditions({}, "Progressing", "True") == []
