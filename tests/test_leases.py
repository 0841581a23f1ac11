import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from hashstash import HashStash, leases
from hashstash.engines.memory import MemoryEngine
from hashstash.errors import ServerUnavailable
from hashstash.leases import LeaseLock
from hashstash.testing.engine.base import run_together

pytestmark = pytest.mark.once

IMPATIENT = 0.05
SHORT = 0.4
"""Seconds of a lease that a test waits for the end of."""
LASTING = 1.5
"""Seconds of a lease that is renewed in time, on a machine that does much else."""


class Rows(MemoryEngine):
    """Rows that several holders share, as those of a server; what is asked of them may be counted and fail."""

    def __init__(self, place):
        super().__init__(place)
        self.stay = {}
        self.swaps = 0
        self.fails = lambda: None

    def swap_for(self, address, expected, blob, seconds):
        self.swaps += 1
        self.fails()
        self.stay[blob[8:16]] = seconds
        return self.swap(address, expected, blob)


@pytest.fixture
def rows(tmp_path):
    return Rows(str(tmp_path))


@pytest.fixture
def stranger(tmp_path):
    """The same rows as another machine sees them: its locks know nothing of those of this process."""

    class Elsewhere(Rows):
        def location(self):
            return "elsewhere"

    return Elsewhere(str(tmp_path))


def gets(lock, timeout=IMPATIENT):
    """Whether another thread gets the lock."""
    results = []

    def take():
        got = lock.acquire(timeout)
        results.append(got)
        if got:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(90)
    return results[0]


def test_one_holder_at_a_time_in_one_process_and_among_machines(rows, stranger):
    with LeaseLock(rows, "a"):
        assert not gets(LeaseLock(rows, "a"))
        assert not gets(LeaseLock(stranger, "a"))
    assert gets(LeaseLock(rows, "a"))
    assert gets(LeaseLock(stranger, "a"))


def test_other_names_are_free(rows, stranger):
    with LeaseLock(rows, "a"):
        assert gets(LeaseLock(stranger, "b"))


def test_the_holder_may_enter_again(rows, stranger):
    with LeaseLock(rows, "a"):
        with LeaseLock(rows, "a"):
            pass
        assert not gets(LeaseLock(stranger, "a"))
    assert gets(LeaseLock(stranger, "a"))


def test_a_free_lock_costs_one_swap_to_take_and_one_to_give_back(rows):
    with LeaseLock(rows, "a"):
        assert rows.swaps == 1
    assert rows.swaps == 2


def test_a_row_that_nobody_holds_goes_by_itself(rows):
    with LeaseLock(rows, "a"):
        pass
    assert 0 < rows.stay[rows.get(b"a")[8:16]] <= 60


def test_the_row_of_one_who_dies_goes_by_itself_but_never_during_a_lease(rows):
    with LeaseLock(rows, "a"):
        assert 3600 < rows.stay[rows.get(b"a")[8:16]] <= 86_400


def test_who_waits_long_is_told_for_whom(rows, stranger, monkeypatch):
    monkeypatch.setattr(leases, "LONG_WAIT", 0.05)
    monkeypatch.setattr(socket, "gethostname", lambda: "theirs")
    theirs = LeaseLock(stranger, "name")
    theirs.acquire()
    monkeypatch.setattr(socket, "gethostname", lambda: "ours")
    told = []
    ours = LeaseLock(rows, "name")
    ours.tell = lambda holder: (told.append(holder), theirs.release())
    with ours:
        assert told == [f"process {os.getpid()} on theirs"]


def test_an_exception_gives_it_back(rows, stranger):
    with pytest.raises(ZeroDivisionError), LeaseLock(rows, "a"):
        1 / 0
    assert gets(LeaseLock(stranger, "a"))


def test_a_waiting_machine_gets_it_soon(rows, stranger):
    lock = LeaseLock(rows, "a")
    lock.acquire()
    waiting = threading.Thread(target=gets, args=(LeaseLock(stranger, "a"), 30))
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()
    lock.release()
    released = time.monotonic()
    waiting.join(30)
    assert time.monotonic() - released < leases.LEASE / 2


def test_a_lease_is_renewed_as_long_as_it_is_held(rows, stranger):
    with LeaseLock(rows, "a", LASTING):
        assert not gets(LeaseLock(stranger, "a", LASTING), 2 * LASTING)


