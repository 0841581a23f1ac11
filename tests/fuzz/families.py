"""Values of one family, each taken apart, changed at a few places, put together again, and used: in little memory.

    python tests/fuzz/families.py FAMILY SEED COUNT

Prints what came out that is no error of ours. A value that comes out whole is used as its owner would, and may then
raise what it likes, but the process has to live: compiled code that believes a stranger ends it.
"""

import faulthandler
import math
import random
import resource
import sys
import time
import warnings

from hashstash.errors import StashError
from hashstash.serializers.hashstash.document import read, write
from hashstash.serializers.hashstash.types import find_hook, restore

SPARE = 1500 << 20
SLOWEST = 20.0
"""Seconds of this process's own time for one value; those that are slow are slow for minutes."""
NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    127,
    128,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32,
    2**33,
    2**40,
    2**60,
    2**63 - 1,
    2**64,
]
OTHERS = [None, True, False, "", "a", "int8", "string", "null", "Int8", "Null", [], [[]], {}, b"", 1.5, math.nan]


def arrow():
    import pyarrow as pa

    words = pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), pa.array(["x", "y"]))
    text = ["a", None, "a text of more than twelve bytes"]
    lists = [[1, 2], None, [3]]
    arrays = [
        *(
            pa.array([1, None, 3], kind)
            for kind in (pa.int8(), pa.int64(), pa.float64(), pa.decimal256(50, 2), pa.date32())
        ),
        *(pa.array(text, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *(pa.array(lists, kind(pa.int16())) for kind in (pa.list_, pa.large_list, pa.list_view, pa.large_list_view)),
        *(pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), pa.array([True, None, False]), pa.nulls(3)),
        *(pa.array([{"a": 1, "b": ["x"]}, None, {"a": None}]), pa.array([{}] * 3, pa.struct([])), words),
        *(
            pa.array([b"ab", None, b"cd"], pa.binary(2)),
            pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        ),
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None])),
        pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["x"])]
        ),
        pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])]),
        pa.ListArray.from_arrays([0, 1, 2, 3], words),
    ]
    whole = pa.table({str(number): array for number, array in enumerate(arrays)})
    chunks = pa.chunked_array([words, words.slice(1)])
    return [
        *arrays,
        arrays[0][0],
        whole,
        whole.slice(1),
        chunks,
        whole.to_batches()[0],
        whole.schema,
        pa.py_buffer(b"abc"),
    ]


def use_arrow(value):
    str(value)
    if hasattr(value, "validate"):
        value.validate(full=True)
    if hasattr(value, "slice") and hasattr(value, "validate"):
        first = value.slice(0, 100)
        (first.to_pylist if hasattr(first, "to_pylist") else first.to_pydict)()
        value.equals(value)


def polars():
    import datetime as dt

    import polars as pl

    columns = [
        *(
            pl.Series([1, None, 3], dtype=kind)
            for kind in (pl.Int8, pl.Int64, pl.Int128, pl.Float32, pl.Decimal(10, 2))
        ),
        *(
            pl.Series([dt.date(2020, 1, 1), None] * 2),
            pl.Series([dt.time(1), None]),
            pl.Series([dt.timedelta(1), None]),
        ),
        pl.Series([dt.datetime(2020, 1, 1), None], dtype=pl.Datetime("us", "Europe/Paris")),
        *(pl.Series(["a", None, "é"], dtype=kind) for kind in (pl.String, pl.Categorical, pl.Enum(["é", "a"]))),
        *(pl.Series([b"a", None, b""]), pl.Series([True, None, False]), pl.Series([None, None])),
        *(pl.Series([["a"], None, []], dtype=pl.List(kind)) for kind in (pl.String, pl.Categorical)),
        *(pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)), pl.Series([[], None], dtype=pl.Array(pl.Int8, 0))),
        *(pl.Series([{"a": 1, "b": ["x"]}, None]), pl.Series([{}, None], dtype=pl.Struct([]))),
    ]
    frame = pl.DataFrame([column.head(2).alias(str(number)) for number, column in enumerate(columns)])
    return [*columns, frame, frame.schema, pl.DataFrame(schema={"a": pl.Int8}), pl.List(pl.Int8())]


