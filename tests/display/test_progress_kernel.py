"""Bars in real kernels, this interpreter's and that of the Colab set: what a notebook holds after it was executed."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from skips import Later, needs

nbformat, nbclient = Later("nbformat"), Later("nbclient")
needs("ipykernel")
KernelManager = pytest.importorskip("jupyter_client.manager").KernelManager

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
COLAB = Path(os.environ.get("HASHSTASH_COLAB_PYTHON", PROJECT / ".venv-colab" / "bin" / "python"))
PYTHONS = {"here": Path(sys.executable), "colab": COLAB}
WORK = """
import threading, time
from hashstash.display.progress import progress_for
from hashstash.mapping.progress import Tally

def work(kind=True, label="Mapping f", seconds=0.4, interrupted=False):
    bar = progress_for(kind)
    bar.start(label, Tally(40, cached=12))
    for done in range(29):
        tally = Tally(40, cached=12, computed=done, running=min(2, 28 - done))
        bar.update(tally)
        time.sleep(seconds / 29)
    bar.close(tally, interrupted=interrupted)
"""
FINISHED = r"40/40, 12 cached, [\d.]+ m?s"
WIDGET = "application/vnd.jupyter.widget-view+json"


class Kernel:
    """A kernel that executes cells as ``nbconvert --execute`` does, one notebook from the first to the last of them."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        manager = KernelManager(kernel_name="python3")
        manager.kernel_spec.argv[0] = str(python)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HASHSTASH", "XDG_", "CI"))}
        own = {
            "HOME": folder,
            "IPYTHONDIR": folder / "ipython",
            "PYTHONPATH": PROJECT,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        env = kept | {name: str(value) for name, value in own.items()}
        self.notebook = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(self.notebook, km=manager, timeout=120, allow_errors=True)
        self.client.log.setLevel(logging.ERROR)
        with (folder / "kernel.log").open("wb") as log:
            manager.start_kernel(env=env, cwd=str(folder), stdout=log, stderr=log)
        self.client.start_new_kernel_client()
        self.client.reset_execution_trackers()

    def run(self, code: str):
        """Run one cell and return it; its outputs are what a saved notebook would hold now."""
        cell = nbformat.v4.new_code_cell(code)
        self.notebook.cells.append(cell)
        index = len(self.notebook.cells) - 1
        self.client.execute_cell(cell, index, execution_count=index + 1, store_history=True)
        return self.notebook.cells[index]

    def stop(self) -> None:
        self.client.kc.stop_channels()
        self.client.km.shutdown_kernel(now=True)


@pytest.fixture(scope="module", params=PYTHONS)
def kernel(request, tmp_path_factory):
    if not PYTHONS[request.param].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    kernel = Kernel(PYTHONS[request.param], tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.stop()


@pytest.fixture
def run(kernel):
    """A callable that runs a cell in a fresh state of the module-wide kernel."""
    cell = kernel.run("%reset -f\n%load_ext hashstash\n" + WORK)
    assert [output for output in cell.outputs if output.output_type == "error"] == []
    return kernel.run


def text(cell) -> str:
    return "\n".join(output.data["text/plain"] for output in cell.outputs if "data" in output)


def shown(cell) -> list:
    assert [output.get("text") or output for output in cell.outputs if output.output_type != "display_data"] == []
    return [output.data for output in cell.outputs]


@pytest.mark.parametrize("kind", ["True", "'html'", "'widget'"])
def test_the_last_state_is_what_is_saved(run, kind):
    (data,) = shown(run(f"work({kind})"))
    assert sorted(data) == ["text/html", "text/plain"]
    assert re.fullmatch("Mapping f: " + FINISHED, data["text/plain"])
    assert re.search(r"Mapping f: <b>40/40</b>, 12 cached, [\d.]+ m?s", data["text/html"])


def test_the_saved_output_carries_no_mark_of_ours(run):
    assert run("work()").outputs[0].metadata == {}


def test_an_interrupted_bar_says_so(run):
    assert re.fullmatch(
        r"40/40, 12 cached, interrupted after [\d.]+ m?s", text(run("work(label='', interrupted=True)"))
    )


def test_markup_in_a_label_is_text(run):
    (data,) = shown(run("work(label='<b>&amp;</b><script>alert(1)</script>', seconds=0)"))
    assert data["text/plain"].startswith("<b>&amp;</b><script>alert(1)</script>: 40/40")
    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;&lt;script&gt;" in data["text/html"]


def test_the_html_needs_no_script_and_names_nothing(run):
    (data,) = shown(run("work(seconds=0)"))
    assert re.findall(r"<(\w+)", data["text/html"]) == ["div", "b", "div", "div", "div"]
    assert not re.search(r"\b(id|class|on\w+)=", data["text/html"])


def test_two_bars_are_two_displays(run):
    code = "outer = progress_for(True); outer.start('outer', Tally(1)); work(); outer.close(Tally(1, computed=1))"
    outer, inner = shown(run(code))
    assert outer["text/plain"].startswith("outer: 1/1, ")
    assert inner["text/plain"].startswith("Mapping f: 40/40, ")


@pytest.mark.parametrize("kind", ["'html'", "'widget'"])
def test_a_bar_goes_on_when_its_cell_is_over(run, kind):
    code = f"""
    bar = progress_for({kind})
    bar.start("f", Tally(40))
    def rest():
        for done in range(40):
            bar.update(Tally(40, computed=done))
            time.sleep(0.02)
        bar.close(Tally(40, computed=40))
    thread = threading.Thread(target=rest)
    thread.start()
    """
    cell = run(code)
    run("thread.join()")
    run("pass")
    assert re.fullmatch(r"f: 40/40, [\d.]+ m?s", text(cell))
    assert WIDGET not in shown(cell)[0]


def test_a_bar_that_ends_between_two_cells_is_saved_as_it_ended(run, kernel):
    """Who executes a notebook hears nothing between its cells, so the end is told once more in the next one."""
    code = """
    from pathlib import Path
    def end():
        while not Path("now").exists():
            time.sleep(0.01)
        bar.close(Tally(2, computed=2))
        Path("ended").touch()
    bar = progress_for(True)
    bar.start("f", Tally(2))
    thread = threading.Thread(target=end)
    thread.start()
    """
    cell = run(code)
    (kernel.folder / "now").touch()
    end = time.monotonic() + 60
    while not (kernel.folder / "ended").exists():
        assert time.monotonic() < end, "the bar was not closed"
        time.sleep(0.01)
    assert text(cell).startswith("f: 0/2")
    run("pass")
    assert re.fullmatch(r"f: 2/2, [\d.]+ m?s", text(cell))
    assert run("pass").outputs == []


def test_a_widget_stands_in_while_the_work_runs(run):
    (data,) = shown(run("bar = progress_for('widget'); bar.start('f', Tally(3))"))
    assert WIDGET in data
    assert data["text/plain"].startswith("f: 0/3")
    assert "f: <b>0/3</b>" in data["text/html"]


def test_a_widget_is_closed_with_its_bar(run):
    code = """
    import gc, ipywidgets
    module = ipywidgets.widgets.widget
    known = getattr(module, "_instances", None)
    known = ipywidgets.Widget.widgets if known is None else known
    before = [w for w in known.values() if isinstance(w, ipywidgets.HTML)]
    work("widget", seconds=0)
    print(len([w for w in known.values() if isinstance(w, ipywidgets.HTML)]) - len(before))
    """
    pieces = [output.text for output in run(code).outputs if output.output_type == "stream" and output.name == "stdout"]
    assert "".join(pieces).endswith("0\n")  # which may come in two


def test_a_widget_that_cannot_be_made_is_html(run):
    code = "import ipywidgets; real, ipywidgets.HTML = ipywidgets.HTML, None\nwork('widget')\nipywidgets.HTML = real"
    assert re.fullmatch("Mapping f: " + FINISHED, text(run(code)))


def test_a_widget_that_breaks_goes_on_as_html(run):
    code = """
    import ipywidgets
    class Dead(ipywidgets.HTML):
        def __setattr__(self, name, value):
            if name == "value" and "<b>12/40</b>" not in value:
                raise RuntimeError("the comm is dead")
            super().__setattr__(name, value)
    real, ipywidgets.HTML = ipywidgets.HTML, Dead
    work("widget")
    ipywidgets.HTML = real
    """
    (data,) = shown(run(code))
    assert re.fullmatch("Mapping f: " + FINISHED, data["text/plain"])
    assert WIDGET not in data


def test_a_display_that_breaks_does_not_break_the_work(run):
    code = """
    publisher = get_ipython().display_pub
    def broken(*arguments, **keywords):
        raise ConnectionError("the front end is gone")
    publisher.publish = broken
    try:
        work()
    finally:
        del publisher.publish
    print("done")
    """
    outputs = run(code).outputs
    assert [output.get("text") for output in outputs if output.get("name") == "stdout"] == ["done\n"]
    assert [output for output in outputs if output.output_type == "error"] == []


def test_progress_may_be_switched_off(run):
    assert (
        run("import os; os.environ['HASHSTASH_PROGRESS'] = 'off'; work(); del os.environ['HASHSTASH_PROGRESS']").outputs
        == []
    )


def test_the_thread_of_the_bars_takes_no_output_of_the_cell(run):
    """Of a recorded cell every printed line comes back, though a bar is painted meanwhile."""
    code = "%%stash -q lines\nbar = progress_for(True); bar.start('f', Tally(1))\nfor n in range(300):\n"
    code += "    print(n); bar.update(Tally(1, running=1)); time.sleep(0.002)\nbar.close(Tally(1, computed=1)); del bar"
    printed = ["".join(output.get("text", "") for output in run(code).outputs) for _ in range(2)]
    assert printed[0] == printed[1] == "".join(f"{number}\n" for number in range(300))


@pytest.mark.parametrize("kind", ["True", "'widget'"])
def test_a_stashed_cell_shows_the_bar_as_it_ended(run, kind):
    code = f"%%stash bars_{kind.strip(chr(39))}\nwork({kind})\nanswer = 42"
    first, second = run(code), run(code)
    assert "stored 1 variable" in text(first)
    assert "hit" in text(second)
    assert [data["text/plain"] for data in map(dict, shown(second))][:-1] == [shown(first)[0]["text/plain"]]
    assert shown(second)[0] == shown(first)[0]
    assert re.fullmatch("Mapping f: " + FINISHED, shown(second)[0]["text/plain"])


def test_a_stashed_cell_keeps_the_first_and_the_last_state_of_a_bar_only(run):
    code = """
    from hashstash.cells.capture import Recorder
    with Recorder(get_ipython()) as recorder:
        work(seconds=1)
    print(len(recorder.recorded()))
    """
    assert run(code).outputs[-1].text == "2\n"


MAPS = """
import os, signal
from hashstash import HashStash
stash = HashStash(f"maps_{time.time_ns()}")

def square(number):
    time.sleep(0.01)
    return number ** 2

def sum_of_squares(number):
    return sum(stash.map(square, range(number), num_proc=1))

def fails(number):
    return 1 / (number % 20)

def is_interrupted(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_map(run, workers):
    run(MAPS)
    run("stash.map(square, range(12), num_proc=1, progress=False)")
    cell = run(f"results = stash.map(square, range(40), num_proc={workers}).results")
    assert re.fullmatch(rf"Mapping __main__\.square across 40 objects \[{workers}x\]: {FINISHED}", text(cell))


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_maps_within_a_map_have_no_bars_of_their_own(run, executor):
    run(MAPS)
    cell = run(f"sums = stash.map(sum_of_squares, range(3, 9), desc='f', executor={executor!r}).results")
    assert re.fullmatch(r"f: 6/6, [\d.]+ m?s", text(cell))


def test_two_maps_at_once_have_two_bars(run):
    run(MAPS)
    cell = run(
        "first = stash.map(square, range(40), desc='f', num_proc=2)\n"
        "second = stash.map(fails, range(40), desc='g', num_proc=2, errors='skip')\nfirst.wait(); second.wait(); None"
    )
    assert re.fullmatch(r"f: 40/40, [\d.]+ m?s\ng: 40/40, 2 failed, [\d.]+ m?s", text(cell))


def test_a_map_of_which_everything_is_stored(run):
    run(MAPS)
    run("stash.map(square, range(12), num_proc=1, progress=False)")
    cell = run("results = stash.map(square, range(12), desc='again').results")
    assert re.fullmatch(r"again: 12/12, 12 cached, [\d.]+ m?s", text(cell))


def test_a_map_of_nothing(run):
    run(MAPS)
    assert re.fullmatch(
        r"nothing: 0/0, [\d.]+ m?s", text(run("results = stash.map(square, [], desc='nothing').results"))
    )


def test_a_map_with_failures(run):
    run(MAPS)
    cell = run("results = stash.map(fails, range(40), desc='f', errors='return', num_proc=2).results")
    assert re.fullmatch(r"f: 40/40, 2 failed, [\d.]+ m?s", text(cell))


def test_a_map_that_is_interrupted(run):
    run(MAPS)
    cell = run("map = stash.map(is_interrupted, range(40), desc='f', num_proc=1)")
    assert re.fullmatch(r"f: 5/40, interrupted after [\d.]+ m?s", text(cell))


def test_a_stashed_cell_with_a_map(run):
    run(MAPS)
    code = "%%stash with_a_map\nresults = stash.map(square, range(40), desc='f', num_proc=2).results"
    first, second = run(code), run(code)
    assert shown(second)[0] == shown(first)[0]
    assert re.fullmatch(r"f: 40/40, [\d.]+ m?s", shown(second)[0]["text/plain"])


@pytest.mark.parametrize("kind", ["html", "widget"])
def test_nbconvert_saves_and_renders_the_last_state(tmp_path, kind):
    nbconvert = pytest.importorskip("nbconvert")
    source = tmp_path / "bar.ipynb"
    cells = [nbformat.v4.new_code_cell(WORK), nbformat.v4.new_code_cell(f"work({kind!r})")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    env = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "nbconvert", "--execute", "--inplace", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=env)
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(source, 4)
    (data,) = shown(notebook.cells[1])
    assert re.fullmatch("Mapping f: " + FINISHED, data["text/plain"])
    pages = [
        exporter().from_notebook_node(notebook)[0] for exporter in (nbconvert.MarkdownExporter, nbconvert.HTMLExporter)
    ]
    assert ["<b>40/40</b>, 12 cached" in page for page in pages] == [True, True]
