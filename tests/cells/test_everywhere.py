"""Notebooks that are executed without a front end: nbconvert, nbclient, papermill, each from an empty cache and again.

The front ends are those of this environment, the kernels also those of Colab's versions.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from skips import Later, needs

needs("nbconvert", "ipykernel")
nbformat, nbclient = Later("nbformat"), Later("nbclient")

pytestmark = [pytest.mark.slow, pytest.mark.once]

PROJECT = Path(__file__).resolve().parents[2]
COLAB = PROJECT / ".venv-colab/bin/python"
PATIENCE = 240
COUNT = "__import__('pathlib').Path('count.txt').open('ab', 0).write(b'1')"
SOURCES = {
    "parameters": "n = 3",
    "extension": "%load_ext hashstash",
    "sum": f"%%stash run\n{COUNT}\nfrom IPython.display import HTML, display\nimport sys\n"
    "total = sum(range(n)) * 7\nprint('computed', total)\ndisplay(HTML(f'<b>{total}</b>'))\n"
    "print('a warning', file=sys.stderr)\n{'total': total}",
    "after": "total + 1, _",
}


@pytest.fixture(scope="module", params=["this environment", "Colab's versions"])
def python(request):
    """The interpreter of the kernels."""
    if request.param == "this environment":
        return sys.executable
    if not COLAB.exists():
        pytest.skip("there is no environment with Colab's versions")
    return str(COLAB)


class Desk:
    """A folder with a notebook, a cache of its own, and a kernel specification for one interpreter."""

    def __init__(self, folder, python):
        self.folder = folder
        spec = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "cells", "language": "python"}  # fmt: skip
        place = folder / "jupyter/kernels/cells"
        place.mkdir(parents=True)
        (place / "kernel.json").write_text(json.dumps(spec))
        own = {"HOME": "home", "IPYTHONDIR": "ipython", "JUPYTER_DATA_DIR": "jupyter", "JUPYTER_RUNTIME_DIR": "runtime",
               "JUPYTER_CONFIG_DIR": "config", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "xdg"}  # fmt: skip
        strange = ("JUPYTER", "HASHSTASH", "PYTEST", "COV", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        self.environment = {
            **kept,
            **{name: str(folder / place) for name, place in own.items()},
            "PYTHONPATH": str(PROJECT),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def write(self, name="notebook", **changes):
        """Write the notebook with these changes to its cells; return its path."""
        cells = [nbformat.v4.new_code_cell(source, id=key) for key, source in {**SOURCES, **changes}.items()]
        cells[0].metadata.tags = ["parameters"]
        kernel = {"name": "cells", "display_name": "cells", "language": "python"}
        path = self.folder / f"{name}.ipynb"
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}),
            path,
        )
        return path

    def command(self, *arguments):
        """Run a module of this environment."""
        return subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def nbconvert(self, path, output):
        """What ``jupyter nbconvert --execute`` makes of a notebook."""
        done = self.command("nbconvert", "--to", "notebook", "--execute", path.name, "--output", f"{output}.ipynb")
        assert done.returncode == 0, done.stderr
        return nbformat.read(self.folder / f"{output}.ipynb", 4)

    def papermill(self, path, output, **parameters):
        """What papermill makes of it with these parameters."""
        given = [part for name, value in parameters.items() for part in ("-p", name, value)]
        done = self.command("papermill", path.name, f"{output}.ipynb", "--no-progress-bar", *given)
        assert done.returncode == 0, done.stderr
        return nbformat.read(self.folder / f"{output}.ipynb", 4)

    def nbclient(self, path):
        """What nbclient makes of it."""
        notebook = nbformat.read(path, 4)
        client = nbclient.NotebookClient(notebook, timeout=PATIENCE, resources={"metadata": {"path": str(self.folder)}})
        with _environ(self.environment):
            client.execute()
        return notebook

    @property
    def runs(self):
        """How often the stashed cell has run."""
        file = self.folder / "count.txt"
        return len(file.read_bytes()) if file.exists() else 0


@contextlib.contextmanager
def _environ(variables):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def desk(tmp_path, python):
    return Desk(tmp_path, python)


def plain(text):
    """Without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.fixture
