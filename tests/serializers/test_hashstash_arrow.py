"""Values of pyarrow in plain documents, with the msgpack packages and without."""

import datetime as dt
import decimal
from contextlib import nullcontext

import pytest
from together import cases, each

from hashstash.errors import CorruptEntry, NewerFormat
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import NeedsGraph, plain_python, read, write
from hashstash.serializers.hashstash.types import restore
from hashstash.testing.equality import assert_same

pa = pytest.importorskip("pyarrow")
np = pytest.importorskip("numpy")


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


def again(value, kind=bytearray):
    encoded = write(value)
    assert not encoded.is_code
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


def size_of(value):
    encoded = write(value)
    return len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers)


def dictionary(values, **options):
    indices = pa.array([0, 1, None, 1, 0, 2], pa.int16())
    return pa.DictionaryArray.from_arrays(indices, values, **options)


def runs(values=("a", None, "c"), ends=(2, 3, 6), kind=None):
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, kind or pa.int32()), pa.array(values))


def dense():
    codes, offsets = pa.array([0, 5, 5, 0, 5, 0], pa.int8()), pa.array([0, 0, 1, 1, 2, 2], pa.int32())
    children = [pa.array([1, None, 3]), pa.array(["x", "y", None])]
    return pa.UnionArray.from_dense(codes, offsets, children, ["number", "text"], [0, 5])


def sparse():
    codes = pa.array([0, 1, 1, 0, 1, 0], pa.int8())
    return pa.UnionArray.from_sparse(codes, [pa.array(range(6)), pa.array(list("abcdef"))])


