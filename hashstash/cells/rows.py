"""How the records of one named stash lie in it: three kinds of rows.

``("code", digest)`` lists the records of one cell, whatever their inputs; ``("outputs", id)`` holds what a run showed
and did; ``("variables", id)`` holds what it bound. The list is written last, so that a record is complete or
invisible.

Lists are signed. Whoever adds to a list that nobody he trusts signed marks each record found in it as foreign before
he signs the whole: a stranger's record stays usable as data, and never passes for one's own.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashstash.cells.facts import Facts
from hashstash.upkeep import trust_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.codec import Encoded
    from hashstash.entry import Entry
    from hashstash.stash import HashStash

FORMAT = 1
_MOST_RECORDS = 64
"""Of one cell; beyond, the oldest go."""
_FOREIGN = "foreign"
"""Marks, in a signed list, a record of somebody else."""
_NOT_STORED = frozenset({"is_trusted"})


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one cell, without what it showed and bound."""

    code: str
    """The cell's text, for people."""
    facts: Facts
    seconds: float
    """How long the run took."""
    variables: dict[str, bytes | None]
    """Names that were bound -> digest of the value, ``None`` where it has none."""
    deleted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Names that were bound or changed, and not stored because the user said so."""
    leftovers: dict[str, list[Any]] = field(default_factory=dict)
    """Names that were left bound to a closed file, a finished thread -> its description."""
    changes_objects: bool = False
    """Whether objects that existed before were changed in place."""
    sharing: bytes = b""
    """Which objects the bound variables share with one another and with the inputs."""
    roots: tuple[str, ...] = ()
    """The inputs by value whose objects the record may point at."""
    result: str = ""
    """Where the last value is: ``""`` none, ``"stored"``, ``"shown"`` (only its looks), or ``"variable NAME"``."""
    size: int = 0
    """Bytes of the encoded variables."""
    imports: tuple[str, ...] = ()
    """Submodules that the cell loaded by ``import a.b``."""
    expires_at: float | None = None
    created_at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    is_trusted: bool = False
    """Whether somebody this user trusts made it; known when it was read, and not stored."""

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_STORED}
        return {**data, "format": FORMAT, "facts": self.facts.to_data()}

    @classmethod
    def from_data(cls, data: dict[str, Any], *, is_trusted: bool) -> Record:
        """From what :meth:`to_data` gave; the data itself cannot say that it is trusted."""
        fields = {name: value for name, value in data.items() if name not in ("format", _FOREIGN)}
        fields["is_trusted"] = is_trusted
        sequences = {name: tuple(fields[name]) for name in ("deleted", "missing", "roots", "imports")}
        return cls(**{**fields, **sequences, "facts": Facts.from_data(data["facts"])})

    @property
    def is_expired(self) -> bool:
        """Whether its time to live is over."""
        return self.expires_at is not None and time.time() >= self.expires_at


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run showed, and what it changed around its variables."""

    events: list[Any]
    surroundings: dict[str, Any] = field(default_factory=dict)
    result: tuple[dict[str, Any], dict[str, Any]] | None = None
    """How the last value looked, where the value itself could not be stored."""


class Rows:
    """The records in one stash."""

    def __init__(self, stash: HashStash) -> None:
        self.stash = stash

    def of_code(self, digest: bytes) -> list[Record]:
        """The records of a cell, newest first; a stored list that cannot be read raises a ``BadEntry``."""
        rows = [row for row in reversed(self._list(digest)) if row["format"] == FORMAT]
        return [Record.from_data(row, is_trusted=not row.get(_FOREIGN)) for row in rows]

    def _list(self, digest: bytes) -> list[dict[str, Any]]:
        """The stored list of a cell's records; those that nobody this user trusts made are marked."""
        found = self.stash.get_encoded(("code", digest))
        if found is None:
            return []
        entry, encoded = found
        rows = self._decoded(entry, encoded)
        return list(rows) if entry.is_trusted else [{**row, _FOREIGN: True} for row in rows]

    def _put_list(self, digest: bytes, rows: list[dict[str, Any]]) -> None:
        self.stash.put_encoded(("code", digest), self.stash.store.codec.serializer.dumps(rows), sign=True)

    def add(self, digest: bytes, record: Record, outputs: Outputs, variables: Encoded) -> None:
        """Store a record; an earlier one with the same facts gives way to it."""
        shown = {"events": outputs.events, "surroundings": outputs.surroundings, "result": outputs.result}
        encoded = self.stash.store.codec.serializer.dumps(shown)
        changes = record.changes_objects
        self.stash.put_encoded(("variables", record.id), variables, seconds=record.seconds, sign=changes)
        self.stash.put_encoded(("outputs", record.id), encoded, seconds=record.seconds, sign=True)
        with self.stash.lock(("code", digest)):
            rows = self._list(digest)
            new = record.to_data()
            kept = [row for row in rows if row.get("facts") != new["facts"]][1 - _MOST_RECORDS :]
            self._put_list(digest, [*kept, new])
        self._remove_contents(row["id"] for row in rows if row not in kept)

    def outputs(self, record: Record) -> tuple[Outputs, bool] | None:
        """What the run showed, and whether somebody this user trusts wrote it; ``None`` if it is gone."""
        found = self.stash.get_encoded(("outputs", record.id))
        if found is None:
            return None
        entry, encoded = found
        data = self._decoded(entry, encoded)
        result = data["result"]
        return Outputs(data["events"], data["surroundings"], tuple(result) if result else None), entry.is_trusted

    def _decoded(self, entry: Entry, encoded: Encoded) -> Any:
        from hashstash.codec import decoder_of

        return decoder_of(entry.label).serializer.loads(encoded)

    def variables(self, record: Record) -> tuple[Encoded, bool] | None:
        """What the run bound, still encoded, and whether somebody this user trusts wrote it; ``None`` if it is gone."""
        found = self.stash.get_encoded(("variables", record.id))
        return None if found is None else (found[1], found[0].is_trusted)

    def all(self) -> Iterator[tuple[bytes, Record]]:
        """Every record with the digest of its cell's code, in any order."""
        for digest in self._digests():
            for record in self.of_code(digest):
                yield digest, record

    def _digests(self) -> Iterator[bytes]:
        return (key[1] for key in self.stash if isinstance(key, tuple) and len(key) == 2 and key[0] == "code")

    def trust(self) -> tuple[int, int]:
        """Sign everything with this user's key; return how many records were foreign, and how many rows were not signed."""
        foreign = 0
        for digest in list(self._digests()):
            with self.stash.lock(("code", digest)):
                rows = self._list(digest)
                marked = sum(_FOREIGN in row for row in rows)
                if marked:
                    self._put_list(digest, [{k: v for k, v in row.items() if k != _FOREIGN} for row in rows])
            foreign += marked
        return foreign, trust_all(self.stash.store, everything=True)

    def remove(self, *, older_than: float | None = None) -> int:
        """Remove the records that are more than *older_than* seconds old, or all of them; return how many went."""
        limit = None if older_than is None else time.time() - older_than
        gone = [(code, record) for code, record in self.all() if limit is None or record.created_at < limit]
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
