"""Ctrl-C at each step of engines that one process at a time may write: the lock is free, nothing stays open, what is read is right."""

import errno
import gc
import os
import shutil
import subprocess
import sys
import threading

import pytest

from hashstash.engines._embedded import let_go_in
from hashstash.engines.shelve import ShelveEngine
from hashstash.testing.engine import ADDRESS, OTHER, row

fcntl = pytest.importorskip("fcntl", reason="locks of this kind are not there on Windows")
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from torture.interrupting import at_step  # noqa: E402

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list descriptors"),
]
OLD, NEW, GONE = row("old"), row("new"), None
own_place = {OLD: ADDRESS, row("anything"): OTHER}.get

OPERATIONS = {
    "get": (lambda engine: engine.get(ADDRESS), OLD),
    "get_many": (lambda engine: list(engine.get_many([ADDRESS, OTHER])), OLD),
    "count": (lambda engine: engine.count(), OLD),
    "put": (lambda engine: engine.put(ADDRESS, NEW), NEW),
    "delete": (lambda engine: engine.delete(ADDRESS), GONE),
    "swap": (lambda engine: engine.swap(ADDRESS, OLD[8:16], NEW), NEW),
    "clear": (lambda engine: engine.clear(), GONE),
    "compact": (lambda engine: engine.compact(), OLD),
    "check": (lambda engine: engine.check(), OLD),
    "rebuild": (lambda engine: engine.rebuild(own_place), OLD),
    "close": (lambda engine: engine.close(), OLD),
    "let_go": (lambda engine: let_go_in(engine.location()), OLD),
}
"""What is done, and what is at the address afterwards."""


def make_shelve(folder):
    return ShelveEngine(folder, backend="dumb")


def make_shelve_on_sqlite3(folder):
    pytest.importorskip("dbm.sqlite3", reason="this Python has no dbm.sqlite3", exc_type=ImportError)
    return ShelveEngine(folder, backend="sqlite3")


def make_pickledb(folder):
    module = pytest.importorskip(
        "hashstash.engines.pickledb", reason="the package pickledb is not installed", exc_type=ImportError
    )
    return module.PickledbEngine(folder)


@pytest.fixture(params=[make_shelve, make_shelve_on_sqlite3, make_pickledb])
def make(request, tmp_path):
    return lambda: request.param(str(tmp_path / "stash"))


def open_in(folder):
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        found += [path] * path.startswith(folder)
    return found


def is_free(folder):
    with open(os.path.join(folder, "rows.lock")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def read_in_a_thread(engine):
    found = []
    thread = threading.Thread(target=lambda: found.append(engine.get(ADDRESS)), daemon=True)
    thread.start()
    thread.join(60)
    assert found, "another thread waits for ever, or fails"
    return found[0]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # what an object has open ends with it
@pytest.mark.parametrize(
    ("operation", "is_stale"),
    [
        *((name, False) for name in OPERATIONS if name != "rebuild"),
        *((name, True) for name in ("get", "put", "swap", "clear")),
        pytest.param("rebuild", False, marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_at_any_step_leaves_no_lock_and_nothing_open_and_what_is_read_next_is_right(
    make, operation, is_stale
):
    engine, other = make(), make()
    work, after = OPERATIONS[operation]
    step, where = 1, "somewhere"
    while where:
        engine.put(ADDRESS, OLD)
        (other if is_stale else engine).put(OTHER, row("anything"))
        where, came_out = at_step(lambda: work(engine), step)
        assert came_out or not where, f"{where} swallows it"
        assert is_free(engine.location()), f"{where} leaves the lock"
        found = read_in_a_thread(engine)
        assert found in (OLD, after), where
        assert other.get(ADDRESS) == found, where
        assert engine.check() == [], where
        engine.put(OTHER, row("more"))
        assert other.get(OTHER) == row("more"), where
        engine.close()
        other.close()
        if open_in(engine.location()):
            gc.collect()  # an engine and its sections know each other
        assert open_in(engine.location()) == [], where
        shutil.rmtree(engine.location())
        step += 1
    assert step > 3


FORKED = """
import fcntl, os, sys, threading
from hashstash.engines import _embedded
from hashstash.engines.shelve import ShelveEngine
from hashstash.testing.engine import ADDRESS, row
engine = ShelveEngine(sys.argv[1], backend="dumb")
_embedded._LONGEST_WAIT = 0.05
is_inside, may_go_on = threading.Event(), threading.Event()
def write(handle):
    is_inside.set()
    may_go_on.wait()
    return 0
writing = threading.Thread(target=engine._write, args=(write,))
writing.start()
is_inside.wait()
child = os.fork()
if not child:
    reading = threading.Thread(target=engine.get, args=(ADDRESS,), daemon=True)
    reading.start()
    reading.join(0.5)  # where the lock is kept, it waits for as long as the parent writes
    with open(os.path.join(sys.argv[1], "rows.lock")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os._exit(0)
    os._exit(1)
print(os.waitpid(child, 0)[1])
may_go_on.set()
writing.join()
"""


def test_a_fork_does_not_take_the_lock_from_a_thread_of_its_parent(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "stash")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("remove", ["delete", "delete_if"])
def test_who_removes_a_row_on_a_full_disk_has_removed_it_though_only_the_second_try_comes_to_its_end(
    make, monkeypatch, remove
):
    engine = make()
    engine.put_many([(ADDRESS, OLD), (OTHER, OLD)])
    finish, left = engine._guard.finish, [OSError(errno.ENOSPC, "no room")]

    def fails_once(*arguments):
        if left:
            raise left.pop()
        finish(*arguments)

    monkeypatch.setattr(engine._guard, "finish", fails_once)
    assert engine.delete(ADDRESS) if remove == "delete" else engine.delete_if(ADDRESS, OLD[8:16])
    assert not left
    assert engine.get(ADDRESS) is None
    assert list(engine.scan()) == [OTHER]
    engine.close()
