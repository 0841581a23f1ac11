"""Numpy values in plain documents, with the msgpack packages and without."""

import warnings
from contextlib import nullcontext

import pytest
from together import each

from hashstash.errors import CorruptEntry, UnsupportedValue
from hashstash.serializers.hashstash.document import NeedsGraph, plain_python, read, write
from hashstash.testing.equality import assert_same

np = pytest.importorskip("numpy")
numpy_types = pytest.importorskip("hashstash.serializers.hashstash.types.numpy")


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


def again(value, kind=bytes):
    encoded = write(value)
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


NESTED = np.dtype([("a", "<i2"), ("b", [("c", ">f8", (2,)), ("d", "S3")]), (("title", "e"), "U2")], align=True)


def matrix():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix([[1, 2], [3, 4]])


def generator(kind=np.random.PCG64):
    made = np.random.Generator(kind(7))
    made.random(3, dtype="f4")
    return made


VALUES = {
    **{f"array of {code}": (lambda code=code: np.arange(6).astype(code)) for code in "?bBhHiIlLqQefdgFDG"},
    "big endian": lambda: np.arange(5, dtype=">i4"),
    "text": lambda: np.array(["a", "longer é", ""]),
    "byte text": lambda: np.array([b"a", b"", b"abc"]),
    "void": lambda: np.array([b"abc", b"def"], "V3"),
    "structured": lambda: np.zeros(3, NESTED),
    "padded": lambda: np.zeros(2, np.dtype({"names": ["x"], "formats": ["u1"], "offsets": [3], "itemsize": 9})),
    "record array": lambda: np.rec.array([(1, 2.5), (3, 4.5)], dtype=[("x", "i4"), ("y", "f8")]),
    "array of records": lambda: np.zeros(2, np.dtype((np.record, [("x", "i4")]))),
    "dates": lambda: np.array(["2020-01-01", "NaT"], "M8[D]"),
    "moments": lambda: np.array([1, 2], "M8[25us]"),
    "durations": lambda: np.array([1, -2], "m8[ns]"),
    "unitless": lambda: np.array([1], "m8"),
    "scalar array": lambda: np.array(3.5),
    "empty": lambda: np.zeros((0, 3), "f4"),
    "no bytes": lambda: np.zeros((2, 2), "V0"),
    "no text": lambda: np.zeros(3, "U0"),
    "many dimensions": lambda: np.arange(24).reshape(2, 1, 3, 1, 4),
    "Fortran order": lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "large": lambda: np.arange(10_000.0),
    "large Fortran order": lambda: np.asfortranarray(np.arange(10_000.0).reshape(100, 100)),
    "strided": lambda: np.arange(10_000)[::-3],
    "transposed": lambda: np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "broadcast": lambda: np.broadcast_to(np.arange(3), (1000, 3)),
    "read-only": lambda: np.frombuffer(b"abcdefgh", "i4"),
    "nan": lambda: np.array([np.nan, np.inf, -0.0]),
    "objects": lambda: np.array([1, "a", None, [1, 2], (3,), {"k": 1.5}], object),
    "rows of objects": lambda: np.array([[1, "a"], [None, 2.5]], object),
    "lists as objects": lambda: np.array([[[1], [2]], [[3], None]], object),
    "arrays as objects": lambda: np.fromiter([np.arange(3), np.arange(3)], object, 2),
    "no objects": lambda: np.array([], object),
    "object scalar array": lambda: np.fromiter([[1]], object, 1).reshape(()),
    "strings as objects": lambda: np.array([f"name {i}" for i in range(200)], object),
    "foreign strings as objects": lambda: np.array(["é" * (i % 5) for i in range(200)], object),
    "strings with holes": lambda: np.array([None, "", float("nan"), "x", 5] * 5 + ["y"] * 200, object),
    "surrogates as objects": lambda: np.array(["\ud800"] * 100, object),
    "objects in fields": lambda: np.array([(1, [2]), (3, "x")], [("a", "i4"), ("b", "O")]),
    "masked": lambda: np.ma.array([1.5, 2.5, 3.5], mask=[0, 1, 0], fill_value=9, hard_mask=True),
    "masked nowhere": lambda: np.ma.array([1, 2]),
    "masked records": lambda: np.ma.array([(1, 2.0)], mask=[(0, 1)], dtype=[("a", "i4"), ("b", "f8")]),
    "mask": lambda: np.ma.masked,
    "matrix": matrix,
    "scalars": lambda: [
        *(
            np.int8(-3),
            np.uint64(2**64 - 1),
            np.float16(1.5),
            np.float64("nan"),
            np.float32(-0.0),
            np.longdouble(1) / 3,
        ),
        *(np.bool_(True), np.complex64(1j), np.str_("a\0"), np.bytes_(b"b\0"), np.void(b"raw"), np.void(b"")),
        *(np.datetime64("2020-01"), np.datetime64("NaT"), np.timedelta64(5, "h"), np.zeros(1, NESTED)[0]),
    ],
    "scalars as keys": lambda: {np.float64(1.5): 1, np.str_("a"): 2, np.int64(3): 3},
    "dtypes": lambda: [
        np.dtype("f4"),
        np.dtype(">U3"),
        np.dtype("O"),
        NESTED,
        np.dtype(("i4", (2, 3))),
        np.dtype("M8[s]"),
    ],
    "scalar types": lambda: [np.float64, np.int8, np.str_, np.bool_],
    "generators": lambda: [
        generator(kind)
        for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
    ],
    "seeds": lambda: [np.random.SeedSequence(5, spawn_key=(1, 2), pool_size=8), np.random.SeedSequence([1, 2])],
    "legacy generator": lambda: np.random.RandomState(5),
    "character array": lambda: np.array(["a", "longer", ""]).view(np.char.chararray),
    "records without a record type": lambda: np.array([(1, 2.5)], [("x", "i4"), ("y", "f8")]).view(np.recarray),
    "masked in part": lambda: np.ma.array(
        [(1, 2.0), (3, 4.0)], mask=[(0, 1), (1, 0)], dtype=[("a", "i4"), ("b", "f8")]
    ),
    "masked scalar array": lambda: np.ma.array(5, mask=True),
    "masked in two dimensions": lambda: np.ma.masked_greater(np.arange(6).reshape(2, 3), 3),
    "masked objects": lambda: np.ma.array(np.array(["a", None], object), mask=[0, 1]),
    "metadata": lambda: np.zeros(3, np.dtype("f8", metadata={"unit": "m", "scale": (1, 2)})),
    "metadata of text": lambda: np.array(["a", "b"], np.dtype("U1", metadata={"language": "en"})),
    "metadata of objects": lambda: np.array(["a", None], np.dtype("O", metadata={"vlen": str})),
    "metadata of a field": lambda: np.zeros(2, [("x", np.dtype("i4", metadata={"unit": "m"})), ("y", "f8")]),
    "metadata of fields": lambda: np.zeros(2, np.dtype([("x", "i4"), ("y", "f8")], metadata={"table": 1})),
    "element types with metadata": lambda: [
        np.dtype("f8", metadata={"a": [1]}),
        np.dtype(NESTED, metadata={"a": {}}),
        np.dtype("M8[s]", metadata={"zone": "UTC"}),
    ],
    "old polynomial": lambda: np.poly1d([1.0, 0, -2], variable="t"),
    "polynomials": lambda: [
        kind([1, 2.5, -3], domain=[0, 2])
        for kind in (np.polynomial.Polynomial, np.polynomial.Chebyshev, np.polynomial.Hermite, np.polynomial.Legendre)
    ],
    "limits": lambda: [np.finfo("f4"), np.finfo("f8"), np.finfo("c8"), np.iinfo("i8"), np.iinfo("u1")],
    "business days": lambda: np.busdaycalendar("1111000", ["2020-01-01", "2020-01-06"]),
    "universal functions": lambda: [np.sin, np.add, np.logical_or],
    "zero-size objects": lambda: np.empty((0, 3), object),
    "empty fields": lambda: np.zeros(0, NESTED),
    "array of lists of no length": lambda: np.fromiter([[], []], object, 2),
}
if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
    VALUES["variable text"] = lambda: np.array(["a", "long" * 50, ""], np.dtypes.StringDType())
    VALUES["variable text with holes"] = lambda: np.array(["a", None], np.dtypes.StringDType(na_object=None))


