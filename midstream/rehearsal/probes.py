"""Probes of a container over HTTP, counted into verdicts on its health."""

import asyncio
from collections.abc import AsyncGenerator

from midstream.rehearsal.podspec import Probe


async def verdicts(probe: Probe, host: str, port: int) -> AsyncGenerator[bool]:
    """Probe for ever: True when enough successes came in a row, False when enough failures did.

    The first probe comes after the initial delay alone, later ones a period apart (kubelet,
    pkg/kubelet/prober/worker.go; its jitter is left out).
    """
    loop = asyncio.get_running_loop()
    await asyncio.sleep(probe.initial_delay_seconds)
    last, in_a_row = False, 0
    while True:
        next_s = loop.time() + probe.period_seconds
        succeeded = await http_get_succeeds(host, port, probe.http_get.path, probe.timeout_seconds)
        in_a_row = in_a_row + 1 if succeeded == last else 1
        last = succeeded
        if in_a_row >= (probe.success_threshold if succeeded else probe.failure_threshold):
            yield succeeded
        await asyncio.sleep(max(0.0, next_s - loop.time()))


async def http_get_succeeds(host: str, port: int, path: str, timeout_s: float) -> bool:
    """Whether a GET is answered with a status from 200 to 399 in time (kubelet, pkg/probe/http)."""
    try:
        async with asyncio.timeout(timeout_s):
            return 200 <= await _status(host, port, path) < 400
    except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False  # a TimeoutError is an OSError; the others say that no status line came


async def _status(host: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/1.34\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        status_line = await reader.readuntil(b"\r\n")
        return int(status_line.split(b" ", 2)[1])
    finally:
        writer.close()
