"""The kinds of values that serializers are compared on, and whether one of them came back as it was.

The same file makes and checks them for every system, also for those that run in an environment of their own: it imports
nothing of HashStash, and each package only where a kind needs it.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from typing import Any, NamedTuple
from uuid import UUID

from benchmarks.checks import (
    check_array,
    check_class,
    check_function,
    check_model,
    check_polars,
    check_sparse,
    check_table,
    same,
)

_MANY = 100_000
_SOME = 1000


class Kind(NamedTuple):
    """One kind of value. *make* gets the divisor of its size; *check* raises where the second is not as the first."""

    make: Callable[[int], Any]
    check: Callable[[Any, Any], None]
    packages: tuple[str, ...] = ()

    def is_usable(self) -> bool:
        """Whether its packages are installed here."""
        return all(find_spec(package) for package in self.packages)


def small_value(number: int) -> dict[str, Any]:
    """A record as a web service or an experiment would keep it."""
    return {
        "id": number,
        "name": f"sample {number}",
        "score": number / 7,
        "ok": number % 2 == 0,
        "tags": ["red", "green", "blue"],
        "parent": None,
    }


def nested_value(divisor: int = 1) -> dict[str, Any]:
    """About 100 KB of records in lists in dicts."""
    parts = max(20 // divisor, 2)
    return {f"part {part}": [small_value(100 * part + item) for item in range(50)] for part in range(parts)}


def _ints(divisor: int) -> list[int]:
    draw = random.Random(1)
    return [draw.randrange(-(10 ** draw.randrange(1, 18)), 10**9) for _ in range(_MANY // divisor)]


def _floats(divisor: int) -> list[float]:
    draw = random.Random(2)
    return [draw.gauss(0, 1) for _ in range(_MANY // divisor)]


def _strings(divisor: int) -> list[str]:
    draw = random.Random(3)
    return [
        f"word {draw.randrange(10**6)} \u2013 ü" if draw.random() < 0.1 else f"row {n}" for n in range(_MANY // divisor)
    ]


def _tuples(divisor: int) -> dict[int, Any]:
    count = max(_SOME // divisor, 10)
    return {n: ((n, f"item {n}", n / 3), {n, n + 1, f"{n}"}, frozenset({n})) for n in range(count)}


def _times(divisor: int) -> list[Any]:
    from zoneinfo import ZoneInfo

    start, paris = (
        dt.datetime(2024, 3, 1, 12, 30, 15, 250, tzinfo=dt.UTC).replace(tzinfo=None),
        ZoneInfo("Europe/Paris"),
    )
    times: list[Any] = []
    for n in range(max(_SOME // divisor, 10) // 5 * 5 // 5):
        moment = start + dt.timedelta(hours=n)
        times += [moment, moment.replace(tzinfo=dt.UTC), moment.replace(tzinfo=paris), moment.date(), dt.timedelta(n)]
    return times


def _decimals(divisor: int) -> list[Any]:
    draw = random.Random(4)
    values: list[Any] = []
    for n in range(max(_SOME // divisor, 10)):
        values += [Decimal(n) / 8, UUID(int=draw.getrandbits(128))]
    return [*values, Fraction(2, 3), 2**100, 1 - 2j]


def _float_array(divisor: int) -> Any:
    import numpy as np

    return np.random.default_rng(1).random((1 << 20) // divisor)


def _ramp_array(divisor: int) -> Any:
    import numpy as np

    return np.arange((1 << 20) // divisor, dtype="i8")


def _bool_array(divisor: int) -> Any:
    import numpy as np

    return np.random.default_rng(1).random((1 << 20) // divisor) < 0.3


def _object_array(divisor: int) -> Any:
    import numpy as np

    values = [None if n % 10 == 0 else f"row {n}" if n % 3 else n for n in range(_MANY // 10 // divisor)]
    return np.array(values, dtype=object)


def _masked_array(divisor: int) -> Any:
    import numpy as np

    data = _float_array(divisor * 8)
    return np.ma.masked_array(data, mask=data < 0.1, fill_value=-1.0)


def mixed_frame(rows: int = _MANY) -> Any:
    """A frame with a column of each common kind."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "number": draw.integers(0, 1_000_000, rows),
            "measure": draw.random(rows),
            "flag": draw.random(rows) < 0.5,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="s"),
            "kind": pd.Categorical.from_codes(draw.integers(0, 5, rows), categories=["a", "b", "c", "d", "e"]),
            "text": [f"row {number}" for number in draw.integers(0, 10_000, rows)],
        }
    )


