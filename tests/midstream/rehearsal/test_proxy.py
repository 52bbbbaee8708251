"""What a client of a Service sees: the truth about its pod's connection, and nothing else."""

import secrets
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from midstream.rehearsal import loopback
from midstream.rehearsal.proxy import RESET_ON_CLOSE, Address, Cut, Route, Routes, decode, encode

DEADLINE_S = 10
SERVICE = "ns/vllm:http"
UNCUT = Cut()


def test_a_table_survives_its_line() -> None:
    routes: Routes = {
        SERVICE: Route(("127.1.2.3", 80), (("127.1.2.9", 8000),), Cut(moved=True, max_age_s=8)),
        "ns/b:": Route(("::1", 1), ()),
    }
    assert decode(encode(routes)) == routes


class Service:
    """A proxy process with one Service."""

    def __init__(self, range_: loopback.Loopback) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "midstream.rehearsal.proxy"], stdin=subprocess.PIPE, bufsize=0
        )
        self.address = (range_.services[0], range_.port)

    def leads_to(self, *backends: "Backend", cut: Cut = UNCUT) -> None:
        route = Route(self.address, tuple(backend.address for backend in backends), cut)
        assert self.process.stdin
        self.process.stdin.write(encode({SERVICE: route}))
        until(lambda: self.accepts() is bool(backends))

    def accepts(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=DEADLINE_S)


class Backend:
    """A pod's listening socket."""

    def __init__(self, range_: loopback.Loopback, address: str) -> None:
        self.address: Address = (address, range_.port)
        self.listener = socket.create_server(self.address)
        self.listener.settimeout(DEADLINE_S)

    def pair(self, service: Service) -> tuple[socket.socket, socket.socket]:
        """A new client's connection and this pod's end of it, as soon as the proxy leads here."""
        found: list[tuple[socket.socket, socket.socket]] = []

        def leads_here() -> bool:
            client = service.connect()
            name = secrets.token_bytes(8)
            client.sendall(name)
            while readable([self.listener], 0.2):
                server, _ = self.listener.accept()
                server.settimeout(DEADLINE_S)
                if server.recv(8) == name:
                    found.append((client, server))
                    return True
                server.close()  # an attempt before, or one that only asked whether the Service accepts
            client.close()
            return False

        until(leads_here)
        return found[0]


def readable(sockets: list[socket.socket], timeout_s: float) -> list[socket.socket]:
    return select.select(sockets, [], [], timeout_s)[0]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def range_() -> Iterator[loopback.Loopback]:
    taken = loopback.take()
    yield taken
    taken.release()


@pytest.fixture(scope="module")
def backends(range_) -> Iterator[list[Backend]]:
    addresses = range_.pods()
    made = [Backend(range_, next(addresses)) for _ in range(2)]
    yield made
    for backend in made:
        backend.listener.close()


@pytest.fixture
def service(range_) -> Iterator[Service]:
    served = Service(range_)
    yield served
    assert served.process.stdin
    served.process.stdin.close()
    assert served.process.wait(DEADLINE_S) == 0


def read_to_end(connection: socket.socket) -> tuple[bytes, str]:
    """All bytes, and how they ended: FIN or RST."""
    got = b""
    try:
        while chunk := connection.recv(65_536):
            got += chunk
    except ConnectionResetError:
        return got, "RST"
    return got, "FIN"


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


