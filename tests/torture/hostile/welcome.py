"""The other side: whatever is data comes back for everybody, from every engine and compressor, with no trust and no warning."""

from __future__ import annotations

import datetime as dt
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

from hashstash.errors import MissingDependency
from hashstash.registry import COMPRESSORS
from hashstash.testing.corpus import DATA, ZONES
from hashstash.testing.equality import assert_same
from torture.children import say
from torture.places import Place


def makers() -> dict[str, Callable[[], Any]]:
    """Every value of the corpus that is data, and frames and arrays of the packages that are there."""
    found: dict[str, Callable[[], Any]] = {**DATA, **ZONES}
    for package, more in {
        "numpy": _arrays,
        "pandas": _frames,
        "polars": _polars,
        "pyarrow": _arrow,
        "scipy": _sparse,
    }.items():
        if importlib.util.find_spec(package):
            found |= more()
    return found


def _arrays() -> dict[str, Callable[[], Any]]:
    import numpy as np

    return {
        **{
            f"array of {kind}": lambda kind=kind: np.arange(6).astype(kind).reshape(2, 3)
            for kind in ("?", "i1", "u8", "f4", "c16", "U3", "S3")
        },
        "large array": lambda: np.arange(50_000.0),
        "dates": lambda: np.array(["2020", "NaT"], "M8[D]"),
        "records": lambda: np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        "objects": lambda: np.array([1, "a", None], object),
        "masked": lambda: np.ma.array([1, 2], mask=[0, 1]),
        "generator": lambda: np.random.default_rng(3),
        "number": lambda: np.float32(1.5),
    }


def _frames() -> dict[str, Callable[[], Any]]:
    import numpy as np
    import pandas as pd

    index = pd.date_range("2020", periods=3, tz="Europe/Paris", freq="D")
    return {
        "frame": lambda: pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [1.5, None, 2]}, index=index),
        "large frame": lambda: pd.DataFrame({"a": np.arange(20_000), "b": np.arange(20_000.0)}),
        "categories": lambda: pd.DataFrame(
            {"c": pd.Categorical(["a", None], ["b", "a"]), "i": pd.array([1, None], "Int64")}
        ),
        "columns of levels": lambda: pd.DataFrame({("a", 1): [1.5], ("b", 2): [2.5]}),
        "series": lambda: pd.Series(pd.period_range("2020", periods=3, freq="M"), name=("a", 1)),
        "intervals": lambda: pd.interval_range(0, 3),
        "levels": lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
        "timestamp": lambda: pd.Timestamp("2020", tz="UTC"),
        "missing": lambda: [pd.NA, pd.NaT],
    }


def _polars() -> dict[str, Callable[[], Any]]:
    import polars as pl

    return {
        "polars": lambda: pl.DataFrame(
            {"a": [1, None], "b": ["x", "é"], "c": [[1], []], "d": [dt.date(2020, 1, 1), None]}
        ),
        "polars series": lambda: pl.Series("s", ["a", "b", "a"], dtype=pl.Categorical),
    }


def _arrow() -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    return {
        "arrow": lambda: pa.table({"a": [1, None], "b": ["x", "y"], "c": [{"d": [1]}, None]}),
        "arrow array": lambda: pa.array([1, None, 3], pa.int16()),
    }


def _sparse() -> dict[str, Callable[[], Any]]:
    from scipy import sparse

    return {"sparse": lambda: sparse.csr_array([[0, 1.5], [2, 0]])}


def give(place: str) -> None:
    """In a child with the stranger's home: everything, by each compressor."""
    given = 0
    for compressor in COMPRESSORS.names():
        try:
            stash = Place.loads(place).open(compress=compressor)
        except MissingDependency:
            continue
        for name, make in makers().items():
            stash[compressor, name] = make()
            given += 1
        stash.close()
    say("given", given)


def take(place: str) -> None:
    """In a child with the victim's home: all of it, equal, and nothing said."""
    stash = Place.loads(place).open()
    values, wrong, taken = makers(), [], 0
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for compressor, name in list(stash):
            try:
                assert_same(stash[compressor, name], values[name]())
            except Exception as error:
                wrong.append(f"{name} by {compressor}: {error!r:.200}")
            taken += 1
        for _ in stash.items():
            taken += 1
    wrong += [
        f"warned: {one.message!s:.200}"
        for one in heard
        if "hashstash" in str(one.filename) or "stash" in str(one.message)
    ]
    say("taken", taken, wrong)


def give_and_take(place: str) -> None:
    """For a storage that no other process sees: the same in one process, which becomes somebody else in between."""
    import os

    give(place)
    os.environ["XDG_STATE_HOME"] += "-of-another"
    take(place)
