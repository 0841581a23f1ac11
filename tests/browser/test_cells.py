"""``%%stash`` as a user of JupyterLab meets it: run, restart, Run All, edit, interrupt, save and load, light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
COUNT = "__import__('pathlib').Path('runs.txt').open('ab', 0).write(b'1')\n"
CELLS = {
    "extension": "%load_ext hashstash",
    "imports": "import sys\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\nfrom IPython.display import HTML, display",
    "limit": "limit = 6",
    "frame": f"%%stash report\n{COUNT}print('squares below', limit)\n"
    "squares = pd.DataFrame({'number': range(limit), 'square': [n * n for n in range(limit)]})\n"
    "display(HTML('<b class=\"mine\">bold</b>'))\nprint('careful', file=sys.stderr)\nsquares",
    "figure": f"%%stash report\n{COUNT}figure, axis = plt.subplots(figsize=(3, 1.5))\naxis.plot(squares['square'])\naxis.set_title('squares');",
    "error": f"%%stash report\n{COUNT}half = 1\nhalf / 0",
}
DOCUMENT = {
    "cells": [
        {"id": key, "cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for key, source in CELLS.items()
    ],
    "metadata": {"kernelspec": KERNEL},
    "nbformat": 4,
    "nbformat_minor": 5,
}
PLACE = {key: place for place, key in enumerate(CELLS)}


class Report:
    """The notebook above in Lab."""

    def __init__(self, notebook):
        self.notebook = notebook
        self.file = Path(notebook.file).with_name("runs.txt")
        self.file.unlink(missing_ok=True)

    @property
    def runs(self):
        """How often stashed cells have run."""
        return self.file.stat().st_size if self.file.exists() else 0

    def cell(self, key):
        return self.notebook.cell(PLACE[key])

    def run_all(self):
        """Run All Cells, until the last one, which raises, is done."""
        self.notebook.js("panel.content.widgets.forEach(cell => cell.model.clearExecution())")
        self.notebook.js("app.commands.execute('notebook:run-all-cells')")
        self.notebook.wait(lambda: self.is_over, "the end of Run All")

    @property
    def is_over(self):
        return (
            any(output["output_type"] == "error" for output in self.cell("error").outputs) and self.notebook.is_idle()
        )

    def restart_and_run_all(self):
        self.notebook.restart()
        self.run_all()

    def edit(self, key, text):
        self.cell(key).js(f"cell.model.sharedModel.setSource({text!r})")


@pytest.fixture(scope="module")
def opened(lab):
    notebook = lab.open("report", DOCUMENT)
    yield Report(notebook)
    notebook.close()


@pytest.fixture(scope="module")
def first(opened):
    """What every cell showed at first, and what was then in the saved file."""
    opened.run_all()
    assert opened.runs == 3
    opened.notebook.screenshot("cells_first")
    return {key: opened.cell(key).outputs for key in CELLS}, opened.notebook.save()


@pytest.fixture(scope="module")
def again(opened, first):
    """The same after the kernel was restarted."""
    opened.restart_and_run_all()
    opened.notebook.screenshot("cells_again")
    return {key: opened.cell(key).outputs for key in CELLS}, opened.notebook.save()


def own(outputs):
    """Without our status lines, and without numbers of executions, which go on."""
    kept = [output for output in outputs if not output.get("metadata", {}).get("hashstash")]
    return [{name: part for name, part in output.items() if name != "execution_count"} for output in kept]


def statuses(outputs):
    return [output["data"]["text/plain"] for output in outputs if output.get("metadata", {}).get("hashstash")]


@pytest.mark.parametrize("key", ["frame", "figure"])
def test_restored_outputs_equal_the_first_ones(first, again, key):
    assert own(again[0][key]) == own(first[0][key]) != []
    assert [text.split()[2] for text in statuses(first[0][key])] == ["ran"]
    assert [text.split()[2] for text in statuses(again[0][key])] == ["hit,"]


def test_outputs_come_in_the_order_in_which_the_cell_made_them(first):
    kinds = [output.get("name", output["output_type"]) for output in own(first[0]["frame"])]
    assert kinds == ["stdout", "display_data", "stderr", "execute_result"]
    assert ["image/png" in output.get("data", {}) for output in own(first[0]["figure"])] == [True]


def test_the_saved_file_holds_what_was_seen(first, again):
    for place, (seen, saved) in enumerate((first, again)):
        cells = {cell["id"]: cell for cell in saved["cells"]}
        assert len(cells["frame"]["outputs"]) == len(seen["frame"]), place
        assert any(
            "number" in "".join(output.get("data", {}).get("text/html", "")) for output in cells["frame"]["outputs"]
        )


def test_an_error_is_raised_each_time_and_looks_as_in_a_plain_cell(opened, first, again):
    for seen, _ in (first, again):
        (error,) = own(seen["error"])
        assert error["ename"] == "ZeroDivisionError"
        assert "hashstash" not in "".join(error["traceback"])
        assert statuses(seen["error"]) == []
    assert opened.runs >= 4  # three at first, and then the one that fails


def test_after_the_page_was_loaded_again_everything_is_there(opened, again):
    opened.notebook.reload()
    opened.notebook.wait(
        lambda: opened.cell("frame").js("return cell.outputArea.node.querySelector('table')"), "the frame"
    )
    assert opened.cell("frame").outputs == again[0]["frame"]
    assert "bold" in opened.cell("frame").text
    assert opened.cell("figure").js("return cell.outputArea.node.querySelector('img').naturalWidth > 100")
    opened.notebook.screenshot("cells_loaded")


def test_only_cells_that_depend_on_an_edited_one_run(opened, again):
    before = opened.runs
    opened.edit("limit", "limit = 5")
    opened.restart_and_run_all()
    assert opened.runs == before + 3
    assert "squares below 5" in opened.cell("frame").text
    opened.edit("limit", "limit = 6  # as before")
    opened.restart_and_run_all()
    assert opened.runs == before + 4
    assert own(opened.cell("frame").outputs) == own(again[0]["frame"])
    opened.edit("figure", CELLS["figure"].replace("'squares')", "'their squares')"))
    opened.run_all()
    assert opened.runs == before + 6
    assert ["hit," in text for text in statuses(opened.cell("frame").outputs)] == [True]
    opened.edit("figure", CELLS["figure"])


COLOURS = """
const line = [...cell.outputArea.node.querySelectorAll('div')].find(part => part.children.length === 0 && part.innerText.startsWith('stash report:'));
const style = getComputedStyle(line), area = getComputedStyle(cell.outputArea.node.querySelector('.jp-RenderedHTMLCommon'));
return {colour: style.color, around: area.color, background: style.backgroundColor, size: parseFloat(style.fontSize),
        wide: line.scrollWidth <= line.clientWidth + 1, light: parseFloat(style.opacity)};
