"""Who changes a row that is a file keeps others out of it: nothing is undone, nothing is left, and nobody waits for ever."""

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from hashstash.engine import WRITE_ID
from hashstash.engines import _row_lock, memory, pairtree
from hashstash.engines.memory import MemoryEngine
from hashstash.engines.pairtree import PairtreeEngine
from hashstash.testing.engine import ADDRESS, row

pytestmark = pytest.mark.once
FIRST = row("", 1)[WRITE_ID]
PATIENCE = 30


@pytest.fixture
def engine(tmp_path):
    return PairtreeEngine(str(tmp_path / "stash"))


@pytest.fixture(params=["pairtree", "memory"])
def either(request, engine, tmp_path):
    return engine if request.param == "pairtree" else MemoryEngine(str(tmp_path / "memory"))


def path_of(engine, address=ADDRESS):
    return os.path.join(engine.location(), address.hex()[:2], address.hex())


class Between:
    """Lets another thread do something once while a row is held, which is to wait until that is over."""

    def __init__(self, work):
        self._thread = threading.Thread(target=work, daemon=True)
        self.waited = False

    def __call__(self):
        if not self._thread.ident:
            self._thread.start()
            self._thread.join(0.2)
            self.waited = self._thread.is_alive()

    def end(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def meddle(monkeypatch, engine, between):
    """Call *between* after the engine has looked at the row that it holds."""
    if isinstance(engine, MemoryEngine):

        class Rows(dict):
            def get(self, address):
                found = super().get(address)
                between()
                return found

        engine._rows = Rows(engine._rows)
        return
    carries = PairtreeEngine._carries

    def meddled(self, address, expected):
        found = carries(self, address, expected)
        if _row_lock._held:
            between()
        return found

    monkeypatch.setattr(PairtreeEngine, "_carries", meddled)


CHANGES = {
    "put": (lambda engine: engine.put(ADDRESS, row("new", 9)), row("new", 9)),
    "delete": (lambda engine: engine.delete(ADDRESS), None),
    "swap": (lambda engine: engine.swap(ADDRESS, FIRST, row("new", 9)), row("swapped", 2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_swap_undoes_nothing_that_comes_between_its_look_and_its_write(monkeypatch, either, change):
    either.put(ADDRESS, row("old", 1))
    work, expected = CHANGES[change]
    between = Between(lambda: work(either))
    meddle(monkeypatch, either, between)
    assert either.swap(ADDRESS, FIRST, row("swapped", 2))
    between.end()
    assert between.waited
    assert either.get(ADDRESS) == expected


def test_a_row_that_is_put_while_the_old_one_is_removed_stays(monkeypatch, either):
    either.put(ADDRESS, row("old", 1))
    between = Between(lambda: either.put(ADDRESS, row("new", 9)))
    meddle(monkeypatch, either, between)
    assert either.delete_if(ADDRESS, FIRST)
    between.end()
    assert between.waited
    assert either.get(ADDRESS) == row("new", 9)


def test_a_swap_of_no_row_gives_way_to_one_that_is_put_before_it_has_a_name(monkeypatch, engine):
    link = os.link
    monkeypatch.setattr(os, "link", lambda *names: (other.put(ADDRESS, row("new", 9)), link(*names)))
    other = PairtreeEngine(engine.location())
    other._replaces = True
    monkeypatch.setattr(
        other, "_add", lambda draft, _, path: (os.makedirs(os.path.dirname(path)), os.rename(draft, path))
    )
    assert not engine.swap(ADDRESS, None, row("swapped", 2))
    assert engine.get(ADDRESS) == row("new", 9)


def everything(engine):
    """Rows stored, replaced, swapped and deleted, of which one is left."""
    engine.put(ADDRESS, row("a", 1))
    engine.put(ADDRESS, row("b", 2))
    assert engine.swap(ADDRESS, row("", 2)[WRITE_ID], row("c", 3))
    assert not engine.swap(ADDRESS, FIRST, row("d", 4))
    assert not engine.swap(ADDRESS, None, row("d", 4))
    assert engine.delete_if(ADDRESS, row("", 3)[WRITE_ID])
    assert not engine.delete(ADDRESS)
    assert engine.swap(ADDRESS, None, row("e", 5))
    assert engine.get(ADDRESS) == row("e", 5)


def test_neither_lock_files_nor_drafts_nor_descriptors_are_left(engine):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    everything(engine)
    left = [os.path.join(folder, name) for folder, _, names in os.walk(engine.location()) for name in names]
    assert left == [path_of(engine)]
    assert before is None or len(os.listdir("/proc/self/fd")) == before
    assert not _row_lock._open
    assert not _row_lock._held


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_second_names_does(monkeypatch, engine, number):
    def refuse(*_):
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    everything(engine)


def test_without_second_names_one_of_many_is_first(monkeypatch, engine):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    won, barrier = [], threading.Barrier(6)

    def work(number):
        barrier.wait()
        won.extend(turn for turn in range(10) if engine.swap(bytes([turn]) * 16, None, row(str(number), number)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(10))


def test_without_locks_rows_are_put_and_no_swap_pretends_to_be_one(monkeypatch, engine):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    engine.put(ADDRESS, row("a", 1))
    engine.put(ADDRESS, row("b", 2))
    with pytest.raises(OSError, match="No locks available"):
        engine.swap(ADDRESS, row("", 2)[WRITE_ID], row("c", 3))
    with pytest.raises(OSError, match="No locks available"):
        engine.delete_if(ADDRESS, row("", 2)[WRITE_ID])
    assert engine.get(ADDRESS) == row("b", 2)
    assert engine.delete(ADDRESS)


def test_files_that_are_locked_only_when_they_may_be_written_are(monkeypatch, engine):
    """As on NFS."""
    flock, kinds = fcntl.flock, []

    def picky(descriptor, operation):
        kinds.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        if kinds[-1] == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", picky)
    everything(engine)
    assert os.O_RDWR in kinds
    assert not _row_lock._open


def test_a_row_that_only_others_may_open_is_replaced_all_the_same(monkeypatch, engine):
    engine.put(ADDRESS, row("a"))
    opens, path = os.open, path_of(engine)

    def refuse(name, *options, **others):
        if name == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(name, *options, **others)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        engine.put(ADDRESS, row("b"))
    assert engine.get(ADDRESS) == row("b")


@pytest.mark.parametrize("make_one", [os.mkfifo, os.mkdir, lambda path: os.symlink("/nowhere", path)])
def test_what_is_no_file_is_replaced(engine, make_one):
    engine.put(ADDRESS, row("a"))
    os.unlink(path_of(engine))
    make_one(path_of(engine))
    engine.put(ADDRESS, row("b"))
    assert engine.get(ADDRESS) == row("b")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_who_is_interrupted_or_fails_leaves_nothing_locked(monkeypatch, engine, error):
    engine.put(ADDRESS, row("a", 1))

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(pairtree, "_moved", fail)
        with pytest.raises(error):
            engine.put(ADDRESS, row("b", 2))
        with pytest.raises(error):
            engine.swap(ADDRESS, FIRST, row("b", 2))
    between = Between(lambda: engine.put(ADDRESS, row("c", 3)))
    between()
    between.end()
    assert engine.get(ADDRESS) == row("c", 3)
    assert not os.listdir(os.path.join(engine.location(), "tmp"))


def test_what_a_finalizer_stores_in_the_middle_of_it_does_not_wait_for_itself(engine):
    engine.put(ADDRESS, row("a", 1))
    _row_lock.alone_with(path_of(engine), lambda: engine.put(ADDRESS, row("b", 2)))
    assert engine.get(ADDRESS) == row("b", 2)


HOLD = """
import sys, time
from hashstash.engines._row_lock import alone_with
alone_with(sys.argv[1], lambda: (print("held", flush=True), time.sleep(600)))
"""


def test_whoever_waits_goes_on_when_the_holder_is_killed(engine):
    engine.put(ADDRESS, row("a", 1))
    with subprocess.Popen([sys.executable, "-c", HOLD, path_of(engine)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        between = Between(lambda: engine.put(ADDRESS, row("b", 2)))
        between()
        assert between.waited
        holder.kill()
        between.end()
    assert engine.get(ADDRESS) == row("b", 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_keeps_no_lock_of_its_parent(engine):
    engine.put(ADDRESS, row("a", 1))
    stays, goes = os.pipe()

    def fork():
        child = os.fork()
        if not child:
            os.close(goes)
            os.read(stays, 1)
            os._exit(0)
        return child

    child = _row_lock.alone_with(path_of(engine), fork)
    try:
        between = Between(lambda: engine.put(ADDRESS, row("b", 2)))
        between()
        between.end()
    finally:
        os.close(goes)
        os.close(stays)
        os.waitpid(child, 0)
    assert engine.get(ADDRESS) == row("b", 2)


def test_a_child_of_a_process_that_dies_while_it_holds_a_row_keeps_no_lock(engine):
    code = (
        "import os, signal, sys, time\n"
        "from hashstash.engines._row_lock import alone_with\n"
        "def fork():\n"
        "    if not os.fork():\n"
        "        print('forked', flush=True)\n"
        "        sys.stdin.read()\n"
        "        os._exit(0)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "alone_with(sys.argv[1], fork)\n"
    )
    engine.put(ADDRESS, row("a", 1))
    command = [sys.executable, "-c", code, path_of(engine)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "forked\n"
        between = Between(lambda: engine.put(ADDRESS, row("b", 2)))
        between()
        between.end()
    assert engine.get(ADDRESS) == row("b", 2)


def test_without_locks_of_the_system_threads_keep_each_other_out(monkeypatch, engine):
    monkeypatch.setattr(_row_lock, "fcntl", None)
    everything(engine)
    engine.put(ADDRESS, row("old", 1))
    between = Between(lambda: engine.put(ADDRESS, row("new", 9)))
    carries = PairtreeEngine._carries
    monkeypatch.setattr(
        PairtreeEngine, "_carries", lambda *asked: (carries(*asked), looks.append(1), looks[1:] and between())[0]
    )
    looks = []
    assert engine.swap(ADDRESS, FIRST, row("swapped", 2))
    between.end()
    assert engine.get(ADDRESS) == row("new", 9)


def test_a_forked_child_has_a_lock_of_its_own_for_rows_in_memory():
    before = memory._swap_lock
    memory._renew_lock()
    assert memory._swap_lock is not before


@pytest.mark.parametrize("name", ["flock", "fstat"])
def test_what_the_disk_fails_to_do_is_told_with_the_name_of_the_row(monkeypatch, engine, name):
    engine.put(ADDRESS, row("a"))

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(_row_lock.fcntl if name == "flock" else _row_lock.os, name, fail)
        with pytest.raises(OSError, match="Input/output error") as raised:
            engine.delete(ADDRESS)
    assert raised.value.filename == path_of(engine)
    assert not _row_lock._open
    assert engine.delete(ADDRESS)
