"""`python -m midstream cluster`: looks at a cluster, prints a line a finding, ends with an exit code."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from midstream.cluster.found import Found, State
from midstream.cluster.look import CHECKS, Wish, look
from midstream.reports.printable import one_line
from midstream.rollouts.client import Cluster, ClusterError, CredentialError, UnreachableError, contexts

EXIT_WELL, EXIT_AMISS, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3
LOOK_EVERY_S = 1.0
GPUS = 2  # while an update runs, both revisions hold one

WORDS = {
    State.OK: "ok",
    State.PENDING: "waiting",
    State.MISSING: "MISSING",
    State.UNFIT: "FAILED",
    State.UNKNOWN: "unknown",
}


def main(argv: Sequence[str]) -> int:
    """0: all well; 1: a finding; 2: the command is wrong, or no cluster answers; 3: it cannot be known."""
    parser = _parser()
    given = parser.parse_args(argv)
    context = given.context or contexts()[1]
    here = f"context {context}: " if context else ""
    try:
        return _run(given, Cluster.connect(context=given.context), context)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return EXIT_UNKNOWN
    except _RefusedError as error:
        _say(f"{parser.prog}: {here}{error}: log in again, or fetch a new kubeconfig")
    except UnreachableError as error:
        _say(f"{parser.prog}: {here}{error}: is it up, and reachable from here?")
    except ClusterError as error:
        _say(f"{parser.prog}: {error}")
    return EXIT_USAGE


class _RefusedError(Exception):
    """The server answers, but not to these credentials."""


def _run(given: argparse.Namespace, cluster: Cluster, context: str) -> int:
    wish = Wish(given.namespace, context, 0 if given.no_gpu else given.gpus or GPUS)

    def look_again() -> tuple[Found, ...]:
        try:
            return tuple(look(cluster, wish, given.check))
        except CredentialError as error:
            raise _RefusedError(f"{cluster.server} does not accept the credentials ({error})") from error

    found = look_again() if given.wait is None else waited(look_again, given.wait, _progress)
    if given.json:
        print(msgspec.json.encode(found).decode())
    else:
        for each in found:
            print(line(each, sys.stdout.encoding or "utf-8"), flush=True)
    return exit_code([each.state for each in found], has_waited=given.wait is not None)


def line(found: Found, encoding: str = "utf-8") -> str:
    """One finding, with what to do about it."""
    words = found.words + (f"; mend: {found.mend}" if found.mend else "")
    return f"{WORDS[found.state]:<8} {found.check:<10} {one_line(words, encoding)}"


def exit_code(states: Sequence[State], *, has_waited: bool) -> int:
    """What is on its way is a finding, until its time is over: then nobody knows."""
    if State.MISSING in states or State.UNFIT in states:
        return EXIT_AMISS
    if State.PENDING in states:
        return EXIT_UNKNOWN if has_waited else EXIT_AMISS
    return EXIT_UNKNOWN if State.UNKNOWN in states else EXIT_WELL


def waited(
    look_again: Callable[[], tuple[Found, ...]],
    wait_s: float,
    progress: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Found, ...]:
    """Look until all is well or the time is over; each thing that is amiss is said when first seen."""
    begin = now()
    said: set[str] = set()
    while True:
        found = look_again()
        for words in _amiss(found):
            if words not in said:
                progress(f"waiting {now() - begin:.0f} of {wait_s:g} s: {words}")
                said.add(words)
        if all(each.ok for each in found) or now() - begin >= wait_s:
            return found
        sleep(LOOK_EVERY_S)


def _amiss(found: Sequence[Found]) -> Iterator[str]:
    return (each.words for each in found if not each.ok)


def _progress(words: str) -> None:
    _say(f"  {words}")


def _say(words: str) -> None:
    print(one_line(words, sys.stderr.encoding or "utf-8"), file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 999_999:
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() else -1.0
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds, such as 300")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream cluster",
        description="What a deployment and a test need of a cluster: each finding with its mend. Reads only.",
        epilog="exit code: 0 all well, 1 a finding, 2 the command is wrong or no cluster answers, "
        "3 it cannot be known",
        allow_abbrev=False,
    )
    parser.add_argument("-n", "--namespace", default="llm-serving", help="(default: %(default)s)")
    parser.add_argument("--context", help="the kubeconfig's context (default: its current one)")
    gpus = parser.add_mutually_exclusive_group()
    gpus.add_argument(
        "--gpus", type=_count, metavar="N", help=f"GPUs needed (default: {GPUS}, blue and green)"
    )
    gpus.add_argument("--no-gpu", action="store_true", help="none: overlays/sim")
    parser.add_argument(
        "--check", action="append", default=[], choices=CHECKS, help="this one alone; may be repeated"
    )
    parser.add_argument(
        "--wait", type=_seconds, metavar="SECONDS", help="look until all is well, for this long"
    )
    parser.add_argument("--json", action="store_true", help="the findings as JSON on stdout")
    return parser
