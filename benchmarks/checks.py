"""Whether a value came back as it was: of the same types all the way down, and equal. Each check raises where it was not."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def same(value: Any, back: Any) -> None:
    """Raise AssertionError unless *back* has the types and the content of *value*, all the way down."""
    _equality().assert_same(back, value)


@cache
def _equality() -> Any:
    """HashStash's own notion of equality, loaded as a file: the package of that name may be another release here."""
    path = os.path.join(_PROJECT, "hashstash", "testing", "equality.py")
    spec = importlib.util.spec_from_file_location("benchmarks_equality", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_array(value: Any, back: Any) -> None:
    """As :func:`same`, but an element type that says its byte order aloud is equal to one that does not, as numpy has it."""
    assert type(back) is type(value), f"a {type(back).__name__}"
    assert back.dtype == value.dtype, f"elements of {back.dtype!r}"
    same(value, back.view(value.dtype))


def check_sparse(value: Any, back: Any) -> None:
    assert type(back) is type(value), f"a {type(back).__name__}"
    assert back.dtype == value.dtype
    for name in ("data", "indices", "indptr"):
        check_array(getattr(value, name), getattr(back, name))
    assert back.shape == value.shape


def check_table(value: Any, back: Any) -> None:
    assert type(back) is type(value), f"a {type(back).__name__}"
    assert back.equals(value, check_metadata=True), "another table"


def check_polars(value: Any, back: Any) -> None:
    from polars.testing import assert_frame_equal

    assert type(back) is type(value), f"a {type(back).__name__}"
    assert_frame_equal(back, value, check_exact=True)


def check_function(value: Callable[..., float], back: Callable[..., float]) -> None:
    assert type(back) is type(value), f"a {type(back).__name__}"
    assert [back(1), back(7, by=0)] == [value(1), value(7, by=0)]


def check_class(value: Any, back: Any) -> None:
    assert type(back) is type, f"a {type(back).__name__}"
    one, other = value(3), back(3)
    assert (other.area(), other.double, back.name(), back.unit) == (one.area(), one.double, value.name(), value.unit)
    assert (back.__name__, back.__doc__, len(back.__mro__)) == (value.__name__, value.__doc__, len(value.__mro__))


def check_model(value: Any, back: Any) -> None:
    import numpy as np

    features = np.random.default_rng(7).random((50, 5))
    assert type(back) is type(value), f"a {type(back).__name__}"
    same(value.predict_proba(features), back.predict_proba(features))
    assert repr(back) == repr(value)
