"""The verbs on a Rollout: each looks first, patches, then waits until the controller has acted."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from midstream.rollouts import argo, edits
from midstream.rollouts.client import Cluster, ConflictError, InvalidError, UnreachableError
from midstream.rollouts.edits import Operations, RefusedError
from midstream.rollouts.observation import OwnPatch

Object: TypeAlias = dict[str, Any]

CONFIRM_S = 15.0  # the controller's back-off for one Rollout was seen to reach this (facts 4)
POLL_S = 0.1
# Argo 1.9.1 stores its own writes in its cache and can overwrite a newer state there: an abort sent 20 ms
# after the pause appeared was answered 200, stored, and not acted on for minutes. So let it finish.
QUIET_S = 0.5
QUIET_LIMIT_S = 5.0
GENERATION = "its generation in status.observedGeneration"
CONFLICT_TRIES = 8  # the controller writes the Rollout some times a second while an update is under way


class UnconfirmedError(Exception):
    """The API server took the patch, but the controller did not act on it within the limit."""


class RolloutVerbs:
    """What can be done to one Rollout; blocking, from any thread.

    Every verb raises `RefusedError` before anything is written when it would be lost or make no sense,
    `UnconfirmedError` when nothing followed, and `ClusterError` for the API server's own refusals.
    `on_patch` is told of each accepted write as soon as it is answered.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        *,
        on_patch: Callable[[OwnPatch], None] = lambda _: None,
        confirm_s: float = CONFIRM_S,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._on_patch = on_patch
        self._confirm_s = confirm_s

    def promote(self) -> None:
        """Let a paused Rollout go on. Confirmed: its controller has left the pause."""
        rollout = self._read_quiet()
        if not argo.is_paused_for_promotion(rollout):
            raise RefusedError(
                f"Rollout {self._name} is not paused for its promotion ({_standing(rollout)}): the API server"
                " would answer 200 and the promotion be lost"
            )
        if rollout["spec"].get("paused"):
            self._merge("unpause", edits.UNPAUSE_SPEC)
        self._merge("promote", edits.PROMOTE_STATUS, status=True)
        self._confirm(
            "promote",
            "its pause to end",
            lambda now: not argo.pause_conditions(now) and not argo.is_unpausing(now),
        )

    def promote_full(self) -> None:
        """Skip pauses with analysis. Confirmed: the wish is in the status, or already fulfilled."""
        rollout = self._read_quiet()
        if not argo.is_half_updated(rollout):
            raise RefusedError(
                f"Rollout {self._name} has nothing to promote: its newest revision is the stable one"
            )
        if rollout["spec"].get("paused"):
            self._merge("unpause", edits.UNPAUSE_SPEC)
        self._merge("promote-full", edits.PROMOTE_FULL_STATUS, status=True)
        self._confirm("promote-full", "status.promoteFull", _is_promoted_full)

    def abort(self) -> None:
        """Give the update up. Confirmed: status.abort with the controller's abortedAt."""
        rollout = self._read_quiet()
        if argo.is_aborted(rollout):
            raise RefusedError(f"Rollout {self._name} is aborted already")
        if not argo.is_half_updated(rollout):
            raise RefusedError(
                f"Rollout {self._name} has no update to abort: its newest revision is the stable one"
            )
        self._merge("abort", edits.ABORT_STATUS, status=True)
        self._confirm(
            "abort",
            "status.abortedAt",
            lambda now: argo.is_aborted(now) and bool(now["status"].get("abortedAt")),
        )

    def retry(self) -> None:
        """Go on with an aborted update. Confirmed: the status is no longer aborted.

        After an abort in the promotion's pause this is a promotion: the controller goes on to the
        cutover without a second pause (seen on Argo 1.9.1).
        """
        rollout = self._read_quiet()
        if not argo.is_aborted(rollout):
            raise RefusedError(
                f"Rollout {self._name} is not aborted ({_standing(rollout)}): nothing to retry"
            )
        self._merge("retry", edits.RETRY_STATUS, status=True)
        self._confirm("retry", "the abort to be forgotten", lambda now: not now["status"].get("abortedAt"))

    def pause(self) -> None:
        """Hold whatever update is or will be under way. Confirmed: the controller has observed it."""
        rollout = self._read_quiet()
        if rollout["spec"].get("paused"):
            raise RefusedError(f"Rollout {self._name} is paused by its spec already")
        self._merge("pause", edits.PAUSE_SPEC)
        self._confirm("pause", GENERATION, argo.generation_observed)

    def restart(self) -> None:
        """Replace all pods one after another, without a cutover and without its protection (facts 4).

        Confirmed: the controller has observed it; status.restartedAt follows once every pod is new.
        """
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._merge("restart", edits.restart(self._read_quiet(), stamp))
        self._confirm("restart", GENERATION, argo.generation_observed)

    def set_image(self, images: Mapping[str, str]) -> None:
        """Change images by container name."""
        self._change("set-image", lambda rollout: edits.set_image(rollout, images))

    def set_env(self, variables: Mapping[str, str], container: str | None = None) -> None:
        """Change environment variables of a container (the serving one)."""
        self._change("set-env", lambda rollout: edits.set_env(rollout, variables, container))

    def set_args(self, args: Sequence[str], container: str | None = None) -> None:
        """Replace the args of a container (the serving one)."""
        self._change("set-args", lambda rollout: edits.set_args(rollout, args, container))

    def set_model(self, model: str) -> None:
        """Serve another model: env MODEL, else the argument of `serve` or `--model`."""
        self._change("set-model", lambda rollout: edits.set_model(rollout, model))

    def same(self) -> None:
        """Make a new revision of the same template, by an annotation with the present time."""
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        self._change("same", lambda rollout: edits.same(rollout, stamp))

    def undo(self, revision: int | None = None) -> None:
        """Go back to an earlier revision's template (the one before the newest)."""
        replica_sets = self._cluster.list("replicasets", self._namespace).items
        self._change("undo", lambda rollout: edits.undo(rollout, replica_sets, revision))

    def _change(self, verb: str, compute: Callable[[Object], Operations]) -> None:
        """Patch the template against exactly the object it was computed from; again when that changed.

        Confirmed: the controller has observed the generation that the patch made.
        """
        for _ in range(CONFLICT_TRIES):
            rollout = self._read_quiet()
            operations = compute(rollout)
            if not operations:
                raise RefusedError(f"{verb} changes nothing: Rollout {self._name} is like that already")
            changed = self._try_operations(verb, rollout, operations)
            if changed is not None:
                return self._confirm(verb, GENERATION, argo.generation_observed)
        raise RefusedError(
            f"{verb}: Rollout {self._name} changed {CONFLICT_TRIES} times while we tried to change it"
        )

    def _try_operations(self, verb: str, rollout: Object, operations: Operations) -> Object | None:
        """The changed object; None when somebody else changed it in between."""
        sent_ns = time.monotonic_ns()
        try:
            changed = self._cluster.json_patch(
                "rollouts", self._namespace, self._name, edits.guarded(rollout, operations)
            )
        except (ConflictError, InvalidError):
            # A failed `test` is 422 like any other invalid content: only another version tells them apart.
            if self._read()["metadata"]["resourceVersion"] == rollout["metadata"]["resourceVersion"]:
                raise
            return None
        self._accepted(verb, sent_ns, changed)
        return changed

    def _merge(self, verb: str, patch: Object, *, status: bool = False) -> None:
        sent_ns = time.monotonic_ns()
        changed = self._cluster.merge_patch("rollouts", self._namespace, self._name, patch, status=status)
        self._accepted(verb, sent_ns, changed)

    def _accepted(self, verb: str, sent_ns: int, changed: Object) -> None:
        self._on_patch(
            OwnPatch(
                verb=verb,
                sent_ns=sent_ns,
                answered_ns=time.monotonic_ns(),
                resource_version=changed["metadata"]["resourceVersion"],
            )
        )

    def _confirm(self, verb: str, awaited: str, holds: Callable[[Object], bool]) -> None:
        deadline_ns = time.monotonic_ns() + round(self._confirm_s * 1e9)
        standing = "it was not read again"
        while time.monotonic_ns() < deadline_ns:
            try:
                rollout = self._read()
            except UnreachableError as error:
                standing = str(error)
            else:
                if holds(rollout):
                    return
                standing = _standing(rollout)
            time.sleep(POLL_S)
        raise UnconfirmedError(
            f"{verb} of Rollout {self._name} was accepted, but {awaited} was not seen within"
            f" {self._confirm_s:g} s ({standing}): is the Argo Rollouts controller running?"
        )

    def _read_quiet(self) -> Object:
        """The Rollout once nobody has written it for QUIET_S, or at the latest after QUIET_LIMIT_S."""
        rollout = self._read()
        began_ns = quiet_since_ns = time.monotonic_ns()
        while time.monotonic_ns() < quiet_since_ns + QUIET_S * 1e9:
            time.sleep(POLL_S)
            now = self._read()
            if now["metadata"]["resourceVersion"] != rollout["metadata"]["resourceVersion"]:
                quiet_since_ns = min(time.monotonic_ns(), began_ns + round((QUIET_LIMIT_S - QUIET_S) * 1e9))
            rollout = now
        return rollout

    def _read(self) -> Object:
        rollout = self._cluster.get("rollouts", self._namespace, self._name)
        if rollout is None:
            raise RefusedError(f"there is no Rollout {self._name} in namespace {self._namespace}")
        return rollout


def _is_promoted_full(rollout: Object) -> bool:
    return bool(rollout["status"].get("promoteFull")) or not argo.is_half_updated(rollout)


def _standing(rollout: Object) -> str:
    """Phase with the controller's own words."""
    words = argo.message(rollout)
    return f"{argo.phase(rollout)}: {words}" if words else str(argo.phase(rollout))
