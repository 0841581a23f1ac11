"""A map reads like a list of results, and tells of each item where it stands."""

import gc
import threading
import weakref

import pytest

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


class TestReadingLikeAList:
    def test_its_length_is_the_number_of_inputs(self, doubled):
        assert len(doubled) == 5

    @pytest.mark.parametrize("index, value", [(0, 0), (4, 8), (-1, 8), (-5, 0), (True, 2)])
    def test_an_index_gives_a_value(self, doubled, index, value):
        assert doubled[index] == value

    def test_a_numpy_integer_is_an_index(self, doubled):
        numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")
        assert doubled[numpy.int64(-2)] == 6

    @pytest.mark.parametrize("index", [5, -6])
    def test_an_index_out_of_range_raises(self, doubled, index):
        with pytest.raises(IndexError, match=f"item {index} of a map of 5"):
            doubled[index]

    @pytest.mark.parametrize("index", ["1", 1.0, None, (0, 1)])
    def test_other_indexes_raise(self, doubled, index):
        with pytest.raises(TypeError, match="read by numbers and slices"):
            doubled[index]

    @pytest.mark.parametrize("part", [slice(1, 3), slice(None), slice(None, None, -1), slice(-2, None), slice(9, 12)])
    def test_a_slice_is_a_list_of_values(self, doubled, part):
        assert doubled[part] == [0, 2, 4, 6, 8][part]

    def test_it_is_iterated_over_as_often_as_one_likes(self, doubled):
        assert list(doubled) == list(doubled) == [0, 2, 4, 6, 8]

    def test_it_is_read_backwards(self, doubled):
        assert list(reversed(doubled)) == [8, 6, 4, 2, 0]

    def test_it_contains_its_values(self, doubled):
        assert 6 in doubled
        assert 7 not in doubled

    def test_values_are_found_and_counted(self, doubled):
        assert doubled.index(6) == 3
        assert doubled.index(6, 1, 4) == doubled.index(6, -2) == 3
        assert doubled.count(8) == 1
        with pytest.raises(ValueError, match="6 is not among the values of the map"):
            doubled.index(6, 0, 3)

    def test_it_unpacks(self, doubled):
        first, *_, last = doubled
        assert (first, last) == (0, 8)

    def test_it_equals_a_list_a_tuple_and_a_map_of_the_same_values(self, stash, doubled):
        again = stash.map(double, range(5), num_proc=1, progress=False)
        assert doubled == [0, 2, 4, 6, 8] == list(again)
        assert doubled == (0, 2, 4, 6, 8)
        assert doubled == again
        assert doubled != [0, 2, 4, 6]
        assert doubled != [0, 2, 4, 6, 9]
        assert doubled != "other"

    def test_arrays_among_the_values_are_compared_by_their_content(self, stash):
        numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")
        arrays = stash.map(numpy.arange, [2, 3], num_proc=1, progress=False)
        assert arrays == [numpy.arange(2), numpy.arange(3)]
        assert numpy.arange(3) in arrays
        assert numpy.arange(4) not in arrays
        assert (arrays.index(numpy.arange(3)), arrays.count(numpy.arange(2))) == (1, 1)

    def test_it_is_no_key(self, doubled):
        with pytest.raises(TypeError, match="unhashable"):
            hash(doubled)

    def test_an_empty_map_is_an_empty_list_that_is_done(self, stash):
        empty = stash.map(double, [], progress=False)
        assert list(empty) == empty.results == list(empty.items()) == list(empty.results_iter()) == []
        assert empty.done
        assert empty.wait()
        assert not empty.cancel()
        assert not empty

    def test_a_value_is_the_same_object_each_time(self, stash):
        made = stash.map(lambda x: [x], [1], num_proc=1, progress=False)
        assert made[0] is made[0]

    def test_equal_items_do_not_share_a_value_that_can_change(self, stash):
        made = stash.map(lambda x: [x], [1, 1], num_proc=1, progress=False)
        made[0].append("changed")
        assert made[1] == [1]

    def test_nor_do_they_where_nothing_is_stored(self, stash):
        made = stash.map(lambda x: [x], [1, 1], num_proc=1, progress=False, stash_runs=False, stash_map=False)
        made[0].append("changed")
        assert made[1] == [1]

    def test_keys_values_and_items(self, stash):
        made = stash.map(double, [1, 2], [{"factor": 3}, {}], num_proc=1, progress=False)
        assert made.keys() == [((1,), {"factor": 3}), ((2,), {})]
        assert made.values() == [3, 4]
        assert list(made.items()) == [(((1,), {"factor": 3}), 3), (((2,), {}), 4)]

    def test_keys_are_those_of_the_functions_stash(self, stash, doubled):
        assert [doubled_one for key in doubled.keys() for doubled_one in [self._stored(stash, key)]] == list(doubled)

    def _stored(self, stash, key):
        return stash.stashed_result(double).stash[key]


