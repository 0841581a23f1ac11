"""A few bytes that say they are much: documents under the tags that there are, with shapes, offsets, codes and numbers that lie.

Each is as a writer of ours would lay it out, but for one thing; what reads it has to find that out before it makes room, follows an
offset or writes out a number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from torture.hostile.documents import Ext, hook, pack


def ints(*numbers: int, width: str = "q") -> bytes:
    return struct.pack(f"<{len(numbers)}{width}", *numbers)


def array(dtype: Any, shape: list[Any], data: bytes = b"", order: str = "C") -> Ext:
    return hook("np.nd", [dtype, shape, order, None], data)


def indexed(*numbers: int) -> Ext:
    return hook("pd.index", [array("<i8", [len(numbers)], ints(*numbers)), None, None])


def counted(*bounds: Any) -> Ext:
    return hook("pd.range", [*bounds, None])


def fields(size: Any, *parts: list[Any]) -> list[Any]:
    return ["fields", list(parts), size, False, False]


def sizes() -> Iterator[tuple[str, bytes]]:
    """Name and document of each."""
    for family in (_arrays, _frames, _tables, _polars, _sparse, _numbers, _views):
        for name, value in family():
            yield name, value if isinstance(value, bytes) else pack(value)


def _arrays() -> Iterator[tuple[str, Any]]:
    for dtype in ("|V0", "<U0", "|S0"):
        yield f"{dtype} without end", array(dtype, [2**40])
        yield f"{dtype} in two dimensions", array(dtype, [2**20, 2**20])
        yield f"{dtype} as a scalar", hook("np.scalar", [dtype, b""])
    for shape in (
        [0, 2**62],
        [2**62, 0],
        [2**32, 2**32],
        [-1],
        [-(2**62), 0],
        [2**63],
        [1] * 64,
        [1] * 65,
        [1] * 100_000,
    ):
        yield f"a shape of {str(shape)[:40]}", array("<f8", shape, ints(1) if len(shape) > 2 else b"")
    for text in ("<M8[10000000s]", "<M8[as]", "<M8", "<M8[Y]", "<M8[s]", "<m8[W]", "<m8[ps]"):
        yield f"{text} out of range", array(text, [2], ints(2**62, -(2**62)))
        yield f"a scalar {text} out of range", hook("np.scalar", [text, ints(2**62)])
    for name, dtype in {
        "an offset beyond": fields(12, ["a", None, "<i4", 2**31]),
        "an offset before": fields(12, ["a", None, "<i4", -4]),
        "a size without end": fields(2**31 - 1, ["a", None, "<i4", 0]),
        "fields of one name": fields(8, ["a", None, "<i4", 0], ["a", None, "<i4", 4]),
        "an object in it": fields(8, ["a", None, "|O", 0]),
        "a part without end": ["sub", "|u1", [2**31 - 1]],
        "a numpy name": "f8,f8",
        "a repetition": "1000000000f8",
        "a hundred levels": _nested(lambda inner, _: fields(4, ["a", None, inner, 0]), 100, "<i4"),
        "fields that double": _nested(
            lambda inner, _: fields(8, ["a", None, inner, 0], ["b", None, inner, 0]), 14, "|u1"
        ),
    }.items():
        yield f"a dtype with {name}", hook("np.dtype", dtype)
        yield f"an array of a dtype with {name}", array(dtype, [1], bytes(12))
        yield f"no elements of a dtype with {name}", array(dtype, [0])
    yield (
        "a mask of another shape",
        hook("np.masked", [array("<i8", [2], ints(1, 2)), array("|b1", [1], b"\0"), None, False]),
    )


def _frames() -> Iterator[tuple[str, Any]]:
    columns = counted(0, 0, 1)
    for length in (10**9, 10**15, 2**63 - 1, 2**64, 10**30):
        if length < 2**64:
            yield f"an index of {length:,}", counted(0, length, 1)
            yield (
                f"a frame of nothing, {length:,} times",
                hook("pd.frame", [[], counted(0, length, 1), columns, {}, True]),
            )
            yield f"no rows of {length:,} columns", hook("pd.frame", [[], columns, counted(0, length, 1), {}, True])
            yield (
                f"a series of one, {length:,} times",
                hook("pd.series", [array("<i8", [1], ints(1)), counted(0, length, 1), None, {}, True]),
            )
            yield (
                f"a series of nothing, {length:,} times",
                hook("pd.series", [array("|V0", [length]), counted(0, length, 1), None, {}, True]),
            )
    yield "an index without a step", counted(0, 5, 0)
    for number in (2**62, -(2**62), 2**64 - 1):
        for unit in ("s", "ns", "as", "W"):
            yield f"a moment of {number} {unit}", hook("pd.timestamp", [number, unit, None, 0])
            yield f"a span of {number} {unit}", hook("pd.timedelta", [number, unit])
        for freq in ("period[Y-DEC]", "period[ns]", "period[1000000000Y-DEC]", "period[x]"):
            yield f"a period of {number} {freq}", hook("pd.period", [number, "period", freq])
    for freq in ("1000000000000D", "D" * 10_000, "-0D", "W-\x1b[2J"):
        yield f"the step {freq[:20]!r}", hook("pd.freq", freq)
    for code in (1, 5, 127, -2, -128):
        kind = hook("pd.dtype", ["cat", indexed(7), False])
        codes = array("|i1", [3], struct.pack("<3b", 0, code, 0))
        yield f"a category {code} of one", hook("pd.categorical", [kind, codes])
        yield f"a level's {code} of one", hook("pd.multi", [[indexed(7)], [codes], [None], None])
    for place in (5, 2**31 - 1, -1, -(2**31)):
        kind = hook("pd.dtype", ["sparse", "<i8", 0])
        for way in ("integer", "block"):
            parts = [array("<i8", [1], ints(1)), array("<i4", [1], ints(place, width="i")), 2, way, kind]
            yield f"a sparse element at {place} of two, {way}", hook("pd.sparse", parts)
    for length in (2**40, 2**31 - 1):
        kind = hook("pd.dtype", ["sparse", "<i8", 0])
        yield (
            f"nothing but fillings, {length:,}",
            hook("pd.sparse", [array("<i8", [0]), array("<i4", [0]), length, "integer", kind]),
        )
    for storage in ("pyarrow", "python"):
        for bounds in ((0, 10**9), (5, 1), (-5, 1), (2**62, 2**62), (0, 1, 2**60)):
            parts = (ints(*bounds), b"a", b"\1")
            yield f"text from {bounds} of {storage}", hook("pd.strings", [storage, "na", len(bounds) - 1], *parts)
        yield f"texts without end of {storage}", hook("pd.strings", [storage, "na", 2**60], ints(0, 1), b"a", b"\1")
    empty, mask = array("<i8", [0]), array("|b1", [2], b"\0\1")
    yield "a mask longer than its numbers", hook("pd.nullable", ["Int64", empty, mask])
    yield "intervals that end before they begin", hook("pd.intervals", [indexed(5), indexed(1), "right"])


def _tables() -> Iterator[tuple[str, Any]]:
    def made(kind: Any, node: Any, *parts: bytes) -> Ext:
        return hook("pa.array", [kind, node], *parts)

    for length in (10**9, 2**40, 2**62, 2**63 - 1, -1):
        yield f"{length:,} nulls", made("null", [length, [], []])
        yield (
            f"a column of {length:,} nulls",
            hook("pa.table", [[[["a", "null", True, None]], None], length, [[[length, [], []]]]]),
        )
        yield f"a table of nothing, {length:,} times", hook("pa.table", [[[], None], length, []])
        yield f"{length:,} numbers in eight bytes", made("int64", [length, [False, True], []], ints(1))
        yield f"{length:,} pieces of no width", made(["fixed_size_binary", 0], [length, [False, True], []], b"")
        yield (
            f"{length:,} lists of no width",
            made(["fixed_size_list", ["item", "null", True, None], 0], [length, [False], [[0, [], []]]]),
        )
        ends = [1, [False, True], []]
        runs = [length, [], [ends, ends]]
        yield f"a run of {length:,}", made(["run_end_encoded", "int64", "int64"], runs, ints(length), ints(1))
        yield f"a run that ends before {length:,}", made(["run_end_encoded", "int64", "int64"], runs, ints(3), ints(1))
    for kind, width in {"string": "i", "binary": "i", "large_string": "q", "large_binary": "q"}.items():
        for bounds in ((0, 10**9), (5, 1), (-5, 1), (2**31 - 1, 2**31 - 1)):
            yield f"{kind} from {bounds}", made(kind, [1, [False, True, True], []], ints(*bounds, width=width), b"a")
    for bounds in ((0, 10**9), (5, 1), (-5, 1)):
        inner = [1, [False, True], []]
        kind = ["list", ["item", "int64", True, None]]
        yield f"a list from {bounds}", made(kind, [1, [False, True], [inner]], ints(*bounds, width="i"), ints(1))
    for place in (5, -1, 2**31 - 1):
        words = [1, [False, True, True], []]
        kind = ["dictionary", "int32", "string", False]
        yield (
            f"a word {place} of one",
            made(kind, [1, [False, True], [words]], ints(place, width="i"), ints(0, 1, width="i"), b"a"),
        )
    for kind in (
        ["decimal128", 100, 5],
        ["decimal128", 38, -(2**31)],
        ["timestamp", "s", "../../etc/passwd"],
        ["timestamp", "x", None],
    ):
        yield f"a type {kind}", made(kind, [1, [False, True], []], bytes(16))
    yield "moments out of range", made(["timestamp", "s", None], [1, [False, True], []], ints(2**62))
    yield "a date out of range", made("date32", [1, [False, True], []], ints(2**31 - 1, width="i"))
    deep = _nested(lambda inner, _: ["list", ["item", inner, True, None]], 100, "null")
    yield (
        "a type a hundred deep",
        made(deep, _nested(lambda inner, _: [0, [False, False], [inner]], 100, [0, [], []])),
    )
    yield "a text cut within a letter", made("string", [1, [False, True, True], []], ints(0, 1, width="i"), b"\xff")


def _polars() -> Iterator[tuple[str, Any]]:
    for length in (2**31 - 1, 2**40, 2**62):
        yield f"{length:,} nulls of polars", hook("pl.series", ["", "Null", [length, False, []]])
        yield f"{length:,} numbers of polars", hook("pl.series", ["", "Int64", [length, False, []]], ints(1))
        yield f"a polars frame of {length:,}", hook("pl.frame", [length, []])
        yield f"nulls in a polars frame of {length:,}", hook("pl.frame", [length, [["a", "Null", [length, False, []]]]])
        yield (
            f"{length:,} arrays of no width",
            hook("pl.series", ["", ["Array", "Int64", [0]], [length, False, [[0, False, []]]]]),
        )
    for bounds in ((0, 10**9), (5, 1), (-5, 1)):
        yield f"polars text from {bounds}", hook("pl.series", ["", "String", [1, False, []]], ints(*bounds), b"a")
        inner = [1, False, []]
        yield (
            f"a polars list from {bounds}",
            hook("pl.series", ["", ["List", "Int64"], [1, False, [inner]]], ints(*bounds), ints(1)),
        )


def _sparse() -> Iterator[tuple[str, Any]]:
    def of(kind: str, shape: list[Any], *parts: Any) -> Ext:
        return hook("sp.sparse", [kind, shape, 50, [*parts, True]])

    nothing, no_places = array("<f8", [0]), array("<i4", [0])
    one, place = array("<f8", [1], struct.pack("<d", 1.0)), array("<i4", [1], ints(0, width="i"))
    for side in (10**9, 2**31 - 2, 2**40, 2**62):
        yield f"coo of {side:,}", of("coo_matrix", [side, side], nothing, [no_places, no_places])
        yield f"csr of 0 x {side:,}", of("csr_matrix", [0, side], nothing, no_places, array("<i4", [1], bytes(4)))
        yield f"csr of {side:,} x 3", of("csr_matrix", [side, 3], nothing, no_places, array("<i4", [1], bytes(4)))
        yield f"dia of {side:,}", of("dia_matrix", [side, side], array("<f8", [0, 0]), no_places)
        yield f"dok of {side:,}", of("dok_matrix", [side, side], nothing, [no_places, no_places])
        yield f"lil of {side:,}", of("lil_matrix", [side, 3], nothing, no_places, array("<i4", [1], bytes(4)))
    for column in (5, -1, 2**31 - 1):
        places = array("<i4", [1], ints(column, width="i"))
        yield (
            f"csr with a column {column} of two",
            of("csr_matrix", [1, 2], one, places, array("<i4", [2], ints(0, 1, width="i"))),
        )
        yield f"coo with a row {column} of two", of("coo_matrix", [2, 2], one, [places, place])
    for ends in ((0, 2**31 - 1), (5, 1), (-1, 1), (0, 5)):
        yield f"csr with rows {ends}", of("csr_matrix", [1, 2], one, place, array("<i4", [2], ints(*ends, width="i")))


def _numbers() -> Iterator[tuple[str, Any]]:
    yield "an integer of a megabyte", Ext(5, b"\xc6" + struct.pack(">I", 1 << 20) + b"\x7f" * (1 << 20))
    yield (
        "a fraction of a megabyte",
        hook("fraction", [1, Ext(5, b"\xc6" + struct.pack(">I", 1 << 20) + b"\x7f" * (1 << 20))]),
    )
    yield "a fraction of nothing", hook("fraction", [1, 0])
    for text in (
        "1E+999999999999999999",
        "1E-999999999999999999",
        "1E+1000000000000000000000",
        "sNaN",
        "9" * 100_000,
        "1_0",
        "NaN123456789" * 9,
    ):
        yield f"a decimal {text[:24]}", Ext(15, text)
    for bounds in ([0, 2**63, 1], [0, 5, 0], [2**64 - 1, -(2**63), -1], [0, 2**64 - 1, 2**64 - 1]):
        yield f"a range of {bounds}", hook("range", bounds)
    for name in (
        "../../../etc/passwd",
        "/etc/passwd",
        "localtime",
        "posixrules",
        "Europe",
        "",
        "\0",
        "x" * 10_000,
        "CON",
    ):
        for tag in ("zone", "pytz.zone", "dateutil.zone"):
            yield f"a {tag} {name[:20]!r}", hook(tag, name)
    for text in ("9999-99-99T00:00:00", "0000-01-01T00:00:00", "2020-01-01T00:00:00+99:99", "2020-01-01"):
        yield f"a moment {text}", Ext(10, [text, 0, None])
    yield "a span without end", Ext(13, [2**62, 0, 0])
    yield "a span that carries", Ext(13, [999_999_999, 2**62, 2**62])
    for what, pattern, flags in (
        ("that takes for ever", "(a+)+$", 32),
        ("of parentheses", "(" * 50_000, 32),
        ("of closed parentheses", "(" * 5000 + ")" * 5000, 32),
        ("that repeats", "(?:" * 50 + "a" + "{0,65535})" * 50, 32),
        ("of many words", "|".join(f"a{n}b{n * n}" for n in range(20_000)), 32),
        ("that prints itself", "ab", 32 | 128),
        ("with other flags", "ab", 2**40),
        ("that is code", "(?{exec})", 32),
    ):
        yield f"a pattern {what}", hook("pattern", [pattern, flags])
    yield "a deque that is too long for itself", hook("deque", [[1] * 1000, 2])
    yield "a deque of a negative length", hook("deque", [[1], -5])
    yield "a network of all addresses", hook("ip", ["IPv6Network", "::/0"])


def _views() -> Iterator[tuple[str, Any]]:
    """Views of shared memory in a graph, of which the strides lie."""

    def graph(*operations: Any) -> bytes:
        return b"\xc1" + pack([1, list(operations), [len(operations) - 1], 0])

    for what, shape, strides in (
        ("without strides", [2**20, 2**20], [0, 0]),
        ("without strides nor end", [2**31, 2**31], [0, 0]),
        ("beyond", [5], [8]),
        ("before", [2], [-8]),
        ("of no dimension", [], []),
        ("of too many", [1] * 40, [0] * 40),
        ("of another length", [2], [0, 0]),
    ):
        for dtype in ("<f8", "|O", "|V0"):
            yield f"a view {what} of {dtype}", graph([8, bytes(8)], [12, [0], 0, shape, strides, dtype, True])
            yield (
                f"a list of a view {what} of {dtype}",
                graph([8, bytes(8)], [12, [0], 0, shape, strides, dtype, True], [0, [[1], [1]]]),
            )


def _nested(make: Any, levels: int, value: Any) -> Any:
    for level in range(levels):
        value = make(value, level)
    return value
