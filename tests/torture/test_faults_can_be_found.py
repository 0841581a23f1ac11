"""The checks fail where the product is broken."""

import pytest

from torture.disks import small_files
from torture.injection import injects
from torture.places import place
from torture.report import Budget
from torture.surroundings import clock

pytestmark = [pytest.mark.once, pytest.mark.slow]
SHORT = Budget(is_full=False)


@pytest.fixture
def where():
    with place("pairtree") as found:
        yield found


def test_rows_that_are_written_in_place(where):
    """A failing write leaves neither the old nor the new row."""
    found = injects(where, SHORT, beneath=False, chosen=(["overwrite"], ["EIO"], (1, 1)), module="torture.broken")
    assert any("another process" in failure or "neither" in failure or "died" in failure for failure in found.failures)


def test_a_clock_that_is_believed(where):
    """What was written while the clock was wrong stays, and everything else goes."""
    found = clock(where, SHORT, "torture.broken")
    assert any("displaced" in failure for failure in found.failures)


def test_results_that_are_lost(where):
    """A computation that cannot be kept raises."""
    assert small_files(where, SHORT, "torture.broken").failures
