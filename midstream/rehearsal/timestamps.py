"""How Kubernetes writes an instant: RFC 3339 in UTC, whole seconds where its type is Time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The machine's clock, aware of its zone."""
    return datetime.now(UTC)


def time_text(at: datetime) -> str:
    """`metav1.Time`: whole seconds, cut off rather than rounded (apimachinery, time.go MarshalJSON)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The instant a Time or MicroTime names; ValueError when it is none."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return at
