"""Importing Dask teaches pickle to take tracebacks along with every exception; what we store stays the exception."""

import subprocess
import sys

import pytest

pytest.importorskip("tblib")

CODE = """
import sys
import tblib.pickling_support
from hashstash import HashStash

class Odd(Exception):
    def __init__(self, name, *, size):
        super().__init__(f"{name} of {size}")
        self.size = size

tblib.pickling_support.install(Odd)
stash = HashStash(sys.argv[1])
try:
    raise Odd("box", size=3)
except Odd as error:
    error.add_note("noted")
    stash["error"] = error
    stash[error] = "as a key"
    found = stash["error"]
    print(type(found) is Odd, found.args, found.size, found.__notes__, stash[found], found.__traceback__)
"""


def test_an_exception_is_stored_and_found_without_its_traceback(tmp_path):
    command = [sys.executable, "-c", CODE, str(tmp_path / "stash")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "True ('box of 3',) 3 ['noted'] as a key None\n", done.stderr
