"""Rows that were read lately, kept in this process: for storages where reading a row costs more than asking for its head.

A kept row is answered with only after the storage has confirmed its write id, which is the head of the row and no more. Who can
do with rows that are a little old says so with ``max_age``, and saves that question too.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from hashstash import forks
from hashstash.engine import WRITE_ID, Capability, Change, Engine, EngineWrapper, WriteId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_HEAD = 16
_OVERHEAD = 200
"""Bytes that a kept row takes besides its blob, roughly."""


class _Kept(NamedTuple):
    blob: bytes
    confirmed: float
    """When the storage was last asked about it, by the monotonic clock, before it answered."""


class FrontCacheWrapper(EngineWrapper):
    """At most *max_bytes* of the rows of *inner* that were read last; what this wrapper writes is never kept.

    With ``max_age=0`` a read is exact: the storage is asked for the head of the row each time. With more, a row may be answered
    with that another process has replaced up to *max_age* seconds ago, so that CROSS_PROCESS is not promised any more; what
    goes through this object is exact still. Absent rows are asked for each time.
    """

    name = "front_cache"

    def __init__(self, inner: Engine, *, max_bytes: int = 64 << 20, max_age: float = 0.0) -> None:
        super().__init__(inner)
        self.max_bytes = max_bytes
        self.max_age = max_age
        if max_age > 0:
            self.capabilities &= ~(Capability.CROSS_PROCESS | Capability.SHARED_WRITERS)
        self._rows: OrderedDict[bytes, _Kept] = OrderedDict()
        self._size = 0
        self._writes = 0
        self._lock = threading.Lock()
        _caches.add(self)

    def _wrap(self, name: str) -> Engine:
        return FrontCacheWrapper(self.inner.section(name), max_bytes=self.max_bytes, max_age=self.max_age)

    @property
    def kept_bytes(self) -> int:
        """How much memory the rows take that are kept now."""
        return self._size

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, address: bytes) -> bytes | None:
        kept = self._rows.get(address)
        if kept is not None and self._is_current(address, kept):
            return kept.blob
        writes, asked = self._writes, time.monotonic()
        blob = self.inner.get(address)
        if blob is None:
            self._drop((address,))
        else:
            self._keep(address, blob, asked, writes)
        return blob

    def _is_current(self, address: bytes, kept: _Kept) -> bool:
        if self._is_fresh(kept):
            return True
        writes, asked = self._writes, time.monotonic()
        head = self.inner.peek(address, _HEAD)
        if head is None or head[WRITE_ID] != kept.blob[WRITE_ID]:
            return False
        self._keep(address, kept.blob, asked, writes)
        return True

    def _is_fresh(self, kept: _Kept) -> bool:
        return self.max_age > 0 and time.monotonic() - kept.confirmed < self.max_age

    def has(self, address: bytes) -> bool:
        kept = self._rows.get(address)
        return (kept is not None and self._is_fresh(kept)) or self.inner.has(address)

    def peek(self, address: bytes, size: int) -> bytes | None:
        kept = self._rows.get(address)
        return kept.blob if kept is not None and self._is_fresh(kept) else self.inner.peek(address, size)

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        """What is fresh from memory, all others in one request: confirming each of them would be one request per row."""
        wanted = list(addresses)
        fresh = {address: kept.blob for address in wanted if (kept := self._rows.get(address)) and self._is_fresh(kept)}
        rest = self.inner.get_many([address for address in wanted if address not in fresh])
        for address in wanted:
            yield fresh[address] if address in fresh else next(rest)

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, address: bytes, blob: bytes) -> None:
        try:
            self.inner.put(address, blob)
        finally:
            self._drop((address,))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        written: list[bytes] = []
        try:
            self.inner.put_many(_noting(rows, written))
        finally:
            self._drop(written)

    def delete(self, address: bytes) -> bool:
        try:
            return self.inner.delete(address)
        finally:
            self._drop((address,))

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        # Dropped where it fails too: the caller compares with what it has read here, and must not read the same again.
        try:
            return self.inner.swap(address, expected, blob)
        finally:
            self._drop((address,))

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)
        try:
            return self.inner.swap_many(given)
        finally:
            self._drop(address for address, _, _ in given)

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        try:
            return self.inner.delete_if(address, expected)
        finally:
            self._drop((address,))

    def clear(self) -> None:
        try:
            self.inner.clear()
        finally:
            self._forget_everywhere()

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        try:
            return self.inner.rebuild(place_of)
        finally:
            self._forget_all()

    def close(self) -> None:
        self._forget_everywhere()
        super().close()

    # ---- what is kept --------------------------------------------------------------------------------------------

    def _keep(self, address: bytes, blob: bytes, asked: float, writes: int) -> None:
        """Keep the row that was read after *asked*, unless this process has written since it had written *writes* times."""
        size = len(blob) + _OVERHEAD
        if size > self.max_bytes or len(blob) < _HEAD:
            return
        with self._lock:
            if writes != self._writes:
                return
            self._remove(address)
            self._rows[address] = _Kept(blob, asked)
            self._size += size
            while self._size > self.max_bytes:
                self._remove(next(iter(self._rows)))

    def _remove(self, address: bytes) -> None:
        kept = self._rows.pop(address, None)
        if kept is not None:
            self._size -= len(kept.blob) + _OVERHEAD

    def _drop(self, addresses: Iterable[bytes]) -> None:
        with self._lock:
            self._writes += 1
            for address in addresses:
                self._remove(address)

    def _forget_everywhere(self) -> None:
        self._forget_all()
        for section in self._sections:
            section._forget_everywhere()  # type: ignore[attr-defined]  # noqa: SLF001

    def _forget_all(self) -> None:
        with self._lock:
            self._writes += 1
            self._rows.clear()
            self._size = 0


def _noting(rows: Iterable[tuple[bytes, bytes]], addresses: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for address, blob in rows:
        addresses.append(address)
        yield address, blob


_caches: weakref.WeakSet[FrontCacheWrapper] = weakref.WeakSet()


def _renew_in_child() -> None:
    """Another thread of the parent may have held a lock, and may have been in the middle of a change."""
    for cache in list(_caches):
        cache._lock = threading.Lock()  # noqa: SLF001
        cache._forget_all()  # noqa: SLF001


forks.in_child(_renew_in_child)
