"""Carries Argo's blue/green passes out on the store."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from midstream.rehearsal.bluegreen import GATES, reconcile
from midstream.rehearsal.draft import Seen, Write
from midstream.rehearsal.loop import keep_reconciling
from midstream.rehearsal.patches import merged
from midstream.rehearsal.store import NotFoundError, Object, Store
from midstream.rehearsal.templates import owner_uid
from midstream.rehearsal.timestamps import utc_now


class RolloutController:
    """The controller of every Rollout in the store.

    `ignore` names the gates it does not look at (bluegreen.GATES): a fault, put where it happens in
    real life. Raises ValueError for a name that is none.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], datetime] = utc_now,
        ignore: frozenset[str] = frozenset(),
    ) -> None:
        if not ignore <= GATES:
            raise ValueError(f"{', '.join(sorted(ignore - GATES))}: not one of {', '.join(sorted(GATES))}")
        self._store = store
        self._now = now
        self._ignore = ignore
        self._leaves = asyncio.Event()
        self._away_s = 0.0

    async def run(self) -> None:
        """Reconcile until cancelled."""
        watched = ("rollouts", "replicasets", "services")
        while True:
            working = asyncio.create_task(keep_reconciling(self._store, watched, self.sync, self._now))
            leaving = asyncio.create_task(self._leaves.wait())
            try:
                await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()  # it ends by what it fails with
            finally:
                working.cancel()
                leaving.cancel()
            self._leaves.clear()
            await asyncio.sleep(self._away_s)

    def restart(self, away_s: float) -> None:
        """Do nothing for a while, then begin anew with what the store holds."""
        self._away_s = away_s
        self._leaves.set()

    def sync(self) -> datetime | None:
        """One pass for each Rollout; returns when time alone makes the next one due."""
        rollouts, _ = self._store.list("rollouts")
        dues = [self._reconcile(rollout) for rollout in rollouts]
        return min((due for due in dues if due is not None), default=None)

    def _reconcile(self, rollout: Object) -> datetime | None:
        namespace, uid = rollout["metadata"]["namespace"], rollout["metadata"]["uid"]
        replica_sets, _ = self._store.list("replicasets", namespace)
        services, _ = self._store.list("services", namespace)
        seen = Seen(
            rollout,
            tuple(rs for rs in replica_sets if owner_uid(rs) == uid),
            {service["metadata"]["name"]: service for service in services},
        )
        outcome = reconcile(seen, self._now(), self._ignore)
        for write in outcome.writes:
            self._write(namespace, write)
        return outcome.due

    def _write(self, namespace: str, write: Write) -> None:
        def patch(obj: Object) -> None:
            obj.update(merged(obj, write.body))

        def set_status(obj: Object) -> None:
            obj["status"] = write.body

        match write.verb:
            case "create":
                self._store.create(write.plural, write.body)
            case "patch":
                self._store.edit(write.plural, namespace, write.name, patch)
            case "status":
                self._store.edit(write.plural, namespace, write.name, set_status, status=True)
            case "delete":
                try:
                    self._store.delete(write.plural, namespace, write.name)
                except NotFoundError:
                    return
