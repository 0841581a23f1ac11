"""What may be given to a map, and what each item is called with."""

import itertools
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest


class Point(NamedTuple):
    x: Any
    y: Any


def shown(*args, **kwargs):
    return args, kwargs


def mapped(stash, *args, **kwargs):
    return stash.map(shown, *args, num_proc=1, progress=False, **kwargs).results


@pytest.mark.parametrize(
    "objects, expected",
    [
        ([1, "a"], [1, "a"]),
        (range(3), [0, 1, 2]),
        ((number * 2 for number in range(3)), [0, 2, 4]),
        (iter([1, 2]), [1, 2]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        ({"a": 1}.items(), None),
        ({7}, [7]),
        (frozenset({7}), [7]),
        ([], []),
        ((), []),
        ([None], [None]),
        (["word"], ["word"]),
        ([[1, 2]], [[1, 2]]),
        ([{"k": 1}], [{"k": 1}]),
        (map(str, [1, 2]), ["1", "2"]),
    ],
)
def test_any_iterable_gives_one_argument_for_each_item(stash, objects, expected):
    expected = [(("a", 1), {})] if expected is None else [((item,), {}) for item in expected]
    assert mapped(stash, objects) == expected


def test_a_tuple_is_spread_over_the_positional_arguments(stash):
    assert mapped(stash, [(1, 2), (3,), ()]) == [((1, 2), {}), ((3,), {}), ((), {})]


def test_zipped_inputs_are_spread(stash):
    assert mapped(stash, zip("ab", [1, 2], strict=True)) == [(("a", 1), {}), (("b", 2), {})]


def test_star_false_passes_a_tuple_whole(stash):
    assert mapped(stash, [(1, 2)], star=False) == [(((1, 2),), {})]


def test_a_named_tuple_is_one_argument(stash):
    assert mapped(stash, [Point(1, 2)]) == [((Point(1, 2),), {})]


def test_options_are_the_keywords_of_each_item(stash):
    assert mapped(stash, ["a", "b"], [{"k": 1}, {"k": 2}]) == [(("a",), {"k": 1}), (("b",), {"k": 2})]


def test_objects_and_options_may_be_given_by_name(stash):
    assert mapped(stash, objects=["a"], options=[{"k": 1}]) == [(("a",), {"k": 1})]


def test_options_override_the_common_keywords(stash):
    assert mapped(stash, [1, 2], [{"k": 5}, {}], k=1, m=2) == [((1,), {"k": 5, "m": 2}), ((2,), {"k": 1, "m": 2})]


def test_options_alone_make_a_call_each(stash):
    assert mapped(stash, options=[{"k": 1}, {"k": 2}], m=3) == [((), {"k": 1, "m": 3}), ((), {"k": 2, "m": 3})]


def test_options_may_be_other_mappings_and_come_from_a_generator(stash):
    assert mapped(stash, [1], (MappingProxyType({"k": number}) for number in [4])) == [((1,), {"k": 4})]


def test_options_may_be_none(stash):
    assert mapped(stash, [1], None) == [((1,), {})]


@pytest.mark.parametrize("options", [[{}], [{}, {}, {}]], ids=["fewer", "more"])
def test_as_many_options_as_objects_or_none(stash, options):
    with pytest.raises(ValueError, match=rf"2 objects, but {len(options)} options"):
        mapped(stash, [1, 2], options)


def test_a_map_over_nothing_says_so_and_one_over_an_empty_list_is_empty(stash):
    with pytest.raises(TypeError, match="nothing to map over: give a list of objects"):
        stash.map(len)
    assert (len(stash.map(len, [])), len(stash.map(len, ())), len(stash.map(len, options=[]))) == (0, 0, 0)


def test_options_for_an_empty_list_of_objects_are_too_many(stash):
    with pytest.raises(ValueError, match="0 objects, but 1 options"):
        mapped(stash, [], [{"k": 1}])


def test_kwargs_may_have_names_of_the_maps_own_options(stash):
    names = {
        "num_proc": 1,
        "progress": 2,
        "function": 3,
        "objects": 4,
        "options": 5,
        "self": 6,
        "_force": 7,
        "kwargs": 8,
    }
    assert mapped(stash, [0], kwargs=names) == [((0,), names)]


def test_a_keyword_called_like_a_parameter_of_run_reaches_the_function(stash):
    assert mapped(stash, [0], function=1, key=2, name=3) == [((0,), {"function": 1, "key": 2, "name": 3})]


def test_kwargs_go_before_other_keywords(stash):
    assert mapped(stash, [0], k=1, kwargs={"k": 2}) == [((0,), {"k": 2})]


def test_the_force_of_the_seeds_is_accepted_and_not_passed_on(stash):
    assert mapped(stash, [0], _force=True) == [((0,), {})]


@pytest.mark.parametrize(
    "wrong, error, text",
    [
        ({"objects": None}, TypeError, "there is nothing to map over"),
        ({"objects": 5}, TypeError, "objects=5 cannot be iterated over"),
        ({"objects": "word"}, TypeError, r"objects='word' is one str; give a list of inputs, such as \['word'\]"),
        ({"objects": b"word"}, TypeError, "is one bytes"),
        ({"objects": itertools.count()}, ValueError, r"objects=count\(0\) has no end; say with total="),
        ({"objects": itertools.cycle("ab")}, ValueError, "has no end"),
        ({"objects": itertools.repeat(1)}, ValueError, r"objects=repeat\(1\) has no end"),
        ({"objects": [1], "options": {"k": 1}}, TypeError, "is one dict; give a list of them"),
        ({"objects": [1], "options": [5]}, TypeError, r"options\[0\] is 5; each is a dict"),
        ({"objects": [1], "options": [{1: 2}]}, TypeError, r"options\[0\] is \{1: 2\}"),
        ({"objects": [1], "options": 3}, TypeError, "options=3 cannot be iterated over"),
        ({"objects": [1], "kwargs": [1]}, TypeError, r"kwargs is \[1\]; it is a dict"),
        ({"objects": [1], "kwargs": {1: 2}}, TypeError, r"kwargs is \{1: 2\}"),
        ({"objects": [1], "total": -1}, ValueError, "total=-1"),
        ({"objects": [1], "total": "3"}, TypeError, "total='3'"),
        ({"objects": [1], "total": True}, TypeError, "total=True"),
        ({"objects": [1], "errors": "ignore"}, ValueError, "errors='ignore'; it is one of 'raise', 'return', 'skip'"),
        ({"objects": [1], "errors": None}, ValueError, "errors=None"),
        ({"objects": [1], "errors": ["raise"]}, ValueError, "errors="),
        ({"objects": [1], "chunksize": 0}, ValueError, "chunksize=0"),
        ({"objects": [1], "chunksize": "big"}, ValueError, "chunksize='big'"),
        ({"objects": [], "executor": "nope"}, ValueError, "executor='nope'; it is 'processes', 'threads', 'serial'"),
        ({"objects": [], "executor": 0.5}, TypeError, "executor=0.5 has no method submit; it is"),
        ({"objects": [], "executor": 0}, ValueError, "executor=0; a number of processes is from 1 on"),
        ({"objects": [1], "write": "me"}, ValueError, "write='me'; it is 'parent' or 'workers'"),
    ],
)
def test_what_makes_no_sense_raises_at_once(stash, wrong, error, text):
    with pytest.raises(error, match=text):
        mapped(stash, **wrong)


@pytest.mark.parametrize("number", [0, -1, "2", 1.5, True])
def test_a_wrong_number_of_processes_raises_even_if_there_is_nothing_to_do(stash, number):
    with pytest.raises(ValueError, match="num_proc=.*; it is a whole number from 1 on"):
        stash.map(shown, [], num_proc=number, progress=False)


@pytest.mark.parametrize("function", [5, None, "name", [len]], ids=repr)
def test_what_is_not_callable_raises_at_once(stash, function):
    with pytest.raises(TypeError, match="is not callable; give a function, then the objects"):
        stash.map(function, [1], progress=False)


def test_an_iterator_that_fails_raises_its_own_error(stash):
    with pytest.raises(ZeroDivisionError):
        mapped(stash, (1 / number for number in [1, 0]))


@pytest.mark.parametrize("total, count", [(3, 3), (0, 0), (100, 5)])
def test_total_is_the_most_items_that_are_taken(stash, total, count):
    assert mapped(stash, iter(range(5)), total=total) == [((number,), {}) for number in range(count)]


def test_an_iterator_without_end_needs_a_total(stash):
    assert mapped(stash, itertools.count(), total=2) == [((0,), {}), ((1,), {})]
    assert mapped(stash, [7, 8], itertools.repeat({"k": 1}), total=2) == [((7,), {"k": 1}), ((8,), {"k": 1})]


def test_repeating_a_number_of_times_has_an_end(stash):
    assert mapped(stash, itertools.repeat(1, 2)) == [((1,), {})] * 2


def test_an_iterator_is_read_no_further_than_total(stash):
    numbers = iter(range(5))
    mapped(stash, numbers, total=2)
    assert next(numbers) == 2


def test_a_keyword_dict_that_is_changed_later_does_not_change_the_map(stash):
    common = {"k": 1}
    late = stash.map(shown, [0], kwargs=common, precompute=False, num_proc=1, progress=False)
    common["k"] = 2
    late.runs[0].kwargs["k"] = 3
    late.keys()[0][1]["k"] = 4
    assert late.results == [((0,), {"k": 1})]


class TestArrays:
    @pytest.fixture(autouse=True)
    def _numpy(self):
        self.numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")

    def test_an_array_gives_its_scalars(self, stash):
        results = mapped(stash, self.numpy.array([1.5, 2.5]))
        assert results == [((1.5,), {}), ((2.5,), {})]
        assert type(results[0][0][0]) is self.numpy.float64

    def test_an_array_of_two_dimensions_gives_its_rows(self, stash):
        first, second = stash.map(self.numpy.sum, self.numpy.arange(6).reshape(2, 3), num_proc=1, progress=False)
        assert (first, second) == (3, 12)

    def test_an_array_of_no_dimension_is_no_list(self, stash):
        with pytest.raises(TypeError, match="cannot be iterated over"):
            mapped(stash, self.numpy.array(3))

    def test_total_may_be_a_numpy_integer(self, stash):
        assert len(mapped(stash, range(5), total=self.numpy.int64(2))) == 2


class TestPandas:
    @pytest.fixture(autouse=True)
    def _pandas(self):
        self.pandas = pytest.importorskip("pandas", reason="the package pandas is not installed")

    def test_a_series_gives_its_values(self, stash):
        assert mapped(stash, self.pandas.Series(["a", "b"], index=[7, 8])) == [(("a",), {}), (("b",), {})]

    def test_an_index_gives_its_labels(self, stash):
        assert mapped(stash, self.pandas.Index([7, 8])) == [((7,), {}), ((8,), {})]

    def test_a_frame_must_say_what_its_items_are(self, stash):
        with pytest.raises(TypeError, match=r"is a frame; give its rows, frame.itertuples\(\), or one of its columns"):
            mapped(stash, self.pandas.DataFrame({"a": [1]}))

    def test_rows_of_a_frame_are_one_argument_each_or_spread(self, stash):
        frame = self.pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
        assert [args[0].b for args, _ in mapped(stash, frame.itertuples(index=False))] == [3, 4]
        assert mapped(stash, frame.itertuples(index=False, name=None)) == [((1, 3), {}), ((2, 4), {})]
        assert mapped(stash, options=frame.to_dict("records")) == [((), {"a": 1, "b": 3}), ((), {"a": 2, "b": 4})]


class TestPolars:
    @pytest.fixture(autouse=True)
    def _polars(self):
        self.polars = pytest.importorskip("polars", reason="the package polars is not installed")

    def test_a_series_gives_its_values(self, stash):
        assert mapped(stash, self.polars.Series([1, 2])) == [((1,), {}), ((2,), {})]

    def test_a_frame_must_say_what_its_items_are(self, stash):
        with pytest.raises(TypeError, match=r"is a frame; give its rows, frame.iter_rows\(\)"):
            mapped(stash, self.polars.DataFrame({"a": [1]}))
