"""The one rehearsal that stands by itself in a folder, until it is taken down.

Its processes hold a lock on a file of that folder, which the kernel gives back with the last of them: whether
it lives is never guessed from a process number that may be another's by now.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from midstream.rehearsal.launch import (
    ANNOUNCEMENT_FILE,
    GRACE_S,
    LOG_BYTES,
    LOG_LINES,
    PROJECT,
    Announcement,
    LaunchError,
)
from midstream.rehearsal.plan import RehearsalPlan, start_limit_s

POLL_S = 0.05
END_LIMIT_S = 15.0
LOCK_FILE, PID_FILE, LOG_FILE = "lock", "pid", "log"


class FolderError(Exception):
    """The folder cannot be used; the text says what to do."""


def find(folder: Path) -> Announcement | None:
    """The rehearsal that stands there, waited for while it starts; None where there is none.

    Raises LaunchError when it does not come to stand in time.
    """
    return _until(lambda: _lives(folder), lambda: _announced(folder))


def start(folder: Path) -> tuple[Announcement, bool]:
    """The rehearsal that stands there, and whether this call started it. Raises LaunchError, FolderError."""
    while True:
        lock = _take(folder)
        if lock is not None:
            with os.fdopen(lock):
                return _start(folder, lock), True
        if (found := find(folder)) is not None:
            return found, False


def end(folder: Path) -> bool:
    """End it and remove the folder; False: there was none, and what a dead one left is removed.

    Raises LaunchError when it does not end, FolderError when the folder cannot be removed.
    """
    lived = _lives(folder)
    deadline = time.monotonic() + END_LIMIT_S
    while _lives(folder):
        pid = _pid(folder)
        if pid is not None:
            with suppress(ProcessLookupError):
                # SIGKILL, at last: what it guards sees that and ends itself.
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        if time.monotonic() > 2 * END_LIMIT_S + deadline:
            raise LaunchError(f"the rehearsal in {folder} does not end (process {pid})")
        _wait_for(lambda: not _lives(folder), END_LIMIT_S / 3)
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise FolderError(f"cannot remove {folder}: {error.strerror}") from None
    return lived


def _start(folder: Path, lock: int) -> Announcement:
    """Start it with the lock in its hands, and wait until it is healthy."""
    for stale in (PID_FILE, ANNOUNCEMENT_FILE):
        (folder / stale).unlink(missing_ok=True)
    with (folder / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "midstream", "rehearsal", "--state-dir", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # it outlives this terminal
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
    try:
        (folder / PID_FILE).write_text(str(process.pid))
        found = _until(lambda: process.poll() is None, lambda: _announced(folder))
        if found is None:
            raise LaunchError(_log_tail(folder) or f"it ended with exit code {process.poll()}")
    except BaseException:  # also a Ctrl-C: nothing half started stays
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # It goes on without us: no wait for it, and no warning that there was none.
    process.returncode = 0
    return found


def _take(folder: Path) -> int | None:
    """The folder's lock as a file descriptor, the folder made where it is missing; None: another holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _locked(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise FolderError(
            f"cannot keep a rehearsal in {folder} ({error.strerror}): name another by REHEARSAL_DIR=FOLDER"
        ) from None


def _lives(folder: Path) -> bool:
    try:
        lock = _locked(folder / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False


def _locked(path: Path, flags: int) -> int | None:
    """An exclusive lock on the file that stands at this path now; None: another holds it. Raises OSError."""
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # else: taken down meanwhile
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _announced(folder: Path) -> Announcement | None:
    try:
        return msgspec.json.decode((folder / ANNOUNCEMENT_FILE).read_bytes(), type=Announcement)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _pid(folder: Path) -> int | None:
    """The process that shall end, where it is surely the rehearsal of this folder."""
    try:
        pid = int((folder / PID_FILE).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(folder) in words else None


def _until(lives: Callable[[], bool], announced: Callable[[], Announcement | None]) -> Announcement | None:
    """What it announces while it lives; None once it does not. Raises LaunchError."""
    limit_s = GRACE_S + start_limit_s(RehearsalPlan(), with_pod_command=False)
    deadline = time.monotonic() + limit_s
    while lives():
        if (found := announced()) is not None:
            return found
        if time.monotonic() > deadline:
            raise LaunchError(f"it did not start within {limit_s:g} s")
        time.sleep(POLL_S)
    return None


def _wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _log_tail(folder: Path) -> str:
    text = (folder / LOG_FILE).read_bytes()[-LOG_BYTES:].decode(errors="replace")
    return "\n".join(text.splitlines()[-LOG_LINES:])
