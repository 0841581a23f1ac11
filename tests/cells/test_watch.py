"""What the audit events tell of the files that a cell reads."""

from __future__ import annotations

import sqlite3

import pytest

from hashstash.cells.watch import MOST_TEXTS, Watch


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
