"""Async functions: the awaited result is stored, and waiting lets the event loop go on."""

import asyncio
import functools
import inspect
import threading

import pytest

from hashstash.functions import flights

calls = []


def work(a):
    calls.append(a)
    return a * 25


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def test_async_functions_store_the_awaited_result(stash):
    @stash.stashed_result
    async def f(x):
        calls.append(x)
        await asyncio.sleep(0.01)
        return x * 2

    async def main():
        return [*await asyncio.gather(f(1), f(1), f(2)), await f(1)]

    assert asyncio.run(main()) == [2, 2, 4, 2]
    assert sorted(calls) == [1, 2]


def test_async_run(stash):
    async def f(x):
        return x + 1

    assert asyncio.run(stash.arun(f, 1)) == 2
    assert asyncio.run(stash.arun(work, 1)) == 25


class Adder:
    def __init__(self, base):
        self.base = base

    async def add(self, x):
        calls.append(x)
        return self.base + x

    async def __call__(self, x):
        calls.append(x)
        return self.base + x


async def double(x, by=2):
    calls.append(x)
    await asyncio.sleep(0)
    return x * by


@pytest.mark.parametrize(
    "function",
    [
        double,
        functools.partial(double, by=2),
        Adder(1),
        Adder(1).add,
        functools.partial(Adder(1)),
        functools.partial(Adder(1).add, x=1),
    ],
)
def test_every_kind_of_async_callable_is_awaited_and_stored(memory, function):
    f = memory.stashed_result(function)
    arguments = () if isinstance(function, functools.partial) and "x" in function.keywords else (1,)

    async def main():
        return [await f(*arguments), await f(*arguments)]

    assert asyncio.run(main()) == [2, 2]
    assert calls == [1]
    assert inspect.iscoroutinefunction(f)


@pytest.mark.parametrize("function", [double, functools.partial(double, by=2), Adder(1), Adder(1).add])
def test_every_kind_of_async_callable_can_be_run(memory, function):
    async def main():
        return [await memory.arun(function, 1), await memory.run(function, 1), await memory.options().arun(function, 1)]

    assert asyncio.run(main()) == [2, 2, 2]
    assert calls == [1]


def test_async_methods_are_keyed_by_their_instance(memory, monkeypatch):
    monkeypatch.setattr(Adder, "add", memory.stashed_result(Adder.add))

    async def main():
        return [await Adder(1).add(1), await Adder(1).add(1), await Adder(5).add(1)]

    assert asyncio.run(main()) == [2, 2, 6]
    assert calls == [1, 1]


def test_async_generators_are_refused(memory):
    async def numbers():
        yield 1

    class Numbers:
        async def __call__(self):
            yield 1

    for function in (numbers, Numbers()):
        with pytest.raises(TypeError, match="is a generator function"):
            memory.stashed_result(function)


def test_tasks_of_one_loop_compute_once_and_others_go_on_meanwhile(stash):
    @stash.stashed_result
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.05)
        return x

    async def main():
        return await asyncio.gather(*[slow(number % 3) for number in range(30)])

    assert asyncio.run(main()) == [number % 3 for number in range(30)]
    assert sorted(calls) == [0, 1, 2]


