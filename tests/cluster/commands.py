"""The command lines under test, as a person types them: each run to its end, with what it said."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LIMIT_S = 240.0
ENDS_WITHIN_S = 10.0
# Of the person who runs the suite: what a target would take for its own.
OF_TARGETS = re.compile(
    r"(NAMESPACE|ROLLOUT|CONTEXT|OVERLAY|IMAGE|MODEL|PROMOTE|UNDO|FOLLOW|REHEARSAL|TARGET_HOST|ARGS"
    r"|(LOAD|MAX|MIN|MIDSTREAM|LOCUST)_.*)"
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
    inherited = {key: value for key, value in os.environ.items() if not OF_TARGETS.fullmatch(key)}
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**inherited, "MIDSTREAM_PYTHON": sys.executable, **(environment or {})},
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that all that it started can be ended with it
    ) as process:
        try:
            out, err = process.communicate(stdin, LIMIT_S)
        except BaseException:  # Ctrl-C too
            _end_group(process)
            raise
    return Ended(process.returncode, out, err, time.monotonic() - began)


def _end_group(process: "subprocess.Popen[str]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(ENDS_WITHIN_S)


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
