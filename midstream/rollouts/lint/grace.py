"""Grace period, preStop, the engine's own drain: whether each leaves room for the next."""

import re
from collections.abc import Iterator

from midstream.rollouts.budget import VLLM_SHUTDOWN_TIMEOUT_S
from midstream.rollouts.lint.case import Case, Version
from midstream.rollouts.lint.finding import Finding, error

MARGIN_S = 5.0  # for the engine to notice SIGTERM and end; without it SIGKILL meets an open stream
SHUTDOWN_TIMEOUT_SINCE: Version = (0, 18)  # vLLM's first version with --shutdown-timeout

_VERSION_TAG = re.compile(r":v?(\d+)\.(\d+)(?:\.\d+)?(?:[-.+][\w.-]*)?(?:@sha256:.*)?$")
_VLLM_IMAGE = re.compile(r"(?:^|/)vllm[^/]*(?::|$)|/vllm-openai", re.IGNORECASE)


def short_grace(case: Case) -> Iterator[Finding]:
    """preStop runs inside the grace period: what is left after it is all that the engine gets."""
    budget = case.budget
    if budget.pre_stop_s and budget.grace_s < budget.pre_stop_s + MARGIN_S:
        wanted = budget.pre_stop_s + max(budget.engine_drain_s or 0.0, 25.0) + MARGIN_S
        yield error(
            f"terminationGracePeriodSeconds is {budget.grace_s:g}, preStop takes {budget.pre_stop_s:g}",
            f"SIGKILL comes {budget.most_drain_s:g} s after SIGTERM: whatever streams then is cut",
            f"terminationGracePeriodSeconds: {wanted:g}",
        )


def no_shutdown_timeout(case: Case) -> Iterator[Finding]:
    """vLLM aborts every stream at SIGTERM unless told to wait (default 0)."""
    if case.budget.engine_drain_s == VLLM_SHUTDOWN_TIMEOUT_S:
        room = max(case.budget.most_drain_s - MARGIN_S, 0.0)
        yield error(
            f"no drain after SIGTERM: {case.budget.sources['engine_drain_s']}",
            "vLLM aborts all streams at SIGTERM, or leaves them silent with their sockets open",
            f"args: --shutdown-timeout={room:g}"
            if room
            else "args: --shutdown-timeout=25, in a grace period of preStop + 30",
        )


def late_shutdown_timeout(case: Case) -> Iterator[Finding]:
    """A drain that SIGKILL ends is shorter than what was written."""
    budget = case.budget
    if budget.engine_drain_s and budget.most_drain_s > 0 and budget.engine_drain_s > budget.most_drain_s:
        yield error(
            f"--shutdown-timeout is {budget.engine_drain_s:g}, the grace period less preStop"
            f" {budget.grace_s:g} - {budget.pre_stop_s:g} = {budget.most_drain_s:g} s",
            "SIGKILL comes before the time is over, and cuts the streams that were promised it",
            f"--shutdown-timeout={max(budget.most_drain_s - MARGIN_S, 0):g}, or"
            f" terminationGracePeriodSeconds: {budget.pre_stop_s + budget.engine_drain_s + MARGIN_S:g}",
        )


def old_vllm(case: Case) -> Iterator[Finding]:
    """Read off the image's tag; a digest, `latest` or a name of one's own tells nothing."""
    image = str(case.container.get("image", ""))
    version = vllm_version(image)
    if version is not None and version < SHUTDOWN_TIMEOUT_SINCE:
        yield error(
            f"image {image}: vLLM {version[0]}.{version[1]} has no --shutdown-timeout",
            "with that argument it does not start; without it SIGTERM aborts all streams",
            "an image of vLLM 0.18 or later",
        )


def vllm_version(image: str) -> Version | None:
    """The vLLM version that the image's tag names; None where it names none."""
    found = _VERSION_TAG.search(image)
    if not found or not _VLLM_IMAGE.search(image.partition("@")[0]):
        return None
    return int(found[1]), int(found[2])
