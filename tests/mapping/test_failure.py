"""An exception stays with its item: kept, named, raised where it is read."""

import functools
import importlib.util
import os
import pathlib
import sys
import threading
import traceback

import pytest

from hashstash.errors import CannotTravel, WorkerDied
from hashstash.mapping import failure


@pytest.fixture(scope="module", autouse=True)
def failing():
    """The module beside this one, which worker processes find in their path, too."""
    folder = str(pathlib.Path(__file__).parent)
    sys.path.append(folder)
    spec = importlib.util.find_spec("failing")
    module = sys.modules["failing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(folder)
    del sys.modules["failing"]


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


@pytest.fixture(params=["serial", "threads", "processes"])
def workers(request):
    return {"executor": request.param, "num_proc": 2}


def error_of(stash, function, workers):
    made = mapped(stash, function, [1], **workers)
    with pytest.raises(BaseException) as caught:
        made[0]
    return caught.value


class TestTheExceptionItself:
    def test_it_keeps_type_arguments_attributes_and_notes(self, stash, failing, workers):
        error = error_of(stash, failing.noted, workers)
        assert (type(error), error.args, error.extra) == (KeyError, ("k",), [1, 2])
        assert error.__notes__[0] == "a note"

    def test_a_class_that_wants_other_arguments_than_it_keeps(self, stash, failing, workers):
        error = error_of(stash, failing.odd, workers)
        assert (type(error), error.args, error.code, error.hint) == (failing.Odd, ("code 1",), 1, "try again")

    def test_what_it_was_raised_from(self, stash, failing, workers):
        error = error_of(stash, failing.caused, workers)
        assert (type(error), str(error)) == (ValueError, "no value")
        assert (type(error.__cause__), error.__cause__.args) == (KeyError, ("missing",))

    def test_a_group_keeps_its_members(self, stash, failing, workers):
        error = error_of(stash, failing.grouped, workers)
        assert [type(each) for each in error.exceptions] == [ValueError, ExceptionGroup]
        assert type(error.exceptions[1].exceptions[0]) is KeyError

    def test_a_group_with_a_member_that_cannot_travel(self, stash, failing, workers):
        error = error_of(stash, failing.grouped_with_a_lock, workers)
        assert [str(each) for each in error.exceptions] == ["1", "inner"]
        assert type(error.exceptions[1]) is failing.Holding

    def test_what_cannot_travel_stays_behind(self, stash, failing, workers):
        error = error_of(stash, failing.holding, workers)
        assert (type(error), str(error), error.kept) == (failing.Holding, "with a lock", "kept")

    def test_an_argument_that_cannot_travel_is_told_in_words(self, stash, failing, workers):
        error = error_of(stash, failing.holding_a_frame, workers)
        assert type(error) is ValueError
        assert error.args[0] == "with a frame"
        assert "frame" in str(error.args[1])

    def test_errors_of_the_system(self, stash, failing, workers):
        error = error_of(stash, failing.missing, workers)
        assert (type(error), error.errno, error.filename) == (FileNotFoundError, 2, "/nowhere/at/all")

    def test_errors_with_many_arguments(self, stash, failing, workers):
        error = error_of(stash, failing.undecodable, workers)
        assert (type(error), error.encoding, error.object, error.start) == (UnicodeDecodeError, "utf-8", b"\xff", 0)

    def test_leaving_the_program_is_an_error_of_the_item(self, stash, failing, workers):
        error = error_of(stash, failing.leaving, workers)
        assert (type(error), error.code) == (SystemExit, 3)

    @pytest.mark.parametrize("executor", ["threads", "processes"])
    def test_so_is_an_interrupt_that_the_function_makes_itself(self, stash, failing, executor):
        made = mapped(stash, failing.interrupting, [1], executor=executor, num_proc=2)
        made.wait()
        assert type(made.runs[0].error) is KeyboardInterrupt
        assert made.runs[0].error.args == ("by itself",)


class TestHowItIsRaised:
    def test_it_names_the_item(self, stash, failing, workers):
        made = mapped(stash, failing.picky, [1, 2], **workers)
        with pytest.raises(ValueError, match="not two") as caught:
            made[1]
        assert caught.value.__notes__ == ["in item 1 of the map: failing.picky(2)"]

    def test_it_says_where_the_function_was(self, stash, failing, workers):
        error = error_of(stash, failing.caused, workers)
        text = "".join(traceback.format_exception(error))
        assert 'failing.py", line' in text
        assert 'raise ValueError("no value") from error' in text

    def test_the_traceback_of_a_process_is_the_first_cause(self, stash, failing):
        error = error_of(stash, failing.caused, {"executor": "processes", "num_proc": 2})
        assert type(error.__cause__.__cause__) is failure.RemoteTraceback

    def test_reading_it_again_raises_it_as_it_was(self, stash, failing, workers):
        made = mapped(stash, failing.picky, [2], **workers)
        texts = []
        for _ in range(3):
            with pytest.raises(ValueError, match="not two") as caught:
                made.runs[0].result
            texts.append("".join(traceback.format_exception(caught.value)))
        assert texts[0] == texts[1] == texts[2]
        assert texts[0].count("in item 0 of the map") == 1

    def test_equal_items_are_named_each_when_they_are_read(self, stash, failing):
        made = mapped(stash, failing.picky, [2, 2])
        notes = []
        for index in (0, 1, 0):
            with pytest.raises(ValueError, match="not two") as caught:
                made[index]
            notes.append(list(caught.value.__notes__))
        assert [note.split(":")[0] for each in notes for note in each] == [
            "in item 0 of the map",
            "in item 1 of the map",
            "in item 0 of the map",
        ]

    def test_a_long_call_is_cut(self, stash, failing):
        def f(x):
            raise ValueError("no")

        made = mapped(stash, f, ["x" * 10_000])
        with pytest.raises(ValueError, match="no") as caught:
            made[0]
        assert len(caught.value.__notes__[0]) < 200

    def test_the_others_are_there(self, stash, failing, workers):
        made = mapped(stash, failing.picky, [1, 2, 3], **workers)
        assert (made[0], made[2]) == (10, 30)
        assert made.done

    @pytest.mark.parametrize(
        "read",
        [
            list,
            lambda made: made.results,
            lambda made: made[:],
            lambda made: list(made.items()),
            lambda made: 30 in made,
        ],
        ids=["list", "results", "slice", "items", "in"],
    )
    def test_reading_all_raises(self, stash, failing, read):
        with pytest.raises(ValueError, match="not two"):
            read(mapped(stash, failing.picky, [1, 2, 3]))

    def test_failures_are_not_stored(self, stash, failing):
        mapped(stash, failing.picky, [1, 2])
        again = mapped(stash, failing.picky, [1, 2])
        assert again.was_cached == [True, False]
        assert len(stash.stashed_result(failing.picky).stash) == 1

    def test_arguments_that_do_not_fit_fail_their_item(self, stash, failing):
        made = mapped(stash, failing.picky, [(1, 2), 3])
        assert made[1] == 30
        with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
            made[0]

    def test_a_class_that_cannot_be_changed_is_raised_all_the_same(self, stash):
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Frozen(Exception):
            code: int

        def f(x):
            raise Frozen(x)

        made = mapped(stash, f, [5])
        with pytest.raises(Frozen) as caught:
            made[0]
        assert caught.value.code == 5
        assert "in item 0 of the map" in caught.value.__notes__[0]


class TestWhatToDoWithErrors:
    @pytest.mark.parametrize("errors", ["return", "store"])
    def test_the_exception_stands_in_its_place(self, stash, failing, errors):
        made = mapped(stash, failing.picky, [1, 2, 3], errors=errors)
        assert [made[0], type(made[1]), made[2]] == [10, ValueError, 30]
        assert [type(value) for value in made.results] == [int, ValueError, int]
        assert made[1:2] == [made.runs[1].error]
        assert "in item 1" in made[1].__notes__[0]

    def test_the_run_raises_it_all_the_same(self, stash, failing):
        made = mapped(stash, failing.picky, [2], errors="return")
        with pytest.raises(ValueError, match="not two"):
            made.runs[0].result

    def test_it_is_left_out(self, stash, failing):
        made = mapped(stash, failing.picky, [1, 2, 3], errors="skip")
        assert list(made) == made.results == made[:] == list(made.results_iter()) == [10, 30]
        assert list(reversed(made)) == [30, 10]
        assert [key for key, _ in made.items()] == [((1,), {}), ((3,), {})]
        assert made == [10, 30]
        assert 30 in made
        assert made.index(30) == 2
        assert len(made) == 3

    def test_its_own_index_raises_it(self, stash, failing):
        made = mapped(stash, failing.picky, [1, 2, 3], errors="skip")
        with pytest.raises(ValueError, match="not two"):
            made[1]


class TestWorkersThatDie:
    pytestmark = pytest.mark.slow

    def test_only_the_item_that_kills_its_workers_fails(self, stash, failing):
        made = mapped(stash, failing.dying, range(6), executor="processes", num_proc=2, chunksize=3)
        assert [made[index] for index in (0, 1, 3, 4, 5)] == [0, 10, 30, 40, 50]
        with pytest.raises(WorkerDied, match="SIGKILL") as caught:
            made[2]
        assert "in item 2 of the map: failing.dying(2)" in caught.value.__notes__

    @pytest.mark.parametrize("options", [{}, {"precompute": False}], ids=["at once", "when it is read"])
    def test_a_later_map_of_the_function_runs_in_workers_however_fast_it_is(self, stash, failing, options):
        made = mapped(stash, failing.dying_or_where, range(4), num_proc=2, errors="return")
        assert isinstance(made[2], WorkerDied)
        later = mapped(stash, failing.dying_or_where, [10, 11], num_proc=2, **options)
        assert os.getpid() not in later.results

    def test_an_item_whose_worker_died_once_is_computed(self, stash, failing, tmp_path):
        marker = str(tmp_path / "marker")
        made = mapped(stash, failing.dying_once, range(4), executor="processes", num_proc=2, marker=marker)
        assert made.results == [0, 10, 20, 30]


class Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def method(self, x):
        return x


class TestWhatCannotTravel:
    PROCESSES = {"executor": "processes", "num_proc": 2}  # noqa: RUF012

    def test_an_argument_is_named_and_the_other_items_are_computed(self, stash, noted):
        def f(x, handle=None):
            return x

        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        options = [{}, {"handle": threading.Lock()}, {}]
        made, _ = noted(lambda: mapped(stash, f, [1, 2, 3], options, **self.PROCESSES))
        assert (made[0], made[2]) == (1, 3)
        with pytest.raises(CannotTravel, match="the argument 'handle', a lock, cannot be sent to a worker process"):
            made[1]

    def test_a_positional_argument_has_the_name_of_its_parameter(self, stash, noted, failing):
        made, _ = noted(lambda: mapped(stash, failing.picky, [threading.Lock()], **self.PROCESSES))
        with pytest.raises(CannotTravel, match="the argument 'x', a lock,"):
            made[0]

    @pytest.mark.parametrize("kind", ["lock", "thread", "file", "generator", "instance"])
    def test_a_function_that_holds_such_a_thing_raises_at_once_and_names_it(self, stash, noted, tmp_path, kind):
        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        with open(tmp_path / "file", "w") as file:
            things = {"lock": threading.Lock(), "thread": threading.Thread(), "file": file, "instance": Locked()}
            held = things.get(kind) or (number for number in range(3))

            def f(x):
                return held, x

            text = r"f cannot be sent to worker processes: it uses 'held', a .*, which cannot be pickled .*'threads'"
            with pytest.raises(CannotTravel, match=text):
                noted(lambda: mapped(stash, f, [1], **self.PROCESSES))

    def test_of_an_instance_the_attribute_is_named(self, stash, noted):
        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        with pytest.raises(CannotTravel, match="it uses 'self', a Locked with the attribute 'lock', a lock"):
            noted(lambda: mapped(stash, functools.partial(Locked().method), [1], **self.PROCESSES))

    def test_the_helper_that_holds_it_is_named_too(self, stash, noted):
        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        lock = threading.Lock()

        def helper(x):
            with lock:
                return x

        def f(x):
            return helper(x)

        with pytest.raises(CannotTravel, match=r"it uses 'lock', a lock, in .*helper"):
            noted(lambda: mapped(stash, f, [1], **self.PROCESSES))

    def test_a_result_says_what_it_is(self, stash, noted):
        pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
        made, _ = noted(lambda: mapped(stash, lambda x: threading.Lock(), [1], **self.PROCESSES))
        with pytest.raises(CannotTravel, match="the result, a lock, cannot leave its worker: .*; return what can be"):
            made[0]

    def test_a_result_whose_own_methods_fail_says_so(self, stash, noted, failing):
        made, _ = noted(lambda: mapped(stash, failing.unwilling, [1], **self.PROCESSES))
        with pytest.raises(CannotTravel, match="the result, a Unwilling, cannot leave its worker: .*not me"):
            made[0]


class TestPacking:
    def test_an_exception_whose_class_is_gone_is_told_in_words(self):
        packed = failure.pack(ValueError("so it was"))
        lost = packed._replace(pickled=b"\x80\x05cnowhere\nGone\n.")
        error = lost.error()
        assert type(error) is RuntimeError
        assert str(error) == "ValueError: so it was"

    def test_causes_in_a_circle_end(self):
        one, two = ValueError(1), ValueError(2)
        one.__cause__, two.__cause__ = two, one
        error = failure.pack(one).error()
        assert error.__cause__.args == (2,)

    def test_a_note_is_added_whatever_the_notes_are(self):
        error = ValueError()
        error.__notes__ = "no list"
        failure.add_note(error, "more")
        assert error.__notes__ == "no list"