LISTS = [[1, 2], None, [], [3, None], [4], [5, 6, 7]]
STRUCTS = [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}, {"a": 4, "b": []}, {"a": 5, "b": ["y", "z"]}, {"a": 6}]
MAPS = [[("a", 1)], None, [], [("b", 2), ("c", None)], [("d", 4)], [("e", 5)]]
TEXTS = ["short", None, "", "é" * 40, "a text that is longer than twelve bytes", "end"]
DAY = dt.datetime(2020, 2, 29, 1, 2, 3, 456000)
INTERVALS = [pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([-1, 0, 9]), None, None, pa.MonthDayNano([0, 0, 1])]
NUMBERS = [1, None, 3, 4, 0, 6]
ARRAYS = {
    **{
        str(kind): (lambda kind=kind: pa.array(NUMBERS, kind))
        for kind in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
            *(pa.float32(), pa.float64(), pa.date32(), pa.time32("s"), pa.time32("ms"), pa.time64("us")),
            *(pa.time64("ns"), pa.duration("s"), pa.duration("ns"), pa.timestamp("s"), pa.timestamp("ms")),
            *(pa.timestamp("us", "Europe/Paris"), pa.timestamp("ns", "+03:30"), pa.decimal128(10), pa.decimal256(50)),
        )
    },
    **{
        f"{kind}": (lambda kind=kind: pa.array(TEXTS, kind))
        for kind in (pa.string(), pa.large_string(), pa.string_view())
    },
    **{
        f"{kind}": (lambda kind=kind: pa.array([text and text.encode() for text in TEXTS], kind))
        for kind in (pa.binary(), pa.large_binary(), pa.binary_view())
    },
    **{
        f"{name} of {inner}": (lambda name=name, inner=inner: pa.array(LISTS, getattr(pa, name)(inner)))
        for name in ("list_", "large_list", "list_view", "large_list_view")
        for inner in (pa.int8(), pa.float64(), pa.field("named", pa.int64(), metadata={"k": "v"}))
    },
    "bools": lambda: pa.array([True, None, False, True, True, False]),
    "halves": lambda: pa.array(np.arange(6, dtype="f2")),
    "nan": lambda: pa.array([float("nan"), None, -0.0, 1.0, float("inf"), 2.0]),
    "milliseconds of dates": lambda: pa.array([DAY.date()] * 6, pa.date64()),
    "decimals": lambda: pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-2.25")] * 2, pa.decimal128(5, 2)),
    "negative scale": lambda: pa.array([100, None, 300, 0, 0, 0], pa.int64()).cast(pa.decimal128(21, 2)),
    "fixed bytes": lambda: pa.array([b"abc", None, b"def", b"\0\0\0", b"ghi", None], pa.binary(3)),
    "no bytes": lambda: pa.array([b"", None, b"", b"", b"", b""], pa.binary(0)),
    "nulls": lambda: pa.nulls(6),
    "intervals": lambda: pa.array(INTERVALS, pa.month_day_nano_interval()),
    "fixed lists": lambda: pa.array([[1, 2], None, [3, None], [4, 5], [6, 7], [8, 9]], pa.list_(pa.int32(), 2)),
    "lists of nothing": lambda: pa.array([[], None, [], [], [], []], pa.list_(pa.int32(), 0)),
    "structs": lambda: pa.array(STRUCTS),
    "structs without fields": lambda: pa.array([{}, None, {}, {}, {}, {}], pa.struct([])),
    "maps": lambda: pa.array(MAPS, pa.map_(pa.string(), pa.int64())),
    "sorted maps": lambda: pa.array(MAPS, pa.map_(pa.string(), pa.int64(), keys_sorted=True)),
    "lists of lists": lambda: pa.array([[["a"], None], [], None, [[], ["b", None]], [["c"]], None]),
    "structs in lists": lambda: pa.array([[part, part] for part in STRUCTS]),
    "lists of text views": lambda: pa.array([TEXTS] * 6, pa.list_(pa.string_view())),
    "dictionary": lambda: dictionary(pa.array(["x", "y", "z", "unused"])),
    "ordered dictionary": lambda: dictionary(pa.array([3.0, 1.0, 2.0]), ordered=True),
    "dictionary of lists": lambda: dictionary(pa.array([[1], [2], None])),
    "dictionary of nulls": lambda: dictionary(pa.array(["x", None, "z"])),
    "lists of dictionaries": lambda: pa.ListArray.from_arrays([0, 1, 3, 3, 4, 5, 6], dictionary(pa.array(list("xyz")))),
    "runs": runs,
    "short runs": lambda: runs((1.5, 2.5, None), kind=pa.int16()),
    "runs of structs": lambda: runs([{"a": 1}, None, {"a": 3}], kind=pa.int64()),
    "dense union": dense,
    "sparse union": sparse,
    "struct of unions": lambda: pa.StructArray.from_arrays([dense(), sparse(), runs()], ["d", "s", "r"]),
}
if hasattr(pa, "decimal32"):
    ARRAYS["small decimals"] = lambda: pa.array([1, None] * 3, pa.decimal32(5, 2))
    ARRAYS["medium decimals"] = lambda: pa.array([1, None] * 3, pa.decimal64(15, 2))
SLICES = {
    "whole": (0, 6),
    "begin": (0, 2),
    "middle": (1, 3),
    "end": (3, 3),
    "one": (2, 1),
    "none": (0, 0),
    "no end": (6, 0),
}


@each("name", ARRAYS)
def test_arrays_come_back_the_same(name):
    with cases() as case:
        for part, bounds in SLICES.items():
            with case(part):
                array = ARRAYS[name]().slice(*bounds)
                made = again(array)
                made.validate(full=True)
                assert_same(made, array)


