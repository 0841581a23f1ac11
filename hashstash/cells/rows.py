"""How the records of one named stash lie in it: three kinds of rows.

``("code", digest)`` lists the records of one cell, whatever their inputs; ``("outputs", id)`` holds what a run showed
and did; ``("variables", id)`` holds what it bound. The list is written last, so that a record is complete or
invisible.

Lists are signed. Whoever adds to a list that nobody he trusts signed marks each record found in it as foreign before
he signs the whole: a stranger's record stays usable as data, and never passes for one's own.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import listing
from hashstash.cells.interrupts import HeldBack
from hashstash.cells.recorded import FOREIGN, FORMAT, Outputs, Record, Row, is_sound
from hashstash.decoding import UnknownCodec
from hashstash.errors import BadEntry, CorruptEntry, StashError, UntrustedEntry
from hashstash.registry import SERIALIZERS
from hashstash.upkeep import trust_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from hashstash.codec import Encoded
    from hashstash.entry import Entry
    from hashstash.stash import HashStash

_MOST_RECORDS = 64
"""Of one cell; beyond, the oldest go."""
_MOST_LISTS = 32
"""So many of the lists that were read last are kept decoded."""


def _is_row(row: dict[str, Any]) -> bool:
    """Whether a record can be made of it, although nobody this user trusts has."""
    try:
        return type(row["id"]) is str and (row["format"] != FORMAT or is_sound(Record.from_data(row, is_trusted=False)))
    except (AttributeError, LookupError, TypeError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class RecordList:
    """The records of one cell, as they lie in their row."""

    digest: bytes
    """Of the cell's code."""
    entry: Entry
    rows: list[dict[str, Any]]

    @property
    def foreign(self) -> list[dict[str, Any]]:
        """Those that nobody this user trusts made."""
        return [row for row in self.rows if FOREIGN in row]

    @property
    def records(self) -> list[Record]:
        """All of them that are of a format that this version reads."""
        rows = [row for row in self.rows if row["format"] == FORMAT]
        return [Record.from_data(row, is_trusted=FOREIGN not in row) for row in rows]

    @property
    def content(self) -> bytes:
        """A digest of all of them, marks included."""
        encoded = SERIALIZERS.load("hashstash").dumps(self.rows)
        return blake2b(b"".join((encoded.document, *encoded.buffers)), digest_size=16).digest()


class _ReadList(NamedTuple):
    write_id: bytes
    is_trusted: bool
    rows: list[dict[str, Any]]


