"""Options that do not go together, each with the sentence that says what to type instead."""

from hooks.layers import UsageError
from hooks.options import TRIGGERS
from hooks.settings import Mode, Settings
from midstream.rehearsal.manifest import words_of

_TRIGGER_NEEDS = {
    "set-image": ("set_image", "--set-image CONTAINER=IMAGE"),
    "set-model": ("set_model", "--set-model MODEL"),
    "set-env": ("set_env", "--set-env NAME=VALUE"),
    "set-args": ("set_args", "--set-args='ARGUMENTS'"),
}


def refuse_contradictions(settings: Settings) -> None:
    """UsageError for options that contradict each other, or make no sense for what is tested."""
    if settings.faults and settings.mode is not Mode.REHEARSAL:
        raise UsageError("--rehearsal-fault is for the rehearsal only: leave --host and --rollout out")
    if settings.pod_command is not None:
        _check_pod_command(settings.pod_command, settings.mode)
    if settings.access.insecure and settings.access.cacert is not None:
        raise UsageError("--insecure and --cacert contradict each other: give one of them")
    if settings.api_key_env is not None and settings.api_key_command is not None:
        raise UsageError("--api-key-env and --api-key-command contradict each other: give one of them")
    if settings.mode is Mode.PLAIN:
        if settings.prove:
            raise UsageError(
                "--prove kills a pod of a Rollout: add --rollout NAMESPACE/NAME, or leave it out"
            )
        if settings.trigger not in (None, "none"):
            raise UsageError("--trigger needs a Rollout: add --rollout NAMESPACE/NAME")
        return
    if settings.trigger is None:
        raise UsageError(
            f"--rollout needs --trigger, one of: {', '.join(TRIGGERS)} (none: somebody else updates)"
        )
    _check_pulse(settings)
    needs = _TRIGGER_NEEDS.get(settings.trigger)
    if needs is not None and getattr(settings, needs[0]) is None:
        raise UsageError(f"--trigger {settings.trigger} needs {needs[1]}")


def _check_pod_command(pod_command: str, mode: Mode) -> None:
    if mode is not Mode.REHEARSAL:
        raise UsageError("--rehearsal-pod-command is for the rehearsal only: leave --host and --rollout out")
    try:
        words_of(pod_command)
    except ValueError as error:
        raise UsageError(f"--rehearsal-pod-command {pod_command!r}: {error}") from None


def _check_pulse(settings: Settings) -> None:
    """Every second pulse is on a new connection; around one that fails a blackout of two periods can hide."""
    if not settings.pulse:
        return
    resolution_s, limit_s = 4 / settings.pulse, settings.limits.max_blackout_s
    if resolution_s > limit_s:
        more = f"--pulse {4 / limit_s:g} or more, " if limit_s else ""
        raise UsageError(
            f"--pulse {settings.pulse:g} cannot tell a blackout of {limit_s:g} s: give {more}"
            f"--max-blackout {resolution_s:g} or more, or --pulse 0 to leave it out"
        )