def use_polars(value):
    str(value)
    if hasattr(value, "head"):
        first = value.head(50)
        (first.to_list if hasattr(first, "to_list") else first.rows)()
        first.equals(first.reverse())


def scipy():
    import numpy as np
    from scipy import sparse

    grid = np.array([[0, 1.5, 0, 2], [0, 0, 3, 0], [4, 0, 0, 0], [0, 0, 0, 5]])
    return [
        getattr(sparse, f"{form}_{kind}")(grid)
        for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
        for kind in ("matrix", "array")
    ]


def use_scipy(value):
    import numpy as np

    str(value)
    if max(value.shape) < 1000:
        value.tocsr().toarray()
        (value @ np.ones(value.shape[-1])).sum()
        (value.T + value.T).sum()


def pandas():
    import numpy as np
    import pandas as pd

    index = pd.date_range("2020", periods=3, tz="Europe/Paris", freq=pd.DateOffset(days=2))
    frame = pd.DataFrame({"n": [1, 2, 3], "s": ["a", None, "b"], "c": pd.Categorical(["x", "y", "x"])}, index=index)
    return [
        *(frame, frame["s"], index, index.dtype, frame.set_index("n", append=True).T),
        *(
            pd.offsets.CustomBusinessDay(holidays=["2020-01-01"]),
            pd.offsets.BusinessHour(start="08:00"),
            pd.offsets.Week(2),
        ),
        *(pd.DateOffset(months=2, weekday=3), pd.interval_range(0, 3), pd.period_range("2020", periods=3, freq="M")),
        *(
            pd.arrays.SparseArray([0, 0, 1]),
            pd.array([1, None], "Int8"),
            pd.array(["a", None], "string"),
            pd.cut([1, 5], [0, 3, 6]),
        ),
        *(
            np.zeros(2, np.dtype("f8", metadata={"a": 1})),
            np.poly1d([1, 2]),
            np.polynomial.Chebyshev([1, 2]),
            np.finfo("f4"),
        ),
        *(
            np.busdaycalendar("1111100", ["2020-01-01"]),
            np.ma.array([1, 2], mask=[0, 1]),
            np.array(["a", "b"]).view(np.char.chararray),
        ),
        *(np.random.default_rng(5), np.array([(1, "x")], [("a", "i4"), ("b", "O")])),
    ]


def use_pandas(value):
    import pandas as pd

    str(value)
    if isinstance(value, (pd.Series, pd.DataFrame)):
        value.head(10).sort_index()
    if isinstance(value, pd.offsets.BaseOffset):
        str(value.n)


def zones():
    import datetime as dt
    from importlib.util import find_spec

    found = []
    if find_spec("dateutil"):
        from dateutil import tz

        found += [
            tz.UTC,
            tz.tzoffset("x", 3600),
            tz.gettz("Europe/Paris"),
            tz.tzstr("EST5EDT4,M3.2.0,M11.1.0"),
            tz.tzlocal(),
        ]
    if find_spec("pytz"):
        import pytz

        paris = pytz.timezone("Europe/Paris")
        found += [pytz.utc, paris, pytz.FixedOffset(60), paris.localize(dt.datetime(2020, 7, 1)).tzinfo]
    return found


def use_zones(value):
    import datetime as dt

    str(dt.datetime(2020, 1, 1, tzinfo=value))


FAMILIES = {
    "pyarrow": (arrow, use_arrow),
    "polars": (polars, use_polars),
    "scipy": (scipy, use_scipy),
    "pandas": (pandas, use_pandas),
    "dateutil": (zones, use_zones),
}


