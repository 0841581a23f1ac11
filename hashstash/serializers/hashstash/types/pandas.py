"""Data frames, series and indexes.

A frame is stored as pandas holds it, block by block, so that columns of one dtype are one buffer, written without a
copy and mapped without one. The blocks of a stranger are checked to cover each column once before pandas sees them.
"""

# ruff: noqa: SLF001  pandas has no public view of its blocks
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.pandas_arrays import ARRAYS, with_freq, without_freq
from hashstash.serializers.hashstash.types.pandas_dtypes import DTYPES
from hashstash.serializers.hashstash.types.pandas_offsets import OFFSETS, pack_freq
from hashstash.serializers.hashstash.types.pandas_scalars import SCALARS

try:
    from pandas.api.internals import create_dataframe_from_blocks
except ImportError:  # before pandas 3
    from pandas.core.internals import BlockManager
    from pandas.core.internals.api import make_block

    def create_dataframe_from_blocks(blocks: Any, index: Any, columns: Any) -> Any:
        """The frame that consists of *blocks*, pairs of values and column numbers."""
        manager = BlockManager([make_block(values, placement=places) for values, places in blocks], [columns, index])
        return pd.DataFrame._from_mgr(manager, manager.axes)


INDEXES = (
    *(pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex),
    *(pd.PeriodIndex, pd.IntervalIndex, pd.CategoricalIndex),
)


def _pack_frame(frame: Any) -> list[Any]:
    blocks = [part for block in frame._mgr.blocks for part in _pack_block(block)]
    return [blocks, frame.index, frame.columns, frame.attrs, frame.flags.allows_duplicate_labels]


def _pack_block(block: Any) -> list[list[Any]]:
    """One pair of column numbers and values, or one for each row of values that cannot be built with two dimensions."""
    values = block.values
    places = block.mgr_locs.as_array.tolist()
    if isinstance(values, np.ndarray):
        return [[places, values]]
    if values.dtype.kind in "mM" and isinstance(values.dtype, np.dtype):
        return [[places, values._ndarray]]
    if values.ndim == 1:
        return [[places, values]]
    return [[[place], values[row]] for row, place in enumerate(places)]


def _unpack_frame(meta: Any) -> Any:
    blocks, index, columns, attributes, allows_duplicates = items(meta, 5)
    expect(pd.Index, index)
    expect(pd.Index, columns)
    pairs = [items(block, 2) for block in expect(list, blocks)]
    claimed = [place for places, _ in pairs for place in expect(list, places)]
    if len(claimed) != len(columns) or sorted(claimed) != list(range(len(columns))):
        raise CorruptEntry("a stored frame does not hold each of its columns once; delete the entry")
    built = [_unpack_block(places, values, len(index)) for places, values in pairs]
    frame = create_dataframe_from_blocks(built, index=index, columns=columns)
    return _labelled(frame, attributes, allows_duplicates)


def _unpack_block(places: list[Any], values: Any, length: int) -> tuple[Any, Any]:
    is_plain = isinstance(values, np.ndarray)
    shape = (len(places), length) if is_plain and values.ndim == 2 else (length,)
    if not isinstance(values, (np.ndarray, pd.api.extensions.ExtensionArray)) or values.shape != shape:
        raise CorruptEntry("a column of a stored frame has another length than its index; delete the entry")
    if len(shape) == 1 and len(places) != 1:
        raise CorruptEntry("a column of a stored frame claims several places; delete the entry")
    if is_plain and values.ndim == 1:  # strings, where this pandas has no dtype for them
        values = values.reshape(1, -1)
    return values, np.array(places, np.intp)


def _labelled(made: Any, attributes: Any, allows_duplicates: Any) -> Any:
    if expect(dict, attributes):
        made.attrs = attributes
    if not expect(bool, allows_duplicates):
        made.flags.allows_duplicate_labels = False
    return made


def _pack_series(series: Any) -> list[Any]:
    values = series._values
    if values.dtype.kind in "mM" and isinstance(values.dtype, np.dtype):
        values = values._ndarray
    return [values, series.index, series.name, series.attrs, series.flags.allows_duplicate_labels]


def _unpack_series(meta: Any) -> Any:
    values, index, name, attributes, allows_duplicates = items(meta, 5)
    expect((np.ndarray, pd.api.extensions.ExtensionArray), values)
    if values.shape != (len(expect(pd.Index, index)),):
        raise CorruptEntry("a stored series has another length than its index; delete the entry")
    series = pd.Series(values, index=index, dtype=values.dtype, name=name, copy=False)
    return _labelled(series, attributes, allows_duplicates)


def _pack_index(index: Any) -> list[Any]:
    freq = index.freq if type(index) in {pd.DatetimeIndex, pd.TimedeltaIndex} else None
    return [without_freq(index._data), index.name, pack_freq(freq)]


def _unpack_index(meta: Any) -> Any:
    values, name, freq = items(meta, 3)
    expect((np.ndarray, pd.api.extensions.ExtensionArray), values)
    index = pd.Index(values, dtype=values.dtype, name=name, copy=False, tupleize_cols=False)
    return index if freq is None else with_freq(index, freq)


def _unpack_range(meta: Any) -> Any:
    start, stop, step, name = items(meta, 4)
    return pd.RangeIndex(expect(int, start), expect(int, stop), expect(int, step), name=name)


def _pack_multi(index: Any) -> list[Any]:
    return [list(index.levels), [np.asarray(codes) for codes in index.codes], list(index.names)]


def _unpack_multi(meta: Any) -> Any:
    levels, codes, names = (expect(list, part) for part in items(meta, 3))
    if not all(isinstance(level, pd.Index) for level in levels):
        raise CorruptEntry("a stored MultiIndex is malformed; delete the entry")
    if not all(isinstance(code, np.ndarray) and code.dtype.kind == "i" and code.ndim == 1 for code in codes):
        raise CorruptEntry("a stored MultiIndex is malformed; delete the entry")
    return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=True)


_HOOKS = [
    plain_hook("pd.frame", lambda kind: kind is pd.DataFrame, _pack_frame, _unpack_frame),
    plain_hook("pd.series", lambda kind: kind is pd.Series, _pack_series, _unpack_series),
    plain_hook("pd.index", lambda kind: kind in INDEXES, _pack_index, _unpack_index),
    plain_hook(
        "pd.range",
        lambda kind: kind is pd.RangeIndex,
        lambda index: [index.start, index.stop, index.step, index.name],
        _unpack_range,
    ),
    plain_hook("pd.multi", lambda kind: kind is pd.MultiIndex, _pack_multi, _unpack_multi),
    *ARRAYS,
    *DTYPES,
    *OFFSETS,
    *SCALARS,
]
HOOKS = {hook.tag: hook for hook in _HOOKS}
