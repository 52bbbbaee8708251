"""Words from outside that would steer a terminal."""

import pytest

from midstream.reports.printable import one_line, printable

WORDS = {
    "plain words": ("no such model: größe", "no such model: größe"),
    "a colour": ("\x1b[31mred", "\\x1b[31mred"),
    "a carriage return": ("a\rb", "a\\rb"),
    "a bell": ("\a", "\\x07"),
    "text that runs backwards": ("a\u202eb", "a\\u202eb"),
    "a line break is kept": ("a\nb", "a\nb"),
}


@pytest.mark.parametrize(("words", "shown"), WORDS.values(), ids=WORDS)
def test_what_steers_a_terminal_is_escaped(words, shown):
    assert printable(words) == shown


LINES = {
    "a line break": ("a\nb", "utf-8", "a b"),
    "a control character": ("a\x1bb", "utf-8", "a\\x1bb"),
    "what the encoding holds": ("größe", "latin-1", "größe"),
    "what it does not hold": ("größe 模型", "latin-1", "größe \\u6a21\\u578b"),
    "ASCII alone": ("größe", "ascii", "gr\\xf6\\xdfe"),
}


@pytest.mark.parametrize(("words", "encoding", "shown"), LINES.values(), ids=LINES)
def test_one_line_that_any_encoding_holds(words, encoding, shown):
    assert one_line(words, encoding) == shown
