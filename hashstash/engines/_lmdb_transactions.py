"""What is asked of an open transaction of LMDB."""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from hashstash.engine import WRITE_ID
from hashstash.engines._lmdb_check import check_pages
from hashstash.engines._lmdb_pages import Pages

if TYPE_CHECKING:
    from hashstash.engine import Change
    from hashstash.engines._lmdb_environment import Environment

BATCH = 1000


def drop_rows(environment: Environment, transaction: Any) -> None:
    """Remove every row."""
    transaction.drop(environment.rows, delete=False)


def check_all(path: str, transaction: Any) -> None:
    """Raise Damaged unless all pages of the file at *path* that the transaction can come to are sound."""
    with Pages(path) as pages:
        check_pages(pages, transaction.id())


def swap_each(transaction: Any, *, changes: list[Change]) -> list[bool]:
    """Store each row that still carries the write id expected of it; which ones were stored."""
    stored = []
    for address, expected, blob in changes:
        current = transaction.get(address)
        stored.append((None if current is None else current[WRITE_ID]) == expected)
        if stored[-1]:
            transaction.put(address, blob)
    return stored


def batch_of(transaction: Any, *, start: bytes, after: bool, prefix: bytes, values: bool) -> list[tuple[bytes, bytes]]:
    """The next rows at *start*, or *after* it, that begin with *prefix*; nothing for their values unless those are wished."""
    with transaction.cursor() as cursor:
        found = cursor.set_range(start) if start else cursor.first()
        if found and after and cursor.key() == start:
            found = cursor.next()
        if not found:
            return []
        rest = cursor.iternext(True, True) if values else zip(cursor.iternext(True, False), repeat(b""))
        rows = list(islice(rest, BATCH))
    if prefix and rows and not rows[-1][0].startswith(prefix):
        rows = [row for row in rows if row[0].startswith(prefix)]
    return rows
