"""How long a stream can still live after the cutover, as a sum with the source of each number."""

import msgspec


class DrainBudget(msgspec.Struct, frozen=True, kw_only=True):
    """scaleDownDelay + preStop + min(engine drain, grace - preStop) of the OLD revision (facts 3).

    None for `scale_down_delay_s`: never scaled down (0 in the spec). None for `engine_drain_s`: the
    engine is not one whose drain can be read off its arguments.
    """

    scale_down_delay_s: float | None
    pre_stop_s: float
    grace_s: float
    engine_drain_s: float | None
    sources: dict[str, str]  # field -> where the number was read, for people

    @property
    def until_sigterm_s(self) -> float | None:
        """From the cutover to SIGTERM."""
        return None if self.scale_down_delay_s is None else self.scale_down_delay_s + self.pre_stop_s

    @property
    def total_s(self) -> float | None:
        """From the cutover to the last moment a stream can live; None when unknown."""
        if self.until_sigterm_s is None or self.engine_drain_s is None:
            return None
        return self.until_sigterm_s + max(0.0, min(self.engine_drain_s, self.grace_s - self.pre_stop_s))
