"""The process around a rehearsal: whatever ends, the guard or what it guards, nothing of it is left."""

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NamedTuple

from midstream.rehearsal.processes import adopt_orphans, die_with_parent, end_descendants, ended_children

LOOK_EVERY_S = 0.2  # how late the owner's death can be seen when its end of the pipe lives on
END_WITHIN_S = 2.0
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Owner(NamedTuple):
    """The process that a rehearsal belongs to."""

    pid: int
    pipe: int  # a file descriptor that ends with it

    def lives(self) -> bool:
        """Whether it is still there.

        Both signs are needed: a fork of the owner keeps the pipe open, and a kernel's PDEATHSIG would
        already come when the thread that started us ends.
        """
        return os.getppid() == self.pid and not select.select([self.pipe], [], [], 0)[0]


def guard(work: Callable[[], int], owner: Owner | None, on_end: Callable[[], None]) -> int:
    """Do `work` in a child; return its exit code, or 0 when the owner or a signal ended it first.

    All descendants are killed then, and `on_end` is called. Should this process itself be killed, the
    child does the same.
    """
    adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})
    guard_pid = os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(_guarded(work, guard_pid, before, on_end))
    try:
        return _wait(child, owner)
    finally:
        end_descendants(END_WITHIN_S)
        on_end()


def _wait(child: int, owner: Owner | None) -> int:
    while owner is None or owner.lives():
        caught = signal.sigtimedwait({*ENDING, signal.SIGCHLD}, LOOK_EVERY_S if owner else 3600.0)
        if caught and caught.si_signo in ENDING:
            return 0
        for pid, code in ended_children():
            if pid == child:
                return code
    return 0


def _guarded(
    work: Callable[[], int], guard_pid: int, mask: set[signal.Signals | int], on_end: Callable[[], None]
) -> int:
    def end(_signum: int, _frame: FrameType | None) -> None:
        end_descendants(END_WITHIN_S)
        on_end()
        os._exit(128 + signal.SIGTERM)

    adopt_orphans()
    signal.signal(signal.SIGTERM, end)
    # Ctrl-C is the guard's; a handler rather than SIG_IGN, which the pods would inherit.
    signal.signal(signal.SIGINT, lambda _signum, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    die_with_parent(signal.SIGTERM, guard_pid)
    try:
        return work()
    except Exception:  # noqa: BLE001 - the edge of a process: its traceback goes to the log
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # a full disk: there is nobody left to tell
                stream.flush()
