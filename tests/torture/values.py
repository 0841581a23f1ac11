"""Values that tell by themselves whether they are whole, whose they are and how old: their own checksum, of this suite's making."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

SMALL, MIDDLE, LARGE = 100, 5_000, 200_000
"""Bytes: within a row, across pages, in a file of its own."""


class Torn(Exception):
    """What was read is not what anybody wrote under that key."""


def made(key: Any, writer: int, number: int, size: int = SMALL) -> dict[str, Any]:
    """What *writer* stores under *key* as its *number*-th value."""
    body = random.Random(f"{key!r} {writer} {number}").randbytes(size)
    return {"key": key, "writer": writer, "number": number, "body": body, "sum": _sum(key, writer, number, body)}


def verified(key: Any, value: Any) -> tuple[int, int]:
    """The writer and the number of what was read under *key*; :class:`Torn` unless it is exactly what a writer made."""
    try:
        if value["key"] == key and value["sum"] == _sum(key, value["writer"], value["number"], value["body"]):
            return value["writer"], value["number"]
    except (TypeError, KeyError) as error:
        raise Torn(f"under {key!r}: {type(value).__name__}") from error
    raise Torn(f"under {key!r}: a value of {value.get('key')!r} whose checksum differs")


def _sum(key: Any, writer: int, number: int, body: bytes) -> str:
    digest = sha256(repr((key, writer, number)).encode())
    digest.update(body)
    return digest.hexdigest()
