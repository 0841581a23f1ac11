"""JSON that a stash keeps beside its rows, which whoever made the folder has written."""

from __future__ import annotations

import json
from typing import Any

LARGEST = 1 << 20
"""Bytes. Parsed, a text takes up to fifty times its size."""


def read_object(data: bytes, *, most: int = LARGEST) -> dict[str, Any]:
    """The object that *data* describes; ValueError for anything else, for more than *most* bytes, and for endless nesting."""
    if len(data) > most:
        raise ValueError(f"{len(data):,} bytes are more than {most:,}")
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    if type(found) is not dict:
        raise ValueError("no JSON object")
    return found
