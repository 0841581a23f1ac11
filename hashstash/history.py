"""Versions of one key: which there are, what they held, and bringing one back."""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.blobs import BlobMissing
from hashstash.entry import Entry, unpack
from hashstash.errors import BadEntry, CorruptEntry, NoSuchVersion, PolicyError
from hashstash.metadata import read_notes
from hashstash.policies import versions
from hashstash.policies.size_limit import entry_size
from hashstash.policies.versions import HISTORY
from hashstash.wording import duration, shortened, size_text
from hashstash.writing import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.store import Store

logger = logging.getLogger(__name__)

_SHOWN_KEY = 80
_MOST_NAMED = 20
_FIRST_MOMENT = dt.datetime(1, 1, 2, tzinfo=dt.UTC).timestamp()
_LAST_MOMENT = dt.datetime(9999, 12, 30, tzinfo=dt.UTC).timestamp()


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version of a key; *size* in bytes as stored, *created_at* in seconds since the epoch."""

    version: int
    created_at: float
    size: int
    seconds: float
    """How long computing the value took, 0 if it was not measured."""
    expires_at: float | None
    meta: Mapping[str, Any]
    tags: tuple[str, ...]

    @property
    def created(self) -> dt.datetime:
        """When it was written, with the local time zone."""
        return dt.datetime.fromtimestamp(self.created_at).astimezone()

    def __repr__(self) -> str:
        parts = [f"version {self.version}", f"{self.created:%Y-%m-%d %H:%M:%S}", size_text(self.size)]
        parts += [f"took {duration(self.seconds)}"] if self.seconds else []
        parts += [f"tags {', '.join(self.tags)}"] if self.tags else []
        parts += [f"meta {shortened(dict(self.meta), _SHOWN_KEY)}"] if self.meta else []
        return f"<{', '.join(parts)}>"


class Versions(list[VersionInfo]):
    """Versions of a key, oldest first; in a notebook a table of them."""

    def _repr_html_(self) -> str:
        from hashstash.display.entries import html_of_versions

        return html_of_versions(self)


class _Row(NamedTuple):
    version: int
    address: bytes
    """Where it lies in the history; empty for the latest."""
    blob: bytes


def _rows(store: Store, key: Any) -> Iterator[_Row]:
    """The rows of all versions at *key*, oldest first."""
    address = store.keys.address(key)
    head = store.engine.get(address)
    if head is None:
        return
    try:
        newest = unpack(head, address).version
    except BadEntry as error:
        raise store.explained(error, key, address) from error
    for kept in versions.kept_below(store.engine, address, newest):
        blob = store.engine.section(HISTORY).get(kept)
        if blob is not None:
            yield _Row(versions.number_in(kept), kept, blob)
    yield _Row(newest, b"", head)


def entries_of(store: Store, key: Any) -> Iterator[Entry]:
    """All versions at *key* that are not over, oldest first; one that cannot be read raises."""
    address = store.keys.address(key)
    for row in _rows(store, key):
        entry = _opened(store, address, row, key)
        if entry is not None:
            yield entry


def values_of(store: Store, key: Any) -> tuple[list[Entry], list[Any]]:
    """:func:`entries_of`, and their values."""
    entries = list(entries_of(store, key))
    while True:
        written = [entry.write_id for entry in entries]
        try:
            values = [store.value_of(entry, key) for entry in entries]
            # An entry whose file is gone takes over what is there in its place now, which is not that version.
            if [entry.write_id for entry in entries] == written:
                return entries, values
            entries = list(entries_of(store, key))
        except BlobMissing:
            entries = list(entries_of(store, key))
            if set(written) <= {entry.write_id for entry in entries}:
                raise  # else some of them were removed while we were reading them, and their files with them
            store.seen_bad.discard(store.keys.address(key))


def _opened(store: Store, address: bytes, row: _Row, key: Any) -> Entry | None:
    try:
        _unpacked(row, address)
    except BadEntry as error:
        raise store.explained(error, key, address) from error
    return store.open_row(address, row.blob, key)


def _unpacked(row: _Row, address: bytes) -> Entry:
    entry = unpack(row.blob, address)
    if entry.version != row.version:
        raise CorruptEntry(f"version {entry.version} lies where version {row.version} should; it was copied there")
    return entry


def infos(store: Store, key: Any) -> Versions:
    """What is known of the versions at *key* without decoding them, oldest first; those that cannot be read are left out."""
    found = Versions()
    bad: list[int] = []
    address = store.keys.address(key)
    for row in _rows(store, key):
        try:
            entry = _unpacked(row, address)
            if not entry.is_expired():
                found.append(_described(entry, row.version))
        except BadEntry as error:
            logger.debug("%s version %d: %s", address.hex(), row.version, error)
            bad.append(row.version)
    if bad:
        which = ", ".join(map(str, bad))
        what = f"version {which} cannot be read and is" if len(bad) == 1 else f"versions {which} cannot be read and are"
        warnings.warn(f"{shortened(key, _SHOWN_KEY)}: {what} left out; reading says why", RuntimeWarning, stacklevel=3)
    if not found:
        raise KeyError(key)
    return found


def _described(entry: Entry, number: int) -> VersionInfo:
    notes = read_notes(entry.metadata)
    expires = entry.expires_at / 1e9 if entry.expires_at else None
    return VersionInfo(
        number, entry.created_at / 1e9, entry_size(entry), entry.seconds, expires, notes.meta, notes.tags
    )


def find(store: Store, key: Any, *, version: int | None = None, time: Any = None) -> Entry:
    """The entry that was version *version* of *key*, or its latest one at *time*.

    *time*: a datetime (without a zone: local time), text such as ``"2024-05-01 12:00"``, or seconds since the epoch.
    """
    if (version is None) == (time is None):
        raise TypeError("which version is meant: give version=, or time=")
    wanted = _at(store, key, moment_of(time)) if version is None else _numbered(store, key, version)
    entry = _opened(store, store.keys.address(key), wanted, key)
    if entry is None:
        raise NoSuchVersion(
            f"version {wanted.version} of {shortened(key, _SHOWN_KEY)} is over: its time to live has passed"
        )
    return entry


def read(store: Store, key: Any, *, version: int | None = None, time: Any = None) -> tuple[Entry, Any]:
    """The entry that :func:`find` gives, and its value."""
    while True:
        entry = find(store, key, version=version, time=time)
        written = entry.write_id
        try:
            value = store.value_of(entry, key)
        except BlobMissing:
            if find(store, key, version=version, time=time).write_id == written:
                raise  # else it was replaced or removed while we were reading it, and its file with it
            store.seen_bad.discard(store.keys.address(key))
            continue
        # An entry whose file is gone takes over what is there in its place now, which may not be what was asked for.
        if entry.write_id == written:
            return entry, value


def _numbered(store: Store, key: Any, version: int) -> _Row:
    if type(version) is not int:
        raise TypeError(f"version={version!r}; it is a whole number, counted from 1, or from the latest with -1")
    rows = _existing(store, key)
    if version < 0 and -version <= len(rows):
        return rows[version]
    for row in rows:
        if row.version == version:
            return row
    raise NoSuchVersion(f"there is no version {version} of {_there_are(store, key, rows)}")


def _at(store: Store, key: Any, moment: float) -> _Row:
    """The latest row, by number, that was written until *moment*; one that cannot be read raises, as it may be the one."""
    rows = _existing(store, key)
    address = store.keys.address(key)
    for row in reversed(rows):
        try:
            created = _unpacked(row, address).created_at / 1e9
        except BadEntry as error:
            raise store.explained(error, key, address) from error
        if created <= moment:
            return row
    when = dt.datetime.fromtimestamp(moment).astimezone()
    raise NoSuchVersion(f"at {when:%Y-%m-%d %H:%M:%S} there was no version of {_there_are(store, key, rows)}")


def _existing(store: Store, key: Any) -> list[_Row]:
    rows = list(_rows(store, key))
    if not rows:
        raise KeyError(key)
    return rows


def _there_are(store: Store, key: Any, rows: list[_Row]) -> str:
    numbers = [str(row.version) for row in rows]
    if len(numbers) > _MOST_NAMED:
        numbers = [*numbers[: _MOST_NAMED // 2], "...", *numbers[-_MOST_NAMED // 2 :]]
    hint = (
        "" if store.append else "; the stash was opened without append_mode=True, so that writes replace what was there"
    )
    return f"{shortened(key, _SHOWN_KEY)}; there {'is' if len(rows) == 1 else 'are'}: {', '.join(numbers)}{hint}"


def moment_of(time: Any) -> float:
    """Seconds since the epoch of a datetime or date (without a zone: local time), ISO text, or seconds since the epoch."""
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            raise ValueError(f"{time!r} is no time; write it as in '2024-05-01 12:00'") from error
    if isinstance(time, dt.datetime):
        return time.timestamp()
    if isinstance(time, dt.date):
        return dt.datetime.combine(time, dt.time()).timestamp()
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        raise TypeError(f"a time is a datetime, text such as '2024-05-01 12:00', or seconds since 1970, not {time!r}")
    if not _FIRST_MOMENT < time < _LAST_MOMENT:
        raise ValueError(f"{time!r} is no time; in seconds since 1970 it lies in the years from 1 to 9999")
    return float(time)


def revert(store: Store, key: Any, version: int) -> Entry:
    """Append the value, the notes and the compute time of an older version as the newest one; returns the entry."""
    if not store.append:
        raise PolicyError(
            f"{store.engine.location()} was opened without append_mode=True: going back would lose the present value of"
            f" {shortened(key, _SHOWN_KEY)}"
        )
    entry, value = read(store, key, version=version)
    # Encoded anew: the blob file of the old version goes with it, and code is signed by whoever brings it back.
    encoded = store.codec.serializer.dumps(value)
    return store.save_encoded(key, encoded, WriteOptions(entry.seconds, metadata=entry.metadata))
