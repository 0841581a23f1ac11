"""Engines over storages that one process at a time may write: rows are read under a shared lock, written under an exclusive one.

What was read stays in memory as long as the lock file says that nothing has changed since.
"""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hashstash.engine import WRITE_ID, Capability, Change, WriteId
from hashstash.engines._embedded import EmbeddedEngine, others_of_this_thread
from hashstash.engines._guard import REACHES_PROCESSES, Guard
from hashstash.engines._nested import in_the_midst
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.errors import CorruptEntry
from hashstash.refusals import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

_BATCH = 100
_KEPT = 16 * 1024
"""Bytes of what was put by that are left for removing all rows at once."""


class GuardedEngine(EmbeddedEngine):
    """Rows that are read under a shared lock and written under an exclusive one."""

    capabilities = Capability.SWAP | Capability.LOCAL_FILES
    if REACHES_PROCESSES:
        capabilities |= Capability.CROSS_PROCESS | Capability.SHARED_WRITERS

    _may_vanish: ClassVar[bool] = False
    """Whether rows may be gone without anybody having done anything wrong, as with a restart of the machine."""

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._guard = Guard(os.path.join(folder, "rows.lock"))
        self._seen: object = None
        self._turns = 0
        """How often the storage was looked at or changed."""
        self._is_changing = False

    # What a storage has to do. A handle is whatever it needs for that.

    @abstractmethod
    def _stamp(self) -> object:
        """What changes with the storage where there is no lock file to say so; ``None`` if there is nothing."""

    @abstractmethod
    def _load(self, handle: Any, *, write: bool) -> Any:
        """A handle that shows what is stored now, made from an older one or from nothing; ``None`` if there is nothing."""

    @abstractmethod
    def _save(self, handle: Any) -> None:
        """Make everybody see what was changed through the handle."""

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

    def _seal_of(self, handle: Any) -> int | None:
        """How the storage looks after a change, as a number; ``None`` if nobody could hold it against that."""
        return None

    def _hold_against(self, handle: Any, guard: Guard) -> None:
        """Raise CorruptEntry if what was just read is not what was written last, or make the handle say so later."""

    def _meaning(self, error: Exception, needed: int | None) -> Exception | None:
        """What an error of the library means for the user, or ``None`` if it is none of the library's.

        *needed*: how many bytes were to be stored, if any.
        """
        return None

    # ---- operations ----------------------------------------------------------------------------------------------

    def _release(self, handle: Any) -> None:
        """Nothing but the lock file, for storages that keep nothing open."""

    def _let_go(self) -> None:
        with self._turn:
            if self._is_changing:
                return  # by this thread, in the midst of which a signal handler or a finalizer came
            self._turns += 1
            try:
                super()._let_go()
            finally:
                self._guard.close()

    def _abandon(self) -> None:
        super()._abandon()
        self._is_changing = False
        self._guard.close()  # the parent keeps the lock that it holds through the same open file, which is not given back here

    def __del__(self) -> None:
        super().__del__()
        guard = getattr(self, "_guard", None)
        if guard is not None:
            guard.close()

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for the handle; ``None`` if nothing was ever written."""
        with self._turn:
            if self._is_changing:
                raise in_the_midst(self._folder)
            handle = self._handle
            if handle is not None and self._is_in_memory(handle) and self._guard.is_still(self._seen):
                with contextlib.suppress(OSError):  # which the careful way meets again
                    result = read(handle)
                    if not self._has_file(handle) or self._guard.is_still(self._seen):
                        return result  # else somebody may have emptied the file under the read
            return self._read_undisturbed(read)

    def _read_undisturbed(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives under the lock; again where a signal handler or a finalizer has taken the lock, and given it back."""
        while True:
            turn = self._turns = self._turns + 1
            try:
                result = self._guarded(lambda: self._read_now(read))
            except Exception:
                if turn == self._turns:
                    raise
            else:
                if turn == self._turns:
                    return result

    def _read_now(self, read: Callable[[Any], Result]) -> Result | None:
        is_guarded = self._guard.enter(alone=False, before_waiting=self._refuse_to_wait)
        self._refuse_half_mended()
        seen = self._guard.change if is_guarded else self._stamp()
        if seen is not None and (self._handle is None or seen != self._seen):
            self._handle = self._load(self._handle, write=False)
            self._seen = seen
            if is_guarded:
                self._hold_what_was_read()
        return None if seen is None or self._handle is None else read(self._handle)

    def _refuse_half_mended(self) -> None:
        if self._guard.is_half_mended:
            raise CorruptEntry(f"{self._folder} is damaged: writing its rows anew has not come to its end; {NEXT_STEP}")

    def _hold_what_was_read(self) -> None:
        """Raise CorruptEntry if there is nothing where there were rows, or something else than what was written."""
        if self._handle is not None:
            self._hold_against(self._handle, self._guard)
        elif self._guard.is_known and self._guard.rows and not self._may_vanish:
            what = f"the file with its {self._guard.rows} rows is gone or empty"
            raise CorruptEntry(f"{self._folder} is damaged: {what}; {NEXT_STEP}")

    def _write(self, write: Callable[[Any], Result], *, added: int | None = None, needed: int | None = None) -> Result:
        """What *write* gives for the handle; it returns how many rows were added, unless *added* says so.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        with self._turn:
            if not self._guard.for_writing() and self.is_read_only():
                self._refuse()
            return self._change(lambda: self._write_now(write, added), needed)

    def _change(self, work: Callable[[], Result], needed: int | None = None) -> Result:
        """:meth:`_guarded`, for what changes the storage; who comes in the midst of it in the same thread is refused."""
        if self._is_changing:
            raise in_the_midst(self._folder)
        try:
            self._is_changing = True
            self._turns += 1
            return self._guarded(work, needed)
        finally:
            self._is_changing = False

    def _write_now(self, write: Callable[[Any], Result], added: int | None) -> Result:
        self._guard.enter(alone=True, before_waiting=self._refuse_to_wait)
        self._refuse_half_mended()
        was_killed = bool(self._guard.change % 2)
        if self._handle is None or self._guard.change != self._seen or not self._is_for_writing(self._handle):
            self._handle = self._load(self._handle, write=True)
            self._hold_against(self._handle, self._guard)
        self._make_reserve()
        before = self._count_rows(self._handle) if was_killed else self._guard.rows
        self._guard.begin()
        result = write(self._handle)
        self._save(self._handle)
        difference: Any = result if added is None else added
        self._guard.finish(max(0, before + difference), self._seal_of(self._handle))
        self._seen = self._guard.change
        return result

    def _guarded(self, work: Callable[[], Result], needed: int | None = None) -> Result:
        """What *work* gives, which takes the lock by :meth:`Guard.enter`; the lock is free afterwards, whatever happens.

        The first step of a function is a place for an interrupt, and so the one that ends the turn may do nothing: then it is
        called again. All that it does may be done twice.
        """
        is_done = is_over = False
        try:
            try:
                self._note_open()
                result = work()
                is_done = True
                return result
            except Exception as error:
                self._explain(error, needed)
                raise
            finally:
                self._end_turn(is_done=is_done)
                is_over = True
        finally:
            if not is_over:
                self._end_turn(is_done=is_done)

    def _refuse_to_wait(self) -> None:
        """Raise StashLocked where the lock may be this thread's own, taken by another engine on the same folder."""
        if others_of_this_thread(self, GuardedEngine):
            raise in_the_midst(self._folder)

    def _end_turn(self, *, is_done: bool) -> None:
        """Give the lock back, whatever fails; what was read may not have been held against the seal where it was interrupted."""
        try:
            if not is_done:
                self._forget()
        finally:
            self._guard.leave()

    def _is_for_writing(self, handle: Any) -> bool:
        return True

    def _is_in_memory(self, handle: Any) -> bool:
        """Whether what a handle answers is right as long as nothing was changed before and after, without the lock."""
        return True

    def _has_file(self, handle: Any) -> bool:
        """Whether a handle looks into a file for its answers."""
        return False

    def _forget(self) -> None:
        """Take nothing that is in memory for what is stored."""
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                self._release(handle)
            except BaseException:  # an interrupt, perhaps before its first step; what is closed already stays so
                self._release(handle)
                raise

    def _explain(self, error: Exception, needed: int | None = None) -> None:
        better = self._meaning(error, needed)
        if better is not None:
            raise better from error
        if isinstance(error, OSError):
            explain(error, self._folder, self._folder, needed)
        if isinstance(error, IsADirectoryError):
            raise CorruptEntry(f"in {self._folder} there is a folder in the place of a file; move it aside") from error

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
        return bool(self._freeing(lambda: self._write(lambda handle: self._delete(handle, address)), keep=_KEPT))

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
        return bool(self._freeing(lambda: self._write(delete), keep=_KEPT))

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
