"""The books: opened = closed + open, at every moment."""

from hypothesis import given
from hypothesis import strategies as st

from hooks.ledger import Ledger
from midstream.streams.ending import Ending
from tests.midstream.builders import stream


def test_counts_balance():
    ledger = Ledger()
    for number in range(3):
        ledger.open(f"s{number}", 100 + number)
    ledger.close(stream(Ending.COMPLETE, id="s1"))
    count = ledger.count()
    assert (count.opened, count.closed, count.still_open) == (3, 1, 2)
    assert [record.id for record in ledger.records] == ["s1"]


def test_open_since_a_moment():
    ledger = Ledger()
    ledger.open("before", 99)
    ledger.open("at", 100)
    ledger.open("after", 101)
    assert ledger.open_since(100) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=30))
def test_whatever_is_opened_and_closed_the_books_balance(course):
    """Each name is opened once, as the load does, and closed only after that."""
    ledger = Ledger()
    opened: set[str] = set()
    closed: set[str] = set()
    for opens, number in course:
        name = f"s{number}"
        if opens and name not in opened:
            ledger.open(name, number)
            opened.add(name)
        elif not opens and name in opened - closed:
            ledger.close(stream(Ending.COMPLETE, id=name))
            closed.add(name)
        count = ledger.count()
        assert count.opened == count.closed + count.still_open == len(opened)
        assert ledger.open_count == len(opened - closed)
        assert ledger.open_since(5) == ledger.open_count
    assert {record.id for record in ledger.records} == closed


def test_a_stream_that_is_closed_without_having_been_opened_unbalances_the_books():
    ledger = Ledger()
    ledger.close(stream(Ending.COMPLETE, id="never opened"))
    count = ledger.count()
    assert count.opened != count.closed + count.still_open
