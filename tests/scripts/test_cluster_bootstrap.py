"""cluster_bootstrap.sh: what is missing is put in, what is there is left, a second run changes nothing."""

from pathlib import Path

import pytest
import yaml

from midstream.cluster.controller import PINNED
from midstream.cluster.gpu import OUR_PLUGIN
from tests.scripts.scene import PROJECT, Scene, argo, held_pod, lines, namespace, node
from tests.scripts.test_parts import refused

SCRIPT = "cluster_bootstrap.sh"
READY = {"status": {"numberReady": 1, "desiredNumberScheduled": 1}}
AVAILABLE = {"kind": "Deployment", "metadata": argo()[1]["metadata"], "status": {"availableReplicas": 1}}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """An install manifest, in a folder with a space in its path."""
    path = tmp_path / "down loads" / "install.yaml"
    path.parent.mkdir()
    text = yaml.safe_dump_all([{key: each[key] for key in each if key != "status"} for each in argo()])
    path.write_text(text)
    return path


def changes(scene: Scene) -> list[list[str]]:
    """The calls that change something."""
    return [call.argv[:3] for verb in ("apply", "create", "delete", "patch") for call in scene.calls(verb)]


def plugin(scene: Scene) -> tuple[str, str | None]:
    """The configuration that our plugin was given, the pods' own note of it."""
    objects = {each["kind"]: each for each in scene.read()["objects"]}
    annotations = objects["DaemonSet"]["spec"]["template"]["metadata"].get("annotations") or {}
    return objects["ConfigMap"]["data"]["config.yaml"], annotations.get("midstream/gpu-shares")


class TestNothingMissing:
    def test_a_whole_cluster_is_left_as_it_is(self, scene: Scene):
        scene.write(objects=[node(gpus=2), namespace("llm-serving"), *argo()])
        done = scene.run(SCRIPT, "--share-gpu", "2")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[:2] for line in lines(done.stdout)] == [
            ["ok", "api"],
            ["ok", "gpu"],
            ["ok", "argo"],
            ["ok", "namespace"],
        ]
        assert all(line.endswith("left as it is") for line in lines(done.stdout)[1:])
        assert changes(scene) == []

    def test_another_version_of_argo_is_left_and_said(self, scene: Scene, manifest: Path):
        scene.write(objects=[node(), namespace("llm-serving"), *argo("v1.7.2")])
        done = scene.run(SCRIPT, "--no-gpu", "--argo-manifest", str(manifest))
        assert done.returncode == 0
        assert "Argo Rollouts v1.7.2, controller" in done.stdout
        assert "; Midstream was tried with v1.9.1: left as it is" in done.stdout
        assert changes(scene) == []

    def test_a_rehearsal_needs_nothing(self, scene: Scene):
        scene.write(version={"gitVersion": "v1.34.0+midstream-rehearsal"})
        done = scene.run(SCRIPT)
        assert (done.returncode, len(lines(done.stdout))) == (0, 1)
        assert "nothing to install there" in done.stdout
        assert changes(scene) == []


def labels_of_namespaces(scene: Scene) -> dict[str, dict[str, str]]:
    """Of those that the stub's cluster has."""
    found = [each["metadata"] for each in scene.read()["objects"] if each["kind"] == "Namespace"]
    return {metadata["name"]: metadata.get("labels", {}) for metadata in found}