def test_two_loops_in_two_threads_compute_once(stash):
    started = threading.Barrier(2)
    answers = []

    @stash.stashed_result
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.1)
        return x

    def run():
        started.wait()
        answers.append(asyncio.run(slow(1)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == [1, 1]
    assert calls == [1]


def test_when_the_first_task_is_cancelled_the_next_one_computes(stash):
    @stash.stashed_result
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.05 if len(calls) > 1 else 1000)
        return x

    async def main():
        first, second = asyncio.create_task(slow(1)), asyncio.create_task(slow(1))
        await until(lambda: calls)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(asyncio.wait_for(main(), 60)) == 1
    assert calls == [1, 1]


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_others_alone(stash):
    @stash.stashed_result
    async def slow(x):
        calls.append(x)
        await gate.wait()
        return x

    gate = Gate()

    async def main():
        first, second = asyncio.create_task(slow(1)), asyncio.create_task(slow(1))
        await until(lambda: calls)
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.open()
        return [await first, await slow(1)]

    assert asyncio.run(asyncio.wait_for(main(), 60)) == [1, 1]
    assert calls == [1]


async def until(condition):
    """Let other tasks run until something outside of the event loop's knowledge is true."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class Gate:
    """Something to wait for that is the same for a fingerprint, open or not."""

    def __init__(self):
        self.is_open = False

    def open(self):
        self.is_open = True

    async def wait(self):
        await until(lambda: self.is_open)

    def __hashstash_fingerprint__(self):
        return "gate"


def test_async_recursion(stash):
    @stash.stashed_result
    async def fib(n):
        calls.append(n)
        return n if n < 2 else sum(await asyncio.gather(fib(n - 1), fib(n - 2)))

    assert asyncio.run(fib(15)) == 610
    assert sorted(calls) == list(range(16))


def test_an_async_function_that_asks_for_itself_does_not_wait_for_itself(memory):
    @memory.stashed_result
    async def endless(x):
        return await endless(x)

    with pytest.raises(RecursionError):
        asyncio.run(asyncio.wait_for(endless(1), 60))


def test_async_exceptions_are_raised_to_each_who_waits(stash):
    @stash.stashed_result
    async def fail(x):
        calls.append(x)
        await asyncio.sleep(0.01)
        raise ValueError(x)

    async def main():
        return await asyncio.gather(fail(1), fail(1), return_exceptions=True)

    assert [error.args for error in asyncio.run(main())] == [(1,), (1,)]


def test_async_options(memory):
    f = memory.stashed_result(double)

    async def main():
        await f(1)
        return await memory.options(force=True).arun(f, 1)

    assert asyncio.run(main()) == 2
    assert calls == [1, 1]


SLOW = """
import asyncio
import functools
import inspect
import threading

async def slow(x):
    note("ran")
    await asyncio.sleep(.5)
    return x * 2

async def main():
    ticks = 0
    task = asyncio.create_task(STASH.arun(slow, 21))
    while not task.done():
        ticks += 1
        await asyncio.sleep(.01)
    return await task, ticks

note("here", "arrivals")
wait_for("go")
answer, ticks = asyncio.run(main())
note(ticks, "ticks")
print(answer)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pairtree", "lmdb", "redis"])
def test_processes_compute_once_and_the_loops_that_wait_go_on(engine, open_on, programs, eventually):
    stash = open_on(engine)
    running = [programs.start(stash, SLOW) for _ in range(4)]
    eventually(lambda: len(programs.notes("arrivals")) == 4)
    programs.say("go")
    assert [programs.result(process) for process in running] == ["42\n"] * 4
    assert programs.notes() == ["ran"]
    assert min(map(int, programs.notes("ticks"))) >= 3


@pytest.mark.parametrize("moment", ["before it computes", "as it has computed"])
def test_a_task_that_is_interrupted_on_its_way_keeps_nobody_waiting(stash, monkeypatch, moment):
    """The loop of a notebook goes on after an interrupt: what the next cell asks for must not wait for one that is gone."""
    interrupted = []

    class Interrupted:
        def get(self):
            return flights_own.get()

        def set(self, value):
            return self._at("before it computes", flights_own.set(value))

        def reset(self, token):
            self._at("as it has computed", flights_own.reset(token))

        def _at(self, name, result):
            if name == moment and not interrupted:
                interrupted.append(name)
                raise KeyboardInterrupt
            return result

    @stash.stashed_result
    async def work_slowly(x):
        calls.append(x)
        await asyncio.sleep(0)
        return x * 2

    flights_own = flights._own
    monkeypatch.setattr(flights, "_own", Interrupted())
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(work_slowly(1))
        assert loop.run_until_complete(asyncio.wait_for(work_slowly(1), 60)) == 2
    finally:
        loop.close()
    assert interrupted == [moment]
