"""The namespace that is deployed to: there, and not on its way out."""

from collections.abc import Iterator

from midstream.cluster.found import Found, State, amiss, hidden, well
from midstream.rollouts.client import ForbiddenError, Object

CHECK = "namespace"


def judge_namespace(namespace: Object | ForbiddenError | None, name: str) -> Found:
    """None: there is none of this name."""
    if isinstance(namespace, ForbiddenError):
        return hidden(CHECK, namespace)
    if namespace is None:
        mend = f"scripts/cluster_bootstrap.sh --namespace {name} makes it"
        return amiss(CHECK, State.MISSING, f"there is no namespace {name}", mend)
    if "deletionTimestamp" in namespace["metadata"] or _phase(namespace) == "Terminating":
        held = "; ".join(_holding(namespace))
        return amiss(
            CHECK,
            State.UNFIT,
            f"namespace {name} is being deleted" + (f", held by: {held}" if held else ""),
            "wait until it is gone, or take another one: NAMESPACE=...",
            source=name,
        )
    return well(CHECK, name, source=name)


def _phase(namespace: Object) -> str:
    return str((namespace.get("status") or {}).get("phase", ""))


def _holding(namespace: Object) -> Iterator[str]:
    """What the namespace controller still waits for, or cannot do, in its words."""
    for condition in (namespace.get("status") or {}).get("conditions") or []:
        if condition["status"] == "True":
            yield str(condition.get("message") or condition["type"]).rstrip(". ")
