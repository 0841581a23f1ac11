"""Pruning removes what is over and what is chosen, and says how many went."""

import random
import time

import pytest

from hashstash.errors import ReadOnlyStash

pytestmark = pytest.mark.once


def blob(number, size=2_000):
    return random.Random(number).randbytes(size)


@pytest.fixture
def stash(opened):
    """Five entries that differ in size, tags and age."""
    stash = opened(compress=False)
    for number in range(5):
        stash.put(
            number, blob(number, 1_000 * (number + 1)), tags=["even"] if number % 2 == 0 else [], meta={"n": number}
        )
    return stash


def test_what_is_over_goes(opened):
    stash = opened()
    stash["k"] = 1
    for number in range(3):
        stash.put(number, 1, ttl=0.01)
    time.sleep(0.05)
    assert stash.prune() in (3, 0)  # some storages have removed them already
    assert stash.store.engine.count() == 1
    assert stash.prune() == 0
    assert stash["k"] == 1


CHOICES = {
    "larger": ({"larger_than": 2_500}, [0, 1]),
    "larger, as text": ({"larger_than": "2.5 KB"}, [0, 1]),
    "older": ({"older_than": "1h"}, [0, 1, 2, 3, 4]),
    "older than no time": ({"older_than": 1e-6}, []),
    "filter": ({"tags__contains": "even"}, [1, 3]),
    "note": ({"n__ge": 3}, [0, 1, 2]),
    "both": ({"tags__contains": "even", "larger_than": 2_500}, [0, 1, 3]),
    "number": ({"max_entries": 2}, [3, 4]),
    "size": ({"max_size": 10_000}, [3, 4]),
    "size, as text": ({"max_size": "10 KB"}, [3, 4]),
    "number that is kept": ({"max_entries": 10}, [0, 1, 2, 3, 4]),
    "number and filter": ({"max_entries": 3, "tags__contains": "even"}, [1, 3, 4]),
    "number and a filter that is not enough": ({"max_entries": 0, "tags__contains": "even"}, [1, 3]),
    "none": ({"max_entries": 0}, []),
}


@pytest.mark.parametrize("conditions, rest", CHOICES.values(), ids=CHOICES)
def test_what_is_chosen_goes(stash, conditions, rest):
    assert stash.prune(**conditions) == 5 - len(rest)
    assert sorted(stash) == rest


def test_without_conditions_nothing_else_goes(stash):
    assert stash.prune() == 0
    assert len(stash) == 5


def test_what_was_used_last_stays(opened):
    stash = opened(max_entries=100)
    for number in range(10):
        stash[number] = number
    for number in (2, 3):
        stash[number]
    assert stash.prune(max_entries=4) == 6
    assert sorted(stash) == [2, 3, 8, 9]


def test_uses_that_others_have_published_count(opened):
    reader = opened(max_entries=100)
    for number in range(10):
        reader[number] = number
    reader[0]
    reader.close()
    stash = opened()
    stash.prune(max_entries=2)
    assert sorted(stash) == [0, 9]


BAD = {
    "field": ({"sise__gt": 5}, TypeError, "no field 'sise'"),
    "operator": ({"size__above": 5}, TypeError, "__gt"),
    "duration": ({"older_than": "soon"}, ValueError, "duration"),
    "size": ({"larger_than": "big"}, ValueError, "no size"),
    "limit": ({"max_entries": -1}, ValueError, "max_entries=-1"),
    "limit of bytes": ({"max_size": True}, TypeError, "size"),
}


@pytest.mark.parametrize("conditions, error, text", BAD.values(), ids=BAD)
def test_a_mistake_removes_nothing(stash, conditions, error, text):
    stash.put("over", 1, ttl=0.01)
    time.sleep(0.05)
    with pytest.raises(error, match=text):
        stash.prune(**conditions)
    assert len(stash) == 5


def test_versions_go_with_their_entry_and_count(opened):
    stash = opened(append_mode=True, compress=False)
    for number in range(4):
        stash["long"] = blob(number)
    stash["short"] = blob(9)
    assert stash.prune(max_size=5_000) == 1
    assert list(stash) == ["short"]
    assert list(stash.store.engine.section("history").scan()) == []


def test_corrupt_entries_are_left_to_repair(stash):
    address = stash.store.keys.address(0)
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1])
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read"):
        assert stash.prune(older_than=1e-6) == 4
    assert stash.store.engine.has(address)


def test_foreign_entries_are_pruned(opened, somebody_else):
    stash = opened()
    with somebody_else:
        stash["code"] = len
    stash["mine"] = len
    assert stash.prune(foreign=True) == 1
    assert list(stash) == ["mine"]


def test_results_of_functions_are_pruned_by_their_stash(opened):
    stash = opened()

    @stash.stashed_result
    def double(number):
        return 2 * number

    for number in range(4):
        double(number)
    assert stash.prune(max_entries=0) == 0
    assert double.stash.prune(max_entries=1) == 3
    assert len(double.stash) == 1


def test_results_of_what_a_function_was_formerly_are_pruned_too(opened):
    stash = opened()

    def make(by):
        def scaled(number):
            return by * number

        return stash.stashed_result(scaled)

    former, present = make(2), make(3)
    assert (former(1), present(1)) == (2, 3)
    assert len(present.stash) == len(present.stash.entries()) == 1
    assert present.stash.prune(older_than="1h") == 0
    assert present.stash.prune(older_than=1e-9) == 2
    assert present.stash.store.engine.count() == 0


def test_a_read_only_stash_refuses(opened):
    opened()["k"] = 1
    with pytest.raises(ReadOnlyStash):
        opened(read_only=True).prune()


def test_what_is_written_meanwhile_stays(opened, in_processes):
    stash = opened()
    code = "for number in range(30):\n    stash[who, number] = number\n    if who == 0: stash.prune(key__startswith='none', older_than=1)"
    in_processes(stash, code)
    assert len(stash) == 120
