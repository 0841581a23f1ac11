import errno
import sys

import pytest

from hashstash import HashStash
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.key_codec import StashFacts, recorded_hash

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


@pytest.mark.parametrize(
    "facts",
    [
        b"[" * 100_000,
        b'{"buffer_hash": 5}',
        b'{"buffer_hash": "sha257"}',
        b'{"buffer_hash": "' + b"x" * 5000 + b'"}',
        b"\xff",
    ],
)
def test_facts_that_are_none_are_said_to_be_unclear(opened, facts):
    stash = opened()
    stash.store.engine.section("meta").put(b"stash", bytes(16) + facts)
    with pytest.raises(CorruptEntry, match="does not say any more how it hashes"):
        opened()[LARGE] = 1
    opened()["small"] = 1
    (problem,) = opened().check()
    assert "does not say any more how it hashes" in problem.what
    assert opened().repair().left == (problem,)


REFUSALS = [OSError(errno.EROFS, "Read-only file system"), StashFull(errno.ENOSPC, "no room")]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_large_keys_are_looked_for_where_the_choice_of_a_hash_cannot_be_stored(opened, monkeypatch, refusal):
    stash = opened()
    meta = type(stash.store.engine.section("meta"))

    def refuse(*_):
        raise refusal

    with monkeypatch.context() as patch:
        patch.setattr(meta, "swap", refuse)
        assert stash.get(LARGE, "none") == "none"
    stash[LARGE] = 1
    assert recorded_hash(stash.store.engine)
    assert opened()[LARGE] == 1


def test_large_keys_are_not_looked_for_where_the_storage_fails(opened, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    stash = opened()
    monkeypatch.setattr(type(stash.store.engine.section("meta")), "swap", fail)
    with pytest.raises(OSError, match="Input/output"):
        stash.get(LARGE)
