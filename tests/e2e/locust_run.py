"""One whole Locust run as a process, with all that can be seen of it from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[2]
LOCUSTFILE = PROJECT / "locustfiles" / "stream.py"
QUICK = PROJECT / "config" / "plans" / "quick.yaml"
LIMIT_S = 240.0  # a quick run takes about 27 s; this machine may be slow and shared
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Strike:
    """A signal sent `after_s` seconds after a line of the output first matched."""

    line: str
    number: signal.Signals
    after_s: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    exit_code: int
    output: str
    folder: Path | None
    rows: dict[tuple[str, str], int]  # of Locust's table: (name, type) -> count; empty when it wrote none
    peak_pss: int
    survivors: tuple[psutil.Process, ...]  # of its tree, some seconds after its end

    @property
    def requests(self) -> int | None:
        """Streams by Locust's own count; figures of theirs in other rows are no requests."""
        return sum(count for (_, kind), count in self.rows.items() if kind == "SSE") if self.rows else None

    @property
    def verdict(self) -> dict[str, Any]:
        """verdict.json."""
        assert self.folder is not None, self.output
        content: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text())
        return content

    @property
    def timeline(self) -> dict[str, Any]:
        """timeline.json."""
        assert self.folder is not None, self.output
        content: dict[str, Any] = json.loads((self.folder / "timeline.json").read_text())
        return content

    @property
    def streams(self) -> list[dict[str, Any]]:
        """The records of the main lane: what Locust counts as requests."""
        return [record for record in self.records if record["lane"] == "main"]

    @property
    def records(self) -> list[dict[str, Any]]:
        """streams.jsonl, pulses included."""
        assert self.folder is not None, self.output
        return [json.loads(line) for line in (self.folder / "streams.jsonl").read_text().splitlines()]

    def check(self, name: str) -> dict[str, Any]:
        """One check of the verdict."""
        return next(check for check in self.verdict["checks"] if check["name"] == name)

    @property
    def marks(self) -> dict[str, int]:
        """The first moment of each mark, in monotonic ns."""
        first: dict[str, int] = {}
        for mark in self.timeline["marks"]:
            first.setdefault(mark["name"], mark["seen_ns"])
        return first


@dataclass
class LocustRun:
    """What to start, and what to do to it."""

    arguments: Sequence[str] = ("--plan", str(QUICK))
    strikes: Sequence[Strike] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    locustfile: Path = LOCUSTFILE

    def run(self, folder: Path) -> Ended:
        """Run it to its end; everything it started is ended with it, by its own doing or ours."""
        folder.mkdir(parents=True, exist_ok=True)
        stats = folder / "stats.json"
        command = [
            *(sys.executable, "-m", "locust", "-f", str(self.locustfile), "--headless"),
            *("--results", str(folder / "results"), "--json-file", str(stats.with_suffix(""))),
            *self.arguments,
        ]
        process = subprocess.Popen(
            command,
            cwd=folder,  # the run works from any folder
            env=clean_environment() | dict(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        tree = _Tree(process.pid)
        output = _Output(process, self.strikes)
        try:
            _wait(process, tree, output)
        finally:
            if process.poll() is None:
                process.kill()
        exit_code = process.wait()
        text = output.text()
        return Ended(
            exit_code=exit_code,
            output=text,
            folder=_latest(folder / "results"),
            rows=_rows(stats),
            peak_pss=tree.peak_pss,
            survivors=tree.survivors(),
        )


class _Output:
    """Reads what the run prints, sends the signals when their line comes."""

    def __init__(self, process: "subprocess.Popen[bytes]", strikes: Sequence[Strike]) -> None:
        self._process = process
        self._waiting = list(strikes)
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(10)
        return "".join(self._lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for raw in lines:
                line = raw.decode(errors="replace")
                self._lines.append(line)
                for strike in [strike for strike in self._waiting if re.search(strike.line, line)]:
                    self._waiting.remove(strike)
                    threading.Timer(strike.after_s, self._send, (strike.number,)).start()

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, number)


class _Tree:
    """The run's processes, remembered, since orphans leave the tree."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seen: dict[psutil.Process, None] = {}
        self.peak_pss = 0

    def sample(self) -> None:
        try:
            members = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        self._seen.update(dict.fromkeys(members))
        self.peak_pss = max(self.peak_pss, sum(map(_pss, members)))

    def survivors(self, limit_s: float = 15.0) -> tuple[psutil.Process, ...]:
        """Those that still live after the limit; none as a rule, at once."""
        deadline = time.monotonic() + limit_s
        while (alive := tuple(filter(_lives, self._seen))) and time.monotonic() < deadline:
            time.sleep(0.1)
        return alive


def _wait(process: "subprocess.Popen[bytes]", tree: _Tree, output: _Output) -> None:
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None:
        assert time.monotonic() < deadline, f"not over within {LIMIT_S} s"
        tree.sample()
        try:
            process.wait(SAMPLE_S)
        except subprocess.TimeoutExpired:
            continue


def _pss(member: psutil.Process) -> int:
    try:
        return int(member.memory_full_info().pss)
    except psutil.Error:
        return 0


def _lives(member: psutil.Process) -> bool:
    try:
        return bool(member.is_running()) and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _latest(results: Path) -> Path | None:
    latest = results / "latest"
    return latest.resolve() if latest.exists() else None


def _rows(stats: Path) -> dict[tuple[str, str], int]:
    entries = json.loads(stats.read_text()) if stats.exists() else []
    return {(entry["name"], entry["method"]): int(entry["num_requests"]) for entry in entries}


def clean_environment() -> dict[str, str]:
    """Without what a developer's shell may set for a run of their own."""
    own = ("MIDSTREAM_", "LOCUST_", "MAX_", "MIN_", "TARGET_HOST", "KUBE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {"PYTHONUNBUFFERED": "1"}
