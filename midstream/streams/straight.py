"""The read in which nearly every event comes: exactly one chunk that holds exactly one event of one line.

The layers (http1.py, then sse.py) read the same bytes to the same event, as test_straight.py shows; every
read of another shape is left to them.
"""

from functools import lru_cache

_EVENT_BEGIN = b"data: "
_CHUNK_END = b"\n\n\r\n"
_LONGEST_BYTES = 65_536  # limits are the layers' business


def whole_event(read: bytes) -> bytes:
    """The data of the event that a read between two events consists of; b"" where it has another shape."""
    begin = _begin_of_read(len(read))
    if (
        begin
        and read.startswith(begin)
        and read.endswith(_CHUNK_END)
        and read.find(b"\n", len(begin)) == len(read) - 4
        and read.find(b"\r", len(begin)) == len(read) - 2
    ):
        return read[len(begin) : -4]
    return b""


@lru_cache(maxsize=4096)
def _begin_of_read(length: int) -> bytes:
    """Size line with field name of such a read; b"" where there is none of this length.

    Servers write the size in lower case without leading zeros; so its bytes follow from the read's length.
    """
    for digits in range(1, 5):
        size = length - digits - 4
        line = b"%x" % max(size, 0)
        if size > len(_EVENT_BEGIN) + 2 and len(line) == digits and length <= _LONGEST_BYTES:
            return line + b"\r\n" + _EVENT_BEGIN
    return b""
