"""Storages whose own structure was changed behind our back: told, never believed, and saved from as far as rows can be found."""

import contextlib
import importlib
import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.errors import BadArchive, CorruptEntry, StashError
from hashstash.trust import own_key

pytestmark = pytest.mark.once

DATABASES = {
    "lmdb": "data.mdb",
    "sqlite": "rows.sqlite",
    "sqlitedict": "rows.sqlite",
    "diskcache": "cache.db",
    "shelve": "rows.dumb.dir",
    "shelve on sqlite3": "rows.sqlite3",
    "pickledb": "rows.json",
}
ROWS = {f"key {number}": "x" * 50 + str(number) for number in range(300)}


def stash_of(name, folder, **options):
    name, _, backend = name.partition(" on ")
    pytest.importorskip(
        f"hashstash.engines.{name}", reason=f"the package {name} is not installed", exc_type=ImportError
    )
    if backend:
        pytest.importorskip(f"dbm.{backend}", reason=f"this Python has no dbm.{backend}", exc_type=ImportError)
    options |= {"backend": backend or "dumb"} if name == "shelve" else {}
    return HashStash(folder, engine=name, compress=False, **options)


@pytest.fixture(params=DATABASES)
def damaged(request, tmp_path):
    """A function that changes the main file of a closed stash with 300 rows, and gives the stash opened again."""
    stash = stash_of(request.param, tmp_path)
    stash.update(ROWS)
    file = os.path.join(stash.path, DATABASES[request.param])
    stash.close()

    def damage(change):
        with open(file, "r+b") as opened:
            content = bytearray(opened.read())
            opened.seek(0)
            opened.truncate()
            opened.write(change(content))
        return stash_of(request.param, tmp_path)

    return damage


def without_its_beginning(content):
    content[:64] = bytes(64)
    return content


def emptied(_):
    return b""


def replaced(content):
    return b"something else\n" * (len(content) // 15)


@pytest.mark.parametrize("change", [without_its_beginning, emptied, replaced], ids=lambda change: change.__name__)
def test_a_damaged_file_is_neither_an_empty_stash_nor_a_new_one(damaged, change):
    stash = damaged(change)
    with pytest.raises(CorruptEntry, match="repair"):
        stash["key 299"], stash["key 0"]  # of a text file, rows that lie elsewhere can still be read
    with pytest.raises(CorruptEntry):
        stash.get("absent")
    assert stash.check()


def test_repair_saves_the_rows_behind_a_beginning_that_is_lost(damaged):
    stash = damaged(without_its_beginning)
    repairs = stash.repair()
    assert "written anew" in str(repairs) or "anew" in str(repairs)
    found = dict(stash.items())
    assert found.items() <= ROWS.items()
    assert len(found) >= len(ROWS) - 2
    assert len(stash) == len(found)
    assert not stash.check()
    stash["new"] = 1
    assert stash["new"] == 1


def test_repair_keeps_the_damaged_files(damaged):
    stash = damaged(replaced)
    stash.repair()
    kept = [os.path.join(where, name) for where, _, names in os.walk(f"{stash.path}/damaged") for name in names]
    assert any(Path(path).read_bytes().startswith(b"something else") for path in kept)


def test_a_second_damage_keeps_the_files_of_the_first(damaged):
    stash = damaged(emptied)
    stash.repair()
    stash["again"] = 1
    stash.close()
    stash = damaged(replaced)
    stash.repair()
    assert sorted(os.listdir(f"{stash.path}/damaged")) == ["1", "2"]


# ---- diskcache -------------------------------------------------------------------------------------------------------


def test_a_trigger_of_a_table_that_there_is_not_is_damage(tmp_path):
    """SQLite then misses a table while it opens the file, which is no file without tables."""
    stash = stash_of("diskcache", tmp_path)
    stash.update(ROWS)
    file = Path(stash.path, "cache.db")
    stash.close()
    file.write_bytes(file.read_bytes().replace(b"AFTER INSERT ON Cache", b"AFTER INSERT ON Bache"))
    with pytest.raises(CorruptEntry, match="no such table"):
        stash["key 0"]
    stash.repair()
    assert dict(stash.items()) == ROWS
    assert not stash.check()


# ---- lmdb ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lmdb_file(tmp_path):
    stash = stash_of("lmdb", tmp_path)
    stash.update(ROWS)
    stash["key 0"] = "newest"
    stash.close()
    return os.path.join(stash.path, "data.mdb")


def _leaf(content):
    """Where a leaf page of rows begins."""
    return next(
        start
        for start in range(8192, len(content), 4096)
        if struct.unpack_from("<H", content, start + 10) == (2,)
        and struct.unpack_from("<H", content, start + 12)[0] > 40
    )


def _patch(path, at, fields, *values):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack(fields, *values))


