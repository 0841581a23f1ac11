"""What a map answers from the stash, what it computes, and what it stores."""

import asyncio
import functools
import struct
import sys
import types
import zlib

import pytest

from hashstash import HashStash
from hashstash.errors import StashFull

FACTOR = 10


def helper(x):
    return x * FACTOR


def work(x, y=1, *, calls=None):
    return helper(x) + y


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


@pytest.fixture
def counted(calls):
    """A function that notes what it is called with."""

    def function(x, y=1):
        calls.append((x, y))
        return x * 10 + y

    return function


@pytest.fixture
def module():
    """A module of the user's with a function, a helper and a constant, which a test may edit."""
    made = types.ModuleType("users_module")
    sys.modules["users_module"] = made
    yield made
    del sys.modules["users_module"]


def define(module, tmp_path, text):
    """Put *text* into the module, as an edit and a reload would."""
    file = tmp_path / "users_module.py"
    file.write_text(text)
    module.__file__ = str(file)
    exec(compile(text, str(file), "exec"), module.__dict__)
    return module.f


class TestWhatIsComputed:
    def test_a_second_call_computes_only_new_inputs(self, stash, counted, calls):
        assert mapped(stash, counted, [1, 2]).results == [11, 21]
        again = mapped(stash, counted, [2, 3, 1])
        assert again.results == [21, 31, 11]
        assert again.was_cached == [True, False, True]
        assert calls == [(1, 1), (2, 1), (3, 1)]

    def test_duplicates_are_computed_once(self, stash, counted, calls):
        assert mapped(stash, counted, [1, 1, (1,), (1, 1)]).results == [11] * 4
        assert calls == [(1, 1)]

    def test_an_identical_map_calls_nothing(self, stash, counted, calls):
        first = mapped(stash, counted, range(5))
        again = mapped(stash, counted, range(5))
        assert again == first
        assert all(again.was_cached)
        assert again.done
        assert len(calls) == 5

    def test_run_finds_what_a_map_stored(self, stash, counted, calls):
        mapped(stash, counted, [1])
        assert stash.run(counted, 1) == stash.stashed_result(counted)(x=1) == 11
        assert len(calls) == 1

    def test_a_map_finds_what_run_stored(self, stash, counted, calls):
        stash.run(counted, x=1)
        assert mapped(stash, counted, [1]).was_cached == [True]

    def test_inputs_of_other_types_are_other_calls(self, stash, counted, calls):
        mapped(stash, counted, [1, 1.0, True])
        assert len(calls) == 3

    def test_force_computes_all_and_stores_it(self, stash, counted, calls):
        mapped(stash, counted, [1, 2])
        forced = mapped(stash, counted, [1, 2], force=True)
        assert forced.was_cached == [False, False]
        assert len(calls) == 4
        assert len(stash.stashed_result(counted).stash) == 2

    def test_the_seeds_spelling_of_force_works(self, stash, counted, calls):
        mapped(stash, counted, [1])
        assert mapped(stash, counted, [1], _force=True).was_cached == [False]

    def test_without_stash_runs_and_stash_map_nothing_is_stored(self, stash, counted, calls):
        for _ in range(2):
            assert mapped(stash, counted, [1, 2], stash_runs=False, stash_map=False).results == [11, 21]
        assert len(calls) == 4
        assert len(stash.stashed_result(counted).stash) == 0

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_calls_are_listed_as_they_were_made_whatever_the_function_does_to_its_arguments(self, stash, workers):
        def spoiling(items):
            items.append(0)
            return len(items)

        stash.map(spoiling, [[1], [2]], executor=workers, progress=False).wait()
        assert sorted(stash.stashed_result(spoiling).stash) == [(([1],), {}), (([2],), {})]
        assert stash.run(spoiling, [1]) == 2

    def test_none_is_a_result(self, stash, calls):
        mapped(stash, calls.append, [1])
        noted = mapped(stash, lambda x: None, [1, 2])
        again = mapped(stash, noted._computation.plan.memo.function, [1, 2])
        assert again.results == [None, None]
        assert again.was_cached == [True, True]

    def test_an_exception_may_be_a_result(self, stash):
        made = mapped(stash, ValueError, ["a"])
        assert made.runs[0].state == "computed"
        assert made.runs[0].error is None
        assert repr(made[0]) == "ValueError('a')"

    def test_another_process_finds_it(self, tmp_path, stash):
        import json
        import subprocess

        (tmp_path / "shared_functions.py").write_text("def f(x):\n    return x * 2\n")
        program = (
            "import json, sys\nsys.path.insert(0, sys.argv[2])\nfrom hashstash import HashStash\n"
            "from shared_functions import f\n"
            "made = HashStash.from_dict(json.loads(sys.argv[1])).map(f, [1, 2], num_proc=1)\n"
            "print(made.results, made.was_cached)\n"
        )
        command = [sys.executable, "-c", program, json.dumps(stash.to_dict()), str(tmp_path)]
        outputs = [subprocess.check_output(command, text=True, timeout=120) for _ in range(2)]
        assert outputs == ["[2, 4] [False, False]\n", "[2, 4] [True, True]\n"]


