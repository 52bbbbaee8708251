"""PID 1 and the preStop program: whether SIGTERM and the hook reach what they are meant for."""

import re
import shlex
from collections.abc import Iterator

from midstream.rollouts.budget import command_line
from midstream.rollouts.lint.case import Case, Version
from midstream.rollouts.lint.finding import Finding, error, warning

SLEEP_ACTION: Version = (1, 30)  # preStop.sleep is on by default since (PodLifecycleSleepAction, beta)

_SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
_EXEC = re.compile(r"(?:^|[;&|\n({]|\bthen\b|\bdo\b)\s*exec\s+[^\s<>\d]")
_COMPOUND = re.compile(r"[;&|\n]")
_TRAP = re.compile(r"\btrap\b")
_NO_SHELL = re.compile(r"distroless|(?:^|/)chainguard/|^cgr\.dev/|(?:^|/)scratch\b")


def shell_as_pid_1(case: Case) -> Iterator[Finding]:
    """SIGTERM goes to PID 1 alone, and a shell that waits for a child keeps it to itself.

    A shell may replace itself by its only command: bash and recent dash do, busybox does not. Hence a
    single command is a warning. A script with a trap may pass the signal on: nothing is said of it.
    """
    script = _script(command_line(case.container))
    if script is None or _EXEC.search(script) or _TRAP.search(script):
        return
    is_compound = bool(_COMPOUND.search(script.strip().rstrip(";")))
    say = error if is_compound else warning
    why = (
        "SIGTERM goes to PID 1 alone, here the shell, which does not pass it on: the engine never drains,"
        " and SIGKILL cuts its streams"
    )
    condition = "" if is_compound else ", where the image's shell does not replace itself by its only command"
    yield say(
        "the engine is started by a shell without exec", why + condition, "exec before the engine's command"
    )


def no_program_for_pre_stop(case: Case) -> Iterator[Finding]:
    """Said only of images whose name tells that they bring no programs; others cannot be looked into."""
    hook = (case.container.get("lifecycle") or {}).get("preStop") or {}
    command = (hook.get("exec") or {}).get("command")
    image = str(case.container.get("image", ""))
    if command and _NO_SHELL.search(image):
        yield error(
            f"preStop runs {shlex.join(command)} in image {image}, which by its name has no {command[0]}",
            "a hook that cannot be started fails at once: SIGTERM comes without the wait",
            "lifecycle.preStop.sleep.seconds, which the kubelet does by itself",
        )


def sleep_unknown_to_kubernetes(case: Case) -> Iterator[Finding]:
    """Needs the cluster's version."""
    hook = (case.container.get("lifecycle") or {}).get("preStop") or {}
    if hook.get("sleep") and case.kubernetes is not None and case.kubernetes < SLEEP_ACTION:
        version = ".".join(map(str, case.kubernetes))
        yield error(
            f"preStop.sleep on Kubernetes {version}, which has it from 1.30 on",
            "pods are refused, or end without the wait",
            f'preStop.exec.command: ["sleep", "{hook["sleep"]["seconds"]}"], where the image has sleep',
        )


def _script(words: tuple[str, ...]) -> str | None:
    """What a shell as the first word is given to run; None where it is no shell with -c."""
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        return None
    for position, word in enumerate(words[1:], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return words[position + 1] if position + 1 < len(words) else None
    return None
