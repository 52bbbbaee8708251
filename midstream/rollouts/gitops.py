"""Who else manages a Rollout: a tool that applies its own source again undoes an update by hand."""

from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts import argo

Object: TypeAlias = dict[str, Any]


class _Sign(NamedTuple):
    """A label or annotation that a tool puts on what it manages."""

    key: str
    value: str  # "" for any
    tool: str
    what: str


# Argo CD, "Resource Tracking": app.kubernetes.io/instance is its default label, but others set it as well.
# Flux: kustomize-controller and helm-controller label what they apply. Helm 3.2: "ownership" metadata.
_SIGNS = (
    _Sign("argocd.argoproj.io/tracking-id", "", "Argo CD", "a sync"),
    _Sign("argocd.argoproj.io/instance", "", "Argo CD", "a sync"),
    _Sign("kustomize.toolkit.fluxcd.io/name", "", "Flux", "its next reconciliation"),
    _Sign("helm.toolkit.fluxcd.io/name", "", "Flux", "its next reconciliation"),
    _Sign("app.kubernetes.io/managed-by", "Helm", "Helm", "the next upgrade of its release"),
)


def managed_by(rollout: Object) -> str:
    """One sentence of warning; "" where nothing says that a tool manages it."""
    told = argo.labels(rollout) | argo.annotations(rollout)
    for sign in _SIGNS:
        if sign.key in told and sign.value in ("", told[sign.key]):
            return (
                f"{sign.tool} manages this Rollout ({sign.key}): {sign.what} may undo the update,"
                " so change its source as well"
            )
    return ""