class TestEdits:
    TEXT = "K = 1\ndef helper(x):\n    return x + K\ndef f(x):\n    return helper(x) * 2\n"

    @pytest.mark.parametrize(
        "old, new, expected",
        [
            ("* 2", "* 3", [6, 9]),
            ("x + K", "x - K", [0, 2]),
            ("K = 1", "K = 2", [6, 8]),
        ],
        ids=["function", "helper", "global"],
    )
    def test_an_edit_computes_anew_and_undoing_it_does_not(self, stash, module, tmp_path, old, new, expected):
        assert mapped(stash, define(module, tmp_path, self.TEXT), [1, 2]).results == [4, 6]
        edited = mapped(stash, define(module, tmp_path, self.TEXT.replace(old, new)), [1, 2])
        assert (edited.results, edited.was_cached) == (expected, [False, False])
        undone = mapped(stash, define(module, tmp_path, self.TEXT), [1, 2])
        assert (undone.results, undone.was_cached) == ([4, 6], [True, True])

    def test_a_comment_changes_nothing(self, stash, module, tmp_path):
        mapped(stash, define(module, tmp_path, self.TEXT), [1])
        commented = define(module, tmp_path, self.TEXT.replace("return helper", "# so\n    return  helper"))
        assert mapped(stash, commented, [1]).was_cached == [True]

    def test_what_a_function_has_become_is_not_stored_for_what_it_was(self, stash, monkeypatch):
        late = mapped(stash, work, [1], precompute=False)
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", 100)
        assert late.results == [101]
        assert mapped(stash, work, [1]).was_cached == [True]
        monkeypatch.undo()
        assert mapped(stash, work, [1]).results == [11]

    def test_nor_is_it_found_for_it(self, stash, monkeypatch):
        mapped(stash, work, [1, 2])
        late = mapped(stash, work, [1, 3], precompute=False, preload=False)
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", 100)
        assert late[0] == 101
        assert late.results == [101, 301]

    def test_resuming_after_an_edit_computes_with_the_edit(self, stash, monkeypatch, calls):
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", "x")
        made = mapped(stash, work, [2])
        assert type(made.runs[0].error) is TypeError
        monkeypatch.undo()
        assert made.resume().results == [21]
        assert stash.run(work, 2) == 21
        assert mapped(stash, work, [2]).was_cached == [True]

    def test_a_closure_value_counts(self, stash):
        def adding(k):
            return lambda x: x + k

        assert mapped(stash, adding(1), [1]).results == [2]
        assert mapped(stash, adding(2), [1]).results == [3]
        assert mapped(stash, adding(1), [1]).was_cached == [True]

    def test_two_lambdas_on_one_line_are_two(self, stash):
        one, two = lambda x: x + 1, lambda x: x + 2
        assert mapped(stash, one, [1]).results + mapped(stash, two, [1]).results == [2, 3]


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


class Model:
    def __init__(self, weight):
        self.weight = weight

    def scaled(self, x):
        return self.weight * x

    @classmethod
    def named(cls, x):
        return f"{cls.__name__} {x}"

    @staticmethod
    def plain(x):
        return -x

    def __call__(self, x):
        return self.weight + x

    async def later(self, x):
        await asyncio.sleep(0)
        return self.weight * x


async def awaited(x):
    await asyncio.sleep(0)
    return x + 1


