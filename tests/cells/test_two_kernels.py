"""Two kernels come to one cell: one runs it, the other waits where that can be seen, and nobody waits in vain."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402
from jupyter_core.utils import ensure_event_loop  # noqa: E402 - what the client's own calls use

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked"),
    pytest.mark.timeout(300),
]


PYTHONS = driver.PYTHONS
SECONDS = 60.0
SETUP = """
%load_ext hashstash
import os, time
def until_there(name):
    end = time.monotonic() + 60
    while not os.path.exists(name):
        assert time.monotonic() < end
        time.sleep(0.01)
def count(name):
    with open(name, "ab", 0) as file:
        file.write(b"1")
"""
CELL = """%%stash {name} {flags}
count("{name}.runs")
until_there(os.path.join(os.getcwd(), "{name}" + ".go"))
made = ["{name}"]
print("printed")
made
"""


class Kernel(driver.Kernel):
    """A kernel of which also the messages are known, and which can run a cell while the test goes on."""

    def __init__(self, python, folder, nursery):
        super().__init__(str(python), folder, {}, nursery)
        self.folder = folder
        self.seen: list[tuple[str, dict]] = []
        self.pool = ThreadPoolExecutor(1)
        answer = self.run(SETUP)
        assert answer.error is None, answer.traceback
        self.pid = int(self.evaluate({"pid": "os.getpid()"})["pid"])

    def _messages(self, request, end):
        for kind, content in super()._messages(request, end):
            self.seen.append((kind, content))
            yield kind, content

    def start(self, name, flags=""):
        return self.begin(CELL.format(name=name, flags=flags))

    def begin(self, code):
        self.seen.clear()
        return self.pool.submit(self.run, code)

    def _of_the_wait(self):
        shown = [content for kind, content in list(self.seen) if kind in ("display_data", "update_display_data")]
        return [content for content in shown if content["metadata"].get("hashstash", {}).get("waits")]

    def notices(self):
        """The texts of the display that is there while the cell waits, and what they were replaced by."""
        return [content["data"]["text/plain"] for content in self._of_the_wait()]

    def display_ids(self):
        return {content["transient"]["display_id"] for content in self._of_the_wait()}

    def is_waiting(self):
        return any("another kernel runs this cell" in text for text in self.notices())

    def close(self):
        self.stop()
        self.pool.submit(lambda: ensure_event_loop().close()).result(SECONDS)
        self.pool.shutdown()


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Place:
    """A folder with kernels in it."""

    def __init__(self, python, folder, nurseries):
        self.python, self.folder, self.nurseries = python, folder, nurseries
        self.extra: list[Kernel] = []
        self.one, self.other = (Kernel(python, folder, nursery) for nursery in nurseries)

    def kernel(self):
        """One more, for tests that kill it."""
        self.extra.append(Kernel(self.python, self.folder, self.nurseries[0]))
        return self.extra[-1]

    def runs(self, name):
        path = self.folder / f"{name}.runs"
        return path.stat().st_size if path.exists() else 0

    def go(self, name):
        (self.folder / f"{name}.go").touch()

    def both(self, name, flags="", other_flags=""):
        """One kernel runs the cell; the other has come to it too, and waits."""
        first = self.one.start(name, flags)
        until(lambda: self.runs(name) == 1)
        second = self.other.start(name, other_flags)
        until(self.other.is_waiting)
        return first, second


@pytest.fixture(scope="module", params=PYTHONS)
def place(request, tmp_path_factory, nurseries):
    python = PYTHONS[request.param]
    if not python.exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    folder = tmp_path_factory.mktemp("two_kernels")
    place = Place(python, folder, nurseries(python))
    yield place
    for kernel in (place.one, place.other, *place.extra):
        kernel.close()


def status(answer):
    return "\n".join(text for facts, text in answer.statuses if not facts.get("waits"))


def test_the_second_kernel_waits_and_gets_the_result_as_a_hit(place):
    first, second = place.both("wait")
    place.go("wait")
    assert "stored 1 variable" in status(first.result(SECONDS))
    answer = second.result(SECONDS)
    assert "hit" in status(answer)
    assert (answer.text("stdout"), place.other.evaluate({"x": "made"})["x"]) == ("printed\n", "['wait']")
    assert place.runs("wait") == 1


def test_the_wait_is_counted_in_one_display_that_says_at_the_end_how_long_it_was(place):
    first, second = place.both("count")
    until(lambda: len(place.other.notices()) >= 2)
    place.go("count")
    first.result(SECONDS), second.result(SECONDS)
    begun, counted, *_others, last = place.other.notices()
    assert re.fullmatch(r"stash count: another kernel runs this cell, since \d+ s; waiting for its results .*", begun)
    assert counted != begun
    assert re.fullmatch(r"stash count: waited .* s for another kernel with this cell", last)
    ids = {
        content["transient"]["display_id"]
        for _kind, content in place.other.seen
        if "transient" in content and content["metadata"].get("hashstash", {}).get("waits")
    }
    assert len(ids) == 1


def test_quiet_waits_without_a_word(place):
    first = place.one.start("quiet")
    until(lambda: place.runs("quiet") == 1)
    second = place.other.start("quiet", "-q")
    time.sleep(0.3)
    assert not second.done()
    place.go("quiet")
    first.result(SECONDS)
    assert second.result(SECONDS).statuses == []
    assert place.runs("quiet") == 1


@pytest.mark.parametrize("flag", ["--no-wait", "--force"])
def test_who_does_not_want_to_wait_runs_it(place, flag):
    name = flag.strip("-").replace("-", "_")
    first = place.one.start(name)
    until(lambda: place.runs(name) == 1)
    second = place.other.start(name, flag)
    until(lambda: place.runs(name) == 2)
    place.go(name)
    assert "ran in" in status(first.result(SECONDS))
    assert "ran in" in status(second.result(SECONDS))


def test_other_inputs_do_not_wait(place):
    place.one.run("number = 1")
    place.other.run("number = 2")
    cell = CELL.format(name="inputs", flags="").replace("made =", "number; made =")
    first = place.one.begin(cell)
    until(lambda: place.runs("inputs") == 1)
    second = place.other.begin(cell)
    until(lambda: place.runs("inputs") == 2)
    place.go("inputs")
    assert ["ran in" in status(part.result(SECONDS)) for part in (first, second)] == [True, True]


def test_a_comment_does_not_make_it_another_cell(place):
    first = place.one.start("comment")
    until(lambda: place.runs("comment") == 1)
    second = place.other.begin(CELL.format(name="comment", flags="") + "# of mine\n")
    until(place.other.is_waiting)
    place.go("comment")
    first.result(SECONDS)
    assert "hit" in status(second.result(SECONDS))


def test_readers_are_not_held_up(place):
    place.go("readers_old")
    place.one.start("readers_old").result(SECONDS)
    busy = place.one.begin(
        CELL.format(name="readers_old", flags="")
        .replace(".runs", ".more")
        .replace("_old.go", ".go")
        .replace('"readers_old" + ".go"', '"readers" + ".go"')
    )
    until((place.folder / "readers_old.more").exists)
    assert "hit" in status(place.other.start("readers_old").result(SECONDS))
    assert not busy.done()
    place.go("readers")
    busy.result(SECONDS)


def test_an_interrupt_of_the_wait_ends_it_and_nothing_else(place):
    first, second = place.both("interrupt")
    os.kill(place.other.pid, signal.SIGINT)
    answer = second.result(SECONDS)
    assert answer.error == "KeyboardInterrupt"
    assert "hashstash" not in answer.traceback
    assert place.other.notices()[-1].startswith("stash interrupt: waited")
    place.go("interrupt")
    assert "stored" in status(first.result(SECONDS))
    assert "hit" in status(place.other.start("interrupt").result(SECONDS))


def test_an_interrupt_of_an_awaiting_cell_that_waits_ends_it(place):
    cell = "%%stash asleep\nimport asyncio\ncount('asleep.runs')\nwhile not os.path.exists('asleep' + '.go'):\n    await asyncio.sleep(0.01)\nmade = 1\n"
    first = place.one.begin(cell)
    until(lambda: place.runs("asleep") == 1)
    second = place.other.begin(cell)
    until(place.other.is_waiting)
    os.kill(place.other.pid, signal.SIGINT)
    answer = second.result(SECONDS)
    assert answer.error in ("KeyboardInterrupt", "CancelledError")
    assert "hashstash" not in answer.traceback
    place.go("asleep")
    assert "stored" in status(first.result(SECONDS))
    assert "hit" in status(place.other.begin(cell).result(SECONDS))


def test_who_waited_runs_it_if_the_first_is_interrupted(place):
    first, second = place.both("stopped")
    os.kill(place.one.pid, signal.SIGINT)
    assert first.result(SECONDS).error == "KeyboardInterrupt"
    until(lambda: place.runs("stopped") == 2)
    place.go("stopped")
    assert "ran in" in status(second.result(SECONDS))


def test_who_waited_runs_it_if_the_first_fails(place):
    for kernel, cause in ((place.one, "1 / 0"), (place.other, "1 / 1")):
        kernel.run(f"def perhaps():\n    return {cause}")
    cell = CELL.format(name="fails", flags="--ignore perhaps").replace("made =", "perhaps(); made =")
    first = place.one.begin(cell)
    until(lambda: place.runs("fails") == 1)
    second = place.other.begin(cell)
    until(place.other.is_waiting)
    place.go("fails")
    assert first.result(SECONDS).error == "ZeroDivisionError"
    assert "stored" in status(second.result(SECONDS))
    assert place.runs("fails") == 2


def test_who_waited_runs_it_if_the_result_cannot_be_stored(place):
    cell = CELL.format(name="lock", flags="").replace("made =", "import threading; made = threading.Lock(), ")
    first = place.one.begin(cell)
    until(lambda: place.runs("lock") == 1)
    second = place.other.begin(cell)
    until(place.other.is_waiting)
    place.go("lock")
    assert "not cached" in status(first.result(SECONDS))
    assert "not cached" in status(second.result(SECONDS))
    assert place.runs("lock") == 2


CHILDREN = """%%stash {name}
import multiprocessing, subprocess
count("{name}.runs")
if not os.path.exists("{name}.killed"):
    child = subprocess.Popen(["sleep", "300"], close_fds=False)
    forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    forked.start()
    with open("{name}.children", "w") as file:
        file.write(f"{{child.pid}} {{forked.pid}}")
    until_there("{name}" + ".never")
