import pytest

from hashstash.engines.memory import MemoryEngine
from hashstash.entry import Entry
from hashstash.policies import versions
from hashstash.policies.versions import Versions

ADDRESS = bytes(range(16))


@pytest.fixture
def engine(tmp_path):
    return MemoryEngine(str(tmp_path))


def entry(version=1):
    return Entry(ADDRESS, b"", b"", b"", 0, version=version)


def test_numbers_count_from_one():
    assert Versions().on_write(entry(), None).version == 1
    assert Versions().on_write(entry(), entry(7)).version == 8


def test_older_rows_come_oldest_first(engine):
    for version in (2, 1, 3):
        versions.keep(engine, ADDRESS, b"row %d" % version, version)
    assert list(versions.older_rows(engine, ADDRESS, 4)) == [b"row 1", b"row 2", b"row 3"]


def test_a_gap_is_passed_over(engine):
    versions.keep(engine, ADDRESS, b"row 3", 3)
    assert list(versions.older_rows(engine, ADDRESS, 4)) == [b"row 3"]


def test_keeping_twice_changes_nothing(engine):
    for _ in range(2):
        versions.keep(engine, ADDRESS, b"row", 1)
    assert list(versions.older_rows(engine, ADDRESS, 2)) == [b"row"]


def test_the_newest_that_is_kept(engine):
    assert versions.newest_kept(engine, ADDRESS) == 0
    for version in (1, 300):
        versions.keep(engine, ADDRESS, b"row", version)
    versions.keep(engine, bytes(16), b"another key's", 1000)
    assert versions.newest_kept(engine, ADDRESS) == 300


def test_forgetting_removes_and_returns_them(engine):
    for version in (1, 2):
        versions.keep(engine, ADDRESS, b"row %d" % version, version)
    assert versions.forget(engine, ADDRESS, 3) == [b"row 1", b"row 2"]
    assert engine.section(versions.HISTORY).count() == 0
