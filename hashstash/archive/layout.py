"""The form of an archive.

An archive is a zip file. Its last member, ``manifest.json``, says what stashes there are, and how many members hold the rows of
each of their parts: of the stash itself, and of the functions and maps whose results are kept below it. Such a member, called
``<stash>/<part>/<kind>.<number>``, is a sequence of records: the rows as stashes store them, each with its own checksum, and
what belongs to them::

    Q  size of the row   Q  size of the content of its blob file   row   content

The kinds are ``rows``, ``history`` (older versions) and ``contexts`` (what functions were made of: an address and what is stored
there).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import BadArchive, Conflict, NewerFormat, UnsafeName
from hashstash.key_codec import META_ADDRESS, recorded_hash
from hashstash.open import FUNCTIONS, MAPS, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine

FORMAT = "hashstash archive"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ROWS, HISTORY, CONTEXTS = "rows", "history", "contexts"
KINDS = (ROWS, HISTORY, CONTEXTS)
RECORD = struct.Struct("<QQ")
PIECE = 1 << 20
CONTEXT_PREFIX = b"context "
"""What begins the addresses of the rows in the section ``meta`` that say what a function was made of."""
LARGEST_CONTEXT = 4 << 20
LONGEST_CONTEXT_ADDRESS = 64
_LONGEST_NAME = 1000
_TYPED = ("/", "~", "./", "../", "\\")
_META_HEAD = 16
_HASHES = (None, "sha256", "xxh3_128")


class Content(NamedTuple):
    """One stash in an archive, as the archive describes it."""

    name: str
    entries: int
    """Functions' results included, older versions not."""
    bytes: int


@dataclass(frozen=True)
class PackedPart:
    """A stash, or what one function or map keeps below it."""

    below: str
    """Its name below the stash; empty for the stash itself."""
    entries: int
    bytes: int
    buffer_hash: str | None
    """How large parts of keys are hashed; ``None`` where that was not needed yet."""
    members: dict[str, int]
    """How many members there are of each kind."""


@dataclass(frozen=True)
class PackedStash:
    """One stash in an archive."""

    name: str
    namespace: str
    """The ``dbname`` under which its rows were signed, empty for none."""
    label: str
    parts: tuple[PackedPart, ...]

    @property
    def content(self) -> Content:
        """What it is, in short."""
        return Content(self.name, sum(part.entries for part in self.parts), sum(part.bytes for part in self.parts))


def member_name(stash: int, part: int, kind: str, number: int) -> str:
    """What a member is called."""
    return f"{stash}/{part}/{kind}.{number}"


def checked_name(name: Any) -> str:
    """The name of a stash in an archive; ValueError for one that could be taken for a path or a URL."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or name.startswith(_TYPED) or "://" in name:
        raise UnsafeName(f"{name!r:.80} cannot be the name of a stash in an archive; give a plain name")
    return namespace(name, "the name of a stash in an archive")


def usable_name(name: str) -> str:
    """*name*, if a stash in an archive can have it, or else another one."""
    try:
        return checked_name(name)
    except UnsafeName:
        return "stash"


def record_hash(engine: Engine, name: str) -> None:
    """Let the stash on *engine* hash large parts of keys as the rows do that it gets; Conflict if it does otherwise."""
    row = bytes(_META_HEAD) + json.dumps({"buffer_hash": name}).encode()
    engine.section("meta").swap(META_ADDRESS, None, row)
    if recorded_hash(engine) != name:
        raise Conflict(
            f"{engine.location()} hashes large keys by {recorded_hash(engine)} and the archive by {name}, so that they would not"
            " be found; import it into an empty stash"
        )


def member_names(stash: int, part: int, kind: str, packed: PackedPart) -> Iterator[str]:
    """What the members of one kind are called, in order."""
    return (member_name(stash, part, kind, number) for number in range(packed.members[kind]))


def stash_of(data: dict[str, Any]) -> PackedStash:
    """What a manifest says of one stash; any error of the built-in kind where it says something else."""
    parts = tuple(map(_part_of, data["parts"]))
    if not parts or parts[0].below or len({part.below for part in parts}) != len(parts):
        raise BadArchive("the parts of one of its stashes are not those that a stash has")
    dbname, label = data["namespace"], data["label"]
    if type(dbname) is not str or type(label) is not str or (dbname and namespace(dbname) != dbname):
        raise BadArchive("one of its stashes has no namespace that a stash can have")
    return PackedStash(checked_name(data["name"]), dbname, label, parts)


def _part_of(data: dict[str, Any]) -> PackedPart:
    below, counts, buffer_hash = data["below"], data["members"], data["buffer_hash"]
    kind, _, name = below.partition("/")
    if below and (kind not in (FUNCTIONS, MAPS) or not name or "/" in name or namespace(below) != below):
        raise BadArchive(f"{below!r:.80} is no place where functions or maps keep their results")
    if buffer_hash not in _HASHES:
        raise NewerFormat(f"keys are hashed by {buffer_hash!r:.40}, which this hashstash cannot; upgrade hashstash")
    members = {kind: _count(counts[kind]) for kind in KINDS}
    return PackedPart(below, _count(data["entries"]), _count(data["bytes"]), buffer_hash, members)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise BadArchive(f"{value!r:.40} is no number of anything")
    return value
