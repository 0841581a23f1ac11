"""Pandas' offsets and frequencies: their text where it describes them, else their class and their parameters."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from hashstash.errors import CorruptEntry, NewerFormat
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook

BaseOffset: Any = pd.offsets.BaseOffset
CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in vars(pd.offsets).values()
    if isinstance(kind, type) and issubclass(kind, BaseOffset) and kind is not BaseOffset
}
COMMON = ("n", "normalize")
NOT_BY_TEXT = frozenset({"LastWeekOfMonth"})
"""Offsets whose text pandas 2 writes and cannot read."""
TEXT = re.compile(r"-?\d*[A-Za-z]+(-[A-Za-z0-9]+)*")


def pack_freq(freq: Any) -> Any:
    """The text of a frequency, or ``[class, n, whether it normalizes, names and values of parameters]``."""
    if freq is None:
        return None
    text: str = freq.freqstr
    try:
        again: Any = to_offset(text)
    except ValueError:
        again = None
    name = type(freq).__name__
    if name not in NOT_BY_TEXT and again is not None and _is_same(again, freq):
        return text
    usual = {} if type(freq) is pd.DateOffset else _parameters(type(freq)())
    # What is as usual is left out: another release may not have the parameter yet.
    parameters = {key: value for key, value in _parameters(freq).items() if key not in usual or usual[key] != value}
    packed = [name, freq.n, freq.normalize, list(parameters), list(parameters.values())]
    if not _is_same(_made(packed), freq):
        raise NeedsGraph(freq, "is a frequency that its parameters do not describe")
    return packed


def _parameters(freq: Any) -> dict[str, Any]:
    if type(freq) is pd.DateOffset:
        return dict(freq.kwds)
    return {name: getattr(freq, name) for name in freq._attributes if name not in (*COMMON, "calendar")}  # noqa: SLF001


def _is_same(one: Any, other: Any) -> bool:
    """Whether two offsets agree in everything; pandas itself asks whether their calendars are one object."""
    if type(one) is not type(other) or any(getattr(one, name) != getattr(other, name) for name in COMMON):
        return False
    calendars = [getattr(freq, "calendar", None) for freq in (one, other)]
    parts = [calendar and (calendar.weekmask.tolist(), calendar.holidays.tolist()) for calendar in calendars]
    return parts[0] == parts[1] and repr(_parameters(one)) == repr(_parameters(other))


def _made(packed: list[Any]) -> Any:
    name, n, is_normalizing, names, values = packed
    return CLASSES[name](n, normalize=is_normalizing, **dict(zip(names, values, strict=True)))


def unpack_freq(meta: Any) -> Any:
    """The frequency that :func:`pack_freq` was given."""
    if meta is None or type(meta) is str:
        return None if meta is None else _from_text(meta)
    name, n, is_normalizing, names, values = items(meta, 5)
    if name not in CLASSES and type(name) is str and name.isidentifier():
        raise _unknown(name)
    if name not in CLASSES or not all(type(parameter) is str for parameter in expect(list, names)):
        raise CorruptEntry("a stored frequency is malformed; delete the entry")
    if not all(_is_parameter(value) for value in expect(list, values)):
        raise CorruptEntry("a stored frequency has malformed parameters; delete the entry")
    expect(int, n)
    expect(bool, is_normalizing)
    try:
        return _made(meta)
    except TypeError as error:  # such as the method of Easter, before pandas 3
        raise _unknown(f"{name} with {', '.join(names)}") from error


def _from_text(text: str) -> Any:
    try:
        return to_offset(text)
    except ValueError as error:
        if TEXT.fullmatch(text):  # such as half years, before pandas 3
            raise _unknown(text) from error
        raise


def _unknown(name: str) -> NewerFormat:
    return NewerFormat(f"the stored frequency {name[:80]!r} is none that this pandas knows: pip install -U pandas")


def _is_parameter(value: Any) -> bool:
    if type(value) is tuple:
        return all(_is_parameter(part) for part in value)
    return type(value) in {int, bool, str, type(None), dt.time, dt.timedelta, np.datetime64}


OFFSETS = [plain_hook("pd.freq", lambda kind: kind in CLASSES.values(), pack_freq, unpack_freq)]