class TestRuns:
    def test_a_run_has_arguments_state_and_result(self, stash):
        (run,) = stash.map(double, [3], num_proc=1, progress=False, factor=4).runs
        assert (run.index, run.args, run.kwargs, run.key) == (0, (3,), {"factor": 4}, ((3,), {"factor": 4}))
        assert (run.state, run.done, run.was_cached, run.error, run.result) == ("computed", True, False, None, 12)
        assert 0 <= run.seconds < 60

    def test_a_stored_one_was_cached_and_took_no_time(self, stash, doubled):
        run = stash.map(double, [3], num_proc=1, progress=False).runs[0]
        assert (run.state, run.was_cached, run.seconds, run.result) == ("cached", True, None, 6)

    def test_an_item_equal_to_an_earlier_one_was_cached(self, stash):
        made = stash.map(double, [1, 2, 1], num_proc=1, progress=False)
        assert made.was_cached == [run.was_cached for run in made.runs] == [False, False, True]
        assert made.runs[2].seconds is None

    def test_a_failed_one_has_its_error_and_raises_it(self, stash):
        run = stash.map(picky, [2], num_proc=1, progress=False).runs[0]
        assert (run.state, run.done, run.was_cached, str(run.error)) == ("failed", True, False, "not two")
        with pytest.raises(ValueError, match="not two"):
            run.result

    def test_while_it_runs_there_is_no_result(self, gated):
        run = gated.map().runs[0]
        assert (run.done, run.was_cached, run.seconds, run.error) == (False, False, None, None)
        assert run.state in ("pending", "running")

    def test_a_result_is_waited_for(self, gated):
        made = gated.map()
        gated.open(2)
        assert made.runs[2].result == 4
        assert not made.done


class TestWaiting:
    def test_a_map_in_the_background_is_returned_at_once(self, gated):
        made = gated.map()
        assert not made.done
        assert made.is_running

    def test_waiting_some_time_says_whether_all_is_done(self, gated):
        made = gated.map()
        gated.open(0, 1)
        assert made.wait(0.05) is False
        gated.open(2, 3)
        assert made.wait() is True
        assert made.wait(0) is True
        assert made.done

    def test_what_is_finished_can_be_read_while_the_rest_runs(self, gated):
        made = gated.map()
        gated.open(0, 3)
        assert (made[0], made[-1]) == (0, 6)
        assert not made.done

    def test_results_wait_for_all(self, gated):
        made = gated.map()
        threading.Timer(0.05, lambda: gated.open(*range(4))).start()
        assert made.results == [0, 2, 4, 6]

    def test_results_come_in_order(self, gated):
        arriving = gated.map().results_iter()
        gated.open(3, 0)
        assert next(arriving) == 0
        gated.open(1, 2)
        assert list(arriving) == [2, 4, 6]

    def test_or_as_they_come(self, gated):
        arriving = gated.map(ordered=False).results_iter()
        gated.open(3)
        assert next(arriving) == 6
        gated.open(1)
        assert next(arriving) == 2
        gated.open(0, 2)
        assert sorted(arriving) == [0, 4]

    def test_equal_items_come_as_often_as_they_were_given(self, stash):
        made = stash.map(double, [1, 2, 1], num_proc=1, progress=False, ordered=False)
        assert sorted(made.results_iter()) == [2, 2, 4]

    def test_several_threads_may_read(self, gated):
        made = gated.map()
        found = []
        readers = [threading.Thread(target=lambda: found.append(list(made))) for _ in range(6)]
        for reader in readers:
            reader.start()
        gated.open(*range(4))
        for reader in readers:
            reader.join(60)
        assert found == [[0, 2, 4, 6]] * 6

    def test_a_map_that_nobody_holds_goes_on_and_is_stored(self, stash, gated):
        made = gated.map()
        done = made._computation
        alive = weakref.ref(made)
        del made
        gc.collect()
        assert alive() is None
        gated.open(*range(4))
        done.wait(60)
        assert gated.map().was_cached == [True] * 4

    def test_how_long_it_took_stands_still_in_the_end(self, doubled):
        assert doubled.seconds == doubled.seconds >= 0

    def test_the_tally_counts_items(self, stash):
        stash.map(picky, [1], num_proc=1, progress=False)
        tally = stash.map(picky, [1, 2, 3, 3], num_proc=1, progress=False).tally
        assert (tally.total, tally.cached, tally.computed, tally.failed, tally.running) == (4, 2, 1, 1, 0)


