"""Containers as sets of Linux processes: started, reaped, ended with every descendant."""

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARKER = "MIDSTREAM_CONTAINER"  # in the environment of every process of a container
LOG_LIMIT_BYTES = 1_000_000
READ_BYTES = 65_536

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int, parent: int) -> None:
    """Have the kernel send `signum` when the thread of `parent` that forked us ends."""
    _prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:  # it ended before the kernel was told
        os.kill(os.getpid(), signum)


def _prctl(option: int, argument: int) -> None:
    if _LIBC.prctl(option, argument, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Log:
    """The last bytes that a pod wrote."""

    def __init__(self, limit: int = LOG_LIMIT_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()

    def append(self, chunk: bytes) -> None:
        """Add what was written, and forget the oldest beyond the limit."""
        self._kept += chunk
        if len(self._kept) > self._limit:
            del self._kept[: len(self._kept) - self._limit]

    def kept(self) -> bytes:
        """All that is kept."""
        return bytes(self._kept)


class Process:
    """A child with its own session; `ended` gives its exit code, 128 + signal when a signal ended it."""

    def __init__(self, popen: "subprocess.Popen[bytes]", ended: "asyncio.Future[int]") -> None:
        self._popen = popen
        self.pid = popen.pid
        self.ended = ended

    def send(self, signum: int) -> None:
        """Signal this process alone, if it still lives."""
        if not self.ended.done():
            os.kill(self.pid, signum)

    def finish(self, code: int) -> None:
        """Note the end that the reaper saw."""
        self._popen.returncode = (
            code  # else Popen itself would wait for the pid, which may be another's by then
        )
        if not self.ended.cancelled():
            self.ended.set_result(code)


class Reaper:
    """Starts children and alone waits for them, and for the orphans that this process adopts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._processes: dict[int, Process] = {}
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        on_output: Callable[[bytes], None],
        stdin: int = subprocess.DEVNULL,
    ) -> Process:
        """Start a command; its output comes to `on_output`. Raises OSError where it cannot be run."""
        parent = os.getpid()
        readable, writable = os.pipe()
        try:
            popen = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=stdin,
                stdout=writable,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGKILL, parent),  # noqa: PLW1509 - one thread forks here
            )
        except BaseException:
            os.close(readable)
            raise
        finally:
            os.close(writable)
        self._follow(readable, on_output)
        process = Process(popen, self._loop.create_future())
        self._processes[popen.pid] = process
        return process

    def _follow(self, readable: int, on_output: Callable[[bytes], None]) -> None:
        os.set_blocking(readable, False)

        def read() -> None:
            with suppress(BlockingIOError):
                if chunk := os.read(readable, READ_BYTES):
                    on_output(chunk)
                    return
                self._loop.remove_reader(readable)
                os.close(readable)

        self._loop.add_reader(readable, read)

    def _reap(self) -> None:
        for pid, code in ended_children():
            if process := self._processes.pop(pid, None):
                process.finish(code)


def ended_children() -> Iterator[tuple[int, int]]:
    """Reap the children that have ended: pid with exit code, 128 + signal when a signal ended it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        yield pid, code if code >= 0 else 128 - code


async def end_container(marker: str, session: int) -> None:
    """Kill all that is left of a container whose PID 1 has ended, until nothing is."""
    while signal_container(marker, session, signal.SIGKILL):
        await asyncio.sleep(0.01)


def signal_container(marker: str, session: int, signum: int) -> int:
    """Signal every living process of a container; how many there were."""
    members = container_members(marker, session)
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
    return len(members)


def container_members(marker: str, session: int) -> list[int]:
    """The living processes that carry the marker in their environment or belong to the session.

    Two signs, because setsid() leaves the session and a program that sets its title overwrites its
    environment (vLLM's engine processes do).
    """
    wanted = f"{MARKER}={marker}".encode()
    return [
        row.pid for row in living_processes() if row.session == session or wanted in _environment(row.pid)
    ]


class ProcessRow(NamedTuple):
    """What the process table tells of one process."""

    pid: int
    parent: int
    session: int


def living_processes() -> list[ProcessRow]:
    """Every process that this machine shows us and that has not ended."""
    rows = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):  # ended meanwhile
                # proc(5): the name in brackets may hold anything, so fields are counted from its last bracket
                state, parent, _, session, *_ = _read(entry.path, "stat").rpartition(")")[2].split()
                if state != "Z":
                    rows.append(ProcessRow(int(entry.name), int(parent), int(session)))
    return rows


def descendants(root: int) -> list[int]:
    """The living processes below `root`, found by their parents."""
    children: dict[int, list[int]] = {}
    for row in living_processes():
        children.setdefault(row.parent, []).append(row.pid)
    found: list[int] = []
    generation = children.pop(root, [])
    while generation:
        found += generation
        generation = [child for pid in generation for child in children.pop(pid, [])]
    return found


def end_descendants(deadline_s: float) -> bool:
    """Kill and reap all that lives below this process; whether nothing was left within the deadline.

    Complete only in a process that adopts orphans: there no descendant can leave the tree.
    """
    deadline = time.monotonic() + deadline_s
    while pids := descendants(os.getpid()):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _ in ended_children():
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or another user's
        return []


def catches(pid: int, signum: int) -> bool:
    """Whether the process has its own action for a signal."""
    try:
        status = _read(f"/proc/{pid}", "status")
    except OSError:
        return False
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (signum - 1) & 1)


def _read(folder: str, name: str) -> str:
    return Path(folder, name).read_text(errors="replace")