def generating(x):
    yield x


class TestKindsOfFunctions:
    @pytest.mark.parametrize(
        "function, expected",
        [
            (Model(3).scaled, [3, 6]),
            (Model.named, ["Model 1", "Model 2"]),
            (Model.plain, [-1, -2]),
            (Model(3), [4, 5]),
            (functools.partial(work, y=5), [15, 25]),
            (functools.partial(functools.partial(work), y=5), [15, 25]),
            (functools.partial(Model(2).scaled), [2, 4]),
            (lambda x: x * 7, [7, 14]),
            (str, ["1", "2"]),
            (abs, [1, 2]),
            (awaited, [2, 3]),
            (Model(3).later, [3, 6]),
            (functools.partial(awaited), [2, 3]),
            (functools.lru_cache(work), [11, 21]),
        ],
    )
    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_results_are_computed_once(self, stash, function, expected, workers):
        first = stash.map(function, [1, 2], executor=workers, progress=False)
        first.wait()
        again = stash.map(function, [1, 2], executor=workers, progress=False)
        assert (first.results, first.was_cached) == (expected, [False, False])
        assert (again.results, again.was_cached) == (expected, [True, True])

    def test_methods_of_equal_instances_share_results_and_of_others_do_not(self, stash):
        mapped(stash, Model(3).scaled, [1])
        assert mapped(stash, Model(3).scaled, [1]).was_cached == [True]
        assert mapped(stash, Model(4).scaled, [1]).results == [4]

    def test_builtin_methods_of_two_objects_are_two_functions(self, stash):
        assert mapped(stash, "a-b".split, ["-"]).results == [["a", "b"]]
        assert mapped(stash, "c-d".split, ["-"]).results == [["c", "d"]]

    @pytest.mark.parametrize("function", [generating, functools.partial(generating)])
    def test_generator_functions_are_refused(self, stash, function):
        with pytest.raises(TypeError, match="is a generator function, whose result can be read only once"):
            mapped(stash, function, [1])

    def test_async_functions_run_in_an_event_loop_that_runs_already(self, stash):
        async def cell():
            return stash.map(awaited, [1, 2], num_proc=1, progress=False).results

        assert asyncio.run(cell()) == [2, 3]

    def test_async_functions_wait_at_the_same_time(self, stash):
        meeting = []

        async def together(x, others):
            meeting.append(x)
            deadline = asyncio.get_running_loop().time() + 60
            while len(meeting) < others:  # they are in loops of their own, which share no event
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.001)  # noqa: ASYNC110
            return x

        made = stash.map(together, range(3), others=3, progress=False)
        assert made.results == [0, 1, 2]

    def test_a_function_may_use_the_stash_itself(self, stash):
        def using(x):
            return stash.run(helper, x) + 1

        assert mapped(stash, using, [1, 2]).results == [11, 21]
        assert mapped(stash, helper, [1, 2]).was_cached == [True, True]

    def test_a_function_may_map(self, stash):
        def outer(x):
            return sum(stash.map(helper, range(x), num_proc=1, progress=False))

        assert mapped(stash, outer, [2, 3]).results == [10, 30]


