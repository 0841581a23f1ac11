import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hashstash import HashStash

DEADLINE = 90
"""Seconds after which a test takes a process for stuck: far beyond what any of them needs on a busy machine."""


@pytest.fixture(params=["pairtree", "memory", "lmdb"])
def stash(tmp_path, request):
    if request.param == "lmdb":
        pytest.importorskip("lmdb", reason="the package lmdb is not installed")
    return HashStash(tmp_path / "stash", engine=request.param, clear=True)


@pytest.fixture
def memory(tmp_path):
    """A stash in memory, for what does not depend on the engine."""
    return HashStash(tmp_path / "memory", engine="memory", clear=True)


@pytest.fixture
def calls():
    """A list in which the functions of a test note what they were called with."""
    return []


def wait_until(condition, check):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        check()
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    return pytest.fail(f"waited {DEADLINE} s in vain")


class Programs:
    """Python programs in processes of their own, which find their stash in ``STASH`` and a folder in ``PLACE``."""

    HEAD = (
        "import json, os, sys, time\nsys.dont_write_bytecode = True\nfrom hashstash import HashStash\n"
        "STASH = HashStash.from_dict(json.loads(sys.argv[1]))\nPLACE = sys.argv[2]\n"
        "def note(text, name='notes'):\n"
        "    file = os.open(os.path.join(PLACE, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "    os.write(file, f'{text}\\n'.encode()); os.close(file)\n"
        "def wait_for(name):\n"
        "    while not os.path.exists(os.path.join(PLACE, name)): time.sleep(.005)\n"
    )

    def __init__(self, place):
        self.place = place
        self.running = []

    def start(self, stash, text, *arguments, **options):
        """Start a program that begins with *text*."""
        script = self.place / "program.py"
        if not script.exists():  # never under the eyes of one that is just reading it
            script.write_text(self.HEAD + text)
        command = [sys.executable, str(script), json.dumps(stash.to_dict()), str(self.place), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.running.append(process)
        return process

    def check(self):
        """Fail if a program has died of an error."""
        for process in self.running:
            if process.poll() is not None and process.returncode > 0:
                pytest.fail(f"a program ended with {process.returncode}: {process.communicate()[1]}")

    def result(self, process):
        """What a program has printed, once it has ended well."""
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, err
        return out

    def notes(self, name="notes"):
        """The lines that programs have noted."""
        path = self.place / name
        return path.read_text().split() if path.exists() else []

    def say(self, name):
        """Let the programs that wait for *name* go on."""
        (self.place / name).touch()

    def end(self):
        for process in self.running:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.communicate()


@pytest.fixture
def programs(tmp_path):
    place = tmp_path / "programs"
    place.mkdir()
    programs = Programs(place)
    yield programs
    programs.end()


@pytest.fixture
def eventually(programs):
    """Wait until a condition is true and return what it gives; fail if it never is, or if a program dies meanwhile."""
    return lambda condition: wait_until(condition, programs.check)
