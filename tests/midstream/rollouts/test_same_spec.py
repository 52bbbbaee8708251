"""What applying a manifest would change, told from what only looks different."""

import copy
import json
from typing import Any

import pytest

from midstream.rollouts.same_spec import main, same_spec

LIVE: dict[str, Any] = {
    "metadata": {"generation": 3},
    "spec": {
        "replicas": 1,
        "template": {"spec": {"containers": [{"name": "vllm", "image": "a", "resources": {}}]}},
    },
    "status": {"phase": "Healthy"},
}


def changed(**container: Any) -> dict[str, Any]:
    rollout = copy.deepcopy(LIVE)
    rollout["spec"]["template"]["spec"]["containers"][0] |= container
    return rollout


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        pytest.param(LIVE, True, id="the same"),
        pytest.param({"spec": LIVE["spec"]}, True, id="without what is no wish"),
        pytest.param(changed(resources=None), True, id="without the empty resources that Argo adds"),
        pytest.param({"spec": LIVE["spec"] | {"paused": True}}, True, id="paused by a person"),
        pytest.param(changed(image="b"), False, id="another image"),
        pytest.param(changed(resources={"limits": {"cpu": 1}}), False, id="resources that are not empty"),
        pytest.param({"spec": LIVE["spec"] | {"replicas": 0}}, False, id="another count, though it is 0"),
    ],
)
def test_same_spec(wanted, same) -> None:
    assert same_spec(LIVE, wanted) is same
    assert same_spec(wanted, LIVE) is same


@pytest.mark.parametrize(
    ("live", "code"), [("", 1), (json.dumps(LIVE), 0), (json.dumps(changed(image="b")), 1)]
)
def test_the_exit_code_tells_it(live, code, tmp_path) -> None:
    (tmp_path / "live").write_text(live)
    (tmp_path / "wanted").write_text(json.dumps(LIVE))
    assert main([str(tmp_path / "live"), str(tmp_path / "wanted")]) == code
