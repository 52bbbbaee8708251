"""`.ci/cluster` with stubs for the engines: what it starts and ends, what it skips, what it hands on."""

import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT_S = 60
RECORD = f'#!{shutil.which("bash")}\necho "$(basename "$(dirname "$0")")/$(basename "$0") $*" >> "$CALLS"\n'

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=".ci/cluster needs Linux")


class Machine:
    """A clone beside ../shared, each engine of which only records that it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        self.calls_file.touch()
        (folder / "repo/.ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci/cluster", folder / "repo/.ci/cluster")
        self.program("bin/id", "echo 0")
        self.program("bin/make", 'echo "$@" > "$CALLS.make"')
        self.program("bin/docker")

    def program(self, path: str, text: str = "") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{RECORD}{text}\n")
        file.chmod(0o755)

    def cluster(self, *, running: bool) -> None:
        self.program("shared/cluster/up", "echo said >&2; echo /somewhere/kubeconfig")
        self.program("shared/cluster/down")
        self.program("shared/cluster/status", f"exit {0 if running else 1}")
        self.program("shared/cluster/image")
        manifest = self.folder / "shared/cluster/manifests/argo-rollouts.yaml.xz"
        manifest.parent.mkdir()
        manifest.write_bytes(lzma.compress(b"kind: Deployment\n"))

    def docker(self, *, up: str = "echo export DOCKER_HOST=unix:///stub.sock") -> None:
        self.program("shared/docker/up", up)
        self.program("shared/docker/down")

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "DOCKER_STATE": str(self.folder / "docker-state"),
            "TMPDIR": str(self.folder),
        }

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.folder / "repo/.ci/cluster"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        with self.start() as process:
            said, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, said

    def calls(self) -> list[str]:
        return [line.strip() for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_without_a_cluster_the_reason_is_told(machine):
    code, said = machine.run()
    assert (code, said) == (0, "skipped: cluster tests (there is no ../shared/cluster)\n")


def test_without_root_the_reason_is_told(machine):
    machine.cluster(running=False)
    machine.program("bin/id", "echo 1000")
    code, said = machine.run()
    assert (code, said) == (0, "skipped: cluster tests (../shared/cluster needs root)\n")
    assert [call for call in machine.calls() if call.startswith("cluster/")] == []


def test_what_was_started_is_ended_and_the_suite_is_told_where(machine):
    machine.cluster(running=False)
    machine.docker()
    code, said = machine.run()
    assert code == 0, said
    calls = machine.calls()
    assert "bin/make image IMAGE=midstream:local" in calls
    assert any(call.startswith("cluster/image import ") for call in calls)
    suite = next(call for call in calls if call.startswith("bin/make test-cluster"))
    assert "KUBECONFIG=/somewhere/kubeconfig MIDSTREAM_TEST_IMAGE=midstream:local" in suite
    assert calls.index("cluster/down") > calls.index(suite) < calls.index("docker/down")


def test_the_suite_gets_the_argo_manifest(machine):
    machine.cluster(running=True)
    machine.docker()
    machine.program("bin/make", 'for word; do case $word in *ARGO*) cat "${word#*=}" ;; esac; done')
    _, said = machine.run()
    assert "kind: Deployment" in said


def test_a_cluster_that_ran_before_goes_on(machine):
    machine.cluster(running=True)
    machine.docker()
    code, said = machine.run()
    assert code == 0, said
    assert "cluster/down" not in machine.calls()


def test_a_docker_engine_that_ran_before_goes_on(machine):
    machine.cluster(running=True)
    machine.docker()
    (machine.folder / "docker-state").mkdir()
    (machine.folder / "docker-state/dockerd.pid").write_text(str(os.getpid()))
    code, said = machine.run()
    assert code == 0, said
    assert "docker/down" not in machine.calls()


@pytest.mark.parametrize("engine", ["none", "fails"])
def test_without_a_docker_engine_the_image_is_made_of_files(machine, engine):
    machine.cluster(running=True)
    if engine == "fails":
        machine.docker(up="echo no kernel module >&2; exit 1")
    machine.program(
        "repo/.venv/bin/python", 'mkdir -p "$(echo "$*" | sed "s/.*--target \\([^ ]*\\).*/\\1/")"'
    )
    code, said = machine.run()
    assert code == 0, said
    assert "no Docker engine: the image is made without the Dockerfile" in said
    assert ("no kernel module" in said) == (engine == "fails")
    assert any(call.startswith("cluster/image build midstream:local ") for call in machine.calls())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("cluster", "no containerd"),
        ("image", "no such base image"),
        ("suite", "1 failed"),
    ],
)
def test_what_fails_is_shown_fails_the_whole_and_leaves_nothing_running(machine, broken, said):
    machine.cluster(running=False)
    machine.docker()
    if broken == "cluster":
        machine.program("shared/cluster/up", "echo no containerd >&2; exit 1")
    target = {"image": "image", "suite": "test-cluster"}.get(broken, "")
    machine.program("bin/make", f'[ "$1" != "{target}" ] || {{ echo {said}; exit 2; }}')
    code, told = machine.run()
    assert code != 0
    assert said in told
    assert "cluster/down" in machine.calls()
    assert list(machine.folder.glob("tmp.*")) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_suite_first_then_what_was_started(machine, number, code):
    machine.cluster(running=False)
    machine.docker()
    waits = """[ "$1" = test-cluster ] || exit 0
trap 'echo bin/suite-ended >> "$CALLS"; kill "$asleep"; exit 1' TERM
sleep 60 & asleep=$!
touch "$CALLS.suite"
wait"""
    machine.program("bin/make", waits)
    with machine.start() as process:
        deadline = time.monotonic() + LIMIT_S
        while not Path(f"{machine.calls_file}.suite").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == code, said
    calls = machine.calls()
    assert calls.index("bin/suite-ended") < calls.index("cluster/down")
    assert "docker/down" in calls
