"""The real kubectl, where there is one: a person can look at a rehearsal with it and promote by hand."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from midstream.rehearsal.api import Api
from tests.midstream.rehearsal.cluster import NS, Cluster
from tests.midstream.rehearsal.serving import Served, served

KUBECTL = os.environ.get("MIDSTREAM_KUBECTL") or shutil.which("kubectl")
PLUGIN = "kubectl-argo-rollouts"
LOG = b"one\ntwo\n"
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: rehearsal, cluster: {{server: "{url}"}}}}]
users: [{{name: rehearsal, user: {{}}}}]
contexts: [{{name: rehearsal, context: {{cluster: rehearsal, user: rehearsal, namespace: {namespace}}}}}]
current-context: rehearsal
"""

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl on PATH, nor named by MIDSTREAM_KUBECTL")


class Terminal(NamedTuple):
    """A paused promotion behind a running API, and kubectl on it."""

    cluster: Cluster
    api: Served
    folder: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        assert KUBECTL is not None
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "PATH": os.pathsep.join([str(Path(KUBECTL).parent), os.environ["PATH"]]),
        }
        return subprocess.run(
            [KUBECTL, *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    def kubectl(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def settle(self) -> None:
        self.api.call(self.cluster.settle)

    def start_pods(self) -> None:
        self.api.call(self.cluster.start_pods)

    def phase(self) -> str:
        return self.kubectl("get", "ro", "vllm", "-o", "jsonpath={.status.phase}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    cluster = Cluster().paused()
    with served(Api(cluster.store, log_of=lambda *_: LOG)) as api:
        (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(url=api.url, namespace=NS))
        yield Terminal(cluster, api, tmp_path)


def test_get_shows_columns(terminal) -> None:
    shown = terminal.kubectl("get", "rollouts,pods,services,replicasets")
    heads = [line.split() for line in shown.splitlines() if line.startswith("NAME ")]
    assert heads == [
        ["NAME", "DESIRED", "CURRENT", "UP-TO-DATE", "AVAILABLE", "AGE"],
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        ["NAME", "DESIRED", "CURRENT", "READY", "AGE"],
    ]
    assert "rollout.argoproj.io/vllm   2         4         2            2" in shown
    wide = terminal.kubectl("get", "services", "-o", "wide")
    assert "app=vllm,rollouts-pod-template-hash=" in wide


def test_get_names_and_yaml(terminal) -> None:
    names = terminal.kubectl("get", "rollouts,pods,services", "-o", "name").split()
    assert {"rollout.argoproj.io/vllm", "service/vllm", "service/vllm-preview"} <= set(names)
    assert len([name for name in names if name.startswith("pod/")]) == 4
    assert "kind: Rollout" in terminal.kubectl("get", "rollout", "vllm", "-o", "yaml")


def test_watch_shows_a_row_for_each_change(terminal) -> None:
    with subprocess.Popen(
        [str(KUBECTL), f"--kubeconfig={terminal.folder / 'kubeconfig'}", "get", "services", "-w"],
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline().startswith("NAME ")
            listed = [watching.stdout.readline().split()[0] for _ in range(2)]
            terminal.kubectl("annotate", "service", "vllm", "seen=yes")
            assert watching.stdout.readline().split()[0] == "vllm"
        finally:
            watching.kill()
    assert listed == ["vllm", "vllm-preview"]


def test_logs(terminal) -> None:
    pod = terminal.kubectl("get", "pods", "-o", "name").split()[0]
    assert terminal.kubectl("logs", pod).encode() == LOG


def test_trigger_and_promote_by_patches(terminal) -> None:
    image = '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "engine:3"}]'
    terminal.kubectl("patch", "rollout", "vllm", "--type", "json", "-p", image)
    terminal.settle()
    terminal.start_pods()
    assert terminal.phase() == "Paused"
    promotion = '{"status": {"pauseConditions": null}}'
    terminal.kubectl(
        "patch", "rollout", "vllm", "--subresource", "status", "--type", "merge", "-p", promotion
    )
    terminal.settle()
    assert terminal.phase() == "Healthy"
    assert terminal.cluster.selected() == terminal.cluster.hash_of("engine:3")


def test_strategic_patch_of_a_rollout_is_refused_with_what_to_type(terminal) -> None:
    done = terminal.run("patch", "rollout", "vllm", "-p", '{"spec": {"replicas": 1}}')
    assert done.returncode == 1
    assert "--type=merge" in done.stderr


@pytest.fixture
def argo(terminal: Terminal) -> Terminal:
    done = terminal.run("argo", "rollouts", "version")
    if done.returncode:
        pytest.skip(f"no {PLUGIN} beside kubectl or on PATH")
    return terminal


def test_plugin_shows_the_tree_and_promotes(argo) -> None:
    shown = argo.kubectl("argo", "rollouts", "get", "rollout", "vllm", "--no-color")
    assert "BlueGreenPause" in shown
    assert shown.count("Pod ") == 4
    argo.kubectl("argo", "rollouts", "promote", "vllm")
    argo.settle()
    assert argo.phase() == "Healthy"


def test_plugin_sets_an_image_aborts_and_goes_back(argo) -> None:
    argo.kubectl("argo", "rollouts", "abort", "vllm")
    argo.settle()
    assert argo.phase() == "Degraded"
    argo.kubectl("argo", "rollouts", "set", "image", "vllm", "vllm=engine:3")
    argo.settle()
    argo.start_pods()
    argo.kubectl("argo", "rollouts", "promote", "vllm")
    argo.settle()
    assert argo.cluster.selected() == argo.cluster.hash_of("engine:3")
    argo.kubectl("argo", "rollouts", "undo", "vllm", "--to-revision=1")
    argo.settle()
    assert argo.cluster.selected() == argo.cluster.hash_of("engine:1")
    assert argo.phase() == "Healthy"
