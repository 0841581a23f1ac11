"""What a value holds: the exact types in its containers, seen level by level and in C, and where one part of it lies."""

from __future__ import annotations

import gc
from collections import deque
from typing import TYPE_CHECKING, Any

from hashstash.errors import BadEntry, UnsupportedValue
from hashstash.serializers.hashstash.types import NeedsGraph, find_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 200
"""How deep lists, dicts, tuples and sets may be nested in a plain document; what is deeper is written as a graph."""
MAX_COPIES = 1000
"""A value that a plain document would repeat more often than this is written as a graph, which holds it once."""

LEAVES = frozenset({str, int, float, bool, type(None), bytes})
CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
JSON_LIKE = LEAVES | {list, dict}
KNOWN = LEAVES | CONTAINERS


def scan(value: Any) -> set[type]:
    """The exact types of all that *value* holds in lists, dicts, tuples and sets, which may not be nested too deep."""
    kind = type(value)
    if kind not in CONTAINERS:
        return {kind}
    kinds = {kind}
    level = gc.get_referents(value)
    depth, copies = 1, 1.0
    while True:
        try:
            here = {*map(type, level)}
        except TypeError as error:
            raise NeedsGraph(value, "holds an instance of a class that cannot be hashed") from error
        kinds |= here
        if here.isdisjoint(CONTAINERS):
            return kinds
        depth += 1
        if depth > MAX_DEPTH:
            raise NeedsGraph(value, f"holds itself, or is nested more than {MAX_DEPTH} deep")
        if not here <= KNOWN:
            level = [part for part in level if type(part) in CONTAINERS]
        if depth > 8 or len(level) > 50_000:
            level, repeated = _distinct(level)
            copies *= repeated
            if copies > MAX_COPIES:
                raise NeedsGraph(value, "holds the same parts over and over")
        level = gc.get_referents(*level)


def _distinct(level: list[Any]) -> tuple[list[Any], float]:
    """The containers of *level*, each once, and how often they occur on average."""
    containers = [part for part in level if type(part) in CONTAINERS]
    distinct = list({id(part): part for part in containers}.values())
    return distinct, len(containers) / len(distinct)


def find_path(root: Any, culprit: Any) -> str:
    """Where *culprit* lies within *root*, such as ``value['a'][3]``."""
    pending = deque([("value", root)])
    seen: dict[int, Any] = {}
    while pending:
        path, part = pending.popleft()
        if part is culprit:
            return path
        if id(part) not in seen:
            seen[id(part)] = part
            pending.extend(_parts(path, part))
    return "a part of the value"


def _parts(path: str, whole: Any) -> Iterator[tuple[str, Any]]:
    kind = type(whole)
    if kind is dict:
        for key, value in whole.items():
            yield f"{path}[{_shorten(key)}]", value
            yield f"a key of {path}", key
    elif kind in {list, tuple}:
        yield from ((f"{path}[{index}]", part) for index, part in enumerate(whole))
    elif kind in {set, frozenset}:
        yield from ((f"an element of {path}", part) for part in whole)
    elif kind not in LEAVES and (hook := find_hook(kind)) is not None:
        try:
            meta, _ = hook.pack(whole)
        except (BadEntry, UnsupportedValue):
            return
        yield f"{path} ({kind.__name__})", meta


def _shorten(key: Any) -> str:
    text = repr(key) if type(key) in LEAVES else f"<{type(key).__name__}>"
    return text if len(text) <= 40 else text[:37] + "..."
