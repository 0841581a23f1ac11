"""One object's own state: seen before and after, put back into the same object."""

from __future__ import annotations

import array
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from hashstash.cells import objects
from hashstash.cells.objects import CannotRestore


class Plain:
    pass


class Slotted:
    __slots__ = ("__hidden", "v")

    def __init__(self, v):
        self.v = v
        self.__hidden = v


class Both(list):
    pass


def counter():
    n = 0

    def count(*, step=1):
        nonlocal n
        n += step
        return n

    return count


def set_attribute(value):
    value.v = 5


def delete_attribute(value):
    del value.v


CASES = {
    "list": (lambda: [1, 2], lambda v: v.append(3)),
    "list reordered": (lambda: [1, 2], lambda v: v.reverse()),
    "dict": (lambda: {"a": 1}, lambda v: v.update(b=2)),
    "dict reordered": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
    "ordered dict": (lambda: OrderedDict(a=1, b=2), lambda v: v.move_to_end("a")),
    "default dict": (lambda: defaultdict(list), lambda v: v["k"]),
    "counter": (lambda: Counter("a"), lambda v: v.update("ab")),
    "set": (lambda: {1}, lambda v: v.add(2)),
    "deque": (lambda: deque([1], maxlen=3), lambda v: v.appendleft(0)),
    "bytearray": (lambda: bytearray(b"ab"), lambda v: v.append(99)),
    "array": (lambda: array.array("i", [1]), lambda v: v.append(2)),
    "attribute": (Plain, set_attribute),
    "slot": (lambda: Slotted(1), set_attribute),
    "slot deleted": (lambda: Slotted(1), delete_attribute),
    "list with attributes": (lambda: Both([1]), lambda v: (v.append(2), set_attribute(v))),
    "class": (lambda: type("C", (), {"v": 1}), set_attribute),
    "class attribute deleted": (lambda: type("C", (), {"v": 1}), delete_attribute),
    "function attribute": (counter, set_attribute),
    "closure": (counter, lambda v: v()),
    "keyword default": (counter, lambda v: v.__kwdefaults__.update(step=7)),
}


@pytest.mark.parametrize("make, mutate", CASES.values(), ids=CASES.keys())
def test_a_change_is_seen_and_repeated_on_an_equal_object(make, mutate):
    value, other = make(), make()
    before = objects.look(value)
    mutate(value)
    change = objects.change(value, before)
    objects.check(other, change)
    objects.apply(other, change)
    assert objects.look(other) == objects.look(value)
    assert objects.change(other, before) is not None


@pytest.mark.parametrize("make", [case[0] for case in CASES.values()], ids=CASES.keys())
def test_no_change_is_none(make):
    value = make()
    assert objects.change(value, objects.look(value)) is None


def test_replacing_an_item_by_an_equal_one_is_a_change():
    value = [[1]]
    before = objects.look(value)
    value[0] = [1]
    assert objects.change(value, before) is not None


def test_an_item_that_changed_inside_is_no_change_of_the_list():
    value = [[1]]
    before = objects.look(value)
    value[0].append(2)
    assert objects.change(value, before) is None


@pytest.mark.parametrize("value", [[1], {"a": 1}, Plain(), counter, Plain, {1}])
def test_python_objects_show_all_of_their_state(value):
    assert not objects.is_opaque(value)


@pytest.mark.parametrize("value", [iter([1]), object(), 5, memoryview(b"a"), ValueError("a")])
def test_objects_with_state_in_c_are_opaque(value):
    assert objects.is_opaque(value)


def test_an_array_is_filled_in_place():
    numpy = pytest.importorskip("numpy")
    value, other = numpy.zeros(3), numpy.zeros(3)
    value[1] = 5
    view = other[1:]
    objects.apply(other, objects.whole(value))
    assert view.tolist() == [5, 0]


def test_an_array_of_another_size_is_refused():
    numpy = pytest.importorskip("numpy")
    with pytest.raises(CannotRestore, match="size"):
        objects.check(numpy.zeros(2), objects.whole(numpy.zeros(3)))


