import random

import pytest

from hashstash import HashStash
from hashstash.errors import StashFull


@pytest.fixture(params=["pairtree", "lmdb", "memory"])
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, **options)


def test_the_entries_written_first_go_first(opened):
    stash = opened(max_entries=3)
    for number in range(5):
        stash[number] = number
    assert sorted(stash) == [2, 3, 4]


def test_writing_an_entry_again_makes_it_young(opened):
    stash = opened(max_entries=2)
    stash["a"], stash["b"] = 1, 2
    stash["a"] = 3
    stash["c"] = 4
    assert sorted(stash) == ["a", "c"]


def test_at_the_limit_nothing_goes(opened):
    stash = opened(max_entries=5)
    stash.update({str(number): number for number in range(5)})
    assert len(stash) == 5


def test_one_entry_is_enough(opened):
    stash = opened(max_entries=1)
    stash["a"] = 1
    stash["b"] = 2
    assert dict(stash.items()) == {"b": 2}


def test_many_entries_are_limited_within_a_margin(opened):
    random.seed(1)
    stash = opened(max_entries=70)
    for number in range(200):
        stash[number] = number
    assert len(stash) < 70 + 100
    assert stash[199] == 199


def test_bytes_are_limited(opened):
    stash = opened(max_size=20_000, compress=False)
    for number in range(30):
        stash[number] = random.Random(number).randbytes(2_000)
    assert sum(info.size for info in stash.entries()) < 20_000 + 17 * 2_200
    assert 29 in stash


def test_large_entries_count_with_their_files(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", max_size=250_000, compress=False)
    for number in range(4):
        stash[number] = random.Random(number).randbytes(100_000)
    assert sorted(stash) == [2, 3]
    assert len(list(stash.store.blobs.names())) == 2


def test_an_entry_beyond_the_limit_is_refused_and_nothing_is_lost(opened):
    stash = opened(max_size=10_000, compress=False)
    stash["k"] = 1
    with pytest.raises(StashFull, match=r"max_size=10,000.*raise max_size") as caught:
        stash["k"] = random.Random(0).randbytes(50_000)
    assert isinstance(caught.value, OSError)
    assert stash["k"] == 1


def test_versions_go_with_their_entry(opened):
    stash = opened(max_entries=1, append_mode=True)
    stash["a"] = 1
    stash["a"] = 2
    stash["b"] = 1
    assert list(stash) == ["b"]
    assert list(stash.store.engine.section("history").scan()) == []


def test_a_corrupt_entry_does_not_stop_it(opened):
    stash = opened(max_entries=2)
    stash["bad"] = 0
    address = stash.store.keys.address("bad")
    stash.store.engine.put(address, b"HST\x09" + bytes(200))
    for number in range(4):
        stash[number] = number
    assert stash[3] == 3


def test_an_entry_of_a_newer_format_does_not_stop_it(opened):
    import struct
    import zlib

    stash = opened(max_entries=2)
    stash["newer"] = 0
    address = stash.store.keys.address("newer")
    row = stash.store.engine.get(address)
    body = row[:3] + b"\x63" + row[4:-4]
    stash.store.engine.put(address, body + struct.pack("<I", zlib.crc32(body)))
    for number in range(4):
        stash[number] = number
    assert stash[3] == 3


@pytest.mark.parametrize("name", ["max_size", "max_entries"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True])
def test_a_limit_that_is_none_is_named(opened, name, value):
    with pytest.raises(ValueError, match=f"{name}=.*positive whole number"):
        opened(**{name: value})
