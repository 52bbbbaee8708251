import time

from hooks.arrivals import Arrivals
from midstream.arrivals import OpenLoop


def arrivals(rate=200.0, most_open=1000):
    return Arrivals(OpenLoop(rate=rate, ramp_up_s=0.0, most_open=most_open), seed=3)


def test_nothing_begins_before_it_is_due():
    schedule = arrivals()
    due = []
    for _ in range(20):
        due.append(schedule.next_ns())
        assert time.monotonic_ns() >= due[-1]
    assert due == sorted(due)


def test_what_this_process_was_too_late_for_is_due_at_once_not_left_out():
    one, late = arrivals(), arrivals()
    one_by_one = [one.next_ns() for _ in range(10)]
    begun_ns = late.next_ns()
    time.sleep(0.2)
    asked_ns = time.monotonic_ns()
    at_once = [late.next_ns() for _ in range(9)]
    assert time.monotonic_ns() - asked_ns < 100_000_000
    assert [due - begun_ns for due in at_once] == [due - one_by_one[0] for due in one_by_one[1:]]


def test_what_is_too_much_is_shed_and_counted():
    schedule = arrivals(most_open=2)
    assert [schedule.admit() for _ in range(4)] == [True, True, False, False]
    schedule.leave()
    assert schedule.admit()
    assert (schedule.loop.offered, schedule.loop.shed) == (5, 2)
