"""Results that a newer hashstash has stored: computed anew, said once, and left to those who can read them."""

import sys
import warnings
import zlib

import pytest

from hashstash import HashStash, decoding, registry
from hashstash.open import function_stashes


def newer(row):
    body = row[:3] + bytes([row[3] + 1]) + row[4:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def altered(engine):
    """The one row in *engine*, as a newer hashstash would have written it."""
    ((address, row),) = engine.rows()
    engine.put(address, newer(row))
    return address, newer(row)


@pytest.fixture
def said():
    """What was warned of, in order, no warning left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@pytest.mark.parametrize("options", [{}, {"force": True}])
def test_a_call_gives_its_result_and_says_once_that_the_newer_one_stays(memory, said, options):
    function = memory.stashed_result(lambda x: x * 2)
    function(2)
    address, row = altered(function.stash.store.engine)
    again = memory.stashed_result(function.uncached, **options)
    assert [again(2), again(2)] == [4, 4]
    assert function.stash.store.engine.get(address) == row
    (one,) = said
    assert "newer hashstash" in str(one.message)
    assert "stays" in str(one.message)


def test_an_exception_that_a_newer_one_has_kept_stays(memory):
    function = memory.stashed_result(lambda x: 1 // x, cache_exceptions=60)
    with pytest.raises(ZeroDivisionError):
        function(0)
    errors = function.stash.store.engine.section("errors")
    address, row = altered(errors)
    with pytest.warns(RuntimeWarning, match="stays"), pytest.raises(ZeroDivisionError):
        function(0)
    assert errors.get(address) == row


@pytest.mark.parametrize("how", [{}, {"write": "workers", "num_proc": 2, "executor": "threads"}])
def test_a_map_that_is_forced_leaves_the_newer_one(tmp_path, said, how):
    stash = HashStash(tmp_path, engine="pairtree")
    stash.map(abs, [-3], num_proc=1, progress=False).results
    engine = stash.stashed_result(abs).stash.store.engine
    address, row = altered(engine)
    assert stash.map(abs, [-3, -4], force=True, **{"num_proc": 1, "progress": False, **how}).results == [3, 4]
    assert engine.get(address) == row
    assert len(list(engine.rows())) == 2
    assert [str(one.message) for one in said if "stays" in str(one.message)] == [
        "builtins.abs is not stored for some items, since what a newer hashstash has stored stays"
    ]


def test_a_whole_map_that_is_forced_leaves_the_newer_one(memory, said):
    mapped = {"num_proc": 1, "progress": False, "stash_runs": False}
    memory.map(abs, [-3], **mapped).results
    (stash,) = [HashStash.from_config(one) for one in function_stashes(memory.config) if "map" in str(one.dbname)]
    address, row = altered(stash.store.engine)
    assert memory.map(abs, [-3], force=True, **mapped).results == [3]
    assert stash.store.engine.get(address) == row
    assert any("newer hashstash has stored stays" in str(one.message) for one in said)


def test_a_forced_call_does_not_lose_its_result_to_a_stored_one_that_needs_a_missing_package(tmp_path, monkeypatch):
    pytest.importorskip("lz4")

    def make(x):
        return "ab" * x

    HashStash(tmp_path, engine="pairtree", compress="lz4").run(make, 20_000)
    for name in ("lz4", "lz4.block", "lz4.frame"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "hashstash.compressors.lz4", raising=False)
    monkeypatch.setattr(decoding, "_decoders", {})
    monkeypatch.setattr(registry.COMPRESSORS, "_loaded", {})
    stash = HashStash(tmp_path, engine="pairtree", compress="raw")
    assert stash.options(force=True).run(make, 20_000) == "ab" * 20_000
    assert stash.run(make, 20_000) == "ab" * 20_000
