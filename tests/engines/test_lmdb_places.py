"""LMDB environments whose folder is not, or is no longer, what it was when it was opened."""

import gc
import os
import shutil
import subprocess
import sys
import time

import pytest

from hashstash import HashStash
from hashstash.errors import UnsafeName
from hashstash.testing.engine import ADDRESS, OTHER, row

lmdb_engine = pytest.importorskip(
    "hashstash.engines.lmdb", reason="the package lmdb is not installed", exc_type=ImportError
)
LmdbEngine = lmdb_engine.LmdbEngine
Pages = lmdb_engine.Pages
ROOT_OF_ROWS = 128
"""Where a meta page says it."""
STORES = """
import sys
from hashstash.engines.lmdb import LmdbEngine
from hashstash.testing.engine import ADDRESS, row
engine = LmdbEngine(sys.argv[1])
engine.put(ADDRESS, row("of another"))
engine.close()
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "stash")


@pytest.fixture
def removed(folder):
    """An engine that is open on a folder which is gone."""
    engine = LmdbEngine(folder)
    engine.put(ADDRESS, row("a"))
    shutil.rmtree(folder)
    yield engine
    engine.close()


def test_who_opens_a_folder_that_was_removed_finds_nothing_in_it(removed, folder):
    new = LmdbEngine(folder)
    assert new.get(ADDRESS) is None
    new.close()


def test_what_is_stored_in_a_folder_that_was_removed_is_there_for_other_processes(removed, folder):
    new = LmdbEngine(folder)
    new.put(OTHER, row("b"))
    code = "import sys; from hashstash.engines.lmdb import *; print(LmdbEngine(sys.argv[1]).count())"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "1"
    new.close()


def test_an_engine_that_was_open_before_sees_what_the_next_one_stores(removed, folder):
    new = LmdbEngine(folder)
    new.put(OTHER, row("b"))
    assert dict(removed.rows()) == {OTHER: row("b")}
    assert removed.count() == 1
    new.close()


def test_an_environment_that_nobody_uses_is_not_taken_for_one_that_was_removed(folder):
    engine = LmdbEngine(folder)
    engine.put(ADDRESS, row("a"))
    del engine
    gc.collect()  # it stays open, for the next one
    shutil.rmtree(folder)
    subprocess.run([sys.executable, "-c", STORES, folder], timeout=60, check=True)
    new = LmdbEngine(folder)
    assert new.get(ADDRESS) == row("of another")
    new.close()


def test_what_others_have_put_there_is_not_sealed_by_who_closes_what_was_removed(folder):
    engine = LmdbEngine(folder)
    engine.put(ADDRESS, row("a"))
    shutil.rmtree(folder)
    subprocess.run([sys.executable, "-c", STORES, folder], timeout=60, check=True)
    os.unlink(f"{folder}/data.seal")
    engine.close()
    assert not os.path.exists(f"{folder}/data.seal")


DRAFT = "data.seal.4711.0123abcd"


def close_with(folder, *names):
    """Have a stash in *folder* closed in which files of those names were left two days ago."""
    engine = LmdbEngine(folder)
    engine.put(ADDRESS, row("a"))
    for name in names:
        with open(f"{folder}/{name}", "wb") as file:
            file.write(b"draft")
        os.utime(file.name, (time.time() - 2 * 86_400,) * 2)
    engine.close()


def test_a_draft_of_a_seal_that_could_not_be_removed_is_removed_by_the_next_one(folder):
    close_with(folder, DRAFT)
    assert sorted(os.listdir(folder)) == ["data.mdb", "data.seal", "lock.mdb", "reserve"]


def test_what_is_named_in_another_way_than_a_draft_of_a_seal_is_left_alone(folder):
    names = ["data.seal.old", "data.seal.4711.0123abcd.txt", "my.data.seal.4711.0123abcd"]
    close_with(folder, *names)
    assert sorted(os.listdir(folder)) == sorted(["data.mdb", "data.seal", "lock.mdb", "reserve", *names])


def test_a_draft_that_another_process_may_be_about_to_rename_is_left_alone(folder):
    engine = LmdbEngine(folder)
    engine.put(ADDRESS, row("a"))
    with open(f"{folder}/{DRAFT}", "wb"):
        pass
    engine.close()
    assert os.path.exists(f"{folder}/{DRAFT}")


def test_an_engine_that_is_refused_says_so_once(tmp_path, folder, monkeypatch):
    """And not again, beside it, when what had been made of it is given up."""
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    os.symlink(tmp_path, folder)
    with pytest.raises(UnsafeName):
        LmdbEngine(folder)
    gc.collect()
    assert not heard


def test_rows_are_found_where_the_file_says_that_another_tree_is_theirs(folder):
    engine = LmdbEngine(folder)
    for number in range(9):
        engine.put(bytes([number]) * 16, row("a" * number))
    engine.close()
    with Pages(f"{folder}/data.mdb") as pages:
        newest = max(pages.metas, key=lambda meta: meta.transaction)
        place = pages.metas.index(newest) * pages.size + ROOT_OF_ROWS
    with open(f"{folder}/data.mdb", "r+b") as file:
        file.seek(place)
        file.write(newest.free.root.to_bytes(8, "little"))
    assert engine.check()
    engine.rebuild(lambda blob: next((bytes([n]) * 16 for n in range(9) if blob == row("a" * n)), None))
    found = {address: blob for address, blob in engine.rows() if len(address) == len(ADDRESS)}  # and what is no row
    assert found == {bytes([number]) * 16: row("a" * number) for number in range(9)}
    engine.close()


@pytest.mark.parametrize("rows", [1, 500])
def test_repair_takes_no_older_value_from_a_tree_that_a_damaged_number_leads_to(tmp_path, rows):
    stash = HashStash(tmp_path, engine="lmdb", compress=False)
    stash.update(dict.fromkeys(range(rows), "x" * 100))
    for version in range(4):
        stash["key"] = f"version {version}"
    path = os.path.join(stash.path, "data.mdb")
    stash.close()
    with Pages(path) as pages:
        older, newest = sorted(pages.metas, key=lambda meta: meta.transaction)
        place = pages.metas.index(newest) * pages.size + ROOT_OF_ROWS
    assert older.main.entries == newest.main.entries
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(older.main.root.to_bytes(8, "little"))
    with HashStash(tmp_path, engine="lmdb", compress=False) as damaged:
        assert "counted as free" in str(damaged.check())
        damaged.repair()
        assert damaged["key"] == "version 3"
        assert len(damaged) == rows + 1
        assert not damaged.check()


def test_no_place_among_the_readers_is_kept_between_reads_which_a_forked_child_would_give_up(tmp_path):
    engine = LmdbEngine(str(tmp_path))
    engine.put(b"a" * 16, row("a"))
    assert engine.get(b"a" * 16) == row("a")
    assert "no active readers" in engine._open()._env.readers()
    engine.close()
