"""The two ways in which a test shows itself, on a terminal of the system's own making."""

import fcntl
import io
import logging
import os
import pty
import re
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterator

import gevent
import pytest

from hooks import faces
from hooks.faces import LogFace, TerminalFace, choose_face
from midstream.reports.scene import Scene

SCENE = Scene(at="drain", steps=("baseline", "drain", "quiet"), waits_for="the old pods", open=(("7c9f", 3),))
COLUMNS, ROWS = 80, 24
TYPED = {"TERM": "xterm-256color"}


class Terminal:
    """A pseudo-terminal: what a program writes to it, and what a person then sees."""

    def __init__(self) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        tty.setraw(slave)  # what is written comes out as it is
        os.set_blocking(master, False)
        self._master: int | None = master
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.raw = ""

    def read(self) -> str:
        """All that was written until now."""
        self.stream.flush()
        assert self._master is not None
        try:
            while chunk := os.read(self._master, 65536):
                self.raw += chunk.decode()
        except BlockingIOError:
            pass
        return self.raw

    def screen(self) -> list[str]:
        """The lines as a terminal shows them that knows the few codes used here; any other is an error."""
        lines, at = [""], 0
        for code, text in re.findall(r"(\x1b\[[\d;?]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", self.read()):
            match code:
                case "":
                    lines[at] += text
                case "\n":
                    at += 1
                    lines += [""] * (at == len(lines))
                case "\r":
                    pass
                case "\x1b[2K":
                    lines[at] = ""
                case "\x1b[1A":
                    at -= 1
                case _:
                    assert code.endswith("m"), repr(code)
        return [line.rstrip() for line in lines]

    def hang_up(self) -> None:
        """The window is closed."""
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def close(self) -> None:
        self.stream.close()
        self.hang_up()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(faces, "PAINT_S", 0.0)


@pytest.fixture
def face(terminal, at_once, monkeypatch) -> Iterator[TerminalFace]:
    monkeypatch.setenv("TERM", "xterm-256color")
    face = TerminalFace(terminal.stream)
    yield face
    face.close()


ENVIRONMENTS = {
    "a terminal": (TYPED, TerminalFace),
    "a terminal for which no colour was asked": (TYPED | {"NO_COLOR": "1"}, LogFace),
    "NO_COLOR without a value asks for nothing": (TYPED | {"NO_COLOR": ""}, TerminalFace),
    "a terminal that cannot move its cursor": ({"TERM": "dumb"}, LogFace),
    "a terminal that nobody has named": ({}, LogFace),
}


