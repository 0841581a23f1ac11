"""Maps in real kernels, with worker processes: what cells define, what two kernels share, what an interrupt leaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
pytest.importorskip("cloudpickle")

import driver  # noqa: E402

PYTHONS = driver.PYTHONS
PATIENCE = 60.0
LONG = 10
"""Items from this one on take five minutes, unless there is a file named ``fast``."""
SETUP = f"""
import os, time
from hashstash import HashStash
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
def doubled(x): return Point(2 * x)
def log(x):
    with open(os.environ['COUNTER_FILE'], 'a') as file:
        file.write(f'{{os.getpid()}} {{x}}\\n')
def f(x):
    log(x)
    return x * 2
def slow(x):
    log(x)
    if x >= {LONG} and not os.path.exists('fast'):
        time.sleep(300)
    return x
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Notebook:
    """A kernel with the functions above, and the calls that they logged."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        self.kernel = driver.Kernel(str(python), folder, {"HASHSTASH_STATUS": "line"})
        self.pid = int(self.evaluate("__import__('os').getpid()"))
        self.run("%load_ext hashstash")
        self.run(SETUP)

    def run(self, code: str) -> driver.Answer:
        answer = self.kernel.run(code)
        assert answer.error is None, answer.traceback
        return answer

    def evaluate(self, expression: str) -> str:
        return self.kernel.evaluate({"x": expression})["x"]

    def calls(self) -> list[tuple[int, int]]:
        """The process and the item of every call so far."""
        path = self.folder / "count.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), int(item)) for pid, item in map(str.split, lines)]

    def forget_calls(self) -> None:
        (self.folder / "count.txt").unlink(missing_ok=True)

    def interrupted(self, code: str) -> driver.Answer:
        """Run a cell, and interrupt it once a long item has begun."""
        (self.folder / "fast").unlink(missing_ok=True)
        self.forget_calls()

        def interrupt() -> None:
            wait_until(lambda: any(item >= LONG for _, item in self.calls()))
            os.kill(self.pid, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            return self.kernel.run(code)
        finally:
            thread.join()


def wait_until(is_so) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def is_working(pid: int) -> bool:
    """Whether a process of that number is there, and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module", params=PYTHONS)
def notebook(request, tmp_path_factory):
    if not PYTHONS[request.param].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    opened = Notebook(PYTHONS[request.param], tmp_path_factory.mktemp("notebook"))
    opened.python = PYTHONS[request.param]
    yield opened
    opened.kernel.stop()


@pytest.fixture(autouse=True)
def fresh(notebook):
    notebook.forget_calls()


def test_what_cells_define_works_in_worker_processes(notebook):
    notebook.run("def where(x): return os.getpid(), doubled(x)\nr = %stash_map -j 2 --procs -n where where range(4)")
    assert notebook.evaluate("[point for _, point in r] == [doubled(x) for x in range(4)]") == "True"
    assert notebook.evaluate("{type(point) for _, point in r} == {Point}") == "True"
    assert notebook.evaluate("os.getpid() in [pid for pid, _ in r]") == "False"


def test_a_lambda_that_uses_a_helper_works_in_worker_processes(notebook):
    notebook.run("r = %stash_map -j 2 --procs lambda x: doubled(x).x + 1 [1, 2]")
    assert notebook.evaluate("list(r)") == "[3, 5]"


def test_two_kernels_share_results(notebook):
    notebook.run("%stash_map -n shared -j 2 --procs f range(6);")
    other = Notebook(notebook.python, notebook.folder)
    try:
        other.run("r = %stash_map -n shared -j 2 --procs f range(8)")
        assert other.evaluate("r.was_cached == [True] * 6 + [False] * 2") == "True"
        assert other.evaluate("list(r) == list(range(0, 16, 2))") == "True"
    finally:
        other.kernel.stop()
    assert sorted(item for _, item in notebook.calls()) == list(range(8))


