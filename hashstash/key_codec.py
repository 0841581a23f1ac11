"""From a user's key to the place of its row and back."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hashstash.codec import Buffer, Serializer, pack_key, plain_writer, unpack_key
from hashstash.errors import CorruptEntry, MissingDependency, ReadOnlyStash, StashFull, VolatileKey
from hashstash.foreign import refuse_placeholder
from hashstash.keys import address_of
from hashstash.small_json import read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashstash.engine import Engine

META_ADDRESS = b"stash"
_NO_CONTEXT = b""
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_LONGEST_REMEMBERED = 200
_LONGEST_FACTS = 1000
_MOST_REMEMBERED = 4096


class EncodedKey(NamedTuple):
    """A key on its way into a row."""

    address: bytes
    """The 16-byte digest under which the row lies."""
    data: bytes
    """The key itself, serialized, so that it comes back as it was given."""
    is_code: bool
    """Whether decoding the key imports or calls something."""


class KeyCodec(Protocol):
    """How one stash turns keys into addresses. Equal keys have one address, and no others have it."""

    def address(self, key: Any) -> bytes:
        """The address of *key*; raises VolatileKey naming the part that cannot be hashed."""

    def encode(self, key: Any) -> EncodedKey:
        """The address and the stored form of *key*."""

    def decode(self, data: Buffer) -> Any:
        """The key that was encoded."""

    def context(self) -> bytes:
        """What stored entries must carry as metadata to belong to this stash now; empty: all do."""


_addresses: dict[str, bytes] = {}
"""Short texts are what most keys are, and the same ones come again and again: a quarter of the time of a hit.

A plain dict: with ``lru_cache``, a hundred thousand keys of which none comes again would take twice as long.
"""


def _remembered(key: str) -> bytes:
    address = address_of(key, fingerprint=_no_fingerprint)
    if len(key) <= _LONGEST_REMEMBERED:
        if len(_addresses) >= _MOST_REMEMBERED:
            _addresses.clear()
        _addresses[key] = address
    return address


def _no_fingerprint(_: Any) -> bytes:
    raise AssertionError("a text has no parts to fingerprint")


class PlainKeyCodec:
    """Keys as they are: any object whose content can be hashed. With ``paths="content"``, paths count by what they lead to."""

    def __init__(self, serializer: Serializer, buffer_hash: Callable[[], str], *, paths: str = "path") -> None:
        self._serializer = serializer
        self._buffer_hash = buffer_hash
        self._paths = paths
        self._loads_plain: Callable[[Any], Any] | None = getattr(serializer, "loads_plain", None)
        self._dumps_plain = plain_writer(serializer)

    def fingerprint(self, value: Any, name: str = "key") -> bytes:
        """The digest of a value that is neither a scalar nor a built-in container; *name*: what an error calls it."""
        from hashstash.fingerprint import Fingerprinter  # slow to import, and most keys do without

        return Fingerprinter(buffer_hash=self._buffer_hash(), paths=self._paths).digest(value, name)

    def name_volatile(self, parts: Iterable[tuple[str, Any]]) -> None:
        """Raise VolatileKey with the place of what cannot be hashed in one of *parts*, named values, if it is found there."""
        for name, value in parts:
            self.fingerprint(value, name)

    def address(self, key: Any) -> bytes:
        if type(key) is str:
            return _addresses.get(key) or _remembered(key)
        try:
            return address_of(key, self.fingerprint)
        except VolatileKey:
            refuse_placeholder(key)
            self.name_volatile([("key", key)])
            raise

    def encode(self, key: Any) -> EncodedKey:
        address = self.address(key)
        document = self._dumps_plain(key)
        if document is not None:
            return EncodedKey(address, b"\0" + document, is_code=False)
        encoded = self._serializer.dumps(key)
        return EncodedKey(address, pack_key(encoded), encoded.is_code)

    def decode(self, data: Buffer) -> Any:
        if self._loads_plain is not None and data[:1] == b"\0":
            try:
                return self._loads_plain(data[1:])
            except Exception:  # noqa: BLE001
                pass  # the long way can, or says what is wrong
        return self._serializer.loads(unpack_key(data))

    def context(self) -> bytes:
        return _NO_CONTEXT


def recorded_hash(engine: Engine) -> str | None:
    """How the stash on *engine* hashes large buffers in keys; ``None`` where it has not come to that yet.

    CorruptEntry for a stash that does not say it any more.
    """
    row = engine.section("meta").get(META_ADDRESS)
    if row is None:
        return None
    from hashstash.fingerprint.buffers import BUFFER_HASHES  # which is slow to import, and most keys do without

    try:
        name = read_object(row[_META_HEAD:], most=_LONGEST_FACTS)["buffer_hash"]
        if name in BUFFER_HASHES:
            return str(name)
        problem: Exception | None = None
    except (ValueError, KeyError) as error:
        problem = error
    text = f"{engine.location()} does not say any more how it hashes large keys; move it aside, or clear it"
    raise CorruptEntry(text) from problem


class StashFacts:
    """What a stash remembers about itself in its ``meta`` section: how it hashes large buffers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._hash: str | None = None

    def buffer_hash(self) -> str:
        """The hash of large buffers in this stash's keys: chosen once, when the first such key is used.

        Where nothing can be written, it is the one that would be chosen: there is no such key yet that it could miss.
        """
        if self._hash is None:
            self._hash = self._recorded() or self._choose()
        return self._hash or _best_hash()

    def _recorded(self) -> str | None:
        name = recorded_hash(self._engine)
        if name == "xxh3_128" and _best_hash() != name:
            raise MissingDependency(
                f"{self._engine.location()} hashes large keys with xxh3_128, which needs the package 'xxhash':"
                " pip install 'hashstash[best]'"
            )
        return name

    def _choose(self) -> str | None:
        """The choice as it is recorded now; ``None`` where it cannot be, so that it is made again with the next key."""
        name = _best_hash()
        data = bytes(_META_HEAD) + json.dumps({"buffer_hash": name}).encode()
        try:
            self._engine.section("meta").swap(META_ADDRESS, None, data)
        except (ReadOnlyStash, StashFull):
            return None
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            return None
        return self._recorded()


def _best_hash() -> str:
    from hashstash.fingerprint import Fingerprinter

    return Fingerprinter().buffer_hash


_META_HEAD = 16
"""Rows carry their write id in bytes 8 to 16; the facts are written once, under the write id zero."""
