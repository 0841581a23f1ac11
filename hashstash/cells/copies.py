"""Objects that pickle copies of the containers which they hold, so that the containers themselves are never reached."""

from __future__ import annotations

from array import array
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash.cells.containers import EXACT_CONTENTS
from hashstash.cells.objects import WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from hashstash.cells.objects import State

_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__")
_OF_NUMBERS = (bytearray, array)
_MOST_TOLD_APART = 50
"""Items by which containers are told apart before all of their items are compared."""


class Copies:
    """The containers among what was *reached*, to be found by their items, which are the same in a copy."""

    def __init__(self, reached: Sequence[Any]) -> None:
        self._reached = reached
        self._ids: set[int] | None = None
        self._by_items: dict[Hashable, list[Any]] = defaultdict(list)

    def are_of_parts_of(self, value: Any, state: State) -> bool:
        """Whether the object, in this *state*, holds containers of which only copies were reached, so that what happens to the
        containers shows in nothing but the object's own fingerprint.
        """
        kind = type(value)
        if not state.attributes or isinstance(value, WRAPPERS):
            return False
        if all(getattr(kind, name) is getattr(object, name) for name in _PICKLING):
            return False
        return any(map(self._has_copy_of, state.attributes.values()))

    def _has_copy_of(self, part: Any) -> bool:
        content = EXACT_CONTENTS.get(type(part))
        if content is None or not part or id(part) in self._known_ids():
            return False
        return any(content.is_same(part, other) for other in self._by_items.get(_key(part), ()))

    def _known_ids(self) -> set[int]:
        if self._ids is None:
            self._ids = set(map(id, self._reached))
            for value in self._reached:
                if type(value) in EXACT_CONTENTS:
                    self._by_items[_key(value)].append(value)
        return self._ids


def _key(container: Any) -> Hashable:
    """The same for a container and its copy, and of few others."""
    size, kind = len(container), type(container)
    if kind is set:  # in any order
        return kind, size, frozenset(map(id, container)) if size <= _MOST_TOLD_APART else None
    if kind in _OF_NUMBERS:
        return kind, size, bytes(container[:_MOST_TOLD_APART])
    if isinstance(container, dict):
        pairs = islice(dict.items(container), _MOST_TOLD_APART)
        return kind, size, tuple((id(name), id(part)) for name, part in pairs)
    return kind, size, tuple(map(id, islice(container, _MOST_TOLD_APART)))
