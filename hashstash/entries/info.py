"""What is known of one entry from its header."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hashstash import trust as trusting
from hashstash.codec import key_is_code
from hashstash.entry import Entry, unpack
from hashstash.errors import BadEntry, UntrustedEntry
from hashstash.history import moment_of
from hashstash.metadata import read_notes
from hashstash.policies.size_limit import entry_size
from hashstash.policies.time_to_live import parse_duration
from hashstash.store import MISSING
from hashstash.wording import parse_size, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashstash.store import Store

_WIDTH = 500
"""Characters of each part of an entry that its ``repr`` shows at most."""


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One entry of a listing. Sizes in bytes, moments as aware datetimes (or, named ``_at``, seconds since the epoch).

    How often an entry was read is not kept: noting it would cost a hit more than anything else beside the storage does.
    """

    key: Any
    """The key, or a placeholder where decoding it would run foreign code."""
    size: int
    """Bytes as stored, key and header included."""
    raw_size: int
    """Bytes of the serialized value before compression."""
    codec: str
    created_at: float
    expires_at: float | None
    seconds: float
    """How long computing the value took, 0 if it was not measured."""
    version: int
    is_code: bool
    """Whether decoding it imports or calls something."""
    signer: str | None
    """The short id of the key that signed it; data is not signed, as a rule."""
    trusted: bool = False
    """Whether somebody this user trusts has signed it."""
    foreign: bool = False
    """Whether it is not decoded here, being code of somebody who is not trusted."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    address: bytes = b""
    """Where its row lies."""
    write_id: bytes = field(default=b"", repr=False)
    """Which write it was; another one has another."""

    def __repr__(self) -> str:
        # Each part shortly: a stranger's key or notes may be of a form whose own text has no end.
        parts = (f"{one.name}={shortened(getattr(self, one.name), _WIDTH)}" for one in fields(self) if one.repr)
        return f"EntryInfo({', '.join(parts)})"

    @property
    def created(self) -> dt.datetime:
        """When it was written, in the local time zone."""
        return _local(self.created_at)

    @property
    def expires(self) -> dt.datetime | None:
        """When its time to live is over, in the local time zone; ``None``: never."""
        return None if self.expires_at is None else _local(self.expires_at)

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return time.time() - self.created_at

    @property
    def expired(self) -> bool:
        """Whether its time to live is over."""
        return self.expires_at is not None and self.expires_at <= time.time()

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The same as ``meta``."""
        return self.meta

    def value_of(self, name: str) -> Any:
        """The field *name*, or what ``meta`` has under that name; ``meta.x`` is always that; ``None`` if there is neither."""
        if name in FIELDS:
            return getattr(self, name)
        return self.meta.get(name.removeprefix(META))

    def _repr_html_(self) -> str:
        from hashstash.display.entries import html_of_entry

        return html_of_entry(self)


META = "meta."
"""What begins the name of a note where it could be mistaken for a field's."""
FIELDS = (
    *("key", "size", "raw_size", "codec", "created", "age", "expires", "expired", "seconds", "is_code", "signer"),
    *("trusted", "foreign", "meta", "tags", "version", "address", "created_at", "expires_at", "metadata"),
)


def _local(moment: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment).astimezone()


def _moment(value: Any) -> dt.datetime:
    return _local(moment_of(value))


def _seconds(value: Any) -> Any:
    return value if type(value) in (int, float) else parse_duration(value)


def _tags(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, set, frozenset)) else value


def _address(value: Any) -> Any:
    return bytes.fromhex(value) if isinstance(value, str) else value


def _or_none(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else change(value)


OPERANDS: dict[str, Callable[[Any], Any]] = {
    "size": parse_size,
    "raw_size": parse_size,
    "created": _moment,
    "expires": _or_none(_moment),
    "created_at": moment_of,
    "expires_at": _or_none(moment_of),
    "age": _seconds,
    "seconds": _seconds,
    "tags": _tags,
    "address": _address,
}
"""What makes of an operand in a filter the thing that a field is compared with."""


def describe(store: Store, entry: Entry, *, key: Any = MISSING) -> EntryInfo:
    """The listing's line for *entry*; *key* stands in it for a key that is not to be decoded."""
    notes = read_notes(entry.metadata)
    return EntryInfo(
        key=store.key_of(entry) if key is MISSING else key,
        size=entry_size(entry),
        raw_size=entry.raw_size,
        codec=entry.label.decode("ascii", "replace"),
        created_at=entry.created_at / 1e9,
        expires_at=entry.expires_at / 1e9 if entry.expires_at else None,
        seconds=entry.seconds,
        version=entry.version,
        is_code=entry.is_code or key_is_code(entry.key),
        signer=entry.signer.hex() or None,
        trusted=entry.is_trusted,
        foreign=store.is_foreign(entry) or store.is_foreign_key(entry),
        meta=notes.meta,
        tags=notes.tags,
        address=entry.digest,
        write_id=entry.write_id,
    )


def info_of(store: Store, key: Any) -> EntryInfo:
    """What is known of the entry at *key*, be it foreign or not; KeyError if there is none, or none any more."""
    address = store.keys.address(key)
    blob = store.engine.get(address)
    try:
        entry = None if blob is None else unpack(blob, address)
        if entry is None or entry.is_expired():
            raise KeyError(key)
        with contextlib.suppress(UntrustedEntry):
            trusting.check(entry, store.namespace, store.trust)
        return describe(store, entry)
    except BadEntry as error:
        raise store.explained(error, key, address) from error
