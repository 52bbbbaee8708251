"""`python -m midstream lint`: what in a workload's manifest cuts streams at an update."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from midstream.reports.lint_page import page_lines
from midstream.rollout_command import EXIT_OK, EXIT_USAGE, add_context, carried_out, ended, seconds
from midstream.rollouts.client import Cluster
from midstream.rollouts.lint.case import Version
from midstream.rollouts.lint.finding import Severity
from midstream.rollouts.lint.live import PLURALS, look_around
from midstream.rollouts.lint.manifests import Examined, read_manifests
from midstream.rollouts.lint.rules import judge
from midstream.rollouts.named import RolloutName

EXIT_ERRORS = 1


def main(argv: Sequence[str]) -> int:
    """0: no errors, warnings at most; 1: errors; 2: the command is wrong; 3: interrupted."""
    parser = _parser()
    given = parser.parse_args(argv)
    return carried_out(parser.prog, lambda: _run(parser.prog, given))


def _run(prog: str, given: argparse.Namespace) -> int:
    if (given.name is None) == (given.file is None):
        return ended(prog, "give a workload's NAMESPACE/NAME, or -f FILE", EXIT_USAGE)
    if given.file is not None and (given.context is not None or given.kind is not None):
        return ended(
            prog, "--context and --kind go with NAMESPACE/NAME: leave them out beside -f", EXIT_USAGE
        )
    if given.file is None and given.kubernetes is not None:
        return ended(prog, "--kubernetes goes with -f: a cluster tells its version itself", EXIT_USAGE)
    examined = (_live(given),) if given.file is None else _of_file(given)
    severities = set()
    for number, each in enumerate(examined):
        told = judge(each.case)
        severities |= {finding.severity for _, finding in told}
        print(*([""] if number else []), *page_lines(each.case, told, each.unseen), sep="\n", flush=True)
    return EXIT_ERRORS if Severity.ERROR in severities else EXIT_OK


def _live(given: argparse.Namespace) -> Examined:
    namespace, _, name = given.name.partition("/")
    if not namespace or not name or "/" in name:
        raise ValueError(f"{given.name}: write NAMESPACE/NAME, such as llm-serving/vllm")
    cluster = Cluster.connect(context=given.context)
    kinds = {kind.lower(): kind for kind in PLURALS}
    kind = kinds[given.kind or "rollout"]
    return look_around(cluster, kind, RolloutName(namespace, name), given.stream_seconds)


def _of_file(given: argparse.Namespace) -> tuple[Examined, ...]:
    try:
        text = sys.stdin.read() if given.file == "-" else Path(given.file).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"-f {given.file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"-f {given.file}: it is no text in UTF-8") from error
    try:
        return read_manifests(text, kubernetes=given.kubernetes, stream_s=given.stream_seconds)
    except ValueError as error:
        raise ValueError(f"-f {given.file}: {error}") from error


def _version(text: str) -> Version:
    found = re.fullmatch(r"v?(\d+)\.(\d+)(?:\..*)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: write a version such as 1.34")
    return int(found[1]), int(found[2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream lint",
        description="How long a stream lives after a cutover, what in a workload cuts streams. Reads only.",
        epilog="exit code: 0 no errors (warnings at most), 1 errors, 2 the command is wrong, 3 interrupted",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAMESPACE/NAME", help="a Rollout of the cluster")
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="YAML with Rollouts, Deployments, StatefulSets; - for stdin"
    )
    parser.add_argument(
        "--kind", choices=[kind.lower() for kind in PLURALS], help="of NAMESPACE/NAME (default: rollout)"
    )
    add_context(parser)
    parser.add_argument("--kubernetes", type=_version, metavar="VERSION", help="that -f is meant for")
    parser.add_argument(
        "--stream-seconds", type=seconds, metavar="SECONDS", help="how long a planned test's streams are"
    )
    return parser
