"""Numpy's values beside arrays: polynomials, limits of number types, calendars of business days, universal functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, no_attributes, plain_hook

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # numpy keeps it for old code, and so do we
    CharArray: Any = np.char.chararray

POLYNOMIALS: dict[str, Any] = {
    name: getattr(np.polynomial, name)
    for name in ("Polynomial", "Chebyshev", "Hermite", "HermiteE", "Laguerre", "Legendre")
}
LIMITS: dict[str, Any] = {"finfo": np.finfo, "iinfo": np.iinfo}


def _pack_poly(value: Any) -> list[Any]:
    return [value.coeffs, value.variable]


def _unpack_poly(meta: Any) -> Any:
    coefficients, variable = items(meta, 2)
    expect(np.ndarray, coefficients)
    return np.poly1d(coefficients, variable=expect(str, variable))


def _pack_polynomial(value: Any) -> list[Any]:
    no_attributes(value, but=("coef", "domain", "window", "_symbol"))
    return [type(value).__name__, value.coef, value.domain, value.window, value.symbol]


def _unpack_polynomial(meta: Any) -> Any:
    name, *parts, symbol = items(meta, 5)
    coefficients, domain, window = (expect(np.ndarray, part) for part in parts)
    return POLYNOMIALS[name](coefficients, domain, window, symbol=expect(str, symbol))


def _unpack_limits(meta: Any) -> Any:
    name, dtype = items(meta, 2)
    return LIMITS[name](expect(np.dtype, dtype))


def _unpack_days(meta: Any) -> Any:
    week, holidays = items(meta, 2)
    return np.busdaycalendar(expect(str, week), expect(np.ndarray, holidays))


def _pack_function(value: Any) -> str:
    name: str = value.__name__
    if getattr(np, name, None) is not value:
        raise NeedsGraph(value, "is a universal function that is not numpy's own")
    return name


def _unpack_function(meta: Any) -> Any:
    found = getattr(np, expect(str, meta), None)
    if type(found) is not np.ufunc:
        raise CorruptEntry(f"numpy has no universal function named {meta!r:.80}; delete the entry")
    return found


VALUES = [
    plain_hook("np.poly", lambda kind: kind is np.poly1d, _pack_poly, _unpack_poly),
    plain_hook("np.polynomial", lambda kind: kind in POLYNOMIALS.values(), _pack_polynomial, _unpack_polynomial),
    plain_hook(
        "np.limits",
        lambda kind: kind in LIMITS.values(),
        lambda value: [type(value).__name__, np.dtype(value.dtype)],
        _unpack_limits,
    ),
    plain_hook(
        "np.busdays",
        lambda kind: kind is np.busdaycalendar,
        lambda value: ["".join("01"[day] for day in value.weekmask.tolist()), value.holidays],
        _unpack_days,
    ),
    plain_hook("np.ufunc", lambda kind: kind is np.ufunc, _pack_function, _unpack_function),
]
