"""Maps over a Dask cluster of two worker processes: small tasks, lost workers, closed clients."""

import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.errors import WorkerDied

pytest.importorskip("cloudpickle")
distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    # Of the cluster's own sockets and loops, when it is closed.
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning:distributed.*"
    ),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PATIENCE = 100


class Named:
    def __init__(self, name):
        self.name = name


class OwnError(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")
        self.code = code


def new_cluster():
    import dask

    dask.config.set({"distributed.worker.daemon": True, "distributed.admin.log-format": "%(message)s"})
    return distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("dask"))  # where it puts its scratch folder
    try:
        with new_cluster() as made:
            yield made
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def client(cluster):
    with distributed.Client(cluster) as made:
        yield made


@pytest.fixture(params=["client", "its executor"])
def executor(request, client):
    return client if request.param == "client" else client.get_executor()


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree") as opened:
        yield opened


def until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def pids_of(client):
    return list(client.run(os.getpid).values())


def whole(client, count=2):
    """Wait until the cluster has all its workers again."""
    client.wait_for_workers(count, timeout=PATIENCE)
    until(lambda: len(client.ncores()) == count)


def test_results_come_in_order_from_other_processes(stash, executor):
    mapped = stash.map(lambda x: (x, os.getpid()), range(20), executor=executor, progress=False)
    assert [x for x, _ in mapped] == list(range(20))
    assert os.getpid() not in {pid for _, pid in mapped}
    assert all(stash.map(lambda x: (x, os.getpid()), range(20), executor=executor, progress=False).was_cached)


def test_closures_classes_and_errors_of_the_user(stash, executor):
    prefix = "item "

    def compute(x):
        if x == 2:
            raise OwnError(code=7)
        return Named(f"{prefix}{x}")

    values = stash.map(compute, range(4), executor=executor, errors="return", progress=False).results
    assert [type(value) for value in values] == [Named, Named, OwnError, Named]
    assert [values[0].name, values[2].code, values[2].args] == ["item 0", 7, ("code 7",)]


def test_a_thousand_small_items_are_few_tasks(stash, client):
    before = set(client.who_has())
    counted = []
    submit = client.submit

    def counting(*args, **kwargs):
        counted.append(args)
        return submit(*args, **kwargs)

    client.submit = counting
    try:
        assert sum(stash.map(lambda x: x, range(1000), executor=client, progress=False)) == 499_500
    finally:
        del client.submit
    assert 1 <= len(counted) < 60
    until(lambda: gc.collect() >= 0 and set(client.who_has()) <= before)  # and the cluster does not keep their results


def test_the_same_map_is_computed_again_when_it_is_forced(stash, client):
    values = [
        stash.map(lambda x: time.time_ns(), [1], executor=client, force=True, progress=False)[0] for _ in range(2)
    ]
    assert values[0] != values[1]


def test_megabytes_go_there_and_back(stash, client):
    values = stash.map(
        lambda data: data * 2, [bytes([n]) * 4_000_000 for n in range(3)], executor=client, progress=False
    )
    assert [(len(value), value[0]) for value in values] == [(8_000_000, n) for n in range(3)]


def test_large_arrays_come_back(stash, client):
    np = pytest.importorskip("numpy")
    values = stash.map(lambda x: np.full(1_000_000, x), range(3), executor=client, progress=False).results
    assert [(value.nbytes, value[-1]) for value in values] == [(8_000_000, n) for n in range(3)]


def test_a_map_within_a_map_stays_in_its_worker(stash, client):
    def outer(x, inner):
        return os.getpid(), inner.map(lambda y: (x, y, os.getpid()), range(3), num_proc=3, progress=False).results

    for pid, inside in stash.map(outer, range(2), inner=stash.sub("inner"), executor=client, progress=False):
        assert {other for _, _, other in inside} == {pid}


