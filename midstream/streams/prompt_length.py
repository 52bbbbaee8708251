"""How many tokens a prompt has, told by the server that will read it."""

from typing import Protocol

import msgspec

from midstream.streams.request import Api
from midstream.streams.target import Target

LIMIT_S = 30.0  # a queued request waits here


class QuestionSource(Protocol):
    """What counting needs of a reactor."""

    def ask(self, target: Target, method: str, path: str, timeout_s: float, body: bytes) -> tuple[int, bytes]:
        """Status with body of one answer; OSError, ValueError."""


class _Usage(msgspec.Struct):
    prompt_tokens: int


class _Answer(msgspec.Struct):
    usage: _Usage


def prompt_tokens(reactor: QuestionSource, target: Target, api: Api, model: str, prompt: str) -> int | None:
    """The usage of a completion of one token, its chat template counted; None when it is not told."""
    text = {"prompt": prompt} if api == "completions" else {"messages": [{"role": "user", "content": prompt}]}
    body = msgspec.json.encode({"model": model, "max_tokens": 1, **text})
    try:
        status, answer = reactor.ask(target, "POST", target.stream_path(api), LIMIT_S, body)
        counted = msgspec.json.decode(answer, type=_Answer).usage.prompt_tokens if status == 200 else 0
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return None
    return counted if counted > 0 else None
