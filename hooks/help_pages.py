"""The pages of --help-midstream and --help-rehearsal, drawn from the tables of options and of faults.

Locust answers --help before it has loaded the locustfile, hence without any option of ours
(argument_parser.py parse_locustfile_option, 2.47).
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from hooks.options import LOCUST_OPTIONS, OPTIONS, Option
from midstream.rehearsal.faults import Fault, bundled_faults

WIDTH = 100

_OPTIONS_HEAD = """\
Each option can be given in three ways, the first one wins: --stream-seconds 60 on the command line,
MIDSTREAM_STREAM_SECONDS=60 in the environment, `stream_seconds: 60` in a YAML file (--plan FILE).
Durations are 90, 90s, 2m or 1h; shares are 5% or 0.05.
Without --rollout and --host a rehearsal is run; its defaults stand in config/plans/rehearsal.yaml.
"""
_FAULTS_HEAD = """\
What can be broken in a rehearsal, to see it found: --rehearsal-fault NAME, several times if wanted.
NAME may also be the path of a YAML file like those in midstream/rehearsal/faults/.
"""


class _Page(NamedTuple):
    flag: str
    help: str
    draw: Callable[[], str]


class _PrintPage(argparse.Action):
    """Prints a page while the command line is read, then ends the process, as --help does."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, *, draw: Callable[[], str], help: str
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)
        self._draw = draw

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:  # noqa: ANN401 argparse's own shape
        sys.stdout.write(self._draw())
        parser.exit(0)


def add_help_pages(parser: argparse.ArgumentParser) -> None:
    """Declare both flags to Locust's parser."""
    group = parser.add_argument_group("Midstream: help")
    for page in _PAGES:
        group.add_argument(page.flag, action=_PrintPage, draw=page.draw, help=page.help)


def options_page(options: Iterable[Option]) -> str:
    """Every option under its group's name, with its environment variables."""
    rows = {option: f"{option.help} [{', '.join(option.source.envs)}]" for option in options}
    margin = _margin(option.source.flag for option in rows)
    parts = [_OPTIONS_HEAD]
    for group, members in groupby(rows, key=lambda option: option.group):
        lines = (_row(option.source.flag, rows[option], margin) for option in members)
        parts.append("\n".join([f"{group}:", *lines, ""]))
    return "\n".join(parts)


def faults_page(faults: Iterable[Fault]) -> str:
    """Every fault with its sentence."""
    sentences = {fault.name: fault.sentence for fault in faults}
    margin = _margin(sentences)
    lines = (_row(name, sentence, margin) for name, sentence in sentences.items())
    return "\n".join([_FAULTS_HEAD, *lines, ""])


_PAGES = (
    _Page(
        "--help-midstream",
        "show every option of Midstream with its environment variables, then exit",
        lambda: options_page((*OPTIONS, *LOCUST_OPTIONS)),
    ),
    _Page(
        "--help-rehearsal",
        "show the faults that a rehearsal can have, then exit",
        lambda: faults_page(bundled_faults().values()),
    ),
)


def _margin(names: Iterable[str]) -> int:
    return max(map(len, names)) + 4


def _row(name: str, words: str, margin: int) -> str:
    return textwrap.fill(
        words,
        WIDTH,
        initial_indent=f"  {name}".ljust(margin),
        subsequent_indent=" " * margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
