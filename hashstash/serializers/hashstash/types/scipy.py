"""Scipy's sparse matrices and sparse arrays, as the numpy arrays that they consist of.

Scipy's compiled code trusts these arrays: each index that comes in is checked against the shape before scipy sees it.
Whether indices are sorted is not stored, since scipy finds it out from the indices themselves.
"""

# ruff: noqa: SLF001  a dictionary of keys has no public name for its dictionary
from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse  # type: ignore[import-untyped,unused-ignore]

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types.build import expect, items, no_attributes, plain_hook

FORMATS = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")
CLASSES: dict[str, Any] = {
    f"{name}_{kind}": getattr(sparse, f"{name}_{kind}") for name in FORMATS for kind in ("matrix", "array")
}
OWN_ATTRIBUTES = (
    *("_shape", "maxprint", "data", "dtype", "_dict", "rows", "coords", "offsets", "indices", "indptr"),
    *("has_canonical_format", "_has_canonical_format", "_has_sorted_indices"),
)
LARGEST_SIDE = (1 << 63) - 1


def _pack(value: Any) -> list[Any]:
    no_attributes(value, but=OWN_ATTRIBUTES)
    return [type(value).__name__, list(value.shape), value.maxprint, _PACKERS[value.format](value)]


def _pack_keys(value: Any) -> list[Any]:
    keys = list(value._dict)
    columns = list(zip(*keys, strict=True)) if value.ndim > 1 else [keys]
    coordinates = [np.array(column, np.int64) for column in columns] if keys else []
    return [coordinates, np.array(list(value._dict.values()), value.dtype)]


_PACKERS: dict[str, Any] = {
    **dict.fromkeys(("csr", "csc", "bsr"), lambda value: [value.data, value.indices, value.indptr]),
    "coo": lambda value: [value.data, list(value.coords), bool(value.has_canonical_format)],
    "dia": lambda value: [value.data, value.offsets],
    "lil": lambda value: [value.dtype, value.rows, value.data],
    "dok": _pack_keys,
}


def _unpack(meta: Any) -> Any:
    name, shape, maxprint, parts = items(meta, 4)
    kind = CLASSES[expect(str, name)]
    if not all(type(side) is int and 0 <= side <= LARGEST_SIDE for side in expect(list, shape)) or not shape:
        raise _malformed("shape")
    made = _UNPACKERS[name[:3]](kind, tuple(shape), parts)
    made.maxprint = expect(int, maxprint)
    return made


def _malformed(what: str) -> CorruptEntry:
    return CorruptEntry(f"a stored sparse array has a malformed {what}; delete the entry")


def _indices(values: Any, bound: int, *, least: int = 0) -> Any:
    """*values*, if they are integers of one dimension from *least* to below *bound*."""
    if not isinstance(values, np.ndarray) or values.dtype not in {np.dtype("i4"), np.dtype("i8")} or values.ndim != 1:
        raise _malformed("index")
    if len(values) and not (int(values.min()) >= least and int(values.max()) < bound):
        raise _malformed("index")
    return values


def _numbers(values: Any, dimensions: int) -> Any:
    if type(values) is not np.ndarray or values.ndim != dimensions:
        raise _malformed("content")
    return values


def _unpack_compressed(kind: Any, shape: tuple[int, ...], parts: Any) -> Any:
    data, indices, pointers = items(parts, 3)
    is_blocked = kind.__name__.startswith("bsr")
    _numbers(data, 3 if is_blocked else 1)
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    if kind.__name__.startswith("csc"):
        rows, columns = columns, rows
    if is_blocked:
        height, width = data.shape[1:]
        if not height or not width or rows % height or columns % width:
            raise _malformed("block")
        rows, columns = rows // height, columns // width
    _indices(indices, columns)
    _indices(pointers, len(indices) + 1)
    if len(pointers) != rows + 1 or pointers[0] != 0 or (np.diff(pointers) < 0).any() or len(data) != len(indices):
        raise _malformed("index")
    made = kind((data, indices, pointers), shape=shape, copy=False)
    made.indices, made.indptr = indices, pointers  # scipy would choose a type of its own for them
    return made


def _unpack_coordinates(kind: Any, shape: tuple[int, ...], parts: Any) -> Any:
    data, coordinates, is_canonical = items(parts, 3)
    _numbers(data, 1)
    checked = [_indices(one, side) for one, side in zip(expect(list, coordinates), shape, strict=True)]
    if any(len(one) != len(data) for one in checked):
        raise _malformed("index")
    made = kind((data, tuple(checked)), shape=shape, copy=False)
    made.coords = tuple(checked)
    made.has_canonical_format = expect(bool, is_canonical)
    return made


def _unpack_diagonals(kind: Any, shape: tuple[int, ...], parts: Any) -> Any:
    data, offsets = items(parts, 2)
    _indices(offsets, max(shape) + 1, least=-max(shape))
    if len(_numbers(data, 2)) != len(offsets):
        raise _malformed("index")
    made = kind((data, offsets), shape=shape, copy=False)
    made.offsets = offsets
    return made


def _unpack_lists(kind: Any, shape: tuple[int, ...], parts: Any) -> Any:
    dtype, rows, data = items(parts, 3)
    expect(np.dtype, dtype)
    height, width = shape
    for lists in (rows, data):
        if _numbers(lists, 1).dtype != object or len(lists) != height:
            raise _malformed("row")
    for columns, values in zip(rows, data, strict=True):
        _check_row(expect(list, columns), expect(list, values), width)
    made = kind(shape, dtype=dtype)
    made.rows, made.data = rows, data
    return made


def _check_row(columns: list[Any], values: list[Any], width: int) -> None:
    if len(columns) != len(values) or not all(isinstance(column, (int, np.integer)) for column in columns):
        raise _malformed("row")
    if not all(isinstance(value, (int, float, complex, np.generic)) for value in values):
        raise _malformed("row")
    if columns and not (min(columns) >= 0 and max(columns) < width and columns == sorted(columns)):
        raise _malformed("row")


def _unpack_keys(kind: Any, shape: tuple[int, ...], parts: Any) -> Any:
    coordinates, values = items(parts, 2)
    _numbers(values, 1)
    made = kind(shape, dtype=values.dtype)
    if len(values):
        checked = [_indices(one, side).tolist() for one, side in zip(expect(list, coordinates), shape, strict=True)]
        keys = zip(*checked, strict=True) if len(shape) > 1 else checked[0]
        made._dict.update(zip(keys, values, strict=True))
    return made


_UNPACKERS: dict[str, Any] = {
    **dict.fromkeys(("csr", "csc", "bsr"), _unpack_compressed),
    "coo": _unpack_coordinates,
    "dia": _unpack_diagonals,
    "lil": _unpack_lists,
    "dok": _unpack_keys,
}

_HOOKS = [plain_hook("sp.sparse", lambda kind: kind in CLASSES.values(), _pack, _unpack)]
HOOKS = {hook.tag: hook for hook in _HOOKS}
