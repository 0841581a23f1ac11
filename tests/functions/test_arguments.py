"""Large arguments are found by their content and listed as short text."""

import pytest

from hashstash import HashStash


def test_large_arguments_are_listed_by_shape_and_digest(stash, calls):
    numpy = pytest.importorskip("numpy")

    @stash.stashed_result
    def total(array):
        calls.append(1)
        return float(array.sum())

    assert total(numpy.arange(1e5)) == total(numpy.arange(1e5)) == 4999950000.0
    assert len(calls) == 1
    ((args, _),) = total.stash
    assert args[0].startswith("<ndarray (100000,) float64 ")


def test_small_arrays_are_listed_as_they_are(stash):
    numpy = pytest.importorskip("numpy")

    def total(array):
        return float(array.sum())

    stash.run(total, numpy.arange(4.0))
    ((args, _),) = total.stash
    assert args[0].tolist() == [0, 1, 2, 3]


@pytest.fixture
def numpy():
    return pytest.importorskip("numpy")


def test_large_arguments_by_keyword(stash, numpy, calls):
    @stash.stashed_result
    def total(x, *, weights=None):
        calls.append(1)
        return float((x * weights).sum())

    for _ in range(2):
        total(numpy.ones(1), weights=numpy.ones(100_000))
    assert len(calls) == 1
    ((_, kwargs),) = total.stash
    assert kwargs["weights"].startswith("<ndarray (100000,) float64 ")


@pytest.mark.parametrize("wrap", [lambda a: [a, a + 1], lambda a: (a, 5), lambda a: {"k": [a]}, lambda a: [[(a,)]]])
def test_large_arrays_inside_of_arguments_are_not_stored_whole(stash, numpy, calls, wrap):
    @stash.stashed_result
    def f(x):
        calls.append(1)
        return 7

    for _ in range(2):
        f(wrap(numpy.ones(20_000)))
    assert f(wrap(numpy.zeros(20_000))) == 7
    assert len(calls) == 2
    (entry, _) = f.stash.entries()
    assert entry.size < 5000
    assert "<ndarray (20000,) float64 " in repr(entry.key)


def test_what_is_small_beside_a_large_array_is_listed_as_it_is(memory, numpy):
    f = memory.stashed_result(lambda x: 0)
    f({"name": "a", "sizes": (1, 2), "data": numpy.ones(20_000)})
    (((argument,), _),) = f.stash
    assert (argument["name"], argument["sizes"]) == ("a", (1, 2))


def test_arguments_are_given_to_the_function_as_they_are(memory, numpy):
    f = memory.stashed_result(lambda x: type(x[0]).__name__)
    assert f([numpy.ones(20_000)]) == "ndarray"


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [a], lambda a: {"k": (a,)}])
def test_a_large_argument_differs_by_any_element_and_by_its_type(memory, numpy, wrap):
    f = memory.stashed_result(lambda x: numpy.random.random())
    array = numpy.zeros(50_000)
    other = array.copy()
    other[49_999] = 1e-300
    answers = [f(wrap(one)) for one in (array, other, array.astype("f4"), array.reshape(100, 500), array.copy())]
    assert len(set(answers)) == 4
    assert answers[0] == answers[4]


def test_large_frames_are_listed_by_shape(memory, calls):
    pandas = pytest.importorskip("pandas")
    f = memory.stashed_result(lambda frame, by: len(frame))
    frame = pandas.DataFrame({"a": range(50_000), "b": range(50_000)})
    assert f(frame, by="a") == f(frame.copy(), by="a") == 50_000
    assert f.cache_info() == (1, 1, 1)
    (((argument,), _),) = f.stash
    assert argument.startswith("<DataFrame (50000, 2) ")


def test_long_text_is_listed_as_text_until_it_is_too_long_for_a_row(memory):
    f = memory.stashed_result(len)
    f("x" * 100_000)
    f("y" * 2_000_000)
    listed = sorted(args[0] for args, _ in f.stash)
    assert listed[1] == "x" * 100_000
    assert listed[0].startswith("<str of 2000000 ")


def test_a_call_is_listed_as_it_was_before_the_function_changed_its_arguments(stash):
    @stash.stashed_result
    def grow(items):
        items.append(0)
        return len(items)

    assert (grow([1, 2]), grow([1, 2])) == (3, 3)
    assert list(grow.stash.items()) == [((([1, 2],), {}), 3)]
    assert grow.stash.get_func([1, 2]) == 3


ELSEWHERE = """
import numpy
def total(parts, *, scale=None):
    note("ran")
    return float(sum(part.sum() for part in parts))
print(STASH.run(total, [numpy.arange(1e5), numpy.ones(3)], scale=numpy.ones(20_000)))
print(total.stash.get_func([numpy.arange(1e5), numpy.ones(3)], scale=numpy.ones(20_000)))
"""


@pytest.mark.usefixtures("numpy")
def test_equal_content_is_found_by_another_process(tmp_path, programs):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    answers = [programs.result(programs.start(stash, ELSEWHERE)) for _ in range(2)]
    assert answers == ["4999950003.0\n4999950003.0\n"] * 2
    assert programs.notes() == ["ran"]


def test_an_argument_of_no_dimensions_is_taken_as_it_is(memory, numpy):
    xarray = pytest.importorskip("xarray")

    shape = memory.stashed_result(lambda array: array.shape)
    assert shape(xarray.DataArray(numpy.array(None, dtype=object))) == ()
