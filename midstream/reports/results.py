"""The folder of one run's results, and the seed's summary file beside it."""

import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from midstream.reports.json import stream_lines, timeline_json, verdict_json
from midstream.reports.report import Report

LATEST = "latest"
SUMMARY = Path("/tmp/stream_load_results.json")
_TRIES = 100


class ResultsError(Exception):
    """The results cannot be written there; the message says what to do."""


def open_results(
    root: Path,
    now: datetime,
    suffix: Callable[[], str] = lambda: secrets.token_hex(2),
) -> Path:
    """Make `root`/<UTC time>-<suffix>/ and point `root`/latest to it; raises ResultsError.

    Called before any load. `latest` points to the run from its first moment on: a run that dies without a
    verdict leaves none there, rather than the one of the run before.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _refuse_in_the_way(root / LATEST)
        folder = _new_folder(root, now, suffix)
        _write_atomically(folder / "verdict.json", [b""])
        (folder / "verdict.json").unlink()
        _point(root / LATEST, folder.name)
    except OSError as error:
        raise ResultsError(
            f"results cannot be written to {root}: {error.strerror or error}. "
            "Name another folder: --results DIR"
        ) from error
    return folder


def write_results(folder: Path, report: Report) -> tuple[Path, ...]:
    """Write verdict.json, timeline.json, streams.jsonl, each whole or not at all; raises ResultsError."""
    files: tuple[tuple[str, Iterable[bytes]], ...] = (
        ("streams.jsonl", stream_lines(report)),
        ("timeline.json", [timeline_json(report)]),
        ("verdict.json", [verdict_json(report)]),
    )
    try:
        for name, lines in files:
            _write_atomically(folder / name, lines)
    except OSError as error:
        raise ResultsError(f"results were not written to {folder}: {error.strerror or error}") from error
    return tuple(folder / name for name, _ in files)


def write_summary(report: Report, path: Path = SUMMARY) -> str:
    """Write the seed's summary; returns why it was not written, else "". Never raises for the file system.

    The file is replaced whole: a link in its place is replaced too, never followed.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            return f"{path} is a folder"
        _write_atomically(path, [msgspec.json.format(msgspec.json.encode(summary(report))) + b"\n"])
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return ""


def summary(report: Report) -> dict[str, str | int | float | None]:
    """The seed's headline numbers over the main lane; rates are shares, None without streams."""
    main = report.metrics.main
    return {
        "verdict": report.verdict.decision,
        "exit_code": report.verdict.exit_code,
        "target": report.run.subject.target,
        "total": main.streams,
        "completed": main.endings.get("complete", 0),
        "completion_rate": main.completion,
        "error_rate": main.error_rate,
        "5xx_rate": main.rate_5xx,
        "ttft_p50_s": main.ttft_p50_s,
        "ttft_p95_s": main.ttft_p95_s,
        "tokens_per_s": main.tokens_per_s,
    }


def _new_folder(root: Path, now: datetime, suffix: Callable[[], str]) -> Path:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    for _ in range(_TRIES):
        folder = root / f"{stamp}-{suffix()}"
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError(f"{_TRIES} folders of {stamp} exist already")


def _refuse_in_the_way(link: Path) -> None:
    """Before the run's own folder is made, so that nothing is left behind."""
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} is no link: move it away")


def _point(link: Path, target: str) -> None:
    """Make `link` lead to `target` in one step: there is no moment without it."""
    beside = link.with_name(f".{link.name}-{target}")
    beside.symlink_to(target, target_is_directory=True)
    beside.replace(link)


def _write_atomically(path: Path, lines: Iterable[bytes]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(lines)
            os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
