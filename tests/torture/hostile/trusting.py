"""The product, broken by hand in several ways at once: what the check of archives, facts and names must find."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from typing import Any

from hashstash import errors, inventory, key_codec, paths
from hashstash.archive import reader
from hashstash.checksum import crc32
from hashstash.compressors import gzip, zlib
from hashstash.entry import unpack
from hashstash.trust import Keyring
from torture.hostile import outside


def _everybody() -> None:
    """Every signature counts."""
    Keyring.verifies = lambda *_: True  # type: ignore[method-assign, assignment]


def _any_size() -> None:
    """An archive's directory is believed."""
    reader.Archive._checked_members = lambda archive: {one.filename: one for one in archive._zip.infolist()}  # type: ignore[method-assign]
    reader._SMALL_MANIFEST = reader._LARGEST_MANIFEST


def _unread() -> None:
    """Nothing of an archive is held against its checksums."""
    reader.Archive.verify = lambda _: None  # type: ignore[method-assign]
    reader.unpack = lambda row, address=None: _unchecked(row)  # type: ignore[assignment]
    zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]


def _unchecked(row: bytes) -> Any:
    return unpack(row[:-4] + crc32(row[:-4]).to_bytes(4, "little"))


def _without_end() -> None:
    """Streams are inflated as far as they go."""
    for module in (gzip, zlib):
        module.inflate = lambda *_: bytes(b"x" * (80 << 20))  # type: ignore[attr-defined]


def _raw_names() -> None:
    """What is named in an error is written as it is."""
    errors.printable = paths.printable = lambda text: text


def _deep() -> None:
    """Facts are parsed as any JSON is."""
    key_codec.read_object = lambda data, most=0: json.loads(data)  # type: ignore[assignment]


def _any_engine() -> None:
    """Folders say by themselves to which engine they belong."""
    inventory._Engines.__contains__ = lambda engines, name: name in engines._known  # type: ignore[method-assign]


BREAKS: dict[str, Callable[[], None]] = {
    "everybody": _everybody,
    "any size": _any_size,
    "unread": _unread,
    "without end": _without_end,
    "raw names": _raw_names,
    "deep": _deep,
    "any engine": _any_engine,
}


def meet(folder: str, mark: str, signer: str, parts: dict[str, int], *rest: Any) -> None:
    """As the check does, with what *parts* names beside the parts broken."""
    for name in [name for name in parts if name in BREAKS]:
        del parts[name]
        BREAKS[name]()
    outside.meet(folder, mark, signer, parts, *rest)
