"""A cluster of one Rollout on a clock that only moves when told, with a kubelet that obeys the test."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from midstream.rehearsal.controller import RolloutController
from midstream.rehearsal.endpoints import EndpointController
from midstream.rehearsal.store import KINDS, Event, Object, Store
from midstream.rehearsal.templates import HASH_LABEL
from midstream.rehearsal.timestamps import time_text
from midstream.rehearsal.workloads import ReplicaSetController

NOON = datetime(2026, 11, 3, 12, 0, 0, tzinfo=UTC)
NS = "llm"
PORTS = [{"name": "http", "port": 80, "targetPort": "http"}]


def rollout(**blue_green: Any) -> Object:
    """A Rollout of two pods that waits for a promotion."""
    strategy = {
        "activeService": "vllm",
        "previewService": "vllm-preview",
        "autoPromotionEnabled": False,
        "scaleDownDelaySeconds": 30,
        **blue_green,
    }
    container = {"name": "vllm", "image": "engine:1", "ports": [{"name": "http", "containerPort": 8000}]}
    return {
        "metadata": {"name": "vllm", "namespace": NS},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "vllm"}},
            "strategy": {"blueGreen": strategy},
            "template": {
                "metadata": {"labels": {"app": "vllm"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 60},
            },
        },
    }


def service(name: str) -> Object:
    """A Service on all pods of the Rollout, before Argo narrows it."""
    return {
        "metadata": {"name": name, "namespace": NS},
        "spec": {"selector": {"app": "vllm"}, "ports": PORTS},
    }


class Cluster:
    """Store and controllers; the test plays the kubelet and the client."""

    def __init__(self, source: Object | None = None, ignore: frozenset[str] = frozenset()) -> None:
        self.now = NOON
        self.store = Store(now=lambda: self.now, rng=random.Random(7))
        self.watch = self.store.subscribe(tuple(KINDS))
        self.rollouts = RolloutController(self.store, now=lambda: self.now, ignore=ignore)
        self.syncs: tuple[Callable[[], Any], ...] = (
            self.rollouts.sync,
            ReplicaSetController(self.store, now=lambda: self.now).sync,
            EndpointController(self.store, now=lambda: self.now).sync,
        )
        for name in ("vllm", "vllm-preview"):
            self.store.create("services", service(name))
        self.store.create("rollouts", source or rollout())

    def settle(self) -> None:
        """Run every controller until nothing changes any more."""
        for _ in range(50):
            before = self.store.version
            for sync in self.syncs:
                sync()
            if self.store.version == before:
                return
        raise AssertionError("the controllers never come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, then let the controllers see it."""
        self.now += timedelta(seconds=seconds)
        self.settle()

    def start_pods(self) -> None:
        """The kubelet: every pod that is not ending becomes ready."""
        for pod in self.store.list("pods")[0]:
            if "deletionTimestamp" not in pod["metadata"]:
                self.set_ready(pod, True)
        self.settle()

    def set_ready(self, pod: Object, ready: bool) -> None:
        """The kubelet: one pod's Ready condition."""
        index = int.from_bytes(pod["metadata"]["uid"][:2].encode()) % 250 + 1

        def change(obj: Object) -> None:
            said = {"type": "Ready", "status": str(ready), "lastTransitionTime": time_text(self.now)}
            obj["status"] = {"phase": "Running", "podIP": f"127.0.0.{index}", "conditions": [said]}

        metadata = pod["metadata"]
        self.store.edit("pods", metadata["namespace"], metadata["name"], change, status=True)

    def finish_pods(self) -> None:
        """The kubelet: every pod that was asked to end is gone."""
        for pod in self.store.list("pods")[0]:
            if "deletionTimestamp" in pod["metadata"]:
                self.store.remove("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.settle()

    def set_image(self, image: str) -> None:
        """The client: another pod template."""

        def change(obj: Object) -> None:
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

        self.store.edit("rollouts", NS, "vllm", change)
        self.settle()

    def patch_status(self, **fields: Any) -> None:
        """The client: a merge patch on /status, where None removes."""

        def change(obj: Object) -> None:
            for field, value in fields.items():
                obj["status"].pop(field, None) if value is None else obj["status"].update({field: value})

        self.store.edit("rollouts", NS, "vllm", change, status=True)
        self.settle()

    def patch_spec(self, **fields: Any) -> None:
        """The client: fields of the spec."""
        self.store.edit("rollouts", NS, "vllm", lambda obj: obj["spec"].update(fields))
        self.settle()

    def point(self, name: str, image: str) -> None:
        """Somebody's hand: a Service on the revision of that image."""
        wanted = {HASH_LABEL: self.hash_of(image)}
        self.store.edit("services", NS, name, lambda obj: obj["spec"]["selector"].update(wanted))
        self.settle()

    def promote(self) -> None:
        """The client: kubectl argo rollouts promote."""
        self.patch_status(pauseConditions=None)

    def deployed(self) -> "Cluster":
        """The first revision serves."""
        self.settle()
        self.start_pods()
        assert self.phase == ("Healthy", "")
        self.advance(60)  # so that the next revision is younger by its creationTimestamp
        return self

    def paused(self) -> "Cluster":
        """A second revision waits for its promotion."""
        self.deployed().set_image("engine:2")
        self.start_pods()
        assert self.phase == ("Paused", "BlueGreenPause")
        return self

    def promoted(self) -> "Cluster":
        """The second revision serves, the first still lives."""
        self.paused().promote()
        assert self.phase == ("Healthy", "")
        return self

    @property
    def rollout(self) -> Object:
        """The Rollout as it is now."""
        found = self.store.get("rollouts", NS, "vllm")
        assert found is not None
        return found

    @property
    def status(self) -> Object:
        """Its status."""
        status: Object = self.rollout["status"]
        return status

    @property
    def phase(self) -> tuple[str, str]:
        """Its phase and message."""
        return self.status["phase"], self.status.get("message", "")

    def selected(self, name: str = "vllm") -> str:
        """The hash that a Service selects."""
        found = self.store.get("services", NS, name)
        assert found is not None
        selected: str = found["spec"]["selector"].get(HASH_LABEL, "")
        return selected

    def replica_set(self, image: str) -> Object:
        """The ReplicaSet of that image."""
        return next(
            rs
            for rs in self.store.list("replicasets")[0]
            if rs["spec"]["template"]["spec"]["containers"][0]["image"] == image
        )

    def hash_of(self, image: str) -> str:
        """The pod-template hash of that image."""
        found: str = self.replica_set(image)["metadata"]["labels"][HASH_LABEL]
        return found

    def pods(self, image: str) -> list[Object]:
        """The pods of that image."""
        return [pod for pod in self.store.list("pods")[0] if pod["spec"]["containers"][0]["image"] == image]

    def events(self) -> list[Event]:
        """What a watch on everything saw since the last call."""
        return [self.watch.get_nowait() for _ in range(self.watch.qsize())]
