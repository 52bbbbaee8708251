"""Whether a body that ended cleanly was the whole stream, which neither 200 nor [DONE] proves (facts 2)."""

from midstream.streams.ending import Ending
from midstream.streams.openai import ABORTS
from midstream.streams.traits import Signs, Traits


def server_verdict(signs: Signs) -> tuple[Ending, str] | None:
    """What the server itself wrote about its failure; holds however the connection then ended."""
    if signs.error is not None:
        return Ending.ERROR_EVENT, signs.error
    if signs.finish_reason == "error":
        return Ending.ERROR_EVENT, "finish_reason error"
    if signs.finish_reason in ABORTS:
        return Ending.ABORTED, f"finish_reason {signs.finish_reason}"
    return None


def proven_damage(signs: Signs, traits: Traits) -> tuple[Ending, str] | None:
    """Damage that no later byte can heal."""
    if traits.one_label and len(signs.labels) > 1:
        return Ending.MIXED_REVISION, f"events carried the labels {', '.join(signs.labels)}"
    return (Ending.REPEATED, signs.repeated) if signs.repeated else None


def ending_of_body(signs: Signs, traits: Traits, tokens: int, contract: bool) -> tuple[Ending, str]:
    """The ending of a body that ended as its framing says, with the reason in words.

    `tokens` is how many were asked, `contract` whether exactly so many. Demanded is what the traits
    show; where they show neither finish_reason nor [DONE], all tokens must have come.
    """
    told = server_verdict(signs) or proven_damage(signs, traits)
    if told is not None:
        return told
    full = signs.has_all(tokens)
    if traits.finish_reason and not signs.finished:
        return Ending.ENDED_EARLY, "no finish_reason came"
    if traits.done and not signs.done:
        return (Ending.NO_DONE if signs.finished else Ending.ENDED_EARLY), "no [DONE] came"
    if not (signs.finished or signs.done or full):
        return Ending.ENDED_EARLY, "neither finish_reason nor [DONE] came, nor all tokens asked"
    short = _shortness(signs, traits, tokens) if contract and traits.honours_length else ""
    return (Ending.SHORT, short) if short else (Ending.COMPLETE, "")


def _shortness(signs: Signs, traits: Traits, tokens: int) -> str:
    """Why fewer tokens must have come than the length contract fixed; "" when they did not."""
    if signs.has_all(tokens):
        # A gateway that turns a cut into `stop` counts by its own tokenizer; ids it cannot invent (facts 2).
        invented = traits.stop_is_early and signs.finish_reason == "stop" and not signs.ids
        return (
            f"finish_reason stop after {signs.tokens} tokens by usage where only length is possible"
            * invented
        )
    if signs.token_source != "events":
        return f"{signs.fewest} of {tokens} tokens came, by {signs.token_source}"
    if traits.counts_tokens:
        return f"neither usage nor token ids came, which this server sends: {tokens} tokens cannot be shown"
    if traits.stop_is_early and signs.finish_reason == "stop":
        return "finish_reason stop where only length is possible"
    return ""
