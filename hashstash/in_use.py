"""Which blob files are in use: those that rows point at, rows that cannot be read here included.

A damaged row is moved aside and kept, and so is its content: where its reference stood, half of the name of a file is enough to
find that. Rows of a newer hashstash may point at their files in ways that are not known here.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hashstash.blobs import REFERENCE_SIZE, Reference
from hashstash.entry import SIGNATURE_SIZE, Flag, is_begun, may_be_newer, peek_sizes, points_at_blob, unpack
from hashstash.errors import BadEntry, CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = 16
"""Bytes of a name in a reference; and hexadecimal digits of half a name."""
_CHECKSUM = 4
_TAIL = 256
"""Bytes at the end of a damaged row that are searched: more than reference, signature and checksum take."""


class InUse:
    """What is known of *names* of blob files after all rows were looked at: which are in use, and whether others are not."""

    def __init__(self, names: set[str]) -> None:
        self.names: set[str] = set()
        """Those of them that rows point at."""
        self.is_known = True
        """Whether all other files are without a row; not so if a row was met that may point at any of them."""
        self._all = names

    @property
    def orphans(self) -> set[str]:
        """The names that surely no row points at."""
        return self._all - self.names if self.is_known else set()

    def look(self, row: bytes) -> None:
        """Note what *row* points at."""
        try:
            entry = unpack(row)
            if entry.flags & Flag.BLOB:
                self.names |= self._all & {Reference.unpack(entry.payload).name}
        except BadEntry:
            found = self._named_in(row)
            self.names |= found
            if may_be_newer(row) or (is_begun(row) and points_at_blob(row) and not found):
                self.is_known = False

    def _named_in(self, row: bytes) -> set[str]:
        """The names of files of which at least a half stands where *row* has its reference, or had it before it was damaged."""
        digits = row[-_TAIL:].hex() + _at_payload(row).hex()
        halves = (digits[begin : begin + _NAME] for begin in range(0, len(digits), 2))
        return {self._by_half[half] for half in halves if half in self._by_half}

    @cached_property
    def _by_half(self) -> dict[str, str]:
        return {half: name for name in self._all for half in (name[:_NAME], name[_NAME:])}


def likely_names(row: bytes) -> Iterator[str]:
    """The names of blob files that a row may point at which is damaged anywhere but there."""
    for behind in (_CHECKSUM, _CHECKSUM + SIGNATURE_SIZE):
        begin = len(row) - behind - REFERENCE_SIZE
        if begin >= 0:
            yield row[begin : begin + _NAME].hex()


def _at_payload(row: bytes) -> bytes:
    """Where the payload stands if the header is whole: something may have been added behind it."""
    try:
        begin, _ = peek_sizes(row)
    except CorruptEntry:
        return b""
    return row[begin : begin + _NAME]
