"""What reading a graph of data may cost, in time and memory, for the bytes that it has.

A graph names a part as often as it likes, so that a few bytes could ask for much: a tuple that holds one tuple twice,
sixty levels deep, takes years to hash; one large list under a thousand deques is copied a thousand times. What our
writer writes costs as much as it is long, give or take what the user really shares, and is far from these bounds.
"""

from __future__ import annotations

import fractions
from collections import Counter
from typing import TYPE_CHECKING, Any

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.nodes import ATOMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FREE = 256
"""Hashing or copying as little as this costs nothing, however often: naming the part takes almost as much."""
STEPS = 50_000_000
STEPS_PER_BYTE = 20
"""Steps of hashing that a document may ask for: about a second, and as much for each two megabytes of it."""
COPIES = 64 << 20
COPIES_PER_BYTE = 50
"""Bytes of memory that hooks may fill with what others have copied before."""
MAX_DEPTH = 10_000
"""How deep tuples may be nested within a key: hashing them recurs in C, without a check of the stack."""
MAX_COLLISIONS = 1000
"""Keys that may share a hash with another one before it is counted how often they are compared."""
MAX_COMPARISONS = 4_000_000
"""Comparisons of keys that the set of a plain document may ask for: a fraction of a second."""
CANNOT_COLLIDE = frozenset({type(None), bool, float, str, bytes})
SLOW_TO_HASH = 10_000
"""Steps for hashing a data type of a package, which may hash all of its categories each time."""
BYTES_PER_ITEM: dict[Any, int] = {list: 8, tuple: 8, dict: 100, set: 60, frozenset: 60, str: 1, bytes: 1}
KEPT_WHOLE = frozenset({"slice", "chain"})
"""Hooks that keep the parts of their meta as they are, rather than copying them."""


class Bounds:
    """How much one document of data may still ask for."""

    def __init__(self, size: int) -> None:
        self._steps = STEPS + STEPS_PER_BYTE * size
        self._copies = COPIES + COPIES_PER_BYTE * size
        self._costs: dict[int, tuple[int, int]] = {}
        self._copied: set[int] = set()

    def check_keys(self, keys: Sequence[Any]) -> None:
        """Refuse keys that take too long to hash, or that collide."""
        kinds = set(map(type, keys))
        if kinds <= ATOMS and (int not in kinds or max(key.bit_length() for key in keys if type(key) is int) <= 64):
            return
        for key in keys:
            steps, depth = self._hashing(key)
            if depth > MAX_DEPTH:
                raise _refused(f"a key is nested more than {MAX_DEPTH} deep")
            if steps > FREE:
                self._steps -= steps
        if self._steps < 0:
            raise _refused("its keys would take too long to hash")
        self._steps -= _comparisons(keys)
        if self._steps < 0:
            raise _refused("too many of its keys have the same hash")

    def check_copies(self, tag: object, meta: Any) -> None:
        """Refuse the meta of a hook that holds what other hooks have copied too often, or what takes long to hash."""
        parts = [meta, *meta] if type(meta) in {list, tuple} and tag not in KEPT_WHOLE else [meta]
        for part in parts:
            size = _size(part)
            if size > FREE and (id(part) in self._copied or size > self._copies):
                self._copies -= size
            self._copied.add(id(part))
            if type(part) in {list, tuple} and tuple in set(map(type, part)):  # a name, perhaps, that is to be hashed
                self.check_keys([one for one in part if type(one) is tuple])
        if self._copies < 0:
            raise _refused("it asks for far more than it holds")

    def _hashing(self, key: Any) -> tuple[int, int]:
        """The steps that hashing *key* takes, and how deep it is nested; found without recursion."""
        pending = [key]
        while pending:
            value = pending[-1]
            parts = _hashed_parts(value)
            unknown = [part for part in parts if type(part) in NESTED and id(part) not in self._costs]
            if unknown and id(value) not in self._costs:
                pending.extend(unknown)
                continue
            pending.pop()
            costs = [self._costs[id(part)] if type(part) in NESTED else (_own_steps(part), 0) for part in parts]
            own = 1 if type(value) in NESTED else _own_steps(value)
            cost = (own + sum(steps for steps, _ in costs), 1 + max((depth for _, depth in costs), default=0))
            if type(value) not in NESTED:
                return cost
            self._costs[id(value)] = cost
        return self._costs[id(key)]


def set_of(keys: list[Any]) -> set[Any]:
    """A set of a plain document."""
    if len(keys) > MAX_COLLISIONS:
        _check_elements(keys)
    return set(keys)


def frozenset_of(keys: list[Any]) -> frozenset[Any]:
    """A frozenset of a plain document."""
    if len(keys) > MAX_COLLISIONS:
        _check_elements(keys)
    return frozenset(keys)


def _check_elements(keys: list[Any]) -> None:
    kinds = set(map(type, keys))
    if kinds <= CANNOT_COLLIDE or (kinds == {int} and max(keys).bit_length() <= 64 >= min(keys).bit_length()):
        return
    if _comparisons(keys) > MAX_COMPARISONS:
        raise CorruptEntry("a stored set is malformed: too many of its elements have the same hash; delete the entry")


def _comparisons(keys: Sequence[Any]) -> int:
    """How often keys of one hash are compared. A user's keys may share a few: ``-1`` and ``-2`` have the same hash."""
    if len(keys) <= MAX_COLLISIONS or len(set(map(hash, keys))) >= len(keys) - MAX_COLLISIONS:
        return 0
    return sum(count * (count - 1) // 2 for count in Counter(map(hash, keys)).values())


NESTED = frozenset({tuple, slice})


def _hashed_parts(value: Any) -> Iterable[Any]:
    if type(value) is slice:
        return value.start, value.stop, value.step
    return value if type(value) is tuple else ()


def _own_steps(value: Any) -> int:
    kind: Any = type(value)
    if kind is int:
        return 1 + int(value.bit_length()) // 64
    if kind is range:
        return 3 + sum(int(part.bit_length()) // 64 for part in (value.start, value.stop, value.step))
    if kind is fractions.Fraction:
        return 1 + int(value.numerator.bit_length() + value.denominator.bit_length()) // 64
    return SLOW_TO_HASH if "dtype" in kind.__name__.lower() else 1


def _size(part: Any) -> int:
    if type(part) in BYTES_PER_ITEM:
        return len(part) * BYTES_PER_ITEM[type(part)]
    if type(part).__module__.partition(".")[0] == "pandas":  # pandas 3 warns where it is asked for the size of moments
        return len(part) * 8 if hasattr(part, "__len__") and type(part).__name__ != "RangeIndex" else 0
    size = getattr(part, "nbytes", 0)  # an array of numpy, which may repeat its memory
    return size if type(size) is int else 0


def _refused(what: str) -> CorruptEntry:
    return CorruptEntry(f"a stored object graph is malformed: {what}; delete the entry")