def test_several_leases_are_renewed_together(rows, stranger):
    with LeaseLock(rows, "a", LASTING * 2), LeaseLock(rows, "b", LASTING), LeaseLock(rows, "c", LASTING * 3):
        time.sleep(2 * LASTING)
        assert not any(gets(LeaseLock(stranger, name, LASTING)) for name in "abc")


def test_who_gives_no_sign_of_life_is_taken_over_after_a_lease(rows, stranger, monkeypatch):
    monkeypatch.setattr(
        leases._Heart, "_renew", staticmethod(lambda lease: setattr(lease, "due", time.monotonic() + 1))
    )
    with LeaseLock(rows, "a", SHORT):
        started = time.monotonic()
        assert gets(LeaseLock(stranger, "a", 60.0), 30)
        assert time.monotonic() - started >= SHORT


def test_who_only_tries_now_and_then_takes_over_too(rows, stranger, monkeypatch):
    """As those do who must not block while they wait: event loops, cells that show how long they have been waiting."""
    monkeypatch.setattr(
        leases._Heart, "_renew", staticmethod(lambda lease: setattr(lease, "due", time.monotonic() + 1))
    )
    with LeaseLock(rows, "a", SHORT):
        lock, started = LeaseLock(stranger, "a", 60.0), time.monotonic()
        while not lock.acquire(0):
            assert time.monotonic() - started < 30
            time.sleep(0.02)
        assert time.monotonic() - started >= SHORT
        lock.release()


def test_a_holder_who_was_taken_over_takes_nothing_away(rows, stranger, monkeypatch):
    """The row is the other one's now: giving back what was lost leaves it alone."""
    monkeypatch.setattr(
        leases._Heart, "_renew", staticmethod(lambda lease: setattr(lease, "due", time.monotonic() + 1))
    )
    slow, second = LeaseLock(rows, "a", SHORT), LeaseLock(stranger, "a", 30.0)
    slow.acquire()
    assert second.acquire(30)
    slow.release()
    assert not gets(LeaseLock(rows, "a"))
    second.release()
    assert gets(LeaseLock(rows, "a"))


def test_the_server_being_away_for_a_moment_loses_no_lease(rows, stranger):
    with LeaseLock(rows, "a", LASTING):
        time.sleep(LASTING / 6)

        def fail():
            raise ServerUnavailable("away")

        rows.fails = fail
        time.sleep(LASTING / 3)
        rows.fails = lambda: None
        assert not gets(LeaseLock(stranger, "a", LASTING), 1.5 * LASTING)
    assert gets(LeaseLock(stranger, "a"))


def test_a_renewal_whose_answer_was_lost_loses_no_lease(rows, stranger):
    with LeaseLock(rows, "a", LASTING):
        real = MemoryEngine.swap

        def lose(address, expected, blob):
            real(rows, address, expected, blob)
            raise ServerUnavailable("the answer was lost")

        rows.swap = lose
        time.sleep(LASTING / 2)
        del rows.swap
        assert not gets(LeaseLock(stranger, "a", LASTING), 1.5 * LASTING)
    assert gets(LeaseLock(stranger, "a"))


def test_a_server_that_is_away_at_the_end_does_not_raise(rows, stranger):
    def fail():
        raise ServerUnavailable("away")

    with LeaseLock(rows, "a", SHORT):
        rows.fails = fail
    rows.fails = lambda: None
    assert gets(LeaseLock(stranger, "a", SHORT), 30)