@pytest.mark.parametrize("kind", [bytes, bytearray])
@each("name", VALUES)
def test_numpy_values_come_back_the_same(name, kind):
    assert_same(again(VALUES[name](), kind), VALUES[name]())


@each("name", VALUES)
def test_both_writers_write_the_same_bytes(name):
    pytest.importorskip("msgpack")
    value = VALUES[name]()
    with plain_python():
        ours = write(value)
    theirs = write(value)
    assert bytes(ours.document) == bytes(theirs.document)
    assert [bytes(buffer) for buffer in ours.buffers] == [bytes(buffer) for buffer in theirs.buffers]


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("name", ["large", "read-only", "scalar array", "Fortran order", "masked", "objects", "empty"])
def test_arrays_come_back_writable(name, kind):
    assert again(VALUES[name](), kind).flags.writeable


def test_writable_memory_is_used_in_place():
    encoded = write(np.zeros(1000))
    memory = bytearray(encoded.buffers[0])
    array = read(encoded.document, [memory])
    array[0] = 1
    assert memory[:8] != bytes(8)


def test_read_only_memory_is_copied():
    encoded = write(np.zeros(1000))
    memory = bytes(encoded.buffers[0])
    array = read(encoded.document, [memory])
    array[0] = 1
    assert memory[:8] == bytes(8)


