"""Pandas' single values: moments, periods, intervals, and the two that are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.pandas_dtypes import (
    pack_zone,
    unpack_extension_dtype,
    unpack_zone,
)


def _pack_moment(value: Any) -> list[Any]:
    moment = value.asm8
    return [int(moment.view("i8")), np.datetime_data(moment.dtype)[0]]


def _pack_timestamp(value: Any) -> list[Any]:
    return [*_pack_moment(value), pack_zone(value.tz), value.fold]


def _unpack_timestamp(meta: Any) -> Any:
    number, unit, packed_zone, fold = items(meta, 4)
    moment = pd.Timestamp(np.datetime64(expect(int, number), expect(str, unit)))
    zone = unpack_zone(packed_zone)
    if zone is not None:
        return moment.tz_localize("UTC").tz_convert(zone)
    return moment.replace(fold=fold) if fold else moment


def _unpack_timedelta(meta: Any) -> Any:
    number, unit = items(meta, 2)
    return pd.Timedelta(np.timedelta64(expect(int, number), expect(str, unit)))


def _pack_period(value: Any) -> list[Any]:
    return [value.ordinal, "period", pd.PeriodDtype(value.freq).name]


def _unpack_period(meta: Any) -> Any:
    ordinal, *dtype = items(meta, 3)
    return pd.Period(ordinal=expect(int, ordinal), freq=unpack_extension_dtype(dtype).freq)


def _unpack_interval(meta: Any) -> Any:
    left, right, closed = items(meta, 3)
    return pd.Interval(left, right, closed)


SCALARS = [
    plain_hook("pd.timestamp", lambda kind: kind is pd.Timestamp, _pack_timestamp, _unpack_timestamp),
    plain_hook("pd.timedelta", lambda kind: kind is pd.Timedelta, _pack_moment, _unpack_timedelta),
    plain_hook("pd.period", lambda kind: kind is pd.Period, _pack_period, _unpack_period),
    plain_hook(
        "pd.interval",
        lambda kind: kind is pd.Interval,
        lambda value: [value.left, value.right, value.closed],
        _unpack_interval,
    ),
    plain_hook("pd.nat", lambda kind: kind is type(pd.NaT), lambda _: None, lambda _: pd.NaT),
    plain_hook("pd.na", lambda kind: kind is type(pd.NA), lambda _: None, lambda _: pd.NA),
]