@each("name", ARRAYS)
def test_a_slice_at_a_bit_of_a_long_array_comes_back(name):
    long = pa.concat_arrays([ARRAYS[name]()] * 7) if "union" not in name and "runs" not in name else ARRAYS[name]()
    array = long.slice(len(long) // 2 + 1)
    assert_same(again(array), array)


@each("name", ARRAYS)
def test_scalars_come_back_the_same(name):
    if name == "struct of unions":
        pytest.skip("pyarrow makes no array of a scalar that holds runs")
    array = ARRAYS[name]()
    for scalar in (array[0], array[1], array[5]):
        assert_same(again(scalar), scalar)


@each("name", ARRAYS)
def test_types_come_back_the_same(name):
    kind = ARRAYS[name]().type
    assert_same(again(kind), kind)


@each("name", ARRAYS)
def test_chunks_stay_as_they_are(name):
    array = ARRAYS[name]()
    chunked = pa.chunked_array([array, array.slice(2, 3), array.slice(0, 0)])
    with cases() as case:
        for kind in (bytes, bytearray):
            with case(kind):
                assert_same(again(chunked, kind), chunked)


@each("name", ARRAYS)
def test_both_writers_write_the_same_bytes(name):
    pytest.importorskip("msgpack")
    value = ARRAYS[name]()
    with plain_python():
        ours = write(value)
    theirs = write(value)
    assert bytes(ours.document) == bytes(theirs.document)


def table():
    columns = {name: make() for name, make in ARRAYS.items()}
    made = pa.table(columns).replace_schema_metadata({"pandas": '{"index": 1}', b"raw": b"\xff"})
    return made.set_column(
        0, pa.field("first", pa.int8(), nullable=False, metadata={"unit": "m"}), [pa.array([1] * 6, pa.int8())]
    )


SCHEMA = pa.schema(
    [pa.field("a", pa.int8(), nullable=False), pa.field("a", pa.string(), metadata={b"k": b"\xff"})], {"x": "y"}
)
EMPTY_ROWS = pa.RecordBatch.from_struct_array(pa.array([{}] * 5, pa.struct([])))
VALUES = {
    "table": table,
    "slice of a table": lambda: table().slice(2, 3),
    "concatenated": lambda: pa.concat_tables([table(), table().slice(1, 1)]),
    "no rows": lambda: table().slice(0, 0),
    "no columns": lambda: pa.table({}),
    "rows without columns": lambda: pa.Table.from_batches([EMPTY_ROWS]),
    "no chunks": lambda: SCHEMA.empty_table(),
    "duplicate names": lambda: pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"]),
    "batch": lambda: table().to_batches()[0],
    "batch of rows without columns": lambda: EMPTY_ROWS,
    "chunked without chunks": lambda: pa.chunked_array([], pa.list_(pa.int8())),
    "schema": lambda: SCHEMA,
    "empty schema": lambda: pa.schema([]),
    "field": lambda: SCHEMA.field(1),
    "buffer": lambda: pa.py_buffer(b"abc"),
    "no buffer": lambda: pa.py_buffer(b""),
    "large buffer": lambda: pa.py_buffer(bytes(range(256)) * 100),
    "missing": lambda: [pa.scalar(None), pa.NA, pa.scalar(None, pa.string())],
    "single values": lambda: [pa.scalar(1.5), pa.scalar("x"), pa.scalar(DAY), pa.scalar([1]), pa.scalar({"a": 1})],
    "in a dict": lambda: {"t": pa.table({"a": [1]}), "types": [pa.int8(), pa.list_(pa.int8())]},
}


@pytest.mark.parametrize("kind", [bytes, bytearray])
@each("name", VALUES)
def test_values_come_back_the_same(name, kind):
    assert_same(again(VALUES[name](), kind), VALUES[name]())


@pytest.mark.parametrize("name", ["table", "batch", "field", "schema", "buffer"])
def test_values_of_a_graph_come_back_the_same(name):
    value = VALUES[name]()
    cyclic = [value, value]
    cyclic.append(cyclic)
    encoded = PLUGIN.dumps(cyclic)
    made = PLUGIN.loads(encoded)
    assert not encoded.is_code
    assert made[0] is made[1]
    assert_same(made[0], value)


def test_a_table_works_on():
    made = again(pa.table({"a": [3, 1, 2], "b": ["x", "y", "z"]}))
    assert made.sort_by("a").column("b").to_pylist() == ["y", "z", "x"]
    assert made.append_column("c", pa.array([1, 2, 3])).num_columns == 3


def test_large_buffers_are_not_copied_when_written():
    array = pa.array(np.arange(10_000))
    (buffer,) = write(pa.table({"a": array})).buffers
    assert np.shares_memory(np.frombuffer(buffer, "i8"), np.frombuffer(array.buffers()[1], "i8"))


def test_large_buffers_are_not_copied_when_read():
    encoded = write(pa.array(np.arange(10_000)))
    memory = bytearray(encoded.buffers[0])
    made = read(encoded.document, [memory])
    assert np.shares_memory(np.frombuffer(made.buffers()[1], "i8"), np.frombuffer(memory, "i8"))


MANY = 5_000
LARGE = {
    "numbers": lambda: pa.array(range(MANY)),
    "bits": lambda: pa.array([True, None] * (MANY // 2)),
    "texts": lambda: pa.array([f"row {i}" for i in range(MANY)]),
    "views": lambda: pa.array([f"a rather long row {i}" for i in range(MANY)], pa.string_view()),
    "lists": lambda: pa.array([[i] * 5 for i in range(MANY)]),
    "list views": lambda: pa.array([[i] * 5 for i in range(MANY)], pa.list_view(pa.int64())),
    "fixed lists": lambda: pa.array([[i] * 5 for i in range(MANY)], pa.list_(pa.int64(), 5)),
    "structs": lambda: pa.array([{"a": i, "b": str(i)} for i in range(MANY)]),
    "maps": lambda: pa.array([[(str(i), i)] for i in range(MANY)], pa.map_(pa.string(), pa.int64())),
    "runs": lambda: pa.RunEndEncodedArray.from_arrays(range(1, MANY + 1), range(MANY)),
    "dense union": lambda: pa.UnionArray.from_dense(
        pa.array([0] * MANY, pa.int8()), pa.array(range(MANY), pa.int32()), [pa.array(range(MANY))]
    ),
    "sparse union": lambda: pa.UnionArray.from_sparse(pa.array([0] * MANY, pa.int8()), [pa.array(range(MANY))]),
    "indices": lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1] * (MANY // 2)), ["a", "b"]),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_slice_does_not_store_the_whole(name):
    array = LARGE[name]()
    part = array.slice(MANY // 2 + 3, 4)
    assert size_of(part) < 1000
    assert size_of(pa.table({"a": array}).slice(MANY // 2 + 3, 4)) < 1000
    assert_same(again(part), part)


def test_a_dictionary_that_chunks_share_is_stored_once():
    words = pa.array([f"word {i}" for i in range(2000)])
    chunk = pa.DictionaryArray.from_arrays(pa.array([1, 2]), words)
    chunked = pa.chunked_array([chunk, pa.DictionaryArray.from_arrays(pa.array([0, 5]), words)] * 20)
    assert size_of(chunked) < 2 * size_of(chunk)
    assert_same(again(chunked), chunked)


def test_equal_dictionaries_of_two_columns_stay_apart_in_type():
    words = pa.array(["x", "y"])
    made = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0]), words), "b": pa.array([["x"]]), "c": words[:1]})
    assert_same(again(made), made)


class Point(pa.ExtensionType):
    made = 0

    def __init__(self):
        super().__init__(pa.int64(), "tests.point")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        cls.made += 1
        return cls()


EXTENDED = {
    "type": lambda: Point(),
    "array": lambda: pa.ExtensionArray.from_storage(Point(), pa.array([1])),
    "table": lambda: pa.table({"a": pa.ExtensionArray.from_storage(Point(), pa.array([1]))}),
    "schema": lambda: pa.schema([("a", Point())]),
    "nested": lambda: pa.list_(Point()),
    "of pyarrow": lambda: pa.opaque(pa.int8(), "type", "vendor"),
}


@pytest.mark.parametrize("name", EXTENDED)
def test_an_extension_type_is_no_data(name):
    with pytest.raises(NeedsGraph):
        write([EXTENDED[name]()])


def test_metadata_that_names_an_extension_is_metadata():
    named = {"ARROW:extension:name": "tests.point", "ARROW:extension:metadata": ""}
    field = pa.field("a", pa.int64(), metadata=named)
    made = pa.Table.from_arrays([pa.array([1])], schema=pa.schema([field]))
    pa.register_extension_type(Point())
    Point.made = 0
    try:
        assert_same(again(made), made)
    finally:
        pa.unregister_extension_type("tests.point")
    assert Point.made == 0


def test_a_type_that_is_nested_too_deep_is_no_plain_data():
    kind = pa.int8()
    for _ in range(70):
        kind = pa.list_(kind)
    with pytest.raises(NeedsGraph):
        write(kind)


def numbers(*values, code="<i4"):
    return np.array(values, code).tobytes()


FIELD = ["a", "int8", True, None]
LIST = ["list", [FIELD]]
BYTE = [1, [False, True], []]
MALFORMED = {
    "too short": (["int64", [3, [False, True], []]], [bytes(16)]),
    "too long": (["int64", [2**62, [False, True], []]], [bytes(16)]),
    "negative": (["int64", [-1, [False, True], []]], [bytes(16)]),
    "no buffer": (["int64", [1, [False, True], []]], []),
    "a buffer more": (["int64", [1, [False, True], []]], [bytes(8), bytes(8)]),
    "validity too short": (["int8", [100, [True, True], []]], [b"\xff", bytes(100)]),
    "unknown type": (["eval", [1, [False, True], []]], [bytes(8)]),
    "type of no name": ([[], [1, [False, True], []]], [bytes(8)]),
    "type of a list": ([[["list"]], [1, [False, True], []]], [bytes(8)]),
    "offsets out of order": (["string", [2, [False, True, True], []]], [numbers(0, 2, 1), b"ab"]),
    "offsets beyond": (["string", [1, [False, True, True], []]], [numbers(0, 9), b"ab"]),
    "negative offsets": (["string", [1, [False, True, True], []]], [numbers(-4, 2), b"ab"]),
    "no text": (["string", [1, [False, True, True], []]], [numbers(0, 1), b"\xff"]),
    "no view": (["string_view", [1, [False, True, True], []]], [numbers(0, 9, code="<i8"), b"ab"]),
    "list beyond": ([LIST, [1, [False, True], [BYTE]]], [numbers(0, 5), b"a"]),
    "list without child": ([LIST, [1, [False, True], []]], [numbers(0, 0)]),
    "view beyond": ([["list_view", [FIELD]], [1, [False, True, True], [BYTE]]], [numbers(5), numbers(2), b"a"]),
    "fixed list too short": ([["fixed_size_list", [FIELD], 5], [1, [False], [BYTE]]], [b"a"]),
    "fixed list too long": (
        [["fixed_size_list", [["a", "null", True, None]], 2**31 - 1], [2**40, [False], [[2**40, [], []]]]],
        [],
    ),
    "fixed list of less than none": (
        [["fixed_size_list", [FIELD], -1], [1, [False, True], [BYTE]]],
        [numbers(0, 1), b"a"],
    ),
    "struct too short": ([["struct", [FIELD]], [2, [False], [BYTE]]], [b"a"]),
    "map of no key": (
        [
            ["map", [["k", "int8", False, None], FIELD], False],
            [1, [False, True], [[1, [False], [[1, [True, True], []], BYTE]]]],
        ],
        [numbers(0, 1), b"\0", b"a", b"b"],
    ),
    "map of no entry": (
        [["map", [["k", "int8", False, None], FIELD], False], [1, [False, True], [[1, [True], [BYTE, BYTE]]]]],
        [numbers(0, 1), b"\0", b"a", b"b"],
    ),
    "map with keys that may miss": ([["map", [FIELD, FIELD], False], [0, [False, True], []]], [b""]),
    "index beyond": (
        [["dictionary", "int8", "string", False], [1, [False, True], [[0, [False, True, True], []]]]],
        [b"\1", b"", b""],
    ),
    "index before": ([["dictionary", "int8", "int8", False], [1, [False, True], [BYTE]]], [b"\xff", b"a"]),
    "no dictionary": ([["dictionary", "int8", "int8", False], [1, [False, True], [0]]], [b"\0"]),
    "index of text": ([["dictionary", "string", "int8", False], [0, [False, True], [0]]], [b"\0"]),
    "runs that end late": (
        [["run_end_encoded", "int32", "int8"], [9, [], [[1, [False, True], []], BYTE]]],
        [numbers(3), b"a"],
    ),
    "runs out of order": (
        [["run_end_encoded", "int32", "int8"], [3, [], [[2, [False, True], []], [2, [False, True], []]]]],
        [numbers(5, 3), b"ab"],
    ),
    "runs by bytes": ([["run_end_encoded", "int8", "int8"], [3, [], [BYTE, BYTE]]], [b"\3", b"a"]),
    "unknown member": ([["sparse_union", [FIELD], [0]], [1, [False, True], [BYTE]]], [b"\7", b"a"]),
    "member beyond": ([["dense_union", [FIELD], [0]], [1, [False, True, True], [BYTE]]], [b"\0", numbers(9), b"a"]),
    "codes beyond": ([["sparse_union", [FIELD], [200]], [1, [False, True], [BYTE]]], [b"\0", b"a"]),
    "fewer codes": ([["sparse_union", [FIELD, FIELD], [0]], [1, [False, True], [BYTE, BYTE]]], [b"\0", b"a", b"b"]),
    "same codes": ([["sparse_union", [FIELD, FIELD], [0, 0]], [1, [False, True], [BYTE, BYTE]]], [b"\0", b"a", b"b"]),
    "union that is valid": ([["sparse_union", [FIELD], [0]], [1, [True, True], [BYTE]]], [b"\1", b"\0", b"a"]),
    "wide decimal": ([["decimal128", 99, 2], [1, [False, True], []]], [bytes(16)]),
    "zone of no text": ([["timestamp", "us", 5], [1, [False, True], []]], [bytes(8)]),
    "wide bytes": ([["fixed_size_binary", 2**40], [0, [False, True], []]], [b""]),
}


@each("name", MALFORMED)
def test_a_malformed_array_is_corrupt(name):
    meta, buffers = MALFORMED[name]
    with pytest.raises(CorruptEntry):
        restore("pa.array", meta, buffers)


def test_a_type_that_is_nested_beyond_all_use_is_corrupt():
    meta = "int8"
    for _ in range(10_000):
        meta = ["list", [["a", meta, True, None]]]
    with pytest.raises(CorruptEntry):
        restore("pa.type", meta, [])


SHORT = [[["a", "int8", True, None]], None]


@pytest.mark.parametrize(
    ("tag", "meta", "buffers"),
    [
        ("pa.table", [SHORT, 5, [[BYTE]]], [b"a"]),
        ("pa.table", [SHORT, 1, []], []),
        ("pa.table", [[[], None], 2**70, []], []),
        ("pa.table", [[[], None], -1, []], []),
        ("pa.table", [[[FIELD, FIELD], None], 1, [[BYTE], [BYTE, BYTE]]], [b"a", b"b", b"c"]),
        ("pa.batch", [SHORT, 5, [BYTE]], [b"a"]),
        ("pa.batch", [[[FIELD, FIELD], None], 1, [BYTE, [2, [False, True], []]]], [b"a", b"bc"]),
        ("pa.chunked", ["int8", [BYTE, BYTE]], [b"a"]),
        ("pa.scalar", ["int8", [2, [False, True], []]], [b"ab"]),
        ("pa.schema", [[["a", "int8", 1, None]], None], []),
        ("pa.field", ["a", "int8", True, [["k", "v"]]], []),
        ("pa.field", [5, "int8", True, None], []),
        ("pa.type", ["timestamp", "parsec"], []),
        ("pa.buffer", 1, [b"a"]),
    ],
)
def test_a_malformed_value_is_corrupt(tag, meta, buffers):
    with pytest.raises(CorruptEntry):
        restore(tag, meta, buffers)


def test_a_column_that_may_not_miss_and_does_is_read():
    """Arrow itself makes such tables; what a schema promises is not its memory's safety."""
    schema = pa.schema([pa.field("a", pa.int8(), nullable=False)])
    made = pa.Table.from_arrays([pa.array([1, None], pa.int8())], schema=schema)
    assert_same(again(made), made)


def test_an_unknown_tag_of_the_family_is_newer():
    with pytest.raises(NewerFormat):
        restore("pa.tensor", [], [])


def test_a_missing_pyarrow_gives_the_pip_line(monkeypatch):
    import sys

    from hashstash.errors import MissingDependency
    from hashstash.serializers.hashstash import types

    encoded = write(pa.table({"a": [1]}))
    monkeypatch.setattr(types, "_found_by_tag", {})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[dataframe\]'"):
        read(encoded.document, encoded.buffers)
