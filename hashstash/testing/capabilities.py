"""What each engine promises, as rows and as a table in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashstash.engine import Capability, Engine
from hashstash.errors import MissingDependency
from hashstash.registry import ENGINES
from hashstash.wrappers.counters import CountersWrapper
from hashstash.wrappers.front_cache import FrontCacheWrapper
from hashstash.wrappers.prefix import PrefixWrapper
from hashstash.wrappers.read_only import ReadOnlyWrapper
from hashstash.wrappers.retry import RetryWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PROMISES = {
    Capability.CROSS_PROCESS: "other processes see it at once",
    Capability.SWAP: "atomic swap",
    Capability.PREFIX_SCAN: "scan by prefix",
    Capability.LOCAL_FILES: "large values mapped from files",
    Capability.SHARED_WRITERS: "workers write by themselves",
    Capability.REMOTE: "behind a network",
}
"""The capabilities in the order of the table, in words."""


@dataclass(frozen=True)
class CapabilityRow:
    """One engine, or one wrapper with what it leaves of the promises of the engine inside."""

    name: str
    title: str
    capabilities: Capability
    missing: str = ""
    """Why the engine cannot be used here, with the line that installs what it needs; empty if it can."""
    is_wrapper: bool = False


def capabilities() -> list[CapabilityRow]:
    """A row per engine, installed or not, and per wrapper."""
    return [*map(_row_of, ENGINES.names()), *_rows_of_wrappers()]


def capability_table(rows: Iterable[CapabilityRow] | None = None) -> str:
    """*rows*, by default all of them, as a table in Markdown."""
    lines = [("engine", *PROMISES.values()), ("---", *(":---:" for _ in PROMISES))]
    for row in capabilities() if rows is None else rows:
        name = f"{row.name}(...)" if row.is_wrapper else row.name
        if row.missing:
            lines.append(
                (f"`{name}`", row.missing.partition(": ")[2] or row.missing, *("" for _ in list(PROMISES)[1:]))
            )
        else:
            kept = "as inside" if row.is_wrapper else "yes"
            lines.append((f"`{name}`", *(kept if promise in row.capabilities else "no" for promise in PROMISES)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row_of(name: str) -> CapabilityRow:
    try:
        engine = ENGINES.load(name)
    except MissingDependency as error:
        return CapabilityRow(name, name.title(), Capability.NONE, missing=str(error))
    return CapabilityRow(name, engine.title, engine.capabilities)


class _Everything(Engine):
    """Stands inside of a wrapper to find out which promises it keeps."""

    name = "everything"
    title = "Everything"
    capabilities = Capability(sum(capability.value for capability in Capability))

    def get(self, address: bytes) -> bytes | None:
        return None

    def put(self, address: bytes, blob: bytes) -> None:
        raise NotImplementedError

    def delete(self, address: bytes) -> bool:
        return False

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return iter(())

    def section(self, name: str) -> Engine:
        return self

    def location(self) -> str:
        return "everything"


def _rows_of_wrappers() -> Iterator[CapabilityRow]:
    wrappers: dict[str, Callable[[Engine], Engine]] = {
        "prefix": lambda inner: PrefixWrapper(inner, "one"),
        "read_only": ReadOnlyWrapper,
        "front_cache": FrontCacheWrapper,
        "front_cache with max_age": lambda inner: FrontCacheWrapper(inner, max_age=1),
        "retry": RetryWrapper,
        "counters": CountersWrapper,
    }
    for name, wrap in wrappers.items():
        wrapper = wrap(_Everything())
        yield CapabilityRow(name, name, wrapper.capabilities, is_wrapper=True)
