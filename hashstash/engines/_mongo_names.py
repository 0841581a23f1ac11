"""Names of MongoDB collections for places of stashes, and back."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

_LONGEST_NAME = 120
_PLAIN = re.compile(r"[^a-z0-9]")
_CUT = re.compile(r"(?<=[^_])_x")
_ESCAPED = re.compile(r"_([0-9a-f]{2})")
_PREFIX = "hashstash_"
LONG_NAMES = "hashstash__long_names"


def collection_of(place: str, section: str) -> tuple[str, bool]:
    """The name of a collection in small letters, digits and underscores, which every server takes; and whether it is cut."""
    name = _PREFIX + _escaped(place) + (f"__{_escaped(section)}" if section else "")
    if len(name) <= _LONGEST_NAME:
        return name, False
    digest = blake2b(name.encode(), digest_size=12).hexdigest()
    return f"{name[: _LONGEST_NAME - 40].rstrip('_')}_x{digest}", True


def _escaped(text: str) -> str:
    return _PLAIN.sub(lambda match: f"_{ord(match[0]):02x}", text)


def place_of(collection: str) -> Any:
    """The place and the section of a collection; ``None`` for others and for names that are cut."""
    name = collection.removeprefix(_PREFIX)
    if name == collection or "." in name or collection == LONG_NAMES or _CUT.search(name):
        return None
    place, _, section = name.partition("__")
    place, section = (_ESCAPED.sub(lambda match: chr(int(match[1], 16)), part) for part in (place, section))
    # Not what stands beside a collection: servers that cannot take "rows.files" may call it "rows_files".
    return (place, section) if collection_of(place, section) == (collection, False) else None
