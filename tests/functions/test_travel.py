"""Decorated functions, their stashes and instances with decorated methods: copied, pickled, and used in another process."""

import copy
import dataclasses
import pickle
import subprocess
import sys

import pytest

from hashstash import HashStash
from hashstash.errors import VolatileKey
from hashstash.functions.function_stash import MemoOptions

calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def cloudpickle():
    return pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")


@pytest.fixture
def shared(tmp_path):
    return HashStash(tmp_path / "stash", engine="pairtree")


def double(x, by=2):
    calls.append(x)
    return by * x


PARENT = """
import pickle, subprocess, sys
import cloudpickle
from hashstash import HashStash

stash = HashStash(sys.argv[1], engine="pairtree")
START = 1
computed = []

@stash.stashed_result
def fib(n):
    computed.append(n)
    return START * n if n < 2 else fib(n - 1) + fib(n - 2)

CHILD = '''
import pickle, sys
fib, fibs = pickle.load(sys.stdin.buffer)
print(fib(30), fib.cache_info().misses, len(fib.stash), fibs.get_func(30), len(fibs))
print(fib.explain(30).reason, fib.uncached.__module__)
'''
data = cloudpickle.dumps((fib, fib.stash))
done = subprocess.run([sys.executable, "-c", CHILD], input=data, stdout=subprocess.PIPE, check=True)
print(done.stdout.decode(), end="")
print(fib(30), computed)
"""


def test_a_recursive_function_of_main_computes_elsewhere_and_its_parent_hits(tmp_path, cloudpickle):
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    done = subprocess.run([sys.executable, script, tmp_path / "stash"], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["832040 31 31 832040 31", "stored __main__", "832040 []", ""]


EDITED_THERE = """
import sys, cloudpickle
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine="pairtree")
RATE = 1
def f(x): return x * RATE
f = stash.stashed_result(f)
f(2)
g = cloudpickle.loads(cloudpickle.dumps(f))
print(g(2), g.cache_info().hits)
g.uncached.__globals__["RATE"] = 5
print(g(2), g.cache_info().hits)
g.uncached.__globals__["RATE"] = 1
print(g(2), g.cache_info().hits)
"""


def test_a_function_that_has_arrived_is_followed_through_changes(tmp_path, cloudpickle):
    script = tmp_path / "script.py"
    script.write_text(EDITED_THERE)
    done = subprocess.run([sys.executable, script, tmp_path / "stash"], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["2 1", "10 1", "2 2", ""]


def make(stash, step, **options):
    @stash.stashed_result(**options)
    def inner(x, noise=0):
        return x + step

    return inner


def test_closures_travel_with_their_options(shared, cloudpickle):
    f = make(shared, 3, ignore="noise")
    f(1)
    g = cloudpickle.loads(cloudpickle.dumps(f))
    assert g(1, noise=5) == 4
    assert g.cache_info() == (1, 0, 1)
    assert g.stash == f.stash


def test_whatever_of_a_decorated_function_is_pickled_comes_back_as_one(shared, cloudpickle):
    f = make(shared, 3)
    memo, plain, invalidate = cloudpickle.loads(cloudpickle.dumps((f.__hashstash_memo__, f.uncached, f.invalidate)))
    assert memo.call((1,), {}) == plain(1) == 4
    assert memo.options == MemoOptions()
    assert invalidate(1) is True


def test_a_function_that_cannot_be_hashed_travels_too(shared, cloudpickle):
    steps = (step for step in ())
    f = make(shared, steps)
    with pytest.raises(VolatileKey):
        f.stash.store.keys.context()
    copied = pickle.loads(pickle.dumps(f.stash))
    with pytest.raises(VolatileKey, match="is a generator"):
        copied.get_func(1)


def test_functions_of_modules_travel_by_name(shared, monkeypatch):
    f = shared.stashed_result(double)
    monkeypatch.setattr(sys.modules[__name__], "double", f)
    assert pickle.loads(pickle.dumps(f)) is f


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda stash: pickle.loads(pickle.dumps(stash))])
def test_a_copied_function_stash_finds_calls(shared, copied):
    f = shared.stashed_result(double)
    f(3)
    stash = copied(f.stash)
    assert stash.get_func(3) == stash.get_func(3, by=2) == stash.get_func(by=2, x=3) == 6
    assert stash.get(((3,), {})) == 6
    assert ((3,), {}) in stash
    assert list(stash.items()) == [(((3,), {}), 6)]
    assert len(stash) == 1
    assert stash.get_func(4) is None
    assert stash.is_function_stash


def test_a_pickled_function_stash_needs_no_function(shared):
    """Local functions cannot be pickled; what their stash needs of them can."""
    f = make(shared, 3, ignore="noise", version=7)
    f(1)
    stash = pickle.loads(pickle.dumps(f.stash))
    assert stash.get_func(1, noise=9) == 4
    assert len(stash) == 1


def test_a_pickled_function_stash_stays_with_the_function_as_it_was(shared):
    def f(x):
        return x

    g = shared.stashed_result(f)
    g(1)
    stash = pickle.loads(pickle.dumps(g.stash))
    f.__defaults__ = (5,)
    assert (g.stash.get_func(1), stash.get_func(1)) == (None, 1)


def test_a_pickled_stash_of_its_own_is_as_before(shared):
    shared["key"] = 1
    assert pickle.loads(pickle.dumps(shared))["key"] == 1


@dataclasses.dataclass
class Model:
    weight: int

    def predict(self, x):
        calls.append(x)
        return self.weight * x


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_instances_with_decorated_methods_are_copied(shared, monkeypatch, copied):
    monkeypatch.setattr(Model, "predict", shared.stashed_result(Model.predict))
    model = Model(2)
    assert model.predict(3) == copied(model).predict(3) == 6
    assert calls == [3]


def test_instances_of_local_classes_travel(shared, cloudpickle):
    class Local:
        def __init__(self, weight):
            self.weight = weight

        @shared.stashed_result
        def predict(self, x):
            return self.weight * x

        @property
        def double(self):
            return self.predict(2)

    model = Local(4)
    assert model.double == 8
    other = cloudpickle.loads(cloudpickle.dumps(model))
    assert (other.double, other.predict(3)) == (8, 12)
    assert other.predict.cache_info()[:2] == (1, 1)


def test_copying_a_decorated_function_gives_the_function(shared):
    f = make(shared, 3)
    assert copy.copy(f) is f
    assert copy.deepcopy({"f": f})["f"] is f


def test_decorated_functions_are_values(shared, memory):
    f = make(memory, 3)
    shared["f"] = f
    assert shared["f"](1) == 4
    assert shared["f"].uncached(2) == 5


MP = """
import multiprocessing, sys
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine="pairtree")

@stash.stashed_result
def square(x):
    return x * x

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(square, [1, 2]))
    print(square(2), square.cache_info())
"""


@pytest.mark.slow
def test_what_spawned_workers_store_is_found_by_the_script(tmp_path):
    """In them, the script is called ``__mp_main__``."""
    script = tmp_path / "script.py"
    script.write_text(MP)
    done = subprocess.run([sys.executable, script, tmp_path / "stash"], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 4]\n4 CacheInfo(hits=1, misses=0, size=2)\n"
