"""Keeping a stash: its size, its age, its health, its trust, its copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash import history, upkeep
from hashstash.entries import copy_entries, prune, touch
from hashstash.facade.part import Part
from hashstash.open import function_stashes, open_store

if TYPE_CHECKING:
    from typing import Self

    from hashstash.integrity import Repairs, Report
    from hashstash.stash import HashStash
    from hashstash.store import Store


class Keeping(Part):
    """What is removed, mended, trusted and copied."""

    def revert(self, key: Any, version: int) -> None:
        """Append the value that *key* had as that *version* as its newest one. Nothing is removed. Needs ``append_mode=True``."""
        history.revert(self.store, key, version)

    def touch(self, key: Any, *, ttl: Any = None) -> bool:
        """Let the time of *key* begin anew, without reading or writing its value; return whether it was there.

        *ttl*: its time to live from now on; else the stash's, if it has one, or else the entry keeps the end that it has. In a
        stash with limits it counts as used just now.
        """
        return touch(self.store, key, ttl=ttl)

    def prune(
        self,
        *,
        older_than: Any = None,
        larger_than: Any = None,
        max_size: Any = None,
        max_entries: int | None = None,
        **filters: Any,
    ) -> int:
        """Remove entries that are over, and those that fulfil all conditions; return how many went.

        *older_than* (seconds, ``"7d"``), *larger_than* (bytes, ``"1 MB"``) and *filters* as in :meth:`entries` choose. With
        *max_size* or *max_entries* only as many of those chosen go, the ones used longest ago first, as it takes for the stash to
        fit. The results of functions are pruned by their own stashes, ``f.stash.prune()``.
        """
        chosen = {
            "older_than": older_than,
            "larger_than": larger_than,
            "max_size": max_size,
            "max_entries": max_entries,
        }
        return prune(self.store, **chosen, **filters)

    def size_bytes(self) -> int:
        """Bytes that the entries take in the storage, blob files included."""
        return upkeep.size_bytes(self.store)

    def compact(self) -> Self:
        """Remove what is over and what nothing points at, give the room back to the system, and return the stash."""
        for store in self._stores():
            upkeep.compact(store)
        return self

    def check(self) -> Report:
        """What is wrong with what is stored, results of functions included: a list, empty if nothing is, that prints well.

        Every row and every blob file is read and held against its checksums; values are not decoded. Nothing is changed.
        """
        from hashstash import integrity

        reports = [integrity.check(store) for store in self._stores()]
        return sum(reports[1:], reports[0])

    def repair(self) -> Repairs:
        """Move bad rows aside so that they do not raise any more, and return what was done.

        They are kept, up to 100 of them and 64 MB; beyond that they stay where they are. In append mode the newest sound version
        takes the place of a bad one. Blob files that nothing has pointed at for an hour are removed.
        """
        from hashstash import integrity

        return sum((integrity.repair(store) for store in self._stores()), integrity.Repairs())

    def _stores(self) -> list[Store]:
        """The store of this stash, and those of the functions whose results are kept in it."""
        below = (open_store(config) for config in function_stashes(self._config))
        return [self.store, *below]

    def copy_to(self, other: HashStash) -> HashStash:
        """Store every entry of this stash in *other*, versions included, and return *other*."""
        copy_entries(self.store, other.store)
        return other

    def trust(self) -> int:
        """Sign all foreign code in this stash with your key, so that it is decoded from now on; return how many entries."""
        return upkeep.trust_all(self.store)