@pytest.mark.parametrize("size", [0xFFFF, 0x7000], ids=["far", "a little"])
def test_rows_that_would_reach_behind_the_end_of_the_map_do_not_kill_the_interpreter(tmp_path, lmdb_file, size):
    content = Path(lmdb_file).read_bytes()
    leaf = _leaf(content)
    node = leaf + struct.unpack_from("<H", content, leaf + 16)[0]
    _patch(lmdb_file, node, "<HH", size, size)
    code = (
        "import sys; from hashstash import HashStash; from hashstash.errors import CorruptEntry\n"
        f"stash = HashStash({str(tmp_path)!r}, engine='lmdb')\n"
        "try: dict(stash.items())\n"
        "except CorruptEntry as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "is damaged" in done.stdout, done.stderr


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("change", [1, 2, 100, -1])
def test_a_changed_number_of_a_transaction_does_not_bring_back_what_was_before(tmp_path, lmdb_file, page, change):
    at = page * 4096 + 16 + 128
    with open(lmdb_file, "rb") as file:
        file.seek(at)
        (number,) = struct.unpack("<Q", file.read(8))
    _patch(lmdb_file, at, "<Q", number + change)
    stash = stash_of("lmdb", tmp_path)
    with pytest.raises(CorruptEntry, match="two first pages"):
        stash["key 0"]
    stash.repair()
    assert stash["key 0"] == "newest"


@pytest.mark.parametrize("bit", [19, 26, 50, 63])
def test_a_changed_number_of_the_last_page_is_told_as_damage_and_not_as_want_of_memory(tmp_path, lmdb_file, bit):
    """The library would map as much as that says."""
    pages = importlib.import_module("hashstash.engines._lmdb_pages")
    with pages.Pages(lmdb_file) as looked:
        newest = max(looked.metas, key=lambda meta: meta.transaction)
        number = looked.metas.index(newest)
    _patch(lmdb_file, number * 4096 + 16 + 120, "<Q", newest.last ^ 1 << bit)
    stash = stash_of("lmdb", tmp_path)
    with pytest.raises(CorruptEntry, match="counts more pages than"):
        stash["key 0"]
    stash.repair()
    assert dict(stash.items()) == ROWS | {"key 0": "newest"}
    assert not stash.check()


def test_a_page_that_is_in_use_and_counted_as_free_is_found_before_it_is_written_over(tmp_path, lmdb_file):
    pages = importlib.import_module("hashstash.engines._lmdb_pages")
    with pages.Pages(lmdb_file) as looked:
        meta = max(looked.metas, key=lambda meta: meta.transaction)
        _, _, values = looked.parsed(meta.free.root)
    used = struct.pack("<Q", meta.main.root)
    content = Path(lmdb_file).read_bytes()
    place = content.index(values[-1], meta.free.root * 4096)
    _patch(lmdb_file, place + 8, "<8s", used)
    with pytest.raises(CorruptEntry, match="free"):
        stash_of("lmdb", tmp_path)["key 0"]


def test_pages_are_looked_at_only_if_the_file_was_changed_since_it_was_closed(tmp_path, lmdb_file, monkeypatch):
    environment = importlib.import_module("hashstash.engines._lmdb_environment")
    looked = []
    check = environment.check_pages
    monkeypatch.setattr(environment, "check_pages", lambda *a, **k: looked.append(a) or check(*a, **k))
    with stash_of("lmdb", tmp_path) as stash:
        assert stash["key 0"] == "newest"
    assert not looked
    os.utime(lmdb_file)
    with stash_of("lmdb", tmp_path) as stash:
        assert stash["key 0"] == "newest"
    assert len(looked) == 1


def test_a_sound_file_of_many_shapes_passes(tmp_path):
    pages, checks, salvage = (
        importlib.import_module(f"hashstash.engines._lmdb_{part}") for part in ("pages", "check", "salvage")
    )
    with stash_of("lmdb", tmp_path) as stash:
        for number in range(2000):
            stash[number] = os.urandom(number % 97 * (60 if number % 50 == 0 else 3))
            if number % 3 == 0:
                del stash[number // 2 if number // 2 in stash else number]
        rows = dict(stash.store.engine.rows())
        path = os.path.join(stash.path, "data.mdb")
    checks.check_metas(path)
    with pages.Pages(path) as looked:
        checks.check_pages(looked)
        assert dict(salvage.rows_in(looked)) == rows


# ---- the databases of SQLite -----------------------------------------------------------------------------------------


def outcome(stash, key):
    try:
        return stash.get(key, "missing")
    except CorruptEntry:
        return "damaged"


@pytest.mark.parametrize("name", ["sqlite", "sqlitedict", "diskcache"])
def test_what_a_damaged_index_is_said_to_have_lost_is_not_missing_the_next_time(tmp_path, name):
    """SQLite finds a page damaged once, and searches in it as if it were sound for as long as it has it in memory."""
    keys = [f"key {number}" for number in range(9)]
    stash = stash_of(name, tmp_path)
    stash.update(dict.fromkeys(keys, "value"))
    file = os.path.join(stash.path, DATABASES[name])
    stash.close()
    with contextlib.closing(sqlite3.connect(file)) as raw:
        (page,) = raw.execute(
            "SELECT min(rootpage) FROM sqlite_master WHERE type = 'index' AND tbl_name != 'Settings'"
        ).fetchone()
    with open(file, "r+b") as opened:
        opened.seek((page - 1) * 4096 + 12)
        opened.write(b"\xf0")
    first = [outcome(stash, key) for key in keys]
    assert "damaged" in first
    assert "missing" not in first
    assert [outcome(stash, key) for key in keys] == first


@pytest.mark.parametrize("name", ["sqlite", "sqlitedict", "diskcache"])
def test_rows_on_free_pages_do_not_come_back(tmp_path, name):
    stash = stash_of(name, tmp_path)
    stash.update(ROWS)
    for number in range(100, 300):
        del stash[f"key {number}"]
    path = os.path.join(stash.path, DATABASES[name])
    stash.close()
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    stash = stash_of(name, tmp_path)
    stash.repair()
    assert dict(stash.items()) == {f"key {number}": ROWS[f"key {number}"] for number in range(100)}


def test_a_column_of_another_kind_is_told(tmp_path):
    stash = stash_of("sqlite", tmp_path)
    stash["a"], stash["b"] = 1, 2
    stash.close()
    raw = sqlite3.connect(os.path.join(stash.path, "rows.sqlite"), isolation_level=None)
    raw.execute("UPDATE rows SET blob = 'text' WHERE number = 1")
    raw.close()
    with pytest.raises(CorruptEntry):
        stash["a"]
    assert stash["b"] == 2
    assert len(stash.check()) == 1


TABLES = {
    "sqlite": ("rows", "blob", "address"),
    "diskcache": ("Cache", "value", "key"),
    "sqlitedict": ("unnamed", "value", "key"),
}


@pytest.mark.parametrize(
    "value", ["'text'", "x''", "12345", "-0.1234567890123456", "'longer text of more than a write id'"]
)
@pytest.mark.parametrize("name", TABLES)
def test_repair_moves_aside_what_is_no_blob(tmp_path, name, value):
    stash = stash_of(name, tmp_path)
    stash["a"], stash["b"] = 1, 2
    path = os.path.join(stash.path, DATABASES[name])
    stash.close()
    table, column, key = TABLES[name]
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(f"UPDATE {table} SET {column} = {value} WHERE {key} = (SELECT min({key}) FROM {table})")  # noqa: S608
    raw.close()
    stash = stash_of(name, tmp_path)
    assert len(stash.check()) == 1
    repairs = stash.repair()
    assert len(repairs.moved) == 1
    assert not repairs.left
    assert len(stash) == 1
    assert not stash.check()


def damaged_record(folder, offset, mask):
    """A stash of one row, of whose record the byte at *offset* is changed by *mask*.

    A record begins with its length in two bytes, the number of the row, the size of the head, and the kinds of the columns. The
    rows lie on the second page.
    """
    stash = stash_of("sqlite", folder)
    stash["a"] = list(range(50))
    path = os.path.join(stash.path, DATABASES["sqlite"])
    stash.close()
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        page = content[16] << 8 | content[17]
        (cell,) = struct.unpack_from(">H", content, page + 8)  # where the first row of the page lies
        content[page + cell + offset] ^= mask
        file.seek(0)
        file.write(content)
    return stash_of("sqlite", folder)


def test_a_row_that_can_be_read_is_there_after_repair_though_its_address_is_called_text(tmp_path):
    stash = damaged_record(tmp_path, 5, 0x01)
    assert stash["a"] == list(range(50))
    assert stash.check()
    stash.repair()
    assert stash["a"] == list(range(50))
    assert not stash.check()


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mask", [0x01, 0x04])
def test_a_row_whose_length_is_damaged_is_saved_by_those_of_its_columns(tmp_path, offset, mask):
    stash = damaged_record(tmp_path, offset, mask)
    assert stash.check()
    stash.repair()
    assert stash["a"] == list(range(50))
    assert not stash.check()


@pytest.mark.parametrize("name", ["sqlite", "sqlitedict", "diskcache"])
def test_any_path_can_be_opened(tmp_path, name):
    """Two slashes at the beginning would be those before a host in a URI, and what is no UTF-8 has to be quoted as bytes."""
    path = f"/{tmp_path}/100% ?#\udcff"
    stash = stash_of(name, path)
    stash["a"] = 1
    stash.close()
    assert stash_of(name, path)["a"] == 1


# ---- text files ------------------------------------------------------------------------------------------------------


def test_an_index_without_its_last_line_does_not_bring_back_the_value_before(tmp_path):
    stash = stash_of("shelve", tmp_path)
    stash["a"] = "old"
    stash["a"] = "new"
    stash.close()
    index = os.path.join(stash.path, "rows.dumb.dir")
    os.truncate(index, os.path.getsize(index) // 2)
    stash = stash_of("shelve", tmp_path)
    with pytest.raises(CorruptEntry, match="changed since it was written"):
        stash["a"]
    stash.repair()
    assert stash["a"] == "new"


def test_what_was_deleted_does_not_come_back_with_a_damaged_line(tmp_path):
    stash = stash_of("shelve", tmp_path)
    stash["a"], stash["b"] = 1, 2
    del stash["a"]
    stash.close()
    index = os.path.join(stash.path, "rows.dumb.dir")
    with open(index, "r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"f")
    stash = stash_of("shelve", tmp_path)
    with pytest.raises(CorruptEntry):
        stash.get("a")
    stash.repair()
    assert dict(stash.items()) == {"b": 2}


def test_a_changed_key_in_a_file_of_text_is_not_a_missing_one(tmp_path):
    stash = stash_of("pickledb", tmp_path)
    stash["a"], stash["b"] = 1, 2
    address = stash.store.keys.address("a").hex().encode()
    path = os.path.join(stash.path, "rows.json")
    stash.close()
    content = Path(path).read_bytes()
    with open(path, "wb") as file:
        file.write(content.replace(address, b"#" + address[1:]))
    stash = stash_of("pickledb", tmp_path)
    with pytest.raises(CorruptEntry, match="rows may be missing"):
        stash["a"]
    assert stash["b"] == 2
    stash["c"] = 3
    with pytest.raises(CorruptEntry):
        stash["a"]
    stash.repair()
    assert dict(stash.items()) == {"a": 1, "b": 2, "c": 3}


# ---- files that are something else -----------------------------------------------------------------------------------


def test_a_folder_in_the_place_of_a_row_is_moved_aside(tmp_path):
    stash = stash_of("pairtree", tmp_path)
    stash["a"], stash["b"] = 1, 2
    name = stash.store.keys.address("a").hex()
    path = os.path.join(stash.path, name[:2], name)
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(CorruptEntry):
        stash["a"]
    stash["a"] = 3
    assert dict(stash.items()) == {"a": 3, "b": 2}
    assert len(os.listdir(os.path.join(stash.path, "damaged"))) == 1


def test_versions_that_lie_in_each_others_places_are_told(tmp_path):
    stash = stash_of("pairtree", tmp_path, append_mode=True)
    for value in "abc":
        stash["k"] = value
    history = stash.store.engine.section("history")
    one, two = sorted(history.scan())
    blobs = history.get(one), history.get(two)
    history.put(one, blobs[1])
    history.put(two, blobs[0])
    with pytest.raises(CorruptEntry, match="version 2 lies where version 1 should"):
        stash.get_all("k")
    with pytest.raises(CorruptEntry):
        stash.at("k", version=1)
    assert stash["k"] == "c"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names on this system")
def test_nobody_waits_for_a_pipe_in_the_place_of_an_archive_or_a_key(tmp_path):
    os.mkfifo(tmp_path / "archive", 0o600)
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(BadArchive, match="not a file"):
        HashStash("imported", engine="memory").import_from(tmp_path / "archive")
    with pytest.raises(StashError, match="no file with a key"):
        own_key(str(tmp_path))


@pytest.mark.parametrize("name", ["pickledb", "shelve"])
def test_a_file_with_an_endless_hole_is_damage_and_what_stands_before_it_is_saved(tmp_path, name):
    stash = stash_of(name, tmp_path)
    stash.update(ROWS)
    file = os.path.join(stash.path, DATABASES[name])
    stash.close()
    os.truncate(file, 1 << 40)
    stash = stash_of(name, tmp_path)
    with pytest.raises(CorruptEntry, match="nearly all a hole"):
        stash["key 1"]
    assert stash.check()
    assert stash.repair().rebuilt
    assert dict(stash) == ROWS
