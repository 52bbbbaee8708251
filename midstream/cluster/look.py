"""Reads of a cluster what each check needs: a 403 is an answer, too."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from midstream.cluster import access, controller, gpu, namespace, nodes, server
from midstream.cluster.found import Found
from midstream.rollouts.client import Access, Cluster, ForbiddenError, Object


class Wish(NamedTuple):
    """What the cluster is asked for."""

    namespace: str
    context: str  # the kubeconfig's, "" for a pod's own credentials: only to be said
    gpus: int  # 0: no GPU is needed


class _Place(NamedTuple):
    cluster: Cluster
    wish: Wish


def look(cluster: Cluster, wish: Wish, checks: Sequence[str] = ()) -> Iterator[Found]:
    """The findings in order, all of them or those named; the API server's own is always the first.

    A rehearsal has only that one: it serves nothing that the others read. Raises `ClusterError` when
    the server does not answer, or not to these credentials.
    """
    version = cluster.version()
    yield server.judge_server(version, cluster.server, wish.context)
    if server.is_rehearsal(version):
        return
    for name, check in CHECKS.items():
        if (not checks or name in checks) and not (name == gpu.CHECK and not wish.gpus):
            yield check(_Place(cluster, wish))


def _nodes(place: _Place) -> Found:
    return nodes.judge_nodes(_list(place, "nodes"))


def _gpus(place: _Place) -> Found:
    daemon_sets = _list(place, "daemonsets")
    plugin = None if isinstance(daemon_sets, ForbiddenError) else gpu.device_plugin(daemon_sets)
    pods: Sequence[Object] | ForbiddenError = ()
    if plugin:
        labels = plugin["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        pods = _list(place, "pods", plugin["metadata"]["namespace"], labels=selector)
    pods = () if isinstance(pods, ForbiddenError) else pods
    return gpu.judge_gpus(_list(place, "nodes"), daemon_sets, pods, place.wish.gpus)


def _controller(place: _Place) -> Found:
    return controller.judge_controller(
        place.cluster.serves("rollouts"),
        _controllers(place),
        _list(place, "pods", labels=controller.LABEL),
        place.wish.namespace,
    )


def _controllers(place: _Place) -> Sequence[Object] | ForbiddenError:
    """By label first, since all Deployments of a large cluster are many.

    Who may not list all namespaces may still see the one where the manifest puts the controller.
    """
    everywhere = _list(place, "deployments", labels=controller.LABEL) or _list(place, "deployments")
    if not isinstance(everywhere, ForbiddenError):
        return everywhere
    there = _list(place, "deployments", controller.NAMESPACE, labels=controller.LABEL)
    return there or everywhere if not isinstance(there, ForbiddenError) else everywhere


def _namespace(place: _Place) -> Found:
    return namespace.judge_namespace(_get_namespace(place), place.wish.namespace)


def _deploying(place: _Place) -> Found:
    needed = access.deploying(place.wish.namespace, is_there=_get_namespace(place) is not None)
    return _access(place, access.DEPLOYING, needed)


def _promoting(place: _Place) -> Found:
    return _access(place, access.PROMOTING, access.promoting(place.wish.namespace))


def _access(place: _Place, check: str, needed: Sequence[Access]) -> Found:
    missing = [each for each in needed if not place.cluster.can(each)]
    return access.judge_access(check, place.wish.namespace, needed, missing)


def _get_namespace(place: _Place) -> Object | ForbiddenError | None:
    try:
        return place.cluster.get("namespaces", "", place.wish.namespace)
    except ForbiddenError as denied:
        return denied


def _list(
    place: _Place, kind: str, where: str = "", *, labels: str = ""
) -> Sequence[Object] | ForbiddenError:
    try:
        return place.cluster.list(kind, where, labels=labels).items
    except ForbiddenError as denied:
        return denied


CHECKS: dict[str, Callable[[_Place], Found]] = {
    nodes.CHECK: _nodes,
    gpu.CHECK: _gpus,
    controller.CHECK: _controller,
    namespace.CHECK: _namespace,
    access.DEPLOYING: _deploying,
    access.PROMOTING: _promoting,
}
