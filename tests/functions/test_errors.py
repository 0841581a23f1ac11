"""What happens when the function raises: ``on_error`` and ``cache_exceptions``."""

import asyncio
import math
import time

import pytest

from hashstash import HashStash
from hashstash.entry import unpack


class Mine(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class Answers:
    """Something that answers differently each time, and is the same for a fingerprint."""

    def __init__(self, *answers):
        self.rest = list(answers)

    def __next__(self):
        return self.rest.pop(0)

    def __hashstash_fingerprint__(self):
        return "answers"


@pytest.fixture
def failing(stash, calls):
    """A decorated function that raises a ValueError with a note, and counts its calls."""

    def decorate(**options):
        @stash.stashed_result(**options)
        def fail(x):
            calls.append(x)
            error = ValueError("no", x)
            error.add_note("a note")
            raise error

        return fail

    return decorate


def test_what_the_handler_returns_is_given_to_the_caller_and_not_stored(failing, calls):
    f = failing(on_error=lambda error: f"handled {error.args}")
    assert f(1) == f(1) == "handled ('no', 1)"
    assert calls == [1, 1]
    assert len(f.stash) == 0


def test_what_the_handler_raises_is_raised(failing):
    def translate(error):
        raise LookupError("translated") from error

    with pytest.raises(LookupError, match="translated"):
        failing(on_error=translate)(1)


def test_a_handler_does_not_see_what_ends_a_program(memory):
    seen = []

    @memory.stashed_result(on_error=seen.append, cache_exceptions=True)
    def leave(how):
        raise how

    for how in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(how):
            leave(how)
        with pytest.raises(how):
            leave(how)
    assert seen == []


def test_a_result_does_not_go_through_the_handler(memory):
    f = memory.stashed_result(on_error=lambda error: "handled")(lambda x: x)
    assert (f(1), f(1)) == (1, 1)


def test_the_handler_is_called_without_the_lock(memory):
    """Whatever it does, it may ask for the same call again."""
    answers = []

    @memory.stashed_result(on_error=lambda error: answers.append(f.stash.lock(((1,), {})).acquire(0)))
    def f(x):
        raise ValueError

    f(1)
    assert answers == [True]
    f.stash.lock(((1,), {})).release()


@pytest.mark.parametrize("kept", [True, 60, "1h", math.inf])
def test_a_kept_exception_is_raised_again_without_a_call(failing, calls, kept):
    f = failing(cache_exceptions=kept)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"\('no', 7\)") as caught:
            f(7)
    assert calls == [7]
    assert caught.value.args == ("no", 7)


def test_a_kept_exception_has_its_notes_and_one_that_says_where_it_comes_from(failing):
    f = failing(cache_exceptions=True)
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            f(7)
    first, second = caught.value.__notes__
    assert first == "a note"
    assert "fail raised this at 20" in second
    assert "kept in the stash" in second


@pytest.mark.parametrize("kept", [None, False])
def test_exceptions_are_not_kept_unless_asked_for(failing, calls, kept):
    f = failing(cache_exceptions=kept)
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            f(7)
    assert calls == [7, 7]
    assert caught.value.__notes__ == ["a note"]


def test_exceptions_of_the_users_own_come_back(stash, calls):
    @stash.stashed_result(cache_exceptions=True)
    def fail():
        calls.append(1)
        raise Mine(5)

    for _ in range(2):
        with pytest.raises(Mine) as caught:
            fail()
    assert caught.value.code == 5
    assert len(calls) == 1


def test_exceptions_of_the_users_own_are_signed(memory):
    f = memory.stashed_result(cache_exceptions=True)(lambda: (_ for _ in ()).throw(Mine(1)))
    with pytest.raises(Mine):
        f()
    ((address, row),) = f.stash.store.engine.section("errors").rows()
    assert unpack(row, address).is_code
    assert unpack(row, address).signer


def test_exceptions_that_somebody_else_signed_are_not_decoded(tmp_path, somebody_else, calls):
    stash = HashStash(tmp_path / "stash", engine="pairtree")

    def fail():
        calls.append(1)
        raise Mine(5)

    with somebody_else, pytest.raises(Mine):
        stash.stashed_result(cache_exceptions=True)(fail)()
    f = stash.stashed_result(cache_exceptions="2h")(fail)
    with pytest.warns(RuntimeWarning, match="computed anew.*needs code"), pytest.raises(Mine):
        f()
    assert len(calls) == 2


def test_a_kept_exception_is_no_result_whatever_one_asks(failing):
    f = failing(cache_exceptions=True)
    with pytest.raises(ValueError):
        f(7)
    assert f.stash.get(((7,), {})) is None
    assert f.stash.get_func(7) is None
    assert ((7,), {}) not in f.stash
    assert list(f.stash.items()) == []
    assert (len(f.stash), f.stash.entries()) == (0, [])


def test_a_kept_exception_counts_as_a_hit_and_not_as_a_stored_result(failing):
    f = failing(cache_exceptions=True)
    for _ in range(3):
        with pytest.raises(ValueError):
            f(7)
    assert f.cache_info() == (2, 1, 0)


def test_a_kept_exception_is_over_after_its_time(failing, calls):
    f = failing(cache_exceptions=0.05)
    with pytest.raises(ValueError):
        f(7)
    time.sleep(0.06)
    with pytest.raises(ValueError):
        f(7)
    assert calls == [7, 7]