def taken_apart(value):
    hook = find_hook(type(value))
    meta, buffers = hook.pack(value)
    return hook.tag, meta, [bytes(buffer) for buffer in buffers]


def places(tree, path=()):
    """The way to each part of nested lists."""
    yield path
    if type(tree) is list:
        for number, part in enumerate(tree):
            yield from places(part, (*path, number))


def part_at(tree, path):
    for number in path:
        tree = tree[number]
    return tree


def replaced(tree, path, part):
    if not path:
        return part
    return [replaced(one, path[1:], part) if number == path[0] else one for number, one in enumerate(tree)]


def changed(dice, meta, buffers, others):
    """*meta* and *buffers* with one change."""
    kind = dice.randrange(6)
    if kind >= 4 and buffers:
        number = dice.randrange(len(buffers))
        return meta, [*buffers[:number], *spoiled(dice, buffers[number], others), *buffers[number + 1 :]]
    path = dice.choice(list(places(meta)))
    part = part_at(meta, path)
    if type(part) is int and kind < 3:
        part = dice.choice([*NUMBERS, part + 1, part - 1, part * 8])
    elif type(part) is list and part and kind < 2:
        number = dice.randrange(len(part))
        part = dice.choice([part[:number] + part[number + 1 :], [*part, part[number]], part[::-1], part * 2])
    elif kind == 2:
        part = part_at(others[0], dice.choice(list(places(others[0]))))
    elif has_arrays(part):
        part = spoiled_array(dice, part)
    else:
        part = dice.choice([*OTHERS, *NUMBERS])
    return replaced(meta, path, part), buffers


def has_arrays(part):
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(part) is numpy.ndarray and part.size > 0 and not part.dtype.hasobject


def spoiled_array(dice, array):
    numpy = sys.modules["numpy"]
    made = array.copy()
    if made.dtype.kind in "iu" and dice.random() < 0.7:
        limits = numpy.iinfo(made.dtype)
        wanted = dice.choice([*NUMBERS, -2, -(2**31), -(2**63)])
        made.flat[dice.randrange(made.size)] = min(max(wanted, limits.min), limits.max)
        return made
    return dice.choice(
        [made[:-1], numpy.concatenate([made, made]), made.astype("f4") if made.dtype.kind in "iuf" else made[:0]]
    )


def spoiled(dice, buffer, others):
    kind = dice.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return [buffer, buffer]
    if kind == 2:
        return [buffer[: dice.randrange(len(buffer) + 1)]]
    if kind == 3:
        return [dice.choice(others[1]) if others[1] else b""]
    made = bytearray(buffer or b"\0")
    made[dice.randrange(len(made))] = dice.choice([0, 1, 2, 127, 128, 255, dice.randrange(256)])
    return [bytes(made)]


def attempt(tag, meta, buffers, use):
    """What is wrong with how the value is read, or nothing."""
    try:
        value = restore(tag, meta, [bytearray(buffer) for buffer in buffers])
    except StashError:
        return None
    except BaseException as error:
        return repr(error)[:300]
    try:
        use(value)
    except BaseException as error:
        return repr(error) if isinstance(error, (KeyboardInterrupt, SystemExit)) else None
    return None


def main(family, seed, count):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    make, use = FAMILIES[family]
    values = make()
    for value in values:
        encoded = write(value)
        read(encoded.document, encoded.buffers)
    apart = [taken_apart(value) for value in values]
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    for number in range(seed, seed + count):
        dice = random.Random(number)
        tag, meta, buffers = dice.choice(apart)
        for _ in range(dice.choice([1, 1, 1, 2, 4])):
            meta, buffers = changed(dice, meta, buffers, dice.choice(apart)[1:])
        print(number, tag, repr(meta)[:2000], file=sys.stderr)
        begin = time.process_time()
        wrong = attempt(tag, meta, buffers, use)
        if wrong is not None or time.process_time() - begin > SLOWEST:
            print(f"{number}: {tag} {meta!r:.300} {wrong or 'took too long'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