class TestWhatCannotBeStored:
    def test_arguments_that_cannot_be_hashed_are_computed_with_one_warning(self, stash, noted, calls):
        import threading

        def named(lock):
            calls.append(1)
            return "a lock"

        locks = [threading.Lock(), threading.Lock()]
        made, warned = noted(lambda: mapped(stash, named, locks))
        assert made.results == ["a lock", "a lock"]
        assert len(warned) == 1
        assert "is not stashed for some items, since" in warned[0]
        noted(lambda: mapped(stash, named, locks))
        assert len(calls) == 4

    def test_a_function_that_cannot_be_hashed_is_computed_with_one_warning(self, stash, noted):
        import threading

        lock = threading.Lock()

        def locked(x):
            with lock:
                return x

        made, warned = noted(lambda: mapped(stash, locked, [1, 2]))
        assert made.results == [1, 2]
        assert len(warned) == 1
        assert "is not stashed, since" in warned[0]

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_results_that_cannot_be_stored_are_returned_with_one_warning(self, stash, noted, workers):
        made, warned = noted(
            lambda: stash.map(lambda x: (n for n in [x]), [1, 2], executor=workers, progress=False).results
        )
        assert [list(each) for each in made] == [[1], [2]]
        assert len(warned) == 1
        assert "results of a map could not be stored" in warned[0]

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_results_whose_own_methods_fail_are_returned_with_one_warning(self, stash, noted, workers):
        made, warned = noted(lambda: stash.map(Unwilling, [1, 2], executor=workers, progress=False).results)
        assert [each.x for each in made] == [1, 2]
        assert len(warned) == 1

    def test_a_read_only_stash_returns_results_with_one_warning(self, stash, tmp_path, noted):
        mapped(stash, helper, [1])
        closed = HashStash(tmp_path / "stash", engine="pairtree", read_only=True)
        made, warned = noted(lambda: mapped(closed, helper, [1, 2, 3]))
        assert (made.results, made.was_cached) == ([10, 20, 30], [True, False, False])
        assert len(warned) == 1

    @pytest.mark.parametrize(
        "error", [StashFull(28, "no room"), OSError(5, "a broken disk"), PermissionError(13, "no")]
    )
    def test_results_are_returned_if_the_storage_fails(self, stash, noted, monkeypatch, error):
        def fail(*_):
            raise error

        memo = mapped(stash, helper, [])._computation.plan.memo
        monkeypatch.setattr(memo.store.engine, "put", fail)
        monkeypatch.setattr(memo.store.engine, "put_many", fail)
        made, warned = noted(lambda: mapped(stash, helper, [1, 2, 3]))
        assert made.results == [10, 20, 30]
        assert len(warned) == 1
        assert "could not be stored" in warned[0]


class Unwilling:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        raise ValueError("not me")


def with_checksum(body):
    return body + struct.pack("<I", zlib.crc32(body))


class TestBadEntries:
    @pytest.fixture
    def stored(self, stash):
        """The stash of a function with results for 1 and 2."""
        mapped(stash, helper, [1, 2])
        return stash.stashed_result(helper).stash

    def spoil(self, stored, change):
        address = stored.store.keys.address(((1,), {}))
        engine = stored.store.engine
        engine.put(address, change(engine.get(address)))
        return address

    def test_a_corrupt_entry_is_computed_anew_with_one_warning_and_mended(self, stash, stored, noted):
        self.spoil(stored, lambda row: row[:-3] + b"???")
        made, warned = noted(lambda: mapped(stash, helper, [1, 2]))
        assert (made.results, made.was_cached) == ([10, 20], [False, True])
        assert len(warned) == 1
        assert "is computed anew for some items" in warned[0]
        assert mapped(stash, helper, [1, 2]).was_cached == [True, True]

    def test_an_entry_of_a_newer_version_is_left_where_it_is(self, stash, stored, noted):
        address = self.spoil(stored, lambda row: with_checksum(row[:3] + b"\x63" + row[4:-4]))
        row = stored.store.engine.get(address)
        made, warned = noted(lambda: mapped(stash, helper, [1]))
        assert made.results == [10]
        assert len(warned) == 1
        assert "newer" in warned[0].lower()
        assert stored.store.engine.get(address) == row

    def test_foreign_code_is_computed_anew_with_one_warning(self, stash, somebody_else, noted):
        from hashstash import trust

        with somebody_else:
            trust._keyrings.clear()
            mapped(stash, Model, [1, 2])
        trust._keyrings.clear()
        made, warned = noted(lambda: mapped(stash, Model, [1, 2]))
        assert [each.weight for each in made] == [1, 2]
        assert made.was_cached == [False, False]
        assert len(warned) == 1

    def test_foreign_data_is_answered_with(self, stash, somebody_else):
        from hashstash import trust

        with somebody_else:
            trust._keyrings.clear()
            mapped(stash, helper, [1])
        trust._keyrings.clear()
        assert mapped(stash, helper, [1]).was_cached == [True]

    def test_an_expired_entry_is_computed_anew_without_a_word(self, stash, counted, noted):
        stash.options(ttl=0.000001).map(counted, [1], num_proc=1, progress=False)
        made, warned = noted(lambda: mapped(stash, counted, [1]))
        assert made.was_cached == [False]
        assert warned == []
