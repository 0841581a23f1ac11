"""The checks of races, kills and interrupts fail where the product is broken."""

import pytest

from torture.interrupts import interrupted
from torture.kills import kill9
from torture.overtaken import overtaken
from torture.places import place
from torture.races import threads
from torture.report import Budget
from torture.single import checked

pytestmark = [pytest.mark.once, pytest.mark.slow]
SHORT = Budget(is_full=False)
UNSOUND = "torture.unsound"


def test_writes_that_are_forgotten():
    with place("memory") as where:
        assert threads(where, SHORT, UNSOUND).counts["lost"]


def test_writes_that_are_acknowledged_too_early():
    with place("pairtree") as where:
        assert any("should be" in failure for failure in kill9(where, SHORT, UNSOUND).failures)


def test_values_that_are_undone_or_removed_with_what_they_replaced():
    with place("pairtree") as where:
        counts = overtaken(where, SHORT, UNSOUND).counts
    assert counts["lost"] + counts["back"] + counts["errors"]


def test_locks_that_an_interrupt_leaves_held():
    with place("memory") as where:
        found = interrupted(where, "everywhere", 0, 1, ["lock"], module=UNSOUND)
    assert any("still held" in failure for failure in found.failures)


def test_results_that_are_computed_by_everybody():
    with place("pairtree") as where:
        found = checked(where, "flights", "fly", 1, module=UNSOUND)
    assert any("computed 8 times" in failure for failure in found.failures)