class Rows:
    """The records in one stash."""

    def __init__(self, stash: HashStash) -> None:
        self.stash = stash
        self._read: dict[bytes, _ReadList] = {}
        """The lists as they were when they were last read, the latest at the end; nobody changes what is in them."""

    def of_code(self, digest: bytes) -> list[Record]:
        """The records of a cell, newest first; a stored list that cannot be read raises a ``BadEntry``."""
        return [row.record() for row in self.rows_of_code(digest)]

    def rows_of_code(self, digest: bytes) -> list[Row]:
        """The same without making records of them: a hit needs one, and most of the others can be told by a look."""
        return [Row(row) for row in reversed(self._list(digest)) if row["format"] == FORMAT]

    def _list(self, digest: bytes) -> list[dict[str, Any]]:
        """The stored list of a cell's records; those that nobody this user trusts made are marked."""
        entry = self.stash.store.find(("code", digest))
        known = self._read.pop(digest, None)
        if entry is None:
            return []
        if known is None or (known.write_id, known.is_trusted) != (entry.write_id, entry.is_trusted):
            known = _ReadList(entry.write_id, entry.is_trusted, self._own_list(entry))
        self._read[digest] = known
        if len(self._read) > _MOST_LISTS:
            del self._read[next(iter(self._read))]
        return list(known.rows)

    def _list_to_extend(self, digest: bytes) -> list[dict[str, Any]]:
        """The list to which records are added: an empty one, where what lies there is damaged and will be kept aside."""
        try:
            return self._list(digest)
        except UnknownCodec:  # it is whole
            raise
        except (CorruptEntry, UntrustedEntry):  # we write lists as data: one that needs code is nobody's
            store = self.stash.store
            store.seen_bad.add(store.keys.address(("code", digest)))
            return []

    def has_news(self, digest: bytes) -> bool:
        """Whether the list of a cell's records was written since :meth:`of_code` read it."""
        entry = self.stash.store.find(("code", digest))
        known = self._read.get(digest)
        return (None if entry is None else entry.write_id) != (None if known is None else known.write_id)

    def _marked(self, entry: Entry, encoded: Encoded) -> list[dict[str, Any]]:
        rows = self._decoded(entry, encoded)
        return list(rows) if entry.is_trusted else [{**row, FOREIGN: True} for row in rows]

    def _own_list(self, entry: Entry) -> list[dict[str, Any]]:
        """What is one's own, or sound although it is somebody else's: a list that a stranger has made up is no list."""
        encoded = self.stash.store.encoded_of(entry)
        if entry.is_trusted:
            return self._marked(entry, encoded)
        try:
            return list(filter(_is_row, self._marked(entry, encoded)))
        except (TypeError, ValueError):
            return []

    def _put_list(self, digest: bytes, rows: list[dict[str, Any]]) -> None:
        self.stash.put_encoded(("code", digest), self.stash.store.codec.serializer.dumps(rows), sign=True)

    def add(self, digest: bytes, record: Record, outputs: Outputs, variables: Encoded) -> None:
        """Store a record; an earlier one with the same facts gives way to it."""
        shown = {"events": outputs.events, "surroundings": outputs.surroundings, "result": outputs.result}
        shown |= {"inputs": outputs.inputs} if outputs.inputs else {}
        shown |= {"versions": outputs.versions} if outputs.versions else {}
        encoded = self.stash.store.codec.serializer.dumps(shown)
        changes = record.changes_objects
        is_listed = False
        try:
            contents = [(("variables", record.id), variables, changes), (("outputs", record.id), encoded, True)]
            self.stash.put_encoded_together(contents, seconds=record.seconds)
            with HeldBack():
                given_way = self._enter(digest, record)
                is_listed = True
        except BaseException:
            if not is_listed:
                with contextlib.suppress(StashError, OSError):  # where nothing can be written, nothing can be removed
                    self._remove_contents([record.id])
            raise
        self._remove_contents(given_way)

    def _enter(self, digest: bytes, record: Record) -> list[str]:
        """Add a record to the cell's list; return the ids of those which gave way to it."""
        with self.stash.lock(("code", digest)):
            rows = self._list_to_extend(digest)
            new = record.to_data()
            # What a newer version has stored is left to those who can read it.
            kept = [row for row in rows if row.get("facts") != new["facts"] or row["format"] != FORMAT]
            kept = kept[1 - _MOST_RECORDS :]
            self._put_list(digest, [*kept, new])
        return [row["id"] for row in rows if row not in kept]

    def outputs(self, record: Record) -> tuple[Outputs, bool] | None:
        """What the run showed, and whether somebody this user trusts wrote it; ``None`` if it is gone."""
        found = self.stash.get_encoded(("outputs", record.id))
        if found is None:
            return None
        entry, encoded = found
        data = self._decoded(entry, encoded)
        result = data["result"]
        outputs = Outputs(
            data["events"],
            data["surroundings"],
            tuple(result) if result else None,
            data.get("inputs", {}),
            data.get("versions", {}),
        )
        return outputs, entry.is_trusted

    def _decoded(self, entry: Entry, encoded: Encoded) -> Any:
        from hashstash.decoding import decoder_of

        return decoder_of(entry.label).serializer.loads(encoded)

    def variables(self, record: Record) -> tuple[Encoded, bool] | None:
        """What the run bound, still encoded, and whether somebody this user trusts wrote it; ``None`` if it is gone."""
        found = self.stash.get_encoded(("variables", record.id))
        return None if found is None else (found[1], found[0].is_trusted)

    def all(self) -> Iterator[tuple[bytes, Record]]:
        """Every record with the digest of its cell's code, in any order."""
        for digest in self.digests():
            for record in self.of_code(digest):
                yield digest, record

    def digests(self) -> Iterator[bytes]:
        """The digests of the codes of all cells that have records."""
        return iter(self.looked_over()[0])

    def looked_over(self) -> tuple[list[bytes], int]:
        """The same, and how many rows are so damaged that nobody can tell what they are."""
        store, count = self.stash.store, len(self.stash)
        keys = list(listing.each(store, store.key_of, warns=False))
        found = [key[1] for key in keys if isinstance(key, tuple) and len(key) == 2 and key[0] == "code"]
        return found, max(0, count - len(keys))

    def lists(self) -> Iterator[RecordList]:
        """The list of records of each cell; those that cannot be read are left out."""
        for digest in self.digests():
            with contextlib.suppress(BadEntry, TypeError, ValueError):  # changed bytes, or what a stranger made up
                found = self.read_list(digest)
                if found is not None:
                    yield found

    def read_list(self, digest: bytes) -> RecordList | None:
        """The list of records of one cell; ``None`` if it is gone, and a ``BadEntry`` if it cannot be read."""
        found = self.stash.get_encoded(("code", digest))
        return None if found is None else RecordList(digest, found[0], self._marked(*found))

    def trust(self, listed: Mapping[bytes, bytes] | None = None) -> tuple[int, int]:
        """Sign everything with this user's key; return how many records were foreign, and how many rows were not signed.

        *listed*: addresses with the digest of what was seen there, of a list its own, else the ``content_digest``; only what is
        still like that is signed.
        """
        foreign = 0
        for digest in self.digests():
            with self.stash.lock(("code", digest)), contextlib.suppress(BadEntry, TypeError, ValueError):
                found = self.read_list(digest)
                if found is None or not found.foreign:
                    continue
                if listed is None or listed.get(found.entry.digest) == found.content:
                    self._put_list(digest, [{k: v for k, v in row.items() if k != FOREIGN} for row in found.rows])
                    foreign += len(found.foreign)
        return foreign, trust_all(self.stash.store, everything=True, only=listed)

    def join(self, found: RecordList) -> None:
        """Add the records of a list that was read elsewhere; those that this stash has, or has with the same facts, stay."""
        with self.stash.lock(("code", found.digest)):
            rows = self._list_to_extend(found.digest)
            ids, facts = {row["id"] for row in rows}, [row.get("facts") for row in rows]
            others = [row for row in found.rows if row["id"] not in ids]
            new = [row for row in others if row.get("facts") not in facts and type(row.get("created_at")) is float]
            new = new[max(0, len(new) + len(rows) - _MOST_RECORDS) :]  # those that are here come first
            if new:
                self._put_list(found.digest, sorted([*rows, *new], key=lambda row: row["created_at"]))
        self._remove_contents(row["id"] for row in others if row not in new)

    def remove(self, *, older_than: float | None = None, only: Collection[str] | None = None) -> int:
        """Remove the records that are more than *older_than* seconds old, or whose ids are *only*; return how many went."""
        limit = None if older_than is None else time.time() - older_than
        chosen = ((code, record) for code, record in self.all() if limit is None or record.created_at < limit)
        gone = [(code, record) for code, record in chosen if only is None or record.id in only]
        for digest in {code for code, _record in gone}:
            ids = {record.id for code, record in gone if code == digest}
            key = ("code", digest)
            with self.stash.lock(key):
                kept = [row for row in self._list(digest) if row["id"] not in ids]
                if kept:
                    self._put_list(digest, kept)
                else:
                    self.stash.discard(key)
            self._remove_contents(ids)
        return len(gone)

    def _remove_contents(self, ids: Any) -> None:
        for record_id in list(ids):
            self.stash.discard(("outputs", record_id))
            self.stash.discard(("variables", record_id))
