"""Whether a value came back as it was: of the same types all the way down, and equal by each type's own notion."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def assert_same(actual: Any, expected: Any, path: str = "value") -> None:
    """Raise ``AssertionError`` naming the part at which *actual* differs from *expected*, in type or in content.

    ``nan`` is the same as ``nan`` of the same bits, ``0.0`` is not ``-0.0``, and the order of a dict counts. Arrays and
    frames are compared by numpy and pandas, dtypes, names, memory order and frequencies included.
    """
    if type(actual) is not type(expected):
        raise AssertionError(f"{path} is a {type(actual)!r} instead of a {type(expected)!r}: {actual!r:.200}")
    compare = _comparison(type(expected))
    compare(actual, expected, path)


def _comparison(kind: type) -> Callable[[Any, Any, str], None]:
    compare = PACKAGES.get(kind.__module__.partition(".")[0])
    if compare is not None:
        return compare
    for base, compare in COMPARISONS.items():
        if issubclass(kind, base):
            return compare
    return _by_name().get(kind.__name__, _compare_equal)


def _by_name() -> dict[str, Callable[[Any, Any, str], None]]:
    return {
        "deque": _compare_deque,
        "Random": _compare_random,
        "ChainMap": _compare_chain,
        "Decimal": _compare_text,
        "mappingproxy": _compare_mapping,
        "SimpleNamespace": lambda actual, expected, path: assert_same(vars(actual), vars(expected), f"vars({path})"),
    }


def _check(is_same: bool, actual: Any, expected: Any, path: str) -> None:
    if not is_same:
        raise AssertionError(f"{path} is {actual!r:.200} instead of {expected!r:.200}")


def _compare_equal(actual: Any, expected: Any, path: str) -> None:
    _check(bool(actual == expected), actual, expected, path)


def _compare_text(actual: Any, expected: Any, path: str) -> None:
    _check(str(actual) == str(expected), actual, expected, path)


def _compare_float(actual: float, expected: float, path: str) -> None:
    _check(struct.pack("d", actual) == struct.pack("d", expected), actual, expected, path)


def _compare_complex(actual: complex, expected: complex, path: str) -> None:
    _compare_float(actual.real, expected.real, path)
    _compare_float(actual.imag, expected.imag, path)


def _compare_sequence(actual: Any, expected: Any, path: str) -> None:
    _check(len(actual) == len(expected), actual, expected, path)
    for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert_same(one, other, f"{path}[{index}]")


def _compare_mapping(actual: Any, expected: Any, path: str) -> None:
    _compare_sequence(list(actual), list(expected), f"the keys of {path}")
    for one, other in zip(actual.items(), expected.items(), strict=True):
        assert_same(one[1], other[1], f"{path}[{other[0]!r:.40}]")
    _check(getattr(actual, "default_factory", 0) is getattr(expected, "default_factory", 0), actual, expected, path)


def _compare_set(actual: Any, expected: Any, path: str) -> None:
    _check(sorted(map(_typed_text, actual)) == sorted(map(_typed_text, expected)), actual, expected, path)


def _typed_text(part: Any) -> str:
    if type(part) in {tuple, frozenset}:
        return (
            f"{type(part)}{sorted(map(_typed_text, part)) if type(part) is frozenset else list(map(_typed_text, part))}"
        )
    return f"{type(part)}{part!r}"


def _compare_exception(actual: BaseException, expected: BaseException, path: str) -> None:
    assert_same(actual.args, expected.args, f"{path}.args")
    assert_same(str(actual), str(expected), f"str({path})")
    assert_same(vars(actual), vars(expected), f"vars({path})")
    for name in ("__cause__", "__context__", "__suppress_context__"):
        assert_same(getattr(actual, name), getattr(expected, name), f"{path}.{name}")


def _compare_moment(actual: Any, expected: Any, path: str) -> None:
    _check(actual.replace(tzinfo=None) == expected.replace(tzinfo=None), actual, expected, path)
    _check(actual.fold == expected.fold, actual, expected, path)
    assert_same(actual.tzinfo, expected.tzinfo, f"{path}.tzinfo")
    _check(repr(actual) == repr(expected), actual, expected, path)


def _compare_slice(actual: slice, expected: slice, path: str) -> None:
    assert_same((actual.start, actual.stop, actual.step), (expected.start, expected.stop, expected.step), path)


def _compare_range(actual: range, expected: range, path: str) -> None:
    assert_same((actual.start, actual.stop, actual.step), (expected.start, expected.stop, expected.step), path)


def _compare_memory(actual: memoryview, expected: memoryview, path: str) -> None:
    _check(actual.tobytes() == expected.tobytes(), actual, expected, path)
    for name in ("format", "shape", "readonly"):
        assert_same(getattr(actual, name), getattr(expected, name), f"{path}.{name}")


def _compare_deque(actual: Any, expected: Any, path: str) -> None:
    _compare_sequence(actual, expected, path)
    assert_same(actual.maxlen, expected.maxlen, f"{path}.maxlen")


def _compare_chain(actual: Any, expected: Any, path: str) -> None:
    _compare_sequence(actual.maps, expected.maps, f"{path}.maps")


def _compare_random(actual: Any, expected: Any, path: str) -> None:
    _check(actual.getstate() == expected.getstate(), actual, expected, path)


def _import_comparisons() -> dict[type, Callable[[Any, Any, str], None]]:
    import datetime as dt

    return {
        float: _compare_float,
        complex: _compare_complex,
        list: _compare_sequence,
        tuple: _compare_sequence,
        dict: _compare_mapping,
        set: _compare_set,
        frozenset: _compare_set,
        BaseException: _compare_exception,
        dt.datetime: _compare_moment,
        dt.time: _compare_moment,
        slice: _compare_slice,
        range: _compare_range,
        memoryview: _compare_memory,
    }


COMPARISONS = _import_comparisons()


def _compare_numpy(actual: Any, expected: Any, path: str) -> None:
    numpy = sys.modules["numpy"]
    if expected is numpy.ma.masked:
        _check(actual is expected, actual, expected, path)
    elif isinstance(expected, numpy.ma.MaskedArray):
        _compare_masked(actual, expected, path)
    elif isinstance(expected, numpy.ndarray):
        _compare_array(actual, expected, path)
    elif isinstance(expected, (numpy.poly1d, numpy.busdaycalendar, numpy.polynomial.polynomial.Polynomial.__mro__[1])):
        for name in ("coeffs", "variable", "coef", "domain", "window", "symbol", "weekmask", "holidays"):
            if hasattr(expected, name):
                assert_same(getattr(actual, name), getattr(expected, name), f"{path}.{name}")
    elif isinstance(expected, (numpy.finfo, numpy.iinfo)):
        _check(repr(actual) == repr(expected), actual, expected, path)
    elif isinstance(expected, numpy.dtype):
        _check(actual == expected and repr(actual) == repr(expected), actual, expected, path)
        assert_same(dict(actual.metadata or {}), dict(expected.metadata or {}), f"{path}.metadata")
    elif isinstance(expected, numpy.generic):
        _check(actual.dtype == expected.dtype and repr(actual) == repr(expected), actual, expected, path)
    elif hasattr(expected, "bit_generator"):
        assert_same(actual.bit_generator, expected.bit_generator, f"{path}.bit_generator")
    elif hasattr(expected, "state"):
        assert_same(actual.state, expected.state, f"{path}.state")
    elif hasattr(expected, "get_state"):
        assert_same(actual.get_state(legacy=False), expected.get_state(legacy=False), f"the state of {path}")
    elif hasattr(expected, "spawn_key"):
        assert_same(actual.state, expected.state, f"{path}.state")
    else:
        _check(bool(actual == expected), actual, expected, path)


def _compare_array(actual: Any, expected: Any, path: str) -> None:
    numpy = sys.modules["numpy"]
    _check(
        actual.dtype == expected.dtype and actual.dtype.type is expected.dtype.type, actual.dtype, expected.dtype, path
    )
    assert_same(actual.dtype, expected.dtype, f"{path}.dtype")
    _check(actual.shape == expected.shape, actual.shape, expected.shape, f"{path}.shape")
    if expected.flags.f_contiguous and not expected.flags.c_contiguous:
        _check(actual.flags.f_contiguous, "C order", "F order", path)
    if expected.dtype.names is not None:
        for name in expected.dtype.names:
            assert_same(actual[name], expected[name], f"{path}[{name!r}]")
    elif expected.dtype.hasobject or expected.dtype.kind == "T":
        _compare_sequence(actual.ravel().tolist(), expected.ravel().tolist(), path)
    elif expected.dtype.char in "gG":  # some of their bytes mean nothing
        numpy.testing.assert_array_equal(actual, expected, path)
    else:
        _check(actual.tobytes() == expected.tobytes(), actual, expected, path)


def _compare_masked(actual: Any, expected: Any, path: str) -> None:
    assert_same(actual.data, expected.data, f"{path}.data")
    assert_same(actual.mask, expected.mask, f"{path}.mask")
    assert_same(actual.fill_value, expected.fill_value, f"{path}.fill_value")
    assert_same(actual.hardmask, expected.hardmask, f"{path}.hardmask")


def _compare_pandas(actual: Any, expected: Any, path: str) -> None:
    pandas = sys.modules["pandas"]
    testing = pandas.testing
    if isinstance(expected, pandas.DataFrame):
        testing.assert_frame_equal(actual, expected, check_freq=True, check_flags=True, check_exact=True)
        assert_same(list(actual.dtypes), list(expected.dtypes), f"{path}.dtypes")
        assert_same(actual.attrs, expected.attrs, f"{path}.attrs")
        assert_same(actual.index, expected.index, f"{path}.index")
        assert_same(actual.columns, expected.columns, f"{path}.columns")
    elif isinstance(expected, pandas.Series):
        testing.assert_series_equal(actual, expected, check_freq=True, check_flags=True, check_exact=True)
        assert_same(actual.dtype, expected.dtype, f"{path}.dtype")
        assert_same(actual.name, expected.name, f"{path}.name")
        assert_same(actual.attrs, expected.attrs, f"{path}.attrs")
        assert_same(actual.index, expected.index, f"{path}.index")
    elif isinstance(expected, pandas.Index):
        testing.assert_index_equal(actual, expected, exact=True)
        assert_same(actual.dtype, expected.dtype, f"{path}.dtype")
        assert_same(list(actual.names), list(expected.names), f"{path}.names")
        _check(getattr(actual, "freq", None) == getattr(expected, "freq", None), actual, expected, f"{path}.freq")
    elif isinstance(expected, pandas.api.extensions.ExtensionArray):
        testing.assert_extension_array_equal(actual, expected, check_exact=True)
    elif expected is pandas.NA or expected is pandas.NaT:
        _check(actual is expected, actual, expected, path)
    else:
        _compare_pandas_scalar(actual, expected, path)


def _compare_pandas_scalar(actual: Any, expected: Any, path: str) -> None:
    _check(bool(actual == expected) and repr(actual) == repr(expected), actual, expected, path)
    for name in ("unit", "tz", "fold", "closed"):
        _check(getattr(actual, name, None) == getattr(expected, name, None), actual, expected, f"{path}.{name}")


def _compare_arrow(actual: Any, expected: Any, path: str) -> None:
    pa = sys.modules["pyarrow"]
    if isinstance(expected, (pa.DataType, pa.Field, pa.Schema)):
        _check(actual.equals(expected, check_metadata=True) and str(actual) == str(expected), actual, expected, path)
    elif isinstance(expected, (pa.Table, pa.RecordBatch)):
        _compare_arrow(actual.schema, expected.schema, f"{path}.schema")
        _check(actual.num_rows == expected.num_rows, actual.num_rows, expected.num_rows, f"{path}.num_rows")
        for number, (one, other) in enumerate(zip(actual.columns, expected.columns, strict=True)):
            _compare_arrow(one, other, f"{path}.columns[{number}]")
    elif isinstance(expected, pa.ChunkedArray):
        _compare_arrow(actual.type, expected.type, f"{path}.type")
        _compare_sequence(actual.chunks, expected.chunks, f"{path}.chunks")
    elif isinstance(expected, pa.Buffer):
        _check(actual.equals(expected), actual, expected, path)
    else:
        _compare_arrow(actual.type, expected.type, f"{path}.type")
        _check(actual.equals(expected) or _shown(actual) == _shown(expected), actual, expected, path)


def _shown(values: Any) -> str:
    """What Python shows of *values*: Arrow holds no nan for equal to itself."""
    return repr(values.as_py() if hasattr(values, "as_py") else values.to_pylist())


def _compare_polars(actual: Any, expected: Any, path: str) -> None:
    pl = sys.modules["polars"]
    testing = __import__("polars.testing").testing
    if isinstance(expected, pl.DataFrame):
        assert_same(actual.columns, expected.columns, f"{path}.columns")
        _check(actual.height == expected.height, actual.height, expected.height, f"{path}.height")
        for name in expected.columns:
            _compare_polars(actual[name], expected[name], f"{path}[{name!r}]")
    elif isinstance(expected, pl.Series):
        _check(actual.dtype == expected.dtype, actual.dtype, expected.dtype, f"{path}.dtype")
        assert_same(actual.to_list(), expected.to_list(), path)
        if not _has_local_categories(expected.dtype):
            testing.assert_series_equal(actual, expected, check_exact=True)
    elif isinstance(expected, pl.LazyFrame):
        _check(actual.explain(optimized=False) == expected.explain(optimized=False), actual, expected, path)
        _compare_polars(actual.collect(), expected.collect(), f"{path}.collect()")
    else:
        _check(actual == expected and repr(actual) == repr(expected), actual, expected, path)


def _has_local_categories(dtype: Any) -> bool:
    """Whether a type of polars holds categories that another column of the same type numbers differently."""
    return not hasattr(sys.modules["polars"], "Categories") and "Categorical" in str(dtype)


def _compare_scipy(actual: Any, expected: Any, path: str) -> None:
    if not hasattr(expected, "todense"):
        _compare_equal(actual, expected, path)
        return
    _check(actual.shape == expected.shape, actual.shape, expected.shape, f"{path}.shape")
    _check(actual.dtype == expected.dtype, actual.dtype, expected.dtype, f"{path}.dtype")
    for name in ("data", "indices", "indptr", "row", "col", "offsets", "rows"):
        if hasattr(expected, name):
            assert_same(getattr(actual, name), getattr(expected, name), f"{path}.{name}")
    for name in ("has_sorted_indices", "has_canonical_format"):
        _check(getattr(actual, name, None) == getattr(expected, name, None), actual, expected, f"{path}.{name}")
    assert_same(actual.toarray(), expected.toarray(), path)


PACKAGES: dict[str, Callable[[Any, Any, str], None]] = {
    "numpy": _compare_numpy,
    "pandas": _compare_pandas,
    "pyarrow": _compare_arrow,
    "polars": _compare_polars,
    "scipy": _compare_scipy,
}
