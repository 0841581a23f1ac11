"""The small store whose bytes are damaged: eight kinds of entries, and what each must come back as."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import Any

import numpy as np
import pandas as pd

from torture.places import Place

LONG = 40_000
"""Bytes: more than what lies in a row."""
HOUR = 3600.0
VERSIONS = ("first", "second", "third")
_KINDS = {
    "tiny": lambda: 1,
    ("nested", 2): lambda: {"a": [1, None, {"b": (2.5, "ü" * 40)}], "c": {1, 2}},
    "array": lambda: np.arange(40, dtype="int16").reshape(8, 5),
    "frame": lambda: pd.DataFrame({"n": [1, 2, 3], "text": ["x", None, "z"]}, index=[5, 6, 7]),
    "large": lambda: np.random.default_rng(7).integers(0, 255, LONG, dtype="uint8"),
    "short lived": lambda: "until the hour is over",
    "code": lambda: _doubled,
}
KEYS = (*_KINDS, "versioned")
CODE = "code"
VERSIONED = "versioned"
DELETED = ("deleted",)


def _doubled(number: int) -> int:
    return 2 * number


def fill(where: Place) -> None:
    """Store everything and close: what lies there then is what is damaged."""
    with contextlib.closing(where.open()) as stash:
        stash["tiny"] = stash[DELETED[0]] = "before"
        del stash[DELETED[0]]
        for key, make in _KINDS.items():
            stash.put(key, make(), ttl=HOUR if key == "short lived" else None)
    with contextlib.closing(where.open(append_mode=True)) as stash:
        for value in VERSIONS:
            stash[VERSIONED] = value


def expected() -> dict[Any, str]:
    """What :func:`told` says of each value as it was stored."""
    return {key: told(make()) for key, make in _KINDS.items()} | {VERSIONED: told(VERSIONS[-1])}


def told(value: Any) -> str:
    """A value as text that no other one has."""
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, pd.DataFrame):
        return f"frame {dict(value.dtypes)} {value.to_dict('split')}"
    if callable(value):
        return f"function {value.__name__} {[value(number) for number in (0, 3, 10**20)]}"
    return f"{type(value).__name__} {value!r}"


def is_over(began: float) -> bool:
    """Whether the entry with a time to live may be gone by now."""
    return time.monotonic() - began > HOUR / 2
