"""The command line of a rehearsal alone: however it ends, one line says why and nothing is left."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import yaml

from midstream.rehearsal.command import main
from midstream.rehearsal.faults import bundled_faults
from midstream.rehearsal.processes import descendants, living_processes


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
        pytest.param(["--pod-command", "a 'b"], "No closing quotation", id="pod command without an end"),
        pytest.param(["--pod-command", " "], "no command in it", id="empty pod command"),
        pytest.param(["--bind", "198.51.100.7"], "ip -4 addr", id="address of another machine"),
        pytest.param(["--bind", "0.0.0.0"], "add --advertise", id="all addresses, none to tell"),
        pytest.param(["--advertise", "x"], "need --bind", id="advertised but not bound"),
        pytest.param(["--port", "9000"], "need --bind", id="port but no address"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(argv, said, capsys) -> None:
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


class Alone:
    """`python -m midstream rehearsal` as a person starts it."""

    def __init__(self, *options: str, limit_file_bytes: int | None = None, script: str = "") -> None:
        command = [sys.executable, "-m", "midstream", "rehearsal", *options]
        if script:
            main = f"import sys; from midstream.rehearsal import command; sys.exit(command.main({options!r}))"
            command = [sys.executable, "-c", f"{script}\n{main}"]
        if limit_file_bytes is not None:
            command = ["prlimit", f"--fsize={limit_file_bytes}", *command]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # as a terminal's foreground job has a group of its own
        )
        self.seen: set[int] = set()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.02)
        self.seen |= set(descendants(self.process.pid))

    def stands(self) -> None:
        """Wait until it is announced."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b"Ctrl-C ends it" in line:
                break
        self.seen |= set(descendants(self.process.pid))

    def runs_pods(self) -> bool:
        return len(descendants(self.process.pid)) >= 3  # cluster, proxy, engine

    def ctrl_c(self) -> None:
        """To the whole group, as a terminal sends it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str, set[int]]:
        """Exit code, what it said on standard error, and which of its processes still live."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode(), self.seen & {row.pid for row in living_processes()}


Begin: TypeAlias = Callable[..., Alone]


@pytest.fixture
def rehearsal() -> Iterator[Begin]:
    """Starts one, and ends it after a test that failed."""
    begun: list[Alone] = []

    def begin(*options: str, **how: Any) -> Alone:
        begun.append(Alone(*options, **how))
        return begun[-1]

    yield begin
    for alone in begun:
        alone.process.kill()
        alone.process.communicate(timeout=60)


ENDED = "python -m midstream rehearsal: {}; nothing of it is left\n"


def test_ctrl_c_while_pods_load_is_one_line_and_code_3(rehearsal) -> None:
    alone = rehearsal("--load-seconds=60")
    alone.until(alone.runs_pods)
    alone.ctrl_c()
    assert alone.end() == (3, ENDED.format("ended before it was healthy"), set())
    assert len(alone.seen) >= 3


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_end_of_one_that_stands_is_one_line_and_code_0(rehearsal, signum) -> None:
    alone = rehearsal("--load-seconds=0")
    alone.stands()
    os.killpg(alone.process.pid, signum)
    assert alone.end() == (0, ENDED.format("ended"), set())
    assert len(alone.seen) >= 3


def test_ctrl_c_again_and_again_changes_nothing(rehearsal) -> None:
    alone = rehearsal("--load-seconds=60")
    alone.until(alone.runs_pods)
    for _ in range(5):
        alone.ctrl_c()
    assert alone.end() == (3, ENDED.format("ended before it was healthy"), set())


def test_a_pod_command_that_ends_is_told_with_its_last_words_and_code_2(rehearsal) -> None:
    begun = time.monotonic()
    code, said, left = rehearsal("--pod-command", "sh -c 'echo no GPU; exit 5'").end()
    assert time.monotonic() - begun < 5
    assert (code, left) == (2, set())
    first, *words = said.splitlines()
    assert "its command ended by itself with exit code 5" in first
    assert set(words) == {"  | no GPU"}


def test_a_pod_command_that_does_not_exist_is_one_line_and_code_2(rehearsal) -> None:
    code, said, left = rehearsal("--pod-command", "no-such-program --port $(PORT)").end()
    assert (code, left, said.count("\n")) == (2, set(), 1)
    assert "its command cannot be run: no-such-program: No such file or directory" in said


def test_a_fault_of_the_bundled_engine_and_a_pod_command_contradict(rehearsal) -> None:
    code, said, left = rehearsal("--pod-command", "sleep 9", "--fault", "no-shutdown-timeout").end()
    assert (code, left, said.count("\n")) == (2, set(), 1)
    assert said.startswith("leave --fault or --pod-command out")


def test_a_full_disk_is_one_line_and_code_2(rehearsal, tmp_path) -> None:
    """A limit on the size of files stands for it: the same call fails at the same place."""
    code, said, left = rehearsal("--load-seconds=0", f"--state-dir={tmp_path}", limit_file_bytes=0).end()
    assert (code, left, said.count("\n")) == (2, set(), 1)
    assert f"cannot write {tmp_path}/kubeconfig: File too large" in said
    assert "choose another folder with --state-dir" in said
    assert list(tmp_path.iterdir()) == []


def test_no_free_loopback_is_one_line_and_code_3(rehearsal) -> None:
    taken = """
import errno
from midstream.rehearsal import loopback
def taken(address, port):
    raise OSError(errno.EADDRINUSE, "Address already in use")
loopback._bind = taken
"""
    code, said, left = rehearsal("--load-seconds=0", script=taken).end()
    assert (code, left, said.count("\n")) == (3, set(), 1)
    assert said.startswith("no free loopback range 127.A.B.0/24")


def test_a_port_in_use_is_one_line_and_code_2(rehearsal) -> None:
    with socket.create_server(("127.99.0.2", 0)) as server:
        port = server.getsockname()[1]
        code, said, left = rehearsal("--bind=127.99.0.2", f"--port={port}").end()
    assert (code, left, said.count("\n")) == (2, set(), 1)
    assert f"port {port} on 127.99.0.2 is in use" in said


def test_bound_to_one_address_api_and_services_are_reached_there(rehearsal, tmp_path) -> None:
    address = ["--bind=127.99.0.3", "--advertise=localhost"]
    alone = rehearsal("--load-seconds=0", f"--state-dir={tmp_path}", *address)
    try:
        alone.stands()
        config = yaml.safe_load((tmp_path / "kubeconfig").read_text())
        told = urlsplit(config["clusters"][0]["cluster"]["server"])
        assert told.hostname == "localhost"
        api = f"http://127.99.0.3:{told.port}{told.path}"
        with urllib.request.urlopen(f"{api}/api/v1/namespaces/llm-serving/services", timeout=20) as answer:
            services = json.load(answer)["items"]
        assert {service["status"]["loadBalancer"]["ingress"][0]["hostname"] for service in services} == {
            "localhost"
        }
        for service in services:
            url = f"http://127.99.0.3:{service['spec']['ports'][0]['port']}/v1/models"
            with urllib.request.urlopen(url, timeout=20) as answer:
                assert json.load(answer)["data"]
    finally:
        alone.ctrl_c()
        assert alone.end()[2] == set()


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
