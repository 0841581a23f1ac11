"""Storages that are damaged as a whole: their rows, as far as any can be found, in new files; the damaged files beside them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from hashstash.paths import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hashstash.engine import Engine

NEXT_STEP = "close it everywhere and call repair(), which saves what can be read, or move it aside"
ASIDE = "damaged"
"""The folder, in that of an engine, which keeps files that were replaced."""


def gathered(
    found: Iterable[tuple[bytes | None, bytes]], place_of: Callable[[bytes], bytes | None]
) -> dict[bytes, bytes]:
    """One row for each address: of those *found* the first that is sound and lies where it belongs, if there is one."""
    rows: dict[bytes, bytes] = {}
    elsewhere: dict[bytes, bytes] = {}
    unsound: dict[bytes, bytes] = {}
    for address, blob in found:
        place = place_of(blob)
        if place is not None:
            (rows if place == address else elsewhere).setdefault(place, blob)
        elif address:
            unsound.setdefault(address, blob)
    return {**unsound, **elsewhere, **rows}


def replace_files(folder: str, names: Sequence[str], rows: dict[bytes, bytes], make: Callable[[str], Engine]) -> None:
    """Put *rows* into files that the engine which *make* gives has written, in place of those called *names* in *folder*."""
    draft = os.path.join(folder, f"draft.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        make_folder(draft)
        engine = make(draft)
        try:
            engine.put_many(rows.items())
            engine.sync()
        finally:
            engine.close()
        _move(folder, _new_aside(folder), names)
        _move(draft, folder, names)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _new_aside(folder: str) -> str:
    number = 1
    while os.path.exists(path := os.path.join(folder, ASIDE, str(number))):
        number += 1
    make_folder(path)
    return path


def _move(source: str, target: str, names: Sequence[str]) -> None:
    for name in names:
        path = os.path.join(source, name)
        if os.path.lexists(path):
            os.rename(path, os.path.join(target, name))
