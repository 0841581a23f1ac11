"""Rows in an LMDB environment: the fastest local engine, transactional, read by many processes at once.

A read or a write takes the short way while the environment is open; where it is not, or its map is to grow, the careful one.
"""

from __future__ import annotations

import contextlib
import errno
import os
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash.engine import WRITE_ID, Capability, Change, FolderEngine, WriteId
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.paths import is_there

try:
    import lmdb
except ImportError as error:
    raise MissingDependency("the lmdb engine needs the package 'lmdb': pip install 'hashstash[lmdb]'") from error

# The parts of this engine, which need the package as well.
from hashstash.engines import _lmdb_shared as shared
from hashstash.engines._lmdb_environment import FILES, FIRST_MAP_SIZE, RESERVE_SIZE, SEAL, Environment, refused
from hashstash.engines._lmdb_pages import LONGEST_KEY, Damaged, Pages
from hashstash.engines._lmdb_rebuilding import while_nobody_writes
from hashstash.engines._lmdb_replacing import CAN_REPLACE, DATA
from hashstash.engines._lmdb_salvage import rows_in
from hashstash.engines._lmdb_transactions import BATCH, batch_of, check_all, drop_rows, swap_each
from hashstash.engines._nested import in_the_midst
from hashstash.engines._options import whole_number
from hashstash.engines._reserve import make_reserve, shrink_reserve
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.refusals import read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

_WRITE_BATCH = 50_000
_SMALL = 256 * 1024
_NOBODY: set[object] = set()
"""Where those make their note who find no environment open."""


