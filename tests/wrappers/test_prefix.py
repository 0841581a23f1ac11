import os
import time

import pytest

from hashstash import HashStash
from hashstash.engines.memory import MemoryEngine
from hashstash.engines.pairtree import PairtreeEngine
from hashstash.testing.engine import ADDRESS, row
from hashstash.upkeep import sweep
from hashstash.wrappers.prefix import PrefixWrapper

pytestmark = pytest.mark.once

LARGE = os.urandom(100_000)


@pytest.fixture
def inner(tmp_path):
    return MemoryEngine(str(tmp_path))


def test_namespaces_see_their_own_rows_only(inner):
    one, other = PrefixWrapper(inner, "one"), PrefixWrapper(inner, "other")
    one.put(ADDRESS, row("a"))
    other.put(ADDRESS, row("b"))
    assert (one.get(ADDRESS), other.get(ADDRESS), inner.count()) == (row("a"), row("b"), 2)
    assert (list(one.scan()), list(one.rows()), one.count()) == ([ADDRESS], [(ADDRESS, row("a"))], 1)


def test_clear_leaves_other_namespaces_alone(inner):
    one, other = PrefixWrapper(inner, "one"), PrefixWrapper(inner, "other")
    for engine in (one, other):
        engine.put(ADDRESS, row("a"))
        engine.section("history").put(ADDRESS, row("old"))
    one.clear()
    assert (one.count(), one.section("history").count()) == (0, 0)
    assert (other.get(ADDRESS), other.section("history").get(ADDRESS)) == (row("a"), row("old"))


def test_locks_of_namespaces_are_different_ones(inner):
    with PrefixWrapper(inner, "one").lock("name") as one, PrefixWrapper(inner, "other").lock("name") as other:
        assert one.name != other.name


def test_the_moment_of_expiry_is_for_the_row_of_the_namespace(inner):
    told = []
    inner.expire = lambda *arguments: told.append(arguments)
    engine = PrefixWrapper(inner, "one")
    engine.put(ADDRESS, row("a"))
    engine.expire(ADDRESS, 5, b"12345678")
    assert told == [(*inner.scan(), 5, b"12345678")]


def test_sweeping_one_namespace_leaves_the_files_of_another(tmp_path):
    """Two stashes in one engine: each looks for blob files without a row, and knows its own rows only."""
    engine = PairtreeEngine(str(tmp_path / "engine"))
    stashes = []
    for name in ("one", "other"):
        stash = HashStash(tmp_path / name, engine="pairtree")
        store = stash.store
        store.engine = PrefixWrapper(engine, name)
        store.__post_init__()
        stash["large"] = LARGE
        stashes.append(stash)
    for parent, _, files in os.walk(engine.blob_folder()):
        for file in files:
            os.utime(os.path.join(parent, file), (time.time() - 10**6,) * 2)
    one, other = stashes
    assert sweep(one.store) == 0
    one.clear()
    assert (len(one), other["large"]) == (0, LARGE)
