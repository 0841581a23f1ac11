"""What a map answers from the stash, what it computes, and what it stores."""

import sys
import types

import pytest

FACTOR = 10


def helper(x):
    return x * FACTOR


def work(x, y=1, *, calls=None):
    return helper(x) + y


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


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
