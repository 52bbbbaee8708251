"""What the events of one stream add up to: tokens with their instants, labels, the server's own words."""

from array import array

from midstream.streams.gaps import bucket_of
from midstream.streams.openai import Choice, Chunk
from midstream.streams.record import Gap, TokenSource
from midstream.streams.traits import Signs, Traits, UsageShown

LONGEST_GAPS = 3
COUNTED_AT_ONCE = 64  # gaps
WORD_LIMIT = 256  # characters kept of a label or reason: more than any model's name (Kubernetes: 253)
CHOICES_KEPT = 128  # OpenAI's limit of `n`; endless new indexes must not fill memory
OTHER_CHOICES = -1  # all others together
LABELS_KEPT = 16  # two are damage already; a record outlives its stream, so it must stay small


class _ChoiceState:
    """What one choice has shown so far."""

    __slots__ = ("finish_reason", "ids", "usage")

    def __init__(self) -> None:
        self.ids = 0
        self.usage = 0
        self.finish_reason: str | None = None


class Silences:
    """The gaps between token-bearing events. Each event lies in [lo, hi]; lo = hi where it is exact."""

    __slots__ = ("_counts", "_hi_ns", "_lo_ns", "_longest", "_shortest_kept_ns", "_uncounted", "_unsure")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._uncounted = array("q")  # lengths in ns
        self._lo_ns = self._hi_ns = 0
        self._longest: list[tuple[int, int, int]] = []  # (length, start, end) of certain ones
        self._shortest_kept_ns = 0  # of a full `_longest`
        self._unsure = (0, 0, 0)

    def begin(self, lo_ns: int, hi_ns: int) -> None:
        """The first token-bearing event."""
        self._lo_ns, self._hi_ns = lo_ns, hi_ns

    def add(self, lo_ns: int, hi_ns: int) -> None:
        """Another token-bearing event: only two exact instants make a gap that counts."""
        start_ns = self._lo_ns
        length_ns = hi_ns - start_ns
        if lo_ns == hi_ns and start_ns == self._hi_ns:
            self._uncounted.append(length_ns)
            if length_ns > self._shortest_kept_ns:
                self._keep(length_ns, start_ns, hi_ns)
            if len(self._uncounted) == COUNTED_AT_ONCE:
                self._count()
        elif length_ns > self._unsure[0]:
            self._unsure = (length_ns, start_ns, hi_ns)
        self._lo_ns, self._hi_ns = lo_ns, hi_ns

    def _keep(self, length_ns: int, start_ns: int, end_ns: int) -> None:
        self._longest.append((length_ns, start_ns, end_ns))
        self._longest.sort(reverse=True)
        del self._longest[LONGEST_GAPS:]
        if len(self._longest) == LONGEST_GAPS:
            self._shortest_kept_ns = self._longest[-1][0]

    def _count(self) -> None:
        # Many in one go: with 500 streams each event finds this table out of the processor's cache, which
        # took 1.3 of 7.4 us an event (Loop._drain alone, 2026-11-24).
        counts = self._counts
        for length_ns in self._uncounted:
            bucket = bucket_of(length_ns)
            counts[bucket] = counts.get(bucket, 0) + 1
        del self._uncounted[:]

    @property
    def counts(self) -> dict[int, int]:
        """How many gaps of each bucket (gaps.py)."""
        self._count()
        return self._counts

    def longest(self) -> tuple[Gap, ...]:
        """The longest gaps, longest first.

        At most one uncertain gap is named: one late read bounds many of them alike, which would hide
        the certain ones.
        """
        found = [(*gap, True) for gap in self._longest]
        if self._unsure[0]:
            found.append((*self._unsure, False))
        found.sort(reverse=True)
        return tuple(
            Gap(start_ns=start, end_ns=end, certain=sure) for _, start, end, sure in found[:LONGEST_GAPS]
        )


