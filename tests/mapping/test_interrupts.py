"""Ctrl-C in real processes: what is finished is kept, the rest stops, the object can be used."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hashstash import HashStash

pytestmark = pytest.mark.once

DEADLINE = 90
HEAD = '''
import json, os, sys, threading, time, warnings
from hashstash import HashStash
stash = HashStash.from_dict(json.loads(sys.argv[1]))
PLACE = sys.argv[2]
warnings.showwarning = lambda message, *_: print("warned:", message, flush=True)

def work(x):
    """The fourth item and those after it take for ever."""
    open(os.path.join(PLACE, f"started {x}"), "w").close()
    if x >= 3:
        time.sleep(600)
    return x * 10

def quick(x):
    return x * 10

def say_when_waiting():
    """Make a file as soon as this program is waiting for a map: an interrupt before that would be another story."""
    def watch():
        names = []
        while "wait_until" not in names or names[0] != "wait":
            frame, names = sys._current_frames()[threading.main_thread().ident], []
            while frame is not None:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            time.sleep(0.005)
        open(os.path.join(PLACE, "waiting"), "w").close()

    threading.Thread(target=watch, daemon=True).start()

def shown(made):
    states = [run.state for run in made.runs]
    print(json.dumps({"states": states, "done": made.done, "values": made[:3], "repr": repr(made)}), flush=True)
'''


class Program:
    def __init__(self, folder, stash, text):
        self.place = folder / "place"
        self.place.mkdir()
        (folder / "program.py").write_text(HEAD + text)
        command = [sys.executable, str(folder / "program.py"), json.dumps(stash.to_dict()), str(self.place)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def interrupt_when(self, *names):
        """Send the interrupt of a terminal, which reaches all processes of the group, once these files are there."""
        deadline = time.monotonic() + DEADLINE
        while not all((self.place / name).exists() for name in names):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(self.process.pid, signal.SIGINT)

    def output(self):
        out, err = self.process.communicate(timeout=DEADLINE)
        return out, err

    def told(self):
        """The last line that the program has printed, once it has ended well."""
        out, err = self.output()
        assert self.process.returncode == 0, err
        return json.loads(out.splitlines()[-1]), out


@pytest.fixture
def program(tmp_path, stash):
    started = []

    def start(text):
        started.append(Program(tmp_path, stash, text))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.communicate()


def kept_in(stash, tmp_path):
    """What is stored for the programs' function, as listed."""
    folder = HashStash.from_dict({**stash.to_dict(), "dbname": "stashed_result/__main__.work"})
    return len(folder)


class TestSerial:
    TEXT = "made = stash.map(work, range(6), num_proc=1, progress=False)\n"

    def test_the_map_is_returned_with_what_is_finished(self, program, stash, tmp_path):
        running = program(self.TEXT + "shown(made)\n")
        running.interrupt_when("started 3")
        told, out = running.told()
        assert told["states"] == ["computed"] * 3 + ["cancelled"] * 3
        assert told["values"] == [0, 10, 20]
        assert told["done"] is False
        assert ">>> cancelled" in told["repr"]
        assert out.count("warned:") == 1
        assert "was interrupted after 3 of 6 items, which are kept; resume() computes the others" in out
        assert kept_in(stash, tmp_path) == 3

    def test_it_can_be_resumed(self, program):
        text = (
            "def work(x):\n"
            "    if x == 2 and not os.path.exists(PLACE + '/here'):\n"
            "        open(PLACE + '/here', 'w').close()\n        time.sleep(600)\n"
            "    return x\n"
        )
        running = program(text + self.TEXT + "print(json.dumps(made.resume().results))\n")
        running.interrupt_when("here")
        told, _ = running.told()
        assert told == [0, 1, 2, 3, 4, 5]

    def test_an_item_that_is_read_later_is_given_up(self, program):
        text = (
            "made = stash.map(work, range(6), progress=False, precompute=False)\n"
            "try:\n    made[3]\nexcept KeyboardInterrupt:\n    print(json.dumps([made[0], made.runs[3].state]))\n"
        )
        running = program(text)
        running.interrupt_when("started 3")
        assert running.told()[0] == [0, "cancelled"]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "threads"])
class TestInTheBackground:
    def text(self, executor, wait):
        return (
            f"made = stash.map(work, range(6), executor={executor!r}, num_proc=2, chunksize=1, progress=False)\n"
            "made[0], made[1], made[2]\n"
            f"say_when_waiting()\ntry:\n    {wait}\nexcept KeyboardInterrupt:\n    shown(made)\n"
            "    os._exit(0)\n"  # threads that sleep for ever would be waited for
        )

    @pytest.mark.parametrize(
        "wait", ["made.wait()", "made.results", "made[5]", "list(made)", "list(made.results_iter())"]
    )
    def test_waiting_is_interrupted_and_the_map_stops(self, program, stash, tmp_path, executor, wait):
        if executor == "processes":
            pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        running = program(self.text(executor, wait))
        running.interrupt_when("started 3", "started 4", "waiting")
        told, _ = running.told()
        assert told["states"] == ["computed"] * 3 + ["cancelled"] * 3
        assert told["values"] == [0, 10, 20]
        assert kept_in(stash, tmp_path) == 3


@pytest.mark.slow
class TestWorkers:
    @pytest.fixture(autouse=True)
    def _cloudpickle(self):
        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")

    def test_workers_that_compute_are_stopped_and_others_take_their_place(self, program):
        text = (
            "made = stash.map(work, range(6), executor='processes', num_proc=2, chunksize=1, progress=False)\n"
            "say_when_waiting()\ntry:\n    made.wait()\nexcept KeyboardInterrupt:\n    pass\n"
            "again = stash.map(quick, range(4), executor='processes', num_proc=2, progress=False)\n"
            "print(json.dumps(again.results))\n"
        )
        running = program(text)
        running.interrupt_when("started 3", "started 4", "waiting")
        assert running.told()[0] == [0, 10, 20, 30]

    def test_a_program_that_ends_waits_for_its_map(self, program, stash, tmp_path):
        text = "stash.map(quick, range(4), executor='processes', num_proc=2, progress=False)\n"
        running = program(text)
        out, err = running.output()
        assert (running.process.returncode, out, err) == (0, "", "")
        folder = HashStash.from_dict({**stash.to_dict(), "dbname": "stashed_result/__main__.quick"})
        assert len(folder) == 4

    def test_an_interrupt_ends_a_program_that_waits_at_its_end(self, program, stash, tmp_path):
        text = (
            "say_when_waiting()\n"
            "stash.map(work, range(6), executor='processes', num_proc=2, chunksize=1, progress=False)\n"
        )
        running = program(text)
        running.interrupt_when("started 3", "started 4", "waiting")
        running.output()
        assert kept_in(stash, tmp_path) == 3
