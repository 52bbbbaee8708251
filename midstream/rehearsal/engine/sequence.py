"""One choice of one request, generated token by token without a clock."""

import hashlib
from collections.abc import Sequence as Items

import msgspec

from midstream.rehearsal.engine import vocabulary


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How long the text may become and what ends it."""

    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()


class Delta(msgspec.Struct, frozen=True):
    """What one choice has grown by since the delta before it."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: str | None = None  # length | stop | abort
    stop_reason: str | None = None  # the stop string that was found

    def then(self, later: "Delta") -> "Delta":
        """Both in one: vLLM merges what a slow reader has not taken yet."""
        return Delta(
            self.token_ids + later.token_ids, self.text + later.text, later.finish_reason, later.stop_reason
        )


def key_of(seed: str, prompt_ids: Items[int], choice: int, noise: int | None) -> int:
    """The 64 bits that a text follows from: engine seed, prompt, choice, and noise unless greedy."""
    words = f"{seed}|{','.join(map(str, prompt_ids))}|{choice}|{noise}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big")


class Sequence:
    """A text in the making: each `step` adds one token."""

    def __init__(self, key: int, prompt_ids: tuple[int, ...], sampling: Sampling) -> None:
        self.prompt_ids = prompt_ids
        self.generated = 0
        self.finished = False
        self._key = key
        self._sampling = sampling
        self._held = ""
        # A stop string may begin in harmless text: that much is held back (`completions-stop-string`).
        self._hold_back = max(map(len, sampling.stop), default=1) - 1

    def step(self) -> Delta:
        """The next token."""
        sampling = self._sampling
        # vLLM masks the end of text below min_tokens; with ignore_eos id 2 is a token like any other.
        may_stop = self.generated >= sampling.min_tokens
        token = vocabulary.draw(self._key, self.generated, may_end=may_stop or sampling.ignore_eos)
        self.generated += 1
        self._held += vocabulary.TEXTS[token]
        if token == vocabulary.END_OF_TEXT and not sampling.ignore_eos:
            return self._finish((token,), "stop")
        if sampling.stop and self.generated > sampling.min_tokens:
            found = self._find_stop()
            if found is not None:
                return self._finish((token,), "stop", found)
        if self.generated == sampling.max_tokens:
            return self._finish((token,), "length")
        return Delta((token,), self._release())

    def abort(self) -> Delta:
        """The end without a token that `sigterm-abort-no-token-in-last-event` shows."""
        return self._finish((), "abort")

    def _release(self) -> str:
        if not self._hold_back:
            text, self._held = self._held, ""
            return text
        cut = max(0, len(self._held) - self._hold_back)
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def _find_stop(self) -> str | None:
        for stop in self._sampling.stop:
            at = self._held.find(stop)
            if at >= 0:
                self._held = self._held[:at]
                return stop
        return None

    def _finish(self, token_ids: tuple[int, ...], reason: str, stop: str | None = None) -> Delta:
        self.finished = True
        text, self._held = self._held, ""
        return Delta(token_ids, text, reason, stop)
