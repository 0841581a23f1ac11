"""Maps over the engines of an ipyparallel cluster: errors come back as themselves, lost engines are said."""

import logging
import os
import signal
import time

import pytest

from hashstash import HashStash
from hashstash.errors import WorkerDied

pytest.importorskip("cloudpickle")
ipyparallel = pytest.importorskip("ipyparallel")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PATIENCE = 100


class OwnError(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")
        self.code = code


class Named:
    def __init__(self, name):
        self.name = name


def until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ipython")
    before = os.environ.get("IPYTHONDIR")
    os.environ["IPYTHONDIR"] = str(folder)
    cluster = ipyparallel.Cluster(
        n=2, controller_ip="127.0.0.1", log_level=logging.CRITICAL, profile_dir=str(folder / "profile")
    )
    try:
        try:
            made = cluster.start_and_connect_sync()
            made.wait_for_engines(2, timeout=60, interactive=False)
        except Exception as error:
            pytest.skip(f"the controller does not start: {error}")
        yield made
        made.close()
    finally:
        cluster.stop_cluster_sync()
        if before is None:
            del os.environ["IPYTHONDIR"]
        else:
            os.environ["IPYTHONDIR"] = before


@pytest.fixture(params=["client", "its executor", "a direct view", "a balanced view"])
def executor(request, client):
    return {
        "client": lambda: client,
        "its executor": client.executor,
        "a direct view": lambda: client[:],
        "a balanced view": client.load_balanced_view,
    }[request.param]()


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree") as opened:
        yield opened


def test_results_come_in_order_from_other_processes_and_once_each(stash, executor):
    mapped = stash.map(lambda x: (x, os.getpid()), range(20), executor=executor, progress=False)
    assert [x for x, _ in mapped] == list(range(20))
    assert os.getpid() not in {pid for _, pid in mapped}
    assert all(stash.map(lambda x: (x, os.getpid()), range(20), executor=executor, progress=False).was_cached)


def test_errors_and_classes_of_the_user_come_back_as_themselves(stash, executor):
    def compute(x):
        if x == 2:
            raise OwnError(code=7)
        return Named(f"item {x}")

    values = stash.map(compute, range(4), executor=executor, errors="return", progress=False).results
    assert [type(value) for value in values] == [Named, Named, OwnError, Named]
    assert [values[0].name, values[2].code, values[2].args] == ["item 0", 7, ("code 7",)]


def test_cancelling_takes_back_what_is_queued(stash, client):
    mapped = stash.map(lambda x: time.sleep(0.3), range(40), executor=client, chunksize=1, progress=False)
    until(lambda: sum(run.done for run in mapped.runs))
    assert mapped.cancel()
    assert {run.state for run in mapped.runs} == {"computed", "cancelled"}


def test_an_engine_that_is_lost_costs_nothing_but_time(stash, client):
    def compute(x):
        time.sleep(0.05)
        return x, os.getpid()

    mapped = stash.map(compute, range(30), executor=client, chunksize=1, progress=False)
    until(lambda: mapped.runs[3].done)
    os.kill(mapped[0][1], signal.SIGKILL)
    assert [x for x, _ in mapped] == list(range(30))


def test_a_closed_client_is_refused_at_once(stash, client):
    own = client.cluster.connect_client_sync()
    own.close()
    with pytest.raises(ValueError, match="is closed"):
        stash.map(lambda x: x, range(3), executor=own, progress=False)


def test_when_all_engines_are_gone_the_items_say_so_and_what_is_finished_stays(stash, client):
    def compute(x):
        if x > 1:
            time.sleep(1000)
        return os.getpid()

    pids = client[:].apply_sync(os.getpid)
    mapped = stash.map(compute, range(6), executor=client, chunksize=1, errors="return", progress=False)
    until(lambda: mapped.runs[0].done and mapped.runs[1].done)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert mapped.wait(PATIENCE)
    values = mapped.results
    assert [type(value) for value in values] == [int, int, *[WorkerDied] * 4]
