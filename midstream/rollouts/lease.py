"""The run lock: a Lease beside the Rollout, so that two tests do not change one Rollout at a time."""

import getpass
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts.client import Cluster, ClusterError, ConflictError, NotFoundError, UnreachableError

Object: TypeAlias = dict[str, Any]

LEASE_S = 30  # without a renewal the lock is free after this, so that a killed test locks nobody out
RENEW_EVERY_S = 10.0  # two renewals may fail before it is lost
TRIES = 4  # against somebody who takes it at the same moment
OURS = {"app.kubernetes.io/part-of": "midstream"}  # the label by which scripts/deploy.sh takes things away


class HeldError(Exception):
    """Another test holds the lock; the text says who, until when, what to do."""


class LostError(Exception):
    """The lock is no longer ours; the text says why."""


class Holding(NamedTuple):
    """Who has the lock."""

    holder: str
    until: datetime  # unless it is renewed


def lease_name(rollout: str) -> str:
    """The Lease of a Rollout."""
    return f"midstream-{rollout}"


def identity(now: datetime) -> str:
    """This process, for people; unique by its pid with the second of its start."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (pid {os.getpid()}, since {now:%Y-%m-%d %H:%M:%S} UTC)"


def holding(lease: Object, now: datetime) -> Holding | None:
    """Who holds it at that moment; None when it is free or was not renewed in time."""
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return None
    renewed = datetime.fromisoformat(spec["renewTime"])
    until = renewed + timedelta(seconds=spec.get("leaseDurationSeconds") or LEASE_S)
    return Holding(spec["holderIdentity"], until) if now < until else None


def fresh(namespace: str, rollout: str, holder: str, now: datetime) -> Object:
    """The Lease where there is none yet."""
    metadata = {"name": lease_name(rollout), "namespace": namespace, "labels": OURS}
    empty: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
    return taken(empty, holder, now) | {"metadata": metadata}


def taken(lease: Object, holder: str, now: datetime) -> Object:
    """The same Lease in our hands."""
    before = lease.get("spec") or {}
    transitions = before.get("leaseTransitions", -1) + 1  # counted from 0, as client-go does
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": LEASE_S,
        "acquireTime": _micro_time(now),
        "renewTime": _micro_time(now),
        "leaseTransitions": transitions,
    }
    return lease | {"spec": spec}


def renewed(lease: Object, now: datetime) -> Object:
    """The same Lease, held on."""
    return lease | {"spec": lease["spec"] | {"renewTime": _micro_time(now)}}


def released(lease: Object) -> Object:
    """The same Lease, free: an empty holder is what client-go leaves as well."""
    return lease | {"spec": lease["spec"] | {"holderIdentity": ""}}


class RunLock:
    """The lock of one Rollout, held by this process. Calls block; each is made by one thread at a time."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        rollout: str,
        *,
        holder: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._rollout = rollout
        self._now = now
        self._monotonic = monotonic
        self._holder = holder or identity(now())
        self._lease: Object | None = None  # as the API server last gave it to us
        self._renewed_s = 0.0  # monotonic, before the request that was accepted

    def take(self) -> None:
        """Take the lock. Raises `HeldError`; `ClusterError` for the API server's own refusals."""
        for _ in range(TRIES):
            found = self._read()
            if found is not None and (by := holding(found, self._now())) is not None:
                raise HeldError(
                    f"another test of Rollout {self._namespace}/{self._rollout} runs: {by.holder} holds Lease"
                    f" {lease_name(self._rollout)} until {by.until:%H:%M:%S} UTC, renewed while it runs:"
                    " wait for its end, or only watch: --trigger none --promoter person"
                )
            try:
                return self._write(found)
            except ConflictError:
                continue  # somebody was faster: see who
        raise HeldError(
            f"Lease {lease_name(self._rollout)} changed {TRIES} times while we tried to take it: run again"
        )

    def renew(self) -> None:
        """Hold it on. Raises `LostError` when it is another's, gone, or unrenewed for its whole life."""
        assert self._lease is not None  # taken
        sent_s = self._monotonic()
        try:
            self._lease = self._cluster.replace("leases", renewed(self._lease, self._now()))
        except ConflictError:
            self._adopt()
        except NotFoundError:
            raise LostError(f"the run lock was lost: Lease {lease_name(self._rollout)} was deleted") from None
        except UnreachableError as error:
            if sent_s - self._renewed_s >= LEASE_S:
                raise LostError(f"the run lock was lost: not renewed for {LEASE_S} s, {error}") from error
        except ClusterError as error:
            raise LostError(f"the run lock was lost: {error}") from error
        else:
            self._renewed_s = sent_s

    def release(self) -> None:
        """Give it back, if it is still ours; where that fails it ends by itself."""
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        with suppress(ClusterError):  # taken over, deleted, or the API server is away
            self._cluster.replace("leases", released(lease))

    def _adopt(self) -> None:
        """Somebody changed the Lease: go on with it as it is now, if we are still its holder."""
        try:
            found = self._read()
        except UnreachableError:
            return  # the next renewal meets the same conflict
        holder = ((found or {}).get("spec") or {}).get("holderIdentity")
        if found is None or holder != self._holder:
            raise LostError(f"the run lock was lost: Lease {lease_name(self._rollout)} is {_of(holder)}")
        self._lease = found

    def _read(self) -> Object | None:
        return self._cluster.get("leases", self._namespace, lease_name(self._rollout))

    def _write(self, found: Object | None) -> None:
        sent_s, now = self._monotonic(), self._now()
        if found is None:
            made = fresh(self._namespace, self._rollout, self._holder, now)
            self._lease = self._cluster.create("leases", made)
        else:
            self._lease = self._cluster.replace("leases", taken(found, self._holder, now))
        self._renewed_s = sent_s


def _of(holder: str | None) -> str:
    return f"held by {holder}" if holder else "held by nobody"


def _micro_time(moment: datetime) -> str:
    """RFC 3339 with six digits: Kubernetes' MicroTime takes no other number of them."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
