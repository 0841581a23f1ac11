"""Zip files whose members have any name and kind."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Made = Iterator[tuple[str, Callable[[], bytes]]]
"""Names, and what makes the content of each."""
MANIFEST, ROWS = "manifest.json", "0/0/rows.0"


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def packed(found: dict[str, bytes], more: tuple[tuple[Any, bytes], ...] = (), *, deflated: bool = False) -> bytes:
    """A zip file of them, and of more that may have any name."""
    written = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w") as opened:
        warnings.simplefilter("ignore")  # of names that are there twice
        for info, data in (*more, *found.items()):
            opened.writestr(info, data, kind)
    return written.getvalue()


def info(name: str, mode: int = 0o100600) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("x")
    made.filename = name  # as it is: the constructor mends names
    made.external_attr = mode << 16
    return made
