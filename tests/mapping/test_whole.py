"""A map that keeps no single results may keep the whole list."""

import pytest

from hashstash import HashStash
from hashstash.open import MAPS, below


@pytest.fixture(params=["pairtree", "lmdb", "memory", "sqlite"])
def stash(tmp_path, request):
    if request.param == "lmdb":
        pytest.importorskip("lmdb", reason="the package lmdb is not installed")
    return HashStash(tmp_path / "stash", engine=request.param, clear=True)


@pytest.fixture
def counted(calls):
    def function(x):
        calls.append(x)
        if x == "bad":
            raise ValueError(x)
        return [x]

    return function


def mapped(stash, function, objects, **options):
    options = {"num_proc": 1, "progress": False, "stash_runs": False, **options}
    return stash.map(function, objects, **options)


def whole_stash(stash, mapped):
    return HashStash.from_config(below(stash.config, f"{MAPS}/{mapped.name}"))


def test_an_identical_map_is_answered_from_the_stash(stash, counted, calls):
    assert mapped(stash, counted, [1, 2]).was_cached == [False, False]
    again = mapped(stash, counted, [1, 2])
    assert (again.results, again.was_cached, again.done) == ([[1], [2]], [True, True], True)
    assert calls == [1, 2]


def test_no_single_result_is_stored(stash, counted, calls):
    made = mapped(stash, counted, [1, 2])
    assert len(stash.stashed_result(counted).stash) == 0
    assert list(whole_stash(stash, made).values()) == [[[1], [2]]]


def test_another_list_in_another_order_or_length_is_another_map(stash, counted, calls):
    mapped(stash, counted, [1, 2])
    assert mapped(stash, counted, [2, 1]).results == [[2], [1]]
    assert mapped(stash, counted, [1]).results == [[1]]
    assert len(calls) == 5


def test_equal_items_are_stored_once_and_not_shared(stash, counted, calls):
    made = mapped(stash, counted, [1, 1, 2])
    assert list(whole_stash(stash, made).values()) == [[[1], [2]]]
    again = mapped(stash, counted, [1, 1, 2])
    again[0].append("changed")
    assert again[1] == [1]


def test_another_function_is_another_map(stash):
    assert mapped(stash, lambda x: x + 1, [1]).results == [2]
    assert mapped(stash, lambda x: x + 2, [1]).results == [3]


def test_a_map_in_which_something_failed_is_not_stored(stash, counted, calls):
    mapped(stash, counted, [1, "bad"])
    assert mapped(stash, counted, [1, "bad"]).was_cached == [False, False]


def test_force_computes_and_replaces_it(stash, counted, calls):
    mapped(stash, counted, [1])
    assert mapped(stash, counted, [1], force=True).was_cached == [False]
    assert len(calls) == 2


def test_workers_in_the_background_store_it_too(stash, counted, calls):
    mapped(stash, counted, [1, 2], executor="threads", num_proc=2).wait()
    assert mapped(stash, counted, [1, 2], executor="threads").was_cached == [True, True]


def test_time_to_live_counts(stash, counted, calls):
    stash.options(ttl=0.000001).map(counted, [1], num_proc=1, progress=False, stash_runs=False)
    assert mapped(stash, counted, [1]).was_cached == [False]


def test_results_that_are_not_to_be_stored_keep_it_out(stash, counted, calls):
    choosy = stash.options(if_=lambda result: result != [2])
    for _ in range(2):
        choosy.map(counted, [1, 2], num_proc=1, progress=False, stash_runs=False)
    assert len(calls) == 4


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_a_condition_that_fails_keeps_it_out_with_a_warning(stash, counted, calls, noted, executor):
    choosy = stash.options(if_=lambda result: 1 / 0)
    options = {"executor": executor, "progress": False, "stash_runs": False}
    made, warned = noted(lambda: choosy.map(counted, [1, 2], **options).results)
    assert made == [[1], [2]]
    assert len(warned) == 1
    assert "could not be stored as a whole: division by zero" in warned[0]


def test_clearing_the_stash_clears_it(stash, counted, calls):
    mapped(stash, counted, [1])
    stash.clear()
    assert mapped(stash, counted, [1]).was_cached == [False]


def test_the_stash_itself_does_not_list_it(stash, counted, calls):
    mapped(stash, counted, [1])
    assert len(stash) == 0
    assert list(stash) == []


def test_what_cannot_be_stored_is_returned_with_a_warning(stash, noted):
    made, warned = noted(lambda: mapped(stash, lambda x: (n for n in [x]), [1]))
    assert list(made[0]) == [1]
    assert len(warned) == 1
    assert "could not be stored as a whole" in warned[0]


def test_arguments_that_cannot_be_hashed_keep_it_out(stash, noted):
    import threading

    made, _ = noted(lambda: mapped(stash, lambda lock: 1, [threading.Lock()]))
    assert made.results == [1]
    assert len(whole_stash(stash, made)) == 0


def test_a_bad_entry_is_computed_anew_with_a_warning(stash, counted, calls, noted):
    made = mapped(stash, counted, [1])
    kept = whole_stash(stash, made)
    (address,) = kept.store.engine.scan()
    kept.store.engine.put(address, kept.store.engine.get(address)[:-3] + b"???")
    again, warned = noted(lambda: mapped(stash, counted, [1]))
    assert again.results == [[1]]
    assert len(warned) == 1
    assert "is computed anew" in warned[0]
    assert mapped(stash, counted, [1]).was_cached == [True]


def test_check_and_repair_see_it(stash, counted, calls):
    mapped(stash, counted, [1])
    assert not stash.check()
