import sys

import pytest

from hashstash import HashStash
from hashstash.errors import MissingDependency
from hashstash.key_codec import StashFacts

np = pytest.importorskip("numpy")
LARGE = np.arange(50_000)


@pytest.fixture(params=["pairtree", "lmdb", "memory"])
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, **options)


def without_xxhash(monkeypatch):
    monkeypatch.setitem(sys.modules, "xxhash", None)


def test_the_hash_of_large_buffers_is_chosen_once(opened):
    pytest.importorskip("xxhash")
    assert StashFacts(opened().store.engine).buffer_hash() == "xxh3_128"
    assert StashFacts(opened().store.engine).buffer_hash() == "xxh3_128"


def test_a_stash_made_without_xxhash_stays_so(opened, monkeypatch):
    with monkeypatch.context() as patch:
        without_xxhash(patch)
        opened()[LARGE] = 1
    assert opened()[LARGE] == 1
    assert StashFacts(opened().store.engine).buffer_hash() == "sha256"


def test_a_stash_made_with_xxhash_says_that_it_needs_it(opened, monkeypatch):
    pytest.importorskip("xxhash")
    opened().update({"small": 1})
    opened()[LARGE] = 1
    without_xxhash(monkeypatch)
    with pytest.raises(MissingDependency, match=r"xxhash.*pip install 'hashstash\[best\]'"):
        opened()[LARGE]


def test_small_keys_need_no_hash_of_large_buffers(opened, monkeypatch):
    opened()["small"] = 1
    without_xxhash(monkeypatch)
    assert opened()["small"] == 1


def test_clearing_a_stash_does_not_lose_its_large_keys(opened):
    stash = opened()
    stash[LARGE] = 1
    stash.clear()
    stash[LARGE] = 2
    assert opened()[LARGE] == 2
