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


def test_help_tells_every_command(project):
    told = make(project, "help").stdout
    for target in ("rehearse", "test", "fuzz", "lint", "types", "docs", "clean"):
        assert f"make {target}" in told
