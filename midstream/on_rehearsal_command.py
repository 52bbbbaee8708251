"""`python -m midstream on-rehearsal`: runs a command with a rehearsal in the place of the user's cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from midstream.rehearsal import standing
from midstream.rehearsal.launch import PROJECT, Announcement, LaunchError, start
from midstream.rehearsal.plan import RehearsalPlan

EXIT_OK, EXIT_USAGE, EXIT_UNKNOWN = 0, 2, 3
USAGE = """\
usage: on_rehearsal.sh up | down | COMMAND [ARGUMENT ...]

Runs COMMAND with a rehearsal in the place of your cluster: an embedded cluster on this machine, with
KUBECONFIG, NAMESPACE and ROLLOUT set to its own. Nothing of yours is touched.

  up       start one that stays, in .rehearsal/ (or the folder REHEARSAL_DIR); one that is up stays as it is
  down     end it; nothing of it is left
  COMMAND  runs on the one that is up, else on one of its own that ends with it

exit code: COMMAND's own; for up and down: 0 well, 2 the command is wrong, 3 interrupted or not started"""
WHAT = "Rehearsal: an embedded cluster on this machine; nothing of yours is touched."
# What names a target of the user's: COMMAND must find none but the rehearsal.
TARGETS = (
    "TARGET_HOST",
    "CONTEXT",
    "LOCUST_HOST",
    *(f"MIDSTREAM_{name}" for name in ("HOST", "PREVIEW_HOST", "ROLLOUT", "CONTEXT", "RESOLVE")),
)
UP = """\
  stable   {stable_url}   (Service {stable_service})
  preview  {preview_url}   (Service {preview_service})
Next: make status REHEARSAL=1, make verify PROMOTE=1 REHEARSAL=1, make down REHEARSAL=1
or with your own tools: export KUBECONFIG={kubeconfig}"""


def main(argv: Sequence[str]) -> int:
    """COMMAND's exit code (128 + N when signal N ended it); 2: the command is wrong; 3: no rehearsal."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if argv else sys.stderr)
        return EXIT_OK if argv else EXIT_USAGE
    folder = Path(os.environ.get("REHEARSAL_DIR") or PROJECT / ".rehearsal").resolve()
    verb = VERBS.get(argv[0])
    if verb is not None and len(argv) > 1:
        print(f"on_rehearsal.sh {argv[0]} takes nothing more: leave {argv[1]!r} out", file=sys.stderr)
        return EXIT_USAGE
    try:
        return verb(folder) if verb is not None else _run(folder, argv)
    except standing.FolderError as error:
        print(f"on_rehearsal.sh: {error}", file=sys.stderr)
        return EXIT_USAGE
    except LaunchError as error:
        print(f"on_rehearsal.sh: the rehearsal failed: {error}", file=sys.stderr)
        return EXIT_UNKNOWN


def environment(environ: Mapping[str, str], announcement: Announcement) -> dict[str, str]:
    """COMMAND's: the rehearsal named by the variables that name a cluster, and no other target."""
    kept = {name: value for name, value in environ.items() if name not in TARGETS}
    return kept | {
        "KUBECONFIG": announcement.kubeconfig,
        "NAMESPACE": announcement.namespace,
        "ROLLOUT": announcement.rollout,
        "ON_REHEARSAL": announcement.stable_url,
    }


def _up(folder: Path) -> int:
    print(WHAT, flush=True)
    announcement, is_new = standing.start(folder)
    print(f"It is up, and stays until down ({folder}):" if is_new else f"It was up already ({folder}):")
    print(UP.format(**{name: getattr(announcement, name) for name in announcement.__struct_fields__}))
    return EXIT_OK


def _down(folder: Path) -> int:
    print(
        "The rehearsal has ended; nothing of it is left." if standing.end(folder) else "No rehearsal is up."
    )
    return EXIT_OK


VERBS = {"up": _up, "down": _down}


def _run(folder: Path, command: Sequence[str]) -> int:
    found = standing.find(folder)
    unused = [name for name in TARGETS if os.environ.get(name)]
    which = "the one that is up" if found else "one of its own, for this command"
    without = f"; not used: {', '.join(unused)}" if unused else ""
    print(f"{WHAT} ({which}{without})", file=sys.stderr, flush=True)
    if found is not None:
        return _attend(command, found)
    rehearsal = start(RehearsalPlan())
    try:
        return _attend(command, rehearsal.announcement)
    finally:
        rehearsal.stop()


def _attend(command: Sequence[str], announcement: Announcement) -> int:
    """Run it to its end.

    Ctrl-C is given to every process of a terminal's foreground: it reaches COMMAND without us, once. SIGTERM,
    which can be sent to this process alone, is handed on.
    """
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    signal.signal(signal.SIGINT, lambda _number, _frame: None)  # not SIG_IGN, which COMMAND would inherit
    signal.signal(signal.SIGTERM, hand_on)
    try:
        started.append(subprocess.Popen(command, env=environment(os.environ, announcement)))
    except OSError as error:
        print(f"on_rehearsal.sh: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return EXIT_USAGE
    for number in early:
        started[0].send_signal(number)
    code = started[0].wait()
    return code if code >= 0 else 128 - code