def test_an_array_gets_the_shape_that_was_set_in_place():
    numpy = pytest.importorskip("numpy")
    other = numpy.zeros(6)
    objects.apply(other, objects.whole(numpy.arange(6.0).reshape(2, 3)))
    assert other.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_array_becomes_read_only_after_it_was_filled():
    numpy = pytest.importorskip("numpy")
    value, other = numpy.zeros(2), numpy.zeros(2)
    before = objects.look(value)
    value[0] = 7
    value.flags.writeable = False
    objects.apply(other, objects.merged(objects.change(value, before), objects.whole(value)))
    assert (other.tolist(), other.flags.writeable) == ([7, 0], False)


def test_an_array_that_cannot_be_written_to_is_refused():
    numpy = pytest.importorskip("numpy")
    frozen = numpy.zeros(2)
    frozen.flags.writeable = False
    with pytest.raises(CannotRestore, match="cannot be written to"):
        objects.check(frozen, objects.whole(numpy.ones(2)))


def test_an_array_whose_size_changed_cannot_come_back():
    numpy = pytest.importorskip("numpy")
    value = numpy.zeros(2)
    before = objects.look(value)
    value.resize(4, refcheck=False)
    with pytest.raises(CannotRestore, match="size"):
        objects.change(value, before)


def test_a_frame_is_filled_in_place():
    pandas = pytest.importorskip("pandas")
    value, other = pandas.DataFrame({"a": [1, 2]}), pandas.DataFrame({"a": [1, 2]})
    value["b"] = ["x", "y"]
    value.attrs["k"] = 1
    objects.apply(other, objects.whole(value))
    pandas.testing.assert_frame_equal(other, value)
    assert other.attrs == {"k": 1}


def test_what_a_frame_shares_through_its_attrs_stays_shared():
    pandas = pytest.importorskip("pandas")
    log = [1]
    value, other = pandas.DataFrame({"a": [1]}), pandas.DataFrame({"a": [1]})
    value.attrs["log"] = log
    objects.apply(other, objects.whole(value))
    assert other.attrs["log"] is log


@pytest.mark.parametrize("is_hard", [False, True])
def test_a_masked_array_gets_its_mask_and_its_fill_value_in_place(is_hard):
    masked = pytest.importorskip("numpy").ma
    value, other = (masked.array([1, 2, 3], mask=[1, 0, 0], hard_mask=is_hard) for _ in range(2))
    view = other[1:]
    value[1] = 20
    value[2] = masked.masked
    value.fill_value = 9
    objects.apply(other, objects.whole(value))
    assert (other.filled().tolist(), other.hardmask, other.data[1]) == ([9, 20, 9], is_hard, 20)
    assert view.tolist() == [20, None]


def test_a_mask_is_taken_away_in_place():
    masked = pytest.importorskip("numpy").ma
    value, other = masked.array([1, 2], mask=[1, 0]), masked.array([1, 2], mask=[1, 0])
    value.mask = False
    objects.apply(other, objects.whole(value))
    assert other.tolist() == [1, 2]


def test_a_polars_frame_and_a_series_take_the_content_in_place():
    polars = pytest.importorskip("polars")
    value, other = polars.DataFrame({"a": [1]}), polars.DataFrame({"a": [1]})
    value.extend(polars.DataFrame({"a": [2]}))
    objects.apply(other, objects.whole(value))
    series, other_series = polars.Series("s", [1, 2]), polars.Series("s", [1, 2])
    series[0] = 5
    objects.apply(other_series, objects.whole(series))
    assert other.to_dicts() == [{"a": 1}, {"a": 2}]
    assert other_series.to_list() == [5, 2]


def test_a_random_generator_goes_on_from_the_recorded_state():
    numpy = pytest.importorskip("numpy")
    value, other = numpy.random.default_rng(1), numpy.random.default_rng(1)
    value.random(10)
    objects.apply(other, objects.whole(value))
    assert other.random() == value.random()


def test_what_cannot_be_repeated_is_named():
    with pytest.raises(CannotRestore, match="object"):
        objects.whole(object())
