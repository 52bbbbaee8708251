"""The JSON of every answer that carries text, with vLLM's keys in vLLM's order."""

from typing import Any, NamedTuple, Protocol

from midstream.rehearsal.engine.refusal import ENGINE_DEAD
from midstream.rehearsal.engine.request import Api, Ask
from midstream.rehearsal.engine.sequence import Delta

DONE = b"data: [DONE]\n\n"
# Spaces and all: this one event is not written by vLLM's usual encoder (`engine-killed-error-event`).
ERROR_EVENT = (
    b'data: {"error": {"message": "%s", "type": "InternalServerError", "param": null, "code": 500}}\n\n'
    % ENGINE_DEAD.encode()
)


class Label(NamedTuple):
    """What stands on every event of one response."""

    id: str
    created: int  # Unix seconds
    model: str  # the FIRST served name, whatever was asked for (facts 1)
    fingerprint: str


class Finished(NamedTuple):
    """One choice of a response that is sent whole."""

    delta: Delta
    prompt: int  # index into the request's prompts


class Reply(Protocol):
    """One API's shapes."""

    def opening(self, choice: int) -> dict[str, Any] | None:
        """The event before a choice's first token, if this API has one."""

    def event(self, choice: int, delta: Delta, generated: int, *, first: bool) -> dict[str, Any]:
        """The event of one delta; `generated` counts this choice's tokens up to and with it."""

    def closing(self, generated: int) -> dict[str, Any]:
        """The usage event, which has no choices."""

    def whole(self, choices: list[Finished]) -> dict[str, Any]:
        """The answer to a request that does not stream."""


def usage(prompt: int, generated: int) -> dict[str, Any]:
    """The three counts, in vLLM's order."""
    return {"prompt_tokens": prompt, "total_tokens": prompt + generated, "completion_tokens": generated}


class _Shapes:
    """What both APIs share."""

    chunk_object: str
    whole_object: str

    def __init__(self, ask: Ask, label: Label) -> None:
        self._ask = ask
        self._label = label

    def _prompt(self, choice: int) -> int:
        return choice // self._ask.n

    def _prompt_size(self, choice: int) -> int:
        return len(self._ask.prompts[self._prompt(choice)].ids)

    def _head(self, kind: str) -> dict[str, Any]:
        label = self._label
        return {"id": label.id, "object": kind, "created": label.created, "model": label.model}

    def _total(self, generated: int) -> dict[str, Any]:
        return usage(sum(len(prompt.ids) for prompt in self._ask.prompts), generated)

    def _ids(self, delta: Delta) -> tuple[int, ...] | None:
        return delta.token_ids if self._ask.return_token_ids else None

    def _sign(self, event: dict[str, Any], delta: Delta) -> dict[str, Any]:
        # The fingerprint comes once, on the last event: where a usage event follows, it stands there.
        if delta.finish_reason is not None and not self._ask.include_usage:
            event["system_fingerprint"] = self._label.fingerprint
        return event

    def closing(self, generated: int) -> dict[str, Any]:
        event = {**self._head(self.chunk_object), "choices": [], "usage": self._total(generated)}
        event["system_fingerprint"] = self._label.fingerprint
        return event

    def _whole(self, choices: list[dict[str, Any]], generated: int) -> dict[str, Any]:
        counts = self._total(generated) | {"prompt_tokens_details": None, "completion_tokens_details": None}
        return {
            **self._head(self.whole_object),
            "choices": choices,
            "service_tier": None,
            "system_fingerprint": self._label.fingerprint,
            "usage": counts,
        }