class TestArgo:
    def test_from_a_file_then_a_second_run_changes_nothing(self, scene: Scene, manifest: Path):
        scene.write(becomes=[AVAILABLE])
        first = scene.run(
            SCRIPT, "--no-gpu", "--argo-manifest", "down loads/install.yaml", cwd=manifest.parents[1]
        )
        assert first.returncode == 0, first.stderr
        assert "applied  argo       controller in namespace argo-rollouts, image: quay.io/" in first.stdout
        assert "made     namespace  llm-serving" in first.stdout
        apply = scene.calls("apply")[0].argv
        assert "--server-side" in apply
        assert set(labels_of_namespaces(scene)) == {"argo-rollouts", "llm-serving"}
        before = len(scene.calls())
        second = scene.run(SCRIPT, "--no-gpu", "--argo-manifest", str(manifest))
        assert second.returncode == 0
        assert [line.split()[0] for line in lines(second.stdout)] == ["ok"] * 4
        assert {call.argv[0] for call in scene.calls()[before:]} <= {"version", "get"}

    def test_a_pod_that_cannot_pull_is_shown(self, scene: Scene, manifest: Path):
        labels = argo()[1]["metadata"]["labels"]
        pod = held_pod("argo-rollouts-x", "argo-rollouts", labels, "ErrImagePull", "no such host")
        scene.write(becomes=[pod])
        done = scene.run(SCRIPT, "--no-gpu", "--argo-manifest", str(manifest), ARGO_WAIT_S="0.1")
        assert done.returncode == 1
        assert "waiting 0 of 0.1 s" in done.stderr
        assert "pod argo-rollouts-x is held up, container main ErrImagePull: no such host" in done.stdout
        assert "made     namespace  llm-serving" in done.stdout, "the other parts are done all the same"

    def test_one_that_does_not_come_up_in_time_is_unknown(self, scene: Scene, manifest: Path):
        done = scene.run(SCRIPT, "--no-gpu", "--argo-manifest", str(manifest), ARGO_WAIT_S="0")
        assert done.returncode == 3
        assert "is not available yet" in done.stdout

    def test_the_pinned_release_is_downloaded(self, scene: Scene, manifest: Path):
        scene.write(becomes=[AVAILABLE])
        scene.program("curl", f'echo "$*" >"{scene.folder}/curl"; cat "{manifest}" >"$7"')
        done = scene.run(SCRIPT, "--no-gpu")
        assert done.returncode == 0, done.stderr
        asked = (scene.folder / "curl").read_text()
        assert f"/argo-rollouts/releases/download/{PINNED}/install.yaml" in asked

    def test_a_download_that_fails_says_what_to_do(self, scene: Scene):
        scene.program("curl", "echo 'curl: (6) Could not resolve host: github.com' >&2; exit 6")
        done = scene.run(SCRIPT, "--no-gpu", "--argo-version", "1.8.0")
        assert done.returncode == 2
        assert len(lines(done.stderr)) == 1
        assert "Could not resolve host: github.com (https://github.com/" in done.stderr
        assert "/v1.8.0/install.yaml): download it elsewhere, then --argo-manifest FILE" in done.stderr
        assert changes(scene) == []

    def test_an_apply_that_is_refused_ends_with_its_words(self, scene: Scene, manifest: Path):
        scene.write(answers=[{"words": ["apply"], "err": "W1\nError: crds is forbidden\n", "code": 1}])
        done = scene.run(SCRIPT, "--no-gpu", "--argo-manifest", str(manifest))
        assert done.returncode == 2
        assert lines(done.stderr) == [f"{SCRIPT}: kubectl apply: Error: crds is forbidden"]