def test_a_kept_exception_lives_no_longer_than_the_results_of_its_stash(tmp_path):
    stash = HashStash(tmp_path, engine="memory", ttl=100, clear=True)

    @stash.stashed_result(cache_exceptions=True)
    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        fail()
    ((_, row),) = fail.stash.store.engine.section("errors").rows()
    assert unpack(row).expires_at - unpack(row).created_at == 100 * 10**9


def test_force_calls_the_function_whatever_is_kept(failing, stash, calls):
    f = failing(cache_exceptions=True)
    for _ in range(2):
        with pytest.raises(ValueError):
            stash.options(force=True).run(f, 7)
    assert calls == [7, 7]


def test_a_result_takes_the_place_of_a_kept_exception(stash, calls):
    @stash.stashed_result(cache_exceptions=True)
    def f(x):
        calls.append(x)
        if next(answers):
            raise ValueError
        return x

    answers = Answers(True, False)
    with pytest.raises(ValueError):
        f(7)
    assert stash.options(force=True).run(f, 7) == f(7) == 7
    assert calls == [7, 7]
    assert list(f.stash.store.engine.section("errors").rows()) == []


def test_invalidate_forgets_a_kept_exception(failing, calls):
    f = failing(cache_exceptions=True)
    with pytest.raises(ValueError):
        f(7)
    assert f.invalidate(7) is True
    assert f.invalidate(7) is False
    with pytest.raises(ValueError):
        f(7)
    assert calls == [7, 7]


def test_the_condition_on_results_is_not_asked_about_exceptions(failing, calls):
    f = failing(cache_exceptions=True, if_=lambda result: pytest.fail("there is no result"))
    for _ in range(2):
        with pytest.raises(ValueError):
            f(7)
    assert calls == [7]


def test_a_handler_sees_kept_exceptions_too(failing, calls):
    f = failing(cache_exceptions=True, on_error=lambda error: error.args)
    assert [f(7), f(7)] == [("no", 7), ("no", 7)]
    assert calls == [7]


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_what_says_nothing_about_the_arguments_is_not_kept(memory, calls, error):
    @memory.stashed_result(cache_exceptions=True)
    def fail():
        calls.append(1)
        raise error

    for _ in range(2):
        with pytest.raises(error):
            fail()
    assert len(calls) == 2


def test_an_exception_that_cannot_be_stored_is_raised_with_one_warning(memory, calls):
    @memory.stashed_result(cache_exceptions=True)
    def fail():
        calls.append(1)
        raise ValueError(i for i in ())

    with pytest.raises(ValueError), pytest.warns(RuntimeWarning, match="exception that could not be stored.*generator"):
        fail()
    with pytest.raises(ValueError):
        fail()
    assert len(calls) == 2


def test_an_edited_function_is_called_again(memory, calls):
    def fail(x):
        calls.append(x)
        raise ValueError

    f = memory.stashed_result(cache_exceptions=True)(fail)
    with pytest.raises(ValueError):
        f(1)
    fail.__defaults__ = (2,)
    with pytest.raises(ValueError):
        f(1)
    assert calls == [1, 1]


def test_clearing_forgets_kept_exceptions_on_every_engine(every_engine, open_on, calls):
    stash = open_on(every_engine)

    @stash.stashed_result(cache_exceptions=True)
    def fail():
        calls.append(1)
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            fail()
    stash.clear()
    with pytest.raises(ValueError):
        fail()
    assert len(calls) == 2


def test_a_corrupt_kept_exception_is_computed_anew(tmp_path, calls):
    stash = HashStash(tmp_path, engine="pairtree")

    @stash.stashed_result(cache_exceptions=True)
    def fail():
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):
        fail()
    section = fail.stash.store.engine.section("errors")
    ((address, row),) = list(section.rows())
    section.put(address, row[:-1] + bytes([row[-1] ^ 1]))
    with pytest.warns(RuntimeWarning, match="computed anew"), pytest.raises(ValueError):
        fail()
    assert len(calls) == 2


def test_a_row_of_an_exception_that_was_moved_among_the_results_is_refused(memory):
    f = memory.stashed_result(cache_exceptions=True)(lambda: (_ for _ in ()).throw(Mine(1)))
    with pytest.raises(Mine):
        f()
    engine = f.stash.store.engine
    ((address, row),) = engine.section("errors").rows()
    engine.put(address, row)
    with pytest.warns(RuntimeWarning, match="its signature does not fit"), pytest.raises(Mine):
        f()


def test_async_functions_keep_and_handle_exceptions_alike(stash, calls):
    @stash.stashed_result(cache_exceptions=True)
    async def fail(x):
        calls.append(x)
        raise ValueError(x)

    async def handle(error):
        return f"handled {error}"

    async def main():
        for _ in range(2):
            with pytest.raises(ValueError, match="3"):
                await fail(3)
        with_handler = stash.options(on_error=handle)
        plain_handler = stash.options(on_error=str)
        return await with_handler.arun(fail, 3), await plain_handler.arun(fail, 4), await plain_handler.arun(fail, 4)

    assert asyncio.run(main()) == ("handled 3", "4", "4")
    assert calls == [3, 4]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"on_error": "raise"}, "on_error='raise'; it is a function"),
        ({"cache_exceptions": "soon"}, "'soon' is no duration"),
        ({"cache_exceptions": -1}, "must be positive"),
        ({"if_": 3}, "if_=3; it is a function"),
    ],
)
def test_options_that_make_no_sense_are_refused_where_they_are_given(memory, options, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        memory.stashed_result(**options)
