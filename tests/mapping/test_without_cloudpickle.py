"""Where the package cloudpickle is missing: what can be imported goes to processes, the rest to threads."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys, warnings
sys.modules["cloudpickle"] = None  # as if it were not installed
sys.path.insert(0, sys.argv[2])
from hashstash import HashStash
from hashstash.errors import CannotTravel, MissingDependency
import importable

stash = HashStash.from_dict(json.loads(sys.argv[1]))
told, warned = {}, []
warnings.showwarning = lambda message, *_: warned.append(str(message))
options = {"num_proc": 2, "progress": False}

def own(x):
    return os.getpid()

class Own:
    pass

told["importable"] = os.getpid() not in stash.map(importable.where, [1, 2], **options).results
told["warned before"] = list(warned)
told["own"] = set(stash.map(own, [1, 2], **options).results) == {os.getpid()}
told["warned"] = list(warned)
for name, function in {"own, by processes": own, "lambda, by processes": lambda x: x}.items():
    try:
        stash.map(function, [1], executor="processes", force=True, **options)
    except MissingDependency as error:
        told[name] = str(error)
made = stash.map(importable.where, ["speaks of __main__", Own(), 3], executor="processes", **options)
told["text"] = made[0] != os.getpid() and made[2] != os.getpid()
try:
    made[1]
except CannotTravel as error:
    told["argument"] = str(error)
try:
    stash.map(importable.failing, [1], executor="processes", **options)[0]
except ValueError as error:
    told["error"] = [str(error), error.__notes__]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    from hashstash import HashStash

    folder = tmp_path_factory.mktemp("bare")
    (folder / "importable.py").write_text(
        "import os\ndef where(x):\n    return os.getpid()\ndef failing(x):\n    raise ValueError('no')\n"
    )
    (folder / "program.py").write_text(PROGRAM)
    stash = HashStash(folder / "stash", engine="pairtree")
    command = [sys.executable, str(folder / "program.py"), json.dumps(stash.to_dict()), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_can_be_imported_is_computed_by_processes(told):
    assert told["importable"] is True
    assert told["warned before"] == []


def test_what_cannot_is_computed_by_threads_with_one_warning(told):
    assert told["own"] is True
    (text,) = told["warned"]
    assert text.startswith("__main__.own is mapped by threads: ")
    assert "pip install 'hashstash[best]'" in text


@pytest.mark.parametrize("name", ["own, by processes", "lambda, by processes"])
def test_who_asks_for_processes_is_told_what_is_missing(told, name):
    assert "the package 'cloudpickle' is needed: pip install" in told[name]


def test_text_that_speaks_of_main_is_only_text(told):
    assert told["text"] is True


def test_an_argument_that_cannot_travel_is_named(told):
    assert told["argument"].startswith("the argument 'x', a Own, cannot be sent to a worker process")


def test_exceptions_come_back(told):
    assert told["error"] == ["no", ["in item 0 of the map: importable.failing(1)"]]