def test_large_arrays_are_not_copied_when_written():
    array = np.arange(1000.0)
    (buffer,) = write({"a": array}).buffers
    assert np.shares_memory(np.frombuffer(buffer), array)


def test_generators_go_on_where_they_were():
    before = generator()
    after = again(before)
    assert after.random(5).tolist() == before.random(5).tolist()
    assert after.spawn(1)[0].random() == before.spawn(1)[0].random()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_an_array_over_a_file_comes_back_as_one_over_no_file(tmp_path, mode):
    values = np.arange(5000.0).reshape(50, 100)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode=mode)
    made = again(mapped, bytes)
    (tmp_path / "values.npy").unlink()
    made[0, 0] = 7
    made.flush()
    assert (type(made), made.filename, made.shape) == (np.memmap, None, (50, 100))
    assert_same(np.asarray(made[1:]), values[1:])


def test_a_part_of_an_array_over_a_file_stores_that_part(tmp_path):
    mapped = np.memmap(tmp_path / "values", "f8", "w+", shape=(1000, 100))
    encoded = write(mapped[10:12])
    assert len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers) < 2000
    assert_same(again(mapped[10:12]), mapped[10:12])


@pytest.mark.parametrize("name", ["read-only", "broadcast", "scalar array", "objects"])
def test_an_array_that_was_not_writable_is_writable_afterwards(name):
    value = VALUES[name]().copy() if name != "broadcast" else VALUES[name]()
    value.flags.writeable = False
    made = again(value)
    assert made.flags.writeable
    assert_same(made, value)


def test_polynomials_work_on():
    made = again(VALUES["old polynomial"]())
    assert (made(3.0), made.deriv().coeffs.tolist()) == (7.0, [2.0, 0.0])
    assert again(np.polynomial.Polynomial([1, 2]))(2.0) == 5.0


class Child(np.ndarray):
    pass


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2).view(Child),
        np.ma.array([1, 2]).view(type("Masked", (np.ma.MaskedArray,), {})),
        np.dtype("f8", metadata={"a": Child}),
        np.frompyfunc(abs, 1, 1),
    ],
    ids=["subclass", "masked subclass", "metadata", "ufunc"],
)
def test_what_a_hook_would_lose_needs_a_graph(value):
    with pytest.raises(NeedsGraph):
        write([value])