"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_status_line_is_quiet_and_readable_in_every_theme(opened, again, theme):
    opened.notebook.theme(theme)
    try:
        look = opened.cell("frame").js(COLOURS)
        assert look["colour"] == look["around"]
        assert look["background"] == "rgba(0, 0, 0, 0)"
        assert 10 < look["size"] < 16
        assert look["wide"]
        assert 0.5 < look["light"] < 1
        opened.cell("frame").js("cell.node.scrollIntoView()")
        opened.notebook.screenshot(f"cells_{theme.lower()}")
        opened.cell("error").js("cell.node.scrollIntoView()")
        opened.notebook.screenshot(f"cells_{theme.lower()}_below")
    finally:
        opened.notebook.theme("Light")


def test_an_interrupted_cell_stores_nothing_and_runs_again(notebook):
    started = notebook.file.with_name("started.txt")
    started.unlink(missing_ok=True)
    notebook.run("%load_ext hashstash")
    code = f"%%stash patient\nimport time\nfrom pathlib import Path\nprint('begun', flush=True)\nPath({started.name!r}).touch()\nwait = True\nwhile wait: time.sleep(0.01)\nend = 1"
    cell = notebook.start(code)
    notebook.wait(started.exists, "the start of the cell")
    notebook.wait(lambda: "begun" in cell.text, "what it prints, live")
    notebook.interrupt()
    notebook.wait(lambda: cell.is_done and "KeyboardInterrupt" in cell.text, "the interrupt")
    assert statuses(cell.outputs) == []
    assert "hashstash/" not in cell.text
    assert (
        notebook.run("'end' in globals(), len(get_ipython().user_ns['wait'] * [1])").text.split("\n")[-1]
        == "(False, 1)"
    )
    listed = notebook.run("%stash ls")
    assert "patient" not in listed.text
    done = notebook.run("%%stash patient\nend = 2\nend")
    assert [
        re.match(r"stash patient: ran in .*, stored 1 variable", text) is not None for text in statuses(done.outputs)
    ] == [True]


def test_what_a_cell_prints_appears_while_it_runs(notebook):
    gate = notebook.file.with_name("gate.txt")
    gate.unlink(missing_ok=True)
    notebook.run("%load_ext hashstash")
    cell = notebook.start(
        f"%%stash live\nimport time\nfrom pathlib import Path\nprint('one')\nwhile not Path({gate.name!r}).exists(): time.sleep(0.01)\nprint('two')\nrest = 3"
    )
    notebook.wait(lambda: "one" in cell.text, "the first line")
    assert "two" not in cell.text
    gate.touch()
    notebook.wait(lambda: cell.is_done and "stash live: ran in" in cell.text, "the end")
    assert [line for line in cell.text.split("\n") if line][:2] == ["one", "two"]