def own_desk(tmp_path):
    """A desk with kernels of this environment only."""
    return Desk(tmp_path, sys.executable)


def cell_of(notebook, key="sum"):
    return next(cell for cell in notebook.cells if cell.id == key or cell.source == SOURCES[key])


def status_of(notebook, key="sum"):
    """Our own line below the cell; there is exactly one."""
    (line,) = [o.data["text/plain"] for o in cell_of(notebook, key).outputs if o.get("metadata", {}).get("hashstash")]
    return line


def shown_by(notebook, key="sum"):
    """The cell's own outputs, as they are saved."""
    return [
        dict(output) for output in cell_of(notebook, key).outputs if not output.get("metadata", {}).get("hashstash")
    ]


def test_nbconvert_restores_what_the_run_before_showed(desk):
    path = desk.write()
    first, second = desk.nbconvert(path, "first"), desk.nbconvert(path, "second")
    assert desk.runs == 1
    assert status_of(first).startswith("stash run: ran in ")
    assert status_of(second).startswith("stash run: hit, ")
    kinds = [(output["output_type"], output.get("name")) for output in shown_by(first)]
    assert kinds == [("stream", "stdout"), ("display_data", None), ("stream", "stderr"), ("execute_result", None)]
    assert shown_by(second) == shown_by(first)
    assert shown_by(second, "after") == shown_by(first, "after") != []


def test_nbconvert_stops_at_a_stashed_cell_that_fails_and_stores_nothing(own_desk):
    path = own_desk.write(sum=f"%%stash run\n{COUNT}\ntotal = 1\nraise ValueError('no luck')")
    for runs in (1, 2):
        done = own_desk.command("nbconvert", "--to", "notebook", "--execute", path.name, "--output", "out.ipynb")
        assert done.returncode != 0
        assert "ValueError: no luck" in plain(done.stderr)
        assert "hashstash/cells" not in done.stderr
        assert own_desk.runs == runs


def test_nbclient_runs_an_edited_cell_and_finds_the_old_text_again(own_desk):
    own_desk.nbclient(own_desk.write())
    edited = own_desk.nbclient(own_desk.write(sum=SOURCES["sum"].replace("* 7", "* 8")))
    commented = own_desk.nbclient(own_desk.write(sum=SOURCES["sum"].replace("import sys", "import sys  # for stderr")))
    assert own_desk.runs == 2
    assert "ran in" in status_of(edited, "sum")
    assert "hit" in status_of(commented, "sum")
    assert shown_by(commented)[0]["text"] == "computed 21\n"


def test_nbclient_raises_what_a_stashed_cell_raises(own_desk):
    path = own_desk.write(sum="%%stash run\nx = 1\n1 / 0")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError") as raised:
        own_desk.nbclient(path)
    assert "hashstash/cells" not in str(raised.value)


def test_nbclient_goes_on_where_a_cell_may_raise_and_the_error_is_shown_each_time(desk):
    path = desk.write(sum="%%stash run\nx = 1\n1 / 0", after="x")
    notebook = nbformat.read(path, 4)
    cell_of(notebook).metadata.tags = ["raises-exception"]
    nbformat.write(notebook, path)
    errors = [[o for o in cell_of(desk.nbclient(path)).outputs if o.output_type == "error"] for _ in range(2)]
    assert [[output.ename for output in found] for found in errors] == [["ZeroDivisionError"]] * 2
    first, second = (re.sub(r"ipykernel_\d+", "", "\n".join(found[0].traceback)) for found in errors)
    assert first == second


def test_papermill_computes_for_other_parameters_and_finds_equal_ones_again(desk):
    pytest.importorskip("papermill")
    path = desk.write()
    outputs = [desk.papermill(path, f"out{number}", n=n) for number, n in enumerate((4, 5, 4))]
    assert desk.runs == 2
    assert [shown_by(notebook)[0]["text"] for notebook in outputs] == [
        "computed 42\n",
        "computed 70\n",
        "computed 42\n",
    ]
    assert ["hit" in status_of(notebook) for notebook in outputs] == [False, False, True]
    assert shown_by(outputs[2]) == shown_by(outputs[0])


