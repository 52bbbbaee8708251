"""`python -m midstream rehearsal`: a rehearsal by itself, until Ctrl-C or its owner's end."""

import argparse
import asyncio
import logging
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_type_hints

import msgspec

from midstream.rehearsal import cluster
from midstream.rehearsal.edits import EditError
from midstream.rehearsal.exposure import Exposure, ExposureError, expose
from midstream.rehearsal.faults import Fault, FaultError, bundled_faults, find_fault
from midstream.rehearsal.guard import Owner, guard
from midstream.rehearsal.launch import ANNOUNCEMENT_FILE, Announcement, flag
from midstream.rehearsal.loopback import NoLoopbackError
from midstream.rehearsal.manifest import MODEL, words_of
from midstream.rehearsal.plan import RehearsalPlan, start_limit_s
from midstream.rehearsal.services import ProxyEndedError
from midstream.rehearsal.startup import StartUpError
from midstream.rehearsal.step_runner import StepError

EXIT_ENDED, EXIT_USAGE, EXIT_UNKNOWN = 0, 2, 3
WRONG = (FaultError, ExposureError, EditError, cluster.StateError, msgspec.ValidationError)
FAILED = (NoLoopbackError, StartUpError, ProxyEndedError, StepError, OSError)

PROMOTE = """\
Rehearsal of Rollout {rollout} in namespace {namespace}, healthy.
  stable   {stable_url}   (Service {stable_service})
  preview  {preview_url}   (Service {preview_service})
  model    {model}
  export KUBECONFIG={kubeconfig}
Look:
  kubectl get rollouts,pods,services
Update and promote by hand:
  kubectl patch rollout {rollout} --type json \\
    -p '[{{"op": "replace", "path": "/spec/template/spec/containers/0/image",
          "value": "midstream/engine:v2"}}]'
  kubectl patch rollout {rollout} --subresource status --type merge \\
    -p '{{"status": {{"pauseConditions": null}}}}'
Or under load:
  locust -f locustfiles/stream.py --headless --rollout {namespace}/{rollout} \\
    --trigger set-image --set-image vllm=midstream/engine:v2
Ctrl-C ends it."""

POD_COMMAND = """\
pods run this instead of the bundled engine, split into words as a shell does; $(POD_IP), $(PORT),
$(REVISION), $(MODEL) and $(HOSTNAME) are filled in as Kubernetes does. It shall listen on
$(POD_IP):$(PORT) alone and be ready when GET /health answers 200: vllm serve MODEL --host
$(POD_IP) --port $(PORT) --served-model-name $(REVISION) $(MODEL). It begins with none of your
environment but HOME, LANG, PATH and TMPDIR: put env NAME=VALUE in front for more"""


class Wanted(NamedTuple):
    """What the command line asks for."""

    plan: RehearsalPlan
    faults: tuple[Fault, ...]
    pod_command: tuple[str, ...]
    exposure: Exposure | None


