"""What engines over other libraries do with files that are hostile, damaged, or on a disk that is full."""

import base64
import contextlib
import dbm.dumb
import importlib
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import warnings

import pytest

from hashstash import HashStash
from hashstash.errors import BadEntry, CorruptEntry, StashError, StashLocked, UnsafeName
from hashstash.registry import ENGINES
from hashstash.testing.rows import ADDRESS, OTHER, row

pytestmark = pytest.mark.once

NAMES = ["sqlitedict", "diskcache", "shelve", "pickledb", "ultradict"]
FILES = [name for name in NAMES if name != "ultradict"]
THIRD = bytes(range(50, 66))


@pytest.fixture
def marker(tmp_path):
    """The file that hostile rows would make."""
    return tmp_path / "executed"


@pytest.fixture
def bomb(marker):
    """A pickle that makes the file when anybody loads it."""

    class Bomb:
        def __reduce__(self):
            return open, (str(marker), "w")

    return Bomb()


@pytest.fixture(autouse=True)
def _no_memory_is_left(tmp_path):
    yield
    for file in tmp_path.rglob("rows.memory"):
        engine_of("ultradict", file.parent).clear()


def engine_of(name, folder, **options):
    return pytest.importorskip(
        f"hashstash.engines.{name}", reason=f"the package {name} is not installed", exc_type=ImportError
    ).PLUGIN(str(folder), **options)


def plant_sqlitedict(folder, bomb):
    from sqlitedict import SqliteDict, encode_key

    with SqliteDict(f"{folder}/rows.sqlite", autocommit=True) as rows:
        rows[OTHER.hex()] = bomb
    with SqliteDict(f"{folder}/rows.sqlite", autocommit=True, encode_key=encode_key) as rows:
        rows[(1, 2)] = bomb
    connection = sqlite3.connect(f"{folder}/rows.sqlite")
    connection.execute("INSERT INTO unnamed VALUES (?, 'text'), (?, 5), (NULL, NULL)", (THIRD.hex(), "ff"))
    connection.commit()
    connection.close()


def plant_diskcache(folder, bomb):
    from diskcache import Cache

    with Cache(str(folder)) as cache:
        cache[OTHER] = bomb
        cache[1, 2] = bomb
        cache[THIRD] = [bomb] * 10_000
    connection = sqlite3.connect(f"{folder}/cache.db")
    connection.execute(
        "INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, 1, 4, NULL, ?)", (b"\xff", pickle.dumps(bomb))
    )
    connection.execute("INSERT INTO Settings VALUES ('disk_surprise', 1), ('_directory', '/'), ('sqlite_x', 'y')")
    connection.execute("UPDATE Settings SET value = 'least-recently-stored' WHERE key = 'eviction_policy'")
    connection.commit()
    connection.close()


def plant_shelve(folder, bomb):
    (backend,) = [
        name
        for name in ("sqlite3", "gnu", "dumb")
        if os.path.exists(f"{folder}/rows.{name}" + ".dir" * (name == "dumb"))
    ]
    path = os.path.join(folder, f"rows.{backend}")
    with contextlib.closing(importlib.import_module(f"dbm.{backend}").open(path, "c")) as file:
        file[OTHER.hex().encode() if backend == "dumb" else OTHER] = pickle.dumps(bomb)


def plant_pickledb(folder, bomb):
    with open(f"{folder}/rows.json") as file:
        rows = json.load(file)
    rows |= {
        OTHER.hex(): base64.b64encode(pickle.dumps(bomb)).decode(),
        THIRD.hex(): {"a": [1, None]},
        "ff": "not base64!",
        "a key": None,
    }
    with open(f"{folder}/rows.json", "w") as file:
        json.dump(rows, file)


PLANTS = {
    "sqlitedict": plant_sqlitedict,
    "diskcache": plant_diskcache,
    "shelve": plant_shelve,
    "pickledb": plant_pickledb,
}


