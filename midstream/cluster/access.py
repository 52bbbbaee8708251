"""RBAC: what deploying takes, what a judged promotion takes."""

from collections.abc import Sequence

from midstream.cluster.found import Found, State, amiss, well
from midstream.rollouts.client import Access
from midstream.rollouts.preflight import access_finding, needed_access

DEPLOYING, PROMOTING = "deploying", "promoting"

# What scripts/deploy.sh applies from k8s/, reads while it waits, and removes.
DEPLOYED = (
    ("", "configmaps"),
    ("", "services"),
    ("", "persistentvolumeclaims"),
    ("argoproj.io", "rollouts"),
)
DEPLOYED_VERBS = ("get", "list", "create", "patch", "delete")
READ = (("", "pods", "list"), ("", "pods/log", "get"), ("apps", "replicasets", "list"))


def deploying(namespace: str, *, is_there: bool) -> tuple[Access, ...]:
    """For `make up` and `make down`; a namespace that is not there has to be made first."""
    made = () if is_there else (Access("create", "", "namespaces", ""),)
    applied = [
        Access(verb, group, resource, namespace) for group, resource in DEPLOYED for verb in DEPLOYED_VERBS
    ]
    read = [Access(verb, group, resource, namespace) for group, resource, verb in READ]
    return (*made, *applied, *read)


def promoting(namespace: str) -> tuple[Access, ...]:
    """For a test that updates the Rollout and promotes it itself, watching included."""
    return needed_access(namespace, frozenset({"set-image", "promote"}))


def judge_access(check: str, namespace: str, needed: Sequence[Access], missing: Sequence[Access]) -> Found:
    """What RBAC denies, each rule named."""
    finding = access_finding(check, namespace, needed, missing)
    if finding.ok:
        return well(check, finding.words)
    return amiss(check, State.UNFIT, finding.words, finding.mend)
