"""Functions and classes of a ``__main__`` that no longer exists: read in new processes, by every Python version."""

import functools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VERSIONS = ["3.11", "3.12", "3.13"]
CORPORA = {
    "graph_corpus": VERSIONS,
    "graph_corpus_functions": VERSIONS,
    "graph_corpus_objects": VERSIONS,
    "graph_corpus_generics": VERSIONS[1:],
}
"""The modules of cases, and the versions that understand their definitions."""
FEWEST = 10
"""No corpus has fewer cases."""
PAIRS = [
    pytest.param(name, writer, reader, id=f"{name.removeprefix('graph_')}-{writer}-{reader}")
    for name, versions in CORPORA.items()
    for writer in versions
    for reader in versions
]


def interpreter(version):
    return found_interpreter(version) or pytest.skip(f"no Python {version} on this machine")


@functools.cache
def found_interpreter(version):
    """``None`` where there is none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))),
    ]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def run(bytecode):
    return functools.partial(run_by, bytecode)


def run_by(bytecode, version, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **bytecode}
    done = subprocess.run(
        [interpreter(version), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    """What each version says about each case that each version wrote; each is started once to write, and once to read."""
    folder = tmp_path_factory.mktemp("graphs")

    def files(writer, version):
        names = [name for name, versions in CORPORA.items() if {writer, version} <= {*versions}]
        return {name: folder / f"{name}-{writer}" for name in names}

    @functools.cache
    def read(version):
        wanted = {(name, writer): file for writer in written() for name, file in files(writer, version).items()}
        pairs = [part for (name, _), file in wanted.items() for part in (file, name)]
        return dict(zip(wanted, json.loads(run(version, HERE / "graph_corpus.py", "read", *pairs)), strict=True))

    @functools.cache
    def written():
        there = [version for version in VERSIONS if found_interpreter(version)]
        for version in there:
            pairs = [part for name, file in files(version, version).items() for part in (file, name)]
            run(version, HERE / "graph_corpus.py", "write", *pairs)
        return there

    def ask(corpus, writer, reader):
        for version in (writer, reader):
            interpreter(version)  # skips the test where there is none
        return read(reader)[corpus, writer]

    return ask


@pytest.mark.once
@pytest.mark.parametrize(("corpus", "writer", "reader"), PAIRS)
def test_every_case_is_read_in_a_new_process(results, corpus, writer, reader):
    found = results(corpus, writer, reader)
    assert {case: said for case, said in found.items() if said != "ok"} == {}
    assert len(found) >= FEWEST


@pytest.fixture
def script(run, tmp_path):
    """Runs a text as a script of the running Python, in a folder of its own."""

    def run_text(text):
        path = tmp_path / "script.py"
        path.write_text(PRELUDE + textwrap.dedent(text))
        return run(VERSIONS[sys.version_info.minor - 11], path, tmp_path / "stored").strip()

    return run_text


PRELUDE = """
import pickle, sys
from hashstash.codec import Encoded
from hashstash.serializers.hashstash.graph import dumps_graph, loads_graph

def save(value):
    encoded = dumps_graph(value)
    with open(sys.argv[1], "wb") as file:
        pickle.dump((bytes(encoded.document), list(map(bytes, encoded.buffers)), encoded.is_code), file)

def load():
    with open(sys.argv[1], "rb") as file:
        return loads_graph(Encoded(*pickle.load(file)))

"""
POINT = """
class Point:
    def __init__(self, x):
        self.x = x
    def double(self):
        return self.x * 2
"""


def test_class_defined_again_is_the_live_class(script):
    script(POINT + "save(Point(2))")
    assert script("# one line further down\n" + POINT + "v = load()\nprint(type(v) is Point, v.double())") == "True 4"


def test_class_defined_differently_is_the_stored_class(script):
    script(POINT + "save(Point(2))")
    assert script(POINT.replace("* 2", "* 3") + "v = load()\nprint(type(v) is Point, v.double())") == "False 4"


def test_two_loads_share_the_class(script):
    script(POINT + "save(Point(2))")
    assert script("print(type(load()) is type(load()))") == "True"


def test_traceback_shows_the_source(script):
    script("def fail():\n    raise ValueError('here')  # the line\nsave(fail)")
    shown = script("import traceback\ntry:\n    load()()\nexcept ValueError:\n    print(traceback.format_exc())")
    assert "raise ValueError('here')  # the line" in shown


def test_source_can_be_inspected(script):
    script("def plain(v):\n    return v + 1\nsave(plain)")
    assert script("import inspect\nprint(inspect.getsource(load()))") == "def plain(v):\n    return v + 1"


def test_restored_function_can_be_stored_again(script):
    script("K = 5\ndef plain(v):\n    return v + K\nsave(plain)")
    script("save(load())")
    assert script("print(load()(1))") == "6"


def test_function_without_source_runs_on_the_same_python(script):
    script("exec('def made(v): return v * 7')\nsave(made)")
    assert script("print(load()(2))") == "14"


@pytest.mark.parametrize("module", ["imported", "notebook"])
def test_function_that_calls_a_module_has_its_source(script, module):
    """Python compiles ``json.dumps(v)`` in another way where it sees the import."""
    imported = "import json\n" if module == "imported" else "json = __import__('json')\n"
    script(imported + "def f(v):\n    return json.dumps(v)\nsave(f)")
    assert script("import inspect\nf = load()\nprint(inspect.getsource(f), f([1]))").endswith(
        "return json.dumps(v)\n [1]"
    )


def test_restored_function_that_calls_a_module_keeps_its_source(script):
    script("import json\ndef f(v):\n    return json.dumps(v)\nsave(f)")
    script("save(load())")
    check = "import pickle\nfrom hashstash.serializers.hashstash import nodes, document\n"
    check += "stored = pickle.load(open(sys.argv[1], 'rb'))[0]\n"
    check += "code = [one for one in document.read(stored[1:])[1] if one[0] == nodes.CODE]\nprint(code[0][-1][0])"
    assert script(check).startswith("def f(v):")


def test_object_that_reduces_to_its_name_is_one(script):
    single = "class Single:\n    def __reduce__(self):\n        return 'SINGLE'\nSINGLE = Single()\n"
    script(single + "save([SINGLE, SINGLE])")
    assert script("one, two = load()\nprint(one is two, load()[0] is one)") == "True True"
    assert script(single + "print(load()[0] is SINGLE)") == "True"


def test_sentinel_of_a_module_is_the_modules(script):
    script("import dataclasses\nsave([dataclasses.MISSING, dataclasses.KW_ONLY])")
    assert script(
        "import dataclasses as d\nprint([one is two for one, two in zip(load(), [d.MISSING, d.KW_ONLY])])"
    ) == ("[True, True]")
