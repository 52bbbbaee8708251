"""What RBAC has to allow: for our manifests as they are, for a promotion."""

from pathlib import Path

import pytest
import yaml

from midstream.cluster import access
from midstream.cluster.found import State
from midstream.rollouts.client import Access

K8S = Path(__file__).parents[3] / "k8s"


def applied() -> set[tuple[str, str]]:
    """Group and resource of all that base and overlays hold; lists are JSON patches of these."""
    found = set()
    for file in [*(K8S / "base").glob("*.yaml"), *(K8S / "overlays").glob("*/*.yaml")]:
        for each in yaml.safe_load_all(file.read_text()):
            if isinstance(each, dict) and each["kind"] not in ("Kustomization", "Namespace"):
                group = each["apiVersion"].rpartition("/")[0]
                found.add((group, f"{each['kind'].lower()}s"))
    return found


def test_all_kinds_of_the_manifests_are_asked_for():
    assert applied() == set(access.DEPLOYED)


def test_a_namespace_has_to_be_made_only_where_there_is_none():
    make = Access("create", "", "namespaces", "")
    assert make in access.deploying("llm", is_there=False)
    assert make not in access.deploying("llm", is_there=True)


def test_a_promotion_writes_the_rollout_and_its_status():
    needed = access.promoting("llm")
    assert {Access("patch", "argoproj.io", name, "llm") for name in ("rollouts", "rollouts/status")} <= {
        *needed
    }
    assert len(needed) == len(set(needed))


@pytest.mark.parametrize("check", [access.DEPLOYING, access.PROMOTING])
def test_missing_rules_are_named(check):
    needed = access.promoting("llm")
    assert access.judge_access(check, "llm", needed, []).state is State.OK
    found = access.judge_access(check, "llm", needed, [needed[0], needed[-2]])
    assert (found.check, found.state) == (check, State.UNFIT)
    assert found.words == f"2 of {len(needed)} permissions are missing in namespace llm"
    assert found.mend == f"add to the Role: {needed[0].rule}; {needed[-2].rule}"


def test_rules_that_a_role_lacks_are_few_and_a_namespace_needs_a_cluster_role():
    needed = access.deploying("llm", is_there=False)
    mend = access.judge_access(access.DEPLOYING, "llm", needed, needed).mend
    assert mend.startswith(
        'add to the Role: apiGroups: [""], resources: ["configmaps", "services", "persistentvolumeclaims"], '
        'verbs: ["get", "list", "create", "patch", "delete"]; '
    )
    assert mend.endswith(
        'add to a ClusterRole: apiGroups: [""], resources: ["namespaces"], verbs: ["create"]'
    )
