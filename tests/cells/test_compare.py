"""Whether a value comes back equal, or as its own library promises."""

from __future__ import annotations

import pytest

from hashstash.cells.compare import Comparison
from hashstash.fingerprint import Fingerprinter


class Point:
    def __init__(self, v):
        self.v = v


@pytest.fixture
def comparison():
    return Comparison(Fingerprinter())


def test_equal_content_is_the_same(comparison):
    assert comparison.is_same({"a": [1]}, {"a": [1]})


@pytest.mark.parametrize("again", [{"a": [2]}, {"a": (1,)}, {"b": [1]}, [1], {}])
def test_other_content_is_neither_same_nor_as_promised(comparison, again):
    assert not comparison.is_same({"a": [1]}, again)
    assert not comparison.is_as_promised({"a": [1]}, again)


def test_instances_are_compared_by_their_attributes(comparison):
    assert comparison.is_as_promised([Point(1)], [Point(1)])
    assert not comparison.is_as_promised([Point(1)], [Point(2)])


def test_cycles_end(comparison):
    one, other = [], []
    one.append(one)
    other.append(other)
    assert comparison.is_as_promised(one, other)


def test_a_library_object_may_leave_out_what_it_makes_anew(comparison):
    figure = pytest.importorskip("matplotlib.figure")
    one, other = figure.Figure(), figure.Figure()
    assert comparison.is_as_promised({"fig": one}, {"fig": other})
