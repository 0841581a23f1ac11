"""What engines over a library's files have in common."""

import os
import subprocess
import sys

import pytest

from hashstash.engines._sqlite_opening import RESERVE_SIZE
from hashstash.engines.shelve import ShelveEngine
from hashstash.errors import StashFull
from hashstash.testing.engine import ADDRESS, row

WITHIN_A_TURN = """
import os, threading
from hashstash.engines import _embedded
from hashstash.engines.shelve import ShelveEngine
from hashstash.engines import _sqlite_connections
import sys

engine = ShelveEngine(sys.argv[1])
has_turn, opened = threading.Event(), []

def work():
    with engine._turn:
        has_turn.set()
        is_forking.wait(30)
        opened.append(_sqlite_connections.opening.acquire(timeout=2))
        if opened[0]:
            _sqlite_connections.opening.release()

is_forking = threading.Event()
os.register_at_fork(before=is_forking.set)
thread = threading.Thread(target=work)
thread.start()
has_turn.wait(30)
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
thread.join()
print(opened)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_lets_a_thread_open_connections_whose_turn_it_waits_for(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WITHIN_A_TURN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[True]\n", "")


MANY = """
import importlib, os, resource, sys

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from hashstash.testing.engine import ADDRESS, row

make = importlib.import_module("hashstash.engines." + sys.argv[2]).PLUGIN
engines = [make(os.path.join(sys.argv[1], str(number))) for number in range(100)]
for number, engine in enumerate(engines):
    engine.put(ADDRESS, row(str(number)))
print(all(engine.get(ADDRESS) == row(str(number)) for number, engine in enumerate(engines)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not count descriptors")
@pytest.mark.parametrize("name", ["diskcache", "sqlitedict", "shelve"])
def test_many_open_stashes_do_not_use_up_the_descriptors_of_the_process(name, tmp_path):
    pytest.importorskip(f"hashstash.engines.{name}", exc_type=ImportError)
    command = [sys.executable, "-W", "ignore", "-c", MANY, str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_an_engine_that_a_thread_is_inside_of_keeps_its_files_open_whoever_opens_others(tmp_path):
    used = ShelveEngine(str(tmp_path / "used"))
    used.put(ADDRESS, row("a"))
    with used._turn:
        others = [ShelveEngine(str(tmp_path / str(number))) for number in range(60)]
        for other in others:
            other.put(ADDRESS, row("b"))
        assert used._handle is not None
    assert sum(other._handle is not None for other in others) < 60


def test_what_was_put_by_is_given_up_bit_by_bit_and_only_as_far_as_is_needed(tmp_path):
    engine = ShelveEngine(str(tmp_path), backend="dumb")
    engine.put(ADDRESS, row("a"))
    reserve = tmp_path / "reserve"
    assert reserve.stat().st_size == RESERVE_SIZE

    def needs_a_little():
        if reserve.stat().st_size > RESERVE_SIZE - 20_000:
            raise StashFull(28, "no room")
        return "done"

    assert engine._freeing(needs_a_little, keep=0) == "done"
    assert RESERVE_SIZE - 40_000 < reserve.stat().st_size < RESERVE_SIZE


def test_what_is_to_be_kept_of_what_was_put_by_stays(tmp_path):
    engine = ShelveEngine(str(tmp_path), backend="dumb")
    engine.put(ADDRESS, row("a"))

    def needs_more_than_there_is():
        raise StashFull(28, "no room")

    with pytest.raises(StashFull):
        engine._freeing(needs_more_than_there_is, keep=50_000)
    assert (tmp_path / "reserve").stat().st_size == 50_000
