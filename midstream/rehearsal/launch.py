"""The one call that starts a rehearsal for another process, and ends it with that process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from midstream.rehearsal.plan import RehearsalPlan, start_limit_s

PROJECT = Path(__file__).parents[2]
GRACE_S = 15.0  # beyond the rehearsal's own limit, which has the better sentence
STOP_LIMIT_S = 5.0
POLL_S = 0.05
ANNOUNCEMENT_FILE = "announcement.json"  # in a rehearsal's --state-dir, once it is healthy
LOG_BYTES = 8192
LOG_LINES = 15


class LaunchError(Exception):
    """The rehearsal did not start. `exit_code` is its own: 2 for a wrong fault or number."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal tells once it is healthy: all that a client needs."""

    kubeconfig: str
    namespace: str
    rollout: str
    stable_service: str
    preview_service: str
    stable_url: str
    preview_url: str


class Child:
    """The process of a rehearsal, whether or not it is healthy yet."""

    def __init__(self, process: "subprocess.Popen[bytes]", lifeline: int, log: IO[bytes]) -> None:
        self._process = process
        self._lifeline: int | None = lifeline
        self._log = log

    @property
    def exit_code(self) -> int | None:
        """None while it lives."""
        return self._process.poll()

    def log_tail(self) -> str:
        """The last lines it logged."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - LOG_BYTES)
        # pread: the child writes at the same file position
        text = os.pread(self._log.fileno(), size - start, start).decode(errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def stop(self) -> None:
        """End it and all that it started; no harm when it has ended already."""
        if self._lifeline is None:
            return
        os.close(self._lifeline)
        self._lifeline = None
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # what it guards sees that and ends itself
            self._process.wait()
        self._log.close()


class Rehearsal:
    """A healthy rehearsal, for as long as `stop` is not called and this process lives."""

    def __init__(self, child: Child, announcement: Announcement) -> None:
        self._child = child
        self.announcement = announcement

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself, which is always a failure."""
        return self._child.exit_code is None

    def log_tail(self) -> str:
        """The last lines it logged, for the sentence about such a failure."""
        return self._child.log_tail()

    def stop(self) -> None:
        """End it and all its processes, at once; no harm when it has ended already."""
        self._child.stop()


def start(
    plan: RehearsalPlan,
    faults: Sequence[str] = (),
    state_dir: Path | None = None,
    pod_command: str | None = None,
) -> Rehearsal:
    """Start a rehearsal and wait until its Rollout is healthy.

    `faults` are names or paths of YAML files; `state_dir` keeps the kubeconfig (else a folder that goes
    with the rehearsal); `pod_command` runs in the pods instead of the bundled engine. Works under gevent:
    nothing here blocks but patched sleeps. Raises LaunchError; whatever is raised, nothing stays behind.
    """
    command = [sys.executable, "-P", "-m", "midstream", "rehearsal", "--owner", str(os.getpid())]
    command += flags(plan)
    for fault in faults:
        command += ["--fault", fault]
    if state_dir is not None:
        command += ["--state-dir", str(state_dir)]
    if pod_command is not None:
        command.append(f"--pod-command={pod_command}")
    limit_s = GRACE_S + start_limit_s(plan, with_pod_command=pod_command is not None)
    readable, writable = os.pipe()
    try:
        child = _spawn(command, writable)
    except BaseException:
        os.close(readable)
        raise
    finally:
        os.close(writable)
    try:
        return Rehearsal(child, _announcement(child, readable, limit_s))
    except BaseException:
        child.stop()
        raise
    finally:
        os.close(readable)


def flags(plan: RehearsalPlan) -> list[str]:
    """The plan as command-line options."""
    return [f"{flag(name)}={value}" for name, value in msgspec.structs.asdict(plan).items()]


def flag(field: str) -> str:
    """The option for a field of RehearsalPlan."""
    return "--" + field.removesuffix("_s").replace("_", "-")


def _spawn(command: Sequence[str], stdout: int) -> Child:
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    owner_end, lifeline = os.pipe()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
    try:
        process = subprocess.Popen(
            command,
            stdin=owner_end,
            stdout=stdout,
            stderr=log,
            start_new_session=True,  # Ctrl-C at the terminal is the owner's alone
            env={**os.environ, "PYTHONPATH": path},
        )
    except BaseException:  # also a Ctrl-C after the fork: the child sees the pipe's end
        os.close(lifeline)
        log.close()
        raise
    finally:
        os.close(owner_end)
    return Child(process, lifeline, log)


def _announcement(child: Child, readable: int, limit_s: float) -> Announcement:
    """The one line that a healthy rehearsal prints. Raises LaunchError."""
    os.set_blocking(readable, False)
    deadline = time.monotonic() + limit_s
    line = b""
    while not line.endswith(b"\n"):
        exit_code = child.exit_code  # before the read, so that what it wrote last is read
        with suppress(BlockingIOError):
            line += os.read(readable, 65_536)
        if line.endswith(b"\n"):
            break
        if exit_code is not None:
            raise LaunchError(
                child.log_tail() or f"the rehearsal ended with exit code {exit_code}", exit_code
            )
        if time.monotonic() > deadline:
            raise LaunchError(f"the rehearsal did not start within {limit_s:g} s\n{child.log_tail()}")
        time.sleep(POLL_S)
    return msgspec.json.decode(line, type=Announcement)
