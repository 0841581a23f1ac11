"""``stash.run`` and ``@stashed_result``: once per call key, as long as the function is what it was."""

import asyncio
import functools
import subprocess
import sys
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


@pytest.fixture(params=["pairtree", "memory", "lmdb"])
def stash(tmp_path, request):
    if request.param == "lmdb":
        pytest.importorskip("lmdb", reason="the package lmdb is not installed")
    return HashStash(tmp_path / "stash", engine=request.param, clear=True)


class Model:
    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        calls.append(x)
        return self.weight * x


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


def test_editing_the_function_recomputes_and_editing_back_hits(stash):
    def make(source):
        namespace = {"__name__": "__main__"}
        exec(source, namespace)
        return stash.stashed_result(namespace["f"])

    first, second = "def f(x):\n    return x + 1", "def f(x):\n    return x + 2"
    assert make(first)(1) == 2
    assert make(second)(1) == 3
    again = make(first)
    assert again(1) == 2
    assert again.cache_info()[:2] == (1, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("FACTOR", 100), ("inner_helper", lambda x: x + 5), ("helper", lambda x: -x)],
)
def test_a_changed_global_or_helper_recomputes(stash, monkeypatch, name, value):
    f = stash.stashed_result(work)
    before = f(1)
    monkeypatch.setitem(globals(), name, value)
    assert f(1) != before
    monkeypatch.undo()
    assert f(1) == before
    assert len(calls) == 2


def test_a_changed_default_recomputes(stash):
    def f(x, y=1):
        return x + y

    assert stash.run(f, 1) == 2
    f.__defaults__ = (5,)
    assert stash.run(f, 1) == 6


def test_a_changed_closure_value_recomputes(stash):
    def make(step):
        def f(x):
            calls.append(x)
            return x + step

        return f

    assert stash.run(make(1), 1) == 2
    assert stash.run(make(5), 1) == 6
    assert stash.run(make(1), 1) == 2
    assert len(calls) == 2


def test_a_changed_mutable_global_recomputes(stash, monkeypatch):
    config = {"n": 1}

    def f(x):
        return x * config["n"]

    assert stash.run(f, 3) == 3
    config["n"] = 2
    assert stash.run(f, 3) == 6


def test_comments_and_formatting_do_not_matter(stash, tmp_path):
    script = tmp_path / "mod.py"
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "import mod; from hashstash import HashStash\n"
        "s = HashStash(sys.argv[2], engine='pairtree'); print(s.run(mod.f, 1), s.run(mod.f, 1)); print(len(mod.f.stash))\n"
    )

    def run(source):
        script.write_text(source)
        out = subprocess.run(
            [sys.executable, program, tmp_path, tmp_path / "other"], capture_output=True, text=True, check=True
        )
        return out.stdout.split("\n")

    one = "log = []\ndef f(x):\n    log.append(x)\n    print('ran', end=' ')\n    return x + 1\n"
    two = "log = []\n# a comment\ndef f( x ):\n    log.append( x )   # another\n\n    print(\"ran\", end=' ')\n    return (x\n    + 1)\n"
    assert run(one)[0] == "ran 2 2"
    assert run(two)[0] == "2 2"
    assert run(one.replace("+ 1", "+ 2"))[0] == "ran 3 3"
    assert run(one) == ["2 2", "1", ""]


def test_two_lambdas_on_one_line_differ(stash):
    f, g = (lambda x: x + 1), (lambda x: x + 2)
    assert (stash.run(f, 1), stash.run(g, 1)) == (2, 3)
    assert (stash.run(f, 1), stash.run(g, 1)) == (2, 3)


def test_counting_its_calls_does_not_change_a_function(stash):
    count = 0
    seen = {}

    @stash.stashed_result
    def f(x):
        nonlocal count
        count += 1
        seen[x] = True
        return x

    assert [f(1), f(1), f(2), f(1)] == [1, 1, 2, 1]
    assert count == 2


def test_methods_are_keyed_by_their_instance(stash, monkeypatch):
    monkeypatch.setattr(Model, "predict", stash.stashed_result(Model.predict))
    assert Model(2).predict(3) == 6
    assert Model(2).predict(3) == 6
    assert Model(5).predict(3) == 15
    assert len(calls) == 2


def test_run_takes_bound_methods(stash):
    assert stash.run(Model(2).predict, 3) == 6
    assert stash.run(Model(2).predict, 3) == 6
    assert len(calls) == 1


