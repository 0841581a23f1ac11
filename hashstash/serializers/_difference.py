"""Where a value that was written and read again is not what it was: the question that a serializer asks before it promises.

The fingerprint decides about content, order and what is shared. What it takes as equal on purpose, such as two nans of
different bits, and *where* the first difference is, is told by walking through both values at once.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from hashstash.codec import Encoded
from hashstash.errors import UnsupportedValue
from hashstash.fingerprint import Fingerprinter
from hashstash.serializers.hashstash.document import NeedsGraph, write

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = frozenset({str, int, bool, bytes, type(None)})
CONTAINER_MODULES = frozenset({"collections", "types"})

Step = tuple[str, Any, Any]
"""A path, what was there before, and what is there now."""


def first_difference(before: Any, after: Any) -> str | None:
    """The path of the first part that is not the same, such as ``value['a'][3].b``; ``None`` if all is the same.

    Raises :class:`~hashstash.errors.VolatileKey` where that cannot be said, as for a lock or an open file.
    """
    is_same = Fingerprinter().digest(before) == Fingerprinter().digest(after)
    seen: set[tuple[int, int]] = set()
    steps: list[Step] = [("value", before, after)]
    while steps:
        path, one, other = steps.pop()
        if type(one) is not type(other) or not _is_same_leaf(one, other):
            return path
        if type(one) not in PLAIN and (id(one), id(other)) not in seen:
            seen.add((id(one), id(other)))
            steps.extend(reversed(list(_parts(path, one, other))))
    return None if is_same else _smallest_difference("value", before, after)


def _is_same_leaf(one: Any, other: Any) -> bool:
    """Whether two values of one type are the same, their parts apart."""
    kind = type(one)
    if one is other:
        return True
    if kind in PLAIN:
        return bool(one == other)
    if kind is float:
        return struct.pack("d", one) == struct.pack("d", other)
    if kind in {list, tuple, dict}:
        return len(one) == len(other) and (kind is not dict or _is_same_order(one, other))
    if kind in {set, frozenset} or kind.__module__ in CONTAINER_MODULES:  # the fingerprint and their parts decide
        return True
    documents = _document(one), _document(other)
    return None in documents or documents[0] == documents[1]


def _is_same_order(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    return all(
        type(key) is type(key_now) and (type(key) not in PLAIN or key == key_now)
        for key, key_now in zip(one, other, strict=True)
    )


def _document(value: Any) -> Encoded | None:
    """All that our own serializer keeps of a value that is data, such as the memory order of an array."""
    try:
        encoded = write(value)
    except (NeedsGraph, UnsupportedValue):
        return None
    return Encoded(bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers])


def _parts(path: str, one: Any, other: Any) -> Iterator[Step]:
    kind = type(one)
    if kind in {list, tuple}:
        for index, (part, part_now) in enumerate(zip(one, other, strict=True)):
            yield f"{path}[{index}]", part, part_now
    elif kind is dict:
        yield from zip((f"a key of {path}" for _ in one), one, other, strict=True)
        for key, part, part_now in zip(one, one.values(), other.values(), strict=True):
            yield f"{path}[{repr(key)[:40]}]", part, part_now
    else:
        state, state_now = _state(one), _state(other)
        for name in sorted(state.keys() & state_now.keys()):
            yield f"{path}.{name}", state[name], state_now[name]


def _state(value: Any) -> dict[str, Any]:
    """The attributes of an instance, those in slots included."""
    if isinstance(value, type):
        return {}
    state = {name: part for name, part in getattr(value, "__dict__", {}).items() if isinstance(name, str)}
    for base in type(value).__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if not name.startswith("__") and hasattr(value, name):
                state[name] = getattr(value, name)
    return state


def _smallest_difference(path: str, before: Any, after: Any) -> str:
    """The path of the smallest part whose fingerprints differ, though all types are the same."""
    seen: set[int] = set()
    parts = [(path, before, after)]
    while parts:
        step, one, other = parts.pop(0)
        if id(one) not in seen and Fingerprinter().walk(one).digest != Fingerprinter().walk(other).digest:
            path, parts = step, list(_parts(step, one, other))
        seen.add(id(one))
    return path
