"""Nothing is stored: every read misses, every write succeeds, and memoized functions run each time.

For switching a cache off without touching the code that uses it: ``HASHSTASH_ENGINE=null``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.engine import Engine, SectionTable

if TYPE_CHECKING:
    from collections.abc import Iterator


class NullEngine(Engine):
    """No rows, whatever is put. It promises nothing, since what is written is seen by nobody."""

    name = "null"
    title = "Null"
    keeps_files = False

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sections = SectionTable(lambda name: NullEngine(f"{folder}@{name}"))

    def get(self, address: bytes) -> bytes | None:
        return None

    def put(self, address: bytes, blob: bytes) -> None:
        pass

    def delete(self, address: bytes) -> bool:
        return False

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return iter(())

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def section_names(self) -> list[str]:
        return []

    def location(self) -> str:
        return self._folder

    @classmethod
    def names_below(cls, folder: str) -> list[str]:  # noqa: ARG003
        return []


PLUGIN = NullEngine
