"""Pandas' extension arrays: each as the arrays that it consists of."""

# ruff: noqa: SLF001  the parts of an extension array have no public names
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas._libs.sparse import IntIndex

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types import TypeHook, arrow, arrow_types
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.pandas_dtypes import (
    MASKED,
    pack_zone,
    string_dtype,
    unpack_zone,
)
from hashstash.serializers.hashstash.types.pandas_offsets import pack_freq, unpack_freq

if TYPE_CHECKING:
    from hashstash.codec import Buffer

MASKED_ARRAYS = tuple({dtype.construct_array_type() for dtype in MASKED.values()})
NumpyArray: Any = getattr(pd.arrays, "NumpyExtensionArray", None) or pd.arrays.PandasArray
ArrowArray: Any = pd.arrays.ArrowExtensionArray


def _is_string_array(kind: type) -> bool:
    return kind.__name__ in {
        *("StringArray", "StringArrayNumpySemantics"),
        *("ArrowStringArray", "ArrowStringArrayNumpySemantics"),
    }


def _pack_categorical(value: Any) -> list[Any]:
    return [value.dtype, value.codes]


def _unpack_categorical(meta: Any) -> Any:
    dtype, codes = items(meta, 2)
    expect(pd.CategoricalDtype, dtype)
    return pd.Categorical.from_codes(expect(np.ndarray, codes), dtype=dtype)


def _pack_moments(value: Any) -> list[Any]:
    return [value._ndarray, pack_zone(getattr(value, "tz", None)), pack_freq(getattr(value, "freq", None))]


def _unpack_moments(meta: Any) -> Any:
    values, zone, freq = items(meta, 3)
    if expect(np.ndarray, values).dtype.kind not in "mM" or values.ndim != 1:
        raise CorruptEntry("stored moments are malformed; delete the entry")
    return moments(values, unpack_zone(zone), freq)


def moments(values: Any, zone: Any, freq: Any = None) -> Any:
    """A DatetimeArray or TimedeltaArray over *values*, with a frequency where this pandas has them on arrays."""
    if values.dtype.kind == "m":
        array = pd.array(values, copy=False)
    else:
        dtype = values.dtype if zone is None else pd.DatetimeTZDtype(np.datetime_data(values.dtype)[0], zone)
        array = pd.arrays.DatetimeArray._simple_new(values, dtype=dtype)
    if freq is None or not hasattr(array, "freq"):
        return array
    return with_freq(pd.Index(array, copy=False), freq)._data


def with_freq(index: Any, freq: Any) -> Any:
    """*index* with its frequency, which pandas checks against its values."""
    expect((pd.DatetimeIndex, pd.TimedeltaIndex), index)
    index.freq = unpack_freq(freq)
    return index


def without_freq(array: Any) -> Any:
    """*array* without the frequency that it may have before pandas 3.1."""
    return array._with_freq(None) if hasattr(array, "_with_freq") else array


def _unpack_period(meta: Any) -> Any:
    ordinals, dtype = items(meta, 2)
    expect(pd.PeriodDtype, dtype)
    if expect(np.ndarray, ordinals).dtype != "i8":
        raise CorruptEntry("stored periods are malformed; delete the entry")
    return pd.arrays.PeriodArray(ordinals, dtype=dtype)


def _unpack_interval(meta: Any) -> Any:
    left, right, dtype = items(meta, 3)
    expect(pd.IntervalDtype, dtype)
    # A range would be written out in full, however long it says that it is.
    if pd.RangeIndex in {type(left), type(right)}:
        raise CorruptEntry("stored intervals have bounds that are no values; delete the entry")
    return pd.arrays.IntervalArray.from_arrays(
        expect(pd.Index, left), expect(pd.Index, right), closed=dtype.closed, dtype=dtype
    )


def _unpack_masked(meta: Any) -> Any:
    name, data, mask = items(meta, 3)
    dtype = MASKED[name]
    if data.dtype != dtype.numpy_dtype or data.shape != expect(np.ndarray, mask).shape or mask.dtype != bool:
        raise CorruptEntry(f"a stored array of {name} is malformed; delete the entry")
    return dtype.construct_array_type()(data, mask, copy=False)


