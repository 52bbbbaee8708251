"""`python -m midstream COMMAND`: hands the arguments to the module of the command."""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A command: its module has `main(argv) -> exit code`."""

    module: str
    sentence: str


COMMANDS = {
    "cluster": Command("midstream.cluster_command", "what a cluster lacks for a deployment, for a test"),
    "forward": Command("midstream.forward_command", "a Service on a port of this machine, pods as they come"),
    "lint": Command("midstream.lint_command", "what in a workload's manifest cuts streams at an update"),
    "on-rehearsal": Command(
        "midstream.on_rehearsal_command", "another command, with a rehearsal in the place of your cluster"
    ),
    "path": Command("midstream.path_command", "the URL of a Rollout's Service from here, for scripts"),
    "plan": Command("midstream.plan_command", "what a test would do, of what is there now: reads only"),
    "rehearsal": Command(
        "midstream.rehearsal.command", "a cluster in processes of this machine, to promote and to watch"
    ),
    "smoke": Command("midstream.smoke_command", "whether a server answers: health, a completion, a stream"),
    "status": Command("midstream.status_command", "where a Rollout stands, what holds its pods up"),
    "update": Command("midstream.update_command", "a new revision of a Rollout, and its promotion"),
}
USAGE = "usage: python -m midstream COMMAND ...\n\n" + "\n".join(
    f"  {name:<12} {command.sentence}" for name, command in COMMANDS.items()
)


def main(argv: Sequence[str]) -> int:
    """Run the command that the arguments name; its exit code.

    2: there is no such command, or it misses a package; 3: Ctrl-C before it had its own way to end.
    """
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in COMMANDS:
        print(f"no command {name!r}\n{USAGE}" if name else USAGE, file=sys.stderr)
        return 2
    try:
        return _run(name, argv[1:])
    except KeyboardInterrupt:
        print(f"midstream {name}: interrupted", file=sys.stderr)
        return 3


def _run(name: str, argv: Sequence[str]) -> int:
    try:
        module = importlib.import_module(COMMANDS[name].module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "midstream":
            raise
        print(
            f"midstream {name} needs the package {error.name}: pip install -r requirements.txt",
            file=sys.stderr,
        )
        return 2
    exit_code: int = module.main(argv)
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