@pytest.mark.parametrize(
    "meta",
    [
        ["<f8", [3], "C", None],
        ["<f8", [-1], "C", None],
        ["<f8", [2**62, 2**62], "C", None],
        ["<f8", [2.0], "C", None],
        ["<f8", [2], "X", None],
        ["O", [2], "C", None],
        ["|O", [2], "C", None],
        ["f8, O", [2], "C", None],
        [["fields", [["a", None, "O", 0]], 8, False, False], [2], "C", None],
        [["fields", [["a", None, "<f8", 0]], 2**40, False, False], [2], "C", None],
        [["fields", [["a", None, "<f8", 100]], 8, False, False], [2], "C", None],
        [["fields", [["a", None, "<f8", 2**31 - 1]], 8, False, False], [2], "C", None],
        [["fields", [["a", None, "<f8", -8]], 8, False, False], [2], "C", None],
        [["fields", [["a", None, "<i4", 2**31 - 1], ["b", None, "<i4", 4]], 8, False, False], [2], "C", None],
        [["sub", "<f8", [2]], [1], "C", None],
        ["<f8", [2**40], "C", ["list", [1.0]]],
        ["O", [2**40], "C", ["list", []]],
        ["O", [3], "C", ["list", [1, 2]]],
        ["O", [3], "C", ["texts", [3, [], []]]],
        [["fields", [["a", None, "O", 0]], 8, False, False], [2**40], "C", ["fields", []]],
        [["unknown"], [2], "C", None],
    ],
)
def test_a_malformed_array_is_corrupt(meta):
    from hashstash.serializers.hashstash.types import restore

    with pytest.raises(CorruptEntry):
        restore("np.nd", meta, [bytes(16)])


@pytest.mark.parametrize(
    ("tag", "meta"),
    [
        ("np.scalar", ["O", b"12345678"]),
        ("np.scalar", ["<f8", b"1234"]),
        ("np.bits", ["eval", None, {}]),
        ("np.bits", ["PCG64", 5, {}]),
        ("np.bits", ["PCG64", None, {"bit_generator": "MT19937"}]),
        ("np.generator", 5),
        ("np.seed", [1, [], 2**40, 0]),
        ("np.legacy", {}),
        ("np.masked", [1, None, None, False]),
        ("np.dtype", "f8,O"),
        ("np.dtype", ["noted", "<f8", 5]),
        ("np.dtype", ["noted", "f8,O", {}]),
        ("np.poly", [[1, 2], "x"]),
        ("np.poly", [np.zeros((2, 2)), "x"]),
        ("np.polynomial", ["eval", np.zeros(1), np.zeros(2), np.zeros(2), "x"]),
        ("np.polynomial", ["Polynomial", np.zeros(1), np.zeros(3), np.zeros(2), "x"]),
        ("np.limits", ["finfo", np.dtype("O")]),
        ("np.limits", ["eval", np.dtype("f8")]),
        ("np.busdays", ["0000000", np.zeros(0, "M8[D]")]),
        ("np.ufunc", "save"),
        ("np.ufunc", "ufunc"),
    ],
)
def test_a_malformed_numpy_value_is_corrupt(tag, meta):
    from hashstash.serializers.hashstash.types import restore

    with pytest.raises(CorruptEntry):
        restore(tag, meta, [])


def test_a_missing_numpy_gives_the_pip_line(monkeypatch):
    import sys

    from hashstash.errors import MissingDependency
    from hashstash.serializers.hashstash import types

    encoded = write(np.float64(1))
    monkeypatch.setattr(types, "_found_by_tag", {})
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingDependency, match="pip install numpy"):
        read(encoded.document)


@pytest.mark.parametrize("dtype", ["|V0", "<U0", "|S0"])
def test_elements_of_no_width_are_not_without_end(dtype):
    with pytest.raises(UnsupportedValue, match="elements of no width"):
        write(np.ndarray(((1 << 24) + 1,), dtype, bytearray()))
    assert again(np.ndarray((1 << 24,), dtype, bytearray())).shape == (1 << 24,)


def test_more_elements_of_no_width_are_read_than_are_written(monkeypatch):
    for size, is_read in ((1 << 25, True), (2**40, False)):
        monkeypatch.setattr(numpy_types, "MOST_OF_NO_WIDTH", size)
        document = write(np.ndarray((size,), "|V0", bytearray())).document
        if is_read:
            assert read(document).shape == (size,)
        else:
            with pytest.raises(CorruptEntry, match="elements of no width"):
                read(document)
