"""Keys and passwords of a run, starred in whatever text a server or a library made of them."""

import binascii
import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import msgspec

from midstream.streams.record import StreamRecord

STARS = "***"
SHORTEST = 4  # characters; a shorter value stands in every second word by chance
PART = 8  # so much of a secret's begin or end, where a text was cut within it, is starred as well
_SCHEME = re.compile(r"(?:basic|bearer|token|apikey|api-key|key)\s+", re.IGNORECASE)  # RFC 9110 11.4
_BASIC = re.compile(r"basic\s+", re.IGNORECASE)


class Secrets:
    """What must be read nowhere; it grows when a key is renewed. Nothing of it is shown by repr."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: list[str] = []  # the longest first, since one may hold another
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hide these from now on: bare values or whole header values, such as `Bearer KEY`."""
        forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
        self._forms = sorted(forms.union(self._forms), key=lambda form: (-len(form), form))

    def hide(self, text: str) -> str:
        """The text with `***` for every secret, also where only the begin or the end of one is left."""
        for form in self._forms:  # whole ones before pieces, since the forms of one secret begin alike
            text = text.replace(form, STARS)
        for form in self._forms:
            if form[:PART] in text or form[-PART:] in text:
                text = _starred(text, form)
        return text

    def cleaned(self, record: StreamRecord) -> StreamRecord:
        """The record without secrets in its evidence."""
        evidence = record.evidence
        last_bytes, error = self.hide(evidence.last_bytes), self.hide(evidence.error)
        if (last_bytes, error) == (evidence.last_bytes, evidence.error):
            return record
        hidden = msgspec.structs.replace(evidence, last_bytes=last_bytes, error=error)
        return msgspec.structs.replace(record, evidence=hidden)

    def __repr__(self) -> str:
        return f"Secrets({len(self._forms)} forms)"


def _forms(value: str) -> Iterator[str]:
    """A value as a server may echo it: bare, without its scheme, decoded, encoded, escaped."""
    bare = _SCHEME.sub("", value.strip(), count=1)
    login = _login(value)
    for plain in filter(None, (bare, login, login.partition(":")[2])):
        octets = plain.encode("utf-8", "surrogateescape")
        escaped = json.dumps(plain)[1:-1]
        yield from (plain, escaped, escaped.replace("/", "\\/"), quote(plain, safe=""))
        for encoded in (b64encode(octets).decode(), urlsafe_b64encode(octets).decode()):
            yield from (encoded, encoded.rstrip("="))
        # Header values go out as Latin-1, so their echo may be no UTF-8: evidence escapes such bytes.
        yield plain.encode("latin-1", "replace").decode("utf-8", "backslashreplace")


def _login(value: str) -> str:
    """USER:PASSWORD of a Basic value (RFC 7617); "" of any other."""
    scheme = _BASIC.match(value.strip())
    if scheme is None:
        return ""
    try:
        return b64decode(value.strip()[scheme.end() :], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _starred(text: str, form: str) -> str:
    parts: list[str] = []
    at = 0
    while (found := _next(text, form, at)) is not None:
        begin, end = found
        parts += [text[at:begin], STARS]
        at = end
    return "".join(parts) + text[at:]


def _next(text: str, form: str, at: int) -> tuple[int, int] | None:
    """The next piece of the text that is the form's begin or end, as much of it as stands there."""
    head, tail = text.find(form[:PART], at), text.find(form[-PART:], at)
    if head < 0 and tail < 0:
        return None
    if head >= 0 and (tail < 0 or head <= tail):
        return head, head + _common(text[head : head + len(form)], form)
    end = tail + len(form[-PART:])
    return end - _common(text[at:end][::-1], form[::-1]), end


def _common(first: str, second: str) -> int:
    """The length of what two texts begin with alike."""
    return next(
        (number for number, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )
