"""Exceptions that are kept for a while, in a section of their own: no listing, and no other reader, takes one for a result."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from hashstash import trust as trusting
from hashstash.decoding import decoder_of, needs_signature, unfilter
from hashstash.entry import NO_FLAGS, Entry, Flag, new_write_id, unpack
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, NewerFormat
from hashstash.policies.time_to_live import TimeToLive, expiry
from hashstash.trust import Trust

if TYPE_CHECKING:
    from hashstash.key_codec import EncodedKey
    from hashstash.store import Store

ERRORS = "errors"
_NEVER: tuple[type[Exception], ...] = (MemoryError, RecursionError)
"""They speak of this process and of how deep it was, not of the arguments."""


class Failure(NamedTuple):
    """What a call came to that raised."""

    error: Exception
    created_at: float = 0.0
    """When it was stored, in seconds since the epoch; 0 if it was raised just now."""


class KeptErrors:
    """The exceptions of one function that were stored beside its results."""

    def __init__(self, store: Store, name: str, seconds: float) -> None:
        self._name = name
        ttl = next((policy.seconds for policy in store.policies if isinstance(policy, TimeToLive)), math.inf)
        self._seconds = min(seconds, ttl)
        self._engine = store.engine.section(ERRORS)
        self._codec = store.codec
        self._trust = store.trust
        # A name of its own, so that nobody can move a signed exception to where results lie.
        self._namespace = f"{store.namespace}/@{ERRORS}"

    def find(self, address: bytes) -> Failure | None:
        """The exception that the call at *address* raised, if it is kept still; raises a BadEntry like any reading."""
        row = self._engine.get(address)
        entry = None if row is None else unpack(row, address)
        if entry is None or entry.is_expired():
            return None
        trusting.check(entry, self._namespace, self._trust)
        encoded = unfilter(entry.label, entry.payload, entry.raw_size, entry.flags, is_trusted=entry.is_trusted)
        error = decoder_of(entry.label).serializer.loads(encoded)
        if not isinstance(error, Exception):
            raise CorruptEntry(f"a stored exception in {self._engine.location()} is a {type(error).__name__}")
        created_at = entry.created_at / 1e9
        error.add_note(_note(self._name, created_at))
        return Failure(error, created_at)

    def keep(self, key: EncodedKey, error: Exception, *, seconds: float, context: bytes) -> None:
        """Store *error* as what the call at *key* raises; raises a StashError or OSError where that cannot be done."""
        if isinstance(error, _NEVER) or self._is_newer(key.address):
            return
        payload = self._codec.encode(error)
        entry = Entry(
            *(key.address, payload.label, key.data, bytes(payload.join()), payload.raw_size),
            flags=payload.flags | (Flag.CODE if key.is_code else NO_FLAGS),
            write_id=new_write_id(),
            created_at=time.time_ns(),
            seconds=seconds,
            metadata=context,
        )
        if math.isfinite(self._seconds):
            entry.expires_at = expiry(entry.created_at, self._seconds)
        if entry.is_code or self._trust is Trust.STRICT or needs_signature(payload):
            trusting.keyring().sign(entry, self._namespace)
        self._engine.ensure_writable()
        self._engine.put(key.address, entry.pack())
        if entry.expires_at:
            self._engine.expire(key.address, entry.expires_at, entry.write_id)

    def _is_newer(self, address: bytes) -> bool:
        """Whether a newer hashstash has stored the exception: it is left to those who can read it."""
        try:
            self.find(address)
        except NewerFormat:
            return True
        except (BadEntry, MissingDependency):
            pass
        return False

    def forget(self, address: bytes) -> bool:
        """Remove the exception at *address*; return whether there was one that was kept still."""
        row = self._engine.get(address)
        if row is None:
            return False
        self._engine.delete(address)
        try:
            return not unpack(row, address).is_expired()
        except BadEntry:
            return False


def _note(name: str, created_at: float) -> str:
    when = datetime.fromtimestamp(created_at).astimezone().isoformat(" ", "seconds")
    return f"{name} raised this at {when}; it was kept in the stash and the function was not called again"
