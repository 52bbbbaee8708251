"""A server of raw bytes for tests: one thread for each connection, which plays a given script."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number  # of the connection, from 0

    def read_request(self) -> bytes:
        """Head and body of one request; what came until FIN when it is not whole."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            if not piece:
                return data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            piece = self.socket.recv(65536)
            if not piece:
                break
            body += piece
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """End the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_close(self) -> None:
        """Return when the client has closed."""
        with suppress(OSError):
            while self.socket.recv(65536):
                pass


class RawServer:
    """Use as a context manager; `requests` are those that the scripts read by `read_request`."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "RawServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for peer in self._peers:
            peer.socket.close()
        if self.failures:
            raise self.failures[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, self.accepted)
            self._peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer,), daemon=True)
            self.accepted += 1
            self._threads.append(thread)
            thread.start()

    def _play(self, peer: Peer) -> None:
        try:
            self.script(peer)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except BaseException as failure:  # noqa: BLE001 shown by the test that owns the server
            self.failures.append(failure)
        finally:
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
            peer.socket.close()
