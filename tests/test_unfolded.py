"""How much a value is when each of its parts is written as often as it stands there."""

import dataclasses
from collections import ChainMap, OrderedDict, UserDict, deque
from types import MappingProxyType, SimpleNamespace

import pytest

from hashstash.unfolded import MOST_PARTS, extent_of, is_folded


def doubled(make, levels=60):
    """A value of some dozens of containers, and ``2 ** levels`` leaves."""
    value = make([1, 2])
    for _ in range(levels):
        value = make([value, value])
    return value


KINDS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "dict": lambda pair: dict(enumerate(pair)),
    "OrderedDict": lambda pair: OrderedDict(enumerate(pair)),
    "UserDict": lambda pair: UserDict(enumerate(pair)),
    "mappingproxy": lambda pair: MappingProxyType(dict(enumerate(pair))),
    "ChainMap": lambda pair: ChainMap(*({1: part} for part in pair)),
    "namespace": lambda pair: SimpleNamespace(a=pair[0], b=pair[1]),
    "exception": lambda pair: ValueError(*pair),
    "slice": lambda pair: slice(*pair),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_count_as_often_as_they_stand_there(kind):
    assert extent_of(doubled(KINDS[kind])).parts >= 2**60
    assert is_folded(doubled(KINDS[kind]))


@pytest.mark.parametrize("value", [[list(range(1000)) for _ in range(100)], "x" * 10**6, range(10**30), [[1] * 10**6]])
def test_a_large_value_is_not_folded(value):
    assert not is_folded(value)


def test_a_little_repetition_is_not_folded():
    assert not is_folded([[1, 2, 3]] * (MOST_PARTS // 10))


def test_an_array_of_objects_is_looked_into():
    np = pytest.importorskip("numpy")

    def array(pair):
        made = np.empty(2, dtype=object)
        made[:] = pair
        return made

    assert is_folded([doubled(lambda pair: [array(pair)])] * 2)


def test_what_holds_itself_has_an_extent():
    value = []
    value += [value, 1, value]
    assert extent_of(value).held == 3


def test_bytes_count_as_often_as_they_stand_there():
    extent = extent_of([["x" * 10**6] * 1000] * 1000)
    assert extent.size > 10**12
    assert extent.held_size < 10**7
    assert extent.is_heavy(1 << 30)


@dataclasses.dataclass
class Pair:
    one: object
    other: object


@dataclasses.dataclass(slots=True)
class SlottedPair:
    one: object
    other: object


@pytest.mark.parametrize("kind", [Pair, SlottedPair])
def test_an_instance_of_a_dataclass_is_looked_into(kind):
    assert is_folded(doubled(lambda pair: kind(*pair)))


def never(*_):
    raise AssertionError("what a container holds was asked of its class")


class LazyDict(UserDict):
    __iter__ = __getitem__ = items = values = __len__ = never


class LazyList(list):
    __iter__ = __getitem__ = __len__ = never


@dataclasses.dataclass
class LazyFields:
    one: object = None

    def __getattribute__(self, name):
        return object.__getattribute__(self, name) if name == "__class__" else never()


class Array:
    """As a frame's column that is computed when it is asked for."""

    dtype = type("dtype", (), {"kind": "O"})
    __iter__ = never
    flat = property(never)


def lazy_list():
    made = LazyList()
    list.extend(made, [[1], [2]])
    return made


@pytest.mark.parametrize(
    "value",
    [LazyDict({}), lazy_list(), LazyFields(), Array(), MappingProxyType(LazyDict({}))],
    ids=lambda one: type(one).__name__,
)
def test_no_code_of_its_class_runs_to_look_into_a_container(value):
    assert not is_folded([value])


def test_an_array_of_no_dimensions_is_one_object():
    np = pytest.importorskip("numpy")
    assert not is_folded(np.array([[1, 2]] * 2 + [None], dtype=object)[2:].reshape(()))
    xarray = pytest.importorskip("xarray")
    assert not is_folded(xarray.DataArray(np.array(None, dtype=object)))


def test_a_series_of_objects_is_looked_into_and_its_texts_are_not_folded():
    pd = pytest.importorskip("pandas")
    assert is_folded(pd.Series([doubled(list), 1], dtype=object))
    assert not is_folded(pd.Series(["a", None] * 20_000, dtype=object))
