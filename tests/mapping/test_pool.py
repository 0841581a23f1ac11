"""The worker processes of ours: who ends when, and what is lost with whom."""

import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.errors import WorkerDied
from hashstash.mapping import pool as pools

pytest.importorskip("cloudpickle")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")

PATIENCE = 60.0


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree") as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def no_worker_is_left():
    yield
    pools.close_pools()


@pytest.fixture
def own_pool(monkeypatch):
    """Pools of this test alone, so that it may count and kill workers."""
    pools.close_pools()
    yield
    pools.close_pools()


def until(is_so):
    """Wait for a condition; fail if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_there(pid):
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_of(stash, count=2):
    """The process ids of a warm pool of *count* workers."""

    def meet(number, folder):
        Path(folder, str(os.getpid())).touch()
        while len(os.listdir(folder)) < count:
            time.sleep(0.01)
        return os.getpid()

    folder = Path(stash.root_dir) / f"meeting {time.monotonic_ns()}"
    folder.mkdir(parents=True)
    kwargs = {"folder": str(folder)}
    return sorted(set(stash.map(meet, range(count), kwargs=kwargs, num_proc=count, chunksize=1, progress=False)))


def test_workers_stay_for_the_next_map(stash, own_pool):
    assert workers_of(stash) == workers_of(stash)


def test_map_returns_before_the_workers_have_started(stash, own_pool, monkeypatch):
    may_start = threading.Event()
    start = pools._start

    def slow_start(*args):
        assert may_start.wait(PATIENCE)
        return start(*args)

    monkeypatch.setattr(pools, "_start", slow_start)
    mapped = stash.map(lambda x: x + 1, range(4), num_proc=2, progress=False)
    assert not mapped.done
    may_start.set()
    assert mapped.results == [1, 2, 3, 4]


def test_a_worker_that_was_killed_while_it_was_idle_costs_nothing(stash, own_pool):
    before = workers_of(stash)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    mapped = stash.map(lambda x: (x, os.getpid()), range(6), num_proc=2, chunksize=1, progress=False)
    assert [x for x, _ in mapped.results] == list(range(6))
    assert not {pid for _, pid in mapped.results} & set(before)


def test_only_the_chunk_of_a_killed_worker_is_computed_again(stash, own_pool, tmp_path):
    def compute(x, folder):
        with open(f"{folder}/{x}", "a") as file:
            file.write(".")
        if x == 3 and os.path.getsize(f"{folder}/{x}") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x * x

    folder = tmp_path / "calls"
    folder.mkdir()
    mapped = stash.map(compute, range(8), folder=str(folder), num_proc=2, chunksize=1, progress=False)
    assert mapped.results == [x * x for x in range(8)]
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        str(x): ".." if x == 3 else "." for x in range(8)
    }


def test_an_item_that_kills_its_worker_every_time_fails_alone_and_says_how(stash, own_pool):
    def compute(x):
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
        return x

    mapped = stash.map(compute, range(4), num_proc=2, errors="return", progress=False)
    values = mapped.results
    assert isinstance(values[1], WorkerDied)
    assert "SIGKILL" in str(values[1])
    assert [values[0], *values[2:]] == [0, 2, 3]


def test_an_item_that_exits_hard_says_with_which_code(stash, own_pool):
    mapped = stash.map(lambda x: os._exit(7) if x else x, range(2), num_proc=2, errors="return", progress=False)
    assert "exit code 7" in str(mapped.results[1])


def test_sys_exit_is_the_error_of_its_item_and_the_worker_goes_on(stash, own_pool):
    def compute(x):
        if x == 1:
            sys.exit("enough")
        return os.getpid()

    before = workers_of(stash)
    values = stash.map(compute, range(6), num_proc=2, errors="return", progress=False).results
    assert isinstance(values[1], SystemExit)
    assert values[1].args == ("enough",)
    assert {*values[:1], *values[2:]} <= set(before)


def test_a_function_that_closes_its_output_does_not_spoil_the_next(stash, own_pool):
    def close(x):
        (sys.stdout if x else sys.stderr).close()
        return x

    def show(x):
        print("shown", flush=True)
        print("shown", file=sys.stderr, flush=True)
        return x

    assert stash.map(close, range(2), num_proc=2, chunksize=1, progress=False).results == [0, 1]
    assert stash.map(show, range(4), num_proc=2, chunksize=1, progress=False).results == [0, 1, 2, 3]


def test_a_function_that_closes_descriptors_does_not_spoil_the_next(stash, own_pool):
    def close(x):
        os.close(x + 1)
        return x

    def show(x):
        os.fstat(1)
        os.fstat(2)
        return x

    assert stash.map(close, range(2), num_proc=2, chunksize=1, progress=False).results == [0, 1]
    assert stash.map(show, range(4), num_proc=2, chunksize=1, progress=False).results == [0, 1, 2, 3]


def test_a_worker_that_leaves_a_child_behind_is_noticed_when_it_dies(stash, own_pool, tmp_path):
    def compute(x, folder):
        if x == 1:
            child = os.fork()  # it has all that its parent has open
            if child == 0:
                time.sleep(100)
                os._exit(0)
            Path(folder, str(child)).touch()
            os._exit(9)
        return x

    folder = tmp_path / "children"
    folder.mkdir()
    try:
        mapped = stash.map(compute, range(3), folder=str(folder), num_proc=2, errors="return", progress=False)
        assert mapped.wait(PATIENCE)
        assert "exit code 9" in str(mapped.results[1])
        assert len(os.listdir(folder)) == 2  # it was tried twice
    finally:
        for child in os.listdir(folder):
            os.kill(int(child), signal.SIGKILL)


def test_idle_workers_end_by_themselves_and_new_ones_take_over(stash, own_pool, monkeypatch):
    monkeypatch.setitem(pools._pools, 2, pools.ProcessPool(2, idle=0.3))
    first = workers_of(stash)
    until(lambda: not any(map(is_there, first)))
    assert not set(workers_of(stash)) & set(first)


def test_a_task_that_meets_a_worker_on_its_way_out_is_not_lost(own_pool, stash, monkeypatch):
    monkeypatch.setitem(pools._pools, 2, pools.ProcessPool(2, idle=0.0))
    values = [stash.map(lambda x, n=n: x + n, range(4), num_proc=2, progress=False).results for n in range(5)]
    assert values == [[n, n + 1, n + 2, n + 3] for n in range(5)]


def test_two_maps_from_two_threads_share_the_workers(stash, own_pool):
    before = set(workers_of(stash))
    found = []

    def compute(x, name):
        time.sleep(0.02)
        return name, x, os.getpid()

    def run(name):
        found.append(stash.map(compute, range(10), name=name, num_proc=2, chunksize=1, progress=False).results)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted([(name, x) for name, x, _ in each] for each in found) == [[(n, x) for x in range(10)] for n in "ab"]
    assert {pid for each in found for _, _, pid in each} <= before


def test_a_map_within_a_map_is_computed_in_its_worker(stash, own_pool):
    def outer(x, inner):
        mapped = inner.map(lambda y: (x + y, os.getpid()), range(3), num_proc=4, progress=False)
        return os.getpid(), mapped.results

    found = stash.map(outer, range(2), inner=stash.sub("inner"), num_proc=2, chunksize=1, progress=False).results
    assert [inside for _, inside in found] == [[(x + y, pid) for y in range(3)] for x, (pid, _) in enumerate(found)]


def test_cancelling_one_map_leaves_the_other_alone(stash, own_pool, tmp_path):
    def hang(x, folder):
        Path(folder, str(os.getpid())).touch()
        time.sleep(1000)

    slow = stash.map(hang, range(3), folder=str(tmp_path), num_proc=2, chunksize=1, progress=False)
    until(lambda: len([name for name in os.listdir(tmp_path) if name.isdigit()]) == 2)
    fast = stash.map(lambda x: x, range(3), num_proc=2, progress=False)
    assert slow.cancel()
    assert fast.results == [0, 1, 2]
    assert not any(is_there(int(name)) for name in os.listdir(tmp_path) if name.isdigit())


def test_what_was_cancelled_before_its_worker_had_started_is_not_begun(stash, own_pool, monkeypatch, tmp_path):
    may_start, has_come = threading.Event(), threading.Event()
    start = pools._start

    def slow_start(*args):
        has_come.set()
        assert may_start.wait(PATIENCE)
        return start(*args)

    monkeypatch.setattr(pools, "_start", slow_start)
    mapped = stash.map(
        lambda x, place: Path(place, str(x)).touch(), range(4), place=str(tmp_path), num_proc=2, progress=False
    )
    assert has_come.wait(PATIENCE)
    mapped.cancel()
    may_start.set()
    assert workers_of(stash)
    assert not [name for name in os.listdir(tmp_path) if name.isdigit()]


def test_fifty_maps_leave_no_descriptor_no_thread_and_no_process_behind(stash, own_pool):
    def run(number):
        return stash.map(lambda x: x + number, range(3), num_proc=2, progress=False).results

    def state():
        gc.collect()
        children = [
            name
            for task in os.listdir("/proc/self/task")
            for name in Path(f"/proc/self/task/{task}/children").read_text().split()
        ]
        return len(os.listdir("/proc/self/fd")), len(children)

    for number in range(3):
        run(number)
    before = state()
    for number in range(50):
        assert run(number) == [number, number + 1, number + 2]
    until(lambda: not any(thread.name.startswith("hashstash-map") for thread in threading.enumerate()))
    descriptors, children = state()
    assert children == before[1]
    assert descriptors <= before[0] + 2  # the engine may have opened something


def test_closing_the_pools_ends_their_processes(stash, own_pool):
    workers = workers_of(stash)
    pools.close_pools()
    until(lambda: not any(map(is_there, workers)))


def test_random_numbers_differ_between_workers(stash, own_pool):
    np = pytest.importorskip("numpy")

    def draw(number, folder):
        import random

        Path(folder, str(os.getpid())).touch()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.01)
        return random.random(), float(np.random.random()), float(np.random.default_rng().random())

    folder = Path(stash.root_dir) / "draws"
    folder.mkdir(parents=True)
    drawn = stash.map(draw, range(2), folder=str(folder), num_proc=2, chunksize=1, progress=False).results
    assert len({number for each in drawn for number in each}) == 6


def test_what_the_parent_changes_around_it_is_seen_by_warm_workers(stash, own_pool, tmp_path, monkeypatch):
    def look(x):
        return os.getcwd(), os.environ.get("OF_THIS_TEST"), sys.path[0], Path("data.txt").read_text()

    workers_of(stash)
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "data.txt").write_text(f"data {number}")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OF_THIS_TEST", str(number))
        monkeypatch.syspath_prepend(str(folder))
        found = stash.map(look, [number], num_proc=2, executor="processes", progress=False)[0]
        assert found == (str(folder), str(number), str(folder), f"data {number}")


def test_a_folder_that_is_gone_does_not_keep_workers_from_starting(stash, own_pool, tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert stash.map(lambda x: x, range(3), num_proc=2, progress=False).results == [0, 1, 2]


def test_megabytes_go_there_and_back(stash, own_pool):
    values = stash.map(
        lambda data: data * 2, [bytes([n]) * 5_000_000 for n in range(4)], num_proc=2, progress=False
    ).results
    assert [(len(value), value[0]) for value in values] == [(10_000_000, n) for n in range(4)]


def test_an_interrupt_of_the_whole_group_does_not_end_a_worker(stash, own_pool, tmp_path):
    def compute(x, folder):
        Path(folder, str(os.getpid())).touch()
        while not os.path.exists(f"{folder}/go"):
            time.sleep(0.01)
        return os.getpid()

    mapped = stash.map(compute, range(2), folder=str(tmp_path), num_proc=2, chunksize=1, progress=False)
    until(lambda: len([name for name in os.listdir(tmp_path) if name.isdigit()]) == 2)
    for name in os.listdir(tmp_path):
        if name.isdigit():
            os.kill(int(name), signal.SIGINT)
    (tmp_path / "go").touch()
    assert {str(pid) for pid in mapped.results} == {name for name in os.listdir(tmp_path) if name.isdigit()}
