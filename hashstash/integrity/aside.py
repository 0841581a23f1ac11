"""What is kept aside: rows that could not be read and were overwritten or moved, and files of storages that were damaged."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hashstash.engine import Capability
from hashstash.engines._salvage import ASIDE
from hashstash.errors import BadEntry
from hashstash.in_use import InUse
from hashstash.integrity.rows import why_aside
from hashstash.paths import shown
from hashstash.quarantine import BAD, bytes_with_blob
from hashstash.tabular import Listing
from hashstash.upkeep import orphans
from hashstash.wording import counted, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.engine import Engine
    from hashstash.store import Store

_ROW, _FILES = "row", "files"
_SHOWN_ADDRESS = 16
_MOST_SHOWN = 200


class Kept(NamedTuple):
    """One thing that is kept aside."""

    kind: str
    """``row``, or ``files`` of a storage that was written anew."""
    name: str
    """The beginning of the address where the row was, or the folder of the files."""
    size: int
    """Bytes, those of a blob file included."""
    what: str
    location: str


@dataclass(frozen=True, repr=False)
class Aside(Listing):
    """All that is kept aside, as a table."""

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(item["size"] for item in self.items)


def kept_aside(stores: Iterable[Store]) -> Aside:
    """What is kept aside of these stores."""
    found = [kept for store in stores for kept in (*_rows(store), *_files(store))]
    total = size_text(sum(kept.size for kept in found))
    title = f"{counted(len(found), 'thing')} kept aside, {total}" if found else "nothing is kept aside"
    if len(found) > _MOST_SHOWN:
        title += f"; the first {_MOST_SHOWN} are shown"
    table = [[kept.name, kept.kind, size_text(kept.size), printable(kept.what)] for kept in found[:_MOST_SHOWN]]
    items = [kept._asdict() for kept in found]
    return Aside(title, ["name", "kind", "size", "what"], table, items=items, fields=Kept._fields)


def remove_aside(store: Store) -> int:
    """Delete what is kept aside of a store, for good; return how many rows and folders of files that were."""
    store.engine.ensure_writable()
    return _remove_rows(store) + sum(_is_removed(folder) for folder in _folders(store))


# ---- rows ----------------------------------------------------------------------------------------------------------------


def _bad(store: Store) -> Iterator[tuple[bytes, bytes]]:
    if BAD in store.engine.section_names():
        yield from store.engine.section(BAD).rows()


def _rows(store: Store) -> Iterator[Kept]:
    with contextlib.suppress(BadEntry):  # which is what check() says of a section that is damaged itself
        for address, row in _bad(store):
            name, size = address.hex()[:_SHOWN_ADDRESS], bytes_with_blob(store, row)
            yield Kept(_ROW, name, size, why_aside(store, row), shown(store.engine.location()))


def _remove_rows(store: Store) -> int:
    bad = list(_bad(store))
    in_use = InUse(set(store.blobs.names() if store.blobs is not None else ()))
    for _, row in bad:
        in_use.look(row)
    removed = sum(store.engine.section(BAD).delete(address) for address, _ in bad)
    if in_use.names and store.blobs is not None:
        for name in in_use.names & orphans(store, store.blobs):  # a row may have been a copy of one that is there
            store.blobs.remove(name)
    return removed


# ---- files ---------------------------------------------------------------------------------------------------------------


def _engines(store: Store) -> list[Engine]:
    return [store.engine, *map(store.engine.section, store.engine.section_names())]


def _folders(store: Store) -> Iterator[str]:
    """What lies in the folders into which repairs move the files of damaged storages."""
    if Capability.REMOTE in store.engine.capabilities:
        return
    for engine in _engines(store):
        folder = os.path.join(engine.location(), ASIDE)
        # Somebody else may have made a link of it, which leads to what is no business of ours.
        if os.path.isabs(folder) and os.path.isdir(folder) and not os.path.islink(folder):
            with contextlib.suppress(OSError):
                yield from sorted(os.path.join(folder, name) for name in os.listdir(folder))


def _files(store: Store) -> Iterator[Kept]:
    for folder in _folders(store):
        place = shown(os.path.dirname(folder))
        yield Kept(_FILES, os.path.basename(folder), _size_of(folder), f"in {place}: replaced by a repair", place)


def _size_of(path: str) -> int:
    places = [path, *(os.path.join(top, name) for top, _, names in os.walk(path) for name in names)]
    total = 0
    for place in places:
        with contextlib.suppress(OSError):  # removed meanwhile
            total += 0 if os.path.isdir(place) else os.lstat(place).st_size
    return total


def _is_removed(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
        return True
    return False