def test_papermill_with_the_parameters_of_the_notebook_finds_what_nbclient_stored(own_desk):
    pytest.importorskip("papermill")
    path = own_desk.write()
    own_desk.nbclient(path)
    assert "hit" in status_of(own_desk.papermill(path, "out", n=3))
    assert own_desk.runs == 1


def test_a_parameter_of_another_type_is_another_input(own_desk):
    pytest.importorskip("papermill")
    path = own_desk.write(sum=f"%%stash run\n{COUNT}\ntotal = n * 2\ntotal", after="n")
    texts = [shown_by(own_desk.papermill(path, f"out{n}", n=n), "sum")[-1]["data"]["text/plain"] for n in ("3", "3.0")]
    assert texts == ["6", "6.0"]
    assert own_desk.runs == 2


# ---- the notebook about Colab, on something that looks like Colab --------------------------------------------------

COLAB_PACKAGE = {
    "__init__.py": "",
    "drive.py": "import os\n\ndef mount(place):\n    os.makedirs(os.path.join(place, 'MyDrive'), exist_ok=True)\n",
    "userdata.py": "import os\n\nclass SecretNotFoundError(Exception): ...\n\nclass NotebookAccessError(Exception): ...\n\n"
    "def get(name):\n    secret = os.environ['SECRETS']\n    if secret == 'closed':\n        raise NotebookAccessError(name)\n"
    "    if not secret:\n        raise SecretNotFoundError(name)\n    return secret\n",
}
NEEDS_CODE = "%%stash tools\ntool = lambda number: number + 1\ntool(1)"


@pytest.fixture
def colab(desk):
    """Runs the notebook on a new machine each time: nothing stays but the Drive. Gives our status lines by stash."""
    package = desk.folder / "packages/google/colab"
    package.mkdir(parents=True)
    for name, text in COLAB_PACKAGE.items():
        (package / name).write_text(text)
    desk.environment["PYTHONPATH"] += os.pathsep + str(package.parents[1])

    def run(machine, secret):
        notebook = nbformat.read(PROJECT / "notebooks/colab.ipynb", 4)
        for cell in notebook.cells:
            cell.source = cell.source.replace("/content/drive", str(desk.folder / "drive")).replace("60_000", "300")
        notebook.cells.append(nbformat.v4.new_code_cell(NEEDS_CODE))
        notebook.metadata.kernelspec = {"name": "cells", "display_name": "cells", "language": "python"}
        path = desk.folder / "colab.ipynb"
        nbformat.write(notebook, path)
        homes = {f"XDG_{kind}_HOME": str(desk.folder / machine / kind.lower()) for kind in ("CACHE", "STATE", "CONFIG")}
        desk.environment |= {**homes, "SECRETS": secret}
        shown = desk.nbclient(path)
        outputs = [output for cell in shown.cells for output in cell.get("outputs", ())]
        lines = [o.data["text/plain"] for o in outputs if o.get("metadata", {}).get("hashstash")]
        texts = "".join(output.get("text", "") for output in outputs)
        return {line.split(":")[0].removeprefix("stash "): line for line in lines}, texts

    return run


def test_on_colab_the_drive_and_the_key_bring_everything_back_on_another_machine(colab, desk):
    key = "0123456789abcdef" * 4
    first, said = colab("one", key)
    assert "your key: that among the secrets" in said
    assert ["ran in" in first[name] for name in ("collatz", "tools")] == [True, True]
    assert any((desk.folder / "drive/MyDrive/stash/cells").iterdir())
    second, _ = colab("two", f" {key}\n")
    assert ["hit" in second[name] for name in ("collatz", "tools")] == [True, True]


@pytest.mark.parametrize("secret", ["", "closed"])
def test_on_colab_without_the_key_data_comes_back_and_what_needs_code_runs(colab, secret):
    colab("one", secret)
    second, said = colab("two", secret)
    assert "your key: that of this machine" in said
    assert "hit" in second["collatz"]
    assert "ran in" in second["tools"]
