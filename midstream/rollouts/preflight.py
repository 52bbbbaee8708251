"""What must hold before a Rollout is touched, read only: each check a finding with what to do."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from midstream.rollouts import argo
from midstream.rollouts.budget import command_line, serving_container
from midstream.rollouts.client import KINDS, Access, Cluster, ClusterError, rules
from midstream.rollouts.unready import is_ready
from midstream.rollouts.watcher import OPTIONAL_KINDS, WATCHED_KINDS
from midstream.run import Image

Object: TypeAlias = dict[str, Any]

STATUS_VERBS = frozenset({"promote", "promote-full", "abort", "retry"})
TEMPLATE_VERBS = frozenset({"set-image", "set-model", "set-env", "set-args", "same", "undo"})
SPEC_VERBS = TEMPLATE_VERBS | {"pause", "restart"}


PROVE = "prove"  # the negative control: not a verb on a Rollout, but it needs a permission as they do


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check saw; with `ok` false nothing may be written."""

    check: str
    ok: bool
    words: str
    mend: str = ""  # what to do; empty when ok


class _Scene(NamedTuple):
    cluster: Cluster
    namespace: str
    name: str
    rollout: Object
    replica_sets: list[Object]
    pods: list[Object]

    @property
    def argo_command(self) -> str:
        return f"kubectl argo rollouts get rollout {self.name} -n {self.namespace}"


def preflight(cluster: Cluster, namespace: str, name: str, verbs: frozenset[str]) -> tuple[Finding, ...]:
    """All findings in order; it ends with the first that leaves the later checks nothing to read.

    `verbs` are those that will be used ("set-image", "promote"); none: watching needs no write at all.
    """
    findings = []
    for finding in _findings(cluster, namespace, name, verbs):
        findings.append(finding)
        if not finding.ok and finding.check in _BARRIERS:
            break
    return tuple(findings)


def needed_access(namespace: str, verbs: frozenset[str]) -> tuple[Access, ...]:
    """What RBAC has to allow for these verbs, watching and the run lock included."""
    reads = [
        Access(verb, KINDS[kind].group, kind, namespace)
        for kind in WATCHED_KINDS
        if kind not in OPTIONAL_KINDS
        for verb in ("get", "list", "watch")
    ]
    locks = lock_access(namespace) if verbs else ()
    return (*reads, *verb_access(namespace, verbs), *locks)


def verb_access(namespace: str, verbs: frozenset[str]) -> tuple[Access, ...]:
    """What these verbs write."""
    writes = [
        Access("patch", "argoproj.io", resource, namespace)
        for resource, needing in (("rollouts/status", STATUS_VERBS), ("rollouts", SPEC_VERBS))
        if verbs & needing
    ]
    deletes = [Access("delete", "", "pods", namespace)] if PROVE in verbs else []
    return (*writes, *deletes)


def lock_access(namespace: str) -> tuple[Access, ...]:
    """What the run lock takes, which every test that changes the Rollout holds."""
    return tuple(
        Access(verb, "coordination.k8s.io", "leases", namespace) for verb in ("get", "create", "update")
    )


def subject_images(cluster: Cluster, namespace: str, rollout: Object, revision: str) -> Image:
    """What one revision runs: from its ReplicaSet's template, digests from a pod of it."""
    labels = f"{argo.HASH_LABEL}={revision}"
    replica_sets = cluster.list("replicasets", namespace, labels=labels).items
    name = rollout["metadata"]["name"]
    owned = [item for item in replica_sets if argo.owned_by(item, "Rollout", name)]
    if not owned:
        return Image(revision=revision)
    pod_spec = owned[0]["spec"]["template"]["spec"]
    return Image(
        revision=revision,
        images={container["name"]: container["image"] for container in pod_spec["containers"]},
        digests=_digests(cluster.list("pods", namespace, labels=labels).items),
        command=command_line(serving_container(pod_spec)),
    )


def _digests(pods: list[Object]) -> dict[str, str]:
    """imageID is empty until a container has started, and absent on some runtimes."""
    return {
        status["name"]: status["imageID"]
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or []
        if status.get("imageID")
    }


def _findings(cluster: Cluster, namespace: str, name: str, verbs: frozenset[str]) -> Iterator[Finding]:
    yield check_api(cluster)
    yield check_access(cluster, namespace, verbs)
    rollout = cluster.get("rollouts", namespace, name)
    yield check_exists(rollout, namespace, name)
    assert rollout is not None  # a barrier: without a Rollout the generator is not asked for more
    scene = _Scene(
        cluster,
        namespace,
        name,
        rollout,
        cluster.list("replicasets", namespace, labels=argo.label_selector(rollout)).items,
        cluster.list("pods", namespace, labels=argo.label_selector(rollout)).items,
    )
    for check in _CHECKS:
        yield check(scene)


def check_api(cluster: Cluster) -> Finding:
    """The API server answers with our credentials."""
    try:
        version = cluster.version().get("gitVersion", "of unknown version")
    except ClusterError as error:
        return _bad("api", str(error), "check the kubeconfig, its context and the network: kubectl version")
    return _good("api", f"API server {cluster.server}, Kubernetes {version}")


