"""`make bootstrap` where all is there: nothing of it is touched, and what was missing is made once."""

import json

from tests.cluster.commands import kubectl, make


def argo_versions() -> dict[str, str]:
    """Each object of Argo's namespace with its resourceVersion, which any write would change."""
    kinds = "deployments,serviceaccounts,configmaps,services"
    objects = json.loads(kubectl("-n", "argo-rollouts", "get", kinds, "-o", "json"))["items"]
    definitions = json.loads(kubectl("get", "crd", "rollouts.argoproj.io", "-o", "json"))
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in (*objects, definitions)}


def test_what_is_there_is_left_as_it_is(fresh_name):
    name, before = fresh_name("bootstrap"), argo_versions()
    first = make("bootstrap", NAMESPACE=name, ARGS="--no-gpu")
    assert first.code == 0, first.said
    assert f"made     namespace  {name}" in first.out
    made = kubectl("get", "namespace", name, "-o", "jsonpath={.metadata.resourceVersion}")
    again = make("bootstrap", NAMESPACE=name, ARGS="--no-gpu")
    assert again.code == 0, again.said
    assert f"ok       namespace  {name}: left as it is" in again.out
    assert kubectl("get", "namespace", name, "-o", "jsonpath={.metadata.resourceVersion}") == made
    assert argo_versions() == before
