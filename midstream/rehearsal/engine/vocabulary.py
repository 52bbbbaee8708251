"""The made-up language of the engine: its token ids, their texts, how a text becomes ids."""

import re
import zlib
from collections.abc import Iterable
from itertools import product

END_OF_TEXT = 2
_SPECIAL = ("", "", "")  # ids 0 to 2 have no text, as vLLM's skip_special_tokens leaves them
# Some vowels need more than one byte, so that texts cut at any byte are a case in every rehearsal.
_SYLLABLES = product("bdfghklmnprstvwz", ("a", "e", "i", "o", "u", "ai", "ä", "ō"), ("", "n", "r", "s"))
TEXTS: tuple[str, ...] = _SPECIAL + tuple(" " + "".join(parts) for parts in _SYLLABLES)
SIZE = len(TEXTS)
_IDS = {text: number for number, text in enumerate(TEXTS) if text}
_WORDS = SIZE - len(_SPECIAL)
_PIECE = re.compile(r" ?\w{1,12}| ?[^\w\s]|\s")

_MASK = (1 << 64) - 1


def tokenize(text: str) -> tuple[int, ...]:
    """The ids of a text; pieces outside the vocabulary share its ids by a checksum."""
    return tuple(_id_of(piece) for piece in _PIECE.findall(text))


def _id_of(piece: str) -> int:
    known = _IDS.get(piece)
    return len(_SPECIAL) + zlib.crc32(piece.encode()) % _WORDS if known is None else known


def detokenize(ids: Iterable[int]) -> str:
    """The text of some ids, which must be below SIZE."""
    return "".join(TEXTS[number] for number in ids)


def draw(key: int, position: int, *, may_end: bool) -> int:
    """The id at `position` of the text that `key` (64 bits) stands for, a function of nothing else.

    The mixing is splitmix64 (Steele, Lea, Flood 2014). END_OF_TEXT is drawn as often as any other id, about
    once in 515 tokens, unless `may_end` is false.
    """
    mixed = (key + (position + 1) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    mixed ^= mixed >> 31
    number = mixed % SIZE
    if number == END_OF_TEXT and not may_end:
        return len(_SPECIAL) + (mixed >> 32) % _WORDS
    return number
