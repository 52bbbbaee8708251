"""What a manifest must look like before rules read it: a wrong type is told with its place."""

from typing import Annotated, Any

import msgspec

Number = int | float


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Fields that no rule reads are nobody's business here."""


class _HttpGet(_Shape, frozen=True, kw_only=True, rename="camel"):
    path: str | None = None


class _Probe(_Shape, frozen=True, kw_only=True, rename="camel"):
    http_get: _HttpGet | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    failure_threshold: int = 3


class _Sleep(_Shape, frozen=True, kw_only=True, rename="camel"):
    seconds: int


class _Exec(_Shape, frozen=True, kw_only=True, rename="camel"):
    command: list[str] | None = None


class _PreStop(_Shape, frozen=True, kw_only=True, rename="camel"):
    sleep: _Sleep | None = None
    exec: _Exec | None = None


class _Lifecycle(_Shape, frozen=True, kw_only=True, rename="camel"):
    pre_stop: _PreStop | None = None


class _Variable(_Shape, frozen=True, kw_only=True, rename="camel"):
    name: str
    value: str | None = None


class _Resources(_Shape, frozen=True, kw_only=True, rename="camel"):
    requests: dict[str, str | Number] | None = None
    limits: dict[str, str | Number] | None = None


class _Container(_Shape, frozen=True, kw_only=True, rename="camel"):
    name: str
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[_Variable] | None = None
    lifecycle: _Lifecycle | None = None
    liveness_probe: _Probe | None = None
    readiness_probe: _Probe | None = None
    startup_probe: _Probe | None = None
    resources: _Resources | None = None


class _PodSpec(_Shape, frozen=True, kw_only=True, rename="camel"):
    containers: Annotated[list[_Container], msgspec.Meta(min_length=1)]
    init_containers: list[_Container] | None = None
    termination_grace_period_seconds: int | None = None
    tolerations: list[dict[str, Any]] | None = None
    node_selector: dict[str, str] | None = None


class _TemplateMetadata(_Shape, frozen=True, kw_only=True, rename="camel"):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Template(_Shape, frozen=True, kw_only=True, rename="camel"):
    spec: _PodSpec
    metadata: _TemplateMetadata | None = None


class _Metadata(_Shape, frozen=True, kw_only=True, rename="camel"):
    name: str
    namespace: str | None = None


class _AnalysisName(_Shape, frozen=True, kw_only=True, rename="camel"):
    template_name: str
    cluster_scope: bool = False


class _Analysis(_Shape, frozen=True, kw_only=True, rename="camel"):
    templates: list[_AnalysisName] | None = None


class _BlueGreen(_Shape, frozen=True, kw_only=True, rename="camel"):
    auto_promotion_enabled: bool | None = None
    scale_down_delay_seconds: int | None = None
    scale_down_delay_revision_limit: int | None = None
    pre_promotion_analysis: _Analysis | None = None
    post_promotion_analysis: _Analysis | None = None


class _Step(_Shape, frozen=True, kw_only=True, rename="camel"):
    analysis: _Analysis | None = None


class _Canary(_Shape, frozen=True, kw_only=True, rename="camel"):
    scale_down_delay_seconds: int | None = None
    traffic_routing: dict[str, Any] | None = None
    analysis: _Analysis | None = None
    steps: list[_Step] | None = None


class _RollingUpdate(_Shape, frozen=True, kw_only=True, rename="camel"):
    max_surge: int | str | None = None


class _Strategy(_Shape, frozen=True, kw_only=True, rename="camel"):
    blue_green: _BlueGreen | None = None
    canary: _Canary | None = None
    type: str | None = None
    rolling_update: _RollingUpdate | None = None


class _WorkloadSpec(_Shape, frozen=True, kw_only=True, rename="camel"):
    template: _Template
    replicas: int | None = None
    strategy: _Strategy | None = None
    update_strategy: _Strategy | None = None
    progress_deadline_seconds: int | None = None
    progress_deadline_abort: bool | None = None


class _Workload(_Shape, frozen=True, kw_only=True, rename="camel"):
    metadata: _Metadata
    spec: _WorkloadSpec


class _Target(_Shape, frozen=True, kw_only=True, rename="camel"):
    kind: str
    name: str


class _AutoscalerSpec(_Shape, frozen=True, kw_only=True, rename="camel"):
    scale_target_ref: _Target


class _Autoscaler(_Shape, frozen=True, kw_only=True, rename="camel"):
    metadata: _Metadata
    spec: _AutoscalerSpec


class _QuotaSpec(_Shape, frozen=True, kw_only=True, rename="camel"):
    hard: dict[str, str | Number] | None = None


class _Quota(_Shape, frozen=True, kw_only=True, rename="camel"):
    metadata: _Metadata
    spec: _QuotaSpec


class _Job(_Shape, frozen=True, kw_only=True, rename="camel"):
    spec: dict[str, Any] | None = None


class _Provider(_Shape, frozen=True, kw_only=True, rename="camel"):
    job: _Job | None = None


class _Metric(_Shape, frozen=True, kw_only=True, rename="camel"):
    name: str
    provider: _Provider | None = None


class _DryRun(_Shape, frozen=True, kw_only=True, rename="camel"):
    metric_name: str


class _AnalysisSpec(_Shape, frozen=True, kw_only=True, rename="camel"):
    metrics: list[_Metric] | None = None
    dry_run: list[_DryRun] | None = None


class _AnalysisTemplate(_Shape, frozen=True, kw_only=True, rename="camel"):
    metadata: _Metadata
    spec: _AnalysisSpec


SHAPES: dict[str, type[_Shape]] = {
    "Rollout": _Workload,
    "Deployment": _Workload,
    "StatefulSet": _Workload,
    "HorizontalPodAutoscaler": _Autoscaler,
    "ResourceQuota": _Quota,
    "AnalysisTemplate": _AnalysisTemplate,
    "ClusterAnalysisTemplate": _AnalysisTemplate,
}


def refuse_misshapen(document: dict[str, Any]) -> None:
    """Raises ValueError with the field's place; kinds that no rule reads pass."""
    shape = SHAPES.get(str(document.get("kind")))
    if shape is None:
        return
    try:
        msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError as wrong:
        metadata = document.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        raise ValueError(f"{document['kind']} {name}: {str(wrong).replace('$.', '')}") from wrong
