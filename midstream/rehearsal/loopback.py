"""A range of loopback addresses, 127.A.B.0/24, that belongs to one rehearsal at a time."""

import itertools
import random
import socket
from collections.abc import Collection, Iterator

PORTS = (8000, 8100, 8200, 8300)  # vLLM's own first; a server on every address may hold it already
ATTEMPTS = 50
SERVICE_HOSTS = range(2, 32)
POD_HOSTS = range(32, 255)


class NoLoopbackError(Exception):
    """This machine gives us no range of loopback addresses."""


class Loopback:
    """A taken range: .1 is the API server's address, then come those of Services and pods.

    Linux answers on all of 127.0.0.0/8 without any set-up. `port` is free on every address of the range.
    """

    def __init__(self, prefix: str, port: int, lock: socket.socket) -> None:
        self.prefix = prefix
        self.port = port
        self._lock = lock  # held by whoever holds the object: the kernel frees it with the process

    @property
    def api(self) -> str:
        """The API server's address."""
        return f"{self.prefix}.1"

    @property
    def services(self) -> list[str]:
        """The addresses that Services can have."""
        return [f"{self.prefix}.{host}" for host in SERVICE_HOSTS]

    def pods(self) -> Iterator[str]:
        """Addresses for pods; one comes round again only after all others."""
        return (f"{self.prefix}.{host}" for host in itertools.cycle(POD_HOSTS))

    def release(self) -> None:
        """Let another rehearsal have the range."""
        self._lock.close()


def take(rng: random.Random | None = None, avoid: Collection[int] = ()) -> Loopback:
    """Take a free range, its port not in `avoid`. Raises NoLoopbackError with the last reason."""
    rng = rng or random.Random()
    ports = [port for port in PORTS if port not in avoid]
    reason = ""
    for attempt in range(ATTEMPTS):
        prefix = f"127.{rng.randrange(16, 255)}.{rng.randrange(256)}"
        port = ports[attempt * len(ports) // ATTEMPTS]
        try:
            lock = _lock(prefix)
        except OSError as error:
            reason = f"{prefix}.0/24 is taken: {error.strerror}"
            continue
        try:
            _bind(f"{prefix}.1", port)
        except OSError as error:
            lock.close()
            reason = f"cannot bind {prefix}.1:{port}: {error.strerror}"
            continue
        return Loopback(prefix, port, lock)
    raise NoLoopbackError(
        f"no free loopback range 127.A.B.0/24 with one of the ports {', '.join(map(str, ports))} "
        f"after {ATTEMPTS} tries, the last: {reason}"
    )


def _lock(prefix: str) -> socket.socket:
    """Hold a name that one process of this network namespace can hold: its loopback is per namespace too.

    An abstract Unix socket takes no port, leaves no file, and ends with its process (unix(7)).
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0midstream-rehearsal-{prefix}")
    except OSError:
        lock.close()
        raise
    return lock


def _bind(address: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        probe.listen(1)  # only a listener meets one on 0.0.0.0
