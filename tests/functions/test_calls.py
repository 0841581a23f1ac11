"""``stash.run`` and ``@stashed_result``: once per call, and how calls are listed, found and forgotten."""

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


def test_a_call_runs_once(stash):
    assert stash.run(work, 1) == 25
    assert stash.run(work, 1) == 25
    assert len(calls) == 1


def test_arguments_are_bound_to_the_signature(stash):
    f = stash.stashed_result(work)
    assert f(1, 2) == f(a=1, b=2) == f(b=2, a=1) == f(1, c=3)
    assert len(calls) == 1


def test_arguments_of_other_types_are_other_calls(stash):
    f = stash.stashed_result(work)
    for argument in (1, 1.0, True):
        f(argument)
    assert len(calls) == 3


def test_run_sets_the_stash_on_the_plain_function(stash):
    def plain(x):
        return x * 2

    assert stash.run(plain, 4) == 8
    assert list(plain.stash.items()) == [(((4,), {}), 8)]
    assert plain(5) == 10


def test_the_stash_lists_calls_as_first_called(stash):
    f = stash.stashed_result(work)
    f(1, b=5)
    f(b=5, a=1)
    assert [(args, kwargs) for args, kwargs in f.stash] == [((1,), {"b": 5})]


def test_results_are_found_by_get_and_get_func(stash):
    f = stash.stashed_result(work)
    f(1, b=5)
    assert f.stash.get(((1,), {"b": 5})) == 28
    assert f.stash.get_func(1, 5) == f.stash.get_func(a=1, b=5) == 28
    assert f.stash.get_func(2) is None


def test_a_users_own_keywords_are_never_swallowed(stash):
    @stash.stashed_result
    def options(**kwargs):
        return sorted(kwargs)

    assert options(force=1, key=2, _force=3, stash=4) == ["_force", "force", "key", "stash"]
    assert options(force=2, key=2, _force=3, stash=4) == ["_force", "force", "key", "stash"]
    assert len(options.stash) == 2


def test_variadic_arguments_are_kept_apart(stash):
    @stash.stashed_result
    def f(*args, **kwargs):
        return args, kwargs

    assert f((1, 2)) == (((1, 2),), {})
    assert f(1, 2) == ((1, 2), {})
    assert f(x=1, y=2) == f(y=2, x=1) == ((), {"x": 1, "y": 2})


def test_wrong_arguments_raise_what_the_function_raises(stash):
    f = stash.stashed_result(work)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        f()


def test_exceptions_are_not_stored(stash):
    @stash.stashed_result
    def fail(x):
        calls.append(x)
        raise ValueError(x)

    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            fail(7)
    assert len(calls) == 2


def test_none_is_a_result(stash):
    @stash.stashed_result
    def nothing():
        calls.append(1)

    assert nothing() is None
    assert nothing() is None
    assert len(calls) == 1


def test_invalidate_forgets_one_call(stash):
    f = stash.stashed_result(work)
    f(1)
    f(2)
    assert f.invalidate(a=1) is True
    assert f.invalidate(1) is False
    f(1)
    f(2)
    assert [call[0] for call in calls] == [1, 2, 1]


def test_uncached_key_and_cache_info(stash):
    f = stash.stashed_result(work)
    f(1)
    f(1)
    assert f.uncached(1) == 25
    assert f.key(1, c=9) == ((1,), {"c": 9})
    assert f.cache_info() == (1, 1, 1)


def test_a_volatile_argument_runs_unstashed_and_says_so(stash):
    @stash.stashed_result
    def total(numbers):
        calls.append(1)
        return sum(numbers)

    with pytest.warns(RuntimeWarning, match="generator"):
        assert total(x for x in range(4)) == 6
    assert total(x for x in range(5)) == 10
    assert len(total.stash) == 0


def test_a_result_that_cannot_be_stored_is_returned_with_a_warning(stash):
    @stash.stashed_result
    def lock():
        return threading.Lock()

    with pytest.warns(RuntimeWarning, match="could not be stored.*lock"):
        assert lock().acquire()


def test_a_corrupt_result_is_computed_anew_with_one_warning(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    f = stash.stashed_result(work)
    f(1)
    for address, blob in list(f.stash.store.engine.rows()):
        f.stash.store.engine.put(address, blob[:-1] + bytes([blob[-1] ^ 1]))
    with pytest.warns(RuntimeWarning, match="computed anew"):
        assert f(1) == 25
    assert f(1) == 25
    assert len(calls) == 2


def test_the_path_names_module_and_function(stash):
    f = stash.stashed_result(work)
    f(1)
    assert f"stashed_result/{work.__module__}.work" in f.stash.path
    assert f.stash.is_function_stash


@pytest.mark.parametrize(
    "decorator", [lambda: stashed_result, lambda: stashed_result("named"), lambda: stashed_result(engine="pairtree")]
)
def test_the_module_level_decorator(decorator):
    f = decorator()(work)
    assert (f(1), f(1)) == (25, 25)
    assert len(calls) == 1
    assert f.__name__ == "work"


def test_clearing_the_stash_forgets_the_results_of_its_functions(stash):
    stash.run(work, 1)
    stash.clear()
    stash.run(work, 1)
    assert len(calls) == 2


def test_clearing_a_functions_stash_leaves_other_functions_alone(stash):
    stash.run(work, 1)
    stash.run(helper, 1)
    work.stash.clear()
    assert (len(work.stash), len(helper.stash)) == (0, 1)


def test_arguments_that_code_brings_back_are_no_reason_to_sign_numbers(stash):
    f = stash.stashed_result(work)
    f(1)
    assert not f.stash.entries()[0].is_code


@pytest.mark.parametrize(
    "store",
    [
        lambda stash, key, value: stash.__setitem__(key, value),
        lambda stash, key, value: stash.put(key, value),
        lambda stash, key, value: stash.set_many([(key, value)]),
        lambda stash, key, value: stash.setdefault(key, value),
        lambda stash, key, value: stash.put_encoded(key, stash.store.codec.serializer.dumps(value)),
    ],
)
def test_results_that_are_put_there_answer_calls_and_are_listed(stash, store):
    f = stash.stashed_result(work)
    store(f.stash, ((1,), {"b": 7}), 99)
    assert f(1, 7) == 99
    assert list(f.stash.items()) == [(((1,), {"b": 7}), 99)]
    assert calls == []
