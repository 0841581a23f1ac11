"""Every kind of function can be mapped."""

import asyncio
import functools

import pytest

FACTOR = 10


def helper(x):
    return x * FACTOR


def work(x, y=1, *, calls=None):
    return helper(x) + y


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


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
