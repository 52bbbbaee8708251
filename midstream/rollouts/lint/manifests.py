"""Manifests as cases: every workload of a YAML text, with what else stands in it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import yaml

from midstream.rollouts.lint.case import DEPLOYMENT, ROLLOUT, STATEFUL_SET, Case, Object, Version
from midstream.rollouts.lint.drain import drain_budget
from midstream.rollouts.lint.shapes import refuse_misshapen

WORKLOADS = (ROLLOUT, DEPLOYMENT, STATEFUL_SET)


class Examined(NamedTuple):
    """A case with what could not be looked at, a sentence each."""

    case: Case
    unseen: tuple[str, ...] = ()


NO_CLUSTER = "free room on nodes, autoscalers and quotas beyond the manifest: no cluster was asked"


def read_manifests(text: str, *, kubernetes: Version | None, stream_s: float | None) -> tuple[Examined, ...]:
    """The workloads in their order; `kind: List` is opened. Raises ValueError in one line."""
    documents = list(_documents(text))
    named = {_referenced(each) for each in documents} - {None}
    workloads = [each for each in documents if each.get("kind") in WORKLOADS and _key(each) not in named]
    if not workloads:
        raise ValueError(f"there is no {', '.join(WORKLOADS[:-1])} or {WORKLOADS[-1]} in it")
    return tuple(_examined(each, documents, kubernetes, stream_s) for each in workloads)


def _examined(
    workload: Object, documents: Sequence[Object], kubernetes: Version | None, stream_s: float | None
) -> Examined:
    namespace = workload["metadata"].get("namespace")

    def beside(*kinds: str) -> tuple[Object, ...]:
        return tuple(
            each
            for each in documents
            if each.get("kind") in kinds and each["metadata"].get("namespace") in (None, namespace)
        )

    case = Case(
        workload=workload,
        budget=drain_budget(workload),
        kubernetes=kubernetes,
        stream_s=stream_s,
        autoscalers=beside("HorizontalPodAutoscaler"),
        quotas=beside("ResourceQuota"),
        analyses=beside("AnalysisTemplate", "ClusterAnalysisTemplate"),
    )
    return Examined(case, (NO_CLUSTER,))


def _documents(text: str) -> Iterator[Object]:
    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from error
    opened = [inner for each in found if each is not None for inner in _opened(each)]
    by_key = {_key(each): each for each in opened}
    for each in opened:
        if _referenced(each) is None:
            refuse_misshapen(each)
    for each in opened:
        target = _referenced(each)
        if target is not None:
            filled = with_template(each, by_key.get(target))
            refuse_misshapen(filled)
            yield filled
        else:
            yield each


def _opened(document: object) -> Iterator[Object]:
    if not isinstance(document, dict):
        raise ValueError("a document in it is no Kubernetes object")
    if document.get("kind") == "List":
        for item in document.get("items") or []:
            yield from _opened(item)
    else:
        yield document


def with_template(workload: Object, referenced: Object | None) -> Object:
    """A Rollout with the pod template that its workloadRef names. Raises ValueError without that."""
    if referenced is None:
        reference = workload["spec"]["workloadRef"]
        raise ValueError(
            f"Rollout {workload['metadata']['name']} takes its pods from {reference.get('kind')}"
            f" {reference.get('name')} (workloadRef), which is not there"
        )
    return workload | {"spec": workload["spec"] | {"template": referenced["spec"]["template"]}}


def _referenced(document: Object) -> tuple[str, str] | None:
    spec = document.get("spec")
    reference = (
        spec.get("workloadRef") if document.get("kind") == ROLLOUT and isinstance(spec, dict) else None
    )
    return (str(reference.get("kind")), str(reference.get("name"))) if isinstance(reference, dict) else None


def _key(document: Object) -> tuple[str, str]:
    metadata = document.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return str(document.get("kind")), str(name)
