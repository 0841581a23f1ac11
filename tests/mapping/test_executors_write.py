"""``write="workers"``: the results are stored by those who compute them, and by the parent where they cannot be."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor

import pytest

from hashstash import HashStash, trust
from hashstash.mapping import pool as pools

pytest.importorskip("cloudpickle")

PATIENCE = 100
SHARED = ["pairtree", "lmdb", "sqlite", "redis", "mongo"]
OPTIONS = {"write": "workers", "executor": "processes", "num_proc": 2, "progress": False}


class Named:
    def __init__(self, name):
        self.name = name


def pid_of(x):
    return x, os.getpid()


def named(x):
    return Named(f"item {x}")


@pytest.fixture(scope="module", autouse=True)
def no_worker_is_left():
    yield
    pools.close_pools()


@pytest.fixture(params=SHARED)
def stash(request, open_on):
    """A stash of each engine in turn that other processes can write to."""
    return open_on(request.param)


@pytest.fixture
def folder_stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree") as opened:
        yield opened


@pytest.fixture
def no_writing_here(monkeypatch):
    """Whatever is stored from now on has been stored by another process."""

    def refuse(*_):
        raise AssertionError("this process has stored something")

    monkeypatch.setattr("hashstash.store.Store.write_many", refuse)


def test_workers_store_what_the_parent_and_later_maps_find(stash, no_writing_here):
    mapped = stash.map(pid_of, range(6), **OPTIONS)
    assert [x for x, _ in mapped] == list(range(6))
    assert os.getpid() not in {pid for _, pid in mapped}
    again = stash.map(pid_of, range(6), **OPTIONS)
    assert all(again.was_cached)
    assert again.results == mapped.results
    assert [stash.run(pid_of, x) for x in range(6)] == mapped.results


def test_objects_of_the_user_are_signed_with_the_users_key(folder_stash, no_writing_here):
    mapped = folder_stash.map(named, range(3), **OPTIONS)
    assert [(type(one), one.name) for one in mapped] == [(Named, f"item {x}") for x in range(3)]
    assert all(folder_stash.map(named, range(3), **OPTIONS).was_cached)


def test_large_results(folder_stash, no_writing_here):
    np = pytest.importorskip("numpy")
    mapped = folder_stash.map(lambda x: np.full(500_000, x), range(3), **OPTIONS)
    assert [(len(value), value[-1]) for value in mapped] == [(500_000, x) for x in range(3)]


def test_versions_are_appended(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree", append_mode=True) as stash:
        values = [stash.map(pid_of, [1], force=True, **OPTIONS)[0] for _ in range(2)]
        assert stash.run(pid_of, 1) == values[1]
        assert pid_of.stash.get_all(((1,), {})) == values


def test_a_time_to_live_is_kept(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree", ttl=3600) as stash:
        stash.map(pid_of, range(2), **OPTIONS).wait()
        stash.run(pid_of, 0)
        assert [round(one.expires_at - one.created_at) for one in pid_of.stash.entries()] == [3600, 3600]


def test_what_may_not_be_stored_is_not_stored_by_workers_either(folder_stash):
    @folder_stash.stashed_result(if_=lambda value: value[0] % 2 == 0)
    def keep_even(x):
        return x, os.getpid()

    mapped = folder_stash.map(keep_even, range(4), **OPTIONS)
    assert [x for x, _ in mapped] == [0, 1, 2, 3]
    assert len(keep_even.stash) == 2


@pytest.mark.parametrize("engine", ["memory", "null"])
def test_engines_that_others_cannot_write_to_are_refused_at_once(tmp_path, engine):
    with HashStash(tmp_path / "stash", engine=engine) as stash, pytest.raises(ValueError, match="write='workers'"):
        stash.map(pid_of, range(3), **OPTIONS)


def test_write_takes_two_words(folder_stash):
    with pytest.raises(ValueError, match="'parent' or 'workers'"):
        folder_stash.map(pid_of, range(3), write="worker", progress=False)


def warned(stash, function, objects, **options):
    """The results of a map, and what it has warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mapped = stash.map(function, range(objects) if type(objects) is int else objects, **{**OPTIONS, **options})
        mapped.wait()
    return mapped, [str(one.message) for one in caught if one.category is RuntimeWarning]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
def test_a_worker_that_cannot_write_sends_its_results_home_with_one_warning(folder_stash):
    def without_files(x):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # of the worker alone
        return x * 2

    try:
        mapped, messages = warned(folder_stash, without_files, 6)
        assert mapped.results == [0, 2, 4, 6, 8, 10]
        assert len(messages) == 1
        assert "could not be stored by the workers, so that this process stores them" in messages[0]
        assert all(folder_stash.map(without_files, range(6), **OPTIONS).was_cached)
    finally:
        pools.close_pools()


