"""Notes about reads: kept in memory, published in batches, merged; whatever a stranger writes there is advice at most."""

import time

import pytest

from hashstash.engines.memory import MemoryEngine
from hashstash.policies import uses
from hashstash.policies.uses import Uses, pack, unpack

pytestmark = pytest.mark.once

ONE, OTHER = bytes(16), bytes(range(16))


@pytest.fixture
def engine(tmp_path):
    return MemoryEngine(str(tmp_path))


def rows(engine):
    return sorted(name.partition(b":")[0] for name in engine.section(uses.SECTION).scan())


def test_ones_own_reads_count_at_once():
    mine = Uses()
    assert mine.last(ONE, 5) == 5
    before = time.time_ns()
    mine.note(ONE)
    assert before <= mine.last(ONE, 5) <= time.time_ns()
    assert mine.last(OTHER, 5) == 5


def test_a_later_write_counts_for_more():
    mine = Uses()
    mine.note(ONE)
    later = time.time_ns() + 10**9
    assert mine.last(ONE, later) == later


def test_others_know_what_was_published(engine):
    mine, other = Uses(), Uses()
    mine.note(ONE)
    other.refresh(engine)
    assert other.last(ONE, 5) == 5
    mine.publish(engine)
    other.refresh(engine)
    assert other.last(ONE, 5) == mine.last(ONE, 5)


def test_publishing_nothing_writes_nothing(engine):
    Uses().publish(engine)
    assert rows(engine) == []


def test_each_object_has_one_row(engine):
    mine, other = Uses(), Uses()
    for who in (mine, other, mine, other):
        who.note(ONE)
        who.note(OTHER)
        who.publish(engine)
    assert rows(engine) == [b"by", b"by", b"changed"]


def test_merging_leaves_one_row_and_forgets_nothing(engine):
    mine, other = Uses(), Uses()
    mine.note(ONE)
    mine.publish(engine)
    other.note(OTHER)
    other.publish(engine)
    other.merge(engine)
    assert rows(engine) == [b"changed", b"merged"]
    third = Uses()
    third.refresh(engine)
    assert third.last(ONE, 0) == mine.last(ONE, 0)
    assert third.last(OTHER, 0) == other.last(OTHER, 0)


def test_merging_drops_what_is_not_stored_any_more(engine):
    mine = Uses()
    mine.note(ONE)
    mine.note(OTHER)
    mine.publish(engine)
    mine.merge(engine, present={OTHER})
    assert set(mine.noted) == {OTHER}


def test_an_object_with_many_notes_asks_to_be_merged(engine):
    mine = Uses()
    for number in range(600):
        mine.note(number.to_bytes(16, "big"))
    assert not mine.is_full
    mine.publish(engine)
    assert mine.is_full
    mine.merge(engine)
    assert not mine.is_full


def test_objects_that_come_and_go_leave_no_more_than_a_few_rows(engine):
    """A stash that is only read is not written to by anybody who would count it anew."""
    latest = {}
    for number in range(300):
        address = (number % 100).to_bytes(16, "big")
        mine = Uses()
        mine.note(address)
        mine.publish(engine)
        latest[address] = mine.last(address, 0)
    assert len(rows(engine)) < 70
    last = Uses()
    last.refresh(engine)
    assert {address: last.last(address, 0) for address in latest} == latest


def test_merging_does_not_lose_what_others_merge_meanwhile(engine, monkeypatch):
    mine, other = Uses(), Uses()
    mine.note(ONE)
    mine.publish(engine)
    read = mine._published

    def then_others_merge(engine):
        found = read(engine)
        monkeypatch.undo()
        other.note(OTHER)
        other.publish(engine)
        other.merge(engine)
        return found

    monkeypatch.setattr(mine, "_published", then_others_merge)
    mine.merge(engine)
    third = Uses()
    third.refresh(engine)
    assert third.last(ONE, 0) > 0
    assert third.last(OTHER, 0) == other.last(OTHER, 0)
    assert rows(engine) == [b"changed", b"merged"]


def test_time_to_publish_comes_with_the_first_read_and_not_with_the_next(engine):
    mine = Uses()
    assert mine.note(ONE)
    mine.publish(engine)
    assert not mine.note(ONE)


def test_a_note_from_the_future_is_one_of_now(engine):
    engine.section(uses.SECTION).put(b"by:stranger", pack({ONE: 1 << 62}))
    engine.section(uses.SECTION).put(b"changed", pack({}))
    mine = Uses()
    mine.refresh(engine)
    assert mine.last(ONE, 0) <= time.time_ns()


@pytest.mark.parametrize("row", [b"", b"x", bytes(99), b"HSTuses\1" + bytes(31), b"HSTuses\2" + bytes(32)])
def test_what_is_no_row_of_notes_has_none(row):
    assert list(unpack(row)) == []


def test_a_forked_child_begins_anew(engine):
    mine = Uses()
    mine.note(ONE)
    mine.renew()
    mine.publish(engine)
    assert rows(engine) == []
