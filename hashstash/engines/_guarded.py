"""Engines over storages that one process at a time may write: what they do with rows.

How that is read and written is told in ``_guarded_turns``.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hashstash.engine import WRITE_ID, Capability, Change, WriteId
from hashstash.engines._guard import REACHES_PROCESSES
from hashstash.engines._guarded_turns import GuardedTurns
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BATCH = 100
_KEPT = 16 * 1024
"""Bytes of what was put by that are left for removing all rows at once."""


class GuardedEngine(GuardedTurns):
    """Rows that are read under a shared lock and written under an exclusive one."""

    capabilities = Capability.SWAP | Capability.LOCAL_FILES
    if REACHES_PROCESSES:
        capabilities |= Capability.CROSS_PROCESS | Capability.SHARED_WRITERS

    # What a storage has to do with rows. A handle is whatever it needs for that.

    @abstractmethod
    def _fetch(self, handle: Any, address: bytes) -> bytes | None:
        """The blob at *address*."""

    @abstractmethod
    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        """Store a blob."""

    @abstractmethod
    def _remove(self, handle: Any, address: bytes) -> None:
        """Remove the row at *address*, which there is."""

    @abstractmethod
    def _holds(self, handle: Any, address: bytes) -> bool:
        """Whether there is a row at *address*."""

    @abstractmethod
    def _addresses(self, handle: Any) -> list[bytes]:
        """The addresses of all rows."""

    # ---- operations ----------------------------------------------------------------------------------------------

    def get(self, address: bytes) -> bytes | None:
        return self._read(lambda handle: self._fetch(handle, address))

    def has(self, address: bytes) -> bool:
        return bool(self._read(lambda handle: self._holds(handle, address)))

    def put(self, address: bytes, blob: bytes) -> None:
        self._write(lambda handle: self._put_rows(handle, [(address, bytes(blob))]), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = [(address, bytes(blob)) for address, blob in rows]
        if items:
            self._write(lambda handle: self._put_rows(handle, items), needed=sum(len(blob) for _, blob in items))

    def _put_rows(self, handle: Any, rows: list[tuple[bytes, bytes]]) -> int:
        added = 0
        for address, blob in rows:
            added += not self._holds(handle, address)
            self._store(handle, address, blob)
        return added

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        return self._has_removed(lambda handle: self._delete(handle, address))

    def _has_removed(self, delete: Callable[[Any], int]) -> bool:
        """Whether *delete* has removed a row: on a full disk it is tried again, when it may have come to its end already."""
        counts: list[int] = []

        def counted(handle: Any) -> int:
            counts.append(delete(handle))
            return counts[-1]

        self._freeing(lambda: self._write(counted), keep=_KEPT)
        return any(counts)

    def _delete(self, handle: Any, address: bytes) -> int:
        if not self._holds(handle, address):
            return 0
        self._remove(handle, address)
        return -1

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        def delete(handle: Any) -> int:
            return self._delete(handle, address) if _etag(self._fetch(handle, address)) == expected else 0

        if _etag(self.get(address)) != expected:
            return False  # without writing anything
        return self._has_removed(delete)

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        if _etag(self.get(address)) != expected:
            return False  # without writing anything
        return self.swap_many([(address, expected, blob)])[0]

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)
        stored: list[bool] = []

        def write(handle: Any) -> int:
            stored.clear()  # of an attempt of which nothing was kept
            added = 0
            for address, expected, blob in given:
                current = self._fetch(handle, address)
                stored.append(_etag(current) == expected)
                if stored[-1]:
                    self._store(handle, address, bytes(blob))
                    added += current is None
            return added

        if given:
            self._write(write, needed=sum(len(blob) for _, _, blob in given))
        return stored

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = list(addresses)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            found = self._read(lambda handle, batch=batch: [self._fetch(handle, address) for address in batch])  # type: ignore[misc]
            yield from [None] * len(batch) if found is None else found

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        addresses = list(self.scan())
        for address, blob in zip(addresses, self.get_many(addresses), strict=True):
            if blob is not None:
                yield address, blob

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        found = self._read(self._addresses) or []
        return iter([address for address in found if address.startswith(prefix)])

    def _count_rows(self, handle: Any) -> int:
        return len(self._addresses(handle))

    def _count_is_quick(self, handle: Any) -> bool:
        """Whether counting costs no more than looking up how many there should be."""
        return True

    def count(self) -> int:
        def read(handle: Any) -> int:
            is_known = self._seen == self._guard.change and not self._guard.change % 2
            return self._guard.rows if is_known and not self._count_is_quick(handle) else self._count_rows(handle)

        return self._read(read) or 0

    def check(self) -> list[str]:
        with self._turn:
            self._forget()  # so that everything is read anew
            try:
                real = self._read(self._count_rows) or 0
            except CorruptEntry as error:
                return [str(error)]
            is_counted = self._guard.is_known and not self._may_vanish
            counted = self._guard.rows if is_counted else real
            return (
                [] if counted == real else [f"{self._folder} has {real} rows where {counted} were written; {NEXT_STEP}"]
            )

    def _files_of_rows(self) -> list[str]:
        """The names of the files with rows that there are."""
        return []

    def _salvaged(self, place_of: Callable[[bytes], bytes | None]) -> Iterable[tuple[bytes | None, bytes]]:
        """Whatever rows can be found in those files, the likeliest ones first."""
        return ()

    @abstractmethod
    def _make_section(self, folder: str) -> GuardedEngine:
        """An engine like this one in another folder."""

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        with self._turn:
            self._forget()
            return self._change(lambda: self._rebuild_now(place_of))

    def _rebuild_now(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        self._guard.for_writing()
        self._guard.enter(alone=True, before_waiting=self._refuse_to_wait)
        names = self._files_of_rows()
        if not names and not self._guard.rows and not self._guard.is_half_mended:
            return False
        rows = gathered(self._salvaged(place_of), place_of)
        self._mend(lambda: self._replace_files(names, rows), names, len(rows))
        return True

    def _mend(self, work: Callable[[], None], names: list[str], rows: int) -> None:
        """Have the lock file say that there is damage until *work* is done; where it fails, what fits the files there."""
        guard, file = self._guard, self._first_of(names)
        change, counted, seal = guard.change, guard.rows, guard.seal
        was_known, was_half_mended = guard.is_known, guard.is_half_mended
        try:
            guard.begin(mends=True)
            work()
            guard.finish(rows)
        except BaseException:
            if guard.change != change:
                guard.begin(mends=True)  # again: nobody knows how far it has come
                if self._first_of(names) != file:
                    guard.finish(rows)
                elif was_known:
                    guard.finish(counted, seal)
                elif not was_half_mended:
                    guard.begin()
            raise

    def _first_of(self, names: list[str]) -> tuple[int, int] | None:
        """Which file it is that is replaced first."""
        try:
            status = os.lstat(os.path.join(self._folder, names[0]))
        except (FileNotFoundError, IndexError):
            return None
        return status.st_dev, status.st_ino

    def _replace_files(self, names: list[str], rows: dict[bytes, bytes]) -> None:
        replace_files(self._folder, names, rows, self._make_section)

    def _clear_rows(self) -> None:
        if self._read(lambda _: True):
            self._freeing(lambda: self._write(self._remove_all), keep=0)
            self._has_reserve = False  # it is made again by whoever writes next

    @abstractmethod
    def _remove_all(self, handle: Any) -> int:
        """Remove all rows; return minus how many there were."""


def _etag(blob: bytes | None) -> WriteId | None:
    return None if blob is None else blob[WRITE_ID]