def shut(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize("direction", ["to the client", "to the pod"])
@pytest.mark.parametrize(("end", "seen"), [(shut, "FIN"), (reset, "RST")], ids=["FIN", "RST"])
def test_an_end_is_relayed_as_what_it_was(service, backends, end, seen, direction) -> None:
    service.leads_to(backends[0])
    client, server = backends[0].pair(service)
    ender, other = (server, client) if direction == "to the client" else (client, server)
    ender.sendall(b"last words")
    assert other.recv(100) == b"last words"
    end(ender)
    assert read_to_end(other) == (b"", seen)
    other.close()


def test_bytes_before_a_fin_all_arrive(service, backends) -> None:
    service.leads_to(backends[0])
    client, server = backends[0].pair(service)
    whole = bytes(range(256)) * 20_000
    sender = threading.Thread(target=lambda: (server.sendall(whole), server.close()))
    sender.start()
    assert read_to_end(client) == (whole, "FIN")
    sender.join()
    client.close()


def test_half_closed_connections_go_on_in_the_other_direction(service, backends) -> None:
    service.leads_to(backends[0])
    client, server = backends[0].pair(service)
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(server) == (b"request", "FIN")
    server.sendall(b"answer")
    server.close()
    assert read_to_end(client) == (b"answer", "FIN")
    client.close()


def test_established_connections_stay_on_their_pod_and_new_ones_go_to_the_new_one(service, backends) -> None:
    old, new = backends
    service.leads_to(old)
    before, on_old = old.pair(service)
    assert service.process.stdin
    service.leads_to(new)
    after, on_new = new.pair(service)
    on_old.sendall(b"old")
    on_new.sendall(b"new")
    assert (before.recv(3), after.recv(3)) == (b"old", b"new")
    for connection in (before, after, on_old, on_new):
        connection.close()


def test_connections_that_moved_are_reset_where_the_data_plane_cuts_them(service, backends) -> None:
    old, new = backends
    service.leads_to(old, new)
    on_old, old_end = old.pair(service)
    on_new, new_end = new.pair(service)
    service.leads_to(new, cut=Cut(moved=True))
    assert [read_to_end(end) for end in (on_old, old_end)] == [(b"", "RST")] * 2
    new_end.sendall(b"still here")
    assert on_new.recv(100) == b"still here"
    for connection in (on_old, old_end, on_new, new_end):
        connection.close()


def test_a_connection_is_closed_at_its_age_and_one_from_before_lives(service, backends) -> None:
    service.leads_to(backends[0])
    before, before_end = backends[0].pair(service)
    service.leads_to(backends[0], cut=Cut(max_age_s=0.4))
    begun = time.monotonic()
    client, server = backends[0].pair(service)
    server.sendall(b"relayed until then")
    assert read_to_end(client) == (b"relayed until then", "FIN")
    assert time.monotonic() - begun >= 0.3
    assert read_to_end(server) == (b"", "FIN")
    before_end.sendall(b"still here")
    assert before.recv(100) == b"still here"
    for connection in (before, before_end, client, server):
        connection.close()


def test_without_endpoints_connections_are_refused_and_established_ones_live(service, backends) -> None:
    service.leads_to(backends[0])
    client, server = backends[0].pair(service)
    service.leads_to()
    with pytest.raises(ConnectionRefusedError):
        service.connect()
    server.sendall(b"still here")
    assert client.recv(100) == b"still here"
    client.close()
    server.close()
    service.leads_to(backends[0])


def test_a_pod_that_refuses_resets_the_client(service, backends, range_) -> None:
    service.leads_to(backends[0])
    gone = Backend(range_, f"{range_.prefix}.200")
    gone.listener.close()
    assert service.process.stdin
    service.process.stdin.write(encode({SERVICE: Route(service.address, (gone.address,))}))

    def is_reset() -> bool:
        try:
            with service.connect() as client:  # the RST may come before connect returns
                client.settimeout(0.5)
                client.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:  # by the table before, to the pod that lives
            return False
        return False

    until(is_reset)


def test_new_connections_are_spread_over_all_pods(service, backends) -> None:
    service.leads_to(*backends)
    for backend in backends:
        for connection in backend.pair(service):
            connection.close()


def test_a_slow_reader_stops_the_sender_and_not_the_others(service, backends) -> None:
    service.leads_to(backends[0])
    slow, flooding = backends[0].pair(service)
    flooding.settimeout(0.5)
    with pytest.raises(TimeoutError):
        flooding.sendall(bytes(200_000_000))
    client, server = backends[0].pair(service)
    server.sendall(b"quick")
    assert client.recv(100) == b"quick"
    with open(f"/proc/{service.process.pid}/statm", encoding="ascii") as statm:
        assert int(statm.read().split()[1]) * 4096 < 60_000_000
    for connection in (slow, flooding, client, server):
        connection.close()


def test_small_chunks_are_not_held_back(service, backends) -> None:
    service.leads_to(backends[0])
    client, server = backends[0].pair(service)
    arrived = []
    for _ in range(50):
        begun = time.monotonic()
        server.sendall(b"data: token\n\n")
        assert client.recv(100) == b"data: token\n\n"
        arrived.append(time.monotonic() - begun)
    assert sorted(arrived)[25] < 0.02  # Nagle with a delayed acknowledgement would be 0.04
    client.close()
    server.close()


def test_an_address_that_is_taken_is_said_and_the_others_work(range_, backends) -> None:
    taken = socket.create_server((range_.services[1], range_.port))
    free = (range_.services[2], range_.port)
    command = [sys.executable, "-m", "midstream.rehearsal.proxy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ends = (backends[0].address,)
        _, said = process.communicate(
            encode({"ns/taken:": Route(taken.getsockname(), ends), "ns/free:": Route(free, ends)}),
            timeout=DEADLINE_S,
        )
    taken.close()
    assert b"ns/taken:" in said
    assert b"ns/free:" not in said
