"""The API server's own answer."""

import pytest

from midstream.cluster.found import State
from midstream.cluster.server import judge_server

HERE = "API server https://k:6443"


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v1.34.1", State.OK),
        ("v1.30.0-eks-1234", State.OK),
        ("v2.0.0", State.OK),
        ("v1.29.9", State.UNFIT),
        ("v1.9.3+k3s1", State.UNFIT),
        ("a build of ours", State.OK),
    ],
)
def test_the_native_sleep_of_prestop_needs_1_30(version, state):
    found = judge_server({"gitVersion": version}, "https://k:6443", "")
    assert (found.state, found.ok) == (state, state is State.OK)
    assert found.words.startswith(f"{HERE}, Kubernetes {version}")
    assert ("preStop.sleep" in found.words) is (state is State.UNFIT)
    assert bool(found.mend) is (state is State.UNFIT)


def test_the_context_is_named_where_there_is_one():
    assert judge_server({"gitVersion": "v1.34.1"}, "https://k:6443", "prod").words.startswith(
        "context prod, API"
    )


def test_a_rehearsal_is_told_from_a_cluster():
    found = judge_server({"gitVersion": "v1.34.0+midstream-rehearsal"}, "http://127.0.0.9:1", "")
    assert (found.state, found.source) == (State.OK, "rehearsal")
    assert "brings Argo Rollouts with it and needs no GPU" in found.words