class CompletionsReply(_Shapes):
    """The shapes of /v1/completions."""

    chunk_object = whole_object = "text_completion"

    def opening(self, choice: int) -> None:  # noqa: ARG002 - the protocol's signature
        """None: the first event already carries token 1 (facts 1)."""
        return

    def event(self, choice: int, delta: Delta, generated: int, *, first: bool) -> dict[str, Any]:
        """As in `completions-complete`; echo's ways as in `completions-echo` and `-echo-token-ids`."""
        ask = self._ask
        prompt = ask.prompts[self._prompt(choice)]
        echoes = first and ask.echo and not ask.return_token_ids
        event = self._head(self.chunk_object)
        event["choices"] = [
            {
                "index": choice,
                "text": prompt.text + delta.text if echoes else delta.text,
                "logprobs": None,
                "finish_reason": delta.finish_reason,
                "stop_reason": delta.stop_reason,
                "prompt_token_ids": prompt.ids if first and (ask.echo or ask.return_token_ids) else None,
                "token_ids": self._ids(delta),
            }
        ]
        if ask.continuous_usage:
            event["usage"] = usage(len(prompt.ids), generated)
        return self._sign(event, delta)

    def whole(self, choices: list[Finished]) -> dict[str, Any]:
        """As in `completions-not-streaming`."""
        bodies = [self._choice(index, choice) for index, choice in enumerate(choices)]
        generated = sum(len(choice.delta.token_ids) for choice in choices)
        tail = {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}
        return self._whole(bodies, generated) | tail

    def _choice(self, index: int, choice: Finished) -> dict[str, Any]:
        prompt = self._ask.prompts[choice.prompt]
        return {
            "index": index,
            "text": prompt.text + choice.delta.text if self._ask.echo else choice.delta.text,
            "logprobs": None,
            "finish_reason": choice.delta.finish_reason,
            "stop_reason": choice.delta.stop_reason,
            "token_ids": self._ids(choice.delta),
            "prompt_logprobs": None,
            "prompt_token_ids": prompt.ids if self._ask.return_token_ids else None,
            "routed_experts": None,
        }


class ChatReply(_Shapes):
    """The shapes of /v1/chat/completions."""

    chunk_object = "chat.completion.chunk"
    whole_object = "chat.completion"

    def opening(self, choice: int) -> dict[str, Any]:
        """The role event: no token, and the only one that knows the prompt's ids (`chat-token-ids`)."""
        delta = {"role": "assistant", "content": ""}
        choices = [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": None}]
        event = self._counted(choices, choice, 0)
        event["prompt_token_ids"] = self._ask.prompts[0].ids if self._ask.return_token_ids else None
        event["prompt_text"] = None
        return event

    def event(self, choice: int, delta: Delta, generated: int, *, first: bool) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """As in `chat-complete`: `stop_reason` is a key of the last event alone."""
        body: dict[str, Any] = {
            "index": choice,
            "delta": {"content": delta.text},
            "logprobs": None,
            "finish_reason": delta.finish_reason,
        }
        if delta.finish_reason is not None:
            body["stop_reason"] = delta.stop_reason
        body["token_ids"] = self._ids(delta)
        return self._sign(self._counted([body], choice, generated), delta)

    def _counted(self, choices: list[dict[str, Any]], choice: int, generated: int) -> dict[str, Any]:
        event = {**self._head(self.chunk_object), "choices": choices}
        if self._ask.continuous_usage:
            counts = usage(self._prompt_size(choice), generated)
            event["usage"] = counts | {"completion_tokens_details": None}
        return event

    def whole(self, choices: list[Finished]) -> dict[str, Any]:
        """As in `chat-not-streaming`."""
        bodies = [self._choice(index, choice.delta) for index, choice in enumerate(choices)]
        generated = sum(len(choice.delta.token_ids) for choice in choices)
        return self._whole(bodies, generated) | {
            "prompt_logprobs": None,
            "prompt_token_ids": self._ask.prompts[0].ids if self._ask.return_token_ids else None,
            "prompt_text": None,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    def _choice(self, index: int, delta: Delta) -> dict[str, Any]:
        silent = ("refusal", "annotations", "audio", "function_call", "reasoning")
        return {
            "index": index,
            "message": {"role": "assistant", "content": delta.text, **dict.fromkeys(silent)},
            "logprobs": None,
            "finish_reason": delta.finish_reason,
            "stop_reason": delta.stop_reason,
            "token_ids": self._ids(delta),
            "routed_experts": None,
        }


def reply_to(ask: Ask, label: Label) -> Reply:
    """The shapes that this request is answered in."""
    return ChatReply(ask, label) if ask.api is Api.CHAT else CompletionsReply(ask, label)
