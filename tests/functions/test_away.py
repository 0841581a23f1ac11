"""What a function does whose stash cannot be asked how it hashes large arguments: it computes."""

import asyncio
import sys

import pytest

from hashstash import HashStash
from hashstash.errors import MissingDependency

np = pytest.importorskip("numpy")
ARRAY = np.arange(3)


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "stash", engine="pairtree")


def damage(function):
    function.stash.store.engine.section("meta").put(b"stash", bytes(16) + b"damaged")


@pytest.fixture
def summed(stash):
    @stash.stashed_result
    def summed(array):
        return int(array.sum())

    damage(summed)
    return summed


def test_it_computes_and_says_why(summed):
    with pytest.warns(RuntimeWarning, match="is not stashed, since .* does not say any more how it hashes"):
        assert summed(ARRAY) == 3


def test_an_async_one_computes_too(stash):
    @stash.stashed_result
    async def summed(array):
        return int(array.sum())

    damage(summed)
    with pytest.warns(RuntimeWarning, match="is not stashed, since"):
        assert asyncio.run(summed(ARRAY)) == 3


def test_a_map_of_it_computes_too(summed, stash):
    with pytest.warns(RuntimeWarning, match="is not stashed for some items, since"):
        assert list(stash.map(summed, [ARRAY, 2 * ARRAY], num_proc=1)) == [3, 6]


def test_of_a_server_that_is_away(tmp_path):
    pytest.importorskip("redis")

    @HashStash("redis://localhost:1/0/away").stashed_result
    def summed(array):
        return int(array.sum())

    with pytest.warns(RuntimeWarning, match="is not stashed, since redis://localhost:1/0: nothing listens there"):
        assert summed(ARRAY) == 3


def test_a_missing_package_is_said_so(summed, monkeypatch):
    meta = summed.stash.store.engine.section("meta")
    meta.put(b"stash", bytes(16) + b'{"buffer_hash": "xxh3_128"}')
    monkeypatch.setitem(sys.modules, "xxhash", None)
    with pytest.raises(MissingDependency, match="xxhash"):
        summed(ARRAY)


@pytest.mark.parametrize("error", [FileNotFoundError("of the key"), ConnectionError("of the key")])
def test_what_a_key_function_raises_is_raised(stash, error):
    def key(_):
        raise error

    @stash.stashed_result(key=key)
    def doubled(number):
        raise AssertionError("never called")

    with pytest.raises(type(error), match="of the key"):
        doubled(2)
