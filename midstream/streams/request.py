"""What one stream is asked for, with the bytes that ask it."""

from typing import Any, Literal

import msgspec

from midstream.streams.record import Lane
from midstream.streams.traits import Traits

Api = Literal["completions", "chat"]

PATHS: dict[Api, str] = {"completions": "completions", "chat": "chat/completions"}


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One stream to be opened."""

    id: str  # sent as X-Request-Id; vLLM makes the body's id of it (facts 1)
    scenario: str
    lane: Lane
    fresh: bool  # on a connection of its own, else on a kept one where there is one
    api: Api
    model: str
    prompt: str
    tokens: int
    contract: bool  # exactly that many tokens, so that a missing one shows
    scheduled_ns: int
    keep_body: bool = False  # for a second reader, where there is one stream to look at


def payload_of(request: StreamRequest, traits: Traits) -> bytes:
    """The JSON body: what every server takes, with the optional fields that this one accepts.

    The exact length contract is ignore_eos, max_tokens = min_tokens = N, temperature 0, usage on every
    event, token ids (facts 1). continuous_usage_stats without include_usage gives no usage at all
    (`completions-usage-at-end`), so it goes only with it.
    """
    accepted = traits.optional
    fields: dict[str, Any] = {"model": request.model}
    if request.api == "completions":
        fields["prompt"] = request.prompt
    else:
        fields["messages"] = [{"role": "user", "content": request.prompt}]
    fields |= {"max_tokens": request.tokens, "stream": True}
    if request.contract:
        contract = {"min_tokens": request.tokens, "ignore_eos": True, "temperature": 0}
        fields |= {name: value for name, value in contract.items() if name in accepted}
    if "include_usage" in accepted:
        fields["stream_options"] = {"include_usage": True}
        if "continuous_usage_stats" in accepted:
            fields["stream_options"]["continuous_usage_stats"] = True
    if "return_token_ids" in accepted:
        fields["return_token_ids"] = True
    return msgspec.json.encode(fields)
