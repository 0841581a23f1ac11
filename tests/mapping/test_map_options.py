"""Options about the function, and what becomes of exceptions that are kept or handled."""

import pytest

from hashstash import HashStash


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


class Model:
    def __init__(self, weight):
        self.weight = weight

    def scaled(self, x):
        return self.weight * x


class TestOptions:
    def test_ttl_is_given_through_options(self, stash, counted, calls):
        brief = stash.options(ttl=0.000001)
        brief.map(counted, [1], num_proc=1, progress=False)
        assert mapped(stash, counted, [1]).was_cached == [False]
        long = stash.options(ttl="1h")
        long.map(counted, [2], num_proc=1, progress=False)
        assert mapped(stash, counted, [2]).was_cached == [True]

    def test_force_may_be_given_through_options(self, stash, counted, calls):
        mapped(stash, counted, [1])
        assert stash.options(force=True).map(counted, [1], num_proc=1, progress=False).was_cached == [False]

    def test_version_ignore_and_key_through_options(self, stash, counted, calls):
        mapped(stash, counted, [1])
        assert stash.options(version=2).map(counted, [1], num_proc=1, progress=False).was_cached == [False]
        ignoring = stash.options(ignore="y")
        assert ignoring.map(counted, [(1, 1), (1, 2)], num_proc=1, progress=False).was_cached == [False, True]
        keyed = stash.options(key=lambda x, y=1: x % 2)
        assert keyed.map(counted, [1, 3, 2], num_proc=1, progress=False).was_cached == [False, True, False]

    def test_results_that_if_is_false_for_are_not_stored(self, stash, counted, calls):
        even = stash.options(if_=lambda result: result % 2 == 0)
        assert even.map(counted, [(1, 1), (1, 2)], num_proc=1, progress=False).results == [11, 12]
        assert even.map(counted, [(1, 1), (1, 2)], num_proc=1, progress=False).was_cached == [False, True]

    def test_an_unknown_option_is_named(self, stash):
        with pytest.raises(TypeError, match="no option named tll"):
            stash.options(tll=3)

    def test_a_decorated_function_keeps_its_options_and_uses_the_stash_of_the_map(
        self, stash, tmp_path, counted, calls
    ):
        own = HashStash(tmp_path / "own", engine="pairtree")
        decorated = own.stashed_result(ignore=("y",))(counted)
        assert mapped(stash, decorated, [(1, 1), (1, 2)]).results == [11, 11]
        assert len(decorated.stash) == 0
        assert mapped(own, decorated, [(1, 3)]).was_cached == [False]
        assert decorated(1, 4) == 13
        assert len(calls) == 2

    def test_options_change_those_of_a_decorated_function(self, stash, counted, calls):
        decorated = stash.stashed_result(ignore=("y",))(counted)
        stash.options(version=1).map(decorated, [(1, 1), (1, 2)], num_proc=1, progress=False)
        assert calls == [(1, 1)]

    def test_options_work_for_methods(self, stash):
        made = stash.options(version=1).map(Model(3).scaled, [1, 2], num_proc=1, progress=False)
        assert made.results == [3, 6]


class TestExceptionsThatAreKept:
    @pytest.fixture
    def picky(self, calls):
        def function(x):
            calls.append(x)
            if x == 2:
                raise ValueError("not two")
            return x

        return function

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_a_kept_exception_is_raised_again_without_a_call(self, stash, picky, calls, workers):
        keeping = stash.options(cache_exceptions=True)
        keeping.map(picky, [1, 2], executor=workers, progress=False).wait()
        again = keeping.map(picky, [1, 2], executor=workers, progress=False)
        assert [run.state for run in again.runs] == ["cached", "failed"]
        with pytest.raises(ValueError, match="not two") as caught:
            again[1]
        assert "kept in the stash" in caught.value.__notes__[0]
        assert sorted(calls) == [1, 2]

    def test_run_and_map_share_them(self, stash, picky, calls):
        f = stash.stashed_result(cache_exceptions="1h")(picky)
        with pytest.raises(ValueError, match="not two"):
            f(2)
        assert mapped(stash, f, [2]).runs[0].state == "failed"
        assert mapped(stash, f, [2], errors="skip").results == []
        assert calls == [2]

    def test_they_are_never_taken_for_results(self, stash, picky, calls):
        stash.options(cache_exceptions=True).map(picky, [2], num_proc=1, progress=False)
        assert mapped(stash, picky, [2]).runs[0].was_cached is False
        assert calls == [2, 2]

    def test_a_handler_makes_results_that_are_not_stored(self, stash, picky, calls):
        handling = stash.options(on_error=lambda error: f"not {error}")
        for _ in range(2):
            assert handling.map(picky, [1, 2, 2], num_proc=1, progress=False).results == [
                1,
                "not not two",
                "not not two",
            ]
        assert calls == [1, 2, 2]
        assert len(stash.stashed_result(picky).stash) == 1

    def test_what_a_handler_raises_is_raised(self, stash, picky):
        def handler(error):
            raise KeyError("handled") from error

        made = stash.options(on_error=handler).map(picky, [2], num_proc=1, progress=False)
        with pytest.raises(KeyError, match="handled"):
            made[0]

    def test_a_condition_that_fails_fails_its_item(self, stash, picky):
        made = stash.options(if_=lambda result: 1 / (result - 1)).map(picky, [1, 3], num_proc=1, progress=False)
        assert type(made.runs[0].error) is ZeroDivisionError
        assert made[1] == 3
