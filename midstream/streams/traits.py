"""What one server shows of itself, learnt from a single whole stream, so that no more is demanded later."""

from enum import StrEnum

import msgspec

from midstream.streams.ending import Ending
from midstream.streams.record import TokenSource

PROBE_TOKENS = 16  # design 3: enough events to tell continuous usage from a closing one

# Fields of the length contract that a server may refuse, the least missed first: when a 400 names
# none of them, they are dropped in this order.
OPTIONAL_FIELDS = (
    "return_token_ids",
    "continuous_usage_stats",
    "min_tokens",
    "ignore_eos",
    "include_usage",
    "temperature",
)
NO_SIGN = "this server shows no sign that a stream is complete"


class UsageShown(StrEnum):
    """When a server tells how many tokens it made."""

    NONE = "none"
    AT_END = "at_end"
    CONTINUOUS = "continuous"


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to a server, with what it is held to. The defaults send all and demand nothing."""

    optional: frozenset[str] = frozenset(OPTIONAL_FIELDS)  # accepted; acceptance is no promise (facts 2)
    done: bool = False
    finish_reason: bool = False
    usage: UsageShown = UsageShown.NONE
    token_ids: bool = False
    honours_length: bool = False  # made exactly the tokens asked
    stop_is_early: bool = False  # its reason for a full length was `length`, so `stop` betrays a cut
    one_label: bool = False  # `model` was the same in every event

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of a whole stream can be counted at all (events are no count)."""
        return self.token_ids or self.usage is not UsageShown.NONE

    @property
    def missing(self) -> tuple[str, ...]:
        """What this server does not show, one phrase each; none of it is demanded of its streams."""
        shown = {
            "[DONE]": self.done,
            "finish_reason": self.finish_reason,
            "usage": self.usage is not UsageShown.NONE,
            "usage on every event": self.usage is UsageShown.CONTINUOUS,
            "token ids": self.token_ids,
            "the exact number of tokens asked": self.honours_length,
            "one model label in all events": self.one_label,
        }
        refused = tuple(f"{name} (400)" for name in OPTIONAL_FIELDS if name not in self.optional)
        return tuple(words for words, there in shown.items() if not there) + refused


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What one stream showed until it ended."""

    framed: bool = False  # the body ended as its framing says
    done: bool = False
    finish_reasons: tuple[str | None, ...] = ()  # one for each choice seen; None: never came
    error: str | None = None
    labels: tuple[str, ...] = ()
    tokens: int = 0
    token_source: TokenSource = TokenSource.EVENTS
    fewest: int = 0  # tokens of the choice that has the fewest
    ids: int = 0
    usage_events: int = 0
    usage_before_end: int = 0  # on events with a choice that had no finish_reason yet
    usage_fell: bool = False  # within one choice
    repeated: str = ""  # why tokens must have come twice or out of order

    @property
    def finished(self) -> bool:
        """Whether every choice has a finish_reason (`completions-n2`: both are needed)."""
        return bool(self.finish_reasons) and None not in self.finish_reasons

    @property
    def finish_reason(self) -> str | None:
        """The reason that decides: the worst one where several choices differ."""
        told = [reason for reason in self.finish_reasons if reason is not None]
        return next(
            (reason for reason in ("error", "abort", "stop") if reason in told), next(iter(told), None)
        )

    def has_all(self, tokens: int) -> bool:
        """Whether each choice is known to have that many tokens."""
        return self.token_source is not TokenSource.EVENTS and self.fewest >= tokens


class TraitsUnknownError(Exception):
    """The probe stream taught nothing; the message says why, with the next step."""


def traits_of(signs: Signs, ending: Ending, optional: frozenset[str], asked: int = PROBE_TOKENS) -> Traits:
    """Learn from a probe stream; raises TraitsUnknownError unless it was whole (design 3, Traits)."""
    if ending is not Ending.COMPLETE or not signs.framed:
        raise TraitsUnknownError(
            f"{NO_SIGN}: the probe of {asked} tokens ended as {ending}: {ending.sentence}"
        )
    full = signs.has_all(asked) and signs.fewest == asked
    if not (signs.done or signs.finished or full):
        raise TraitsUnknownError(f"{NO_SIGN}: neither finish_reason nor [DONE] nor {asked} tokens came")
    counted = signs.token_source is not TokenSource.EVENTS
    return Traits(
        optional=optional,
        done=signs.done,
        finish_reason=signs.finished,
        usage=_usage_shown(signs),
        token_ids=signs.ids > 0,
        honours_length=full or (not counted and signs.finish_reason == "length"),
        stop_is_early=signs.finish_reason == "length",
        one_label=len(signs.labels) == 1,
    )


def _usage_shown(signs: Signs) -> UsageShown:
    if signs.usage_before_end and not signs.usage_fell:
        return UsageShown.CONTINUOUS
    return UsageShown.AT_END if signs.usage_events else UsageShown.NONE


def field_to_drop(optional: frozenset[str], error: str) -> str | None:
    """The optional field to leave out after a 400: one that the error names, else the least missed."""
    candidates = [name for name in OPTIONAL_FIELDS if name in optional]
    named = [name for name in candidates if name in error]
    if not named and "stream_options" in error:
        named = [name for name in candidates if name in ("continuous_usage_stats", "include_usage")]
    return next(iter(named or candidates), None)