@pytest.mark.parametrize("above", [True, False])
def test_class_and_static_methods(stash, above):
    memo = stash.stashed_result

    def name_of(cls, x):
        calls.append(x)
        return f"{cls.__name__}{x}"

    def double(x):
        calls.append(x)
        return 2 * x

    class Thing:
        make = memo(classmethod(name_of)) if above else classmethod(memo(name_of))
        twice = memo(staticmethod(double)) if above else staticmethod(memo(double))

    assert [Thing.make(1), Thing().make(1), Thing.twice(2), Thing().twice(2)] == ["Thing1", "Thing1", 4, 4]
    assert calls == [1, 2]


def test_partials_callables_and_builtins(stash):
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

    assert stash.run(functools.partial(pow, 2), 5) == 32
    assert stash.run(functools.partial(pow, 3), 5) == 243
    assert stash.run(Adder(1), 1) == 2
    assert stash.run(Adder(2), 1) == 3
    assert stash.run(len, "abc") == 3
    assert stash.run("a-b".split, "-") == ["a", "b"]
    assert stash.run("c-d".split, "-") == ["c", "d"]


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


def test_generators_are_refused_at_once(stash):
    def numbers():
        yield 1

    with pytest.raises(TypeError, match="generator function.*return a list"):
        stash.stashed_result(numbers)
    with pytest.raises(TypeError, match="generator function"):
        stash.run(numbers)


def test_what_is_not_callable_is_refused(stash):
    with pytest.raises(TypeError, match="not callable"):
        stash.stashed_result(5)


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

    @stash.stashed_result(ttl=0.05)
    def f(x):
        calls.append(x)
        return x

    f(1)
    f(1)
    assert len(calls) == 1
    time.sleep(0.06)
    f(1)
    assert len(calls) == 2


def test_force_computes_and_stores_again(stash):
    stash.run(work, 1)
    stash.options(force=True).run(work, 1)
    stash.run(work, 1)
    assert len(calls) == 2


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


def test_eight_threads_compute_once(stash):
    started = threading.Barrier(8)

    @stash.stashed_result
    def slow(x):
        calls.append(x)
        threading.Event().wait(0.05)
        return x

    def ask():
        started.wait()
        assert slow(1) == 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_four_processes_compute_once(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time; from hashstash import HashStash\n"
        "def slow(x):\n"
        "    with open(sys.argv[2], 'a') as file: file.write('x')\n"
        "    time.sleep(.3); return x\n"
        "print(HashStash(sys.argv[1], engine='pairtree').run(slow, 5))\n"
    )
    command = [sys.executable, program, tmp_path / "stash", tmp_path / "count"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["5\n"] * 4
    assert (tmp_path / "count").read_text() == "x"


def test_memoized_recursion(stash):
    @stash.stashed_result
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(40) == 102334155


def test_functions_that_call_each_other_do_not_deadlock(stash):
    @stash.stashed_result
    def even(n):
        return n == 0 or odd(n - 1)

    @stash.stashed_result
    def odd(n):
        return n != 0 and even(n - 1)

    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(even(n))) for n in (20, 21, 19, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, False, True, True]


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


def test_large_arguments_are_listed_by_shape_and_digest(stash):
    numpy = pytest.importorskip("numpy")

    @stash.stashed_result
    def total(array):
        calls.append(1)
        return float(array.sum())

    assert total(numpy.arange(1e5)) == total(numpy.arange(1e5)) == 4999950000.0
    assert len(calls) == 1
    ((args, _),) = total.stash
    assert args[0].startswith("<ndarray (100000,) ")


def test_small_arrays_are_listed_as_they_are(stash):
    numpy = pytest.importorskip("numpy")

    def total(array):
        return float(array.sum())

    stash.run(total, numpy.arange(4.0))
    ((args, _),) = total.stash
    assert args[0].tolist() == [0, 1, 2, 3]


def test_arguments_that_code_brings_back_are_no_reason_to_sign_numbers(stash):
    f = stash.stashed_result(work)
    f(1)
    assert not f.stash.entries()[0].is_code


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


def test_where_no_lock_can_be_made_the_call_still_runs_and_is_stored(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    f = stash.stashed_result(work)
    folder = f.stash.store.engine.lock_folder()
    import os

    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder, "w"):  # a file where the folder of the locks should be
        pass
    assert (f(1), f(1)) == (25, 25)
    assert len(calls) == 1


def test_a_function_that_computes_names_depends_on_every_global(stash, monkeypatch):
    def apply(name, x):
        return globals()[name](x)

    def evaluate(expression):
        return eval(expression)

    monkeypatch.setitem(globals(), "scale", lambda x: x * 10)
    assert (stash.run(apply, "scale", 2), stash.run(evaluate, "scale(3)")) == (20, 30)
    monkeypatch.setitem(globals(), "scale", lambda x: x * 1000)
    assert (stash.run(apply, "scale", 2), stash.run(evaluate, "scale(3)")) == (2000, 3000)
    assert stash.run(apply, "scale", 2) == 2000
