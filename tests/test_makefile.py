"""What `make` says on a machine that cannot run the rehearsal, and that it installs once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def make(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(filter(None, (str(path) if path else "", os.environ["PATH"])))
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env={"PATH": search, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def project(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("target", ["rehearse", "test"])
def test_elsewhere_one_line_points_to_docker_compose(project, target):
    ended = make(project, target, path=program(project / "bin", "uname", "echo Darwin"))
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("make:")]
    assert len(lines) == 1
    assert "docker compose" in lines[0]
    assert not (project / ".venv").exists()


def test_an_old_python_is_named(project):
    ended = make(project, "rehearse", f"PYTHON={program(project / 'bin', 'old', 'exit 1') / 'old'}")
    assert ended.returncode == 2
    assert "Python >= 3.11" in ended.stderr


def test_a_second_run_installs_nothing(project):
    installed = program(project / ".venv" / "bin", "locust", "echo locust $*") / ".." / ".runtime-installed"
    installed.touch()
    ended = make(project, "rehearse", "ARGS=-u 10")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "locust -f locustfiles/stream.py --headless -u 10\n"


@pytest.mark.parametrize(("given", "seconds"), [((), "60"), (("SECONDS=600",), "600")])
def test_fuzz_runs_as_long_as_told(project, given, seconds):
    binaries = program(project / ".venv" / "bin", "python", "echo python $*")
    for stamp in (".runtime-installed", ".test-installed"):
        (binaries / ".." / stamp).touch()
    ended = make(project, "fuzz", *given)
    assert ended.returncode == 0, ended.stderr
    words = ended.stdout.split()
    assert words[-2:] == ["--fuzz-seconds", seconds]
    files = [word for word in words if word.endswith(".py")]
    assert len(files) == 4
    assert all((PROJECT / file).exists() for file in files)


CLUSTER_TARGETS = {
    "bootstrap": "cluster_bootstrap.sh",
    "verify-cluster": "verify_cluster.sh",
    "up": "deploy.sh up",
    "status": "status.sh",
    "smoke": "smoke_test.sh",
    "load": "load.sh",
    "verify": "verify_no_downtime.sh --",
    "update": "update.sh",
    "port-forward": "port_forward.sh",
    "logs": "logs.sh",
    "down": "deploy.sh down",
}


def test_help_tells_every_command(project):
    told = make(project, "help").stdout
    for target in ("rehearse", "test", "fuzz", "lint", "types", "docs", "clean", *CLUSTER_TARGETS):
        assert f"make {target} " in told


@pytest.fixture
def scripted(project):
    """With scripts that tell how they were called, on a Python that needs no installation."""
    for name in {command.split()[0] for command in CLUSTER_TARGETS.values()} | {"on_rehearsal.sh"}:
        program(project / "scripts", name, 'echo "${0##*/} $*|$NAMESPACE|$MODEL|$TARGET_HOST"')
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / ".runtime-installed").touch()
    return project


@pytest.mark.parametrize(("target", "command"), CLUSTER_TARGETS.items())
def test_a_target_is_its_script_with_all_variables(scripted, target, command):
    ended = make(scripted, target, "NAMESPACE=a", "MODEL=b c", "TARGET_HOST=http://d", "ARGS=--e 'f g'")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{command} --e f g|a|b c|http://d\n"


@pytest.mark.parametrize("target", CLUSTER_TARGETS)
def test_what_a_script_refuses_is_an_error_of_make(scripted, target):
    program(scripted / "scripts", CLUSTER_TARGETS[target].split()[0], "echo no >&2; exit 2")
    ended = make(scripted, target)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if not line.startswith("make: ***")] == ["no"]


@pytest.mark.parametrize("target", ["bootstrap", "verify-cluster"])
@pytest.mark.parametrize(("given", "is_one"), [("1", True), ("0", False), ("", False)])
def test_scripts_that_know_no_rehearsal_are_put_on_one(scripted, target, given, is_one):
    ended = make(scripted, target, f"REHEARSAL={given}")
    command = f"scripts/{CLUSTER_TARGETS[target]}"
    assert ended.stdout.startswith(f"on_rehearsal.sh {command}" if is_one else CLUSTER_TARGETS[target])


def test_another_python_needs_no_installation(scripted):
    shutil.rmtree(scripted / ".venv")
    ended = make(scripted, "status", "MIDSTREAM_PYTHON=/a/python", "PYTHON=/none")
    assert (ended.returncode, ended.stdout) == (0, "status.sh |||\n")
