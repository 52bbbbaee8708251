"""What each fault of the rehearsal must lead to, row by row."""

from typing import NamedTuple

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
EXIT_CODES = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}


class Found(NamedTuple):
    """One row; its name is that of its fault, where `faults` does not name others."""

    name: str
    verdict: str
    words: str  # within the verdict's sentence
    causes: frozenset[str] = frozenset()  # all that are told, but for what only pools of connections meet
    endings: frozenset[str] = frozenset()  # of all main streams that were lost or refused
    faults: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    always: bool = False  # a whole run in every `make test`; the others in `make faults`

    @property
    def fault_names(self) -> tuple[str, ...]:
        """The faults that are rehearsed together."""
        return self.faults or (self.name,)


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


_CROSSING_LOST = "crossing streams were lost"

ROWS: tuple[Found, ...] = (
    Found(
        "no-shutdown-timeout",
        FAIL,
        _CROSSING_LOST,
        causes=_set("no_shutdown_timeout"),
        endings=_set("aborted"),
        always=True,
    ),
    Found(
        "clean-cut",
        FAIL,
        _CROSSING_LOST,
        causes=_set("no_drain"),
        endings=_set("ended_early"),
        always=True,
    ),
    Found(
        "short-grace",
        FAIL,
        _CROSSING_LOST,
        causes=_set("grace_too_short"),
        endings=_set("truncated"),
        always=True,
    ),
    Found("promote-ignored", INCONCLUSIVE, "promotion", always=True),
    Found("bad-preview", FAIL, "new revision unfit", causes=_set("new_revision_unfit"), always=True),
)
BY_NAME = {row.name: row for row in ROWS}
