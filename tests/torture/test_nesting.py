"""A signal handler or a finalizer uses a stash in the midst of an operation of the same thread on it.

Nobody waits for himself. What was acknowledged is there, the outer operation does its work, and who is refused is told so.
"""

import signal
import subprocess
import sys
import time

import pytest

from hashstash.errors import MissingDependency, StashLocked
from hashstash.registry import ENGINES
from torture.nesting import BEFORE, KEPT, NEW, OUTER, SAVED, Inner, Steps, faults

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an alarm")]
PATIENCE = 20
FEW = ("sqlite", "lmdb", "shelve", "sqlitedict", "memory")
MORE = ("diskcache", "pairtree", "pickledb", "ultradict")
WRITES = """
import sys
from hashstash.registry import ENGINES
engine = ENGINES.load(sys.argv[1])(sys.argv[2])
engine.put(b"5" * 16, b"there")
print(len(list(engine.rows())))
"""


@pytest.fixture(params=[*FEW, *(pytest.param(name, marks=pytest.mark.heavy) for name in MORE)])
def make(request, tmp_path):
    """Makes an engine of that kind on a folder of that name."""
    try:
        kind = ENGINES.load(request.param)
    except MissingDependency as error:
        pytest.skip(str(error))
    return lambda name: kind(str(tmp_path / name))


@pytest.fixture(autouse=True)
def _nobody_waits_for_ever():
    def give_up(*_):
        raise AssertionError(f"this takes more than {PATIENCE} seconds")

    kept = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, kept)


def filled(engine):
    for address in (NEW, SAVED):
        engine.delete(address)
    engine.put_many(BEFORE.items())
    return engine


def first_of(found):
    """The first thing that is wrong; nothing if nothing is, at one step or more."""
    is_tried = False
    for fault in found:
        is_tried = True
        if fault:
            return fault
    return "" if is_tried else "there was no step"


def can_be_used_by_others(engine):
    """Whether another process reads all rows, and writes one, at once."""
    there = len(list(engine.rows()))
    command = [sys.executable, "-c", WRITES, engine.name, engine.location()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return (done.stdout, done.stderr) == (f"{there + 1}\n", "")


@pytest.mark.parametrize("name", OUTER)
def test_of_an_engine_in_use(make, name):
    engine = make("stash")
    found = faults(lambda: (filled(engine),) * 2, name, every=19)
    assert first_of(found) == ""


@pytest.mark.parametrize("name", ["put_many", "clear", "get_many"])
def test_of_two_engines_on_one_folder(make, name):
    engine, other = make("stash"), make("stash")
    found = faults(lambda: (filled(engine), other), name, every=53)
    assert first_of(found) == ""
    assert not engine.keeps_files or can_be_used_by_others(engine)


def test_of_an_engine_that_is_being_opened(make):
    made = []

    def make_anew():
        for engine in made:
            engine.clear()
            engine.close()
        made[:] = [make(str(time.monotonic_ns()))]
        return made * 2

    found = faults(make_anew, "put_new", {}, every=97)
    assert first_of(found) == ""


def test_who_is_refused_is_told_why_and_can_do_it_later(tmp_path):
    engine = filled(ENGINES.load("sqlite")(str(tmp_path)))
    inner = Inner(engine)
    for number in range(1, 400, 10):
        sys.settrace(Steps(number, inner))
        engine.put_many([(NEW, BEFORE[KEPT])])
        sys.settrace(None)
    assert not inner.wrong
    (text,) = set(inner.refused)
    assert "signal handler or a finalizer" in text
    assert text.endswith("do it again when that write is over")
    engine.put(SAVED, BEFORE[KEPT])
    assert engine.get(SAVED) == BEFORE[KEPT]


def test_lmdb_does_not_grow_its_map_under_a_transaction_of_the_same_thread(tmp_path):
    engines = iter([ENGINES.load("lmdb")(str(tmp_path / str(number)), map_size=100_000) for number in range(30)])
    refused = 0

    def put(_place):
        nonlocal refused
        try:
            engine.put(SAVED, bytes(300_000))
        except StashLocked:
            refused += 1

    for number, engine in enumerate(engines):
        filled(engine)
        sys.settrace(Steps(2 * number + 1, put))
        assert engine.get(KEPT) == BEFORE[KEPT]
        sys.settrace(None)
        engine.put(SAVED, bytes(300_000))
        engine.close()
    assert refused
