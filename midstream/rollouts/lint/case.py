"""One workload with whatever is known around it: all that a rule may look at."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts.budget import DrainBudget, serving_container

Object: TypeAlias = dict[str, Any]
Version: TypeAlias = tuple[int, int]

ROLLOUT, DEPLOYMENT, STATEFUL_SET = "Rollout", "Deployment", "StatefulSet"


class Case(NamedTuple):
    """What is not known is empty or None, and then no rule says anything of it."""

    workload: Object  # its kind, with the pod template in spec.template even where workloadRef names it
    budget: DrainBudget
    kubernetes: Version | None = None
    stream_s: float | None = None  # how long the streams of a planned test are
    autoscalers: Sequence[Object] = ()  # of the namespace
    quotas: Sequence[Object] = ()  # of the namespace; without status nothing but this workload uses it
    analyses: Sequence[Object] = ()  # AnalysisTemplates and ClusterAnalysisTemplates
    nodes: Sequence[Object] = ()
    pods: Sequence[Object] = ()  # of all namespaces

    @property
    def kind(self) -> str:
        """Rollout, Deployment or StatefulSet."""
        return str(self.workload["kind"])

    @property
    def name(self) -> str:
        """NAMESPACE/NAME, NAME alone where the manifest has no namespace."""
        metadata = self.workload["metadata"]
        namespace = metadata.get("namespace")
        return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])

    @property
    def spec(self) -> Object:
        """The workload's spec."""
        return self.workload["spec"]  # type: ignore[no-any-return]

    @property
    def template(self) -> Object:
        """Its pod template."""
        return self.spec["template"]  # type: ignore[no-any-return]

    @property
    def pod_spec(self) -> Object:
        """The spec of its pods."""
        return self.template["spec"]  # type: ignore[no-any-return]

    @property
    def container(self) -> Object:
        """The container that streams."""
        return serving_container(self.pod_spec)

    @property
    def blue_green(self) -> Object | None:
        """The strategy of a blue/green Rollout; None for all else."""
        return blue_green(self.workload)

    @property
    def is_rolling(self) -> bool:
        """Whether an update deletes old pods as it goes, with no delay after a cutover."""
        return self.budget.scale_down_delay_s == 0.0

    @property
    def replicas(self) -> int:
        """How many pods one revision has; 1 where the spec says nothing."""
        told = self.spec.get("replicas")
        return 1 if told is None else int(told)


def blue_green(workload: Object) -> Object | None:
    """The strategy of a blue/green Rollout; None for all else."""
    if workload["kind"] != ROLLOUT:
        return None
    found: Object | None = (workload["spec"].get("strategy") or {}).get("blueGreen")
    return found