def test_a_server_that_is_away_at_the_beginning_raises_and_leaves_nothing(rows):
    def fail():
        raise ServerUnavailable("away")

    rows.fails = fail
    with pytest.raises(ServerUnavailable), LeaseLock(rows, "a"):
        pytest.fail("it cannot be held")
    rows.fails = lambda: None
    assert gets(LeaseLock(rows, "a"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_it_is_taken_leaves_it_free(rows, stranger, when):
    real = MemoryEngine.swap

    def interrupted(address, expected, blob):
        del rows.swap
        if when == "after":
            real(rows, address, expected, blob)
        raise KeyboardInterrupt

    rows.swap = interrupted
    with pytest.raises(KeyboardInterrupt):
        LeaseLock(rows, "a").acquire()
    assert gets(LeaseLock(rows, "a"))
    assert gets(LeaseLock(stranger, "a"))


@pytest.mark.parametrize(
    "row", [b"", b"x", b"HSL\x01" + bytes(4), bytes(100), b"HSL\x01\x01" + bytes(11) + b"\xff" * 8]
)
def test_a_row_that_means_nothing_is_waited_for_no_longer_than_any_other(rows, row, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", SHORT)
    rows.put(b"a", row)
    assert gets(LeaseLock(rows, "a"), 30)


def test_a_row_with_an_endless_number_is_waited_for_no_longer_than_any_other(rows, monkeypatch):
    monkeypatch.setattr(leases, "LONG_WAIT", 0.05)
    holder = b"9" * 5000 + f"@{socket.gethostname()} 1 {leases.system()}".encode()
    rows.put(b"a", leases._ROW.pack(b"HSL\x01", 1, bytes(8), SHORT) + holder)
    told = []
    ours = LeaseLock(rows, "a")
    ours.tell = told.append
    with ours:
        assert told == ["another process"]


def test_any_name_will_do(rows):
    for name in ("", "é\0" * 500, "\udc80"):
        with LeaseLock(rows, name):
            assert not gets(LeaseLock(rows, name), 0.01)


def _child(rows, results):
    lock = LeaseLock(rows, "a")
    results.put(lock.acquire(IMPATIENT))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_holds_nothing_and_gives_nothing_back(rows, stranger):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    lock = LeaseLock(rows, "a")

    def leave():
        lock.release()  # what the end of a ``with`` block does in a child that was forked inside of it
        _child(rows, results)

    with lock:
        child = context.Process(target=leave)
        child.start()
        assert results.get(timeout=30) is False
        child.join(30)
        assert not gets(LeaseLock(stranger, "a"))
    assert gets(LeaseLock(stranger, "a"))


# ---- on a server, among processes ----------------------------------------------------------------------------------

COUNT = """
for _ in range(20):
    with stash.lock("counter"):
        stash["number"] = stash.get("number", 0) + 1
"""
HOLD = """
import sys, time
from hashstash import HashStash
stash = HashStash(sys.argv[1], lease=2.0)
with stash.lock("a"):
    print("held", flush=True)
    time.sleep(60)
"""
COMPUTE = """
import time
@stash.stashed_result
def slow(number):
    with open(CALLS, "a") as file:
        file.write("computed\\n")
    time.sleep(0.5)
    return number + 1
print(slow(1))
"""


def source(url):
    """What opens the stash in another process."""
    engine = f"from hashstash.engines.{url.partition(':')[0].replace('mongodb', 'mongo')} import PLUGIN"
    return f"from hashstash import HashStash\n{engine}\nstash = HashStash({url!r})\n"


@pytest.fixture(params=["redis", "mongo"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.mark.server
def test_processes_take_turns(url):
    run_together(source(url), COUNT, 4)
    assert HashStash(url)["number"] == 80


@pytest.mark.server
def test_the_lock_of_a_killed_process_is_free_after_its_lease(url):
    process = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    stash = HashStash(url)
    assert not stash.lock("a").acquire(3)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    started = time.monotonic()
    with stash.lock("a"):
        assert time.monotonic() - started < 30


@pytest.mark.server
def test_a_paused_holder_is_taken_over_and_does_no_harm(url):
    process = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    stash = HashStash(url)
    try:
        with stash.lock("a"):
            process.send_signal(signal.SIGCONT)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            process.wait(30)
            assert not gets(HashStash(url).lock("a"), 0.5)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


@pytest.mark.server
def test_a_result_is_computed_once_by_many_processes(url, tmp_path):
    calls = tmp_path / "calls"
    assert run_together(f"{source(url)}CALLS = {str(calls)!r}\n", COMPUTE, 4) == ["2\n"] * 4
    assert calls.read_text() == "computed\n"


@pytest.mark.server
def test_clearing_the_stash_leaves_held_locks_alone(url):
    stash = HashStash(url)
    with stash.lock("a"):
        stash.clear()
        assert not gets(HashStash(url).lock("a"))


@pytest.mark.server
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_keep_its_parents_lock(url):
    stash = HashStash(url)
    context = multiprocessing.get_context("fork")
    with stash.lock("a"):
        child = context.Process(target=time.sleep, args=(30,))
        child.start()
    try:
        assert gets(HashStash(url).lock("a"), 30)
    finally:
        child.kill()
        child.join(30)