class LmdbEngine(FolderEngine):
    """Rows in the LMDB environment in *folder*; *map_size* is its first size in bytes.

    *read_only*: nothing of its files is changed, if nobody else has the environment open in this process, but the table of
    readers, by which writers know of them, and what would make reading unsafe, such as a file that is too short for its pages.
    """

    name = "lmdb"
    title = "LMDB"
    knows_size = True
    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.LOCAL_FILES
        | Capability.SHARED_WRITERS
    )
    options = ("map_size",)
    settings = ("durable", "read_only")
    needs_local_disk = True
    reads_for_free = True
    _environment: Environment | None = None  # also of an engine that was refused while it was made

    def __init__(
        self, folder: str, *, durable: bool = False, read_only: bool = False, map_size: int = FIRST_MAP_SIZE
    ) -> None:
        super().__init__(folder)
        self._durable = durable
        self._read_only = read_only
        self._map_size = whole_number(map_size, "map_size", least=1)
        self._generation = -1
        self._may_only_read = False

    def _make_section(self, folder: str) -> LmdbEngine:
        # An environment of its own: a named database in this one would cost each write a page more.
        return LmdbEngine(folder, durable=self._durable, read_only=self._read_only, map_size=self._map_size)

    def _open(self) -> Environment:
        """The environment, opened if this engine is new, was closed, or came through a fork."""
        if self._environment is None or self._generation != shared.generation:
            with shared.table_lock:
                environment = shared.acquire(
                    self._folder, self._map_size, durable=self._durable, tidies=not self._read_only
                )
                self._may_only_read = shared.may_only_read(environment, self._folder)
                self._environment, self._generation = environment, shared.generation
        return self._environment

    def _existing(self) -> Environment | None:
        """The environment, unless there is none yet: reading makes nothing."""
        is_open = self._environment is not None and self._generation == shared.generation
        return self._open() if is_open or is_there(os.path.join(self._folder, DATA)) else None

    def get(self, address: bytes) -> bytes | None:
        environment, note = self._environment, object()
        running = _NOBODY if environment is None else environment.running
        try:
            running.add(note)
            begin = environment.begin  # type: ignore[union-attr]
            transaction = begin()  # type: ignore[misc]
            try:
                return transaction.get(address)  # type: ignore[no-any-return]
            finally:
                transaction.abort()
        except (AttributeError, TypeError, lmdb.Error):
            pass  # not open, growing, or resized by another process: the careful way
        finally:
            running.discard(note)
        return self._read(lambda transaction: transaction.get(address))

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for a read transaction; ``None`` if nothing was ever written."""
        while True:
            environment = self._existing()
            if environment is None:
                return None
            note, has_panicked = object(), False
            try:
                environment.running.add(note)
                begin = environment.begin
                if begin is not None:
                    with begin() as transaction:
                        return read(transaction)
            except lmdb.MapResizedError:
                resized = True
            except lmdb.BadRslotError:
                resized = False  # a spare transaction whose place a forked child has given back; each is met only once
            except lmdb.PanicError:
                resized, has_panicked = False, True
            except (lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
                raise CorruptEntry(f"{self._folder} is damaged ({error}); move it aside") from error
            else:
                resized = False
            finally:
                environment.running.discard(note)
            if has_panicked:
                self._give_up(environment)
            else:
                self._wait_for_gate(environment, resized=resized)

    def _give_up(self, environment: Environment) -> None:
        """Close what is of no use: a write of the library's own has failed, or another file is there. It is opened anew."""
        shared.give_up(environment)
        if self._environment is environment:
            self._environment = None

    def _wait_for_gate(self, environment: Environment, *, resized: bool) -> None:
        is_of_use = (not resized or environment.adopt_size()) and environment.renew()
        if not is_of_use:  # closed while we waited, or another file is there
            self._give_up(environment)

    def _write(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """What *write* gives for a write transaction, in a map that grows as needed.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        return self._write_to(lambda _, transaction: write(transaction), needed=needed)

    def _write_to(self, write: Callable[[Environment, Any], Result], *, needed: int | None = None) -> Result:
        """The same, for what asks about the environment too, which may have been opened anew on the way to the transaction."""
        while True:
            environment = self._open()
            if self._may_only_read:
                raise read_only(self._folder)
            environment.wait_for_writer()
            note = object()
            full_at = 0
            resized = has_panicked = False
            try:
                environment.running.add(note)
                begin = environment.begin
                if begin is not None:
                    with begin(write=True) as transaction:
                        result = write(environment, transaction)
                    environment.is_dirty = True
                    if shared.syncer is None and not self._durable:
                        shared.start_syncer()
                    return result
            except lmdb.MapFullError:
                full_at = environment.map_size()
            except lmdb.MapResizedError:
                resized = True
            except lmdb.PanicError:
                has_panicked = True
            except (lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
                raise CorruptEntry(f"{self._folder} is damaged ({error}); move it aside") from error
            except lmdb.Error as error:
                refusal = refused(error, self._folder, needed)
                if refusal is not None and refusal.errno == errno.EBUSY:  # as it calls what this thread itself does
                    refusal = in_the_midst(self._folder)
                raise refusal or error from error
            finally:
                environment.running.discard(note)
            if has_panicked:
                self._give_up(environment)
            elif full_at:
                environment.grow(full_at)
            else:
                self._wait_for_gate(environment, resized=resized)

    def put(self, address: bytes, blob: bytes) -> None:
        environment, note = None if self._may_only_read else self._environment, object()
        running = _NOBODY if environment is None else environment.running
        try:
            running.add(note)
            begin = None if environment.writer[0] else environment.begin  # type: ignore[union-attr]
            transaction = begin(None, None, True)  # type: ignore[misc]
            try:
                transaction.put(address, blob)
                transaction.commit()
            except BaseException:
                transaction.abort()
                raise
            environment.is_dirty = True  # type: ignore[union-attr]
            if shared.syncer is not None or self._durable:
                return
            shared.start_syncer()
            return
        except (AttributeError, TypeError, ValueError, lmdb.Error):
            pass  # not open, growing, full or read-only, or somebody else is writing: the careful way
        finally:
            running.discard(note)
        self._write(lambda transaction: transaction.put(address, blob), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = sorted(rows, key=itemgetter(0))  # the last one of an address stays the last
        for start in range(0, len(items), _WRITE_BATCH):
            self._put_batch(items[start : start + _WRITE_BATCH])

    def _put_batch(self, rows: list[tuple[bytes, bytes]]) -> None:
        def write(transaction: Any) -> None:
            with transaction.cursor() as cursor:
                cursor.putmulti(rows)

        self._write(write, needed=sum(len(blob) for _, blob in rows))

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        return self._free(lambda: self._write(lambda transaction: bool(transaction.delete(address))))

    def _free(self, make_room: Callable[[], Result]) -> Result:
        """What makes room, which itself needs a little: on a full disk, of what was put by for this."""
        while True:
            try:
                return make_room()
            except StashFull:
                if not shrink_reserve(self._folder):
                    raise

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = list(addresses)
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            found = self._read(lambda transaction, batch=batch: [transaction.get(address) for address in batch])  # type: ignore[misc]
            yield from [None] * len(batch) if found is None else found

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for address, _ in self._batches(prefix, values=False):
            yield address

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return self._batches(b"", values=True)

    def _batches(self, prefix: bytes, *, values: bool) -> Iterator[tuple[bytes, bytes]]:
        """Rows in batches, so that no transaction stays open while the caller works."""
        start, after = prefix, False
        while True:
            batch = self._read(partial(batch_of, start=start, after=after, prefix=prefix, values=values))
            if not batch:
                return
            yield from batch
            start, after = batch[-1][0], True

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        (is_stored,) = self._write(partial(swap_each, changes=[(address, expected, blob)]), needed=len(blob))
        return is_stored

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)
        stored: list[bool] = []
        for start in range(0, len(given), _WRITE_BATCH):
            batch = given[start : start + _WRITE_BATCH]
            needed = sum(len(blob) for _, _, blob in batch)
            stored += self._write(partial(swap_each, changes=batch), needed=needed)
        return stored

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        def is_expected(transaction: Any) -> bool:
            current = transaction.get(address)
            return current is not None and current[WRITE_ID] == expected

        if not self._read(is_expected):
            return False  # without writing anything

        def delete(transaction: Any) -> bool:
            return is_expected(transaction) and bool(transaction.delete(address))

        return self._free(lambda: self._write(delete))

    def clear(self) -> None:
        if self._existing() is not None:
            if not (self._is_large() and self._free(lambda: self._replace(keeps_rows=False))):
                self._free(lambda: self._write_to(drop_rows))
            make_reserve(self._folder, RESERVE_SIZE)
        self.clear_sections()

    def compact(self) -> None:
        """Write the rows into a file no larger than they need; who wants to store something waits until it is in place."""
        if self._existing() is not None and self._is_large():
            self._replace(keeps_rows=True)

    def _is_large(self) -> bool:
        """Whether another file may be smaller by so much that it is worth having all processes open it."""
        return CAN_REPLACE and os.path.getsize(os.path.join(self._folder, DATA)) > _SMALL

    def _replace(self, *, keeps_rows: bool) -> bool:
        """Put a smaller file in place of this one, whether there can be one."""

        def write(environment: Environment, transaction: Any) -> Environment | None:
            return environment if environment.replace(transaction, keeps_rows=keeps_rows) else None

        left = self._write_to(write)
        if left is not None:
            self._give_up(left)
        return left is not None

    def count(self) -> int:
        return int(self._statistics().get("entries", 0))

    def size_bytes(self) -> int:
        stat = self._statistics()
        pages = sum(stat.get(kind, 0) for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
        return pages * stat.get("psize", 0)

    def check(self) -> list[str]:
        path = os.path.join(self._folder, DATA)
        try:
            self._read(lambda transaction: check_all(path, transaction))
        except CorruptEntry as error:
            return [str(error)]
        except Damaged as error:
            environment = self._environment
            if environment is not None and not environment.is_in_place():
                self._give_up(environment)
                return self.check()  # the pages were those of another file than the transaction's
            return [f"{path} is damaged: {error}; {NEXT_STEP}"]
        return []

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        path = os.path.join(self._folder, DATA)
        if not is_there(path):
            return False
        with shared.table_lock:
            shared.close_on(self._folder)
            self._environment = None
            while_nobody_writes(self._folder, self._map_size, lambda turn: self._rebuild(path, place_of, turn))
        return True

    def _rebuild(
        self, path: str, place_of: Callable[[bytes], bytes | None], take_turn: Callable[[Callable[[], None]], None]
    ) -> None:
        rows: dict[bytes, bytes] = {}
        with contextlib.suppress(ValueError, OSError), Pages(path) as pages:  # of an empty file, or none
            found = gathered(rows_in(pages), place_of).items()
            rows = {address: blob for address, blob in found if 0 < len(address) <= LONGEST_KEY}
        replace_files(self._folder, FILES, rows, self._make_section, new=(DATA, SEAL), take_turn=take_turn)

    def _statistics(self) -> dict[str, int]:
        # Asked for within the transaction, as in clear.
        return self._read(lambda transaction: transaction.stat(self._open().rows)) or {}

    def sync(self) -> None:
        environment = self._existing()
        if environment is not None:
            environment.sync()

    def close(self) -> None:
        with shared.table_lock:
            environment, self._environment = self._environment, None
            if environment is not None and self._generation == shared.generation:
                shared.release(environment)
        super().close()

    def __del__(self) -> None:
        if self._environment is not None:
            self._environment.users -= 1  # the environment stays open: closing it here could wait for ever


PLUGIN = LmdbEngine