class Stood:
    """Whether the rehearsal was announced, told by the guarded process to its guard."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)  # a page that a fork shares

    def __bool__(self) -> bool:
        return self._shared[0] == 1

    def note(self) -> None:
        """It was announced."""
        self._shared[0] = 1


def main(argv: Sequence[str]) -> int:
    """Run a rehearsal as the arguments say.

    0: it stood and was ended; 2: the command is wrong; 3: it did not come to stand, or ended by itself.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        wanted = _wanted(given)
        folder = _folder(given.state_dir)
    except (*WRONG, ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_USAGE
    owner = None if given.owner is None else Owner(given.owner, sys.stdin.fileno())
    stood = Stood()

    def clean() -> None:
        if given.state_dir is None:
            shutil.rmtree(folder, ignore_errors=True)

    def announce(announcement: Announcement) -> None:
        stood.note()  # first: whoever reads the announcement may end it at once
        if given.state_dir is not None:
            _keep(announcement, folder)
        _announce(announcement, for_people=owner is None)

    if wanted.pod_command and sys.stderr.isatty():
        limit_s = start_limit_s(wanted.plan, with_pod_command=True)
        print(f"Starting the pods: ready when GET /health answers, at most {limit_s:g} s.", file=sys.stderr)
    code = guard(lambda: _run(wanted, folder, announce, given.owner), owner, clean)
    if code == EXIT_ENDED and owner is None:
        how = "ended" if stood else "ended before it was healthy"
        print(f"{parser.prog}: {how}; nothing of it is left", file=sys.stderr)
        return EXIT_ENDED if stood else EXIT_UNKNOWN
    return code


def _run(
    wanted: Wanted, folder: Path, announce: Callable[[Announcement], None], owner_pid: int | None
) -> int:
    """The code of what went wrong; it never ends otherwise."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    try:
        asyncio.run(
            cluster.run(
                wanted.plan,
                wanted.faults,
                folder,
                announce,
                pod_command=wanted.pod_command,
                exposure=wanted.exposure,
                owner_pid=owner_pid,
            )
        )
    except WRONG as error:
        of_engine = wanted.pod_command and wanted.faults and isinstance(error, EditError)
        why = f" (with --pod-command no fault of the bundled engine can be rehearsed: {error})"
        print(f"leave --fault or --pod-command out{why}" if of_engine else error, file=sys.stderr)
        return EXIT_USAGE
    except FAILED as error:
        print(error, file=sys.stderr)
        # A command of theirs that does not come to serve is wrong; the bundled engine's end is our failure.
        return EXIT_USAGE if wanted.pod_command and isinstance(error, StartUpError) else EXIT_UNKNOWN


def _keep(announcement: Announcement, folder: Path) -> None:
    """Leave it beside the kubeconfig, whole or not at all. Raises StateError."""
    path = folder / ANNOUNCEMENT_FILE
    try:
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(announcement))
        part.replace(path)
    except OSError as error:
        raise cluster.StateError(
            f"cannot write {path}: {error.strerror}: make room, or choose another folder with --state-dir"
        ) from None


def _announce(announcement: Announcement, *, for_people: bool) -> None:
    """For a program that started it in one JSON line. Raises StateError."""
    if for_people:
        text = PROMOTE.format(**msgspec.structs.asdict(announcement), model=MODEL)
    else:
        text = msgspec.json.encode(announcement).decode()
    try:
        print(text, flush=True)
    except OSError as error:
        raise cluster.StateError(f"cannot write to standard output: {error.strerror}") from None


def _wanted(given: argparse.Namespace) -> Wanted:
    """Raises FaultError, ExposureError, msgspec.ValidationError, and ValueError for the rest."""
    if given.bind is None and (given.advertise is not None or given.port is not None):
        raise ValueError("--advertise and --port need --bind ADDRESS, the one that is listened on")
    exposure = None if given.bind is None else expose(given.bind, given.advertise, given.port)
    return Wanted(
        _plan(given),
        tuple(find_fault(name) for name in given.fault),
        () if given.pod_command is None else tuple(_words(given.pod_command)),
        exposure,
    )


def _words(pod_command: str) -> list[str]:
    try:
        return words_of(pod_command)
    except ValueError as error:
        raise ValueError(f"--pod-command {pod_command!r}: {error}") from None


def _folder(wanted: Path | None) -> Path:
    """Where the kubeconfig goes, at an absolute path. Raises OSError."""
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="midstream-rehearsal-"))
    wanted.mkdir(parents=True, exist_ok=True)
    if not os.access(wanted, os.W_OK):
        raise PermissionError(f"--state-dir {wanted} cannot be written")
    return wanted.absolute()


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
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="keeps the kubeconfig, also after the end, and the addresses (announcement.json)",
    )
    parser.add_argument("--pod-command", metavar="COMMAND", help=POD_COMMAND)
    parser.add_argument(
        "--bind",
        metavar="ADDRESS",
        help="API and Services listen on this IPv4 address (0.0.0.0: on all), so that containers and other "
        "machines reach them; whoever reads that network can use the API (default: this machine alone)",
    )
    parser.add_argument(
        "--advertise",
        metavar="HOST",
        help="the address or name by which they reach it, for kubeconfig and Services (default: --bind)",
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="with --bind: stable Service on port N, preview on N+1, API on N+2 (default: 8000, if free)",
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
