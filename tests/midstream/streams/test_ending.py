import pytest

from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import ENDINGS, Ending, Outcome


def test_every_ending_has_its_fact():
    assert ENDINGS.keys() == set(Ending)


@pytest.mark.parametrize("ending", Ending)
def test_a_sentence_of_its_own(ending):
    assert ending.sentence.endswith(".")
    assert [other for other in Ending if other.sentence == ending.sentence] == [ending]


@pytest.mark.parametrize("ending", Ending)
def test_a_phrase_of_its_own_on_the_wire_and_for_the_cause(ending):
    for phrases in ({e: e.on_the_wire for e in Ending}, {e: e.usual_cause for e in Ending}):
        phrase = phrases.pop(ending)
        assert phrase.strip(" .") == phrase != ""
        assert phrase not in phrases.values()


def test_success_is_one_ending_alone():
    assert [ending for ending in Ending if ending.outcome is Outcome.COMPLETE] == [Ending.COMPLETE]


def test_exactly_the_deadlines_have_a_limit():
    limits = Deadlines()
    assert {e for e in Ending if e.is_deadline} == {e for e in Ending if limits.limit_s(e) is not None}
