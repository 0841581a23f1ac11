"""Lazy views over a stash, and what it means that two mappings hold the same."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from hashstash.errors import VolatileKey
from hashstash.foreign import Foreign
from hashstash.store import MISSING
from hashstash.wording import shortened

if TYPE_CHECKING:
    from hashstash.stash import HashStash


class StashKeys(KeysView[Any]):
    """The keys as they were given; functions are callable again."""

    _mapping: HashStash

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mapping)

    def __contains__(self, key: object) -> bool:
        return key in self._mapping

    def __repr__(self) -> str:
        return f"StashKeys({_some(self)})"


class StashValues(ValuesView[Any]):
    """The values, each decoded when it is reached."""

    _mapping: HashStash

    def __iter__(self) -> Iterator[Any]:
        store = self._mapping.store
        return store.each(store.shown_value_of)

    def __contains__(self, value: object) -> bool:
        return any(same(value, other) for other in self)

    def __repr__(self) -> str:
        return f"StashValues({_some(self)})"


class StashItems(ItemsView[Any, Any]):
    """Pairs of key and value; a bad entry is left out with a warning, a foreign one shows a placeholder."""

    _mapping: HashStash

    @property
    def stash(self) -> HashStash:
        """Whose items they are."""
        return self._mapping

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.store.pairs()

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        value = self._mapping.store.load(item[0])
        return value is not MISSING and same(value, item[1])

    def __repr__(self) -> str:
        return f"StashItems({_some(self)})"


_MANY = 10_000_000
"""Rows."""
_SHOWN = 10
_WIDTH = 1000
"""Characters of a key or value that are shown at most."""


def _some(view: Any) -> str:
    shown: list[str] = []
    for number, item in enumerate(view):
        if number == _SHOWN:
            return "[" + ", ".join(shown) + ", ...]"
        shown.append(shortened(item, _WIDTH))
    return "[" + ", ".join(shown) + "]"


def same_items(stash: HashStash, other: Mapping[Any, Any]) -> bool:
    """Whether both hold the same keys with the same values; not, if there is a key that no stash can look up."""
    count = 0
    for key, value in other.items():
        if isinstance(key, Foreign):
            return False  # it stands for a key that was not decoded
        try:
            found = stash.store.load(key)
        except VolatileKey:
            return False
        if found is MISSING or not same(found, value):
            return False
        count += 1
    return count == len(stash)


def _is_vast(value: Any) -> bool:
    """Whether it is an array or a frame of which comparing each element with something else would take long."""
    shape = getattr(value, "shape", None)
    return isinstance(shape, tuple) and bool(shape) and shape[0] > _MANY


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; arrays and frames, whose ``==`` is no answer, by their content."""
    if type(one) is not type(other) and (_is_vast(one) or _is_vast(other)):
        return False
    try:
        return bool(one is other or one == other)
    # A decimal may signal when it is compared, and an index that only counts its rows makes room for all of them.
    except (ValueError, TypeError, ArithmeticError, MemoryError):
        from hashstash.fingerprint import Fingerprinter

        return Fingerprinter().digest(one) == Fingerprinter().digest(other)
