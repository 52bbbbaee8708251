"""Holds the run lock of a test that changes its Rollout: taken after all else, renewed, given back."""

from collections.abc import Callable

import gevent

from hooks.layers import UsageError
from hooks.settings import Settings
from hooks.tested import WatchedRollout, verbs_of
from midstream.rollouts.client import ClusterError
from midstream.rollouts.lease import RENEW_EVERY_S, HeldError, LostError, RunLock


def take_lock(settings: Settings, rollout: WatchedRollout | None) -> RunLock | None:
    """The lock, held; None where nothing will be written. UsageError when another test holds it."""
    if rollout is None or not verbs_of(settings):
        return None
    lock = RunLock(rollout.cluster, rollout.namespace, rollout.name)
    try:
        lock.take()
    except (HeldError, ClusterError) as error:
        raise UsageError(str(error)) from error
    return lock


def keep_lock(lock: RunLock, lost: Callable[[str], None], every_s: float = RENEW_EVERY_S) -> None:
    """Renew it until this greenlet is killed, or until it is lost: then say why, once."""
    while True:
        gevent.sleep(every_s)
        try:
            lock.renew()
        except LostError as error:
            lost(str(error))
            return