made = 1
"""


def test_of_a_killed_kernel_the_turn_is_taken_over_even_if_its_children_live_on(place):
    owner, cell = place.kernel(), CHILDREN.format(name="killed")
    children = place.folder / "killed.children"
    owner.begin(cell)
    until(lambda: children.exists() and len(children.read_text().split()) == 2)
    second = place.other.begin(cell)
    until(place.other.is_waiting)
    (place.folder / "killed.killed").touch()
    os.kill(owner.pid, signal.SIGKILL)
    try:
        answer = second.result(SECONDS)
        alive = [os.path.exists(f"/proc/{pid}") for pid in children.read_text().split()]
    finally:
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    assert "stored" in status(answer)
    assert alive == [True, True]


def test_an_awaiting_cell_waits_without_blocking_the_loop(place):
    first = place.one.begin("import asyncio\n" + "")
    first.result(SECONDS)
    cell = (
        "%%stash awaits\n"
        "count('awaits.runs')\n"
        "while not os.path.exists(os.path.join(os.getcwd(), 'awaits' + '.go')):\n    await asyncio.sleep(0.01)\n"
        "made = 1\n"
    )
    place.other.run(
        "import asyncio\nbeats = []\nasync def beat():\n    while True:\n        beats.append(1)\n        await asyncio.sleep(0.01)\nbeating = asyncio.ensure_future(beat())"
    )
    first = place.one.begin(cell)
    until(lambda: place.runs("awaits") == 1)
    second = place.other.begin(cell)
    until(place.other.is_waiting)
    time.sleep(0.5)
    place.go("awaits")
    first.result(SECONDS)
    assert "hit" in status(second.result(SECONDS))
    assert place.runs("awaits") == 1
    assert int(place.other.evaluate({"n": "len(beats)"})["n"]) > 5
    place.other.run("beating.cancel()")


def test_a_kernel_that_was_started_by_the_cell_does_not_wait_for_it(place):
    """As a notebook that executes itself: who started it may be waiting for it."""
    script = place.folder / "inner.py"
    script.write_text(
        "import os\nfrom IPython.core.interactiveshell import InteractiveShell\nfrom traitlets.config import Config\n"
        "config = Config()\nconfig.HistoryManager.enabled = False\nshell = InteractiveShell.instance(config=config)\n"
        f"shell.run_cell({SETUP!r})\n"
        "shell.run_cell(open('inner.cell').read()).raise_error()\n"
    )
    cell = (
        "%%stash inner\nimport subprocess, sys\ncount('inner.runs')\n"
        "if 'INNER' not in vars(os)['environ']:\n"
        "    out = subprocess.run([sys.executable, 'inner.py'], env={**os.environ, 'INNER': '1'}, timeout=50).returncode\n"
        "else:\n    out = 0\n"
    )
    (place.folder / "inner.cell").write_text(cell)
    answer = place.one.begin(cell).result(SECONDS)
    assert answer.error is None, answer.traceback
    assert place.one.evaluate({"x": "out"})["x"] == "0"
    assert place.runs("inner") == 2


@pytest.mark.parametrize(
    "code",
    [
        "get_ipython().run_cell_magic('stash', 'nested', 'deep = count(\"nested.runs\")')\nouter = 1",
        "if not os.path.exists('nested.twice'):\n    count('nested.twice')\n    get_ipython().run_cell(In[-1])\nouter = 1",
        (
            "import threading\nshell = get_ipython()\n"
            "def again():\n    shell.run_cell_magic('stash', 'nested', text)\n"
            "if not os.path.exists('nested.thread'):\n"
            "    count('nested.thread')\n    text = In[-1].partition('\\n')[2]\n"
            "    thread = threading.Thread(target=again)\n    thread.start()\n    thread.join()\nouter = 1"
        ),
    ],
    ids=["another cell", "the same cell", "in a thread"],
)
def test_nested_cells_do_not_wait_for_one_another(place, code):
    answer = place.one.begin(f"%%stash nested\n{code}").result(SECONDS)
    assert answer.error is None, answer.traceback
    assert place.one.evaluate({"x": "outer"})["x"] == "1"


def test_two_kernels_with_nested_cells_crosswise_do_not_wait_for_one_another(place):
    """Each runs the cell that the other one's cell calls, so that waiting would never end."""
    inner = (
        "count('crossed.{name}.' + str(os.getpid()))\nwhile len(glob.glob('crossed.*')) < 2:\n    time.sleep(0.01)\n"
    )
    outer = (
        inner
        + "if depth.pop():\n    get_ipython().run_cell_magic('stash', 'crossed --ignore depth,texts', texts['{other}'])\nv_{name} = 1\n"
    )
    texts = {name: outer.format(name=name, other=other) for name, other in (("a", "b"), ("b", "a"))}
    for kernel in (place.one, place.other):
        assert kernel.run(f"import glob\ndepth = [False, True]\ntexts = {texts!r}").error is None
    parts = [
        kernel.begin("%%stash crossed --ignore depth,texts\n" + texts[name])
        for kernel, name in ((place.one, "a"), (place.other, "b"))
    ]
    assert [part.result(SECONDS).error for part in parts] == [None, None]
    assert len(list(place.folder.glob("crossed.*"))) == 4
