"""Functions, classes and values on their way to worker processes and back; from a script, whose ``__main__`` nobody can import."""

import json
import linecache
import subprocess
import sys

import pytest

from hashstash import HashStash
from hashstash.mapping import cargo

pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")

pytestmark = pytest.mark.slow

PROGRAM = """
import collections, dataclasses, enum, json, os, sys, warnings
from hashstash import HashStash

stash = HashStash.from_dict(json.loads(sys.argv[1]))
warned = []
warnings.showwarning = lambda message, *_: warned.append(str(message))
K = 3

@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    tags: list = dataclasses.field(default_factory=list)
    def scaled(self):
        return self.x * K

class Plain:
    kind = "plain"
    def __init__(self, x):
        self.x = x
    def k(self):
        return K

class Colour(enum.Enum):
    RED = 1

Pair = collections.namedtuple("Pair", "a b")

class Mistake(Exception):
    def __init__(self, x, *, hint):
        super().__init__(x)
        self.hint = hint

def helper(x):
    return x + K

def point(x): return Point(x)
def plain(x): return Plain(x)
def colour(x): return Colour.RED
def pair(x): return Pair(x, [x])
def given(p): return type(p).__name__, p.x
def has_default(x):
    return [field.name for field in dataclasses.fields(Point) if field.default is dataclasses.MISSING]
def failing(x): raise Mistake(x, hint="none")
def using(x): return stash.run(helper, x)
def closing_over(k): return lambda x: x * k
def where(x): return os.getpid()

@stash.stashed_result
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def outer(n): return fib(n)

def mapped(function, objects=(1, 2), **options):
    return stash.map(function, list(objects), **{"executor": "processes", "num_proc": 2, "progress": False, **options})

told = {}
for function, kind in [(point, Point), (plain, Plain), (colour, Colour), (pair, Pair)]:
    made = mapped(function)
    made.wait()
    again = mapped(function)
    told[function.__name__] = [[type(value) is kind for value in made.results + again.results], made.was_cached,
                               again.was_cached]
K = 10
told["methods see the names of the script"] = [Plain(1).k(), Point(2).scaled()]
K = 3
told["instances as arguments"] = mapped(given, [Point(1), Plain(2)]).results
told["fields"] = mapped(has_default, [1]).results
made = mapped(failing, [7])
try:
    made[0]
except Mistake as error:
    told["an exception of the script"] = [error.args, error.hint, error.__notes__]
told["through the stash"] = [mapped(using).results, stash.map(helper, [1, 2], num_proc=1).was_cached]
told["recursion"] = [mapped(outer, [15]).results, stash.map(fib, range(16), num_proc=1).was_cached.count(True)]
told["closures"] = mapped(closing_over(5)).results
told["lambdas on one line"] = [mapped(f).results for f in (lambda x: x + 1, lambda x: x + 2)]
told["elsewhere"] = os.getpid() not in mapped(where, force=True).results
def edited(x): return x * 2
first = mapped(edited, force=True).results
def edited(x): return x * 3
told["edited with a warm pool"] = [first, mapped(edited, force=True).results]
told["bytes"] = [len(value) for value in mapped(lambda x: bytes(x), [80_000_000, 3])]
try:
    import numpy
    told["arrays"] = [float(value.sum()) for value in mapped(lambda x: numpy.ones(x), [10_000_000, 3])]
except ImportError:
    pass
told["warned"] = warned
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the program has to tell: of its first and of its second run on the same stash."""
    folder = tmp_path_factory.mktemp("travel")
    (folder / "program.py").write_text(PROGRAM)
    stash = HashStash(folder / "stash", engine="pairtree")
    command = [sys.executable, str(folder / "program.py"), json.dumps(stash.to_dict())]
    runs = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
    return runs


@pytest.mark.parametrize("function", ["point", "plain", "colour", "pair"])
def test_results_are_instances_of_the_classes_that_are_here_and_are_stored(told, function):
    kinds, first, again = told[0][function]
    assert kinds == [True] * 4
    assert first == [False, False]
    assert again == [True, True]


@pytest.mark.parametrize("function", ["point", "plain", "colour", "pair"])
def test_another_process_finds_them(told, function):
    kinds, first, _ = told[1][function]
    assert kinds == [True] * 4
    assert first == [True, True]


def test_classes_that_went_to_workers_still_see_the_names_of_their_module(told):
    assert told[0]["methods see the names of the script"] == [10, 20]


def test_instances_may_be_arguments(told):
    assert told[0]["instances as arguments"] == [["Point", 1], ["Plain", 2]]


def test_a_field_without_a_default_has_none_in_a_worker_either(told):
    assert told[0]["fields"] == [["x", "tags"]]


def test_an_exception_of_the_script_is_caught_as_such(told):
    args, hint, notes = told[0]["an exception of the script"]
    assert (args, hint) == ([7], "none")
    assert notes == ["in item 0 of the map: __main__.failing(7)"]


def test_what_a_worker_stores_through_the_stash_is_found_here(told):
    """A function has the same fingerprint in a worker: its source has travelled with it."""
    assert told[0]["through the stash"] == [[4, 5], [True, True]]


def test_a_memoized_recursion_in_a_worker_is_found_here(told):
    assert told[0]["recursion"] == [[610], 16]


def test_closures_and_lambdas_travel(told):
    assert told[0]["closures"] == [5, 10]
    assert told[0]["lambdas on one line"] == [[2, 3], [3, 4]]


def test_they_are_computed_elsewhere(told):
    assert told[0]["elsewhere"] is True


def test_an_edited_function_is_sent_anew_to_workers_that_are_warm(told):
    assert told[0]["edited with a warm pool"] == [[2, 4], [3, 6]]


def test_results_of_80_megabytes_come_back(told):
    assert told[0]["bytes"] == told[1]["bytes"] == [80_000_000, 3]
    if "arrays" in told[0]:
        assert told[0]["arrays"] == told[1]["arrays"] == [10_000_000, 3]


def test_nothing_is_warned_of(told):
    assert told[0]["warned"] == told[1]["warned"] == []


class TestCargo:
    def test_sources_of_cells_are_those_that_came_last(self):
        """Cells of some notebooks keep their names when they are edited."""
        cargo.add_sources({"<a cell>": ["one\n"]})
        cargo.add_sources({"<a cell>": ["two\n"]})
        assert linecache.getlines("<a cell>") == ["two\n"]
        del linecache.cache["<a cell>"]

    def test_sources_of_files_that_are_here_are_not_replaced(self):
        cargo.add_sources({__file__: ["one\n"]})
        assert linecache.getlines(__file__) != ["one\n"]