def test_a_full_server_returns_the_results_with_one_warning(start_redis):
    server = start_redis("--maxmemory 3mb", "--maxmemory-policy noeviction")
    with HashStash(f"{server.url}/tests") as stash:
        mapped, messages = warned(stash, os.urandom, [3_000_000, 3_000_001])
        assert [len(value) for value in mapped] == [3_000_000, 3_000_001]
        assert len(messages) == 1


def test_a_server_with_a_password_is_written_to_by_our_own_workers(start_redis, no_writing_here):
    server = start_redis("--requirepass secret")
    url = server.url.replace("redis://", "redis://:secret@")
    with HashStash(f"{url}/tests") as stash:
        mapped, messages = warned(stash, pid_of, 4)
        assert (len(mapped.results), messages) == (4, [])
        assert all(stash.map(pid_of, range(4), **OPTIONS).was_cached)
        assert b"secret" not in pickle.dumps(stash)
        assert "secret" not in str(stash.to_dict())


def test_a_function_uses_the_stash_of_a_server_with_a_password_in_our_workers(start_redis):
    server = start_redis("--requirepass secret")
    with HashStash(f"{server.url.replace('redis://', 'redis://:secret@')}/tests") as stash:
        stash["shift"] = 5
        assert stash.map(lambda x: x + stash["shift"], range(3), num_proc=2, progress=False).results == [5, 6, 7]


@pytest.fixture
def foreign_pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.slow
def test_other_workers_are_not_told_the_password_and_the_parent_stores_with_one_warning(start_redis, foreign_pool):
    server = start_redis("--requirepass secret")
    with HashStash(f"{server.url.replace('redis://', 'redis://:secret@')}/tests") as stash:
        mapped, messages = warned(stash, pid_of, 4, executor=foreign_pool)
        assert [x for x, _ in mapped] == [0, 1, 2, 3]
        assert os.getpid() not in {pid for _, pid in mapped}
        assert len(messages) == 1
        assert "password" in messages[0].lower()
        assert "secret" not in messages[0]
        assert all(stash.map(pid_of, range(4), **OPTIONS).was_cached)


@pytest.mark.slow
def test_other_workers_take_the_password_from_the_environment(start_redis, foreign_pool, monkeypatch, no_writing_here):
    server = start_redis("--requirepass secret")
    monkeypatch.setenv("HASHSTASH_PASSWORD", "secret")
    with HashStash(f"{server.url}/tests") as stash:
        mapped, messages = warned(stash, pid_of, 4, executor=foreign_pool)
        assert [x for x, _ in mapped] == [0, 1, 2, 3]
        assert messages == []


@pytest.mark.slow
def test_another_users_worker_stores_data_and_sends_objects_home_to_be_signed(folder_stash, tmp_path):
    """A worker on another machine has a signing key of its own, which the parent does not trust."""

    class Elsewhere:
        """Runs each task in a process of another user."""

        def submit(self, function, task):
            from concurrent.futures import Future

            done = subprocess.run(
                [sys.executable, "-c", CALL],
                input=pickle.dumps((function, task)),
                capture_output=True,
                check=True,
                timeout=PATIENCE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_STATE_HOME": str(tmp_path / "theirs")},
            )
            future = Future()
            future.set_result(done.stdout)
            return future

    for function, expected in ((abs, [0, 1, 2]), (named, ["item 0", "item 1", "item 2"])):
        mapped, messages = warned(folder_stash, function, 3, executor=Elsewhere(), chunksize=3)
        assert [getattr(value, "name", value) for value in mapped] == expected
        assert messages == []
        again = folder_stash.map(function, range(3), **OPTIONS)
        assert [getattr(value, "name", value) for value in again] == expected
        assert all(again.was_cached)
    assert (tmp_path / "theirs").exists()
    trust._keyrings.clear()


CALL = "import pickle, sys; f, x = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(f(x))"


def test_another_process_finds_what_the_workers_have_stored(folder_stash, tmp_path):
    program = (
        "import sys\nfrom hashstash import HashStash\ndef double(x): return x * 2\n"
        "mapped = HashStash(sys.argv[1], engine='pairtree').map(double, range(4), num_proc=2, write='workers', progress=False)\n"
        "print(mapped.results, sum(mapped.was_cached))\n"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "programs")],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for _ in range(2)
    ]
    assert shown == ["[0, 2, 4, 6] 0\n", "[0, 2, 4, 6] 4\n"]