@pytest.mark.parametrize("name", FILES)
def test_pickles_of_others_are_never_loaded(name, tmp_path, bomb, marker):
    engine = engine_of(name, tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    engine.close()
    PLANTS[name](tmp_path / "stash", bomb)
    assert engine.get(ADDRESS) == row("a")
    assert isinstance(engine.get(OTHER), bytes)
    assert engine.has(OTHER)
    assert engine.peek(OTHER, 8)
    assert {ADDRESS, OTHER} <= set(engine.scan())
    assert all(isinstance(blob, bytes) for _, blob in engine.rows())
    assert engine.count() >= (1 if name == "shelve" else 2)  # there the number is kept under the lock
    list(engine.get_many([OTHER, THIRD, b"\xff"]))
    engine.swap(OTHER, None, row("b"))
    engine.put(THIRD, row("c"))
    engine.check()
    engine.compact()
    assert engine.delete(OTHER)
    engine.clear()
    assert list(engine.scan()) == []
    engine.close()
    assert not marker.exists()


@pytest.mark.parametrize("name", FILES)
def test_a_stash_refuses_planted_rows_and_keeps_its_own(name, tmp_path, bomb, marker):
    engine_of(name, tmp_path / "probe")
    stash = HashStash(tmp_path, engine=name)
    stash["mine"] = {"a": 1}
    stash["planted"] = 1
    address = stash.store.keys.address("planted")
    blob = pickle.dumps(bomb)
    stash.store.engine.put(address, blob)
    with pytest.raises(BadEntry):
        stash["planted"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(stash.items()) == [("mine", {"a": 1})]
    assert len(caught) == 1
    assert not marker.exists()


def test_a_pickled_change_in_shared_memory_is_damage_and_not_loaded(tmp_path, bomb, marker):
    engine = engine_of("ultradict", tmp_path / "stash")
    module = importlib.import_module("hashstash.engines.ultradict")
    engine.put(ADDRESS, row("a"))
    name = engine._memory_name(engine._token())
    foreign = module._Dict(name=name, create=False, serializer=module._Bytes, auto_unlink=False)
    foreign.serializer = pickle
    foreign["key"] = bomb
    engine._guard.enter(alone=True)
    engine._guard.begin()
    engine._guard.finish(1)
    engine._guard.leave()
    try:
        with pytest.raises(CorruptEntry, match="damaged"):
            engine.get(OTHER)
        with pytest.raises(CorruptEntry):
            list(engine.scan())
    finally:
        foreign.close()
        engine.clear()
    assert not marker.exists()
    assert list(engine.scan()) == []
    engine.put(ADDRESS, row("b"))
    assert engine.get(ADDRESS) == row("b")
    engine.clear()


def test_files_that_rows_of_diskcache_name_are_neither_read_nor_removed(tmp_path):
    engine = engine_of("diskcache", tmp_path / "stash")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    engine.put(ADDRESS, row("a"))
    engine.put(OTHER, row("b"))
    connection = sqlite3.connect(tmp_path / "stash" / "cache.db")
    connection.execute("UPDATE Cache SET mode = 2, filename = '../victim', value = NULL")
    connection.commit()
    connection.close()
    assert b"precious" not in (engine.get(ADDRESS) or b"")
    engine.put(ADDRESS, row("c"))
    engine.delete(OTHER)
    engine.clear()
    engine.close()
    assert victim.read_text() == "precious"


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
DATABASES = {"sqlitedict": ("rows.sqlite", "unnamed"), "diskcache": ("cache.db", "Cache")}


@pytest.mark.parametrize(
    "program",
    [
        "CREATE TRIGGER Settings_count_insert2 AFTER INSERT ON {table} BEGIN DELETE FROM {table} WHERE key IN ({endless}); END",
        "CREATE TRIGGER other AFTER UPDATE ON {table} BEGIN DELETE FROM {table}; END",
        "CREATE VIEW more AS {endless}",
    ],
)
@pytest.mark.parametrize("name", DATABASES)
def test_programs_in_a_database_do_not_run(name, program, tmp_path):
    """One that never ends would hold the process for ever, in C, where no interrupt is heard."""
    file, table = DATABASES[name]
    engine = engine_of(name, tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    engine.close()
    connection = sqlite3.connect(tmp_path / "stash" / file)
    connection.execute(program.format(table=table, endless=ENDLESS))
    connection.commit()
    connection.close()
    for use in (lambda: engine.get(ADDRESS), lambda: engine.put(OTHER, row("b")), lambda: list(engine.scan())):
        with pytest.raises(CorruptEntry, match="a program that is none of a stash"):
            use()


def test_a_full_cache_of_diskcache_evicts_nothing(tmp_path):
    engine = engine_of("diskcache", tmp_path / "stash")
    engine.put(ADDRESS, row("first"))
    engine.close()
    connection = sqlite3.connect(tmp_path / "stash" / "cache.db")
    connection.execute("UPDATE Settings SET value = 1000 WHERE key = 'size_limit'")
    connection.execute("UPDATE Settings SET value = 10 WHERE key = 'cull_limit'")
    connection.execute("UPDATE Settings SET value = 'least-recently-stored' WHERE key = 'eviction_policy'")
    connection.commit()
    connection.close()
    engine.put_many([(number.to_bytes(16, "big"), row("x" * 1000)) for number in range(200)])
    assert engine.get(ADDRESS) == row("first")
    assert engine.count() == 201
    engine.close()


def _data_files(folder):
    return [
        path for path in folder.iterdir() if path.is_file() and path.name not in ("rows.lock", "reserve", "rows.memory")
    ]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "noise", "other", "empty"])
def test_damage_is_said_or_harmless_and_never_kills_or_hangs(name, damage, tmp_path):
    """In another process, which a crash would end; every row comes back as it was, or not, or an error names the place."""
    engine = engine_of(name, tmp_path / "stash")
    engine.put_many([(number.to_bytes(16, "big"), row("x" * 500 + str(number))) for number in range(300)])
    engine.close()
    for path in _data_files(tmp_path / "stash"):
        content = bytearray(path.read_bytes())
        if damage == "cut":
            content = content[: len(content) // 2 + 7]
        elif damage == "noise":
            for start in range(50, len(content), 4096):
                content[start : start + 16] = os.urandom(16)
        else:
            content = bytearray(b"something else\n" * 1000) if damage == "other" else bytearray()
        path.write_bytes(content)
    code = f"""
import time
from hashstash.engines.{name} import PLUGIN
from hashstash.errors import CorruptEntry
engine, bad, start = PLUGIN({str(tmp_path / "stash")!r}), 0, time.monotonic()
for use in (lambda: [engine.get(n.to_bytes(16, "big")) for n in range(300)], lambda: list(engine.rows()), engine.count,
            lambda: engine.put(b"x" * 16, b"y" * 30)):
    try:
        use()
    except CorruptEntry as error:
        assert {str(tmp_path / "stash")!r} in str(error), error
        bad += 1
print(bad, bool(engine.check()) or bad == 0, time.monotonic() - start < 20)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bad, is_reported, is_quick = done.stdout.split()
    assert is_quick == "True"
    assert is_reported == "True"
    assert int(bad) or damage in ("noise", "cut", "empty")


def _can_mount(folder):
    probe = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"mount -t tmpfs none {folder}"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        return False


FILL = """
import os, sys
from hashstash.engines.{name} import PLUGIN
from hashstash.errors import StashFull
engine, stored = PLUGIN(sys.argv[1]), 0
try:
    for number in range(5000):
        engine.put(number.to_bytes(16, "big"), bytes(16) + os.urandom(5000))
        stored += 1
except StashFull as error:
    assert sys.argv[1] in str(error) or "shared memory" in str(error), error
assert 10 < stored < 5000, stored
assert sum(engine.get(number.to_bytes(16, "big")) is not None for number in range(stored)) == stored
engine.close()
assert engine.count() == stored, (engine.count(), stored)
{after}
print("full after", stored)
"""
DELETE = """
for number in range(5):
    assert engine.delete(number.to_bytes(16, 'big'))
assert engine.count() == stored - 5
"""
CLEAR = """
engine.clear()
assert engine.count() == 0
engine.put_many([(number.to_bytes(16, "big"), bytes(5000)) for number in range(100)])
assert engine.count() == 100
"""


@pytest.mark.parametrize("after", [DELETE, CLEAR], ids=["delete", "clear"])
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_said_so_keeps_what_is_there_and_can_be_emptied(name, after, tmp_path):
    engine_of(name, tmp_path / "probe")
    if name == "pickledb" and after == DELETE:
        pytest.skip("pickledb writes its file anew to remove one row, which needs room for a second one")
    if not _can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    place = "/dev/shm" if name == "ultradict" else str(tmp_path)  # noqa: S108
    script = f'mount -t tmpfs -o size=4m none {place} && exec {sys.executable} -W ignore -c "$0" {tmp_path}/stash'
    code = FILL.format(name=name, after=after)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("full after"), done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_named_with_the_line_that_installs_it(name, monkeypatch):
    if name == "shelve":
        pytest.skip("shelve is in the standard library")
    package = "UltraDict" if name == "ultradict" else name
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"hashstash.engines.{name}", raising=False)
    monkeypatch.setattr(ENGINES, "_loaded", {})
    with pytest.raises(StashError, match=r"pip install 'hashstash\["):
        HashStash("x", engine=name)


def test_the_file_of_another_dbm_says_which_python_is_needed(tmp_path):
    engine = engine_of("shelve", tmp_path / "stash", backend="dumb")
    engine.put(ADDRESS, row("a"))
    engine.close()
    missing = next((name for name in ("gnu", "sqlite3") if not _has_dbm(name)), None)
    if missing is None:
        pytest.skip("this Python has all of them")
    for ending in (".dat", ".dir"):
        os.unlink(tmp_path / "stash" / f"rows.dumb{ending}")
    (tmp_path / "stash" / f"rows.{missing}").write_bytes(b"x")
    with pytest.raises(ImportError, match=f"dbm.{missing}"):
        engine.get(ADDRESS)


def _has_dbm(name):
    try:
        importlib.import_module(f"dbm.{name}")
    except ImportError:
        return False
    return True


def test_a_plain_dumb_file_of_ours_is_read_by_the_standard_library(tmp_path):
    engine = engine_of("shelve", tmp_path / "stash", backend="dumb")
    for number in range(50):
        engine.put(bytes([number]), row("first"))
        engine.put(bytes([number]), row(str(number)))
    engine.compact()
    engine.close()
    with dbm.dumb.open(str(tmp_path / "stash" / "rows.dumb"), "r") as file:
        assert {key: file[key] for key in file.keys()} == {b"%02x" % number: row(str(number)) for number in range(50)}


@pytest.mark.parametrize("size", [1, 20, 45])
def test_a_line_that_a_killed_writer_left_unfinished_is_ignored_and_overwritten(tmp_path, size):
    engine = engine_of("shelve", tmp_path / "stash", backend="dumb")
    engine.put(ADDRESS, row("a"))
    engine.close()
    index = tmp_path / "stash" / "rows.dumb.dir"
    line = index.read_bytes().replace(ADDRESS.hex().encode(), OTHER.hex().encode())
    index.write_bytes(index.read_bytes() + line[:size])
    assert engine.get(ADDRESS) == row("a")
    assert engine.get(OTHER) is None
    engine.put(OTHER, row("b"))
    engine.close()
    assert dict(engine.rows()) == {ADDRESS: row("a"), OTHER: row("b")}
    engine.close()


@pytest.mark.parametrize("failing", [0, 1], ids=["before", "between"])
def test_compacting_that_is_broken_off_loses_nothing(tmp_path, monkeypatch, failing):
    engine = engine_of("shelve", tmp_path / "stash", backend="dumb")
    rows = {bytes([number]): row(str(number)) for number in range(40)}
    engine.put_many([(address, row("old")) for address in rows])
    engine.put_many(rows.items())
    turns = iter(range(10))

    def replace(*paths):
        if next(turns) == failing:
            raise KeyboardInterrupt
        os.rename(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            engine.compact()
    other = engine_of("shelve", tmp_path / "stash")
    assert dict(other.rows()) == rows
    assert other.get(b"\x05") == row("5")
    engine.put(OTHER, row("new"))
    assert dict(other.rows()) == rows | {OTHER: row("new")}
    assert sorted(path.name for path in (tmp_path / "stash").iterdir() if path.suffix == ".new") == []
    engine.close()
    other.close()


def test_the_index_of_a_row_that_is_replaced_often_stays_small(tmp_path):
    engine = engine_of("shelve", tmp_path / "stash", backend="dumb")
    engine.put_many([(ADDRESS, row("a"))])
    for number in range(3000):
        engine.put(OTHER, row(str(number)))
    assert (tmp_path / "stash" / "rows.dumb.dir").stat().st_size < 120_000
    assert engine.get(OTHER) == row("2999")
    engine.close()


def test_sqlitedict_needs_no_thread_and_reads_what_the_package_wrote(tmp_path):
    import threading

    engine = engine_of("sqlitedict", tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    assert not [thread for thread in threading.enumerate() if "Sqlite" in type(thread).__name__]
    engine.close()
    from sqlitedict import SqliteDict

    with SqliteDict(str(tmp_path / "stash" / "rows.sqlite"), encode=bytes, decode=bytes) as rows:
        assert rows[ADDRESS.hex()] == row("a")
        rows[OTHER.hex()] = row("b")
        rows.commit()
    assert engine.get(OTHER) == row("b")
    assert engine.count() == 2
    engine.close()


def test_ultradict_leaves_the_tracking_of_other_shared_memory_alone(tmp_path):
    pytest.importorskip("UltraDict")
    code = """
from multiprocessing import resource_tracker
before = resource_tracker.register, resource_tracker.unregister, dict(resource_tracker._CLEANUP_FUNCS)
import hashstash.engines.ultradict
assert before == (resource_tracker.register, resource_tracker.unregister, dict(resource_tracker._CLEANUP_FUNCS))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_copy_of_the_folder_does_not_share_the_memory(tmp_path):
    import shutil

    engine = engine_of("ultradict", tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    shutil.copytree(tmp_path / "stash", tmp_path / "copy")
    copy = engine_of("ultradict", tmp_path / "copy")
    assert copy.get(ADDRESS) is None
    assert copy.count() == 0
    copy.put(OTHER, row("b"))
    assert copy.count() == 1
    copy.clear()
    assert engine.get(ADDRESS) == row("a")
    assert engine.get(OTHER) is None
    engine.clear()


@pytest.mark.parametrize("name", ["sqlitedict", "diskcache"])
def test_a_file_that_another_program_keeps_locked_is_said_so(name, tmp_path, monkeypatch):
    engine = engine_of(name, tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    monkeypatch.setattr("hashstash.engines._sqlite_handle.PATIENCE", 0.3)
    other = sqlite3.connect(engine._path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StashLocked, match="locked by another process"):
        engine.put(ADDRESS, row("b"))
    assert engine.get(ADDRESS) == row("a")
    other.execute("ROLLBACK")
    other.close()
    engine.put(ADDRESS, row("b"))
    assert engine.get(ADDRESS) == row("b")
    engine.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(name, tmp_path):
    engine = engine_of(name, tmp_path / "a b?c#d%e&mode=ro ü'\"")
    engine.put(ADDRESS, row("a"))
    engine.close()
    assert engine.get(ADDRESS) == row("a")
    assert [path.name for path in tmp_path.iterdir()] == ["a b?c#d%e&mode=ro ü'\""]
    engine.clear()
    engine.close()


def test_diskcache_refuses_a_folder_that_it_would_take_for_another(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "elsewhere")
    engine = engine_of("diskcache", tmp_path / "$PLACE")
    with pytest.raises(UnsafeName, match="without"):
        engine.put(ADDRESS, row("a"))
    assert engine.get(ADDRESS) is None
    engine.close()


def test_opening_a_cache_again_writes_nothing(tmp_path):
    engine = engine_of("diskcache", tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    engine.close()
    assert engine.get(ADDRESS) == row("a")
    engine._write(lambda _: None)
    assert engine._connection.total_changes == 0
    engine.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_was_removed_under_an_open_engine_is_made_again(name, tmp_path):
    import shutil

    if name in ("sqlitedict", "diskcache"):
        pytest.skip("SQLite keeps what it has open until it is closed")
    engine = engine_of(name, tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    shutil.rmtree(tmp_path / "stash")
    assert engine.get(ADDRESS) is None
    engine.put(OTHER, row("b"))
    other = engine_of(name, tmp_path / "stash")
    assert dict(other.rows()) == {OTHER: row("b")}
    engine.clear()
    shutil.rmtree(tmp_path / "stash")
    other.put(ADDRESS, row("c"))  # as many writes as there were before
    assert dict(engine.rows()) == {ADDRESS: row("c")}
    assert engine.count() == 1
    engine.clear()
    engine.close()
    other.close()


@pytest.mark.parametrize("name", ["sqlitedict", "diskcache"])
def test_a_log_in_a_folder_that_must_not_be_written_is_explained(name, tmp_path):
    """As where a running stash was copied to read-only media: the log is there, and its index is not."""
    import shutil

    engine = engine_of(name, tmp_path / "stash")
    engine.put(ADDRESS, row("a"))
    shutil.copytree(tmp_path / "stash", tmp_path / "copy")
    engine.close()
    for path in (tmp_path / "copy").glob("*-shm"):
        path.unlink()
    copy = engine_of(name, tmp_path / "copy")
    if not _can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    code = (
        f"from hashstash.engines.{name} import PLUGIN\n"
        f"try: PLUGIN({str(tmp_path / 'copy')!r}).get({ADDRESS!r})\n"
        "except PermissionError as error: print(error)"
    )
    folder = tmp_path / "copy"
    script = f'mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec {sys.executable} -c "$0"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "needs a writable folder" in done.stdout, done.stderr
    assert copy.get(ADDRESS) == row("a")
    copy.close()
