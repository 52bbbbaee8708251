"""One client of the comparison in a process of its own: NAME PORT STREAMS TOKENS SECONDS, one JSON line out.

Every client sends the same request, decodes each event's JSON, dates each token. CPU is counted while all
streams flow, SECONDS long.
"""

import asyncio
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

OPENING_S = 1.0  # streams open evenly over it
WARM_S = 0.8  # all are open, caches filled
MODEL = "m"
BODY = {"model": MODEL, "prompt": "hi", "max_tokens": 0, "temperature": 0, "stream": True}


class Seen:
    """What a client has seen so far: tokens, with how late each was dated against the server's stamp."""

    def __init__(self) -> None:
        self.events = 0
        self.late_ns: list[int] = []
        self.first_late_ns: list[int] = []

    def token(self, text: str, at_ns: int, first: bool) -> None:
        """A token whose text is the server's stamp."""
        if not text:
            return
        self.events += 1
        late_ns = at_ns - int(text)
        self.late_ns.append(late_ns)
        if first:
            self.first_late_ns.append(late_ns)


SEEN = Seen()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rss_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _quantile_ms(values: list[int], share: float) -> float | None:
    ordered = sorted(values)  # while other threads go on adding
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6, 4) if ordered else None


class Window:
    """The stretch in which CPU and events are counted; `finish` prints the line and ends the process."""

    def __init__(self, streams: int, events: Callable[[], int]) -> None:
        self._streams, self._events = streams, events
        self._rss = _rss_bytes()
        self._begun = (0.0, 0)
        self._memory = 0

    def begin(self) -> None:
        """All streams flow."""
        self._memory = _rss_bytes() - self._rss
        self._begun = (_cpu_s(), self._events())
        SEEN.late_ns.clear()

    def finish(self) -> None:
        """Say what was counted since `begin`."""
        cpu_s, events = _cpu_s() - self._begun[0], self._events() - self._begun[1]
        figures = {
            "us_per_event": round(cpu_s / max(1, events) * 1e6, 2),
            "events": events,
            "kib_per_stream": round(self._memory / self._streams / 1024, 1),
            "error_p50_ms": _quantile_ms(SEEN.late_ns, 0.5),
            "error_p99_ms": _quantile_ms(SEEN.late_ns, 0.99),
            "ttft_error_p50_ms": _quantile_ms(SEEN.first_late_ns, 0.5),
            "ttft_error_p99_ms": _quantile_ms(SEEN.first_late_ns, 0.99),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
        os._exit(0)  # the streams would flow on


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1/completions"


def _body(tokens: int) -> dict[str, Any]:
    return BODY | {"max_tokens": tokens}


def midstream(port: int, streams: int, tokens: int, seconds: float) -> None:
    """The reactor as the hooks use it, with the payload of the length contract."""
    import gevent  # noqa: PLC0415 only this client may load it

    from midstream.streams.deadlines import Deadlines  # noqa: PLC0415 as above
    from midstream.streams.reactor import Reactor  # noqa: PLC0415 as above
    from midstream.streams.record import Lane  # noqa: PLC0415 as above
    from midstream.streams.request import StreamRequest  # noqa: PLC0415 as above
    from midstream.streams.target import Target  # noqa: PLC0415 as above
    from midstream.streams.traits import Traits  # noqa: PLC0415 as above

    reactor = Reactor(Deadlines())
    target = Target.parse(f"http://127.0.0.1:{port}")
    traits = Traits(done=True, finish_reason=True, one_label=True)

    def one(number: int) -> None:
        gevent.sleep(OPENING_S * number / streams)
        wanted = StreamRequest(
            id=f"s{number}",
            scenario="bench",
            lane=Lane.MAIN,
            fresh=True,
            api="completions",
            model=MODEL,
            prompt="hi",
            tokens=tokens,
            contract=True,
            scheduled_ns=time.monotonic_ns(),
        )
        reactor.stream(target, wanted, traits)

    def events() -> int:
        return sum(exchange.signs.tokens for exchange in reactor._exchanges())

    window = Window(streams, events)
    for number in range(streams):
        gevent.spawn(one, number)
    gevent.sleep(OPENING_S + WARM_S)
    window.begin()
    gevent.sleep(seconds)
    window.finish()


def midstream_dated(port: int, streams: int, tokens: int, seconds: float) -> None:
    """The same, with every token's instant noted: for errors of time, never for CPU."""
    from midstream.streams.tally import Tally  # noqa: PLC0415 only this client may load it

    plain = Tally.add

    def noting(tally: Tally, chunk: Any, lo_ns: int, hi_ns: int) -> None:  # noqa: ANN401 a Chunk
        first = tally.first_token_ns is None
        plain(tally, chunk, lo_ns, hi_ns)
        if lo_ns == hi_ns and chunk.choices and chunk.choices[0].text:  # certain ones; the rest has a bound
            SEEN.token(chunk.choices[0].text, hi_ns, first)

    Tally.add = noting  # type: ignore[method-assign]
    midstream(port, streams, tokens, seconds)


def _asynchronous(one: Callable[[int], Any], streams: int, seconds: float) -> Any:  # noqa: ANN401 a coroutine
    async def run() -> None:
        window = Window(streams, lambda: SEEN.events)

        async def later(number: int) -> None:
            await asyncio.sleep(OPENING_S * number / streams)
            await one(number)

        tasks = [asyncio.create_task(later(number)) for number in range(streams)]
        await asyncio.sleep(OPENING_S + WARM_S)
        window.begin()
        await asyncio.sleep(seconds)
        window.finish()
        del tasks

    return run()


def aiohttp(port: int, streams: int, tokens: int, seconds: float) -> None:
    """aiohttp on uvloop, orjson."""
    import aiohttp as library  # noqa: PLC0415 only this client may load it
    import orjson  # noqa: PLC0415 as above
    import uvloop  # noqa: PLC0415 as above

    async def run() -> None:
        connector = library.TCPConnector(limit=0)
        timeout = library.ClientTimeout(total=None)
        async with library.ClientSession(connector=connector, timeout=timeout) as session:

            async def one(_: int) -> None:
                first = True
                async with session.post(_url(port), json=_body(tokens)) as response:
                    async for line in response.content:
                        if line.startswith(b"data: {"):
                            at_ns = time.monotonic_ns()
                            SEEN.token(orjson.loads(line[6:])["choices"][0]["text"], at_ns, first)
                            first = False

            await _asynchronous(one, streams, seconds)

    uvloop.run(run())


def httpx(port: int, streams: int, tokens: int, seconds: float) -> None:
    """httpx.AsyncClient with aiter_lines."""
    import httpx as library  # noqa: PLC0415 only this client may load it

    async def run() -> None:
        limits = library.Limits(max_connections=None)
        async with library.AsyncClient(limits=limits, timeout=None) as client:

            async def one(_: int) -> None:
                first = True
                async with client.stream("POST", _url(port), json=_body(tokens)) as response:
                    async for line in response.aiter_lines():
                        if line.startswith("data: {"):
                            at_ns = time.monotonic_ns()
                            SEEN.token(json.loads(line[6:])["choices"][0]["text"], at_ns, first)
                            first = False

            await _asynchronous(one, streams, seconds)

    asyncio.run(run())


def requests(port: int, streams: int, tokens: int, seconds: float) -> None:
    """requests with sseclient-py, one thread a stream."""
    import requests as library  # noqa: PLC0415 only this client may load it
    import sseclient  # noqa: PLC0415 as above

    def one(number: int) -> None:
        time.sleep(OPENING_S * number / streams)
        first = True
        response = library.post(_url(port), json=_body(tokens), stream=True, timeout=60)
        for event in sseclient.SSEClient(response).events():
            if event.data.startswith("{"):
                at_ns = time.monotonic_ns()
                SEEN.token(json.loads(event.data)["choices"][0]["text"], at_ns, first)
                first = False

    window = Window(streams, lambda: SEEN.events)
    for number in range(streams):
        threading.Thread(target=one, args=(number,), daemon=True).start()
    time.sleep(OPENING_S + WARM_S)
    window.begin()
    time.sleep(seconds)
    window.finish()


def _locust(
    base: str, lines: Callable[[Any, dict[str, Any]], Any], port: int, streams: int, span: tuple[int, float]
) -> None:
    import locust  # noqa: PLC0415 patches the process
    from gevent import sleep  # noqa: PLC0415 behind locust
    from locust.env import Environment  # noqa: PLC0415 behind locust

    tokens, seconds = span

    class Holder(getattr(locust, base)):  # type: ignore[misc]
        host = f"http://127.0.0.1:{port}"

        @locust.task
        def hold(self) -> None:
            first = True
            for line in lines(self.client, _body(tokens)):
                text = line if isinstance(line, str) else line.decode()
                if text.startswith("data: {"):
                    at_ns = time.monotonic_ns()
                    SEEN.token(json.loads(text[6:])["choices"][0]["text"], at_ns, first)
                    first = False

    runner = Environment(user_classes=[Holder]).create_local_runner()
    window = Window(streams, lambda: SEEN.events)
    runner.start(streams, spawn_rate=streams / OPENING_S)
    sleep(OPENING_S + WARM_S)
    window.begin()
    sleep(seconds)
    window.finish()


def locust_http(port: int, streams: int, tokens: int, seconds: float) -> None:
    """Locust's HttpUser with the lines of requests."""

    def lines(client: Any, body: dict[str, Any]) -> Any:  # noqa: ANN401 Locust's types
        return client.post("/v1/completions", json=body, stream=True).iter_lines()

    _locust("HttpUser", lines, port, streams, (tokens, seconds))


def locust_fast(port: int, streams: int, tokens: int, seconds: float) -> None:
    """Locust's FastHttpUser with its own iter_lines."""

    def lines(client: Any, body: dict[str, Any]) -> Any:  # noqa: ANN401 Locust's types
        return client.iter_lines("/v1/completions", method="POST", json=body)

    _locust("FastHttpUser", lines, port, streams, (tokens, seconds))


CLIENTS = {
    client.__name__: client
    for client in (midstream, midstream_dated, aiohttp, httpx, requests, locust_http, locust_fast)
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