def test_an_interrupt_stops_the_workers_and_keeps_what_is_done(notebook):
    answer = notebook.interrupted("r = %stash_map -n i1 -j 2 --procs --chunk 1 slow range(40)\nprint('went on')")
    assert answer.error is None
    assert "went on" in answer.text("stdout")
    told = [text for _, text in answer.statuses if "interrupted" in text]
    assert len(told) == 1
    assert f"{notebook.evaluate('r.tally.done')} of 40 items are done and kept" in told[0]
    assert 1 <= int(notebook.evaluate("r.tally.done")) <= LONG
    assert notebook.evaluate("[run.result == run.index for run in r.runs if run.done].count(False)") == "0"
    at_long = {pid for pid, item in notebook.calls() if item >= LONG}
    assert notebook.pid not in at_long
    wait_until(lambda: not any(map(is_working, at_long)))


def test_an_item_that_was_not_reached_says_so_and_resume_goes_on(notebook):
    notebook.interrupted("r = %stash_map -n i2 -j 2 --procs --chunk 1 slow range(20)")
    error = notebook.kernel.run("r[19]")
    assert error.error == "NotComputed"
    assert "resume()" in error.traceback
    done = int(notebook.evaluate("r.tally.done"))
    (notebook.folder / "fast").touch()
    notebook.forget_calls()
    notebook.run("r.resume().wait()")
    assert notebook.evaluate("list(r) == list(range(20))") == "True"
    assert len(notebook.calls()) == 20 - done


def test_an_interrupt_of_a_serial_map_returns_the_map_too(notebook):
    answer = notebook.interrupted("r = %stash_map -n i3 --serial slow range(40)\nprint('went on')")
    assert answer.error is None
    assert "went on" in answer.text("stdout")
    told = answer.text("stderr") + str(answer.statuses)
    assert told.count(f"interrupted after {LONG} of 40 items") == 1
    assert notebook.evaluate("r[:3], r.done") == "([0, 1, 2], False)"


def test_an_interrupted_serial_stash_map_in_a_plain_cell_is_bound(notebook):
    answer = notebook.interrupted("q = HashStash('plain').map(slow, range(40), num_proc=1)")
    assert answer.error is None
    assert notebook.evaluate("q.tally.done, q.done") == f"({LONG}, False)"


def test_an_interrupt_while_a_plain_cell_waits_is_raised_and_stops_the_map(notebook):
    answer = notebook.interrupted(
        "q = HashStash('plain2').map(slow, range(40), num_proc=2, executor='processes', chunksize=1)\nq.wait()"
    )
    assert answer.error == "KeyboardInterrupt"
    assert notebook.evaluate("q.done") == "False"
    assert notebook.evaluate("'running' in [run.state for run in q.runs]") == "False"
    wait_until(lambda: not any(is_working(pid) for pid, item in notebook.calls() if item >= LONG))


def test_an_interrupt_within_a_stashed_cell_keeps_the_cell_from_being_stored(notebook):
    answer = notebook.interrupted("%%stash t1\nr = %stash_map -n i4 -j 2 --procs --chunk 1 slow range(40)")
    assert answer.error is None
    assert any("not cached" in text and "of `r` were not computed" in text for _, text in answer.statuses)


def test_an_interrupt_while_a_stashed_cell_waits_for_its_map_is_raised(notebook):
    cell = "%%stash t2\nr = HashStash('plain3').map(slow, range(40), num_proc=2, executor='processes', chunksize=1)"
    answer = notebook.interrupted(cell)
    assert answer.error == "KeyboardInterrupt"
    assert notebook.evaluate("r.done") == "False"
    (notebook.folder / "fast").touch()
    answer = notebook.run(cell)
    assert not any("hit" in text for _, text in answer.statuses)
    assert notebook.evaluate("list(r) == list(range(40))") == "True"


def test_a_wrong_line_shows_no_traceback(notebook):
    answer = notebook.kernel.run("%stash_map -j 0 f [1]")
    assert answer.error is not None
    assert "-j is 0" in answer.text("stderr") + answer.traceback
    assert "Traceback" not in answer.text("stderr") + answer.traceback


def test_completion_in_a_kernel(notebook):
    notebook.run("unusual_items = [1]\ndef unusual_function(x): return x")
    client = notebook.kernel.client
    code = "y = 1\nr = %stash_map -j 2 unusual_function unus"
    reply = client.complete(code, reply=True, timeout=PATIENCE)
    assert reply["content"]["matches"] == ["unusual_items"]
