"""The command lines under test, as a person types them: each run to its end, with what it said."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LIMIT_S = 240.0
# Of the person who runs the suite: what a target would take for its own.
UNSET = (
    "NAMESPACE",
    "ROLLOUT",
    "CONTEXT",
    "OVERLAY",
    "IMAGE",
    "MODEL",
    "PROMOTE",
    "REHEARSAL",
    "TARGET_HOST",
)


class Ended(NamedTuple):
    """A command that ended by itself."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """All of it, for the message of a failed assertion too."""
        return f"exit code {self.code}\n{self.out}\n{self.err}"

    @property
    def complaint(self) -> str:
        """What it wrote to stderr, without the line of make that repeats the exit code."""
        return "\n".join(line for line in self.err.splitlines() if not line.startswith("make: ***"))


def run(*command: str, environment: Mapping[str, str] | None = None, stdin: str | None = None) -> Ended:
    """In the clone, on its Python; subprocess.TimeoutExpired after LIMIT_S."""
    inherited = {key: value for key, value in os.environ.items() if key not in UNSET}
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, "MIDSTREAM_PYTHON": sys.executable, **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def make(target: str, **variables: str) -> Ended:
    """`make TARGET NAME=VALUE ...`."""
    return run("make", "-s", target, *(f"{name}={value}" for name, value in variables.items()))


def script(name: str, *options: str, **variables: str) -> Ended:
    """A script itself, for its exit code: `make` turns each that is not 0 into 2."""
    return run(f"scripts/{name}", *options, environment=variables)


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """What kubectl printed; an assertion holds its words where it failed."""
    done = run("kubectl", *arguments, stdin=stdin)
    assert done.code == 0, f"kubectl {' '.join(arguments)}: {done.said}"
    return done.out
