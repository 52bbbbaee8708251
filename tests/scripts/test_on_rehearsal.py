"""on_rehearsal.sh as a person uses it: what stays, what ends, what a signal reaches."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60
# Says that it runs, then ends by its own code at the first SIGINT or SIGTERM, and tells how many came.
PATIENT = """
import os, signal, sys, time
count = 0
def heard(number, frame):
    global count
    count += 1
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, heard)
print("kubeconfig", os.environ["KUBECONFIG"], flush=True)
while not count:
    time.sleep(0.05)
time.sleep(0.5)
print("heard", count, flush=True)
sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another folder than the user's own rehearsal has, with a space in its path."""
    return tmp_path / "re hearsal"


def start(folder: Path, *words: str, script: Path = PROJECT / "scripts" / "on_rehearsal.sh"):
    return subprocess.Popen(
        [script, *words],
        cwd=folder.parent,
        env=os.environ | {"MIDSTREAM_PYTHON": sys.executable, "REHEARSAL_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *words: str, **options) -> tuple[int, str, str]:
    process = start(folder, *words, **options)
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


@pytest.fixture
def standing(folder) -> Iterator[Path]:
    code, out, err = run(folder, "up")
    try:
        assert (code, err) == (0, "")
        assert out.startswith(
            "Rehearsal: an embedded cluster on this machine; nothing of yours is touched.\n"
        )
        yield folder
    finally:
        run(folder, "down")


def test_a_command_uses_the_one_that_is_up_until_down(standing) -> None:
    code, out, err = run(standing, "sh", "-c", 'echo "$KUBECONFIG $NAMESPACE/$ROLLOUT"; exit 7')
    assert code == 7
    assert out == f"{standing}/kubeconfig llm-serving/vllm\n"
    assert err.startswith("Rehearsal:")
    assert "the one that is up" in err
    assert run(standing, "down")[:2] == (0, "The rehearsal has ended; nothing of it is left.\n")
    assert not standing.exists()


@pytest.mark.parametrize(
    ("number", "to_group"),
    [
        pytest.param(signal.SIGINT, True, id="Ctrl-C, which a terminal gives to every process"),
        pytest.param(signal.SIGTERM, False, id="SIGTERM to the script alone"),
    ],
)
def test_one_of_its_own_ends_with_the_command_which_hears_a_signal_once(folder, number, to_group) -> None:
    process = start(folder, sys.executable, "-c", PATIENT)
    assert process.stdout is not None
    kubeconfig = Path(process.stdout.readline().split(maxsplit=1)[1].strip())
    assert kubeconfig.exists()
    (os.killpg if to_group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (3, "heard 1\n"), err
    assert not kubeconfig.exists()
    assert not running(str(kubeconfig.parent))


def running(word: str) -> Sequence[str]:
    """The command lines that hold the word, some time after it should have ended."""
    deadline = time.monotonic() + DEADLINE_S
    while found := [line for line in command_lines() if word in line]:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


def command_lines() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def test_a_command_that_there_is_not_is_one_line(standing) -> None:
    code, _, err = run(standing, "no-such-command")
    assert code == 2
    assert re.fullmatch(r"Rehearsal:.*\non_rehearsal.sh: cannot run no-such-command: .*\n", err)


def test_it_works_from_a_copy_whose_path_has_spaces(tmp_path) -> None:
    copy = tmp_path / "my clone"
    for name in ("scripts", "midstream"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = copy / "scripts" / "on_rehearsal.sh"
    code, out, err = run(tmp_path / "state", "sh", "-c", "echo $ROLLOUT", script=script)
    assert (code, out) == (0, "vllm\n"), err
