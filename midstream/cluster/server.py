"""The API server: which one answers, whether its Kubernetes is recent enough."""

import re

from midstream.cluster.found import Found, State, amiss, well
from midstream.rollouts.client import REHEARSAL_MARK, Object

CHECK = "api"
REHEARSAL = "rehearsal"  # the source of its finding
SLEEP_ACTION = (1, 30)  # preStop.sleep is on by default since (feature gate PodLifecycleSleepAction, beta)


def judge_server(version: Object, server: str, context: str) -> Found:
    """The answer of GET /version. `context` is the kubeconfig's, "" for a pod's own credentials."""
    name = str(version.get("gitVersion", "of unknown version"))
    here = f"{f'context {context}, ' if context else ''}API server {server}, Kubernetes {name}"
    if is_rehearsal(version):
        words = f"{here}: a rehearsal, which brings Argo Rollouts with it and needs no GPU"
        return well(CHECK, words, source=REHEARSAL)
    numbers = re.match(r"v?(\d+)\.(\d+)", name)
    if numbers and (int(numbers[1]), int(numbers[2])) < SLEEP_ACTION:
        return amiss(
            CHECK,
            State.UNFIT,
            f"{here} does not know preStop.sleep: pods are refused, or end without the time to drain",
            "take Kubernetes 1.30 or later",
        )
    return well(CHECK, here)


def is_rehearsal(version: Object) -> bool:
    """Whether this is no real cluster; it serves nothing but what a rehearsal needs."""
    return REHEARSAL_MARK in str(version.get("gitVersion", ""))
