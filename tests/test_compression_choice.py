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


@pytest.mark.parametrize("size", [60_000, 100_000, 250_000, 300_000])
@pytest.mark.parametrize(("zeros", "is_packed"), [(0.0, False), (0.5, True)])
def test_documents_of_any_size_are_compressed_where_that_pays(size, zeros, is_packed):
    noise = np.random.default_rng(2).bytes(size)
    data = b"".join(noise[at : at + 500] + bytes(int(zeros * 1000)) for at in range(0, size, 500))
    payload = Codec("hashstash", "lz4").payload(Encoded(data))
    assert (payload.label == b"hashstash+lz4") is is_packed


def test_a_large_document_that_shrinks_by_a_hair_is_kept_as_it_is():
    document = np.random.default_rng(2).bytes(97_000) + bytes(3000)
    assert Codec("hashstash", "lz4").payload(Encoded(document)).label == b"hashstash"


@pytest.mark.parametrize(("engine", "is_packed"), [("lmdb", False), ("pairtree", False), ("memory", True)])
def test_a_stash_knows_whether_its_buffers_are_mapped(tmp_path, engine, is_packed):
    stash = HashStash(tmp_path / "stash", engine=engine, compress="lz4")
    stash["ramp"] = RAMP
    assert (stash.store.find("ramp").label == b"hashstash+lz4") is is_packed
    (listed,) = stash.entries()
    assert listed.codec == ("hashstash+lz4" if is_packed else "hashstash")
    assert np.array_equal(stash["ramp"], RAMP)


@pytest.mark.parametrize("engine", ["lmdb", "pairtree", "memory"])
def test_entries_say_what_was_chosen_for_each(tmp_path, engine):
    stash = HashStash(tmp_path / "stash", engine=engine, compress="lz4")
    stash["short"] = "text"
    stash["words"] = "some words, again and again " * 2000
    stash["noise"] = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)
    stash["zeros"] = np.zeros(100_000)
    listed = {entry.key: entry for entry in stash.entries()}
    packed = {key: entry.codec.partition("+")[2] for key, entry in listed.items()}
    assert packed == {"short": "", "words": "lz4", "noise": "", "zeros": "lz4"}
    assert listed["zeros"].raw_size > 800_000
    assert listed["noise"].raw_size > 100_000
    assert listed["zeros"].size < 20_000
    assert listed["noise"].size > 100_000
