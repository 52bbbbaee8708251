"""`python -m midstream forward`: a Service on a port of this machine, whichever pods stand behind it."""

import argparse
import asyncio
import errno
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from midstream.forward.endpoints import Endpoint, ready_endpoints, without_port
from midstream.forward.follower import Follower
from midstream.forward.listener import Listener
from midstream.forward.tunnel import ForbiddenTunnelError, needed, way_of
from midstream.reports.printable import printable
from midstream.rollout_command import EXIT_OK, EXIT_USAGE, add_context, carried_out, ended
from midstream.rollouts.client import Cluster, ClusterError
from midstream.rollouts.path import http_port

Object: TypeAlias = dict[str, Any]
HOST = "127.0.0.1"


class Subject(NamedTuple):
    """The Service that is followed."""

    namespace: str
    service: str
    port: Object  # of the Service

    @property
    def words(self) -> str:
        """As lines name it."""
        return f"Service {self.service} in namespace {self.namespace}"


def main(argv: Sequence[str]) -> int:
    """0: ended by Ctrl-C or SIGTERM; 2: the command is wrong, or the cluster does not allow it."""
    parser = _parser()
    given = parser.parse_args(argv)
    return carried_out(parser.prog, lambda: _run(parser.prog, given))


def _run(prog: str, given: argparse.Namespace) -> int:
    namespace, _, service = given.service.partition("/")
    if not namespace or not service or "/" in service:
        raise ValueError(f"{given.service!r}: write NAMESPACE/SERVICE, such as llm-serving/vllm-stable")
    cluster = Cluster.connect(context=given.context)
    subject = _subject(cluster, namespace, service)
    try:
        return asyncio.run(_forward(cluster, subject, given.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        other = given.port + 1 if given.port < 65_535 else 8001
        words = f"port {given.port} of this machine is taken: choose another, such as --port {other}"
        return ended(prog, words, EXIT_USAGE)


def _subject(cluster: Cluster, namespace: str, service: str) -> Subject:
    """Raises `ClusterError`: no such Service, no permission."""
    found = cluster.get("services", namespace, service)
    if found is None:
        raise ClusterError(f"there is no Service {service} in namespace {namespace}")
    if not found["spec"].get("ports"):
        raise ClusterError(f"Service {service} in namespace {namespace} has no port")
    if not all(cluster.can(access) for access in needed(namespace)[:1]):
        raise ForbiddenTunnelError(namespace, "no tunnel to a pod may be opened")
    return Subject(namespace, service, http_port(found))


async def _forward(cluster: Cluster, subject: Subject, port: int) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    way = way_of(cluster)
    listener = Listener(lambda: way._replace(headers=cluster.authorization()), subject.namespace, _complain)
    announcer = _Announcer(listener, subject)
    server = await asyncio.start_server(listener.serve, HOST, port)
    follower = Follower(
        cluster,
        subject.namespace,
        subject.service,
        lambda slices: _ignore(loop.call_soon_threadsafe(announcer.take, slices)),
    )
    async with server:
        version = await asyncio.to_thread(follower.list)
        number = server.sockets[0].getsockname()[1]
        _say(
            f"http://{HOST}:{number} leads to {subject.words}, each new connection to a pod that is ready"
            " then, through the API server: what stands in front of the Service is passed by. Ctrl-C ends it."
        )
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop.set)
        threading.Thread(target=follower.run, args=(version,), daemon=True).start()
        alive = asyncio.ensure_future(listener.keep_alive())
        await stop.wait()
        alive.cancel()
        cut = listener.open_connections
        await listener.close()
    _say(f"ended; open connections that were reset: {cut}")
    return EXIT_OK


def _ignore(_handle: object) -> None:
    """For callbacks that return something nobody wants."""


class _Announcer:
    """Hands the ready pods on, with a line for each change of them."""

    def __init__(self, listener: Listener, subject: Subject) -> None:
        self._listener = listener
        self._subject = subject
        self._known: tuple[Endpoint, ...] | None = None

    def take(self, slices: tuple[Object, ...]) -> None:
        """All EndpointSlices of the Service, as they are now."""
        name = self._subject.port.get("name") or ""
        endpoints = ready_endpoints(slices, name)
        if endpoints == self._known:
            return
        self._known = endpoints
        self._listener.follow(endpoints)
        _say(pods_line(endpoints, without_port(slices, name), self._subject.port))


def pods_line(endpoints: Sequence[Endpoint], portless: Sequence[str], port: Object) -> str:
    """Where new connections go from now on, or why nowhere."""
    if endpoints:
        return f"new connections go to {', '.join(f'{each.pod}:{each.port}' for each in endpoints)}"
    if portless:
        target = port.get("targetPort", port["port"])
        return f"new connections are reset: no container of {', '.join(portless)} has a port named {target}"
    return "new connections are reset: no pod behind the Service is ready"


def _say(words: str) -> None:
    print(words, flush=True)


def _complain(words: str) -> None:
    print(printable(words), file=sys.stderr, flush=True)


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65_536:
        raise ValueError
    return value


_port.__name__ = "port"  # argparse names the type in its message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream forward",
        description="A Service on a port of this machine. It follows the Service's endpoints: each new"
        " connection goes to a pod that is ready then, an open one stays with its pod. Ctrl-C ends it.",
        epilog="exit code: 0 ended, 2 the command is wrong, no cluster answers, or the port is taken",
        allow_abbrev=False,
    )
    parser.add_argument("service", metavar="NAMESPACE/SERVICE", help="such as llm-serving/vllm-stable")
    parser.add_argument(
        "--port", type=_port, default=8000, help="of this machine (default 8000; 0: one that is free)"
    )
    add_context(parser)
    return parser
