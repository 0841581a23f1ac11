"""LMDB environments beside others who remove, repair or only read them, and beside many more in the same process."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from hashstash import HashStash
from hashstash.errors import StashLocked
from hashstash.testing.engine import ADDRESS, OTHER, row

lmdb_engine = pytest.importorskip(
    "hashstash.engines.lmdb", reason="the package lmdb is not installed", exc_type=ImportError
)
LmdbEngine = lmdb_engine.LmdbEngine
replacing = pytest.importorskip("hashstash.engines._lmdb_replacing")
writers = pytest.importorskip("hashstash.engines._lmdb_writer")
pages = pytest.importorskip("hashstash.engines._lmdb_pages")
lease = pytest.importorskip("hashstash.engines._lmdb_lease")
LONG = 2.0
"""Seconds: many times what it may take to notice another file, also on a busy machine."""
knows_writers = pytest.mark.skipif(not writers._is_glibc(), reason="who writes is known only by the GNU C library")
OTHER_PROCESS = """
import sys
from hashstash.engines.lmdb import LmdbEngine
engine = LmdbEngine(sys.argv[1])
for line in sys.stdin:
    address = bytes([int(line)]) * 16
    engine.put(address, b"theirs")
    print(engine.get(address) == b"theirs", flush=True)
"""
MANY = """
import resource, sys, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from hashstash.engines.lmdb import LmdbEngine
engines = [LmdbEngine(f"{sys.argv[1]}/{number}") for number in range(100)]
right = []

def use(own):
    for turn in range(2):
        for number, engine in enumerate(engines):
            if not turn:
                engine.put(bytes([own]) * 16, bytes([own, number]) * 8)
            right.append(engine.get(bytes([own]) * 16) == bytes([own, number]) * 8)

