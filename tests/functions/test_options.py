"""What the decorator may say: ttl, ignore, key, version, if_, force."""

import threading

import pytest

from hashstash import HashStash, stashed_result

calls = []
FACTOR = 10


def helper(x):
    return inner_helper(x) * FACTOR


def inner_helper(x):
    return x + 1


def work(a, b=2, *, c=3):
    calls.append((a, b, c))
    return helper(a) + b + c


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def test_an_unknown_option_is_named(stash):
    with pytest.raises(TypeError, match="no option named tt1.*ttl"):
        stash.stashed_result(tt1=5)


def test_ignored_parameters_do_not_matter(stash):
    @stash.stashed_result(ignore="verbose")
    def f(x, verbose=False):
        calls.append(x)
        return x

    f(1)
    f(1, verbose=True)
    assert len(calls) == 1


def test_ignoring_an_unknown_parameter_is_refused(stash):
    with pytest.raises(TypeError, match="names no parameter"):
        stash.stashed_result(ignore=("nope",))(work)


def test_a_key_function_stands_for_the_arguments(stash):
    @stash.stashed_result(key=str.lower)
    def f(text):
        calls.append(text)
        return text

    assert f("Cat") == f("CAT") == "Cat"
    assert len(calls) == 1


def test_another_version_computes_anew(stash):
    for version in ("1", "1", "2", "1"):
        stash.stashed_result(version=version)(work)(1)
    assert len(calls) == 2


def test_results_may_be_kept_on_a_condition(stash):
    @stash.stashed_result(if_=lambda result: result > 0)
    def f(x):
        calls.append(x)
        return x

    for x in (1, 1, -1, -1):
        f(x)
    assert calls == [1, -1, -1]


def test_time_to_live(stash):
    import time

    @stash.stashed_result(ttl=1.0)
    def f(x):
        calls.append(x)
        return x

    f(1)
    f(1)
    assert len(calls) == 1
    time.sleep(1.05)
    f(1)
    assert len(calls) == 2


def test_force_computes_and_stores_again(stash):
    stash.run(work, 1)
    stash.options(force=True).run(work, 1)
    stash.run(work, 1)
    assert len(calls) == 2


def test_names_among_free_keywords_may_be_ignored(memory):
    @memory.stashed_result(ignore=("verbose", "other"))
    def f(x, other=0, **options):
        calls.append(options)
        return x

    for options in ({}, {"verbose": 1}, {"other": 5}, {"depth": 1}, {"depth": 1, "verbose": 2}):
        f(1, **options)
    assert calls == [{}, {"depth": 1}]


def test_what_a_key_function_raises_is_raised(memory):
    f = memory.stashed_result(key=lambda x: x + 1)(lambda x: x)
    with pytest.raises(TypeError, match="can only concatenate"):
        f("a")


def test_arguments_that_a_key_function_leaves_out_do_not_matter(memory):
    @memory.stashed_result(key=lambda data, **_: data["id"])
    def f(data, log=None):
        calls.append(data)

    f({"id": 1, "time": 1})
    f({"id": 1, "time": 2}, log=print)
    assert len(calls) == 1


@pytest.mark.parametrize("versions", [(1, 1.0), (1, True), ("1", 1), (0, None), ([1], [2]), ({"a": 1}, {"a": 2})])
def test_versions_are_told_apart_by_content_and_type(memory, versions):
    for version in (*versions, *versions):
        memory.options(version=version).run(work, 1)
    assert len(calls) == 2


def test_stashes_of_other_settings_at_one_place_are_not_taken_for_each_other(tmp_path):
    first = HashStash(tmp_path, engine="pairtree")
    second = HashStash(tmp_path, engine="pairtree", read_only=True)
    first.run(work, 1)
    with pytest.warns(RuntimeWarning, match="could not be stored.*read-only"):
        second.run(work, 2)
    first.run(work, 3)
    assert [call[0] for call in calls] == [1, 2, 3]
    assert len(work.stash) == 2


def test_the_place_of_the_stash_may_be_named(tmp_path):
    decorated = stashed_result(root_dir=tmp_path, engine="pairtree")(work)
    decorated(1)
    assert len(HashStash(tmp_path, engine="pairtree").stashed_result(work).stash) == 1


def rests(a, *rest, b=0, **options):
    return 1


@pytest.mark.parametrize(
    "call, place",
    [
        (lambda memo, part: memo({"x": [part]}), r"a\['x'\]\[0\]"),
        (lambda memo, part: memo(1, 2, part), r"rest\[1\]"),
        (lambda memo, part: memo(1, b=part), "b"),
        (lambda memo, part: memo(1, other=part), r"options\['other'\]"),
    ],
    ids=["nested", "rest", "keyword", "free keyword"],
)
def test_the_argument_that_cannot_be_hashed_is_named_and_the_function_runs(stash, call, place):
    with pytest.warns(RuntimeWarning, match=f"is not stashed, since `{place}` is a lock"):
        assert call(stash.stashed_result(rests), threading.Lock()) == 1


def test_what_the_key_function_gives_is_named_by_its_place(stash):
    memo = stash.stashed_result(rests, key=lambda a: (1, a))
    with pytest.warns(RuntimeWarning, match=r"since `key\[1\]` is a lock"):
        assert memo(threading.Lock()) == 1
