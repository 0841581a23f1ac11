import pytest

from hashstash.engines.memory import MemoryEngine
from hashstash.entry import Entry, new_write_id, unpack
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


def row(version, text=b"row"):
    """A row of that version, with a write id of its own."""
    made = entry(version)
    made.key, made.write_id = text, new_write_id()
    return made.pack()


def keep(engine, *rows):
    for version, blob in rows:
        engine.put(ADDRESS, blob)
        assert versions.keep(engine, ADDRESS, blob, version)


def test_older_rows_come_oldest_first(engine):
    one, two, three = row(1), row(2), row(3)
    keep(engine, (2, two), (1, one), (3, three))
    assert list(versions.older_rows(engine, ADDRESS, 4)) == [one, two, three]
    assert list(versions.older_rows(engine, ADDRESS, 3)) == [one, two]


def test_a_gap_is_passed_over(engine):
    three = row(3)
    keep(engine, (3, three))
    assert list(versions.older_rows(engine, ADDRESS, 4)) == [three]


def test_keeping_twice_changes_nothing(engine):
    one = row(1)
    keep(engine, (1, one), (1, one))
    assert list(versions.older_rows(engine, ADDRESS, 2)) == [one]


def test_a_row_that_a_removal_has_overtaken_gives_way_to_the_head(engine):
    stale, head = row(2, b"stale"), row(2, b"head")
    engine.put(ADDRESS, head)
    engine.section(versions.HISTORY).put(versions.history_address(ADDRESS, 2), stale)
    assert versions.keep(engine, ADDRESS, head, 2)
    assert list(versions.older_rows(engine, ADDRESS, 3)) == [head]


@pytest.mark.parametrize("head", [None, row(3, b"later")], ids=["none", "later"])
def test_a_row_that_was_overtaken_does_not_replace_another(engine, head):
    kept, late = row(2, b"kept"), row(2, b"late")
    if head is not None:
        engine.put(ADDRESS, head)
    engine.section(versions.HISTORY).put(versions.history_address(ADDRESS, 2), kept)
    assert not versions.keep(engine, ADDRESS, late, 2)
    assert list(versions.older_rows(engine, ADDRESS, 3)) == [kept]


def test_the_newest_that_is_kept(engine):
    assert versions.newest_kept(engine, ADDRESS) == 0
    keep(engine, (1, row(1)), (300, row(300)))
    versions.keep(engine, bytes(16), row(1000), 1000)
    assert versions.newest_kept(engine, ADDRESS) == 300


def test_forgetting_removes_and_returns_them(engine):
    one, two = row(1), row(2)
    keep(engine, (1, one), (2, two))
    assert versions.forget(engine, ADDRESS) == [one, two]
    assert engine.section(versions.HISTORY).count() == 0


def test_the_end_of_an_entry_is_one_that_is_over():
    row = versions.end_row(ADDRESS)
    assert versions.is_end(row)
    assert unpack(row, ADDRESS).is_expired()


def test_an_entry_that_is_over_is_no_end():
    over = Entry(ADDRESS, b"hashstash", b"", b"", 0, write_id=bytes(8), created_at=1, expires_at=1)
    assert not versions.is_end(over.pack())
    assert not versions.is_end(b"")
