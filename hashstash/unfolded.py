"""How much a value is when each of its parts is written as often as it stands there.

A list that holds one list twice, and so on for sixty levels, is sixty lists in memory and in a stash, and has no end for whoever
goes through all of it. This is found out by looking at each container once.
"""

from __future__ import annotations

import itertools
import types
from collections import ChainMap, UserDict, UserList, deque
from sys import getsizeof
from typing import Any, NamedTuple

_MOST = 1 << 62
_SMALL = 10_000
"""Bytes of texts and numbers among which it does not matter whether some are the same."""
_MAPPINGS = (dict, UserDict, types.MappingProxyType)
_SEQUENCES = (list, tuple, set, frozenset, deque)
_PLAIN = frozenset({list, tuple, dict, set, frozenset})
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


def extent_of(value: Any) -> Extent:
    """The extent of *value* in Python's own containers; what is in anything else does not count."""
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
            parts = list(_parts_of(container))
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


def _parts_of(value: Any) -> Any:
    """An iterable of what a container holds; of nothing for anything else."""
    if isinstance(value, _MAPPINGS):
        return itertools.chain.from_iterable(value.items())
    if isinstance(value, _SEQUENCES):
        return value
    if isinstance(value, UserList):
        return value.data
    if isinstance(value, ChainMap):
        return value.maps
    if isinstance(value, types.SimpleNamespace):
        return vars(value).values()
    if isinstance(value, BaseException):
        return value.args
    if isinstance(value, slice):
        return (value.start, value.stop, value.step)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return [getattr(value, name, None) for name in fields]
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        return getattr(value, "flat", value)
    return ()
