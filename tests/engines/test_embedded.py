"""What engines over a library's files have in common."""

import os
import subprocess
import sys

import pytest

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
