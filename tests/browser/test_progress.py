"""The bar as a reader of JupyterLab sees it: while it runs, when it is done, after saving and loading, light and dark."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORK = """
import time
from pathlib import Path
from hashstash.display.progress import progress_for
from hashstash.mapping.progress import Tally

def work(kind=True, label="Mapping f across 40 objects [2x]", failed=0, allowed=28):
    "A map of 40 items, 12 of them cached, that computes as many as allowed, or as the file says that is named."
    bar = progress_for(kind)
    bar.start(label, Tally(40, cached=12))
    done = 0
    while True:
        bad = min(done, failed)
        tally = Tally(40, cached=12, computed=done - bad, failed=bad, running=min(2, 28 - done))
        bar.update(tally)
        if done == 28:
            break
        done = min(done + 1, allowed if isinstance(allowed, int) else int(Path(allowed).read_text()))
        time.sleep(0.05 if isinstance(allowed, str) else 0)
    bar.close(tally)
"""
LABEL = "Mapping f across 40 objects [2x]: "
FINISHED = re.escape(LABEL) + r"40/40, 12 cached, [\d.]+ m?s"


class Gate:
    """A file beside the notebook that says how many items may be computed: what a reader sees does not depend on the clock."""

    def __init__(self, notebook, name: str) -> None:
        self.name = name
        self.path = notebook.file.parent / name
        self.open(0)

    def open(self, allowed: int) -> None:
        """Let so many be computed."""
        beside = self.path.with_suffix(".new")
        beside.write_text(str(allowed))
        beside.replace(self.path)


def done_of(cell) -> int:
    """How far the bar of *cell* is, for who reads it."""
    found = re.search(r"(\d+)/40", cell.text)
    return int(found[1]) if found else -1


def boxes_of(cell) -> list[dict]:
    """The parts of the bar that can be seen: how wide in pixels, and in which colours on which ground."""
    return cell.js(
        """
        const boxes = [...cell.outputArea.node.querySelectorAll('div[style*="width"]')].filter(box => !box.children.length);
        return boxes.map(box => {
            const look = getComputedStyle(box), size = box.getBoundingClientRect();
            return {width: Math.round(size.width), height: Math.round(size.height),
                    colour: look.borderTopColor, opacity: Number(look.opacity)};
        });
        """
    )


@pytest.mark.parametrize("kind", ["True", "'widget'"])
def test_a_bar_while_it_runs_and_when_it_is_done(notebook, kind):
    notebook.run(WORK)
    gate = Gate(notebook, "allowed")
    cell = notebook.start(f"work({kind}, allowed='{gate.name}')")
    for allowed in (0, 3, 9):
        gate.open(allowed)
        notebook.wait(lambda done=12 + allowed: done_of(cell) == done, f"{12 + allowed} items")
    assert re.search(r"12 cached, 2 running, [\d.]+/s, [\d.]+ s, [\d.]+ s left", cell.text)
    assert [box["height"] for box in boxes_of(cell)] == [6, 6, 6, 6]
    notebook.screenshot(f"progress_running_{kind.strip(chr(39))}")

    gate.open(28)
    notebook.wait(lambda: cell.is_done and done_of(cell) == 40, "the end")
    assert re.fullmatch(FINISHED, cell.text.strip())
    assert [box["width"] for box in boxes_of(cell)] == [144, 336]
    (output,) = cell.outputs
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    notebook.screenshot(f"progress_finished_{kind.strip(chr(39))}")


def test_a_bar_after_saving_loading_and_the_end_of_its_kernel(notebook):
    notebook.run(WORK)
    notebook.run("work()")
    notebook.run("work('widget')")
    saved = notebook.save()
    texts = ["".join(cell["outputs"][0]["data"]["text/plain"]) for cell in saved["cells"][1:]]
    notebook.restart()
    notebook.reload()
    for position, text in enumerate(texts, 1):
        assert re.fullmatch(FINISHED, text)
        notebook.wait(lambda position=position: done_of(notebook.cell(position)) == 40, "the bar on the loaded page")
        assert notebook.cell(position).text.strip() == text
        assert [box["width"] for box in boxes_of(notebook.cell(position))] == [144, 336]
    notebook.screenshot("progress_loaded")


def test_a_page_that_is_loaded_again_while_the_work_runs_shows_how_far_it_was(notebook):
    """And no error, as a widget does: that is why it is not the first choice."""
    notebook.run(WORK)
    gate = Gate(notebook, "allowed_while_loading")
    gate.open(5)
    cell = notebook.start(f"work(allowed='{gate.name}')")
    notebook.wait(lambda: done_of(cell) == 17, "some items")
    notebook.save()
    notebook.reload()
    notebook.wait(lambda: done_of(cell) == 17, "the bar on the loaded page")
    assert "Error" not in cell.text
    notebook.screenshot("progress_loaded_while_running")
    gate.open(28)


def test_a_bar_in_a_notebook_that_is_not_trusted(lab):
    """JupyterLab takes styles that it does not know out of what others have computed."""
    first = lab.open("trusted")
    first.run(WORK)
    first.run("work(failed=2)")
    document = first.save()
    first.close()
    (output,) = document["cells"][1]["outputs"]
    output["data"]["text/html"] = "".join(output["data"]["text/html"]).replace("Mapping f", "Mapping g")
    other = lab.open("untrusted", document)
    cell = other.cell(1)
    other.wait(lambda: done_of(cell) == 40, "the bar")
    assert not cell.js("return cell.model.trusted")
    assert [(box["width"], box["opacity"]) for box in boxes_of(cell)] == [(144, 0.4), (312, 0.8), (24, 1)]
    other.screenshot("progress_untrusted")
    other.close()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_bar_can_be_read_in_every_theme(notebook, theme):
    notebook.theme(theme)
    try:
        notebook.run(WORK)
        cell = notebook.run("work(failed=2)")
        cached, computed, failed = boxes_of(cell)
        text = cell.js("return getComputedStyle(cell.outputArea.node.querySelector('b')).color")
        assert [cached["colour"], computed["colour"]] == [text, text]
        red = [int(part) for part in re.findall(r"\d+", failed["colour"])][:3]
        assert red[0] > 200 > 100 > max(red[1:])
        notebook.screenshot(f"progress_{theme.lower()}")
    finally:
        notebook.theme("Light")


def test_an_interrupted_bar(notebook):
    notebook.run(WORK)
    code = """
    try:
        bar = progress_for(True)
        bar.start("", Tally(40))
        bar.update(Tally(40, computed=13))
        time.sleep(120)
    except KeyboardInterrupt:
        bar.close(Tally(40, computed=13), interrupted=True)
    """
    cell = notebook.start(code)
    notebook.wait(lambda: done_of(cell) == 13, "thirteen items")
    notebook.interrupt()
    notebook.wait(
        lambda: re.fullmatch(r"13/40, interrupted after [\d.]+ m?s", cell.text.strip()), "the interrupted bar"
    )


def test_a_real_map_by_two_processes(notebook):
    gate = Gate(notebook, "allowed_items")
    notebook.run(
        "import time\nfrom pathlib import Path\nfrom hashstash import HashStash\nstash = HashStash('maps')\n"
        "def f(number, gate):\n    time.sleep(0.1)\n    while number > 20 and not int(Path(gate).read_text()):\n        time.sleep(0.05)\n"
        "    return number ** 2"
    )
    notebook.run(f"gate = {str(gate.path)!r}")
    notebook.run("_ = stash.map(f, range(12), num_proc=1, gate=gate).results")
    cell = notebook.start("squares = stash.map(f, range(40), num_proc=2, chunksize=1, gate=gate)")
    notebook.wait(lambda: 12 < done_of(cell) < 40 and "running" in cell.text, "some of the items")
    assert "12 cached" in cell.text
    notebook.screenshot("progress_map_running")
    gate.open(1)
    last = notebook.run("squares.results[-1]")
    assert last.text.split()[-1] == "1521"
    notebook.wait(lambda: done_of(cell) == 40, "the end of the map")
    assert re.fullmatch(
        r"Mapping __main__\.f across 40 objects \[2x\]: 40/40, 12 cached, [\d.]+ m?s", cell.text.strip()
    )
    notebook.screenshot("progress_map_finished")
