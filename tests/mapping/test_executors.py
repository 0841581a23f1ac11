"""``executor=``: what may be given, what becomes of it, and what is refused at once."""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from hashstash import HashStash
from hashstash.errors import WorkerDied
from hashstash.mapping import pool as pools
from hashstash.mapping.executors import Submitter, backend_of, cpus, default_workers

pytest.importorskip("cloudpickle")

BASE = 10


class Named:
    def __init__(self, name):
        self.name = name


def above_base(x):
    return x + BASE


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree") as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def no_worker_is_left():
    yield
    pools.close_pools()


class Toy:
    """What a user writes in five lines, or mpi4py offers: it submits a function with one argument."""

    def __init__(self):
        self.calls = 0

    def submit(self, function, argument):
        self.calls += 1
        future = Future()
        try:
            future.set_result(function(argument))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def executors():
    """One executor of each kind for the whole module, by name."""
    made = {"threads of the standard library": ThreadPoolExecutor(2), "toy": Toy()}
    for method in ("spawn", "forkserver", "fork"):
        if method in multiprocessing.get_all_start_methods():
            made[method] = ProcessPoolExecutor(2, multiprocessing.get_context(method))
    yield made
    for executor in made.values():
        if not isinstance(executor, Toy):
            executor.shutdown()


KINDS = ["threads of the standard library", "toy", "spawn", "forkserver", "fork"]


@pytest.fixture(params=[*KINDS, "threads", "processes", "serial", 2, "loky", "loky object"])
def executor(request, executors):
    """Each way in turn to say where a map is computed."""
    if str(request.param).startswith("loky"):
        loky = pytest.importorskip("loky")
        return "loky" if request.param == "loky" else loky.get_reusable_executor(2)
    if request.param in KINDS and request.param not in executors:
        pytest.skip(f"this system has no {request.param}")
    if request.param == "fork" and sys.version_info >= (3, 12):
        pytest.skip("Python warns of a fork of a process that has threads")
    return executors.get(request.param, request.param)


def test_every_executor_gives_the_results_in_order(stash, executor):
    assert stash.map(above_base, range(20), executor=executor, progress=False).results == list(range(10, 30))
    assert all(stash.map(above_base, range(20), executor=executor, progress=False).was_cached)


def test_every_executor_takes_closures_and_brings_back_the_parents_classes(stash, executor):
    prefix = "item "
    named = stash.map(lambda x: Named(f"{prefix}{x}"), range(3), executor=executor, progress=False).results
    assert [type(one) for one in named] == [Named] * 3
    assert [one.name for one in named] == ["item 0", "item 1", "item 2"]


class OwnError(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")
        self.code = code


def test_every_executor_brings_back_the_users_exception(stash, executor):
    def fail(x):
        if x == 1:
            raise OwnError(code=7)
        return x

    values = stash.map(fail, range(3), executor=executor, errors="return", progress=False).results
    assert [values[0], values[2]] == [0, 2]
    assert type(values[1]) is OwnError
    assert (values[1].code, values[1].args) == (7, ("code 7",))


def test_every_executor_computes_a_map_within_a_map(stash, executor):
    def outer(x, inner):
        return inner.map(lambda y: x + y, range(3), progress=False).results

    found = stash.map(outer, range(2), inner=stash.sub("inner"), executor=executor, progress=False).results
    assert found == [[0, 1, 2], [1, 2, 3]]


def test_small_items_are_sent_together(stash):
    toy = Toy()
    assert sum(stash.map(lambda x: x, range(1000), executor=toy, progress=False)) == 499_500
    assert toy.calls < 100


def test_the_size_of_a_task_may_be_given(stash):
    toy = Toy()
    stash.map(lambda x: x, range(100), executor=toy, chunksize=10, progress=False).wait()
    assert toy.calls <= 12  # and once more where it did not know the function yet


def test_threads_see_the_objects_themselves(stash):
    lock = threading.Lock()
    seen = []
    with pytest.warns(RuntimeWarning, match="is a lock"):
        stash.map(lambda x: seen.append((x, lock)), range(3), executor="threads", progress=False).wait()
    assert sorted(x for x, _ in seen) == [0, 1, 2]
    assert all(each is lock for _, each in seen)


@pytest.mark.parametrize("kind", ["spawn", "loky"])
def test_an_item_that_kills_its_worker_fails_alone_in_a_pool_that_breaks_together(stash, kind):
    if kind == "loky":
        pytest.importorskip("loky")
        executor = "loky"
    else:
        executor = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))

    def compute(x):
        if x == 2:
            os._exit(3)
        return x

    mapped = stash.map(compute, range(4), executor=executor, num_proc=2, chunksize=1, errors="return", progress=False)
    values = mapped.results
    assert isinstance(values[2], WorkerDied)
    if kind == "loky":  # a broken executor of the standard library takes nothing any more
        assert [values[0], values[1], values[3]] == [0, 1, 3]
    else:
        executor.shutdown()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (True, TypeError, "executor=True"),
        (0, ValueError, "executor=0"),
        (-1, ValueError, "executor=-1"),
        (1.5, TypeError, "no method submit"),
        ("thread", ValueError, "'threads'"),
        ("", ValueError, "'threads'"),
        (object(), TypeError, "no method submit"),
        (ThreadPoolExecutor, TypeError, "is a class"),
        (print, TypeError, "no method submit"),
        ([2], TypeError, "no method submit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_executor_is_refused_at_once(stash, given, error, words):
    with pytest.raises(error, match=words):
        stash.map(above_base, range(3), executor=given, progress=False)


@pytest.mark.parametrize("number", [0, -1, 1.0, "2", True])
def test_what_is_no_number_of_processes_is_refused_at_once(stash, number):
    with pytest.raises(ValueError, match="num_proc"):
        stash.map(above_base, range(3), num_proc=number, progress=False)


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_closed_executor_is_refused_at_once(stash, kind):
    executor = kind(1)
    executor.shutdown()
    with pytest.raises(ValueError, match="is closed"):
        stash.map(above_base, range(3), executor=executor, progress=False)


def test_a_submit_that_gives_no_future_is_named(stash):
    class Wrong:
        def submit(self, function, argument):
            return function(argument)

    with pytest.raises(Exception, match="no Future"):
        stash.map(above_base, range(3), executor=Wrong(), progress=False).results  # noqa: B018


def test_an_asynchronous_client_is_refused():
    class Client:
        asynchronous = True

    with pytest.raises(TypeError, match="asynchronous"):
        backend_of(Client(), None)


def test_equal_tasks_are_not_taken_for_one():
    sent = []

    class Recorder(Toy):
        def submit(self, function, argument):
            sent.append(argument)
            return Future()

    backend = Submitter(Recorder(), 1, is_remote=True)
    backend.submit(b"task", None)
    backend.submit(b"task", None)
    assert len(set(sent)) == 2


def test_a_number_says_how_many_workers():
    assert backend_of(3, None).workers == 3
    assert backend_of("threads", 5).workers == 5
    assert backend_of(ThreadPoolExecutor(3), None).workers == 3
    assert backend_of(None, 1) is None
    assert backend_of("serial", 8) is None
    assert default_workers() == max(1, cpus() - 2)
