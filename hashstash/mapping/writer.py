"""``write="workers"``: workers store their results themselves, and send home what they cannot store.

A result that needs code to come back is stored by a worker only if its parent trusts the worker's
signature, as it does where both are the same user on the same machine; all others the parent signs and stores.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hashstash import trust as trusting
from hashstash.decoding import needs_signature
from hashstash.errors import StashError
from hashstash.trust import Trust

if TYPE_CHECKING:
    from hashstash.key_codec import EncodedKey
    from hashstash.stash import HashStash
    from hashstash.store import Store, WriteOptions


@dataclass(frozen=True)
class WriteOrder:
    """What a worker is told of the stash that it is to write to."""

    stash: dict[str, Any]
    """Its settings, without any password."""
    options: WriteOptions
    signers: frozenset[bytes]
    """Whose signatures the parent trusts."""


def write_order(stash: HashStash, options: WriteOptions) -> WriteOrder:
    """The order to write to *stash* with these options."""
    signers: frozenset[bytes] = frozenset()
    with contextlib.suppress(StashError, OSError):
        signers = frozenset(trusting.keyring().by_signer)
    return WriteOrder(stash.to_dict(), options, signers)


class Writer:
    """Stores results in the worker. It opens the stash when it has something to write, and gives up once that fails."""

    def __init__(self, order: WriteOrder) -> None:
        self._order = order
        self._store: Store | None = None
        self._trouble = ""

    def write(self, key: EncodedKey, value: Any, seconds: float) -> str | None:
        """Store *value*; why it could not be, if so: it is then the parent's to store. ``""``: for no reason that matters."""
        if self._trouble:
            return self._trouble
        try:
            store = self._opened()
            payload = store.payload_of(store.codec.serializer.dumps(value))
            is_signed = needs_signature(payload) or key.is_code or store.trust is Trust.STRICT
            if is_signed and not self._is_trusted():
                return ""
            store.write(key, payload, replace(self._order.options, seconds=seconds))
        except (StashError, OSError) as error:
            if not isinstance(error, TypeError):  # which speaks of this value only
                self._trouble = str(error)
            return str(error)
        return None

    def _opened(self) -> Store:
        from hashstash.stash import HashStash

        if self._store is None:
            self._store = HashStash.from_dict(self._order.stash).store
        return self._store

    def _is_trusted(self) -> bool:
        try:
            return trusting.signer_of(trusting.keyring().keys[0]) in self._order.signers
        except (StashError, OSError):
            return False