def _indexed_frame(divisor: int) -> Any:
    import numpy as np
    import pandas as pd

    days = pd.date_range("2024-01-01", periods=_SOME // divisor, freq="D", tz="Europe/Paris")
    index = pd.MultiIndex.from_product([days, list("abcdefghij")], names=["day", "site"])
    columns = pd.MultiIndex.from_product([["low", "high"], [1, 2]])
    frame = pd.DataFrame(np.random.default_rng(3).random((len(index), 4)), index=index, columns=columns)
    frame.attrs["source"] = {"name": "sensor", "since": dt.date(2024, 1, 1)}
    return frame


def _categorical_frame(divisor: int) -> Any:
    import numpy as np
    import pandas as pd

    draw, rows = np.random.default_rng(4), _MANY // divisor
    sizes = pd.CategoricalDtype(["S", "M", "L", "never used"], ordered=True)
    words = pd.CategoricalDtype([f"word {n}" for n in range(100)])
    return pd.DataFrame(
        {
            "size": pd.Categorical.from_codes(draw.integers(-1, 3, rows), dtype=sizes),
            "word": pd.Categorical.from_codes(draw.integers(0, 100, rows), dtype=words),
        }
    )


def _sparse_matrix(divisor: int) -> Any:
    import scipy.sparse

    rows = 10_000 // divisor
    return scipy.sparse.random(rows, 1000, density=0.01, format="csr", random_state=5)


def _arrow_table(divisor: int) -> Any:
    import pyarrow as pa

    rows = _MANY // divisor
    return pa.table(
        {
            "number": list(range(rows)),
            "text": pa.array([f"row {n % 1000}" for n in range(rows)]).dictionary_encode(),
            "tags": [["a", "b"] if n % 2 else None for n in range(rows)],
            "point": [{"x": n / 2, "y": None} for n in range(rows)],
        }
    ).replace_schema_metadata({"origin": "benchmark"})


def _polars_frame(divisor: int) -> Any:
    import polars as pl

    rows = _MANY // divisor
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)  # a column of times without a zone
    return pl.DataFrame(
        {
            "number": range(rows),
            "text": [f"row {n % 1000}" if n % 7 else None for n in range(rows)],
            "when": [start + dt.timedelta(seconds=n) for n in range(rows)],
            "tags": [["a", "b"] for _ in range(rows)],
        },
        schema_overrides={"number": pl.Int32},
    ).with_columns(kind=pl.col("text").cast(pl.Categorical))


@dataclass
class Sample:
    """An experiment as people write it down."""

    name: str
    size: int
    scores: list[float]
    tags: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def _instances(divisor: int) -> list[Sample]:
    count = max(_SOME // divisor, 10)
    return [Sample(f"sample {n}", n, [n / 2, n / 3], ("a", "b"), {"at": n}) for n in range(count)]


def _check_instances(value: list[Sample], back: list[Sample]) -> None:
    assert type(back) is list
    assert len(back) == len(value)
    for one, other in zip(value, back, strict=True):
        assert type(other) is Sample, f"a {type(other)!r}"
        same(vars(one), vars(other))


def _function(_: int) -> Callable[..., float]:
    offset, table = 3, {"scale": 0.5}
    return lambda x, *, by=2: (x + offset) * table["scale"] + by


def _class(_: int) -> type:
    class Base:
        def area(self) -> float:
            return 0.0

    class Square(Base):
        """A square."""

        unit = "cm"

        def __init__(self, side: float) -> None:
            self.side = side

        @property
        def double(self) -> float:
            return 2 * self.side

        @staticmethod
        def name() -> str:
            return "square"

        def area(self) -> float:
            return super().area() + self.side**2

    return Square


class Node:
    """A part of a tree that knows the whole."""

    def __init__(self, name: str, parent: Node | None) -> None:
        self.name = name
        self.parent = parent
        self.children: list[Node] = []


def _graph(divisor: int) -> Node:
    root = Node("root", None)
    for n in range(max(_SOME // divisor, 20) // 10):
        branch = Node(f"branch {n}", root)
        root.children.append(branch)
        branch.children += [Node(f"leaf {n}.{m}", branch) for m in range(9)]
    return root


def _nodes(root: Node) -> Iterator[Node]:
    yield root
    for child in root.children:
        yield from _nodes(child)


def _check_graph(value: Node, back: Node) -> None:
    pairs = list(zip(_nodes(value), _nodes(back), strict=True))
    twins = {id(one): other for one, other in pairs}
    for one, other in pairs:
        assert type(other) is Node, f"a {type(other)!r}"
        assert other.name == one.name
        assert other.parent is (None if one.parent is None else twins[id(one.parent)]), "another parent"


def _model(_: int) -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(6)
    features = draw.random((200, 5))
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(features, features[:, 0] > 0.5)


KINDS: dict[str, Kind] = {
    "small dict": Kind(lambda _: small_value(12345), same),
    "100 KB of records": Kind(nested_value, same),
    "list of 1e5 ints": Kind(_ints, same),
    "list of 1e5 floats": Kind(_floats, same),
    "list of 1e5 strings": Kind(_strings, same),
    "tuples, sets, int keys (1000)": Kind(_tuples, same),
    "datetimes, zones (1000)": Kind(_times, same),
    "Decimal, UUID (2000)": Kind(_decimals, same),
    "array, 8 MB of floats": Kind(_float_array, check_array, ("numpy",)),
    "array, 8 MB int ramp": Kind(_ramp_array, check_array, ("numpy",)),
    "array, 1 MB of bools": Kind(_bool_array, check_array, ("numpy",)),
    "array of 1e4 objects": Kind(_object_array, same, ("numpy",)),
    "masked array, 1 MB": Kind(_masked_array, same, ("numpy",)),
    "mixed frame, 1e5 rows": Kind(lambda divisor: mixed_frame(_MANY // divisor), same, ("pandas",)),
    "frame with MultiIndex, 1e4 rows": Kind(_indexed_frame, same, ("pandas",)),
    "categorical frame, 1e5 rows": Kind(_categorical_frame, same, ("pandas",)),
    "sparse matrix, 1e5 entries": Kind(_sparse_matrix, check_sparse, ("scipy",)),
    "pyarrow table, 1e5 rows": Kind(_arrow_table, check_table, ("pyarrow",)),
    "polars frame, 1e5 rows": Kind(_polars_frame, check_polars, ("polars",)),
    "dataclass instances (1000)": Kind(_instances, _check_instances),
    "lambda with a closure": Kind(_function, check_function),
    "class made in a function": Kind(_class, check_class),
    "1000 objects with cycles": Kind(_graph, _check_graph),
    "fitted sklearn pipeline": Kind(_model, check_model, ("sklearn",)),
}
