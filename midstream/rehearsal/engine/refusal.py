"""The answers the engine gives instead of a text: each refusal with vLLM's words."""

from http import HTTPStatus

import msgspec


class Refusal(Exception):  # noqa: N818 - an answer that HTTP asks for, not a fault of ours
    """An error response; its body is OpenAI's error object.

    `bare` says that vLLM's middleware never saw it: no `vary`, no `x-request-id` (`drain-late-chat`).
    """

    content_type = b"application/json"

    def __init__(
        self, status: int, message: str, kind: str, param: str | None = None, *, bare: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.bare = bare
        self.body = msgspec.json.encode(
            {"error": {"message": message, "type": kind, "param": param, "code": status}}
        )


def bad_json(position: int, reason: str) -> Refusal:
    """The body is not JSON from that character on (`400-bad-json`)."""
    message = (
        f"1 validation error:\n  {{'type': 'json_invalid', 'loc': 'body.{position}', "
        f"'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {{'error': '{reason}'}}}}"
    )
    return Refusal(400, message, "Bad Request", f"body.{position}")


def invalid(param: str, reason: str) -> Refusal:
    """A field is missing or of the wrong type: vLLM's frame, our words for the reason."""
    return Refusal(400, f"1 validation error:\n  {reason}", "Bad Request", param)


def out_of_range(param: str, value: object, sentence: str) -> Refusal:
    """A field's value cannot be served (`400-max-tokens`)."""
    return Refusal(400, f"{sentence} (parameter={param}, value={value})", "BadRequestError", param)


def unknown_model(model: str, served: tuple[str, ...]) -> Refusal:
    """Nobody here answers to that name (`404-unknown-model`)."""
    message = f"The model `{model}` does not exist. Valid aliases: {', '.join(served)}."
    return Refusal(404, message, "NotFoundError", "model")


def draining() -> Refusal:
    """A text that comes after SIGTERM: vLLM has no thread left to tokenize it (`drain-late-completions`)."""
    message = "cannot schedule new futures after shutdown"
    return Refusal(500, message, "InternalServerError", bare=True)


ENGINE_DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def engine_dead() -> Refusal:
    """The engine died under a response that had not begun."""
    return Refusal(500, ENGINE_DEAD, "InternalServerError", bare=True)


class ProxyRefusal(Refusal):
    """What a proxy before the engine answers by itself, in plain text as Envoy does."""

    content_type = b"text/plain"

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text, "", bare=True)
        self.body = text.encode()


def rate_limited() -> Refusal:
    """Envoy's local rate limit filter."""
    return ProxyRefusal(429, "local_rate_limited")


def no_upstream() -> Refusal:
    """Envoy, as a sidecar whose container does not take connections."""
    reason = "reset reason: connection failure, transport failure reason: delayed connect error: 111"
    return ProxyRefusal(503, f"upstream connect error or disconnect/reset before headers. {reason}")


def no_route(status: HTTPStatus) -> Refusal:
    """Nothing lies at that path, or nothing for that method."""
    return Refusal(status, status.phrase, status.phrase)
