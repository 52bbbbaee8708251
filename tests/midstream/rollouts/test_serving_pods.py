"""The pods that serve before a test: their number, the time they took."""

import pytest

from midstream.rollouts.serving_pods import ServingPods, serving_pods
from tests.midstream.rollouts.objects import OLD, merged, pod


def aged(created: str | None, **changes):
    """A pod that is ready since 12:00:05."""
    made = pod("vllm-x", OLD, 1, **changes)
    return merged(made, {"metadata": {"creationTimestamp": created}}) if created else made


CASES = {
    "the median of their times": (
        [aged("2026-11-03T12:00:03Z"), aged("2026-11-03T11:59:55Z"), aged("2026-11-03T11:00:00Z")],
        ServingPods(ready=3, became_ready_s=10.0),
    ),
    "one is not ready": (
        [aged("2026-11-03T12:00:03Z"), aged("2026-11-03T11:59:55Z", ready=False)],
        ServingPods(ready=1, became_ready_s=2.0),
    ),
    "no time told": ([aged(None)], ServingPods(ready=1)),
    "a time without zone": ([aged("2026-11-03T12:00:03")], ServingPods(ready=1)),
    "restarted since": (
        [
            aged(
                "2026-11-03T11:00:00Z",
                status={"containerStatuses": [{"name": "vllm", "restartCount": 1}]},
            )
        ],
        ServingPods(ready=1),
    ),
    "none": ([], ServingPods(ready=0)),
}


@pytest.mark.parametrize(("pods", "seen"), CASES.values(), ids=CASES)
def test_what_pods_tell(pods, seen):
    assert serving_pods(pods) == seen
