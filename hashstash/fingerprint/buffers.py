"""Hashes for large buffers: xxh3_128 where xxhash is installed, else sha256."""

from __future__ import annotations

import hashlib
import struct
import sys
from typing import TYPE_CHECKING, Any, Protocol

from hashstash.errors import MissingDependency, UnknownPlugin
from hashstash.imports import installed_only, is_installed

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 64 * 1024
"""From this many bytes on, a buffer enters a digest by its own hash."""

_BETWEEN_CHECKS = 32 << 20
"""Bytes that are hashed in some 15 ms."""

BUFFER_HASHES = ("xxh3_128", "sha256")


class BufferHasher(Protocol):
    """What hashlib and xxhash objects have in common."""

    def update(self, data: Any, /) -> None: ...

    def digest(self) -> bytes: ...


def default_buffer_hash() -> str:
    """The fastest hash that this environment has."""
    return "xxh3_128" if is_installed("xxhash") else "sha256"


def buffer_hasher(name: str) -> Callable[[], BufferHasher]:
    """A function that makes a new hasher of that *name*."""
    if name == "sha256":
        return hashlib.sha256
    if name == "xxh3_128":
        hasher: Callable[[], BufferHasher] = (sys.modules.get("xxhash") or _import_xxhash()).xxh3_128
        return hasher
    raise UnknownPlugin(f"no buffer hash named {name!r:.100}; known: {', '.join(BUFFER_HASHES)}")


def _import_xxhash() -> Any:
    try:
        with installed_only():
            import xxhash
    except ImportError as error:
        message = "buffers were hashed with xxh3_128, which needs the package 'xxhash': pip install xxhash"
        raise MissingDependency(message) from error
    return xxhash


def checked(make_hasher: Callable[[], BufferHasher], check: Callable[[], None]) -> Callable[[], BufferHasher]:
    """Like *make_hasher*, but *check* is called before each piece of a large buffer, and may raise to give up."""

    class Checked:
        def __init__(self) -> None:
            self._hasher = make_hasher()

        def update(self, data: Any, /) -> None:
            view = memoryview(data).cast("B")
            for start in range(0, len(view), _BETWEEN_CHECKS):
                check()
                self._hasher.update(view[start : start + _BETWEEN_CHECKS])

        def digest(self) -> bytes:
            return self._hasher.digest()

    return Checked


def delimited(*parts: bytes) -> bytes:
    """*parts* joined so that no other parts give the same bytes."""
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)
