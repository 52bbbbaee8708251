"""What the engine does wrong on purpose, from its start on or from the moment that SIGUSR1 comes."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from midstream.rehearsal.engine import refusal
from midstream.rehearsal.engine.options import Damage, Options
from midstream.rehearsal.engine.refusal import Refusal
from midstream.rehearsal.engine.sequence import Delta

OTHER_LABEL = "another-upstream"  # what stands as `model` on the events of whom a gateway turned to

_REFUSALS: dict[int, Callable[[], Refusal]] = {
    429: refusal.rate_limited,
    500: refusal.engine_dead,
    503: refusal.no_upstream,
}


class Defects:
    """The wrongs of one engine; `clock` gives seconds."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._begun_s: float | None = None if options.from_usr1 else clock()
        self._asked = 0  # requests since then

    def begin(self) -> None:
        """Behave wrongly from now on; once begun it has begun."""
        if self._begun_s is None:
            self._begun_s = self._clock()

    def refuse(self) -> None:
        """Count a request. Raises Refusal for the share of them that is refused, evenly spread."""
        status, share = self._options.refuse, self._options.refuse_share
        if status is None or self._begun_s is None:
            return
        if self._clock() - self._begun_s >= self._options.refuse_s:
            return
        self._asked += 1
        if math.floor(self._asked * share) > math.floor((self._asked - 1) * share):
            raise _REFUSALS[status]()

    def damaged(
        self, event: Mapping[str, Any], delta: Delta, generated: int, asked: int
    ) -> Iterator[Mapping[str, Any]]:
        """What is sent in place of an event: `generated` of the `asked` tokens were made up to and with it.

        The damage is done at the event with the token in the middle, never to the last one: finish_reason,
        usage, [DONE] and the body's end are those of a whole stream.
        """
        damage = self._options.damage if self._begun_s is not None else None
        reached = generated >= asked // 2 > 0
        in_the_middle = reached and generated - len(delta.token_ids) < asked // 2
        is_last = delta.finish_reason is not None
        if damage is Damage.MIX and reached:
            yield {**event, "model": OTHER_LABEL}
        elif damage is Damage.REPEAT and in_the_middle and not is_last:
            yield from (event, event)
        elif damage is not Damage.DROP or not in_the_middle or is_last:
            yield event

    def closing(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is sent in place of the usage event."""
        is_mixed = self._options.damage is Damage.MIX and self._begun_s is not None
        return {**event, "model": OTHER_LABEL} if is_mixed else event
