"""README.ipynb is the front door: README.md is made from it. Every cell of every notebook has been run."""

import importlib
import sys
from pathlib import Path

import pytest
from skips import Later, needs

nbformat = Later("nbformat")
needs("nbclient")
ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [ROOT / "README.ipynb", *sorted((ROOT / "notebooks").glob("*.ipynb"))]


@pytest.fixture
def notebook():
    return nbformat.read(ROOT / "README.ipynb", as_version=4)


def test_the_markdown_is_made_from_the_notebook(notebook, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    export = importlib.import_module("export_readme")
    assert (ROOT / "README.md").read_text(encoding="utf-8") == export.to_markdown(notebook)
    sys.modules.pop("export_readme", None)
    sys.modules.pop("run_notebook", None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_was_run_in_order_without_an_error(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_path_of_one_machine_is_shown(path):
    text = path.read_text(encoding="utf-8")
    assert str(Path.home()) + "/" not in text
    assert str(ROOT) not in text
