"""What maps of a function have shown in this process: what an item takes, and whether workers are lost with it.

A function that cannot be referred to weakly, as some builtins cannot, is as new in every map.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

_seconds_each: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
_deadly: weakref.WeakSet[Any] = weakref.WeakSet()


def seconds_each(function: Any) -> float | None:
    """What an item took in the last map of *function*."""
    try:
        return _seconds_each.get(function)
    except TypeError:
        return None


def note_seconds(function: Any, seconds: float) -> None:
    """Remember what an item takes."""
    with contextlib.suppress(TypeError):
        _seconds_each[function] = seconds


def is_deadly(function: Any) -> bool:
    """Whether a worker was lost in a map of *function*: called here, it might end this process."""
    try:
        return function in _deadly
    except TypeError:
        return False


def note_lost_worker(function: Any) -> None:
    """Remember that a worker was lost."""
    with contextlib.suppress(TypeError):
        _deadly.add(function)
