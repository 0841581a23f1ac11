"""Stashes of cells from a file: what is new comes in, and lists of records of one cell become one list."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from hashstash import archive
from hashstash.cells.rows import Rows
from hashstash.stash import HashStash

if TYPE_CHECKING:
    import os


def import_stash(file: str | os.PathLike[str], rows: Rows, name: str) -> None:
    """Add what *file* holds under *name*. What is there stays; nothing is trusted by this.

    A key that both have keeps its entry here. For the list of a cell's records that would hide the new ones, so that cells which
    both have stored are unpacked once more, into a temporary folder, and their lists are joined. A damaged list gives way.
    """
    entries = sum(one.entries for one in archive.contents(file) if one.name == name)
    stored = archive.import_stash(file, rows.stash, name=name)
    if stored == entries:
        return
    folder = tempfile.mkdtemp(prefix="hashstash-")
    try:
        # Under the same namespace, which signatures cover: what is signed there is signed here.
        aside = HashStash(folder, dbname=rows.stash.dbname, engine="pairtree")
        archive.import_stash(file, aside, name=name)
        for found in Rows(aside).lists():
            rows.join(found)  # which changes nothing where the list came in as it was
        aside.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
