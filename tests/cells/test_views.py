"""Arrays in the memory of an input come back as windows into it, whatever their elements and their class."""

from __future__ import annotations

import pytest

numpy = pytest.importorskip("numpy")

from hashstash.cells.views import Memory, open_window  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
FIELDS = [("i", "i4"), ("f", "f8")]
OWNERS = {
    "numbers": lambda: numpy.arange(6.0),
    "fields": lambda: numpy.array([(1, 2.0), (3, 4.0)], dtype=FIELDS),
    "records": lambda: numpy.rec.array([(1, 2.0), (3, 4.0)], dtype=FIELDS),
    "columns in order": lambda: numpy.asfortranarray(numpy.arange(6).reshape(2, 3)),
    "matrix": lambda: numpy.matrix(numpy.arange(6).reshape(2, 3)),
}
VIEWS = {
    "numbers": [lambda a: a[::-2], lambda a: a.reshape(2, 3).T, lambda a: a.view("i8"), lambda a: a[2:4]],
    "fields": [lambda a: a["f"], lambda a: a[["f"]], lambda a: a.view(numpy.recarray), lambda a: a[1:]],
    "records": [lambda a: a.f, lambda a: a[:1], lambda a: a.view(numpy.ndarray)],
    "columns in order": [lambda a: a[1], lambda a: a[:, 1:], lambda a: a.T],
    "matrix": [lambda a: a[1], lambda a: a.A[0]],
}
CASES = [(name, number) for name, views in VIEWS.items() for number in range(len(views))]


@pytest.mark.parametrize("name, number", CASES)
def test_a_view_is_opened_again_in_the_memory_of_an_equal_array(name, number):
    owner, other = OWNERS[name](), OWNERS[name]()
    view = VIEWS[name][number](owner)
    window = Memory([(owner, ("x", 0))]).window_of(view)
    opened = open_window(other, window)
    assert (type(opened), opened.dtype, opened.tolist()) == (type(view), view.dtype, view.tolist())
    assert numpy.shares_memory(opened, other)


def test_a_window_without_a_class_is_a_plain_array():
    owner = numpy.arange(4)
    assert open_window(owner, ["window", ["x", 0], 8, [2], "<i8", [8], True]).tolist() == [1, 2]


def test_an_array_of_its_own_is_no_window():
    owner = numpy.arange(4)
    assert Memory([(owner, ("x", 0))]).window_of(owner.copy()) is None