class Tally:
    """Fed the chunks of one stream. `asked` is the number of tokens that the length contract fixed."""

    __slots__ = (
        "_asked",
        "_bearing_events",
        "_choices",
        "_closing_usage",
        "_index",
        "_labels",
        "_repeated",
        "_shows_ids",
        "_state",
        "_usage_before_end",
        "_usage_events",
        "_usage_fell",
        "_usage_is_continuous",
        "done",
        "error",
        "first_token_ns",
        "label",
        "last_token_ns",
        "silences",
        "uncertain_tokens",
    )

    def __init__(self, traits: Traits, asked: int | None) -> None:
        self.done = False
        self.error: str | None = None
        self.label = ""  # the model label seen last
        self.first_token_ns: int | None = None
        self.last_token_ns: int | None = None
        self.uncertain_tokens = 0
        self.silences = Silences()
        self._asked = asked
        self._usage_is_continuous = traits.usage is UsageShown.CONTINUOUS
        self._shows_ids = traits.token_ids
        self._choices: dict[int, _ChoiceState] = {}
        self._state: _ChoiceState | None = None  # of `_index`, the choice spoken of last
        self._index = 0
        self._labels: list[str] = []
        self._bearing_events = 0
        self._closing_usage = 0
        self._usage_events = self._usage_before_end = 0
        self._usage_fell = False
        self._repeated = ""

    def add(self, chunk: Chunk, lo_ns: int, hi_ns: int) -> None:
        """One event that came within [lo_ns, hi_ns]."""
        label = chunk.model
        if label != self.label and label:
            self.label = label = label[:WORD_LIMIT]
            if label not in self._labels and len(self._labels) < LABELS_KEPT:
                self._labels.append(label)
        if chunk.error is not None or chunk.object == "error":
            self.error = chunk.error_text
            return
        usage = chunk.usage.completion_tokens if chunk.usage is not None else None
        choices = chunk.choices or ()
        if usage is not None:
            self._usage_events += 1
            if not choices or choices[0].is_bare:  # a gateway sends a bare choice beside it (facts 2)
                self._closing_usage = max(self._closing_usage, usage)
                return
        if len(choices) == 1:
            tokens = self._add_choice(choices[0], usage)
        else:  # usage stands for a choice only where the event has no other (`chat-n2`)
            tokens = sum(self._add_choice(choice, None) for choice in choices)
        if tokens:
            self._date(tokens, lo_ns, hi_ns)

    def _add_choice(self, choice: Choice, usage: int | None) -> int:
        """How many tokens the event brought for this choice; 0 for a role or an empty finish."""
        state = self._state
        if state is None or choice.index != self._index:
            state = self._state_of(choice.index)
        if choice.finish_reason is not None:
            state.finish_reason = choice.finish_reason[:WORD_LIMIT]
        ids = len(choice.token_ids) if choice.token_ids else 0
        state.ids += ids
        by_usage = self._add_usage(state, usage) if usage is not None else 0
        return ids or by_usage or (1 if choice.speaks else 0)

    def _state_of(self, index: int) -> _ChoiceState:
        state = self._choices.get(index)
        if state is None:
            kept = index if len(self._choices) < CHOICES_KEPT else OTHER_CHOICES
            state = self._choices.setdefault(kept, _ChoiceState())
        self._state, self._index = state, index
        return state

    def _add_usage(self, state: _ChoiceState, usage: int) -> int:
        """New tokens by a usage that is demanded to rise; 0 where a server tells usage only at the end."""
        if usage > 0 and state.finish_reason is None:
            self._usage_before_end += 1
        new = usage - state.usage
        if new < 0:
            self._usage_fell = True
        if self._usage_is_continuous and not self._repeated:
            if new < 0:
                self._repeated = f"usage fell from {state.usage} to {usage} tokens"
            elif self._shows_ids and state.ids > usage:
                self._repeated = f"{state.ids} token ids came where usage counts {usage}"
        if new <= 0:
            return 0
        state.usage = usage
        return new if self._usage_is_continuous else 0

    def _date(self, tokens: int, lo_ns: int, hi_ns: int) -> None:
        self._bearing_events += 1
        if lo_ns != hi_ns:
            self.uncertain_tokens += tokens
        if self.first_token_ns is None:
            self.first_token_ns = hi_ns
            self.silences.begin(lo_ns, hi_ns)
        else:
            self.silences.add(lo_ns, hi_ns)
        self.last_token_ns = hi_ns

    def tokens(self) -> tuple[int, TokenSource, int]:
        """All tokens, what the count rests on, the tokens of the choice with the fewest."""
        states = self._choices.values()
        by_ids = [state.ids for state in states]
        if any(by_ids):
            return sum(by_ids), TokenSource.IDS, min(by_ids)
        by_usage = [state.usage for state in states]
        if self._closing_usage or any(by_usage):
            total = max(self._closing_usage, sum(by_usage))
            each = all(by_usage) and len(by_usage) > 1
            return total, TokenSource.USAGE, min(by_usage) if each else total // max(1, len(by_usage))
        return self._bearing_events, TokenSource.EVENTS, self._bearing_events

    def signs(self, framed: bool) -> Signs:
        """What the stream has shown until now; `framed`: its body ended as its framing says."""
        tokens, source, fewest = self.tokens()
        return Signs(
            framed=framed,
            done=self.done,
            finish_reasons=tuple(choice.finish_reason for choice in self._choices.values()),
            error=self.error,
            labels=tuple(self._labels),
            tokens=tokens,
            token_source=source,
            fewest=fewest,
            ids=sum(choice.ids for choice in self._choices.values()),
            usage_events=self._usage_events,
            usage_before_end=self._usage_before_end,
            usage_fell=self._usage_fell,
            repeated=self._repeated or self._too_many_ids(),
        )

    def _too_many_ids(self) -> str:
        most = max((state.ids for state in self._choices.values()), default=0)
        if self._shows_ids and self._asked is not None and most > self._asked:
            return f"{most} token ids came where {self._asked} were asked"
        return ""
