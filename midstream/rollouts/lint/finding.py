"""What one rule says of one workload."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """An error cuts streams or stands in an update's way; a warning does under a condition that it names."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Three sentences: what stands in the manifest, why it cuts streams, what to write there."""

    severity: Severity
    seen: str
    why: str
    mend: str


def error(seen: str, why: str, mend: str) -> Finding:
    """It holds at every update."""
    return Finding(severity=Severity.ERROR, seen=seen, why=why, mend=mend)


def warning(seen: str, why: str, mend: str) -> Finding:
    """It holds under the condition that `why` names."""
    return Finding(severity=Severity.WARNING, seen=seen, why=why, mend=mend)
