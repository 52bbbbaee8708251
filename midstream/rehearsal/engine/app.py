"""The engine's HTTP routes as an ASGI application."""

import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

from midstream.rehearsal.asgi import Receive, Scope, Send
from midstream.rehearsal.engine import metrics, refusal, responses
from midstream.rehearsal.engine.options import Options
from midstream.rehearsal.engine.refusal import Refusal
from midstream.rehearsal.engine.request import READERS, Api, Served
from midstream.rehearsal.engine.scheduler import Scheduler
from midstream.rehearsal.engine.texts import VERSION, Texts

Route: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Application:
    """What one engine answers to each request."""

    def __init__(self, options: Options, scheduler: Scheduler, texts: Texts) -> None:
        self._options = options
        self._scheduler = scheduler
        self._texts = texts
        self._served = Served(options.served_names, options.max_model_len)
        self._routes: dict[str, dict[str, Route]] = {
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/version": {"GET": self._version},
            "/v1/models": {"GET": self._models},
            "/v1/completions": {"POST": self._completions},
            "/v1/chat/completions": {"POST": self._chat},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._route(scope)(scope, receive, send)
        except Refusal as answer:
            kind = (b"content-type", answer.content_type)
            headers = [] if answer.bare else responses.signature(scope)
            await responses.send_whole(send, answer.status, answer.body, [kind, *headers])

    def _route(self, scope: Scope) -> Route:
        methods = self._routes.get(scope["path"])
        if methods is None:
            raise refusal.no_route(HTTPStatus.NOT_FOUND)
        if scope["method"] not in methods:
            raise refusal.no_route(HTTPStatus.METHOD_NOT_ALLOWED)
        return methods[scope["method"]]

    async def _health(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await responses.send_whole(send, 200, b"", responses.signature(scope))

    async def _metrics(self, scope: Scope, _receive: Receive, send: Send) -> None:
        scheduler = self._scheduler
        page = metrics.render(
            metrics.Snapshot(
                model=self._served.names[0],
                running=len(scheduler.running),
                waiting=len(scheduler.waiting),
                used_blocks=sum(job.block_count(metrics.BLOCK_SIZE) for job in scheduler.running),
                total_blocks=metrics.total_blocks(self._options.max_model_len, self._options.max_num_seqs),
                prompt_tokens=scheduler.prompt_tokens,
                generated_tokens=scheduler.generated_tokens,
                finished=scheduler.finished,
            )
        )
        kind = (b"content-type", metrics.CONTENT_TYPE)
        await responses.send_whole(send, 200, page.encode(), [kind, *responses.signature(scope)])

    async def _version(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await responses.send_json(scope, send, {"version": VERSION})

    async def _models(self, scope: Scope, _receive: Receive, send: Send) -> None:
        models = [self._model(name) for name in self._served.names]
        await responses.send_json(scope, send, {"object": "list", "data": models})

    def _model(self, name: str) -> dict[str, Any]:
        """One name as in `models`."""
        created = int(time.time())
        permission = {
            "id": f"modelperm-{secrets.token_hex(8)}",
            "object": "model_permission",
            "created": created,
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        return {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "vllm",
            "root": self._options.model,
            "parent": None,
            "max_model_len": self._served.max_model_len,
            "permission": [permission],
        }

    async def _completions(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._text(Api.COMPLETIONS, scope, receive, send)

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._text(Api.CHAT, scope, receive, send)

    async def _text(self, api: Api, scope: Scope, receive: Receive, send: Send) -> None:
        ask = READERS[api](await _read_body(receive), self._served)
        await self._texts.answer(ask, scope, receive, send)


async def _read_body(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)
