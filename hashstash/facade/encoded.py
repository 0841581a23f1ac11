"""The encoded forms of keys, values and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash import writing
from hashstash.facade.part import Part
from hashstash.loose import from_loose, key_from_loose, loose_key, to_loose
from hashstash.policies.time_to_live import parse_duration
from hashstash.writing import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.codec import Buffer, Encoded
    from hashstash.entry import Entry


class Encodes(Part):
    """Bytes instead of objects, for those who move them by themselves."""

    def put_encoded(
        self, key: Any, encoded: Encoded, *, seconds: float = 0.0, ttl: Any = None, sign: bool = False
    ) -> Entry:
        """Store a value that this stash's serializer has encoded already; *sign* it even if it is data."""
        lasts = None if ttl is None else parse_duration(ttl)
        options = WriteOptions(seconds, lasts, sign, metadata=self.store.keys.context())
        return self.store.save_encoded(key, encoded, options)

    def put_encoded_together(self, items: Iterable[tuple[Any, Encoded, bool]], *, seconds: float = 0.0) -> None:
        """Store values that this stash's serializer has encoded already, each with its key and whether to sign it, at once."""
        store, context = self.store, self.store.keys.context()
        writing.write_together(
            store,
            (
                (store.keys.encode(key), store.payload_of(encoded), WriteOptions(seconds, None, sign, metadata=context))
                for key, encoded, sign in items
            ),
        )

    def get_encoded(self, key: Any) -> tuple[Entry, Encoded] | None:
        """The checked entry at *key* and its value, still serialized; ``None`` if there is none."""
        return self.store.find_encoded(key)

    def encode_key(self, key: Any) -> bytes:
        """*key* as it is stored in its row; in a signed frame if it needs code.

        Equal dicts in another order may encode differently; their address is the same.
        """
        return loose_key(self.store.keys.encode(key).data)

    def decode_key(self, data: Buffer) -> Any:
        """The key that was encoded; UntrustedEntry for a foreign one that only code could bring back."""
        return key_from_loose(data, self.store)

    def encode_value(self, value: Any) -> bytes:
        """*value* in a signed frame of its own, with this stash's codec; text with ``b64``."""
        return to_loose(self.store.codec.encode(value), b64=self._config.b64)

    def decode_value(self, data: Buffer) -> Any:
        """The value in a frame of :meth:`encode_value`, or in a row of :meth:`_values`."""
        return from_loose(data, self.store)

    def _keys(self) -> Iterator[bytes]:
        return (key for key, _ in self._items())

    def _values(self) -> Iterator[bytes]:
        return (row for _, row in self._items())

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        for entry in self.store.entries():
            yield (entry.key if self.store.is_foreign_key(entry) else loose_key(entry.key)), entry.pack()
