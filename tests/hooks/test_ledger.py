"""The books: opened = closed + open, at every moment."""

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
