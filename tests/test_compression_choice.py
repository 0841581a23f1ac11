"""When buffers are compressed: seldom where they can be mapped from a file, more often elsewhere."""

from __future__ import annotations

import pytest

from hashstash import HashStash
from hashstash.codec import Codec, Encoded

np = pytest.importorskip("numpy")
lz4 = pytest.importorskip("lz4")

RAMP = np.arange(50_000, dtype="f8")  # lz4 halves it
ZEROS = np.zeros(50_000)
NOISE = np.random.default_rng(1).random(50_000)


def encoded(array):
    return Encoded(b"document", [array.data])


@pytest.mark.parametrize(
    ("array", "mapped", "is_packed"),
    [
        (RAMP, False, True),
        (RAMP, True, False),
        (ZEROS, False, True),
        (ZEROS, True, True),
        (NOISE, False, False),
        (NOISE, True, False),
    ],
)
def test_buffers_are_compressed_where_that_pays(array, mapped, is_packed):
    payload = Codec("hashstash", "lz4").payload(encoded(array), mapped=mapped)
    assert (payload.label == b"hashstash+lz4") is is_packed


def test_documents_are_compressed_the_same_everywhere():
    text = Encoded(b"some words, again and again " * 2000)
    codec = Codec("hashstash", "lz4")
    assert codec.payload(text, mapped=True).size == codec.payload(text, mapped=False).size < len(text.document) / 3


@pytest.mark.parametrize(("engine", "is_packed"), [("lmdb", False), ("pairtree", False), ("memory", True)])
def test_a_stash_knows_whether_its_buffers_are_mapped(tmp_path, engine, is_packed):
    stash = HashStash(tmp_path / "stash", engine=engine, compress="lz4")
    stash["ramp"] = RAMP
    assert (stash.store.find("ramp").label == b"hashstash+lz4") is is_packed
    assert np.array_equal(stash["ramp"], RAMP)