class TestGpu:
    @pytest.mark.parametrize(
        ("words", "shares"), [(["--share-gpu", "3"], 3), ([], 1)], ids=["shared by three", "whole cards"]
    )
    def test_our_plugin_where_there_is_none(self, words, shares, scene: Scene):
        scene.write(objects=[node(), namespace("llm-serving"), *argo()], becomes=[node(gpus=shares)])
        done = scene.run(SCRIPT, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (
            f"applied  gpu        device plugin {OUR_PLUGIN}, each card offered {shares} time(s)"
            in done.stdout
        )
        text, noted = plugin(scene)
        configuration = yaml.safe_load(text)
        assert configuration["flags"] == {"failOnInitError": False}
        if shares == 1:
            assert ("sharing" in configuration, noted) == (False, None)
        else:
            assert configuration["sharing"]["timeSlicing"]["resources"] == [
                {"name": "nvidia.com/gpu", "replicas": shares}
            ]
            assert noted == str(shares)

    def test_the_same_shares_again_change_nothing_others_do(self, scene: Scene):
        scene.write(objects=[node(), namespace("llm-serving"), *argo()], becomes=[node(gpus=4)])
        scene.run(SCRIPT, "--share-gpu", "2")
        again = scene.run(SCRIPT, "--share-gpu", "2")
        assert again.returncode == 0
        assert "each card offered 2 time(s): unchanged" in again.stdout
        other = scene.run(SCRIPT, "--share-gpu", "4")
        assert "applied  gpu" in other.stdout
        assert plugin(scene)[1] == "4"

    def test_another_plugin_without_enough_shares_is_left(self, scene: Scene):
        addon = {
            "kind": "DaemonSet",
            "metadata": {"name": "nvidia-device-plugin-daemonset", "namespace": "kube-system"},
            "spec": {"selector": {"matchLabels": {"name": "nvidia-device-plugin-ds"}}},
            **READY,
        }
        minikube = node(gpus=1, labels={"minikube.k8s.io/name": "minikube"})
        scene.write(objects=[minikube, addon, namespace("llm-serving"), *argo()])
        done = scene.run(SCRIPT, "--share-gpu", "2")
        assert (done.returncode, done.stderr) == (1, "")
        assert (
            "device plugin kube-system/nvidia-device-plugin-daemonset is left as it is; mend: " in done.stdout
        )
        assert (
            "minikube addons disable nvidia-device-plugin, then scripts/cluster_bootstrap.sh" in done.stdout
        )
        assert changes(scene) == []

    def test_a_card_that_no_pod_is_offered_is_said_with_the_reason(self, scene: Scene):
        labels = {"app.kubernetes.io/name": "nvidia-device-plugin", "app.kubernetes.io/part-of": "midstream"}
        pod = held_pod("plugin-x", "kube-system", labels, "ImagePullBackOff", "no route")
        scene.write(objects=[node(), namespace("llm-serving"), *argo()], becomes=[pod])
        done = scene.run(SCRIPT, "--share-gpu", "2", GPU_WAIT_S="0")
        assert done.returncode == 1
        assert "pod plugin-x is held up, container main ImagePullBackOff: no route" in done.stdout

    @pytest.mark.parametrize("environ", [{"OVERLAY": "sim"}, {}], ids=["OVERLAY=sim", "--no-gpu"])
    def test_none_is_needed(self, environ, scene: Scene):
        scene.write(objects=[node(), namespace("llm-serving"), *argo()])
        done = scene.run(SCRIPT, *([] if environ else ["--no-gpu"]), **environ)
        assert done.returncode == 0
        assert "left out: no GPU is needed" in done.stdout
        assert changes(scene) == []


class TestNamespace:
    def test_one_on_its_way_out_stops_everything(self, scene: Scene):
        held = [
            {
                "type": "NamespaceContentRemaining",
                "status": "True",
                "message": "Some are remaining: pods. has 1",
            },
            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "all deleted"},
        ]
        leaving = namespace("llm-serving", deletionTimestamp="2026-01-01T00:00:00Z")
        leaving["status"] = {"phase": "Terminating", "conditions": held}
        scene.write(objects=[node(), leaving])
        done = scene.run(SCRIPT, "--no-gpu")
        assert done.returncode == 2
        assert len(lines(done.stderr)) == 1
        assert (
            "namespace llm-serving is being deleted, held by: Some are remaining: pods. has 1:" in done.stderr
        )
        assert changes(scene) == []

    def test_another_name(self, scene: Scene):
        scene.write(objects=[node(), *argo()])
        done = scene.run(SCRIPT, "--no-gpu", "-n", "mine")
        assert "made     namespace  mine" in done.stdout
        assert labels_of_namespaces(scene) == {"mine": {"app.kubernetes.io/part-of": "midstream"}}

    def test_what_it_makes_is_labelled_so_that_down_removes_it(self, scene: Scene):
        """An unlabelled one was taken for somebody else's, and `deploy.sh down` left it."""
        scene.write(objects=[node(), *argo()])
        scene.run(SCRIPT, "--no-gpu")
        theirs = yaml.safe_load((PROJECT / "k8s/base/namespace.yaml").read_text())["metadata"]
        assert labels_of_namespaces(scene) == {theirs["name"]: theirs["labels"]}


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--share-gpu", "abc"], "--share-gpu abc: write a whole number from 1 on"),
            (["--share-gpu", "0"], "--share-gpu 0: write a whole number from 1 on"),
            (["--share-gpu", "2", "--no-gpu"], "contradict each other"),
            (["--no-gpu", "--share-gpu", "2"], "contradict each other"),
            (["--argo-manifest", "no such.yaml"], "no such.yaml: there is no such file"),
            (["--argo-manifest", str(PROJECT / "README.md")], "is no manifest of Argo Rollouts"),
            (["--argo-manifest", str(PROJECT / "k8s" / "base" / "rollout.yaml")], "is no manifest of Argo"),
        ],
    )
    def test_before_anything_is_asked(self, words, says, scene: Scene):
        assert says in refused(scene.run(SCRIPT, *words))
        assert scene.calls() == []

    def test_what_may_not_be_seen_is_not_installed_over(self, scene: Scene):
        scene.write(
            objects=[node(), namespace("llm-serving"), *argo()],
            denied=[{"verb": "list", "resource": "deployments"}],
        )
        done = scene.run(SCRIPT, "--no-gpu")
        assert done.returncode == 2
        assert "argo cannot be seen with these credentials (403 for deployments)" in done.stderr
        assert changes(scene) == []


def test_the_script_pins_what_the_check_compares_with():
    assert f"ARGO_VERSION:-{PINNED}}}" in (PROJECT / "scripts" / SCRIPT).read_text()
