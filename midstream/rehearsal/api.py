"""A small Kubernetes API over the store, as far as Midstream, the Python client and kubectl use it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from midstream.rehearsal.asgi import (
    JSON,
    Answer,
    Receive,
    Request,
    Scope,
    Send,
    TooLargeError,
    end_stream,
    read_request,
    send_answer,
    send_part,
    start_stream,
    until_hang_up,
)
from midstream.rehearsal.discovery import REVIEWS, discovery
from midstream.rehearsal.namespaces import NAMESPACES, named_in, show
from midstream.rehearsal.refusals import (
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    TooLongError,
    refusal,
)
from midstream.rehearsal.resources import (
    OPERATIONS,
    Target,
    decoded,
    found_in,
    number_in,
    selection,
    target_of,
)
from midstream.rehearsal.store import ExpiredError, InvalidError, Object, Store, StoreError
from midstream.rehearsal.tables import wants_table
from midstream.rehearsal.watches import DEFAULT_TIMEOUT_S, Watched, as_tables, watch

LogOf: TypeAlias = Callable[[str, str], bytes | None]  # namespace, pod -> all it wrote so far

HEALTH = ("/healthz", "/readyz", "/livez")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
FOLLOW_EVERY_S = 0.1
# What a log request may ask that would be answered wrongly if it were passed over.
UNSUPPORTED_LOG = ("timestamps", "sinceSeconds", "sinceTime", "previous")


class Rule(NamedTuple):
    """One thing that is denied; "*" means any. `resource` carries its subresource: "rollouts/status"."""

    verb: str
    group: str
    resource: str

    def covers(self, verb: str, group: str, resource: str) -> bool:
        """Whether the rule speaks of this request."""
        asked = (verb, group, resource)
        return all(said in ("*", wanted) for said, wanted in zip(self, asked, strict=True))


class Api:
    """The ASGI application.

    `log_of` gives a pod's log, None before it has one. `denied` makes requests 403 and access reviews
    say so. A watch from a version no longer known gets, with `gone` "event", an ERROR event in its
    stream as the API server's watch cache does, or with "status" the HTTP status 410.
    """

    def __init__(
        self,
        store: Store,
        *,
        log_of: LogOf,
        denied: Sequence[Rule] = (),
        gone: Literal["event", "status"] = "event",
    ) -> None:
        self._store = store
        self._log_of = log_of
        self._denied = tuple(denied)
        self._gone = gone
        self._documents = discovery()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises ValueError for a scope that is not `http`."""
        if scope["type"] != "http":
            raise ValueError(f"this API speaks HTTP alone, not {scope['type']}")
        target: Target | None = None
        try:
            request = await read_request(scope, receive)
            answer = self._document(request)
            namespace = named_in(request.path)
            if answer is None and namespace is not None:
                target = Target(NAMESPACES, None, namespace or None, "")
                self._authorise(request, target)
                answer = show(self._store, request, namespace)
            elif answer is None:
                target = target_of(request.path)
                self._authorise(request, target)
                answer = await self._serve(request, target, receive, send)
        except TooLargeError as error:
            answer = _refused(TooLongError(str(error)), target)
        except StoreError as error:
            answer = _refused(error, target)
        if answer is not None:
            await send_answer(send, answer)

    def _document(self, request: Request) -> Answer | None:
        path = request.path.rstrip("/") or "/"
        if path in HEALTH:
            return Answer(200, b"ok", "text/plain")
        if path == f"/apis/{REVIEWS.api_version}/{REVIEWS.plural}":
            return self._review(request)
        if path in self._documents and request.method == "GET":
            return Answer(200, self._documents[path])
        return None

    def _review(self, request: Request) -> Answer:
        if request.method != "POST":
            raise MethodNotAllowedError("an access review is created, nothing else")
        review = decoded(request)
        asked = review.get("spec", {}).get("resourceAttributes") or {}
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource = f"{resource}/{asked['subresource']}"
        allowed = self._allows(asked.get("verb", ""), asked.get("group", ""), resource)
        status: Object = {"allowed": allowed}
        if not allowed:
            status["reason"] = "denied by a rule of the rehearsal"
        return Answer(201, {**review, "status": status})

    def _allows(self, verb: str, group: str, resource: str) -> bool:
        return not any(rule.covers(verb, group, resource) for rule in self._denied)

    def _authorise(self, request: Request, target: Target) -> None:
        verb, group = _verb(request, target), target.kind.group
        if not self._allows(verb, group, target.resource):
            shown = target.kind.resource + (f' "{target.name}"' if target.name else "")
            raise ForbiddenError(
                f'{shown} is forbidden: User "rehearsal" cannot {verb} resource "{target.resource}" '
                f'in API group "{group}" in the namespace "{target.namespace or ""}"'
            )

    async def _serve(self, request: Request, target: Target, receive: Receive, send: Send) -> Answer | None:
        """The answer; None when it was streamed."""
        if request.method == "GET" and target.part == "log":
            return await self._log(request, target, receive, send)
        if request.method == "GET" and target.name is None and request.flag("watch"):
            await self._watch(request, target, receive, send)
            return None
        operation = OPERATIONS.get((request.method, bool(target.part), target.name is not None))
        if operation is None or target.part == "log":
            raise MethodNotAllowedError(f"{request.method} is not supported on {request.path}")
        return operation(self._store, request, target)

    async def _watch(self, request: Request, target: Target, receive: Receive, send: Send) -> None:
        if "sendInitialEvents" in request.query:
            raise InvalidError("sendInitialEvents is not supported: list first, then watch")
        since = number_in(request.query, "resourceVersion")
        timeout_s = number_in(request.query, "timeoutSeconds")
        watched = Watched(
            kind=target.kind,
            selects=selection(request, target),
            since=int(since) if since else None,
            timeout_s=DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s,
            bookmarks=request.flag("allowWatchBookmarks"),
        )
        if self._gone == "status" and watched.since is not None:
            self._store.unsubscribe(self._store.subscribe((), watched.since))
        await start_stream(send, JSON)
        events = watch(self._store, watched)
        if wants_table(request.accept):
            events = as_tables(events, target.kind.plural)
        await until_hang_up(receive, _send_events(send, events))

    async def _log(self, request: Request, target: Target, receive: Receive, send: Send) -> Answer | None:
        for name in UNSUPPORTED_LOG:
            if request.flag(name):
                raise InvalidError(f"a log with {name} is not supported")
        metadata = found_in(self._store, target)["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        text = self._log_of(namespace, name)
        if text is None:
            raise BadRequestError(f'container in pod "{name}" is waiting to start')
        shown = _tail(text, number_in(request.query, "tailLines"))
        if not request.flag("follow"):
            return Answer(200, shown, "text/plain")
        await start_stream(send, "text/plain")
        await send_part(send, shown)
        await until_hang_up(receive, self._follow(send, namespace, name, len(text)))
        return None

    async def _follow(self, send: Send, namespace: str, name: str, sent: int) -> None:
        """What the pod writes from there on, until it is gone."""
        alive = True
        while alive:
            await asyncio.sleep(FOLLOW_EVERY_S)
            alive = self._store.get("pods", namespace, name) is not None
            text = self._log_of(namespace, name) or b""
            if len(text) > sent:
                await send_part(send, text[sent:])
                sent = len(text)
        await end_stream(send)


async def _send_events(send: Send, events: AsyncGenerator[Object, None]) -> None:
    async with aclosing(events):
        try:
            async for event in events:
                await send_part(send, msgspec.json.encode(event) + b"\n")
        except ExpiredError as error:
            await send_part(send, msgspec.json.encode({"type": "ERROR", "object": refusal(error)}) + b"\n")
    await end_stream(send)


def _verb(request: Request, target: Target) -> str:
    """The RBAC verb of a request."""
    if request.method in VERBS:
        return VERBS[request.method]
    if target.name is not None:
        return "get"
    return "watch" if request.flag("watch") else "list"


def _refused(error: StoreError, target: Target | None) -> Answer:
    kind, name = (target.kind, target.name) if target else (None, None)
    return Answer(error.code, refusal(error, kind, name))


def _tail(text: bytes, lines: float | None) -> bytes:
    if lines is None:
        return text
    return b"".join(text.splitlines(keepends=True)[-int(lines) :]) if lines else b""
