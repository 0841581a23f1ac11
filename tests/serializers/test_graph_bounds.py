"""What a stranger's graph of data may ask for: a few bytes neither fill the memory nor keep the processor busy."""

import time
import types
from contextlib import nullcontext

import pytest

from hashstash.codec import Encoded
from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash import document
from hashstash.serializers.hashstash.graph import dumps_graph, loads_graph
from hashstash.serializers.hashstash.nodes import DICT, FILL_SET, FROZENSET, HOOK, LIST, SET, TEXT, TUPLE, WALKED_HOOK
from hashstash.serializers.hashstash.types import find_hook

MANY = 30_000
DEEP = 100_000
PATIENCE = 20.0
"""Seconds of a processor that is shared with others; what is not refused takes minutes, or does not end."""


def made_of(*operations, root=0, buffers=()):
    table = document.write([1, list(operations), root, len(buffers)])
    return Encoded(b"\xc1" + bytes(table.document), [*table.buffers, *buffers], False)


def assert_refused(*operations, match, buffers=()):
    encoded = made_of(*operations, buffers=buffers)
    start = time.process_time()
    with pytest.raises(CorruptEntry, match=match):
        loads_graph(encoded)
    assert time.process_time() - start < PATIENCE


def doubled(levels):
    return [[TUPLE, []], *([TUPLE, [[level], [level]]] for level in range(levels))]


@pytest.mark.parametrize(
    "use",
    [[SET, [[60]]], [FROZENSET, [[60]]], [DICT, [[60]], [1]], [TUPLE, []]],
    ids=["set", "frozenset", "dict", "fill"],
)
def test_tuple_that_doubles_is_not_hashed(use):
    fill = [[SET, []], [FILL_SET, 62, [[60]]]] if use[0] == TUPLE else []
    assert_refused(*doubled(60), use, *fill, match="too long to hash")


def test_slice_of_doubled_tuples_is_not_hashed():
    meta = [LIST, [[60], [60], None]]
    assert_refused(*doubled(60), meta, [WALKED_HOOK, "slice", [61], []], [SET, [[62]]], match="too long to hash")


def test_name_of_an_index_is_not_hashed():
    pandas = pytest.importorskip("pandas")
    hook = find_hook(pandas.RangeIndex)
    meta = [[60] if part == "name" else part for part in hook.pack(pandas.RangeIndex(3, name="name"))[0]]
    assert [60] in meta
    assert_refused(*doubled(60), [LIST, meta], [WALKED_HOOK, hook.tag, [61], []], match="too long to hash")


def test_deep_tuple_is_not_hashed():
    """Hashing recurs in C without a check, and would end the process."""
    deep = [[TUPLE, []], *([TUPLE, [[level]]] for level in range(DEEP))]
    assert_refused(*deep, [SET, [[DEEP]]], match="nested")


def test_deep_tuple_that_is_no_key_is_read():
    deep = [[TUPLE, []], *([TUPLE, [[level]]] for level in range(DEEP))]
    read, depth = loads_graph(made_of(*deep, root=[DEEP])), 0
    while read:
        (read,), depth = read, depth + 1
    assert depth == DEEP


def test_huge_number_is_not_hashed_over_and_over():
    assert_refused([HOOK, "int", b"\1" * 200_000, []], *([SET, [[0]]] for _ in range(MANY)), match="too long to hash")


def test_keys_of_one_hash_are_refused():
    numbers = [[HOOK, "int", (k * (2**61 - 1)).to_bytes(16, "big"), []] for k in range(1, 20_000)]
    assert_refused(*numbers, [SET, [[k] for k in range(len(numbers))]], match="same hash")


@pytest.mark.parametrize(
    "large, tag",
    [
        ([DICT, list(range(50_000)), [0] * 50_000], "ordered"),
        ([DICT, list(range(50_000)), [0] * 50_000], "counter"),
        ([TEXT, "1" * 100_000], "decimal"),
    ],
)
def test_large_part_is_not_copied_by_thousands_of_hooks(large, tag):
    assert_refused(large, *([WALKED_HOOK, tag, [0], []] for _ in range(MANY)), match="far more than it holds")


def test_large_part_inside_of_a_meta_is_not_copied_by_thousands_of_hooks():
    metas = [
        operation
        for number in range(20_000)
        for operation in ([LIST, [[0], None]], [WALKED_HOOK, "deque", [2 * number + 1], []])
    ]
    assert_refused([LIST, list(range(50_000))], *metas, match="far more than it holds")


def test_large_parts_that_are_really_shared_are_read():
    shared = list(range(100_000))
    value = [types.SimpleNamespace(part=shared, number=number) for number in range(1000)]
    value.append(value)
    encoded = dumps_graph(value)
    read = loads_graph(encoded)
    assert not encoded.is_code
    assert read[0].part is read[999].part


def test_many_keys_that_are_tuples_are_read():
    value = {(number, str(number)): {(number,)} for number in range(20_000)}
    value[()] = value
    encoded = dumps_graph(value)
    assert not encoded.is_code
    assert len(loads_graph(encoded)) == 20_001


def test_bounds_are_for_data_only():
    class Local:
        pass

    key = ()
    for _ in range(23):  # six of them ask for twice as many steps as data may
        key = (key, key)
    read = loads_graph(dumps_graph([Local, {key}, {key: 1}, {key: 2}, {key: 3}, {key: 4}, {key: 5}, {key: 6}]))
    assert len(read) == 8


@pytest.mark.parametrize("kind", [set, frozenset])
@pytest.mark.parametrize("in_tuples", [False, True], ids=["numbers", "tuples"])
@pytest.mark.parametrize("in_python", [False, True], ids=["fast", "plain"])
def test_set_of_one_hash_is_refused_in_a_plain_document(kind, in_tuples, in_python):
    numbers = [k * (2**61 - 1) for k in range(1, 20_000)]
    listed = bytes(document.write([(number,) for number in numbers] if in_tuples else numbers).document)
    code = document.SEQUENCES[kind]
    stored = b"\xc9" + len(listed).to_bytes(4, "big") + bytes([code]) + listed
    start = time.process_time()
    with pytest.raises(CorruptEntry, match="same hash"), document.plain_python() if in_python else nullcontext():
        document.read(stored)
    assert time.process_time() - start < PATIENCE


def test_points_of_a_grid_are_read():
    """-1 and -2 have the same hash, so thousands of these collide, though only a few at a time."""
    points = {(x, y, z) for x in range(-12, 12) for y in range(-12, 12) for z in range(-12, 12)}
    assert document.read(document.write(points).document) == points
    value = [points, dict.fromkeys(points, 1)]
    value.append(value)
    read = loads_graph(dumps_graph(value))
    assert read[:2] == value[:2]
