"""Maps in two real kernels, one after the other, on one stash: what the first computed, the second finds."""

import json
import os
import signal
import sys

import pytest

pytest.importorskip("cloudpickle", reason="the package cloudpickle is not installed")
pytest.importorskip("ipykernel", reason="the package ipykernel is not installed")
manager = pytest.importorskip("jupyter_client.manager", reason="the package jupyter_client is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="interrupts are signals")]

PATIENCE = 100
CELLS = {
    "setup": """
import dataclasses, json, os, time
from hashstash import HashStash
stash = HashStash(os.environ["STASH"], engine="pairtree")
options = {"executor": "processes", "num_proc": 2, "progress": False}
K = 3
""",
    "definitions": """
@dataclasses.dataclass
class Point:
    x: int
    def scaled(self):
        return self.x * K

def helper(x):
    return x + K

def point(x):
    return Point(x)

def using(x):
    return stash.run(helper, x)

@stash.stashed_result
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def outer(n):
    return fib(n)
""",
    "points": """
points = stash.map(point, [1, 2], **options)
K = 10
live = [point.scaled() for point in points]
K = 3
print(json.dumps([[type(point) is Point for point in points], points.was_cached, live]))
""",
    "helpers": """
made = stash.map(using, [1, 2], **options)
print(json.dumps([made.results, stash.map(helper, [1, 2], num_proc=1, progress=False).was_cached]))
""",
    "recursion": """
made = stash.map(outer, [20], **options)
print(json.dumps([made.results, stash.map(fib, range(21), num_proc=1, progress=False).was_cached.count(True)]))
""",
    "interrupted": """
def slow(x):
    if x == 2:
        print("waiting", flush=True)
        time.sleep(600)
    return x
interrupted = stash.map(slow, range(4), num_proc=1, progress=False)
""",
    "after": """
print(json.dumps([[run.state for run in interrupted.runs], interrupted[:2], interrupted.done]))
""",
    "shown": "points",
}


class Kernel:
    def __init__(self, folder):
        environment = {**os.environ, "STASH": str(folder / "stash"), "IPYTHONDIR": str(folder)}
        environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self.manager = manager.KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, name, *, interrupt_at=None):
        """What a cell has printed, and what it has displayed."""
        printed, displayed = [], []

        def show(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
                if interrupt_at is not None and interrupt_at in content["text"]:
                    os.kill(self.manager.provisioner.pid, signal.SIGINT)
            elif message["msg_type"] == "execute_result":
                displayed.append(content["data"])

        reply = self.client.execute_interactive(CELLS[name], timeout=PATIENCE, output_hook=show, store_history=True)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        return "".join(printed), displayed

    def told(self, name):
        return json.loads(self.run(name)[0])


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """What the cells have told in the first and in the second kernel."""
    folder = tmp_path_factory.mktemp("notebook")
    runs = []
    for _ in range(2):
        kernel = Kernel(folder)
        try:
            kernel.run("setup")
            kernel.run("definitions")
            told = {name: kernel.told(name) for name in ("points", "helpers", "recursion")}
            told["interrupted"] = kernel.run("interrupted", interrupt_at="waiting")[0]
            told["after"] = kernel.told("after")
            (told["shown"],) = kernel.run("shown")[1]
            runs.append(told)
        finally:
            kernel.client.stop_channels()
            kernel.manager.shutdown_kernel(now=True)
    return runs


def test_results_are_instances_of_the_cells_class_and_see_the_notebooks_names(kernels):
    kinds, was_cached, live = kernels[0]["points"]
    assert kinds == [True, True]
    assert was_cached == [False, False]
    assert live == [10, 20]


def test_a_second_kernel_finds_them(kernels):
    kinds, was_cached, live = kernels[1]["points"]
    assert kinds == [True, True]
    assert was_cached == [True, True]
    assert live == [10, 20]


def test_what_a_worker_stored_through_the_stash_is_found_by_the_notebook(kernels):
    assert kernels[0]["helpers"] == kernels[1]["helpers"] == [[4, 5], [True, True]]


def test_a_memoized_recursion_in_a_worker_is_found_by_the_notebook(kernels):
    assert kernels[0]["recursion"] == kernels[1]["recursion"] == [[6765], 21]


@pytest.mark.parametrize("number", [0, 1])
def test_an_interrupted_cell_has_a_map_with_what_was_finished(kernels, number):
    assert kernels[number]["after"] == [
        ["computed" if number == 0 else "cached"] * 2 + ["cancelled"] * 2,
        [0, 1],
        False,
    ]
    assert "was interrupted after 2 of 4 items" in kernels[number]["interrupted"]


def test_a_map_is_shown_as_text_and_as_a_table(kernels):
    shown = kernels[0]["shown"]
    assert shown["text/plain"].startswith("StashMap([StashMapRun(__main__.point(1) >>> Point(x=1)),")
    assert "<table" in shown["text/html"]
