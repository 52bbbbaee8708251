"""The negative control: kills a pod under throw-away streams to see whether they are called lost."""

import time

import gevent
from gevent.event import Event

from hooks.load import Load
from hooks.tested import WatchedRollout
from midstream.rollouts import argo
from midstream.rollouts.client import ClusterError
from midstream.run import ControlFinding
from midstream.streams.ending import Outcome
from midstream.streams.record import StreamRecord

STREAMS_A_POD = 8  # where there are several pods: that none is on the one killed has a chance of e**-8
MOST_STREAMS = 64
FLOW_LIMIT_S = 30.0
POLL_S = 0.05


def prove(rollout: WatchedRollout, load: Load, limit_s: float) -> ControlFinding:
    """Hold streams, delete a pod with a grace of 0, wait at most `limit_s` for the first loss."""
    try:
        pods = _serving_pods(rollout)
    except ClusterError as error:
        return ControlFinding(why=str(error))
    if not pods:
        return ControlFinding(why="no pod of the active revision was found")
    count = 1 if len(pods) == 1 else min(MOST_STREAMS, STREAMS_A_POD * len(pods))
    records: list[StreamRecord] = []
    lost = Event()

    def note(record: StreamRecord) -> None:
        records.append(record)
        if record.outcome is Outcome.LOST:
            lost.set()

    streams = [gevent.spawn(load.throw_away, note) for _ in range(count)]
    try:
        if not _flow(load, count):
            return ControlFinding(
                streams=count, why=f"not all of {count} throw-away streams had a token in time"
            )
        rollout.cluster.delete("pods", rollout.namespace, pods[0], grace_s=0)
        lost.wait(limit_s)
        gevent.sleep(POLL_S)  # those that were cut together
    except ClusterError as error:
        return ControlFinding(streams=count, pod=pods[0], why=str(error))
    finally:
        gevent.killall(streams)
    failed = sum(record.outcome is Outcome.LOST for record in records)
    return ControlFinding(streams=count, lost=failed, pod=pods[0])


def _serving_pods(rollout: WatchedRollout) -> list[str]:
    """The pods of the revision that serves now."""
    found = rollout.cluster.get("rollouts", rollout.namespace, rollout.name)
    stable = argo.stable_hash(found) if found is not None else None
    if stable is None:
        return []
    labels = f"{argo.HASH_LABEL}={stable}"
    pods = rollout.cluster.list("pods", rollout.namespace, labels=labels).items
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    )


def _flow(load: Load, count: int) -> bool:
    deadline = time.monotonic() + FLOW_LIMIT_S
    while load.flowing() < count:
        if time.monotonic() > deadline:
            return False
        gevent.sleep(POLL_S)
    return True
