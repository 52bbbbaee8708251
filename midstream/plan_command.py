"""`python -m midstream plan`: the locust command with --dry-run, in the place of this process."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

LOCUSTFILE = Path(__file__).resolve().parent.parent / "locustfiles" / "stream.py"
EXIT_USAGE = 2
USAGE = """\
usage: python -m midstream plan [OPTION ...]

What a test with these options would do, of what is there now: target, path, verbs with their RBAC,
drain budget, streams, duration, deadlines, what does not fit. It reads only; nothing is written.
The options are those of the test: locust -f locustfiles/stream.py --help-midstream lists them.

exit code: 0 shown, 2 the command is wrong or the target unfit, 3 it cannot be known"""


def main(argv: Sequence[str], execute: Callable[[str, list[str]], object] = os.execv) -> int:
    """Does not return once the command runs in the place of this one; 2: locust is missing."""
    if any(word in ("-h", "--help") for word in argv):
        print(USAGE)
        return 0
    if find_spec("locust") is None:
        print("midstream plan needs the package locust: pip install -r requirements.txt", file=sys.stderr)
        return EXIT_USAGE
    command = locust_command(argv)
    sys.stdout.flush()
    execute(command[0], command)
    return 0


def locust_command(argv: Sequence[str]) -> list[str]:
    """The test's command that shows its plan; files among the arguments stay relative to this folder."""
    own = any(word.startswith(("-f", "--locustfile")) for word in argv)
    locustfile = [] if own else ["-f", str(LOCUSTFILE)]
    return [sys.executable, "-m", "locust", *locustfile, "--headless", "--dry-run", *argv]
