"""A template's hash names it, and nothing else."""

import pytest

from midstream.rehearsal.store import NAME_ALPHABET
from midstream.rehearsal.templates import HASH_LABEL, new_replica_set, owner_uid, pod_template_hash
from tests.midstream.rehearsal.cluster import rollout

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


def test_hash_is_made_of_safe_letters():
    assert set(pod_template_hash(TEMPLATE)) <= set(NAME_ALPHABET)
    assert len(pod_template_hash(TEMPLATE)) == 10


def test_hash_does_not_depend_on_the_order_of_keys():
    turned = dict(reversed(TEMPLATE.items()))
    assert pod_template_hash(turned) == pod_template_hash(TEMPLATE)


def test_hash_does_not_see_what_go_clients_write_for_unset_fields():
    written = {
        "metadata": {"labels": {"app": "a"}, "creationTimestamp": None},
        "spec": {"containers": [{"name": "c", "image": "i:1", "resources": {}}]},
    }
    assert pod_template_hash(written) == pod_template_hash(TEMPLATE)


@pytest.mark.parametrize(
    "other",
    [
        {**TEMPLATE, "metadata": {"labels": {"app": "a"}, "annotations": {"again": "1"}}},
        {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i:2"}]}},
    ],
    ids=["annotation", "image"],
)
def test_any_change_gives_another_hash(other):
    assert pod_template_hash(other) != pod_template_hash(TEMPLATE)


def test_new_replica_set_is_named_labelled_and_owned():
    source = rollout()
    source["metadata"]["uid"] = "u1"
    made = new_replica_set(source, revision=3, replicas=2)
    template_hash = pod_template_hash(source["spec"]["template"])
    assert made["metadata"]["name"] == f"vllm-{template_hash}"
    assert made["metadata"]["annotations"]["rollout.argoproj.io/revision"] == "3"
    assert owner_uid(made) == "u1"
    assert made["spec"]["replicas"] == 0
    both = {"app": "vllm", HASH_LABEL: template_hash}
    assert made["metadata"]["labels"] == made["spec"]["selector"]["matchLabels"] == both
    assert made["spec"]["template"]["metadata"]["labels"] == both
    assert HASH_LABEL not in source["spec"]["template"]["metadata"]["labels"]
