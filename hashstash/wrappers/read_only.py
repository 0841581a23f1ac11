"""A stash that can only be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from hashstash.engine import Capability, Change, Engine, EngineWrapper, WriteId
from hashstash.errors import ReadOnlyStash
from hashstash.locks import KeyLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager


class ReadOnlyWrapper(EngineWrapper):
    """Answers like *inner* and raises ReadOnlyStash on every attempt to change it."""

    name = "read_only"

    def __init__(self, inner: Engine) -> None:
        super().__init__(inner)
        self.capabilities = inner.capabilities & ~(Capability.SWAP | Capability.SHARED_WRITERS)

    def _refuse(self) -> NoReturn:
        raise ReadOnlyStash(f"{self.location()} was opened read-only; open it without read_only=True to change it")

    def ensure_writable(self) -> None:
        self._refuse()

    def put(self, address: bytes, blob: bytes) -> None:
        self._refuse()

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self._refuse()

    def delete(self, address: bytes) -> bool:
        self._refuse()

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        self._refuse()

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        self._refuse()

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        self._refuse()

    def clear(self) -> None:
        self._refuse()

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        self._refuse()

    def lock(self, name: str) -> AbstractContextManager[Any]:
        """A lock among the threads of this process: what others would see of one is a file, or a row."""
        return KeyLock(None, f"{self.location()}\0{name}")

    def lock_folder(self) -> str | None:
        return None

    def compact(self) -> None:
        self._refuse()

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        self._refuse()

    def _wrap(self, name: str) -> Engine:
        return ReadOnlyWrapper(self.inner.section(name))
