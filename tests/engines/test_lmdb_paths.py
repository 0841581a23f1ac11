"""LMDB files to which several paths lead, or another one than before, and files whose making was cut short."""

import contextlib
import errno
import mmap
import multiprocessing
import os
import shutil
import subprocess
import sys

import pytest

from hashstash.errors import CorruptEntry
from hashstash.testing.engine import ADDRESS, OTHER, row

lmdb_engine = pytest.importorskip(
    "hashstash.engines.lmdb", reason="the package lmdb is not installed", exc_type=ImportError
)
LmdbEngine = lmdb_engine.LmdbEngine
PAGE = 4096
HOLDS = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "stash")


@pytest.fixture
def opened():
    """A function that opens engines, which are closed afterwards."""
    engines = []

    def open_engine(folder):
        engines.append(LmdbEngine(folder))
        return engines[-1]

    yield open_engine
    for engine in engines:
        engine.close()


@pytest.fixture
def renamed(folder, opened):
    """An engine that is open on a folder which has another name now, and that name."""
    engine = opened(folder)
    engine.put(ADDRESS, row("a"))
    os.rename(folder, folder + " renamed")
    return engine, folder + " renamed"


def test_a_folder_that_was_renamed_while_it_is_open_is_found_by_its_new_name(renamed, opened):
    new = opened(renamed[1])
    assert new.get(ADDRESS) == row("a")
    new.put(OTHER, row("b"))
    assert dict(new.rows()) == {ADDRESS: row("a"), OTHER: row("b")}


def test_who_knows_a_renamed_folder_by_its_old_name_begins_anew_there(renamed, opened, folder):
    old, name = renamed
    new = opened(name)
    assert new.get(ADDRESS) == row("a")
    assert old.get(ADDRESS) is None
    old.put(OTHER, row("b"))
    assert dict(new.rows()) == {ADDRESS: row("a")}
    assert dict(opened(folder).rows()) == {OTHER: row("b")}


def test_a_renamed_folder_is_rebuilt_under_its_new_name(renamed, opened):
    new = opened(renamed[1])
    assert new.rebuild(lambda _: ADDRESS)
    assert dict(new.rows()) == {ADDRESS: row("a")}


@pytest.fixture
def two_paths(folder, opened):
    """Two engines that are open on one file by different paths, as bind mounts give them; links stand for those here."""
    other = folder + " other"
    first = opened(folder)
    first.put(ADDRESS, row("a"))
    os.mkdir(other)
    for name in ("data.mdb", "lock.mdb"):
        os.link(os.path.join(folder, name), os.path.join(other, name))
    second = opened(other)
    assert second.get(ADDRESS) == row("a")
    return first, second


def test_two_paths_to_one_file_share_what_is_open(two_paths):
    first, second = two_paths
    second.put(OTHER, row("b"))
    assert first.get(OTHER) == row("b")
    first.put(OTHER, row("c"))
    assert second.get(OTHER) == row("c")


def test_closing_one_path_to_a_file_leaves_the_other_its_lock(two_paths, folder):
    first, second = two_paths
    second.close()
    assert first.get(ADDRESS) == row("a")
    fcntl = pytest.importorskip("fcntl", reason="locks of this kind are not there on Windows")
    tries = multiprocessing.get_context("spawn").Pool(1)
    with tries, pytest.raises(OSError, match=r"unavailable|denied") as caught:
        tries.apply(lock_alone, (os.path.join(folder, "lock.mdb"), fcntl.LOCK_EX | fcntl.LOCK_NB))
    assert caught.value.errno in (errno.EACCES, errno.EAGAIN)


def lock_alone(path, how):
    import fcntl

    with open(path, "r+b") as file:
        fcntl.lockf(file, how, 1)


VIEW = """
import sys
from hashstash.engines.lmdb import LmdbEngine
from hashstash.testing.engine import ADDRESS, OTHER, row
view_path, path, first = sys.argv[1:]
view, engine = LmdbEngine(view_path), LmdbEngine(path)
if first == "view":
    view.get(ADDRESS)
engine.put(ADDRESS, row("a"))
refused = 0
for write in (
    lambda: view.put(OTHER, row("b")), lambda: view.put_many([(OTHER, row("b"))]), lambda: view.delete(ADDRESS),
    lambda: view.swap(OTHER, None, row("b")), view.clear,
):
    print(view.get(ADDRESS) == row("a"), end=" ")
    try:
        write()
    except PermissionError as error:
        refused += view_path in str(error)
engine.put(OTHER, row("c"))
print(refused, view.get(OTHER) == row("c"), view.count(), view.check())
view.close()
engine.close()
"""