class TestStopping:
    def test_cancelled_items_are_not_done_and_say_so(self, gated):
        made = gated.map(num_proc=1)
        gated.open(0)
        assert made[0] == 0
        assert made.cancel() is True
        assert not made.done
        assert not made.wait()
        assert made[0] == 0
        assert made.runs[3].state == "cancelled"
        assert not made.runs[3].done
        with pytest.raises(NotComputed, match=r"item 3, .*was not computed: the map was interrupted; resume"):
            made[3]

    def test_resume_computes_the_rest_and_returns_the_map(self, gated):
        made = gated.map(num_proc=1)
        made.cancel()
        gated.open(*range(4))
        assert made.resume() is made
        assert made.results == [0, 2, 4, 6]
        assert made.done

    def test_resume_computes_what_failed_again(self, stash, calls):
        def once(x):
            calls.append(x)
            if len(calls) == 1:
                raise OSError("at first")
            return x

        made = stash.map(once, [1], num_proc=1, progress=False)
        assert made.runs[0].state == "failed"
        assert made.resume().results == [1]
        assert (made.tally.failed, made.tally.computed) == (0, 1)

    def test_cancelling_what_is_done_changes_nothing(self, doubled):
        assert doubled.cancel() is False
        assert doubled.done

    def test_results_as_they_come_after_resume_come_once(self, stash, calls):
        def flaky(x):
            calls.append(x)
            if calls.count(x) == 1 and x == 1:
                raise OSError("at first")
            return x

        made = stash.map(flaky, [0, 1, 2], num_proc=1, progress=False, ordered=False)
        assert sorted(made.resume().results_iter()) == [0, 1, 2]


class TestLater:
    def test_without_precompute_nothing_is_computed_before_it_is_read(self, stash, calls):
        late = stash.map(calls.append, [1, 2, 3], num_proc=1, progress=False, precompute=False)
        assert calls == []
        assert late[1] is None
        assert calls == [2]
        assert late.wait()
        assert sorted(calls) == [1, 2, 3]

    def test_what_is_stored_is_known_before(self, stash, doubled):
        late = stash.map(double, [4, 5], progress=False, precompute=False)
        assert [run.state for run in late.runs] == ["cached", "pending"]

    def test_unless_not_even_that_was_wanted(self, stash, doubled):
        late = stash.map(double, [4, 5], progress=False, precompute=False, preload=False)
        assert [run.state for run in late.runs] == ["pending", "pending"]
        assert late[0] == 8
        assert late.runs[0].was_cached

    def test_a_function_that_reads_its_own_map_may_recurse(self, stash):
        numbers = stash.map(
            lambda n: n if n < 2 else numbers[n - 1] + numbers[n - 2], range(20), progress=False, precompute=False
        )
        assert numbers[19] == 4181

    def test_two_threads_that_read_the_same_item_compute_it_once(self, stash, gated, calls):
        wait = gated.function

        def slow(x, folder):
            calls.append(x)
            return wait(x, folder)

        late = stash.map(slow, [1], progress=False, precompute=False, folder=gated.folder)
        readers = [threading.Thread(target=lambda: late[0]) for _ in range(4)]
        for reader in readers:
            reader.start()
        gated.open(1)
        for reader in readers:
            reader.join(60)
        assert calls == [1]
