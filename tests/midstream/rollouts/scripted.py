"""An API server that answers each request as the test says, byte for byte, on a port of its own."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import yaml

Object = dict[str, Any]


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Any


class Exchange(BaseHTTPRequestHandler):
    """One request with the means to answer it well or badly."""

    protocol_version = "HTTP/1.1"
    server: "ScriptedServer"

    def answer(self, status: int, body: Any) -> None:
        """A whole answer."""
        self.answer_bytes(status, json.dumps(body).encode(), "application/json")

    def answer_bytes(self, status: int, content: bytes, content_type: str) -> None:
        """A whole answer of any type."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, message: str) -> None:
        """A Kubernetes Status."""
        self.answer(status, {"kind": "Status", "code": status, "message": message})

    def open_watch(self) -> None:
        """The head of a watch; lines follow."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def line(self, type_: str, item: Object) -> None:
        """One watch event."""
        self.chunk(json.dumps({"type": type_, "object": item}).encode() + b"\n")

    def chunk(self, content: bytes) -> None:
        """One HTTP chunk."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    def end_watch(self) -> None:
        """The server's own end of a watch."""
        self.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """FIN without the last chunk."""
        self.close_connection = True

    def reset(self) -> None:
        """RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def hold(self) -> None:
        """Silence until the test is over."""
        self.server.over.wait(60)
        self.close_connection = True

    def handle_one_request(self) -> None:
        """Read a request, then do as the script says."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.server.script(self, self._asked())
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client went away first

    def _asked(self) -> Asked:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        asked = Asked(
            self.command, url.path, dict(parse_qsl(url.query)), self.headers.get("Content-Type", ""), body
        )
        self.server.asked.append(asked)
        return asked


Script = Callable[[Exchange, Asked], None]


class ScriptedServer(ThreadingHTTPServer):
    """The server; `script` may be replaced at any time."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, script: Script, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        self.script = script
        self.asked: list[Asked] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that the script broke are no news."""


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[ScriptedServer]:
    """The server while it runs; a port of its own unless it is given one that another has left."""
    with ScriptedServer(script, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def write_kubeconfig(path: Path, url: str, user: Object | None = None) -> str:
    """A kubeconfig with one context `test`; `user` is its credentials, a token unless given."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)
