"""verify_cluster.sh: a line a finding, each failure with what to type."""

import pytest

from tests.scripts.scene import Scene, argo, lines, namespace, node


@pytest.fixture
def whole(scene: Scene) -> Scene:
    """A cluster that lacks nothing."""
    scene.write(objects=[node(gpus=2), namespace("llm-serving"), *argo()])
    return scene


def found(done) -> dict[str, str]:
    """Each finding's first word, by check."""
    return {line.split()[1]: line.split()[0] for line in lines(done.stdout)}


def test_all_well(whole: Scene):
    done = whole.run("verify_cluster.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(found(done)) == ["api", "nodes", "gpu", "argo", "namespace", "deploying", "promoting"]
    assert set(found(done).values()) == {"ok"}


@pytest.mark.parametrize(
    ("words", "environ"),
    [(["--no-gpu"], {}), ([], {"OVERLAY": "sim"}), (["--gpus", "1"], {}), (["--gpus=1"], {"OVERLAY": "sim"})],
    ids=["--no-gpu", "OVERLAY=sim", "one wanted", "one wanted all the same"],
)
def test_how_many_gpus_are_asked_for(words, environ, whole: Scene):
    gpus = 0 if not any("--gpus" in word for word in words) else 1
    whole.write(objects=[node(gpus=gpus), namespace("llm-serving"), *argo()])
    done = whole.run("verify_cluster.sh", *words, **environ)
    assert done.returncode == 0, done.stdout
    assert ("gpu" in found(done)) is bool(gpus)


@pytest.mark.parametrize(
    ("objects", "check", "says"),
    [
        ([node(), namespace("llm-serving"), *argo()], "gpu", "--share-gpu 2; without a GPU: OVERLAY=sim"),
        ([node(gpus=1), namespace("llm-serving"), *argo()], "gpu", "1 of 2 nvidia.com/gpu allocatable"),
        ([node(gpus=2), namespace("llm-serving")], "argo", "mend: scripts/cluster_bootstrap.sh"),
        ([node(gpus=2), *argo()], "namespace", "--namespace llm-serving makes it"),
        (
            [node(gpus=2), namespace("llm-serving", deletionTimestamp="2026-01-01T00:00:00Z"), *argo()],
            "namespace",
            "namespace llm-serving is being deleted",
        ),
    ],
    ids=["no GPU", "one GPU", "no Argo", "no namespace", "a namespace on its way out"],
)
def test_what_is_missing_is_said_with_its_mend(objects, check, says, scene: Scene):
    scene.write(objects=objects)
    done = scene.run("verify_cluster.sh")
    assert (done.returncode, done.stderr) == (1, "")
    assert {name for name, word in found(done).items() if word != "ok"} == {check}
    assert says in done.stdout


def test_another_namespace_and_a_context(whole: Scene):
    whole.write(contexts=["here", "there"])
    done = whole.run("verify_cluster.sh", "-n", "other", "--context", "here")
    assert "there is no namespace other" in done.stdout
    assert "context here, API server" in done.stdout


def test_missing_permissions_are_named(whole: Scene):
    whole.write(denied=[{"verb": "patch", "resource": "rollouts"}])
    done = whole.run("verify_cluster.sh")
    assert done.returncode == 1
    assert found(done)["deploying"] == found(done)["promoting"] == "FAILED"
    assert 'apiGroups: ["argoproj.io"], resources: ["rollouts"], verbs: ["patch"]' in done.stdout