def test_a_cluster_of_threads_in_this_process(stash, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as threads:
        mapped = stash.map(lambda x: (x, os.getpid()), range(50), executor=threads, progress=False)
        assert mapped.results == [(x, os.getpid()) for x in range(50)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_time(stash, client, tmp_path):
    def compute(x, folder):
        Path(folder, str(x)).touch()
        time.sleep(0.2)
        return x * x

    whole(client)
    folder = tmp_path / "begun"
    folder.mkdir()
    mapped = stash.map(compute, range(20), folder=str(folder), executor=client, chunksize=1, progress=False)
    until(lambda: len(os.listdir(folder)) >= 3)
    os.kill(pids_of(client)[0], signal.SIGKILL)
    assert mapped.results == [x * x for x in range(20)]
    whole(client)


def test_an_item_that_kills_every_worker_fails_alone(stash, client):
    def compute(x):
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    def allow(failures):
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", failures))

    whole(client)
    allow(0)  # else Dask tries four times before it gives up
    try:
        values = stash.map(compute, range(4), executor=client, chunksize=1, errors="return", progress=False).results
    finally:
        allow(3)
    assert isinstance(values[1], WorkerDied)
    assert [values[0], values[2], values[3]] == [0, 2, 3]
    whole(client)


def _queued(dask_worker):
    """How many tasks a worker has besides what it is computing and what it has computed."""
    states = [task.state for task in dask_worker.state.tasks.values()]
    return sum(state in {"ready", "waiting", "constrained", "fetch"} for state in states)


def test_cancelling_takes_back_what_is_queued(stash, client, tmp_path):
    def compute(x, folder):
        Path(folder, str(x)).touch()
        while not os.path.exists(f"{folder}/go"):
            time.sleep(0.02)
        return x

    whole(client)
    folder = tmp_path / "begun"
    folder.mkdir()
    mapped = stash.map(compute, range(30), folder=str(folder), executor=client, chunksize=1, progress=False)
    try:
        until(lambda: len(os.listdir(folder)) == 2)
        assert mapped.cancel()
        until(lambda: not any(client.run(_queued).values()))
        assert len(os.listdir(folder)) == 2
    finally:
        (folder / "go").touch()
    assert {run.state for run in mapped.runs} <= {"cancelled", "computed"}
    mapped.resume()
    assert mapped.results == list(range(30))


def test_a_closed_client_is_refused_at_once(stash, cluster):
    closed = distributed.Client(cluster)
    closed.close()
    with pytest.raises(ValueError, match="is closed"):
        stash.map(lambda x: x, range(3), executor=closed, progress=False)


def test_a_client_that_is_closed_during_a_map_is_an_error_and_what_is_finished_stays(stash, cluster, tmp_path):
    def compute(x, folder):
        Path(folder, str(x)).touch()
        while x > 1 and not os.path.exists(f"{folder}/go"):
            time.sleep(0.02)
        return x

    folder = tmp_path / "begun"
    folder.mkdir()
    own = distributed.Client(cluster)
    mapped = stash.map(
        compute, range(6), folder=str(folder), executor=own, chunksize=1, errors="return", progress=False
    )
    until(lambda: len(os.listdir(folder)) >= 3 and mapped.runs[0].done and mapped.runs[1].done)
    own.close()
    (folder / "go").touch()
    assert mapped.wait(PATIENCE)
    values = mapped.results
    assert values[:2] == [0, 1]
    assert isinstance(values[5], WorkerDied)


def test_when_all_workers_are_gone_the_items_say_so_and_what_is_finished_stays(stash, tmp_path, monkeypatch):
    def compute(x, folder):
        Path(folder, str(x)).touch()
        while x > 1:
            time.sleep(0.02)
        return x

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "begun"
    folder.mkdir()
    with new_cluster() as own, distributed.Client(own) as client:
        mapped = stash.map(
            compute, range(6), folder=str(folder), executor=client, chunksize=1, errors="return", progress=False
        )
        until(lambda: len(os.listdir(folder)) >= 4 and mapped.runs[0].done and mapped.runs[1].done)
        own.scale(0)
        assert mapped.wait(PATIENCE)
        values = mapped.results
        assert values[:2] == [0, 1]
        assert [isinstance(value, WorkerDied) for value in values[2:]] == [True] * 4
        assert "no worker" in str(values[5])


def test_maps_of_two_threads_at_once(stash, client):
    found = {}

    def run(number):
        found[number] = stash.map(lambda x: x + number, range(50), executor=client, progress=False).results

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {number: list(range(number, number + 50)) for number in range(3)}


def test_functions_and_classes_of_a_program(cluster, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        print("once")
        import distributed
        from hashstash import HashStash

        class Point:
            def __init__(self, x):
                self.x = x

        def make(x):
            return Point(x + SHIFT)

        SHIFT = 3
        client = distributed.Client({cluster.scheduler_address!r})
        stash = HashStash({str(tmp_path / "of the program")!r}, engine="pairtree")
        for _ in range(2):
            mapped = stash.map(make, range(4), executor=client, progress=False)
            print([point.x for point in mapped], {{type(point) is Point for point in mapped}}, sum(mapped.was_cached))
        SHIFT = 4
        print([point.x for point in stash.map(make, range(4), executor=client, progress=False)])
        client.close()
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=PATIENCE, env=environment, cwd=tmp_path
    )
    assert done.stdout == "once\n[3, 4, 5, 6] {True} 0\n[3, 4, 5, 6] {True} 4\n[4, 5, 6, 7]\n", done.stderr


def test_functions_classes_and_closures_of_a_notebook(cluster, tmp_path, monkeypatch):
    manager = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    cells = (
        (
            f"import distributed\nfrom hashstash import HashStash\nclient = distributed.Client({cluster.scheduler_address!r})\n"
            f"stash = HashStash({str(tmp_path / 'of the notebook')!r}, engine='pairtree')\n"
            "options = {'executor': client, 'progress': False}"
        ),
        "class Point:\n    def __init__(self, x):\n        self.x = x\nSHIFT = 3",
        "def make(x):\n    return Point(x + SHIFT)\ndef adder(y):\n    return lambda x: x + y",
        (
            "mapped = stash.map(make, range(3), **options)\n"
            "found = [point.x for point in mapped], {type(point) is Point for point in mapped}"
        ),
        "SHIFT = 4",
        "found += [point.x for point in stash.map(make, range(3), **options)],",
        "found += stash.map(adder(7), range(3), **options).results, sum(stash.map(make, range(3), **options).was_cached)",
        "client.close()\nprint(found)",
    )
    running, client = manager.start_new_kernel(kernel_name="python3", startup_timeout=PATIENCE, cwd=str(tmp_path))
    shown = []
    try:
        for code in cells:
            reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=shown.append)
            assert reply["content"]["status"] == "ok", reply["content"].get("traceback")
    finally:
        client.stop_channels()
        running.shutdown_kernel(now=True)
    printed = "".join(message["content"]["text"] for message in shown if message["msg_type"] == "stream")
    assert printed == "([3, 4, 5], {True}, [4, 5, 6], [7, 8, 9], 3)\n"
