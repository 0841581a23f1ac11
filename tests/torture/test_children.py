"""What the checks see of their processes."""

import sys

import pytest

pytest.importorskip("numpy")  # which the stores of some checks hold arrays of

from torture.__main__ import attempt  # noqa: E402
from torture.children import Child, say  # noqa: E402
from torture.report import Budget, Check  # noqa: E402

pytestmark = pytest.mark.once
MUCH = 1 << 20
"""More than a pipe holds."""


def complain():
    """In a child."""
    say("before")
    sys.stderr.write("x" * MUCH)
    say("after")


def test_a_process_that_complains_a_lot_is_not_stopped_by_that():
    child = Child("torture.test_children", "complain")
    assert child.hear_all() == [["before"], ["after"]]
    assert child.end() == 0
    assert len(child.errors()) == MUCH


def test_a_check_that_breaks_off_is_one_that_failed():
    def break_off(place, budget):
        raise RuntimeError("half way")

    finding = attempt(Check("some", break_off, ("pairtree",), "nothing"), "pairtree", Budget(is_full=False))
    assert "half way" in finding.failures[0]