@pytest.mark.parametrize(("environ", "kind"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_face_of_a_terminal(terminal, environ, kind):
    assert type(choose_face(terminal.stream, environ)) is kind


def test_the_face_of_a_pipe_is_a_log(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        assert type(choose_face(stream, TYPED)) is LogFace


def test_words_that_the_encoding_cannot_hold_end_no_test(tmp_path):
    with (tmp_path / "log").open("w", encoding="latin-1") as stream:
        choose_face(stream, {}).line("größe 模型")
    assert (tmp_path / "log").read_bytes().decode("latin-1") == "größe \\u6a21\\u578b\n"


class Flushed(io.StringIO):
    """Knows what had been written when it was flushed last."""

    seen = ""

    def flush(self) -> None:
        self.seen = self.getvalue()


def test_a_log_has_each_line_at_once_and_escaped():
    out = Flushed()
    LogFace(out).line("a \x1b[31mred\rword")
    assert out.seen == "a \\x1b[31mred\\rword\n"


def test_a_log_whose_reader_is_gone_does_not_end_the_test():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        face = LogFace(stream)
        face.line("nobody reads this")
        face.line("nor this")


def test_a_log_tells_a_scene_once():
    out = Flushed()
    face = LogFace(out)
    for second in range(5):
        face.show(SCENE, second)
    face.close()
    assert out.seen == "[   0.0 s] drain: waits for the old pods | open: 7c9f 3\n"


def test_lines_go_above_the_scene(face, terminal):
    face.line("first")
    face.show(SCENE, 0)
    face.line("second")
    face.show(SCENE, 1)
    screen = terminal.screen()
    assert screen[:2] == ["first", "second"]
    assert screen[2].startswith("state")
    assert sum(line.startswith("state") for line in screen) == 1


def test_a_line_has_no_colours_of_a_server_and_no_markup(face, terminal):
    face.show(SCENE, 0)
    face.line("[bold]a[/bold] \x1b[31mred :smile:")
    assert "[bold]a[/bold] \\x1b[31mred :smile:" in terminal.screen()


def test_when_it_is_closed_the_lines_are_left_and_nothing_else(face, terminal):
    face.show(SCENE, 0)
    face.line("first")
    face.close()
    face.close()
    face.show(SCENE, 1)
    face.line("last")
    assert [line for line in terminal.screen() if line] == ["first", "last"]


def test_the_cursor_is_never_hidden(face, terminal):
    """A process that is killed cannot bring it back."""
    face.show(SCENE, 0)
    face.close()
    assert "\x1b[?25l" not in terminal.read()
    assert terminal.raw.count("\n") > 0


def test_a_scene_is_painted_some_times_a_second_whatever_comes(face, terminal, monkeypatch):
    monkeypatch.setattr(faces, "PAINT_S", 3600.0)
    face.show(SCENE, 0)
    painted = len(terminal.read())
    for number in range(100):
        face.show(SCENE, number)
        face.line(f"line {number}")
    assert len(terminal.read()) == painted
    face.close()
    assert [line for line in terminal.screen() if line] == [f"line {number}" for number in range(100)]


def test_a_line_is_seen_even_when_no_further_scene_comes(face, terminal, monkeypatch):
    monkeypatch.setattr(faces, "PAINT_S", 0.05)
    face.show(SCENE, 0)
    face.line("a moment after the scene")
    deadline = time.monotonic() + 10
    while "a moment after the scene" not in terminal.screen():
        assert time.monotonic() < deadline
        gevent.sleep(0.01)


def test_a_terminal_that_takes_nothing_does_not_hold_the_test(face, terminal):
    """Ctrl-S: what is said meanwhile comes when it takes again."""
    face.show(SCENE, 0)
    painted = terminal.read()
    termios.tcflow(terminal.stream, termios.TCOOFF)
    face.line("said meanwhile")
    face.show(SCENE, 1)
    assert terminal.read() == painted
    termios.tcflow(terminal.stream, termios.TCOON)
    face.show(SCENE, 2)
    assert "said meanwhile" in terminal.screen()


def test_a_terminal_that_is_gone_does_not_end_the_test(face, terminal):
    face.show(SCENE, 0)
    terminal.hang_up()
    face.line("nobody reads this")
    face.show(SCENE, 1)
    face.close()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("tests.faces")
    log.propagate = False
    yield log
    log.handlers.clear()


def test_logs_and_prints_go_above_the_scene(face, terminal, log, monkeypatch):
    for name in ("stdout", "stderr"):  # as in a shell
        monkeypatch.setattr(sys, name, terminal.stream)
    handler = logging.StreamHandler()
    log.addHandler(handler)
    face.show(SCENE, 0)
    log.warning("logged")
    print("printed")
    face.show(SCENE, 1)
    screen = terminal.screen()
    assert screen[:2] == ["logged", "printed"]
    assert sum(line.startswith("state") for line in screen) == 1
    face.close()
    assert handler.stream is sys.stdout is sys.stderr is terminal.stream


def test_logs_that_go_to_a_file_stay_there(face, terminal, log, monkeypatch, tmp_path):
    with (tmp_path / "log").open("w") as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        log.addHandler(logging.StreamHandler())
        face.show(SCENE, 0)
        log.warning("logged")
        face.close()
    assert (tmp_path / "log").read_text() == "logged\n"
    assert "logged" not in terminal.read()
