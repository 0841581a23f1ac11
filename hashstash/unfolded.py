"""How much a value is when each of its parts is written as often as it stands there.

A list that holds one list twice, and so on for sixty levels, is sixty lists in memory and in a stash, and has no end for whoever
goes through all of it. This is found out by looking at each container once, at what it holds: no code of its class runs for that.
"""

from __future__ import annotations

import gc
import itertools
import sys
import types
from collections import ChainMap, UserDict, UserList, deque
from sys import getsizeof
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST = 1 << 62
_SMALL = 10_000
"""Bytes of texts and numbers among which it does not matter whether some are the same."""
_SEQUENCES: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
_HELD_BY_NAME: tuple[tuple[type, str], ...] = ((UserDict, "data"), (UserList, "data"), (ChainMap, "maps"))
_PLAIN = frozenset({list, tuple, dict, set, frozenset})
_FIELDS = "__dataclass_fields__"
_LEAVES = frozenset({str, bytes, int, float, bool, type(None), complex})


MOST_PARTS = 10_000
"""Parts that are soon written out, be they the same ones over and over."""


def is_folded(value: Any) -> bool:
    """Whether some containers of *value* stand for far more parts than there are, so that going through it has no end."""
    kind = type(value)
    if kind in _LEAVES or (kind in _PLAIN and _LEAVES.issuperset(map(type, value))):
        return kind is dict and not _LEAVES.issuperset(map(type, value.values())) and _is_folded(value)
    return _is_folded(value)


def _is_folded(value: Any) -> bool:
    return extent_of(value).is_folded(MOST_PARTS)


class Extent(NamedTuple):
    """Parts are elements, keys and values at any depth; sizes are bytes."""

    parts: int
    """As often as they stand there, as all that follows; at most ``2**62``."""
    size: int
    held: int
    """The parts that are held in memory: of each container once."""
    held_size: int

    def is_folded(self, most: int, times: int = 20) -> bool:
        """Whether there are more than *most* parts, and *times* as many as are held: a large value by itself is none."""
        return self.parts > most and self.parts > times * self.held

    def is_heavy(self, most: int, times: int = 20) -> bool:
        """The same for more than *most* bytes."""
        return self.size > most and self.size > times * self.held_size


def parts_of(value: Any) -> Iterable[Any]:
    """What a container holds; of nothing for anything else.

    Containers are Python's own, dataclasses, and arrays of objects as numpy and a Series hold them. The methods of a
    subclass may load or compute things.
    """
    kind = type(value)
    if kind in _LEAVES:
        return ()
    if issubclass(kind, dict):
        return itertools.chain.from_iterable(dict.items(value))
    for base in _SEQUENCES:
        if issubclass(kind, base):
            return base.__iter__(value)  # type: ignore[no-any-return]
    if kind is types.MappingProxyType:
        return gc.get_referents(value)  # the mapping, whose class may be anybody's
    for base, name in _HELD_BY_NAME:
        if issubclass(kind, base):
            state = _state_of(value)
            return (state[name],) if name in state else ()
    if issubclass(kind, types.SimpleNamespace):
        return _state_of(value).values()
    if issubclass(kind, BaseException):
        return BaseException.args.__get__(value)  # type: ignore[attr-defined, no-any-return]
    if kind is slice:
        return (value.start, value.stop, value.step)
    if kind is getattr(sys.modules.get("numpy"), "ndarray", None):
        return value.flat if value.dtype == object else ()
    if kind is getattr(sys.modules.get("pandas"), "Series", None):
        return (value.to_numpy(),) if value.dtype == object else ()
    fields = next((vars(base)[_FIELDS] for base in kind.__mro__ if _FIELDS in vars(base)), None)
    return () if fields is None else _fields_of(value, fields)


def _state_of(value: Any) -> dict[str, Any]:
    state: dict[str, Any] = object.__getattribute__(value, "__dict__")
    return state


def _fields_of(value: Any, names: Iterable[str]) -> list[Any]:
    """What an instance of a dataclass holds in its ``__dict__`` and its slots under these *names*."""
    kind = type(value)
    state = _state_of(value) if kind.__dictoffset__ else {}
    found = [state[name] for name in names if name in state]
    for name in names:
        slot = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
        if type(slot) is types.MemberDescriptorType:
            try:
                found.append(slot.__get__(value))
            except AttributeError:  # nothing was put there yet
                continue
    return found


def extent_of(value: Any, parts_of: Callable[[Any], Iterable[Any]] = parts_of) -> Extent:
    """The extent of *value*; *parts_of* says what a container holds, and of what it knows nothing, nothing counts."""
    known: dict[int, tuple[int, int]] = {}
    alive: list[Any] = []  # what is made on the way, such as the values of a namespace: identities must stay their own
    held = held_size = 0
    pending: list[tuple[Any, list[Any] | None]] = [(value, None)]
    while pending:
        container, parts = pending.pop()
        if parts is None:
            if id(container) in known:
                continue
            known[id(container)] = (0, 0)  # while it is open, for one that holds itself
            alive.append(container)
            parts = list(parts_of(container))
            held += len(parts)
            inner = [part for part in parts if type(part) not in _LEAVES]
            if inner:
                pending.append((container, parts))
                pending += [(part, None) for part in inner if id(part) not in known]
                continue
        leaves = [part for part in parts if type(part) in _LEAVES]
        count, size = len(parts), sum(map(getsizeof, leaves))
        held_size += size if size < _SMALL else sum({id(leaf): getsizeof(leaf) for leaf in leaves}.values())
        for part in parts if len(leaves) < len(parts) else ():
            if type(part) not in _LEAVES:
                count += known[id(part)][0]
                size += known[id(part)][1]
        known[id(container)] = (min(count, _MOST), min(size, _MOST))
    parts_count, whole = known[id(value)]
    return Extent(parts_count, whole, held, held_size)
