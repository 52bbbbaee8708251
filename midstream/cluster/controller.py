"""Argo Rollouts: whether the API serves its kind, whether exactly one controller acts on ours."""

import re
from collections.abc import Sequence
from typing import Any

from midstream.cluster.found import Found, State, amiss, hidden, well
from midstream.rollouts.client import ForbiddenError, Object
from midstream.rollouts.unready import held_up

CHECK = "argo"
NAMESPACE = "argo-rollouts"  # of the release's manifest, whose ClusterRoleBinding names it
LABEL = "app.kubernetes.io/name=argo-rollouts"
OLDEST = "v1.7.0"  # the CRD of older ones does not know preStop.sleep, and drops it
PINNED = "v1.9.1"  # the version that all of this was tried with; cluster_bootstrap.sh installs it
BOOTSTRAP = "scripts/cluster_bootstrap.sh"
CRDS = f"https://github.com/argoproj/argo-rollouts/manifests/crds?ref={PINNED}"


def judge_controller(
    served: bool,
    deployments: Sequence[Object] | ForbiddenError,
    pods: Sequence[Object] | ForbiddenError,
    namespace: str,
) -> Found:
    """`served`: the API knows kind Rollout; `pods`: the controllers' own; `namespace`: where ours will be."""
    if isinstance(deployments, ForbiddenError):
        found = hidden(CHECK, deployments)
        return found if served else amiss(CHECK, State.MISSING, NOT_SERVED, BOOTSTRAP)
    controllers = [each for each in deployments if is_controller(each)]
    acting = [each for each in controllers if _acts_in(each, namespace)]
    if not acting:
        return _none_acts(controllers, served, namespace)
    source = _source(acting[0])
    if len(acting) > 1:
        names = ", ".join(map(_source, acting))
        words = f"{len(acting)} controllers act on the same Rollouts, against each other: {names}"
        mend = "delete all but one: kubectl delete deployment -n NAMESPACE NAME"
        return amiss(CHECK, State.UNFIT, words, mend, source=source)
    if not served:
        words = f"the controller {source} runs, but {NOT_SERVED}"
        return amiss(CHECK, State.UNFIT, words, f"kubectl apply --server-side -k {CRDS}", source=source)
    if not is_available(acting[0]):
        return _unavailable(acting[0], [] if isinstance(pods, ForbiddenError) else pods)
    return _available(acting[0])


NOT_SERVED = "the API serves no kind Rollout (rollouts.argoproj.io)"


def _none_acts(controllers: Sequence[Object], served: bool, namespace: str) -> Found:
    if controllers:
        source = _source(controllers[0])
        words = f"the controller {source} does not act in namespace {namespace} (--namespaced, --instance-id)"
        mend = "deploy where it acts, or run one for all namespaces"
        return amiss(CHECK, State.UNFIT, words, mend, source=source)
    words = "its kind Rollout is served, but no controller is there" if served else NOT_SERVED
    return amiss(CHECK, State.MISSING, f"Argo Rollouts is not installed: {words}", BOOTSTRAP)


def _available(controller: Object) -> Found:
    tag, source = _tag(controller), _source(controller)
    words = f"Argo Rollouts {tag or 'of unknown version'}, controller {source} available"
    if not numbers(tag) or numbers(tag) >= numbers(PINNED):
        return well(CHECK, words, source=source)
    if numbers(tag) < numbers(OLDEST):
        words += f"; before {OLDEST} a Rollout loses its preStop.sleep, so pods end without the time to drain"
        return amiss(CHECK, State.UNFIT, words, f"upgrade it, such as to {PINNED}", source=source)
    return well(CHECK, f"{words}; Midstream was tried with {PINNED}", source=source)


def _unavailable(controller: Object, pods: Sequence[Object]) -> Found:
    source = _source(controller)
    namespace, _, name = source.partition("/")
    if controller["spec"].get("replicas") == 0:
        words, mend = (
            f"the controller {source} is scaled to 0",
            f"kubectl scale deployment -n {namespace} {name} --replicas 1",
        )
        return amiss(CHECK, State.UNFIT, words, mend, source=source)
    reason = held_up(pod for pod in pods if pod["metadata"]["namespace"] == namespace)
    return amiss(
        CHECK,
        State.UNFIT if reason else State.PENDING,
        f"the controller {source} is not available{f': {reason}' if reason else ' yet'}",
        f"kubectl describe pods -n {namespace} -l {LABEL}",
        source=source,
    )


def is_controller(deployment: Object) -> bool:
    """By its label, or by an image called argo-rollouts: both outlive a rename. Its dashboard is none."""
    key, _, value = LABEL.partition("=")
    if (deployment["metadata"].get("labels") or {}).get(key) == value:
        return True
    return any(_repository(image).rpartition("/")[2] == "argo-rollouts" for image in _images(deployment))


def is_available(deployment: Object) -> bool:
    """It has a pod that has been ready for long enough."""
    return bool((deployment.get("status") or {}).get("availableReplicas"))


def _acts_in(deployment: Object, namespace: str) -> bool:
    """--namespaced: in its own namespace alone; --instance-id: on Rollouts labelled so, as ours are not."""
    words = [word for container in _containers(deployment) for word in container.get("args") or []]
    if any(word.startswith("--instance-id") for word in words):
        return False
    return "--namespaced" not in words or deployment["metadata"]["namespace"] == namespace


def _tag(deployment: Object) -> str:
    tags = (image.partition("@")[0].removeprefix(_repository(image))[1:] for image in _images(deployment))
    return next(filter(None, tags), "")


def numbers(tag: str) -> tuple[int, ...]:
    """The version in an image's tag, so that versions compare; empty for a tag such as latest."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", tag)
    return tuple(map(int, found.groups())) if found else ()


def _repository(image: str) -> str:
    """The image without digest and tag; a colon before the last slash belongs to a port."""
    path, slash, name = image.partition("@")[0].rpartition("/")
    return path + slash + name.partition(":")[0]


def _images(deployment: Object) -> list[str]:
    return [str(container["image"]) for container in _containers(deployment)]


def _containers(deployment: Object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def _source(deployment: Object) -> str:
    return f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