def check_access(cluster: Cluster, namespace: str, verbs: frozenset[str]) -> Finding:
    """RBAC allows all that the chosen verbs need."""
    needed = needed_access(namespace, verbs)
    return access_finding("access", namespace, needed, [each for each in needed if not cluster.can(each)])


def access_finding(
    check: str, namespace: str, needed: Sequence[Access], missing: Sequence[Access]
) -> Finding:
    """What RBAC denies of what is needed, with the rules that a Role lacks."""
    if missing:
        return _bad(
            check,
            f"{len(missing)} of {len(needed)} permissions are missing in namespace {namespace}",
            "; ".join(_where(missing)),
        )
    return _good(check, f"all {len(needed)} permissions")


def _where(missing: Sequence[Access]) -> Iterator[str]:
    for kind, those in (
        ("the Role", [each for each in missing if each.namespace]),
        ("a ClusterRole", [each for each in missing if not each.namespace]),
    ):
        if those:
            yield f"add to {kind}: {'; '.join(rules(those))}"


def check_exists(rollout: Object | None, namespace: str, name: str) -> Finding:
    """The Rollout is there."""
    if rollout is None:
        return _bad(
            "rollout",
            f"there is no Rollout {name} in namespace {namespace}",
            f"kubectl get rollouts -n {namespace} (none at all: is Argo Rollouts installed?)",
        )
    return _good("rollout", f"Rollout {namespace}/{name}")


def check_strategy(scene: _Scene) -> Finding:
    """It is a blue/green Rollout with its own template."""
    if not argo.is_blue_green(scene.rollout):
        return _bad(
            "strategy",
            "the Rollout's strategy is not blueGreen",
            "Midstream judges blue/green cutovers; lint and --host still help",
        )
    if argo.workload_ref(scene.rollout) is not None:
        return _bad(
            "strategy",
            "the Rollout takes its template from a Deployment (workloadRef)",
            "Midstream reads the drain budget from a Rollout's own template; --host still helps",
        )
    return _good("strategy", "blue/green")


def check_services(scene: _Scene) -> Finding:
    """The active Service, and the preview one where named, exist and select a ready pod."""
    named = [argo.active_service(scene.rollout), argo.preview_service(scene.rollout)]
    for service in filter(None, named):
        found = scene.cluster.get("services", scene.namespace, service)
        if found is None:
            return _bad(
                "services", f"Service {service} does not exist", "create it, or mend the Rollout's spec"
            )
        selector = found["spec"].get("selector") or {}
        if not any(is_ready(pod) and selector.items() <= argo.labels(pod).items() for pod in scene.pods):
            return _bad("services", f"Service {service} selects no ready pod", scene.argo_command)
    return _good("services", "Services " + ", ".join(filter(None, named)))


def check_settled(scene: _Scene) -> Finding:
    """Healthy, not paused, not aborted, not half-updated: a run must begin from a state of rest."""
    rollout = scene.rollout
    phase = argo.phase(rollout)
    states = {
        "aborted": (argo.is_aborted(rollout), "finish it first: kubectl argo rollouts undo or retry rollout"),
        "paused by its spec": (bool(rollout["spec"].get("paused")), "set spec.paused to false"),
        "half-updated": (
            argo.is_half_updated(rollout),
            "promote or abort the update that is under way first",
        ),
        f"{phase}, not Healthy ({argo.message(rollout) or 'no message'})": (
            not argo.is_healthy(rollout),
            scene.argo_command,
        ),
    }
    for state, (holds, mend) in states.items():
        if holds:
            return _bad("settled", f"the Rollout is {state}", mend)
    return _good("settled", f"Healthy at revision {argo.stable_hash(rollout)}")


def check_nothing_drains(scene: _Scene) -> Finding:
    """No older revision still runs: its end would be taken for this run's."""
    stable = argo.stable_hash(scene.rollout)
    older = [
        item["metadata"]["name"]
        for item in scene.replica_sets
        if argo.owned_by(item, "Rollout", scene.name)
        and argo.labels(item).get(argo.HASH_LABEL) != stable
        and (item["spec"].get("replicas") or item.get("status", {}).get("replicas"))
    ]
    leaving = [pod["metadata"]["name"] for pod in scene.pods if "deletionTimestamp" in pod["metadata"]]
    if older or leaving:
        return _bad(
            "drained",
            f"still on its way out: {', '.join([*older, *leaving])}",
            "wait until it is gone (scaleDownDelaySeconds and the grace period), then run again",
        )
    return _good("drained", "nothing drains")


_CHECKS: tuple[Callable[[_Scene], Finding], ...] = (
    check_strategy,
    check_services,
    check_settled,
    check_nothing_drains,
)
_BARRIERS = frozenset({"api", "access", "rollout", "strategy"})


def _good(check: str, words: str) -> Finding:
    return Finding(check=check, ok=True, words=words)


def _bad(check: str, words: str, mend: str) -> Finding:
    return Finding(check=check, ok=False, words=words, mend=mend)
