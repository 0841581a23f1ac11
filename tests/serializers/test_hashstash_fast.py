"""The short ways of the serializer give what the long ones give, or leave the value to them."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import gc
import threading
from decimal import Decimal

import pytest

pytest.importorskip("msgspec")
pytest.importorskip("msgpack")

import msgpack

from hashstash.serializers.hashstash import PLUGIN, document
from hashstash.testing.equality import assert_same


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Mapping(dict):
    pass


class Sequence(list):
    pass


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Unhashable(type):
    __hash__ = None


class OfUnhashable(metaclass=Unhashable):
    pass


JSON_LIKE = [
    *(None, True, 0, -1, 2**63, -(2**63), 1.5, float("inf"), "", "text", "ü" * 40, b"", b"\xff", [], {}, [[]], [{}]),
    {"a": [1, {"b": [None, True, 2.5, b"x", "y"]}], 7: {1.5: [], None: {}}},
    [[[[[[[[[[1]]]]]]]]]],
]
EXOTIC = [
    *(Text("a"), Number(1), Real(1.0), Mapping(a=1), Sequence([1]), Colour.RED, Level.LOW, (1,), (), {1}, frozenset()),
    *(
        bytearray(b"x"),
        memoryview(b"x"),
        msgpack.ExtType(5, b"x"),
        msgpack.Timestamp(1),
        Decimal(1),
        dt.date(2024, 1, 1),
    ),
    *(dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), collections.OrderedDict(a=1), collections.Counter("a")),
    *(range(3), 1j, ..., OfUnhashable(), object, 2**64, -(2**63) - 1, "\ud800"),
]


@pytest.mark.parametrize("value", JSON_LIKE, ids=repr)
def test_the_fast_writer_writes_the_same_bytes(value):
    fast = document.write_fast(value)
    with document.plain_python():
        slow = document.write(value).document
    assert fast == slow


CALLS = [
    *(
        ((), {}),
        ((1,), {}),
        ((1, "text", None, 2.5, b"x"), {}),
        ((), {"by": 2}),
        (("a",), {"by": True, "to": "ü" * 40}),
    ),
    *(
        ((float("nan"), 2**64 - 1, -(2**63)), {"zero": -0.0}),
        (tuple(range(150)), {str(number): 1 for number in range(50)}),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: repr(call)[:30])
def test_the_fast_writer_writes_the_same_bytes_for_the_arguments_of_a_call(call):
    fast = document.write_fast(call)
    with document.plain_python():
        slow = document.write(call).document
    assert fast == slow


@pytest.mark.parametrize(
    "pair",
    [
        *(((1,), []), ([1], {}), ((1,), (2,)), ({}, (1,)), ({}, {}), ((1,), collections.OrderedDict(a=1))),
        *(((2**64,), {}), (("\ud800",), {}), ((), {"a": -(2**64)}), ((), {"\ud800": 1}), (tuple(range(201)), {})),
    ],
    ids=lambda pair: ascii(pair)[:30],
)
def test_the_fast_writer_leaves_other_pairs_alone(pair):
    assert document.write_fast(pair) is None


@pytest.mark.parametrize("value", EXOTIC, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "place",
    [lambda value: ((value,), {}), lambda value: ((1,), {"a": value}), lambda value: ((1, "a", value), {"b": 2})],
    ids=["argument", "keyword", "last"],
)
def test_the_fast_writer_leaves_calls_with_anything_else_alone(place, value):
    assert document.write_fast(place(value)) is None


@pytest.mark.parametrize("value", EXOTIC, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "place",
    [
        lambda value: value,
        lambda value: [1, value],
        lambda value: {"a": 1, "b": value},
        lambda value: [{"a": ["x", {"deep": [value]}]}],
        lambda value: [value, *range(100)],
    ],
    ids=["alone", "list", "dict", "deep", "first of many"],
)
def test_the_fast_writer_leaves_everything_else_alone(place, value):
    assert document.write_fast(place(value)) is None


HASHABLE = [value for value in EXOTIC if not isinstance(value, dict | list | set | bytearray | OfUnhashable)]


@pytest.mark.parametrize("value", HASHABLE, ids=lambda value: type(value).__name__)
def test_the_fast_writer_leaves_such_keys_alone_even_beside_equal_ones(value):
    assert document.write_fast([{"red": 1, 1: 2, "a": 3}, {value: 1}]) is None


def test_the_fast_writer_leaves_what_holds_itself_alone():
    value = [1]
    value.append(value)
    assert document.write_fast(value) is None


def test_the_fast_writer_leaves_what_repeats_its_parts_over_and_over_alone():
    value = [1, 2, 3, 4]
    for _ in range(30):
        value = [value, value]
    assert document.write_fast(value) is None


@pytest.mark.parametrize("depth", [1, 2, 198, 199, 200, 201, 202, 203])
@pytest.mark.parametrize("innermost", [[], [1], {}], ids=repr)
def test_the_fast_writer_nests_no_deeper_than_the_other(depth, innermost):
    value = innermost
    for _ in range(depth):
        value = [value]
    fast = document.write_fast(value)
    assert fast is None or fast == PLUGIN.dumps(value).document


def test_the_fast_writer_does_not_take_part_where_everything_is_plain_python():
    with document.plain_python():
        assert document.write_fast({"a": 1}) is None


def test_a_bytearray_in_a_small_value_comes_back_as_one(tmp_path):
    from hashstash import HashStash

    stash = HashStash(tmp_path / "stash")
    stash["value"] = {"data": bytearray(b"x"), "colour": b"y"}
    assert_same(stash["value"], {"data": bytearray(b"x"), "colour": b"y"})


@pytest.mark.parametrize(
    "value",
    [*JSON_LIKE, *(part for part in EXOTIC if not isinstance(part, OfUnhashable))],
    ids=lambda value: repr(value).partition(" at 0x")[0],  # the same in every process
)
def test_many_values_in_one_call_are_stored_like_single_ones(tmp_path, value):
    from hashstash import HashStash

    one, many = HashStash(tmp_path / "one"), HashStash(tmp_path / "many")
    one["key"] = value
    many.update({"other": 1, "key": value})
    assert one.store.find("key").payload == many.store.find("key").payload
    assert one.store.find("key").flags == many.store.find("key").flags


def test_writing_leaves_no_garbage_that_only_the_collector_could_free():
    value = [(1, ((n,), dt.date(2024, 1, 1))) for n in range(3)]
    gc.collect()
    gc.disable()
    try:
        PLUGIN.dumps(value)
        left = [part for part in gc.get_objects() if type(part).__module__ == document.__name__]
    finally:
        gc.enable()
    assert left == []


def test_sequences_within_sequences_keep_their_types_in_any_thread():
    values = [
        {n: ((n, (n,), frozenset({(n, n)})), {n, "x"}, [(), {"k": ((), [])}]) for n in range(50)} for _ in range(4)
    ]
    results = {}

    def work(number):
        results[number] = [PLUGIN.loads(PLUGIN.dumps(values[number])) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        for one in found:
            assert_same(one, values[number])


def test_a_surrogate_deep_within_sequences_is_written_like_the_plain_writer_does():
    value = [(1, ("a", {("b", "\ud800", (2**70,))}), [("c",)]), (3, ("d",))]
    with document.plain_python():
        expected = document.write(value).document
    assert document.write(value).document == expected
    assert_same(PLUGIN.loads(PLUGIN.dumps(value)), value)
