"""Is everything that is stored still what was written? Looking changes nothing; mending moves aside and deletes nothing.

A row is sound if its checksum, its address, its signature and its codec are, and its blob file if it has one. Values are not
decoded. One row, and one piece of a blob file, is in memory at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, overload

from hashstash import trust as trusting
from hashstash.blobs import YOUNGEST_ORPHAN, BlobMissing, Reference
from hashstash.checksum import crc32
from hashstash.codec import decoder_of
from hashstash.engine import Capability
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, NewerFormat, TamperedEntry, UntrustedEntry
from hashstash.paths import shown
from hashstash.policies import versions
from hashstash.policies.versions import HISTORY
from hashstash.upkeep import orphans, sweep
from hashstash.writing import BAD, MOST_ASIDE, MOST_ASIDE_BYTES

if TYPE_CHECKING:
    from hashstash.blobs import BlobStore
    from hashstash.engine import Engine
    from hashstash.store import Store

MOST_LISTED = 1000
"""How many problems a report lists; further ones are only counted."""
_PIECE = 1 << 20
_BATCH = 100
_UNREADABLE = (BadEntry, OSError)
_SHOWN_KEY = 60
_DAMAGE = "damage"
_NOT_OURS = "left alone"
_STORAGE = "storage"
_ORPHANS = "orphans"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    what: str
    """A sentence for people."""
    kind: str
    """``damage``: repair moves the row aside; ``left alone``: another version, or a package, can read it; or else ``storage`` or
    ``orphans``."""
    location: str
    section: str = ""
    """Empty for the entries themselves, ``history`` for older versions."""
    address: bytes = b""

    def __str__(self) -> str:
        where = f"{self.section} " if self.section else ""
        return f"{where}{self.address.hex()[:16]}: {self.what}" if self.address else self.what


@dataclass(frozen=True)
class Report(Sequence[Problem]):
    """The problems that were found: empty, and so false, if there are none."""

    location: str
    rows: int
    """How many rows were looked at, older versions included."""
    problems: tuple[Problem, ...] = ()
    unlisted: int = 0
    """Problems beyond those that are listed."""
    aside: int = 0
    """Bad rows that were moved or copied aside earlier."""

    def __len__(self) -> int:
        return len(self.problems) + self.unlisted

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | Sequence[Problem]:
        return self.problems[index]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __repr__(self) -> str:
        found = f"{len(self)} problem{'s' * (len(self) != 1)}" if self else "nothing wrong"
        lines = [
            f"{self.location}: {self.rows:,} row{'s' * (self.rows != 1)}, {found}",
            *(f"- {item}" for item in self),
        ]
        if self.unlisted:
            lines.append(f"- and {self.unlisted:,} more")
        if self.aside:
            lines.append(f"({self.aside} bad row{'s' * (self.aside != 1)} kept aside earlier)")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_report

        return html_of_report(self)

    def __add__(self, other: Report) -> Report:
        """Both reports as one."""
        both = self.problems + other.problems
        return replace(
            self,
            rows=self.rows + other.rows,
            problems=both[:MOST_LISTED],
            unlisted=self.unlisted + other.unlisted + max(0, len(both) - MOST_LISTED),
            aside=self.aside + other.aside,
        )


@dataclass(frozen=True)
class Repairs:
    """What a repair has done."""

    moved: tuple[Problem, ...] = ()
    """Rows that were moved aside."""
    restored: int = 0
    """Entries whose newest older version took the place of a bad one."""
    swept: int = 0
    """Blob files that no row pointed at, and that are gone."""
    left: tuple[Problem, ...] = ()
    """What is still wrong."""
    rebuilt: tuple[str, ...] = ()
    """Storages that were damaged as a whole and were written anew; what was damaged lies there in the folder ``damaged``."""

    def __repr__(self) -> str:
        done = [f"moved {len(self.moved)} bad row{'s' * (len(self.moved) != 1)} aside"] if self.moved else []
        done += [f"restored {self.restored} from older versions"] if self.restored else []
        done += [f"wrote {place} anew, the damaged files lie in {place}/damaged" for place in self.rebuilt]
        done += (
            [f"removed {self.swept} blob file{'s' * (self.swept != 1)} that nothing pointed at"] if self.swept else []
        )
        lines = [", ".join(done) or "nothing to repair", *(f"- {item}" for item in self.moved)]
        return "\n".join([*lines, *(["left as it is:", *(f"- {item}" for item in self.left)] if self.left else [])])

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_repairs

        return html_of_repairs(self)

    def __add__(self, other: Repairs) -> Repairs:
        """Both as one."""
        return Repairs(
            self.moved + other.moved,
            self.restored + other.restored,
            self.swept + other.swept,
            self.left + other.left,
            self.rebuilt + other.rebuilt,
        )


def check(store: Store) -> Report:
    """Look at every row, every blob file, and the storage as a whole."""
    rows, unlisted = 0, 0
    found: list[Problem] = []
    for section, engine in _sections(store):
        for address, blob in _rows(section, engine, found):
            rows += 1
            problem = _problem_of(store, section, engine, address, blob)
            if problem is not None and len(found) < MOST_LISTED:
                found.append(problem)
            else:
                unlisted += problem is not None
    for section, engine in _other_sections(store):
        _storage_problems(section, engine, found)
    found += _abandoned(store)
    return Report(shown(store.engine.location()), rows, tuple(found), unlisted, _count_aside(store))


def repair(store: Store) -> Repairs:
    """Write damaged storages anew, move bad rows aside and bring back older versions, remove blob files without rows."""
    store.engine.ensure_writable()
    rebuilt = tuple(_rebuild(store))
    moved: list[Problem] = []
    left: list[Problem] = []
    restored = 0
    room = _Aside(store.engine)
    for section, engine in _sections(store):
        for address, blob in _rows(section, engine, left):
            problem = _problem_of(store, section, engine, address, blob)
            if problem is None:
                continue
            if problem.kind != _DAMAGE or not room.take(engine, address, blob):
                left.append(problem)
                continue
            moved.append(problem)
            restored += not section and _bring_back(store, address)
    for section, engine in _other_sections(store):
        _storage_problems(section, engine, left)
    if any(problem.kind == _STORAGE for problem in left):
        left = [problem for problem in left if problem.kind != _STORAGE] + _mend_storage(store)
    swept = sweep(store)
    return Repairs(tuple(moved), restored, swept, tuple(left), rebuilt)


def _rebuild(store: Store) -> Iterator[str]:
    """Write storages anew that cannot give all of their rows; yields where they lie."""
    if Capability.REMOTE in store.engine.capabilities:
        return  # there is nothing that could be written anew, and each row costs its way
    for section, engine in [*_sections(store), *_other_sections(store)]:
        found: list[Problem] = []
        _storage_problems(section, engine, found)
        if found and engine.rebuild(lambda blob, section=section: _place_of(section, blob)):  # type: ignore[misc]
            yield shown(engine.location())


def _storage_problems(section: str, engine: Engine, found: list[Problem]) -> None:
    """Add to *found* what is wrong with the storage of a section, and not with single rows."""
    for _ in _rows(section, engine, found):
        pass


def _place_of(section: str, blob: bytes) -> bytes | None:
    """The address at which a row belongs that is sound as far as its checksum goes."""
    if section not in ("", HISTORY):
        return None
    try:
        entry = unpack(blob)
    except BadEntry:
        return None
    return versions.history_address(entry.digest, entry.version) if section else entry.digest


def _count_aside(store: Store) -> int:
    with contextlib.suppress(*_UNREADABLE):  # which is among the problems already
        return store.engine.section(BAD).count() if BAD in store.engine.section_names() else 0
    return 0


def _other_sections(store: Store) -> list[tuple[str, Engine]]:
    """What the stash keeps beside its entries."""
    names = [name for name in store.engine.section_names() if name != HISTORY]
    return [(name, store.engine.section(name)) for name in names]


def _sections(store: Store) -> list[tuple[str, Engine]]:
    """The entries, and their history, with which they share the namespace."""
    found = [("", store.engine)]
    if HISTORY in store.engine.section_names():
        found.append((HISTORY, store.engine.section(HISTORY)))
    return found


def _rows(section: str, engine: Engine, found: list[Problem]) -> Iterator[tuple[bytes, bytes]]:
    """Every row that the storage can give; what it cannot is added to *found*."""

    def note(what: object, address: bytes = b"") -> None:
        if isinstance(what, (ConnectionError, TimeoutError)):
            raise what  # a server that is away says nothing about what it stores
        problem = Problem(str(what), _STORAGE, shown(engine.location()), section, address)
        if len(found) < MOST_LISTED and problem not in found:
            found.append(problem)

    try:
        for what in engine.check():
            note(what)
    except _UNREADABLE as error:
        note(error)
    addresses: Iterator[bytes] | None = None
    while True:
        try:
            addresses = engine.scan() if addresses is None else addresses
            batch = list(islice(addresses, _BATCH))
        except _UNREADABLE as error:
            note(error)
            return
        if not batch:
            return
        done = 0
        try:
            for address, blob in zip(batch, engine.get_many(batch), strict=False):
                done += 1
                if blob is not None:
                    yield address, blob
                elif _is_listed(engine, address):
                    note("the storage lists the row and does not find it", address)
        except _UNREADABLE:
            for address in batch[done:]:
                try:
                    alone = engine.get(address)
                except _UNREADABLE as error:
                    note(error, address)
                else:
                    if alone is not None:
                        yield address, alone


def _is_listed(engine: Engine, address: bytes) -> bool:
    """Whether there is still said to be a row, and none can be had."""
    return any(found == address for found in engine.scan(address)) and engine.get(address) is None


def _problem_of(store: Store, section: str, engine: Engine, address: bytes, blob: bytes) -> Problem | None:
    try:
        _check_row(store, section, address, blob)
    except (BadEntry, MissingDependency) as error:
        if engine.get(address) != blob:
            return None  # replaced or deleted while we were looking at it
        is_readable = isinstance(error, (NewerFormat, MissingDependency, _UnknownCodec))
        kind = _NOT_OURS if is_readable else _DAMAGE
        return Problem(f"{_key_in(store, blob)}{error}", kind, shown(store.engine.location()), section, address)
    return None


class _UnknownCodec(CorruptEntry):
    """A label that no codec here has; a package that is not installed may bring it."""


def _check_row(store: Store, section: str, address: bytes, blob: bytes) -> None:
    entry = unpack(blob)
    if section:
        if versions.history_address(entry.digest, entry.version) != address:
            raise CorruptEntry("the row holds another version, or one of another key; it was copied there")
    elif entry.digest != address:
        raise CorruptEntry("the row holds the entry of another key; it was copied there")
    with contextlib.suppress(UntrustedEntry):  # somebody else's code is no damage
        trusting.check(entry, store.namespace, store.trust)
    try:
        decoder_of(entry.label)
    except CorruptEntry as error:
        raise _UnknownCodec(str(error)) from error
    if entry.flags & Flag.BLOB:
        _check_blob(store.blobs, entry)


def _check_blob(blobs: BlobStore | None, entry: Entry) -> None:
    if blobs is None:
        raise CorruptEntry("the row points at a blob file, but its engine has none")
    reference = Reference.unpack(entry.payload)
    path = blobs.path(reference.name)
    checksum, size, state = 0, 0, blake2b(digest_size=16)
    is_signed = bool(entry.flags & Flag.SIGNED)
    try:
        with blobs.opened(reference.name) as file:
            while piece := file.read(_PIECE):
                checksum = crc32(piece, checksum)
                size += len(piece)
                if is_signed:
                    state.update(piece)
    except BlobMissing as error:
        raise CorruptEntry(f"its blob file {path} is gone") from error
    except OSError as error:
        raise CorruptEntry(f"its blob file {path} cannot be read: {error.strerror}") from error
    if size != reference.size:
        raise CorruptEntry(f"its blob file {path} has {size} bytes instead of {reference.size}")
    if checksum != reference.checksum:
        raise CorruptEntry(f"its blob file {path} was changed after it was written")
    if is_signed and state.digest() != reference.digest:
        raise TamperedEntry(f"its blob file {path} is not the one that was signed")


def _key_in(store: Store, blob: bytes) -> str:
    """The key of a row whose key can be read, to begin a sentence with."""
    try:
        entry = unpack(blob)
        text = repr(store.key_of(entry))
    except Exception:  # noqa: BLE001
        return ""  # a key may be as damaged as the rest of its row, or need a package, and its repr is the user's
    return (text if len(text) <= _SHOWN_KEY else text[: _SHOWN_KEY - 1] + "…") + ": "


def _abandoned(store: Store) -> list[Problem]:
    if store.blobs is None or not store.blobs.exists():
        return []
    try:
        names = orphans(store, store.blobs, older_than=YOUNGEST_ORPHAN)
    except _UNREADABLE:
        return []  # the storage cannot say which files are in use, which has been reported already
    what = f"{len(names)} blob file{'s' * (len(names) != 1)} that no row points at; repair() removes them"
    return [Problem(what, _ORPHANS, shown(store.engine.location()))] if names else []


class _Aside:
    """The section for bad rows, as long as there is room in it."""

    def __init__(self, engine: Engine) -> None:
        self._section = engine.section(BAD)
        self._count = self._section.count()
        self._size = self._section.size_bytes() if self._count else 0

    def take(self, engine: Engine, address: bytes, blob: bytes) -> bool:
        """Move a row there; ``False``, and nothing is changed, if there is no room or somebody has changed it."""
        if self._count >= MOST_ASIDE or self._size + len(blob) > MOST_ASIDE_BYTES:
            return False
        self._section.put(address + blake2b(blob, digest_size=8).digest(), blob)
        self._count += 1
        self._size += len(blob)
        return engine.get(address) == blob and engine.delete(address)


def _bring_back(store: Store, address: bytes) -> bool:
    """Put the newest older version of an entry in its place, if there is a sound one."""
    if HISTORY not in store.engine.section_names():
        return False
    history = store.engine.section(HISTORY)
    for kept in sorted(history.scan(address), reverse=True):
        blob = history.get(kept)
        if blob is not None and _problem_of(store, HISTORY, history, kept, blob) is None:
            return store.engine.swap(address, None, blob)
    return False


def _mend_storage(store: Store) -> list[Problem]:
    """What is wrong with the storage after it was written anew, where it can be."""
    left: list[Problem] = []
    for section, engine in [*_sections(store), *_other_sections(store)]:
        with contextlib.suppress(*_UNREADABLE):
            engine.compact()
        _storage_problems(section, engine, left)
    return left
