"""HashStash in Notebook 7, from the first cell to Run All after a restart; `make test-all` drives all else in it, too."""

from __future__ import annotations

import pytest
from front_ends import NOTEBOOK_7

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "%load_ext hashstash",
    "from pathlib import Path\nfrom hashstash import HashStash",
    "%stash auto --min 0",
    "%%stash squares\nPath('ran.txt').open('a').write('s')\nprint('hello')\nsquares = [n * n for n in range(6)]\nsquares",
    "Path('ran.txt').open('a').write('a')\ntotal = sum(squares)\ntotal",
    "%stash",
    "%stash why squares",
    "# stash: off\nstash = HashStash('notebook 7', clear=True)\nstash['squares'] = squares\nstash",
    "# stash: off\nstash.browse()",
]
SQUARES, TOTAL, LISTING, WHY, CARD, BROWSER = range(3, 9)


@pytest.fixture(scope="module")
def front_end():
    return NOTEBOOK_7


@pytest.fixture(scope="module")
def opened(lab):
    notebook = lab.open("seven")
    for code in CELLS:
        notebook.run(code)
    notebook.wait(
        lambda: notebook.cell(BROWSER).js("return cell.outputArea.node.querySelector('select[size] option')"),
        "the browser of stashes",
    )
    yield notebook
    notebook.close()


def run_all(notebook):
    """Run All Cells, and wait for the last."""
    notebook.js("panel.content.widgets.forEach(cell => cell.model.clearExecution())")
    notebook.js("app.commands.execute('notebook:run-all-cells')")
    notebook.wait(lambda: notebook.cell(len(CELLS) - 1).is_done, "the end of Run All")


def test_it_is_notebook_7(opened):
    assert opened.js("return app.name") == "Jupyter Notebook"
    assert opened.js("return app.version").split(".")[0] == "7"


def test_stashes_are_shown_as_tables_and_cards(opened):
    assert "stash squares: ran in" in opened.cell(SQUARES).text
    assert "stash notebook: ran in" in opened.cell(TOTAL).text
    assert opened.cell(LISTING).js("return cell.outputArea.node.querySelectorAll('tr').length") == 3
    assert "because this code has not run before" in opened.cell(WHY).text
    assert "1 entry" in opened.cell(CARD).text
    assert "'squares'" in opened.cell(BROWSER).text


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_everything_is_written_in_the_colours_of_the_notebook(opened, theme):
    opened.theme(theme)
    try:
        for place in (SQUARES, TOTAL, LISTING, WHY, CARD):
            colours = opened.cell(place).js(
                "return [...cell.outputArea.node.querySelectorAll('.jp-RenderedHTMLCommon, .jp-RenderedHTMLCommon *')]"
                ".map(part => getComputedStyle(part).color)"
            )
            assert len({*colours}) == 1
        opened.cell(0).js("cell.node.scrollIntoView()")
        opened.screenshot(theme.lower())
        opened.cell(BROWSER).js("cell.node.scrollIntoView()")
        opened.screenshot(f"{theme.lower()}_below")
    finally:
        opened.theme("Light")


def test_after_a_restart_run_all_brings_both_cells_back(opened):
    ran = opened.file.with_name("ran.txt").read_text()
    opened.restart()
    run_all(opened)
    assert "stash squares: hit, " in opened.cell(SQUARES).text
    assert "stash notebook: hit, " in opened.cell(TOTAL).text
    assert opened.cell(SQUARES).text.startswith("hello")
    assert "55" in opened.cell(TOTAL).text
    assert "was restored" in opened.cell(WHY).text
    assert opened.file.with_name("ran.txt").read_text() == ran
