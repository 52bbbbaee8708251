"""The two ways in which a test shows itself: rows at the foot of a terminal, or the lines of a log."""

import io
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TextIO, cast

import gevent
from gevent import monkey
from rich.console import Console
from rich.live import Live
from rich.text import Text

from midstream.reports.live import LiveScene
from midstream.reports.plain_lines import Told, next_lines, stamped
from midstream.reports.printable import printable
from midstream.reports.scene import Scene

PAINT_S = 0.25  # four times a second at most: each paint is time in which no stream is read


class Face(Protocol):
    """Where the words of a test go."""

    def line(self, words: str) -> None:
        """Say one thing that stays."""

    def show(self, scene: Scene, since_s: float) -> None:
        """The test as it stands, some tenths of a second after the scene before."""

    def close(self) -> None:
        """Nothing more is shown; lines still are."""


def choose_face(stream: TextIO, environ: Mapping[str, str]) -> Face:
    """Rows need a terminal that can move its cursor, for a person who did not ask for plain text."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a server's words must never end a test
    plain = environ.get("NO_COLOR") or environ.get("TERM", "") in ("", "dumb", "unknown")
    return LogFace(stream) if plain or not stream.isatty() else TerminalFace(stream)


class LogFace:
    """Plain lines, each at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told = Told()

    def line(self, words: str) -> None:
        """One line."""
        with going_on(self._stream):
            self._stream.write(printable(words) + "\n")
            self._stream.flush()

    def show(self, scene: Scene, since_s: float) -> None:
        """A line when something has changed."""
        self._told, lines = next_lines(self._told, scene, since_s)
        for at_s, words in lines:
            self.line(stamped(at_s, words))

    def close(self) -> None:
        """Lines need no end."""


class TerminalFace:
    """The scene at the foot of the terminal, the lines above it.

    Nothing is written while the terminal takes nothing (Ctrl-S, a slow connection): waiting for it would
    hold every stream of this process. Rich's Live starts no thread here, since `show` is its clock.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = _SteadyConsole(
            file=stream, force_terminal=True, highlight=False, emoji=False, markup=False
        )
        self._live: Live | None = None
        self._closed = False
        self._waiting: list[str] = []
        self._painted_s = 0.0
        self._is_put_off = False
        self._logs: list[logging.StreamHandler[TextIO]] = []

    def line(self, words: str) -> None:
        """One line above the rows, with the next paint at the latest."""
        self._waiting.append(printable(words))
        if self._live is None:
            self._paint()
        else:
            self._paint_soon()

    def show(self, scene: Scene, since_s: float) -> None:
        """Paint the scene, unless the last paint was a moment ago."""
        del since_s
        if self._closed:
            return
        if self._live is None:
            self._open()
        if self._live is not None and self._may_paint():
            self._live.update(LiveScene(scene, self._console.encoding))
            self._paint()

    def close(self) -> None:
        """The rows are wiped away, the lines stay, the streams and logs are as they were."""
        live, self._live, self._closed = self._live, None, True
        if live is not None:
            live.update("")
            with going_on(self._stream):
                live.stop()  # sys.stderr is the real one again
            for log in self._logs:
                log.setStream(sys.stderr)
        self._paint()

    def _open(self) -> None:
        real = sys.stderr
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=real.isatty(),
        )
        self._live.start()
        self._logs = [log for log in _stream_logs() if log.stream is real]
        for log in self._logs:
            log.setStream(sys.stderr)  # now Rich's, which writes above the rows

    def _paint_soon(self) -> None:
        """Now or a little later: no further scene may come that would take the lines along."""
        if self._may_paint():
            self._paint()
        elif not self._is_put_off:
            self._is_put_off = True
            gevent.spawn_later(PAINT_S, self._paint_waiting)

    def _paint_waiting(self) -> None:
        self._is_put_off = False
        if self._waiting:
            self._paint_soon()

    def _may_paint(self) -> bool:
        return time.monotonic() - self._painted_s >= PAINT_S and _takes_more(self._stream)

    def _paint(self) -> None:
        self._painted_s = time.monotonic()
        lines, self._waiting = self._waiting, []
        with going_on(self._stream):
            if lines:
                self._console.print(Text("\n".join(lines)))
            elif self._live is not None:
                self._live.refresh()


class _SteadyConsole(Console):
    """Leaves the cursor visible: a process that is killed or suspended cannot bring it back."""

    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing."""
        del show
        return False


@contextmanager
def going_on(stream: TextIO) -> Iterator[None]:
    """Where the reader is gone, words go nowhere from now on: the verdict's files and exit code matter on."""
    try:
        yield
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _takes_more(stream: TextIO) -> bool:
    try:
        descriptor = stream.fileno()
    except OSError:  # no file of the system's: nothing to wait for
        return True
    _, ready, _ = monkey.get_original("select", "select")([], [descriptor], [], 0)
    return bool(ready)


def _stream_logs() -> Iterator["logging.StreamHandler[TextIO]"]:
    """Handlers that write to a stream, such as Locust's; those to files are of another class."""
    loggers = [logging.root, *logging.Logger.manager.loggerDict.values()]
    handlers = {
        handler: None
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if type(handler) is logging.StreamHandler
    }
    return (cast("logging.StreamHandler[TextIO]", handler) for handler in handlers)
