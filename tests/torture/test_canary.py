"""The canary of the hostile checks hears what it is there for; else they could not fail."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)

LISTEN = """
import os, sys
from torture.hostile.canary import Canary
folder, code = sys.argv[1:]
canary = Canary(folder + "/mark", [folder + "/allowed"])
with canary:
    try:
        exec(code, {"folder": folder})
    except Exception:
        pass
print(len(canary.seen()))
"""
DEEDS = {
    "a command": "import os; os.system('true')",
    "a process": "import subprocess; subprocess.run(['true'])",
    "code": "exec('zq_canary = 1')",
    "a module of the library": "__import__('this')",
    "a pickle": "import pickle; pickle.loads(b'czq_canary\\nx\\n.')",
    "a file elsewhere": "open(folder + '/elsewhere', 'w')",
    "a file removed": "import os; os.remove(folder + '/precious')",
    "a folder made": "import os; os.mkdir(folder + '/made')",
    "a library": "import ctypes; ctypes.CDLL('zq.so')",
    "a connection": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "a mark": "import posix; posix.close(posix.open(folder + '/mark', 65, 384))",
}


@pytest.fixture
def folder():
    """One on a disk: what lies in shared memory belongs to libraries, and is nothing that the canary hears."""
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


def heard(folder, code):
    (folder / "allowed").mkdir()
    (folder / "precious").write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", LISTEN, str(folder), code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, os.path.dirname(TESTS)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("deed", DEEDS)
def test_it_hears(folder, deed):
    assert heard(folder, DEEDS[deed])


def test_it_hears_nothing_where_nothing_happens(folder):
    assert not heard(
        folder, "open(folder + '/allowed/x', 'w').close(); import json; json.loads('[1]'); open(folder + '/precious')"
    )
