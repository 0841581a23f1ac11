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


class Calls:
    def __init__(self, v):
        self.v = v

    def __call__(self):
        return self.v


class Row(tuple):
    pass


def test_instances_that_can_be_called_are_compared_by_their_attributes(comparison):
    assert comparison.is_as_promised([Calls(1)], [Calls(1)])
    assert not comparison.is_as_promised([Calls(1)], [Calls(2)])


def test_methods_are_compared_with_what_they_belong_to(comparison):
    assert comparison.is_as_promised([1].append, [1].append)
    assert not comparison.is_as_promised([1].append, [2].append)
    assert not comparison.is_as_promised([1].append, [1].remove)
    assert comparison.is_as_promised(Calls(1).__call__, Calls(1).__call__)


def test_the_items_of_a_subclass_with_attributes_count(comparison):
    assert comparison.is_as_promised(Row([1]), Row([1]))
    assert not comparison.is_as_promised(Row([1]), Row([2]))


def test_what_hangs_on_an_object_that_both_sides_hold_is_compared_around_it():
    owner, other = Point(None), Point(None)
    part, again = Point(owner), Point(owner)
    owner.v = part
    comparison = Comparison(Fingerprinter(), [owner, other])
    assert comparison.is_same(part, again)
    assert not comparison.is_same(part, Point(other))
    assert not comparison.is_same(part, Point(Point(part)))
