"""What the audit events tell of the files that a cell reads."""

from __future__ import annotations

import os
import sqlite3

import pytest

from hashstash.cells.watch import MOST_TEXTS, Watch, stat_of
from hashstash.fingerprint.files import FileFact


def test_a_database_is_read_with_the_log_of_what_was_not_brought_into_it_yet(tmp_path):
    path = str(tmp_path / "a.db")
    with Watch() as watch:
        sqlite3.connect(path).close()
    assert watch.read.keys() == {path, f"{path}-wal"}


def test_the_address_of_a_database_is_its_path(tmp_path):
    path = tmp_path / "a b.db"
    path.touch()
    with Watch() as watch:
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True).close()
    assert str(path) in watch.read


def test_an_address_that_is_none_is_refused_by_sqlite_and_not_by_who_hears_it():
    with Watch(), pytest.raises(sqlite3.OperationalError):
        sqlite3.connect("file://[x", uri=True)


def test_the_empty_log_that_a_reader_makes_is_as_good_as_none(tmp_path):
    path = tmp_path / "a.db"
    (writer := sqlite3.connect(path)).execute("pragma journal_mode=wal")
    writer.execute("create table t (n)")
    writer.commit()
    writer.close()
    log = f"{path}-wal"
    none, absent = FileFact.record(log), stat_of(log)
    reader = sqlite3.connect(path)
    reader.execute("select * from t").fetchall()
    assert os.path.getsize(log) == 0
    assert stat_of(log) is absent is None
    assert none.still_holds()
    assert FileFact.record(log) == none
    reader.execute("insert into t values (1)")
    reader.commit()
    assert not none.still_holds()
    assert stat_of(log) is not None
    reader.close()


@pytest.mark.parametrize("name", [":memory:", "", "file:x?mode=memory", "file::memory:"])
def test_a_database_in_memory_is_no_file(name):
    with Watch() as watch:
        sqlite3.connect(name, uri=True).close()
    assert not watch.read
    assert not watch.uses_working_directory


def test_texts_that_are_run_over_and_over_are_kept_once_and_of_very_many_only_some():
    with Watch() as watch:
        namespace = {"__name__": "__main__"}
        exec("for number in range(50): eval('number')", namespace)
        assert len(watch.texts) == 1
        exec(f"for number in range({2 * MOST_TEXTS}): eval(f'{{number}}')", namespace)
    assert len(watch.texts) == MOST_TEXTS + 1


@pytest.mark.parametrize(
    ("path", "counts"), [("/dev/shm/data.csv", True), ("/dev/null", False), ("/dev/shm", False), ("/data/dev/a", True)]
)
def test_files_in_memory_are_files_and_devices_are_none(path, counts):
    assert Watch().counts(path) is counts
