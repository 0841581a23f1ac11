import dis
import io
import itertools
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from hashstash import locks
from hashstash.locks import KeyLock

pytestmark = pytest.mark.once

IMPATIENT = 0.05


@pytest.fixture(params=["files", "this process"])
def folder(request, tmp_path):
    return str(tmp_path / "locks") if request.param == "files" else None


def elsewhere(lock, timeout=IMPATIENT):
    """Whether another thread gets the lock."""
    results = []

    def take():
        got = lock.acquire(timeout)
        results.append(got)
        if got:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(30)
    return results[0]


def test_one_thread_at_a_time(folder):
    with KeyLock(folder, "a"):
        assert not elsewhere(KeyLock(folder, "a"))
    assert elsewhere(KeyLock(folder, "a"))


def test_other_names_are_free(folder):
    with KeyLock(folder, "a"):
        assert elsewhere(KeyLock(folder, "b"))


def test_other_folders_are_free(tmp_path):
    with KeyLock(str(tmp_path / "1"), "a"):
        assert elsewhere(KeyLock(str(tmp_path / "2"), "a"))


def test_the_holder_may_enter_again(folder):
    with KeyLock(folder, "a"):
        with KeyLock(folder, "a"):
            pass
        assert not elsewhere(KeyLock(folder, "a"))
    assert elsewhere(KeyLock(folder, "a"))


def test_an_exception_gives_it_back(folder):
    with pytest.raises(ZeroDivisionError), KeyLock(folder, "a"):
        1 / 0
    assert elsewhere(KeyLock(folder, "a"))


def test_waiting_ends_after_the_timeout(folder):
    with KeyLock(folder, "a"):
        started = time.monotonic()
        assert not elsewhere(KeyLock(folder, "a"), 0.1)
        assert 0.05 < time.monotonic() - started < 30


def test_a_waiting_thread_gets_it(folder):
    lock = KeyLock(folder, "a")
    lock.acquire()
    results = []
    thread = threading.Thread(target=lambda: results.append(elsewhere(KeyLock(folder, "a"), 30)))
    thread.start()
    time.sleep(0.05)
    assert not results
    lock.release()
    thread.join(30)
    assert results == [True]


def test_nothing_is_kept_afterwards(folder):
    before = set(locks._mutexes)
    with KeyLock(folder, "a"):
        assert set(locks._mutexes) - before
    assert set(locks._mutexes) <= before
    assert folder is None or os.listdir(folder) == []


def test_a_wait_in_vain_keeps_nothing(folder):
    before = set(locks._mutexes)
    with KeyLock(folder, "a"):
        elsewhere(KeyLock(folder, "a"))
    assert set(locks._mutexes) <= before


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_file_is_private_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with KeyLock(str(tmp_path / "locks"), "a"):
            (path,) = (tmp_path / "locks").iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_any_name_will_do(tmp_path):
    with KeyLock(str(tmp_path), "../a/\0" + "é" * 1000):
        assert len(os.listdir(tmp_path)) == 1


def test_a_file_that_nobody_holds_is_no_obstacle(tmp_path):
    with KeyLock(str(tmp_path), "a"):
        (name,) = os.listdir(tmp_path)
    (tmp_path / name).write_bytes(b"left behind")
    assert elsewhere(KeyLock(str(tmp_path), "a"))


