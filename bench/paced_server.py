"""A paced SSE server for the benchmarks where no faster one is given: PORT RATE TOKENS.

Each event has one chunk of its own, as vLLM sends it; its text is this machine's CLOCK_MONOTONIC in ns.
"""

import asyncio
import random
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)
# As vLLM 0.32 answers the product's own payload: token ids with usage on every event.
EVENT = (
    'data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion","created":1763900000,'
    '"model":"m","choices":[{"index":0,"text":"%016d","logprobs":null,"finish_reason":null,"stop_reason":null,'
    '"token_ids":[%d],"prompt_token_ids":null}],"usage":{"prompt_tokens":9,"total_tokens":%d,'
    '"completion_tokens":%d}}\n\n'
)
LAST = (
    'data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion","created":1763900000,'
    '"model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}\n\n'
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float, tokens: int
) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        loop = asyncio.get_running_loop()
        due = loop.time() + random.random() / rate
        for number in range(1, tokens + 1):
            await asyncio.sleep(due - loop.time())
            if writer.is_closing():  # a client that has measured leaves in mid-stream
                return
            event = EVENT % (time.monotonic_ns(), 1_000 + number, 9 + number, number)
            writer.write(_chunk(event.encode()))
            due += 1 / rate
        writer.write(_chunk(LAST.encode()) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _serve(port: int, rate: float, tokens: int) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: _answer(reader, writer, rate, tokens), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
