"""Texts of the engine as functions of seed, prompt and position."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from midstream.rehearsal.engine import vocabulary
from midstream.rehearsal.engine.sequence import Delta, Sampling, Sequence, key_of

KEYS = st.integers(0, 2**64 - 1)


def deltas(key: int, sampling: Sampling) -> list[Delta]:
    sequence = Sequence(key, (5,), sampling)
    found = [sequence.step()]
    while not sequence.finished:
        found.append(sequence.step())
    return found


def whole(found: list[Delta]) -> str:
    return "".join(delta.text for delta in found)


def test_the_vocabulary_has_no_text_twice() -> None:
    texts = [text for text in vocabulary.TEXTS if text]
    assert len(set(texts)) == len(texts) == vocabulary.SIZE - 3
    assert all(vocabulary.tokenize(text) == (vocabulary.TEXTS.index(text),) for text in texts)


@given(st.text())
def test_any_text_has_ids_of_the_vocabulary(text: str) -> None:
    ids = vocabulary.tokenize(text)
    assert all(3 <= number < vocabulary.SIZE for number in ids)
    assert bool(ids) == bool(text)


@given(st.lists(st.integers(3, vocabulary.SIZE - 1)))
def test_the_engines_own_text_has_the_ids_it_was_made_of(ids: list[int]) -> None:
    assert vocabulary.tokenize(vocabulary.detokenize(ids)) == tuple(ids)


@given(KEYS, st.integers(1, 60))
def test_a_shorter_text_is_the_beginning_of_a_longer_one(key: int, tokens: int) -> None:
    shorter = deltas(key, Sampling(max_tokens=tokens, ignore_eos=True))
    longer = deltas(key, Sampling(max_tokens=61, ignore_eos=True))
    assert [delta.token_ids for delta in shorter] == [delta.token_ids for delta in longer[:tokens]]
    assert [delta.finish_reason for delta in shorter] == [None] * (tokens - 1) + ["length"]


def test_each_part_of_the_key_changes_the_text() -> None:
    keys = [key_of(*parts) for parts in itertools.product("ab", [(1, 2), (12,)], (0, 1), (None, 0))]
    texts = {whole(deltas(key, Sampling(max_tokens=20))) for key in keys}
    assert len(texts) == len(keys) == 16


def test_a_text_may_end_by_itself_unless_told_otherwise() -> None:
    texts = [deltas(key, Sampling(max_tokens=2000)) for key in range(100)]
    stopped = [found for found in texts if found[-1].finish_reason == "stop"]
    assert 90 < len(stopped) <= 100  # 1 - (514/515)^2000 = 98 %
    assert all(found[-1].token_ids == (vocabulary.END_OF_TEXT,) for found in stopped)
    assert all((found[-1].text, found[-1].stop_reason) == ("", None) for found in stopped)
    held = [deltas(key, Sampling(max_tokens=600, min_tokens=600)) for key in range(100)]
    assert {len(found) for found in held} == {600}
    kept = [deltas(key, Sampling(max_tokens=600, ignore_eos=True)) for key in range(100)]
    assert {len(found) for found in kept} == {600}
    assert any((vocabulary.END_OF_TEXT,) in [delta.token_ids for delta in found[:-1]] for found in kept)


@given(
    KEYS, st.lists(st.text("abdins äō", min_size=1, max_size=5), min_size=1, max_size=3), st.integers(0, 40)
)
def test_a_stop_string_cuts_the_text_where_it_first_stands(key: int, stops: list[str], least: int) -> None:
    free = deltas(key, Sampling(max_tokens=40, ignore_eos=True))
    sampling = Sampling(max_tokens=40, min_tokens=least, ignore_eos=True, stop=tuple(stops))
    found = deltas(key, sampling)
    text = whole(found)
    assert whole(free).startswith(text)
    assert [delta.token_ids for delta in found] == [delta.token_ids for delta in free[: len(found)]]
    if found[-1].finish_reason == "stop":
        stop = found[-1].stop_reason
        assert stop in stops
        assert len(found) > least
        assert whole(free[: len(found)]).startswith(f"{text}{stop}")
    else:
        assert text == whole(free)
    if not least:
        assert not any(stop in text for stop in stops)


@given(KEYS, st.integers(0, 60), st.integers(1, 9))
def test_a_stop_string_is_found_across_tokens(key: int, begins: int, size: int) -> None:
    text = whole(deltas(key, Sampling(max_tokens=40, ignore_eos=True)))
    stop = text[begins : begins + size]
    found = deltas(key, Sampling(max_tokens=40, ignore_eos=True, stop=(stop,)))
    assert (whole(found), found[-1].stop_reason) == (text[: text.index(stop)], stop)


def test_an_abort_hands_out_the_text_held_back() -> None:
    sequence = Sequence(1, (5,), Sampling(max_tokens=9, ignore_eos=True, stop=("x" * 50,)))
    assert sequence.step().text == ""
    expected = deltas(1, Sampling(max_tokens=9, ignore_eos=True))[0].text
    assert sequence.abort() == Delta((), expected, "abort", None)
