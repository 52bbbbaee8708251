"""Ten thousand streams that are open at once in one process."""

import resource
import subprocess
import sys

import gevent
import pytest

from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.reactor.driving import running
from tests.midstream.streams.streams import VLLM, request

STREAMS = 10_000
FILES = STREAMS + 500
PATIENT = Deadlines(connect_s=120.0, headers_s=120.0, first_token_s=120.0, idle_s=120.0, total_s=240.0)

# Answers nobody before all have asked, so that all of them are open at once.
SERVER = """
import asyncio, resource, sys
count, answer = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
asked, all_asked = 0, asyncio.Event()

async def serve(reader, writer):
    global asked
    await reader.readuntil(b"\\r\\n\\r\\n")
    asked += 1
    if asked == count:
        all_asked.set()
    await all_asked.wait()
    writer.write(answer)
    await writer.drain()
    await reader.read()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def many_files():
    """The soft limit raised for this test; skipped where the hard one is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < FILES:
        pytest.skip(f"this process may open {hard} files, {FILES} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_streams_are_open_at_once(many_files):
    command = [sys.executable, "-c", SERVER, str(STREAMS), wire.whole(4).hex()]
    records: list[StreamRecord] = []
    most = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        target = Target.parse(f"http://127.0.0.1:{int(server.stdout.readline())}")
        with running(PATIENT) as reactor:

            def one(number: int) -> None:
                records.append(reactor.stream(target, request(id=f"s{number}"), VLLM))

            streams = [gevent.spawn(one, number) for number in range(STREAMS)]
            while not all(stream.dead for stream in streams):
                most = max(most, sum(reactor.open_by_revision().values()))
                gevent.sleep(0.05)
        server.stdin.close()  # which ends it
    assert most == STREAMS
    assert {record.ending for record in records} == {Ending.COMPLETE}
    assert len({record.id for record in records}) == STREAMS
