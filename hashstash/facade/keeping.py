"""Keeping a stash: its size, its age, its health, its trust, its copies, and what all of that costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hashstash import history, upkeep
from hashstash.entries import copy_entries, prune, touch
from hashstash.facade.part import Part
from hashstash.open import function_stashes, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from hashstash.integrity import Aside, Repairs, Report
    from hashstash.profiling.pandas import Profile
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
        """Remove what is over and what nothing points at, give the room back to the system, and return the stash.

        Other processes go on; with some engines they wait to store something. StashFull, and nothing is lost, where there is no
        room to write what is left a second time.
        """
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

        They are kept, up to 100 of them and 64 MB (:meth:`kept_aside`); beyond that they stay where they are. In append mode the
        newest sound version takes the place of a bad one. Blob files that nothing has pointed at for an hour are removed.
        """
        from hashstash import integrity

        return sum((integrity.repair(store) for store in self._stores()), integrity.Repairs())

    def kept_aside(self) -> Aside:
        """The bad rows that were overwritten or moved aside, and the files of storages that were written anew: a table."""
        from hashstash import integrity

        return integrity.kept_aside(self._stores())

    def remove_aside(self) -> int:
        """Delete for good what is kept aside, which makes room for more; return how many rows and folders of files that were."""
        from hashstash import integrity

        return sum(integrity.remove_aside(store) for store in self._stores())

    def _stores(self) -> list[Store]:
        """The store of this stash, and those of the functions whose results are kept in it."""
        below = (open_store(config) for config in function_stashes(self._config))
        return [self.store, *below]

    def copy_to(self, other: HashStash) -> HashStash:
        """Store every entry of this stash in *other*, versions included, and return *other*.

        What cannot be read here is left out, with a warning that counts it.
        """
        from hashstash.stash import HashStash

        if not isinstance(other, HashStash):
            raise TypeError(f"copy_to() takes a stash, such as HashStash('other'), not {other!r:.80}")
        copy_entries(self.store, other.store)
        return other

    def trust(self) -> int:
        """Sign with your key what is foreign and not decoded without, results of functions included; return how many entries.

        That is all foreign code, and values of more bytes than anybody may claim. From then on they are decoded.
        """
        return sum(map(upkeep.trust_all, self._stores()))

    def profile(
        self,
        *,
        engine: str | Iterable[str] | None = None,
        serializer: str | Iterable[str] | None = None,
        compress: str | bool | Iterable[str | bool] | None = None,
        b64: bool | Iterable[bool] = False,
        size: int | str | Iterable[int | str] = 10_000,
        iterations: int = 3,
        values: Iterable[Any] | Mapping[str, Any] | None = None,
        progress: Any = True,
    ) -> Profile:
        """What all combinations of these settings cost, as a DataFrame: :class:`~hashstash.profiling.pandas.Profile`.

        One name or several; ``None``, or ``"all"``, is all that is installed and needs no server, and the profile says what was
        left out. A server is measured if it is named, by its engine or its URL, or keeps this stash. *size*: bytes of the values
        that are made, records and numbers and text, or text such as ``"1 MB"``. *values*: a list of your own values instead, or
        a dict of them by name. Every value is held against what came back.

        ``Write`` and ``Read`` are all of ``stash[key] = value`` and ``stash[key]``, in a stash beside this one that is removed
        afterwards, through a handle that is open: what is read was just written, and comes from the system's file cache. Encoding
        and decoding are the parts of them that no engine has to do with. An interrupt ends it with what was measured until then.
        """
        from hashstash.display.progress import progress_for
        from hashstash.profiling import profile
        from hashstash.profiling.grid import Wishes

        wishes = Wishes(engine, serializer, compress, b64, size, iterations, values)
        return profile(self._whole, wishes, progress_for(progress))

    def export_to(self, file: str | os.PathLike[str]) -> int:
        """Write all that is stored here, versions and results of functions included, to one *file*; return how many entries.

        :meth:`import_from` reads it into any engine on any machine: data without further ado, code if you have signed it or trust
        whoever did. A file of that name is replaced.
        """
        from hashstash.archive import export_stashes, usable_name

        name = usable_name(self._config.dbname or os.path.basename(self._config.root_dir.rstrip("/")))
        return export_stashes(file, {name: self._whole})

    def import_from(self, file: str | os.PathLike[str], *, name: str | None = None, overwrite: str = "never") -> int:
        """Store what :meth:`export_to` has written to *file*; return how many entries were stored.

        Keys that are here already keep their entries; with ``overwrite="newer"`` they get those of the file that were written
        later, with ``"always"`` all of them. In append mode nothing is lost by that: such a key gets one more version. *name*:
        which stash, of a file that holds several. Nothing is decoded or trusted: see :meth:`trust` for code of others. The file
        is checked as a whole before anything is stored; BadArchive if it is damaged.
        """
        from hashstash.archive import import_stash

        return import_stash(file, self._whole, name=name, overwrite=overwrite)
