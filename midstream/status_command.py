"""`python -m midstream status`: where a Rollout stands, or the wait until it does so well."""

import argparse
from collections.abc import Sequence

from midstream.reports.standing_page import page_lines
from midstream.rollout_command import (
    EXIT_NOT_WELL,
    EXIT_OK,
    EXIT_UNKNOWN,
    Asked,
    add_options,
    asked,
    carried_out,
    ended,
    seconds,
)
from midstream.rollouts.look import last_lines, look
from midstream.rollouts.standing import Standing
from midstream.waiting import End, wait_until

EXIT_CODES = {
    End.REACHED: EXIT_OK,
    End.HOPELESS: EXIT_NOT_WELL,
    End.GONE: EXIT_NOT_WELL,
    End.TOO_LATE: EXIT_UNKNOWN,
}


def main(argv: Sequence[str]) -> int:
    """0: healthy or paused for its promotion; 1: not; 2: the command is wrong; 3: it cannot be known."""
    parser = _parser()
    given = parser.parse_args(argv)
    return carried_out(parser.prog, lambda: _run(parser.prog, given))


def _run(prog: str, given: argparse.Namespace) -> int:
    on = asked(given)
    standing = look(on.cluster, on.name)  # what is wrong from the start is told at once, whatever --wait
    if given.wait is None:
        show(on, standing)
        return EXIT_OK if standing.is_healthy or standing.is_promotable else EXIT_NOT_WELL
    waited = wait_until(on.cluster, on.name, lambda now: now.is_at_rest, limit_s=given.wait, say=_say)
    if waited.standing is not None:
        show(on, waited.standing)
    code = EXIT_CODES[waited.end]
    return ended(prog, waited.why, code) if waited.why else code


def show(on: Asked, standing: Standing) -> None:
    """Print the page, with the last lines of containers that ended."""
    for line in page_lines(standing, last_lines(on.cluster, on.name.namespace, standing.blocks)):
        _say(line)


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream status",
        description="Where a Rollout stands: phase, revisions, pods with what holds them up, Services.",
        epilog="exit code: 0 healthy or paused for its promotion, 1 not, 2 the command is wrong,"
        " 3 not known by the end of --wait",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="until it is healthy with nothing on its way out, or paused for its promotion; ends at once"
        " where waiting makes no sense",
    )
    return parser
