"""Pandas' extension dtypes and time zones as plain data."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from hashstash.errors import CorruptEntry
from hashstash.imports import is_installed
from hashstash.serializers.hashstash.types import restore
from hashstash.serializers.hashstash.types.arrow_types import pack_type, unpack_type
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.numpy import pack_dtype, unpack_dtype

MASKED = {
    kind.name: kind()
    for kind in (
        *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype),
        *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype),
        *(pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype),
    )
}
HAS_NAN_STRINGS = hasattr(pd.StringDtype("python"), "_na_value")
"""Since pandas 2.3 there are two kinds of string dtypes: missing is NA, or NaN."""
Packed = list[Any]


def pack_zone(zone: Any) -> Any:
    """A time zone; those of pytz, which pandas 2 uses, by their name or their minutes."""
    if zone is None or not type(zone).__module__.startswith("pytz"):
        return zone
    name = zone.zone
    if name is None:
        return ["pytz", int(zone.utcoffset(None).total_seconds()) // 60]
    return ["pytz", name]


def unpack_zone(meta: Any) -> Any:
    """The zone that :func:`pack_zone` was given.

    Without pytz it is the same zone of the standard library: it was pandas 2 that chose pytz, not the user.
    """
    if not isinstance(meta, list):
        return expect((dt.tzinfo, type(None)), meta)
    kind, name = items(meta, 2)
    if kind != "pytz":
        raise CorruptEntry(f"a stored time zone is of the unknown kind {kind!r:.80}; delete the entry")
    if is_installed("pytz"):
        return restore("pytz.zone", name, [])
    return dt.timezone(dt.timedelta(minutes=name)) if type(name) is int else restore("zone", name, [])


def _pack_category(dtype: Any) -> Packed:
    return ["cat", dtype.categories, dtype.ordered]


def _unpack_category(categories: Any, is_ordered: Any) -> Any:
    return pd.CategoricalDtype(expect((pd.Index, type(None)), categories), ordered=is_ordered)


def _pack_interval(dtype: Any) -> Packed:
    subtype = dtype.subtype
    if subtype is None:
        return ["interval", None, dtype.closed]
    return ["interval", subtype, dtype.closed]


def _pack_string(dtype: Any) -> Packed:
    storage = "pyarrow" if dtype.storage == "pyarrow_numpy" else dtype.storage
    return ["string", storage, "na" if dtype.na_value is pd.NA else "nan"]


def string_dtype(storage: Any, missing: Any) -> Any:
    """The string dtype of that storage; without pyarrow kept by Python, and ``object`` in a pandas without it."""
    if storage not in {"python", "pyarrow"} or missing not in {"na", "nan"}:
        raise CorruptEntry("a stored string dtype is malformed; delete the entry")
    if missing == "nan" and not HAS_NAN_STRINGS:
        return unpack_dtype("O")
    options = {"na_value": float("nan")} if missing == "nan" else {}
    try:
        return pd.StringDtype(storage, **options)
    except ImportError:
        return pd.StringDtype("python", **options)


def _pack_sparse(dtype: Any) -> Packed:
    return ["sparse", pack_dtype(dtype.subtype), dtype.fill_value]


def _unpack_sparse(subtype: Any, fill: Any) -> Any:
    return pd.SparseDtype(unpack_dtype(subtype), fill)


PACKERS: dict[type, Any] = {
    pd.CategoricalDtype: _pack_category,
    pd.DatetimeTZDtype: lambda dtype: ["zone", dtype.unit, pack_zone(dtype.tz)],
    pd.PeriodDtype: lambda dtype: ["period", dtype.name],
    pd.IntervalDtype: _pack_interval,
    pd.StringDtype: _pack_string,
    pd.SparseDtype: _pack_sparse,
    pd.ArrowDtype: lambda dtype: ["arrow", pack_type(dtype.pyarrow_dtype)],
    **{type(dtype): lambda dtype: ["masked", dtype.name] for dtype in MASKED.values()},
}
UNPACKERS: dict[str, Any] = {
    "cat": _unpack_category,
    "zone": lambda unit, zone: pd.DatetimeTZDtype(expect(str, unit), unpack_zone(zone)),
    "period": lambda name: pd.PeriodDtype(expect(str, name).removeprefix("period[").removesuffix("]")),
    "interval": pd.IntervalDtype,
    "string": string_dtype,
    "sparse": _unpack_sparse,
    "arrow": lambda packed: pd.ArrowDtype(unpack_type(packed)),
    "masked": lambda name: MASKED[name],
}


def pack_extension_dtype(dtype: Any) -> Packed:
    """A dtype of pandas as ``[kind, ...]``."""
    packed: Packed = PACKERS[type(dtype)](dtype)
    return packed


def unpack_extension_dtype(meta: Any) -> Any:
    """The dtype that :func:`pack_extension_dtype` was given."""
    kind, *rest = expect(list, meta)
    return UNPACKERS[kind](*rest)


DTYPES = [plain_hook("pd.dtype", lambda kind: kind in PACKERS, pack_extension_dtype, unpack_extension_dtype)]
