"""Tools that would undo an update are named by what they write on the Rollout."""

import pytest

from midstream.rollouts.gitops import managed_by
from tests.midstream.rollouts.objects import rollout

SIGNS = {
    "Argo CD by annotation": ({"annotations": {"argocd.argoproj.io/tracking-id": "a:b"}}, "Argo CD"),
    "Argo CD by label": ({"labels": {"argocd.argoproj.io/instance": "a"}}, "Argo CD"),
    "Flux kustomization": ({"labels": {"kustomize.toolkit.fluxcd.io/name": "a"}}, "Flux"),
    "Flux by Helm": (
        {"labels": {"helm.toolkit.fluxcd.io/name": "a", "app.kubernetes.io/managed-by": "Helm"}},
        "Flux",
    ),
    "Helm": ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
    "applied by hand": ({"labels": {"app.kubernetes.io/managed-by": "kubectl"}}, ""),
    "nothing told": ({}, ""),
}


@pytest.mark.parametrize(("metadata", "tool"), SIGNS.values(), ids=SIGNS)
def test_each_tool(metadata, tool):
    warning = managed_by(rollout(metadata=metadata))
    assert warning.startswith(f"{tool} manages this Rollout") if tool else warning == ""
