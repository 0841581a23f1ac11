import os
import subprocess
import sys

import pytest

from hashstash import processes
from hashstash.engines.pairtree import PairtreeEngine

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not processes.system(), reason="this system does not say which processes there are"),
]


def mark_of_another():
    done = subprocess.run(
        [sys.executable, "-c", "from hashstash.processes import mark; print(mark())"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_process_that_has_ended_is_gone():
    assert processes.is_gone(mark_of_another())


def test_this_process_is_not_gone():
    assert not processes.is_gone(processes.mark())


def test_another_process_that_has_got_the_number_is_not_the_one():
    number, began, system = processes.mark().split("-")
    assert processes.is_gone(f"{number}-{int(began) - 1}-{system}")


@pytest.mark.parametrize("mark", ["", "1", "x-y-z", "1-2-00000000", "-1-2-3", "999999999--"])
def test_of_others_nobody_knows(mark):
    assert not processes.is_gone(mark)


def test_a_child_has_a_mark_of_its_own():
    reading, writing = os.pipe()
    processes.mark()
    child = os.fork()
    if not child:
        os.write(writing, processes.mark().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert told.split("-")[0] == str(child)


def test_drafts_of_a_process_that_has_ended_go_at_the_next_opening(tmp_path):
    engine = PairtreeEngine(str(tmp_path))
    engine.put(b"a" * 16, b"x" * 20)
    dead, alive = (tmp_path / "tmp" / f"{mark}.abc" for mark in (mark_of_another(), processes.mark()))
    dead.write_bytes(b"half")
    alive.write_bytes(b"half")
    PairtreeEngine(str(tmp_path))
    assert (dead.exists(), alive.exists()) == (False, True)
