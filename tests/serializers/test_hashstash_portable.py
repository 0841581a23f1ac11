"""Documents travel: between versions of Python, and from the first version of the format to every later one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from together import each

from hashstash.serializers.hashstash.document import plain_python, read, write
from hashstash.testing.corpus import DATA
from hashstash.testing.equality import assert_same

VERSIONS = ("3.11", "3.12", "3.13")
HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden_v1.json").read_text())
NEEDS_GRAPH = {"too deep list"}
DEPENDS_ON_HASHES = {"sets"}

WRITE = """
import pickle, sys
from hashstash.serializers.hashstash.document import write
from hashstash.testing.corpus import DATA
names = sys.argv[2:]
encoded = {name: write(DATA[name]()) for name in names}
with open(sys.argv[1], "wb") as file:
    pickle.dump({name: (bytes(e.document), [bytes(b) for b in e.buffers]) for name, e in encoded.items()}, file)
"""
READ = """
import pickle, sys
from hashstash.serializers.hashstash.document import read
from hashstash.testing.corpus import DATA
from hashstash.testing.equality import assert_same
with open(sys.argv[1], "rb") as file:
    for name, (document, buffers) in pickle.load(file).items():
        assert_same(read(document, buffers), DATA[name](), name)
"""


def interpreter(version):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    installed = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    found = str(installed[-1]) if installed else shutil.which(f"python{version}")
    if found is None:
        pytest.skip(f"Python {version} is not installed")
    return found


def run(version, script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [interpreter(version), "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=VERSIONS)
def written(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "documents"
    run(request.param, WRITE, str(path), *(name for name in DATA if name not in NEEDS_GRAPH))
    return path


@pytest.mark.once
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_reads_what_the_others_wrote(written, version):
    run(version, READ, str(written))


@each("name", GOLDEN)
def test_the_first_format_is_still_read(name):
    assert_same(read(bytes.fromhex(GOLDEN[name])), DATA[name]())


@each("name", sorted(set(GOLDEN) - DEPENDS_ON_HASHES))
def test_the_first_format_is_still_written(name):
    assert bytes(write(DATA[name]()).document).hex() == GOLDEN[name]


@each("name", GOLDEN)
def test_the_first_format_is_still_read_without_packages(name):
    with plain_python():
        assert_same(read(bytes.fromhex(GOLDEN[name])), DATA[name]())