def test_the_folder_may_be_removed_while_it_is_held(tmp_path):
    folder = tmp_path / "locks"
    with KeyLock(str(folder), "a"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert elsewhere(KeyLock(str(folder), "a"))


COUNT = """
import sys
from hashstash.locks import KeyLock
for _ in range(100):
    with KeyLock(sys.argv[1], "counter"):
        with open(sys.argv[2]) as file:
            number = int(file.read())
        with open(sys.argv[2], "w") as file:
            file.write(str(number + 1))
"""


def test_processes_take_turns(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "locks"), str(counter)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert counter.read_text() == "400"


HOLD = """
import sys, time
from hashstash.locks import KeyLock
with KeyLock(sys.argv[1], "a"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert not KeyLock(str(tmp_path), "a").acquire(IMPATIENT)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    lock = KeyLock(str(tmp_path), "a")
    assert lock.acquire(30)
    lock.release()


def _child_that_waits(folder, results):
    results.put(KeyLock(folder, "a").acquire(IMPATIENT))


def _child_that_leaves(lock, folder, results):
    lock.release()  # what the end of a ``with`` block does in a child that was forked inside of it
    results.put(KeyLock(folder, "a").acquire(IMPATIENT))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("leaves", [False, True])
def test_a_forked_child_holds_nothing_and_gives_nothing_back(tmp_path, leaves):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    lock = KeyLock(str(tmp_path), "a")
    with lock:
        args = (lock, str(tmp_path), results) if leaves else (str(tmp_path), results)
        child = context.Process(target=_child_that_leaves if leaves else _child_that_waits, args=args)
        child.start()
        assert results.get(timeout=30) is False
        child.join(30)
        assert not elsewhere(KeyLock(str(tmp_path), "a"))
    assert elsewhere(KeyLock(str(tmp_path), "a"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_keep_its_parents_lock(tmp_path):
    context = multiprocessing.get_context("fork")
    with KeyLock(str(tmp_path), "a"):
        child = context.Process(target=time.sleep, args=(30,))
        child.start()
    try:
        assert elsewhere(KeyLock(str(tmp_path), "a"), 30)
    finally:
        child.kill()
        child.join(30)


class Interrupting:
    """A profiler that raises KeyboardInterrupt at the n-th place in hashstash/locks.py where a signal would be heard."""

    def __init__(self, left):
        self.left = left

    def __call__(self, frame, event, argument):
        is_begun = event == "call" and frame.f_code.co_code[max(frame.f_lasti, 0)] == dis.opmap["RESUME"]
        if frame.f_code.co_filename == locks.__file__ and (is_begun or event == "c_return"):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


def enter(lock):
    with lock:
        pass


def enter_twice(lock):
    with lock, lock:
        pass


def take_and_give_back(lock):
    try:
        lock.acquire()
        lock.release()
    except KeyboardInterrupt:
        lock.release()
        raise


@pytest.mark.parametrize("work", [enter, enter_twice, take_and_give_back])
def test_an_interrupt_at_any_place_leaves_no_lock_held(folder, work):
    interrupts = 0
    for place in itertools.count(1):
        lock = KeyLock(folder, "a")
        profiler = Interrupting(place)
        sys.setprofile(profiler)
        try:
            work(lock)
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.setprofile(None)
        assert elsewhere(KeyLock(folder, "a"), 5), place
        if profiler.left > 0:
            break
    assert interrupts > 10
    assert (folder, "a") not in locks._mutexes


class Visiting:
    """A profiler that takes and gives back the same lock at the n-th place, as a signal handler or a finalizer may."""

    def __init__(self, folder, left):
        self.folder = folder
        self.left = left
        self.got = None

    def __call__(self, frame, event, argument):
        is_begun = event == "call" and frame.f_code.co_code[max(frame.f_lasti, 0)] == dis.opmap["RESUME"]
        if frame.f_code.co_filename == locks.__file__ and (is_begun or event == "c_return"):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                lock = KeyLock(self.folder, "a")
                self.got = lock.acquire(1)
                lock.release()


@pytest.mark.parametrize("work", [enter, enter_twice, take_and_give_back])
def test_a_handler_that_takes_the_same_lock_at_any_place_gets_it_and_harms_nothing(folder, work):
    visits = 0
    for place in itertools.count(1):
        visitor = Visiting(folder, place)
        sys.setprofile(visitor)
        try:
            work(KeyLock(folder, "a"))
        finally:
            sys.setprofile(None)
        if visitor.got is None:
            break
        visits += 1
        assert visitor.got, place
        assert elsewhere(KeyLock(folder, "a"), 5), place
    assert visits > 10
    assert (folder, "a") not in locks._mutexes
    assert folder is None or os.listdir(folder) == []


@pytest.mark.parametrize("place", range(1, 60))
def test_a_lock_is_held_whatever_a_handler_has_done_while_it_was_taken(folder, place):
    lock = KeyLock(folder, "a")
    sys.setprofile(Visiting(folder, place))
    try:
        lock.acquire()
    finally:
        sys.setprofile(None)
    assert not elsewhere(KeyLock(folder, "a"), 0.001)
    lock.release()
    assert elsewhere(KeyLock(folder, "a"), 5)


@pytest.mark.parametrize("place", range(1, 90))
def test_a_lock_is_noted_whatever_a_finalizer_has_done_at_any_instruction_before(folder, place):
    left = place

    def visit(frame, event, argument):
        nonlocal left
        if frame.f_code is not locks._enter.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                sys.settrace(None)
                with KeyLock(folder, "a"):
                    pass
        return visit

    before = sys.gettrace()
    sys.settrace(visit)
    try:
        with KeyLock(folder, "a"):
            sys.settrace(before)
            assert (folder, "a") in locks._mutexes
            assert not elsewhere(KeyLock(folder, "a"), 0.001)
    finally:
        sys.settrace(before)
    assert (folder, "a") not in locks._mutexes


def test_a_lock_may_be_entered_twice_through_one_object(folder):
    lock = KeyLock(folder, "a")
    with lock:
        with lock:
            pass
        assert not elsewhere(KeyLock(folder, "a"))
    assert elsewhere(KeyLock(folder, "a"))


def test_a_stack_of_contexts_takes_and_gives_back(folder):
    with ExitStack() as stack:
        stack.enter_context(KeyLock(folder, "a"))
        assert not elsewhere(KeyLock(folder, "a"))
    assert elsewhere(KeyLock(folder, "a"))


def test_another_thread_cannot_give_it_back(folder):
    lock = KeyLock(folder, "a")
    lock.acquire()
    errors = []

    def give_back():
        try:
            lock.release()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=give_back)
    thread.start()
    thread.join(30)
    assert errors
    lock.release()
    assert elsewhere(KeyLock(folder, "a"))


def test_locks_in_another_order_under_each_other_are_free_of_deadlock_with_a_timeout(tmp_path):
    """Two names never share a lock: holding many at once only waits for those names."""
    held = [KeyLock(str(tmp_path), str(number)) for number in range(300)]
    for lock in held:
        assert lock.acquire(30)
    assert elsewhere(KeyLock(str(tmp_path), "free"))
    for lock in held:
        lock.release()


def test_a_sweep_removes_what_killed_holders_have_left_and_nothing_that_is_held(tmp_path):
    folder = str(tmp_path / "locks")
    code = (
        "import os, signal; from hashstash.locks import KeyLock\n"
        f"KeyLock({folder!r}, 'left').acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    with KeyLock(folder, "held"):
        assert len(os.listdir(folder)) == 2
        assert locks.sweep(folder) == 1
        assert len(os.listdir(folder)) == 1
        assert not elsewhere(KeyLock(folder, "held"))
    assert elsewhere(KeyLock(folder, "left"))


def test_a_sweep_of_no_folder_removes_nothing(tmp_path):
    assert locks.sweep(str(tmp_path / "none")) == 0


def test_those_who_wait_can_read_the_holders_note(tmp_path):
    folder = str(tmp_path)
    with KeyLock(folder, "a") as lock:
        lock.leave_note(b"a longer note")
        lock.leave_note(b"a note")
        assert KeyLock(folder, "a").note() == b"a note"
        assert not elsewhere(KeyLock(folder, "a"))
    assert KeyLock(folder, "a").note() == b""
    assert os.listdir(folder) == []


def test_a_note_in_a_new_lock_file_does_not_empty_that_first(tmp_path, monkeypatch):
    """Some file systems send a file that was emptied to the disk at once, and whoever removes it waits for that."""
    emptied = []

    class Watched(io.FileIO):
        def truncate(self, size=None):
            emptied.append(size)
            return super().truncate(size)

    ftruncate = os.ftruncate
    monkeypatch.setattr(io, "FileIO", Watched)
    monkeypatch.setattr(os, "ftruncate", lambda file, size: emptied.append(size) or ftruncate(file, size))
    with KeyLock(str(tmp_path), "a") as lock:
        lock.leave_note(b"a note")
        assert (lock.note(), emptied) == (b"a note", [])
        lock.leave_note(b"another")
        assert (lock.note(), emptied) == (b"another", [0])


def test_who_does_not_hold_a_lock_leaves_no_note(folder):
    KeyLock(folder, "a").leave_note(b"not mine")
    assert KeyLock(folder, "a").note() == b""


def test_the_note_of_a_holder_who_was_killed_gives_way(tmp_path):
    folder = str(tmp_path)
    with KeyLock(folder, "a"):
        (path,) = tmp_path.iterdir()
    path.write_bytes(b"what he left" * 100)
    with KeyLock(folder, "a") as lock:
        lock.leave_note(b"mine")
        assert lock.note() == b"mine"
