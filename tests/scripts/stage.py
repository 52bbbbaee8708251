"""Runs a script where kubectl and Python answer from a table, and keeps what they were asked."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
LIMIT_S = 60
ANSWERS = r"^kubectl (--context \S+ )?version"  # what asks whether the cluster does
# Each rule: a pattern of the command line, its answers in their order; the last one is given again and again.
PROGRAM = """#!{python} -I
import fcntl, json, os, pathlib, re, sys
folder = pathlib.Path({folder!r})
line = {name!r} + " " + " ".join(sys.argv[1:])
with (folder / "calls").open("a") as calls:
    fcntl.flock(calls, fcntl.LOCK_EX)
    rules = json.loads((folder / "rules.json").read_text())
    rule = next((rule for rule in rules if re.search(rule["pattern"], line)), None)
    given = (folder / "calls").read_text().splitlines()
    count = sum(1 for call in given if rule and re.search(rule["pattern"], json.loads(call)))
    calls.write(json.dumps(line) + "\\n")
if rule is None:
    if {name!r} == "python":
        os.execv({python!r}, [{python!r}, *sys.argv[1:]])
    sys.exit(f"the test has no answer to: {{line}}")
code, out, err = rule["answers"][min(count, len(rule["answers"]) - 1)]
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


class Ended(NamedTuple):
    """A script that is over."""

    code: int
    out: str
    err: str


class Answer(NamedTuple):
    """What a program says, once."""

    code: int = 0
    out: str = ""
    err: str = ""


@dataclass
class Stage:
    """A folder whose programs stand in the place of the real ones."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._rules: list[dict[str, object]] = []
        for name in ("kubectl", "python"):
            program = self.folder / name
            program.write_text(PROGRAM.format(python=sys.executable, folder=str(self.folder), name=name))
            program.chmod(0o755)
        (self.folder / "calls").touch()
        self.answer(ANSWERS, "")

    def answer(self, pattern: str, *answers: str | Answer) -> None:
        """Answer such command lines, in the place of an earlier rule of the same pattern."""
        given = [Answer(out=each) if isinstance(each, str) else each for each in answers]
        self._rules = [rule for rule in self._rules if rule["pattern"] != pattern]
        if given:
            self._rules.insert(0, {"pattern": pattern, "answers": given})
        (self.folder / "rules.json").write_text(json.dumps(self._rules))

    def without(self, name: str) -> None:
        """Take the program away, and every other of its name."""
        (self.folder / name).unlink()
        for tool in ("bash", "env", "dirname", "basename", "mktemp", "rm", "sed", "tail", "date", "cat"):
            (self.folder / tool).symlink_to(f"/usr/bin/{tool}")
        self.environ["PATH"] = str(self.folder)

    def run(self, script: str, *arguments: str, cwd: Path | None = None) -> Ended:
        """Run scripts/SCRIPT to its end."""
        done = subprocess.run(
            [PROJECT / "scripts" / script, *arguments],
            cwd=cwd or self.folder,
            env=clean_environment()
            | {
                "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
                "MIDSTREAM_PYTHON": str(self.folder / "python"),
            }
            | self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @property
    def calls(self) -> list[str]:
        """Every command line, in order."""
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def asked(self, pattern: str) -> list[str]:
        """The command lines that match."""
        return [call for call in self.calls if re.search(pattern, call)]


def clean_environment() -> dict[str, str]:
    """Without what a developer's shell, or make itself, sets for the scripts."""
    own = ("MIDSTREAM_", "LOCUST_", "LOAD_", "MAX_", "MIN_", "MAKE", "KUBE", "REHEARSAL", "ON_REHEARSAL")
    names = {
        *("NAMESPACE", "ROLLOUT", "CONTEXT", "OVERLAY", "IMAGE", "MODEL", "PROMOTE", "UNDO", "FOLLOW"),
        *("TARGET_HOST", "LOCAL_PORT", "MFLAGS"),
    }
    return {
        name: value for name, value in os.environ.items() if not name.startswith(own) and name not in names
    }
