"""The command line of a rehearsal alone: bad input is one line and exit code 2, help lists the faults."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from midstream.rehearsal.command import main
from midstream.rehearsal.faults import bundled_faults


def test_help_lists_every_fault_with_its_sentence(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    for fault in bundled_faults().values():
        assert fault.name in printed
        assert fault.sentence in printed


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(["--fault", "nope"], "no fault named 'nope': choose from", id="unknown fault"),
        pytest.param(["--fault", "./nope.yaml"], "No such file", id="missing file"),
        pytest.param(["--grace", "0"], "--grace 0", id="number out of range"),
        pytest.param(["--replicas", "two"], "--replicas two", id="no number"),
        pytest.param(["--state-dir", "/proc/nope"], "/proc/nope", id="folder that cannot be made"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(argv, said, capsys) -> None:
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_at_a_terminal_it_says_how_to_promote_and_ends_at_ctrl_c(tmp_path) -> None:
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "midstream", "rehearsal", "--load-seconds=0", f"--state-dir={tmp_path}"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        printed = read_until(control, "Ctrl-C ends it")
        assert f"KUBECONFIG={tmp_path}/kubeconfig" in printed
        assert "kubectl patch rollout vllm" in printed
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(control)
    assert (tmp_path / "kubeconfig").exists()


def read_until(descriptor: int, text: str) -> str:
    deadline, got = time.monotonic() + 30, ""
    while text not in got:
        assert time.monotonic() < deadline, got
        got += os.read(descriptor, 4096).decode()
    return got.replace("\r\n", "\n")
