"""How the text that a request asks for goes out: as a stream of events, or whole."""

import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from midstream.rehearsal.asgi import Receive, Scope, Send, until_hang_up
from midstream.rehearsal.engine import refusal, responses
from midstream.rehearsal.engine.defects import Defects
from midstream.rehearsal.engine.options import Options
from midstream.rehearsal.engine.outbox import Break, Outbox
from midstream.rehearsal.engine.pings import Pings
from midstream.rehearsal.engine.reply import DONE, ERROR_EVENT, Finished, Label, Reply, reply_to
from midstream.rehearsal.engine.request import Api, Ask
from midstream.rehearsal.engine.scheduler import Job, Scheduler
from midstream.rehearsal.engine.sequence import Delta, Sequence, key_of

VERSION = "0.32.0"  # of the vLLM whose bytes these are
PREFIXES = {Api.COMPLETIONS: "cmpl", Api.CHAT: "chatcmpl"}
NOTHING = Delta((), "", "abort")  # `drain-late-token-id-prompt-not-streaming`


class Texts:
    """All texts that are asked of one engine. `on_idle` is called once a drain has none left to wait for."""

    def __init__(
        self, options: Options, scheduler: Scheduler, defects: Defects, on_idle: Callable[[], None]
    ) -> None:
        self.open = 0  # requests that are not answered yet
        self._options = options
        self._scheduler = scheduler
        self._defects = defects
        self._on_idle = on_idle
        self._draining = False
        self._fingerprint = f"vllm-{VERSION}-{zlib.crc32(options.model.encode()):08x}"
        self._encode = _half if options.garbage else msgspec.json.encode

    def drain(self) -> None:
        """Begin no new text; those that are open go on."""
        self._draining = True
        if not self.open:
            self._on_idle()

    async def answer(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Refusal, before anything was sent."""
        if self._draining and not ask.came_as_ids:
            raise refusal.draining()
        self._defects.refuse()
        reply = reply_to(ask, self._label(ask, scope))
        self.open += 1
        try:
            if self._draining:
                await self._answer_nothing(ask, reply, scope, send)
            else:
                await self._generate(ask, reply, scope, receive, send)
        finally:
            self.open -= 1
            if self._draining and not self.open:
                self._on_idle()

    def _label(self, ask: Ask, scope: Scope) -> Label:
        number = responses.client_request_id(scope) or secrets.token_hex(8)
        name = self._options.served_names[0]
        return Label(f"{PREFIXES[ask.api]}-{number}", int(time.time()), name, self._fingerprint)

    async def _answer_nothing(self, ask: Ask, reply: Reply, scope: Scope, send: Send) -> None:
        """Ids after SIGTERM need no tokenizer, so vLLM takes them and generates nothing (facts 2)."""
        self._scheduler.finished["abort"] += ask.choices
        if not ask.stream:
            await self._send_choices(ask, reply, [NOTHING] * ask.choices, scope, send)
            return
        await responses.start_stream(scope, send)
        await self._close_stream(ask, reply, 0, send)

    async def _generate(self, ask: Ask, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        outbox = Outbox(ask.choices, self._options.stream_interval)
        jobs = self._jobs(ask, outbox)
        self._scheduler.submit(jobs)
        way = self._stream if ask.stream else self._gather
        try:
            await until_hang_up(receive, way(ask, reply, outbox, scope, send))
        finally:
            self._scheduler.withdraw(jobs)

    def _jobs(self, ask: Ask, outbox: Outbox) -> list[Job]:
        jobs = []
        for choice in range(ask.choices):
            prompt = ask.prompts[choice // ask.n]
            key = key_of(self._options.seed, prompt.ids, choice % ask.n, ask.noise)
            sequence = Sequence(key, prompt.ids, ask.sampling[choice // ask.n])
            jobs.append(Job(sequence, choice, outbox))
        return jobs

    async def _stream(self, ask: Ask, reply: Reply, outbox: Outbox, scope: Scope, send: Send) -> None:
        await responses.start_stream(scope, send)
        generated = [0] * ask.choices
        unfinished, begun = ask.choices, False
        pings = Pings(self._options.ping_s, send)
        while unfinished:
            deltas = await pings.until(outbox.take())
            if isinstance(deltas, Break):
                await _break_stream(deltas, send)
                return
            if not begun:  # chat's role events wait for the first token of any choice (`chat-n2`)
                begun = True
                for opening in filter(None, map(reply.opening, range(ask.choices))):
                    await self._send_event(opening, send)
            for choice, delta in deltas.items():
                first = not generated[choice]
                generated[choice] += len(delta.token_ids)
                event = reply.event(choice, delta, generated[choice], first=first)
                asked = ask.sampling[choice // ask.n].max_tokens
                for sent in self._defects.damaged(event, delta, generated[choice], asked):
                    await self._send_event(sent, send)
                unfinished -= delta.finish_reason is not None
        await self._close_stream(ask, reply, sum(generated), send)

    async def _close_stream(self, ask: Ask, reply: Reply, generated: int, send: Send) -> None:
        if ask.include_usage:
            await self._send_event(self._defects.closing(reply.closing(generated)), send)
        await responses.send_part(send, DONE)
        await responses.end_stream(send)

    async def _send_event(self, event: Mapping[str, Any], send: Send) -> None:
        await responses.send_part(send, b"data: %b\n\n" % self._encode(event))

    async def _gather(self, ask: Ask, reply: Reply, outbox: Outbox, scope: Scope, send: Send) -> None:
        choices = [Delta((), "")] * ask.choices
        while any(choice.finish_reason is None for choice in choices):
            deltas = await outbox.take()
            if isinstance(deltas, Break):
                raise refusal.engine_dead()
            for choice, delta in deltas.items():
                choices[choice] = choices[choice].then(delta)
        await self._send_choices(ask, reply, choices, scope, send)

    async def _send_choices(
        self, ask: Ask, reply: Reply, choices: list[Delta], scope: Scope, send: Send
    ) -> None:
        finished = [Finished(delta, index // ask.n) for index, delta in enumerate(choices)]
        body = self._encode(reply.whole(finished))
        await responses.send_whole(send, 200, body, [responses.JSON, *responses.signature(scope)])


async def _break_stream(how: Break, send: Send) -> None:
    if how is Break.ERROR:  # `sigterm-error-event-token-ids`
        await responses.send_part(send, ERROR_EVENT)
        await responses.send_part(send, DONE)
    await responses.end_stream(send)


def _half(event: Mapping[str, Any]) -> bytes:
    """What --garbage makes of an answer: JSON that stops in the middle."""
    whole = msgspec.json.encode(event)
    return whole[: len(whole) // 2]
