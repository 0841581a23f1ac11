"""A stranger's entry of a few bytes that inflates to 1 GiB is refused, and costs next to no memory."""

import bz2
import importlib.util
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.entry import Entry, Flag
from hashstash.errors import MissingDependency
from hashstash.registry import COMPRESSORS

pytest.importorskip("resource")

HERE = Path(__file__).parent
MIB = 1 << 20
GIB = 1 << 30
CLAIMS = {"the truth": GIB, "a little": 1000, "as much as is allowed": 60 * MIB}

_spec = importlib.util.spec_from_file_location("bombs", HERE / "bombs.py")
bombs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bombs)

READ = """
import json, resource, sys
from hashstash import HashStash, decode
from hashstash.errors import BadEntry

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

root, folder, *claims = sys.argv[1:]
stash = HashStash(root, engine="pairtree")
assert stash["honest"] == "the same words " * 1000
refused = []
before = peak()
for claim in claims:
    with open(f"{folder}/{claim}", "rb") as file:
        frame = file.read()
    for read in (lambda: stash[claim], lambda: stash.get(claim), lambda: decode(frame)):
        try:
            read()
        except BadEntry as error:
            refused.append(str(error))
print(json.dumps([peak() - before, refused]))
"""


def read_in_child(*arguments):
    """What the child prints. A shell starts it, since a child's peak begins with its parent's."""
    command = ["sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-c", READ, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=[name for name in COMPRESSORS.names() if name != "raw"])
def compressor(request):
    try:
        COMPRESSORS.load(request.param)
    except MissingDependency as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture
def bomb(compressor):
    return bombs.BOMBS[compressor]()


def test_every_compressor_has_a_bomb():
    assert set(bombs.BOMBS) == set(COMPRESSORS.names()) - {"raw"}


def test_a_strangers_bomb_is_refused_with_little_memory(compressor, bomb, tmp_path, somebody_else):
    stash = HashStash(tmp_path / "stash", engine="pairtree", compress=compressor)
    stash["honest"] = "the same words " * 1000
    label = f"hashstash+{compressor}".encode()
    for claim, raw_size in CLAIMS.items():
        encoded = stash.store.keys.encode(claim)
        entry = Entry(encoded.address, label, encoded.data, bomb, raw_size, Flag(0), bytes(8))
        stash.store.engine.put(encoded.address, entry.pack())
        (tmp_path / claim).write_bytes(Entry(bytes(16), label, b"", bomb, raw_size, Flag.LOOSE, bytes(8)).pack())

    with somebody_else:
        extra, refused = read_in_child(tmp_path / "stash", tmp_path, *CLAIMS)

    assert len(refused) == 3 * len(CLAIMS)
    assert extra < 64_000_000


@pytest.mark.parametrize("size", [MIB, MIB + 1, 3 * MIB, 17 * MIB + 5])
def test_large_honest_values_come_back(compressor, size):
    plugin = COMPRESSORS.load(compressor)
    data = bytes(size - 300_000) + random.Random(0).randbytes(300_000)
    packed = plugin.encode(data)
    assert bytes(plugin.decode(packed, size)) == data


@pytest.mark.parametrize("module", [zlib, bz2])
def test_the_bombs_are_real(module):
    """They begin with zeros and go on, so that what is refused is what is meant."""
    stream = zlib.decompressobj() if module is zlib else bz2.BZ2Decompressor()
    assert stream.decompress(bombs.BOMBS[module.__name__](), 2 * MIB) == bytes(2 * MIB)
    assert not stream.eof
