import contextlib
import dbm.dumb
import errno
import importlib
import os
import sqlite3
import subprocess
import sys

import pytest

from hashstash.engines.shelve import ShelveEngine
from hashstash.entry import pack_plain
from hashstash.errors import CorruptEntry
from hashstash.testing.engine import ADDRESS, OTHER, EngineContract, row

pytestmark = pytest.mark.once


class ShelveContract(EngineContract):
    backend = ""

    @pytest.fixture
    def make(self, tmp_path):
        pytest.importorskip(
            f"dbm.{self.backend}", reason=f"this Python has no dbm.{self.backend}", exc_type=ImportError
        )
        return lambda: ShelveEngine(str(tmp_path / "stash"), backend=self.backend)

    def source(self, engine):
        return super().source(engine) + f"engine = PLUGIN({engine.location()!r}, backend={self.backend!r})\n"

    def neighbour(self, engine):
        return ShelveEngine(engine.location() + "b", backend=self.backend)


class TestShelveOnDumb(ShelveContract):
    backend = "dumb"

    def raw_get(self, engine, address):
        with dbm.dumb.open(os.path.join(engine.location(), "rows.dumb"), "r") as file:
            key = address.hex().encode()
            return None if file._index.get(key) == (0, 0) else file.get(key)  # that is how a removed row looks


class TestShelveOnSqlite3(ShelveContract):
    backend = "sqlite3"

    def raw_get(self, engine, address):
        with contextlib.closing(
            importlib.import_module("dbm.sqlite3").open(f"{engine.location()}/rows.sqlite3")
        ) as file:
            return file.get(address)


class TestShelveOnGnu(ShelveContract):
    backend = "gnu"

    def raw_get(self, engine, address):
        with importlib.import_module("dbm.gnu").open(os.path.join(engine.location(), "rows.gnu"), "ru") as file:
            return file.get(address)


WITHOUT_DESCRIPTORS = """
import os, resource, sys
from hashstash.engines.shelve import ShelveEngine
from hashstash.testing.engine import ADDRESS, row
engine = ShelveEngine(sys.argv[1], backend=sys.argv[2])
engine.get(bytes(16))
engine.close()
usual = resource.getrlimit(resource.RLIMIT_NOFILE)
free = os.dup(0)
os.close(free)
for more in range(1, 4):  # beginning with the one for the lock
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, usual[1]))
    try:
        engine.get(ADDRESS)
    except Exception as error:
        print(type(error).__name__, error.errno)
    engine.close()
resource.setrlimit(resource.RLIMIT_NOFILE, usual)
print(engine.get(ADDRESS) == row("a"), engine.check())
"""


@pytest.mark.parametrize("backend", ["dumb", "gnu", "sqlite3"])
def test_what_the_system_refuses_is_told_as_that_and_not_as_damage(tmp_path, backend):
    pytest.importorskip("resource", reason="the system limits no descriptors")
    pytest.importorskip(f"dbm.{backend}", reason=f"this Python has no dbm.{backend}", exc_type=ImportError)
    engine = ShelveEngine(str(tmp_path), backend=backend)
    engine.put(ADDRESS, row("a"))
    engine.close()
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, str(tmp_path), backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    *refused, last = done.stdout.splitlines()
    assert set(refused) == {f"OSError {errno.EMFILE}"}, done
    assert last == "True []"


@pytest.mark.parametrize("operation", ["get", "put"])
def test_a_file_that_sqlite_takes_for_damaged_for_a_moment_is_opened_anew(tmp_path, monkeypatch, operation):
    """As where the system could not read a page of it once."""
    pytest.importorskip("dbm.sqlite3", reason="this Python has no dbm.sqlite3", exc_type=ImportError)
    engine = ShelveEngine(str(tmp_path), backend="sqlite3")
    engine.put(ADDRESS, row("a"))
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    monkeypatch.setattr(engine._handle, operation, lambda *_: _raise(error))
    {"get": lambda: engine.get(ADDRESS), "put": lambda: engine.put(ADDRESS, row("b"))}[operation]()
    assert engine.get(ADDRESS) == row("b" if operation == "put" else "a")
    engine.close()


def test_a_swap_that_has_to_be_repeated_tells_of_the_last_attempt(tmp_path, monkeypatch):
    """As where the first COMMIT fails for a moment, and another process swaps before the second one."""
    pytest.importorskip("dbm.sqlite3", reason="this Python has no dbm.sqlite3", exc_type=ImportError)
    engine, other = (ShelveEngine(str(tmp_path), backend="sqlite3") for _ in range(2))
    engine.put(OTHER, row("a"))
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    monkeypatch.setattr(engine._handle, "save", lambda **_: _raise(error))
    end_turn = engine._end_turn

    def end_turn_and_let_others_swap(*, is_done):
        end_turn(is_done=is_done)
        if not is_done:
            assert other.swap(ADDRESS, None, row("b"))

    monkeypatch.setattr(engine, "_end_turn", end_turn_and_let_others_swap)
    assert not engine.swap(ADDRESS, None, row("c"))
    assert engine.get(ADDRESS) == row("b")
    engine.close()
    other.close()


def _raise(error):
    raise error