def _pack_sparse(value: Any) -> list[Any]:
    index = value.sp_index.to_int_index()
    return [value.sp_values, index.indices, index.length, value.kind, value.dtype]


def _unpack_sparse(meta: Any) -> Any:
    values, indices, length, kind, dtype = items(meta, 5)
    expect(pd.SparseDtype, dtype)
    if expect(np.ndarray, indices).dtype != "i4" or values.shape != indices.shape or values.dtype != dtype.subtype:
        raise CorruptEntry("a stored sparse array is malformed; delete the entry")
    if not 0 <= expect(int, length) < 1 << 31:  # pandas counts in 32 bits
        raise CorruptEntry(f"a stored sparse array has a malformed length of {length:,}; delete the entry")
    index: Any = IntIndex(expect(int, length), indices, check_integrity=True)
    if kind == "block":
        index = index.to_block_index()
    return pd.arrays.SparseArray._simple_new(values, index, dtype)


def _pack_strings(value: Any) -> tuple[Any, list[Buffer]]:
    storage = "python" if hasattr(value, "_ndarray") else "pyarrow"
    missing = "na" if value.dtype.na_value is pd.NA else "nan"
    if storage == "pyarrow":
        count, buffers = arrow.pack_strings(value._pa_array)
        return [storage, missing, count], buffers
    packed = arrow.pack_objects(value._ndarray, value.isna())
    if packed is None:
        return [storage, missing, value._ndarray], []
    return [storage, missing, packed[0]], packed[1]


def _unpack_strings(meta: Any, buffers: list[Buffer]) -> Any:
    storage, missing, content = items(meta, 3)
    dtype = string_dtype(storage, missing)
    has_na = getattr(dtype, "na_value", None) is pd.NA
    if buffers and getattr(dtype, "storage", "python") == "pyarrow":
        return dtype.__from_arrow__(arrow.unpack_strings(content, buffers))
    values = arrow.unpack_objects(content, buffers, pd.NA if has_na else np.nan) if buffers else content
    expect(np.ndarray, values)
    return values if isinstance(dtype, np.dtype) else dtype.construct_array_type()._from_sequence(values, dtype=dtype)


def _pack_arrow(value: Any) -> tuple[Any, list[Buffer]]:
    held = value._pa_array
    return arrow.pack_chunked(held) if arrow.is_flat(held.type) else (held, [])


def _unpack_arrow(meta: Any, buffers: list[Buffer]) -> Any:
    if not isinstance(meta, list):
        return ArrowArray(expect(arrow_types.arrow().ChunkedArray, meta))
    array = arrow.unpack_array(meta, buffers)
    return ArrowArray(arrow_types.arrow().chunked_array([array]))


ARRAYS = [
    plain_hook("pd.categorical", lambda kind: kind is pd.Categorical, _pack_categorical, _unpack_categorical),
    plain_hook(
        "pd.moments",
        lambda kind: kind in {pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray},
        _pack_moments,
        _unpack_moments,
    ),
    plain_hook(
        "pd.periods",
        lambda kind: kind is pd.arrays.PeriodArray,
        lambda value: [value.asi8, value.dtype],
        _unpack_period,
    ),
    plain_hook(
        "pd.intervals",
        lambda kind: kind is pd.arrays.IntervalArray,
        lambda value: [value.left, value.right, value.dtype],
        _unpack_interval,
    ),
    plain_hook(
        "pd.nullable",
        lambda kind: kind in MASKED_ARRAYS,
        lambda value: [value.dtype.name, value._data, value._mask],
        _unpack_masked,
    ),
    plain_hook("pd.sparse", lambda kind: kind is pd.arrays.SparseArray, _pack_sparse, _unpack_sparse),
    plain_hook(
        "pd.plain",
        lambda kind: kind is NumpyArray,
        lambda value: value.to_numpy(),
        lambda meta: NumpyArray(expect(np.ndarray, meta)),
    ),
    TypeHook("pd.strings", _is_string_array, _pack_strings, _unpack_strings),
    TypeHook("pd.arrow", lambda kind: kind is ArrowArray, _pack_arrow, _unpack_arrow),
]
