"""`python -m midstream rehearsal`: a rehearsal by itself, until Ctrl-C or its owner's end."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_type_hints

import msgspec

from midstream.rehearsal import cluster
from midstream.rehearsal.edits import EditError
from midstream.rehearsal.faults import Fault, FaultError, bundled_faults, find_fault
from midstream.rehearsal.guard import Owner, guard
from midstream.rehearsal.launch import Announcement, flag
from midstream.rehearsal.loopback import NoLoopbackError
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rehearsal.services import ProxyEndedError
from midstream.rehearsal.step_runner import StepError

FAILURES = (NoLoopbackError, EditError, cluster.StartUpError, ProxyEndedError, StepError)

PROMOTE = """\
Rehearsal of Rollout {rollout} in namespace {namespace}, healthy.
  stable   {stable_url}   (Service {stable_service})
  preview  {preview_url}   (Service {preview_service})
  export KUBECONFIG={kubeconfig}
Promote by hand:
  kubectl patch rollout {rollout} --type json \\
    -p '[{{"op": "replace", "path": "/spec/template/spec/containers/0/image",
          "value": "midstream/engine:v2"}}]'
  kubectl patch rollout {rollout} --subresource status --type merge \\
    -p '{{"status": {{"pauseConditions": null}}}}'
Ctrl-C ends it."""


def main(argv: Sequence[str]) -> int:
    """Run a rehearsal as the arguments say; the exit code."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        plan = _plan(given)
        faults = [find_fault(name) for name in given.fault]
        folder = _folder(given.state_dir)
    except (FaultError, msgspec.ValidationError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    owner = None if given.owner is None else Owner(given.owner, sys.stdin.fileno())

    def clean() -> None:
        if given.state_dir is None:
            shutil.rmtree(folder, ignore_errors=True)

    return guard(lambda: _run(plan, faults, folder), owner, clean)


def _run(plan: RehearsalPlan, faults: Sequence[Fault], folder: Path) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    try:
        asyncio.run(cluster.run(plan, faults, folder, _announce))
    except FAILURES as error:
        print(error, file=sys.stderr)
    return 1


def _announce(announcement: Announcement) -> None:
    """For people at a terminal, for a program in one JSON line."""
    if sys.stdout.isatty():
        text = PROMOTE.format(**msgspec.structs.asdict(announcement))
    else:
        text = msgspec.json.encode(announcement).decode()
    print(text, flush=True)


def _folder(wanted: Path | None) -> Path:
    """Where the kubeconfig goes. Raises OSError."""
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="midstream-rehearsal-"))
    wanted.mkdir(parents=True, exist_ok=True)
    if not os.access(wanted, os.W_OK):
        raise PermissionError(f"--state-dir {wanted} cannot be written")
    return wanted


def _plan(given: argparse.Namespace) -> RehearsalPlan:
    """The plan in the options. Raises msgspec.ValidationError."""
    numbers = {}
    for name, kind in get_type_hints(RehearsalPlan, include_extras=True).items():
        if (text := getattr(given, name)) is not None:
            try:
                numbers[name] = msgspec.convert(text, kind, strict=False)
            except msgspec.ValidationError as error:
                raise msgspec.ValidationError(f"{flag(name)} {text}: {error}") from None
    return RehearsalPlan(**numbers)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {fault.name:<20} {fault.sentence}" for fault in bundled_faults().values())
    parser = argparse.ArgumentParser(
        prog="python -m midstream rehearsal",
        description="A cluster in processes of this machine, with a blue/green Rollout to promote.",
        epilog=f"faults:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="break this; a YAML file of that form too",
    )
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="keeps the kubeconfig, also after the end"
    )
    parser.add_argument("--owner", type=int, metavar="PID", help=argparse.SUPPRESS)
    default = RehearsalPlan()
    for name, schema in msgspec.json.schema(RehearsalPlan)["$defs"]["RehearsalPlan"]["properties"].items():
        parser.add_argument(
            flag(name),
            dest=name,
            metavar="N",
            help=f"{schema['description']} (default {getattr(default, name):g})",
        )
    return parser
