"""Engines as real processes for the tests, with connections to them."""

import contextlib
import functools
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.midstream.rehearsal.engine_wire import Wire, read

ROOT = Path(__file__).parents[3]
PATIENCE_S = 20.0  # a deadline for what takes well under a second
NAMES = ("--served-model-name", "rev-abc", "tiny")
PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


class Connection:
    """One TCP connection; what was read stays in `raw`."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE_S)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.raw = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_until(self, enough: Callable[[bytes], bool]) -> bytes:
        """Read on until the bytes are enough; fails on FIN or when patience ends."""
        deadline = time.monotonic() + PATIENCE_S
        while not enough(self.raw):
            assert time.monotonic() < deadline, self.raw[-500:]
            assert self.receive(), self.raw[-500:]
        return self.raw

    def read_to_end(self) -> bytes:
        """Read up to FIN."""
        while self.receive():
            pass
        return self.raw

    def read_response(self) -> Wire:
        """Read one response and take it out of `raw`."""
        # Parsed again and again only where the last bytes can be an end.
        self.read_until(
            lambda raw: (
                raw.endswith(b"0\r\n\r\n")
                or (b"content-length: " in raw.partition(b"\r\n\r\n")[0] and read(raw).ended)
            )
        )
        wire = read(self.raw)
        self.raw = wire.rest
        return wire

    def is_silent_for(self, seconds: float) -> bool:
        """Whether neither byte nor FIN comes for that long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def receive(self) -> bytes:
        part = self.socket.recv(262_144)
        self.raw += part
        return part


class Engine:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            is_last_look = not self.reader.is_alive() or time.monotonic() > deadline
            found = re.search(pattern, "".join(self.log))
            if found:
                return found
            assert not is_last_look, f"no {pattern!r} in {self.log}"
            time.sleep(0.01)

    @functools.cached_property
    def port(self) -> int:
        return int(self.wait_for_log(r"running on http://127\.0\.0\.1:(\d+)")[1])

    @contextlib.contextmanager
    def connect(self, receive_buffer: int | None = None) -> Iterator[Connection]:
        connection = Connection(self.port, receive_buffer)
        with connection.socket:
            yield connection

    def exchange(self, data: bytes) -> Wire:
        """Send a request on a connection of its own and read the answer up to the end of its framing."""
        with self.connect() as connection:
            connection.send(data)
            return connection.read_response()

    def ask(self, api: str, **fields: Any) -> Wire:
        return self.exchange(post(api, **fields))

    def metric(self, sample: str) -> float:
        page = self.exchange(get("/metrics")).chunks[0].decode()
        found = re.search(rf"^vllm:{re.escape(sample)} (\S+)$", page, re.MULTILINE)
        assert found, page
        return float(found[1])

    def refuses(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def engine(*arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """An engine on a free port, fast unless told otherwise."""
    quick = ("--tokens-per-second", "8000", "--ttft-seconds", "0")
    command = [sys.executable, "-m", "midstream.rehearsal.engine", "--port", "0", *NAMES, *quick, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})}
    )
    running = Engine(process)
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        running.reader.join()
        assert process.stderr is not None
        process.stderr.close()


def wait_until(fact: Callable[[], bool]) -> None:
    """Wait for a fact; fails when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode()


def post(api: str, *, keep: bool = False, raw: bytes | None = None, **fields: Any) -> bytes:
    """A request for 3 tokens in a stream, unless the fields say otherwise; None leaves a field out."""
    prompt = (
        {"messages": [{"role": "user", "content": "Hello"}]} if api == "chat" else {"prompt": "Hello, world"}
    )
    usual = {"model": "tiny", **prompt, "max_tokens": 3, "temperature": 0, "ignore_eos": True, "stream": True}
    wanted = {name: value for name, value in (usual | fields).items() if value is not None}
    body = json.dumps(wanted).encode() if raw is None else raw
    connection = "" if keep else "Connection: close\r\n"
    head = f"POST {PATHS[api]} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n{connection}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
