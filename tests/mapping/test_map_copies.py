"""A map that was copied, pickled or stored, and one whose stash was cleared or closed."""

import copy
import pickle
import threading

import pytest

from hashstash import HashStash, StashMap
from hashstash.errors import NotComputed


def double(x, factor=2):
    return x * factor


def picky(x):
    if x == 2:
        raise ValueError("not two")
    return x


@pytest.fixture
def doubled(stash):
    return stash.map(double, range(5), num_proc=1, progress=False)


class TestCopies:
    @pytest.mark.parametrize(
        "copied",
        [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))],
        ids=["copy", "deepcopy", "pickle"],
    )
    def test_a_copy_keeps_calls_states_and_results(self, stash, doubled, copied):
        made = stash.map(double, [4, 5, 5], num_proc=1, progress=False)
        again = copied(made)
        assert type(again) is StashMap
        assert again == made == [8, 10, 10]
        assert again.keys() == made.keys()
        assert again.was_cached == [True, False, True]
        assert again.name == made.name
        assert again.done
        assert repr(again) == repr(made)

    def test_a_copy_is_waited_for(self, gated):
        made = gated.map()
        threading.Timer(0.05, lambda: gated.open(*range(4))).start()
        assert list(copy.copy(made)) == [0, 2, 4, 6]

    def test_a_copy_keeps_failures_and_what_to_do_with_them(self, stash):
        made = stash.map(picky, [1, 2], num_proc=1, progress=False, errors="skip")
        again = pickle.loads(pickle.dumps(made))
        assert list(again) == [1]
        with pytest.raises(ValueError, match="not two"):
            again[1]
        assert again.runs[1].state == "failed"

    def test_a_copy_has_no_function_to_go_on_with(self, stash):
        again = copy.copy(stash.map(picky, [2], num_proc=1, progress=False))
        with pytest.raises(NotComputed, match="has no function to go on with; map the inputs again"):
            again.resume()

    @pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
    def test_a_map_can_be_stored_in_a_stash(self, stash, doubled, tmp_path, serializer):
        other = HashStash(tmp_path / "other", engine="pairtree", serializer=serializer)
        other["map"] = doubled
        assert type(other["map"]) is StashMap
        assert other["map"] == [0, 2, 4, 6, 8]

    def test_a_map_may_be_an_argument_of_a_memoized_function(self, stash, doubled, calls):
        def total(values):
            calls.append(1)
            return sum(values)

        assert stash.run(total, doubled) == stash.run(total, stash.map(double, range(5), progress=False)) == 20
        assert len(calls) == 1


class TestWhenTheStashChanges:
    @pytest.fixture(params=["cached", "computed"])
    def large(self, stash, request):
        def long(x):
            return str(x) * 100_000

        if request.param == "cached":
            stash.map(long, [1, 2], num_proc=1, progress=False)
        return stash.map(long, [1, 2], num_proc=1, progress=False)

    @pytest.mark.parametrize("engine", ["pairtree", "lmdb", "memory"])
    def test_values_are_right_after_the_stash_was_cleared(self, tmp_path, engine):
        if engine == "lmdb":
            pytest.importorskip("lmdb", reason="the package lmdb is not installed")
        stash = HashStash(tmp_path / "stash", engine=engine, clear=True)
        for _ in range(2):
            made = stash.map(lambda x: str(x) * 100_000, [1, 2], num_proc=1, progress=False)
            stash.clear()
            assert made.results == ["1" * 100_000, "2" * 100_000]

    def test_cleared_while_it_was_answered_from_the_stash(self, stash, large):
        stash.clear()
        assert large.results == ["1" * 100_000, "2" * 100_000]

    def test_values_are_right_after_the_stash_was_closed(self, stash, large):
        stash.close()
        assert large.results == ["1" * 100_000, "2" * 100_000]

    def test_to_show_a_map_computes_nothing(self, stash, calls):
        def long(x):
            calls.append(x)
            return str(x) * 100_000

        stash.map(long, [1], num_proc=1, progress=False)
        made = stash.map(long, [1], num_proc=1, progress=False)
        stash.clear()
        repr(made), made._repr_html_(), repr(made.runs[0])
        assert calls == [1]
