"""What the commands on one Rollout share: its options, and every failure as one line with an exit code."""

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

from midstream.reports.printable import printable
from midstream.rollouts.client import Cluster, ClusterError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.named import NoRolloutError, RolloutName
from midstream.rollouts.path import NoPathError
from midstream.rollouts.verbs import UnconfirmedError

EXIT_OK, EXIT_NOT_WELL, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3


class Asked(NamedTuple):
    """The Rollout that a command is about, with the way to it."""

    cluster: Cluster
    name: RolloutName


def add_options(parser: argparse.ArgumentParser) -> None:
    """--rollout and --context."""
    parser.add_argument("--rollout", required=True, metavar="NAMESPACE/NAME", help="such as llm-serving/vllm")
    add_context(parser)


def add_context(parser: argparse.ArgumentParser) -> None:
    """--context alone, where the Rollout is one choice of several."""
    parser.add_argument("--context", help="the kubeconfig's context (default: its current one)")


def asked(given: argparse.Namespace) -> Asked:
    """Nothing is sent yet. Raises ValueError, `CredentialError`."""
    name = RolloutName.parse(given.rollout)
    return Asked(Cluster.connect(context=given.context), name)


def seconds(text: str) -> float:
    """An option's type: seconds above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def carried_out(prog: str, run: Callable[[], int]) -> int:
    """The exit code of `run`; 2 for what the command or the cluster's setup can mend, 3 for the unknown."""
    try:
        return run()
    except KeyboardInterrupt:
        return ended(prog, "interrupted", EXIT_UNKNOWN)
    except UnconfirmedError as error:
        return ended(prog, str(error), EXIT_UNKNOWN)
    except (ClusterError, NoRolloutError, NoPathError, RefusedError, ValueError) as error:
        return ended(prog, str(error), EXIT_USAGE)


def ended(prog: str, words: str, code: int) -> int:
    """The command's last line, on stderr, with its exit code."""
    print(f"{prog}: {' '.join(printable(words).split())}", file=sys.stderr)
    return code
