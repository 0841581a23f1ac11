"""Maps in a real kernel: what is defined in cells, what workers print, and what is left when the kernel is restarted."""

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("cloudpickle")
pytest.importorskip("ipykernel")
manager = pytest.importorskip("jupyter_client.manager")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")]

PATIENCE = 100
SETUP = """
import os, sys, time
from pathlib import Path
from hashstash import HashStash
stash = HashStash(os.environ["STASH"], engine="pairtree")
options = {"num_proc": 2, "chunksize": 1, "progress": False}
"""


class Kernel:
    """A kernel in a folder, as a notebook there has it."""

    def __init__(self, folder):
        variables = {"STASH": str(folder / "stash"), "PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(folder)}
        environment = {**os.environ, **variables, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        environment.pop("PYTEST_CURRENT_TEST", None)  # kernels show less of their children where they see it
        self.folder = folder
        self.manager = manager.KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, code):
        """What the cell has printed; fails if it has raised."""
        shown = []

        def show(message):
            if message["msg_type"] == "stream":
                shown.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=PATIENCE, output_hook=show, store_history=True)
        content = reply["content"]
        assert content["status"] == "ok", "\n".join(content.get("traceback", []))
        return "".join(shown)

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    made = Kernel(tmp_path_factory.mktemp("notebook"))
    try:
        made.run(SETUP)
        yield made
    finally:
        made.stop()


def until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_functions_and_classes_of_cells(kernel):
    kernel.run("class Point:\n    def __init__(self, x):\n        self.x = x\nSHIFT = 3")
    kernel.run("def helper(x):\n    return x + SHIFT\ndef make(x):\n    return Point(helper(x))")
    code = (
        "mapped = stash.map(make, range(4), **options)\n"
        "print([point.x for point in mapped], {type(point) is Point for point in mapped}, sum(mapped.was_cached))"
    )
    assert kernel.run(code) == "[3, 4, 5, 6] {True} 0\n"
    assert kernel.run(code) == "[3, 4, 5, 6] {True} 4\n"


def test_an_edited_cell_is_computed_anew_by_warm_workers(kernel):
    kernel.run("def aid(x): return x + 1\ndef f(x): return aid(x)")
    assert kernel.run("print(stash.map(f, range(3), **options).results)") == "[1, 2, 3]\n"
    kernel.run("def aid(x): return x * 10")
    assert kernel.run("print(stash.map(f, range(3), **options).results)") == "[0, 10, 20]\n"
    kernel.run("def aid(x): return x + 1")
    assert kernel.run("print(stash.map(f, range(3), **options).was_cached)") == "[True, True, True]\n"


def test_lambdas_and_closures_over_frames(kernel):
    pytest.importorskip("pandas")
    kernel.run("import pandas as pd\nframe = pd.DataFrame({'x': range(10)})")
    assert kernel.run("print(stash.map(lambda i: int(frame.x[i]) + 1, range(3), **options).results)") == "[1, 2, 3]\n"
    kernel.run("def adder(frame):\n    return lambda i: int(frame.x.sum()) + i")
    assert kernel.run("print(stash.map(adder(frame), range(3), **options).results)") == "[45, 46, 47]\n"


def test_what_workers_print_is_seen_in_the_notebook(kernel):
    shown = kernel.run("stash.map(lambda x: print(f'item {x}'), range(3), **options).wait(); time.sleep(1)")
    assert sorted(line for line in shown.splitlines() if line) == ["item 0", "item 1", "item 2"]


def test_a_module_beside_the_notebook_and_its_edits(kernel):
    module = kernel.folder / "beside.py"
    module.write_text("def f(x):\n    return x + 1\n")
    assert kernel.run("import beside\nprint(stash.map(beside.f, range(3), **options).results)") == "[1, 2, 3]\n"
    module.write_text("def f(x):\n    return x * 100\n")
    kernel.run("import importlib; importlib.reload(beside)")
    assert kernel.run("print(stash.map(beside.f, range(3), **options).results)") == "[0, 100, 200]\n"


def test_a_module_that_autoreload_has_reloaded(kernel):
    module = kernel.folder / "automatic.py"
    module.write_text("def f(x):\n    return x + 1\n")
    kernel.run("%load_ext autoreload\n%autoreload 2\nimport automatic")
    assert kernel.run("print(stash.map(automatic.f, range(3), **options).results)") == "[1, 2, 3]\n"
    module.write_text("def f(x):\n    return x * 100 + 0\n")
    assert kernel.run("print(stash.map(automatic.f, range(3), **options).results)") == "[0, 100, 200]\n"
    kernel.run("%autoreload 0")


def test_files_beside_the_notebook_and_a_change_of_folder(kernel):
    (kernel.folder / "data.txt").write_text("beside")
    (kernel.folder / "below").mkdir()
    (kernel.folder / "below" / "data.txt").write_text("below")
    assert kernel.run("print(stash.map(lambda x: Path('data.txt').read_text(), [1, 2], **options)[0])") == "beside\n"
    kernel.run("os.chdir('below')")
    try:
        assert kernel.run("print(stash.map(lambda x: Path('data.txt').read_text(), [3, 4], **options)[0])") == "below\n"
    finally:
        kernel.run("os.chdir('..')")


PIDS = "print(*sorted(set(stash.map(lambda x: (time.sleep(.3), os.getpid())[1], range(4), force=True, **options).results)))"


def test_an_interrupt_leaves_the_workers_for_the_next_map(kernel):
    before = kernel.run(PIDS)
    message = kernel.client.execute("time.sleep(1000)")
    until(lambda: kernel.client.get_iopub_msg(timeout=PATIENCE)["content"].get("execution_state") == "busy")
    time.sleep(0.3)
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=PATIENCE)
    assert (reply["parent_header"]["msg_id"], reply["content"]["status"]) == (message, "error")
    assert kernel.run(PIDS) == before


@pytest.mark.parametrize("now", [False, True], ids=["asked to end", "killed"])
def test_a_restart_of_the_kernel_leaves_no_worker(tmp_path, now):
    own = Kernel(tmp_path)
    try:
        own.run(SETUP)
        workers = [int(pid) for pid in own.run(PIDS).split()]
        assert all(map(is_there, workers))
        own.manager.restart_kernel(now=now)
        until(lambda: not any(map(is_there, workers)))
    finally:
        own.stop()
