"""`python -m midstream path`: the URL of a Rollout's Service from here, alone on stdout."""

import argparse
import sys
from collections.abc import Sequence

from midstream.rollout_command import EXIT_OK, EXIT_USAGE, add_options, asked, carried_out, ended
from midstream.rollouts.named import find_rollout, find_service
from midstream.rollouts.path import NoPathError, find_path


def main(argv: Sequence[str]) -> int:
    """0: the URL is printed; 2: there is no way there, or the command is wrong; 3: interrupted."""
    parser = _parser()
    given = parser.parse_args(argv)
    return carried_out(parser.prog, lambda: _run(parser.prog, given))


def _run(prog: str, given: argparse.Namespace) -> int:
    cluster, name = asked(given)
    service = find_service(find_rollout(cluster, name), preview=given.preview)
    try:
        path = find_path(cluster, name.namespace, service)
    except NoPathError as error:
        forward = f"python -m midstream forward {name.namespace}/{service}"
        command = forward if given.preview else "make port-forward"
        mend = f"type `{command}` in another terminal, then give TARGET_HOST=http://127.0.0.1:8000"
        return ended(prog, f"{error.seen}: {mend}", EXIT_USAGE)
    print(path.words, file=sys.stderr, flush=True)
    print(path.url, flush=True)
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream path",
        description="The URL by which a Rollout's active Service is reached from here, for scripts.",
        epilog="exit code: 0 printed, 2 no way there or the command is wrong, 3 interrupted",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--preview", action="store_true", help="the preview Service instead")
    return parser