@pytest.mark.parametrize("first", ["view", "engine"])
def test_a_read_only_view_of_a_folder_that_is_open_for_writing_is_not_written_through(tmp_path, first):
    """The library has the file open once, for both, and would let either of them write."""
    if shutil.which("unshare") is None or os.getuid() != 0:
        pytest.skip("only root can mount a folder a second time")
    for name in ("source", "view"):
        (tmp_path / name).mkdir()
    with contextlib.closing(LmdbEngine(str(tmp_path / "source" / "stash"))) as engine:
        engine.put(ADDRESS, row("before"))
    script = (
        'mount --bind "$0/source" "$0/view" && mount -o remount,bind,ro "$0/view"'
        ' && exec "$1" -c "$2" "$0/view/stash" "$0/source/stash" "$3"'
    )
    command = ["unshare", "--mount", "sh", "-ec", script, str(tmp_path), sys.executable, VIEW, first]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.stdout == "True True True True True 5 True 2 []\n", done.stderr


# ---- files whose making was cut short --------------------------------------------------------------------------------


def beginning(folder):
    """The file of an environment in which nothing was ever stored."""
    engine = LmdbEngine(folder)
    engine.put_many([])
    engine._open()  # which makes the file, and stores nothing
    with open(os.path.join(folder, "data.mdb"), "rb") as file:
        content = file.read()
    engine.close()
    shutil.rmtree(folder)
    assert len(content) == 2 * PAGE
    return content


def left(folder, content):
    """A folder with a file of that content, as a process leaves it that ends while it makes an environment."""
    os.makedirs(folder)
    with open(os.path.join(folder, "data.mdb"), "wb") as file:
        file.write(content)


@pytest.mark.skipif(mmap.PAGESIZE != PAGE, reason="an environment has larger pages here")
@pytest.mark.parametrize("size", [1, 20, 100, 151, 152, 1000, PAGE, PAGE + 1, PAGE + 152, 2 * PAGE - 1])
def test_a_file_of_which_only_a_piece_was_written_is_made_anew(folder, opened, size):
    left(folder, beginning(folder)[:size])
    engine = opened(folder)
    assert engine.get(ADDRESS) is None
    engine.put(ADDRESS, row("a"))
    engine.close()
    assert opened(folder).get(ADDRESS) == row("a")


@pytest.mark.parametrize("size", [1, PAGE, 2 * PAGE])
def test_pages_of_zeros_that_hold_nothing_are_made_anew(folder, opened, size):
    left(folder, bytes(size))
    engine = opened(folder)
    engine.put(ADDRESS, row("a"))
    assert engine.get(ADDRESS) == row("a")


@pytest.mark.parametrize("size", [100, PAGE, PAGE + 200, 2 * PAGE])
def test_a_file_that_held_rows_and_was_cut_off_stays_damaged(folder, opened, size):
    engine = opened(folder)
    engine.put(ADDRESS, row("a"))
    engine.close()
    path = os.path.join(folder, "data.mdb")
    os.truncate(path, size)
    with pytest.raises(CorruptEntry, match="cut off|there is no page 2"):
        opened(folder).get(ADDRESS)
    assert os.path.getsize(path) == size


def test_a_file_with_a_transaction_that_was_cut_off_and_never_closed_stays_damaged(folder, opened):
    engine = opened(folder)
    for number in range(2):
        engine.put(ADDRESS, row(str(number)))
    engine.close()
    os.unlink(os.path.join(folder, "data.seal"))
    os.truncate(os.path.join(folder, "data.mdb"), PAGE)
    with pytest.raises(CorruptEntry, match="cut off"):
        opened(folder).get(ADDRESS)


def test_a_piece_is_left_alone_while_another_process_is_making_it(folder):
    pytest.importorskip("fcntl", reason="locks of this kind are not there on Windows")
    from hashstash.engines._lmdb_unborn import begin_anew

    left(folder, beginning(folder)[:PAGE])
    path, locks = os.path.join(folder, "data.mdb"), os.path.join(folder, "lock.mdb")
    with open(locks, "wb") as file:
        file.write(bytes(PAGE))
    other = subprocess.Popen([sys.executable, "-c", HOLDS, locks], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    begin_anew(path, locks)
    assert os.path.getsize(path) == PAGE
    other.communicate(timeout=60)
    begin_anew(path, locks)
    assert os.path.getsize(path) == 0


def test_a_lock_that_is_refused_for_a_moment_does_not_make_an_environment_invalid(folder, opened, monkeypatch):
    lmdb = lmdb_engine.lmdb
    opens, refusals = lmdb.open, [lmdb.InvalidError("MDB_INVALID: File is not an LMDB file")]
    monkeypatch.setattr(lmdb, "open", lambda *a, **k: _raise(refusals.pop()) if refusals else opens(*a, **k))
    engine = opened(folder)
    engine.put(ADDRESS, row("a"))
    assert engine.get(ADDRESS) == row("a")
    assert not refusals


def _raise(error):
    raise error
