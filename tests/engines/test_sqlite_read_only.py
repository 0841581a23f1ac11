"""A stash of the sqlite engine that was opened to be read only, in a folder that could be written."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashstash.engines.sqlite import SqliteEngine
from hashstash.testing.engine import ADDRESS, OTHER, row

ENDS_AT_ONCE = """
import os, sys
from hashstash.engines.sqlite import SqliteEngine
from hashstash.testing.engine import ADDRESS, row

SqliteEngine(sys.argv[1]).put(ADDRESS, row("in the log"))
os._exit(0)
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "stash")


@pytest.fixture
def make(folder):
    """A function that makes engines on one folder, which are closed afterwards."""
    with contextlib.ExitStack() as opened:
        yield lambda **options: opened.enter_context(contextlib.closing(SqliteEngine(folder, **options)))


def contents(folder):
    """What the files in *folder* hold, without the index of the log, which holds the locks of readers too."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if not path.name.endswith("-shm")}


def test_what_a_killed_writer_has_left_in_the_log_is_read_and_stays_there(folder, make):
    subprocess.run([sys.executable, "-c", ENDS_AT_ONCE, folder], check=True)
    before = contents(folder)
    reader = make(read_only=True)
    assert reader.get(ADDRESS) == row("in the log")
    reader.sync()
    reader.close()
    assert before["rows.sqlite-wal"]
    assert contents(folder) == before


def test_nothing_is_left_beside_a_file_without_a_log(folder, make):
    writer = make()
    writer.put(ADDRESS, row("one"))
    writer.close()
    before, names = contents(folder), sorted(os.listdir(folder))
    reader = make(read_only=True)
    assert (reader.get(ADDRESS), reader.count(), reader.check()) == (row("one"), 1, [])
    reader.close()
    assert (contents(folder), sorted(os.listdir(folder))) == (before, names)


def test_nothing_is_made_where_nothing_was_written(folder, make):
    reader = make(read_only=True)
    assert (reader.get(ADDRESS), list(reader.scan())) == (None, [])
    assert not os.path.exists(folder)


def test_a_reader_sees_what_others_write(make):
    writer, reader = make(), make(read_only=True)
    writer.put(ADDRESS, row("one"))
    assert reader.get(ADDRESS) == row("one")
    writer.put(OTHER, row("two"))
    assert (reader.get(OTHER), reader.count()) == (row("two"), 2)


def test_it_is_never_written(make):
    make().put(ADDRESS, row("one"))
    with pytest.raises(PermissionError):
        make(read_only=True).put(OTHER, row("two"))