threads = [threading.Thread(target=use, args=(own,)) for own in (1, 2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for engine in engines:
    engine.close()
print(len(right), all(right))
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "stash")


@pytest.fixture
def engine(folder):
    """An engine that is just being used."""
    with closing(LmdbEngine(folder)) as engine:
        engine.put(ADDRESS, row("a"))
        yield engine


@pytest.fixture
def other(folder):
    """Another process, which stores a row under the number that is written to it."""
    command = [sys.executable, "-c", OTHER_PROCESS, folder]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def tell(process, number):
    process.stdin.write(f"{number}\n")
    process.stdin.flush()


def comes_true(question):
    deadline = time.monotonic() + LONG
    while not question() and time.monotonic() < deadline:
        time.sleep(0.01)
    return question()


def test_what_was_removed_with_the_folder_is_soon_not_found_any_more(engine, folder):
    shutil.rmtree(folder)
    assert comes_true(lambda: engine.get(ADDRESS) is None)


def test_who_reads_all_the_time_notices_it_too(engine, folder):
    shutil.rmtree(folder)
    deadline = time.monotonic() + LONG
    while engine.get(ADDRESS) is not None and time.monotonic() < deadline:
        pass
    assert time.monotonic() < deadline


def test_what_is_stored_a_moment_after_the_folder_was_removed_can_be_found(engine, folder):
    shutil.rmtree(folder)
    time.sleep(0.2)
    engine.put(OTHER, row("b"))
    assert os.path.exists(os.path.join(folder, "data.mdb"))
    engine.close()
    assert engine.get(OTHER) == row("b")


def test_processes_meet_in_the_folder_that_one_of_them_has_made_anew(engine, folder, other):
    shutil.rmtree(folder)
    tell(other, 1)
    assert other.stdout.readline() == "True\n"
    assert comes_true(lambda: engine.get(bytes([1]) * 16) == b"theirs")
    assert engine.get(ADDRESS) is None


def test_no_one_writes_by_locks_that_were_removed(engine, folder):
    os.unlink(os.path.join(folder, "lock.mdb"))
    time.sleep(0.2)
    engine.put(OTHER, row("b"))
    assert os.path.exists(os.path.join(folder, "lock.mdb"))
    assert engine.get(ADDRESS) == row("a")


def test_what_nobody_uses_is_not_looked_at(engine, monkeypatch):
    environment = lmdb_engine.shared.environments[os.path.realpath(engine.location())]
    assert comes_true(lambda: environment.is_due)
    looked = []
    monkeypatch.setattr(environment, "expire", lambda: looked.append(1))
    time.sleep(0.2)
    assert not looked


@pytest.mark.skipif(not replacing.CAN_REPLACE, reason="no flock on this system")
def test_what_others_store_while_the_rows_are_saved_is_kept(engine, folder, other):
    tell(other, 1)
    assert other.stdout.readline() == "True\n"
    answers = []
    listening = threading.Thread(target=lambda: answers.append(other.stdout.readline()))

    def ask_to_store(_):
        if not listening.is_alive():
            listening.start()
            tell(other, 2)
            listening.join(0.3)  # it has to wait
        return bytes([1]) * 16

    engine.rebuild(lambda blob: ask_to_store(blob) if blob == b"theirs" else ADDRESS)
    listening.join()
    assert answers == ["True\n"]
    assert [engine.get(place) for place in (ADDRESS, bytes([1]) * 16, bytes([2]) * 16)] == [row("a"), *[b"theirs"] * 2]
    assert engine.check() == []


@pytest.mark.skipif(not replacing.CAN_REPLACE, reason="no flock on this system")
def test_a_file_that_could_not_be_exchanged_goes_on_being_used(engine, folder, other, monkeypatch):
    tell(other, 1)
    assert other.stdout.readline() == "True\n"
    monkeypatch.setattr("hashstash.engines._salvage._put_in_place", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.rebuild(lambda _: None)
    tell(other, 2)
    assert other.stdout.readline() == "True\n"
    assert engine.get(ADDRESS) == row("a")
    assert engine.get(bytes([2]) * 16) == b"theirs"


def test_a_file_that_was_kept_aside_can_be_put_back(engine, folder):
    engine.rebuild(lambda _: None)
    engine.close()
    os.replace(os.path.join(folder, "damaged", "1", "data.mdb"), os.path.join(folder, "data.mdb"))
    assert engine.get(ADDRESS) == row("a")
    engine.put(OTHER, row("b"))
    assert engine.check() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
def test_a_process_may_have_more_stashes_than_files(tmp_path):
    done = subprocess.run([sys.executable, "-c", MANY, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.stdout == "400 True\n", done.stderr


STORES_AND_DIES = """
import os, sys
from hashstash import HashStash
HashStash(sys.argv[1], engine="lmdb")["a"] = 1
os._exit(0)
"""


def files_in(folder):
    paths = (os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)
    return {path: (os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in paths if "lock.mdb" not in path}


def test_who_only_reads_changes_no_file_but_the_table_of_readers(tmp_path):
    subprocess.run([sys.executable, "-c", STORES_AND_DIES, tmp_path], check=True, timeout=60)
    before = files_in(tmp_path)
    stash = HashStash(tmp_path, engine="lmdb", read_only=True)
    assert stash["a"] == 1
    stash.close()
    assert files_in(tmp_path) == before


WRITES_FOR_LONG = """
import sys
from hashstash.engines import _lmdb_lease, _lmdb_shared as shared
from hashstash.engines.lmdb import LmdbEngine
engine = LmdbEngine(sys.argv[1])
engine.put(bytes(16), b"theirs")
(environment,) = shared.environments.values()
with environment.begin(write=True):
    print("begun", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def long_writer(folder):
    """Another process, which writes until something is written to it."""
    command = [sys.executable, "-c", WRITES_FOR_LONG, folder]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


@knows_writers
def test_who_waits_for_a_writer_that_was_stopped_is_told(engine, long_writer, monkeypatch):
    monkeypatch.setattr(writers, "_PATIENCE", 0.1)
    long_writer.send_signal(signal.SIGSTOP)
    with pytest.raises(StashLocked, match=f"process {long_writer.pid} was stopped"):
        engine.put(OTHER, row("b"))
    assert engine.get(ADDRESS) == row("a")
    long_writer.kill()
    engine.put(OTHER, row("b"))
    assert engine.get(OTHER) == row("b")


@knows_writers
def test_a_writer_that_is_at_work_is_waited_for(engine, long_writer, monkeypatch):
    monkeypatch.setattr(writers, "_PATIENCE", 0.1)
    threading.Timer(0.4, tell, (long_writer, 1)).start()
    engine.put(OTHER, row("b"))
    assert engine.get(OTHER) == row("b")


@knows_writers
@pytest.mark.parametrize("what", ["put", "swap", "rebuild"])
def test_an_interrupt_is_heard_while_a_writer_is_waited_for(engine, long_writer, what):
    work = {
        "put": lambda: engine.put(OTHER, row("b")),
        "swap": lambda: engine.swap(OTHER, None, row("b")),
        "rebuild": lambda: engine.rebuild(lambda _: None),
    }[what]
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert engine.get(ADDRESS) == row("a")


@knows_writers
def test_the_number_of_the_thread_that_writes_is_where_it_is_looked_for(engine):
    environment = lmdb_engine.shared.environments[os.path.realpath(engine.location())]
    with environment._env.begin(write=True):
        assert environment.writer[0] & writers._THREAD == threading.get_native_id()
    assert environment.writer[0] == 0


class Changing:
    """What is read while somebody writes it: each time the next of *states*, and the last one from then on."""

    def __init__(self, *states):
        self.states = list(states)

    def __getitem__(self, place):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def test_a_meta_page_is_not_taken_while_it_is_being_written():
    assert pages._steady(Changing(b"half", b"new", b"new"), 0) == b"new"


def test_an_interrupt_while_an_environment_is_lent_leaves_nothing_locked():
    class Lent:
        def __init__(self):
            self.is_over = threading.Lock()
            self.is_over.acquire()

        def expire(self):
            self.is_over.release()
            return True

    def interrupt_at(step):
        def profile(frame, event, argument):
            nonlocal step
            step -= event in {"call", "c_return"}  # where a signal is heard
            if not step:
                sys.setprofile(None)
                raise KeyboardInterrupt

        sys.setprofile(profile)

    watcher = lease._Watcher()
    watcher.start()
    for step in range(1, 20):
        lent = Lent()
        with contextlib.suppress(KeyboardInterrupt):
            try:
                interrupt_at(step)
                watcher.add(lent)
            finally:
                sys.setprofile(None)
    lent = Lent()
    watcher.add(lent)
    assert lent.is_over.acquire(timeout=5)
