"""One cause: why a group of streams was lost, in words with what shows it."""

import msgspec

UNEXPLAINED = "unexplained"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a group of streams was lost, with what shows it."""

    line: str  # the whole sentence for people
    cause: str  # short name of the misconfiguration, or "unexplained"
    why: str  # what is wrong, in words; empty where it is the verdict's own sentence
    streams: int
    evidence: tuple[str, ...]
    mend: str