def test_a_lock_is_given_back_though_closing_the_files_fails_too(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="locks of this kind are not there on Windows")
    engine = ShelveEngine(str(tmp_path), backend="dumb")
    engine.put(ADDRESS, row("a"))
    os.close(engine._handle._data)  # which neither writing to it nor closing it survives
    with pytest.raises(OSError, match="Bad file descriptor"):
        engine.put(OTHER, row("b"))
    with open(tmp_path / "rows.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    engine.put(OTHER, row("b"))
    assert dict(engine.rows()) == {ADDRESS: row("a"), OTHER: row("b")}
    engine.close()


# ---- files of dbm.dumb that are there in part ------------------------------------------------------------------------


@pytest.fixture
def dumb(tmp_path):
    with contextlib.closing(ShelveEngine(str(tmp_path), backend="dumb")) as engine:
        yield engine


def test_an_index_without_rows_and_without_data_is_an_empty_store(dumb, tmp_path):
    (tmp_path / "rows.dumb.dir").touch()
    assert (dumb.get(ADDRESS), dumb.count(), dumb.size_bytes(), list(dumb.rows()), dumb.check()) == (None, 0, 0, [], [])


@pytest.mark.parametrize("ending", ["dir", "dat"])
def test_what_is_missing_of_an_empty_store_is_made_by_whoever_writes(dumb, tmp_path, ending):
    (tmp_path / f"rows.dumb.{ending}").touch()
    reader = ShelveEngine(str(tmp_path), backend="dumb")
    assert reader.get(ADDRESS) is None
    dumb.put(ADDRESS, row("a"))
    assert (reader.get(ADDRESS), reader.check()) == (row("a"), [])
    reader.close()


def test_where_making_the_second_file_fails_nothing_is_stored_and_the_next_write_works(dumb, tmp_path, monkeypatch):
    fchmod, failed = os.fchmod, []

    def fail(descriptor, mode):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".dat") and not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fchmod(descriptor, mode)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not list descriptors")
    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        dumb.put(ADDRESS, row("a"))
    assert not (tmp_path / "rows.dumb.dat").exists()
    assert (dumb.get(ADDRESS), dumb.check()) == (None, [])
    dumb.put(ADDRESS, row("a"))
    assert dumb.get(ADDRESS) == row("a")
    assert (tmp_path / "rows.dumb.dat").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ending", ["dir", "dat"])
@pytest.mark.parametrize("has_lock_file", [True, False])
def test_a_file_that_is_gone_with_its_rows_is_told_as_damage(dumb, tmp_path, ending, has_lock_file):
    dumb.put(ADDRESS, row("a"))
    dumb.close()
    (tmp_path / f"rows.dumb.{ending}").unlink()
    if not has_lock_file:
        (tmp_path / "rows.lock").unlink()
    for work in (lambda: dumb.get(ADDRESS), lambda: dumb.put(OTHER, row("b"))):
        with pytest.raises(CorruptEntry, match="is gone"):
            work()
    assert len(dumb.check()) == 1
    assert not (tmp_path / f"rows.dumb.{ending}").exists()


ENTRY = pack_plain(ADDRESS, b"hashstash", b"key", b"document", 8)


@pytest.mark.parametrize(("ending", "found"), [("dir", [(ADDRESS, ENTRY)]), ("dat", [(ADDRESS, b"")])])
def test_rebuilding_gives_both_files_again(dumb, tmp_path, ending, found):
    """Without data, the empty row tells whoever looks into it that it is lost."""
    dumb.put(ADDRESS, ENTRY)
    dumb.close()
    (tmp_path / f"rows.dumb.{ending}").unlink()
    assert dumb.rebuild({ENTRY: ADDRESS}.get)
    assert list(dumb.rows()) == found
    dumb.put(OTHER, row("b"))
    assert (dumb.get(OTHER), dumb.check()) == (row("b"), [])


def test_without_an_index_each_row_is_looked_at_a_few_times_however_large_it_is(dumb, tmp_path):
    """By the length in its header; to try where it may end takes hours for a few megabytes."""
    addresses = [number.to_bytes(16, "big") for number in range(20)]
    rows = {address: pack_plain(address, b"hashstash", b"key", b"\1" * 5000, 5000) for address in addresses}
    dumb.put_many(rows.items())
    dumb.close()
    os.truncate(tmp_path / "rows.dumb.dir", 0)
    asked = []

    def place_of(blob):
        asked.append(blob)
        return next((address for address, whole in rows.items() if whole == blob), None)

    assert dumb.rebuild(place_of)
    assert dict(dumb.rows()) == rows
    assert len(asked) <= 4 * len(rows)


def test_drafts_of_compacting_that_cannot_all_be_removed_are_not_taken_for_its_end(dumb, tmp_path, monkeypatch):
    dumb.put(ADDRESS, row("a"))
    dumb.close()
    for name in ("rows.dumb.dat.new", "rows.dumb.dir.new", "rows.dumb.dir.tmp"):
        (tmp_path / name).write_bytes(b"")
    unlink, removed = os.unlink, []

    def fail_later(path, **options):
        removed.append(path)
        if len(removed) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", fail_later)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        dumb.put(OTHER, row("b"))
    assert dumb.get(ADDRESS) == row("a")
    dumb.put(OTHER, row("b"))
    assert dict(dumb.rows()) == {ADDRESS: row("a"), OTHER: row("b")}
    assert sorted(path.name for path in tmp_path.glob("rows.dumb.*")) == ["rows.dumb.dat", "rows.dumb.dir"]


def test_a_row_is_removed_where_there_is_no_room_for_writing_the_index_anew(dumb, tmp_path, monkeypatch):
    monkeypatch.setattr("hashstash.engines._dumb._MOST_STALE", 0)
    replace = os.replace

    def refuse(source, target):
        if str(source).endswith(".dir.tmp"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    dumb.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
    monkeypatch.setattr(os, "replace", refuse)
    assert (dumb.delete(ADDRESS), dumb.delete(OTHER)) == (True, True)
    assert (list(dumb.scan()), dumb.check()) == ([], [])
    assert not (tmp_path / "rows.dumb.dir.tmp").exists()
