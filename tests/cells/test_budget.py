"""How long looking at inputs may take."""

from __future__ import annotations

import math
import time

import pytest

from hashstash.cells.budget import Budget, OutOfTime


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_work_beyond_the_time_is_given_up_in_words():
    budget = Budget(0.01)
    budget.start()
    work(0.02)
    with pytest.raises(OutOfTime, match=r"looking at its inputs takes longer than 10 ms"):
        budget.check()
    assert budget.was_spent


def test_waiting_counts_less_than_work():
    budget = Budget(10)
    budget.start()
    time.sleep(0.02)
    budget.check()
    budget = Budget(0.001)
    budget.start()
    time.sleep(0.02)
    with pytest.raises(OutOfTime):
        budget.check()


def test_what_comes_after_the_look_may_take_its_time():
    budget = Budget(0.01)
    budget.start()
    budget.stop()
    work(0.02)
    budget.check()
    assert not budget.was_spent


def test_there_may_be_no_limit():
    budget = Budget(math.inf)
    budget.start()
    work(0.01)
    budget.check()


def test_nobody_looks_at_a_clock_for_ever():
    assert Budget(math.inf).checker is None
    assert Budget(1.0).checker is not None


def test_it_can_start_anew():
    budget = Budget(0.05)
    budget.start()
    work(0.1)  # more than there is
    budget.start()
    budget.check()
    assert not budget.was_spent
