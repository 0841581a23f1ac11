"""Stashes of a notebook's cells: their records say for themselves whom they are from, and are joined when they are imported."""

import os
import pathlib
import subprocess
import sys

import pytest

import hashstash
from hashstash import HashStash

pytest.importorskip("IPython", reason="IPython is not installed")

DEADLINE = 120
SESSION = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "hashstash")
for cell in sys.argv[1:]:
    shell.run_cell(cell).raise_error()
"""


@pytest.fixture
def cells(tmp_path):
    """Run cells in a session of this user, or of somebody else with a key of his own."""

    def run_cells(*cells, user=None):
        root = pathlib.Path(hashstash.__file__).parents[1]
        env = {**os.environ, "PYTHONPATH": str(root), "IPYTHONDIR": str(tmp_path / "ipython")}
        if user is not None:
            env["XDG_STATE_HOME"] = str(tmp_path / user)
        done = subprocess.run(
            [sys.executable, "-c", SESSION, *cells],
            env=env,
            cwd=tmp_path,
            timeout=DEADLINE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_cells


def test_records_of_others_are_listed_and_then_trusted(run, cells):
    cells("%%stash churn\nimport math\nroot = math.sqrt\nnumber = 2", user="somebody")
    rehearsed = run("trust", "cells/churn", "--dry-run")
    assert "record" in rehearsed.out
    assert "import math" in rehearsed.out
    done = run("trust", "cells/churn", "--yes")
    assert done.code == 0
    assert done.lines[-1].startswith("signed ")
    assert run("trust", "cells/churn", "--dry-run", "--json").json["untrusted"] == []
    shown = cells("%%stash churn\nimport math\nroot = math.sqrt\nnumber = 2", "print('root is', root)")
    assert "restored" in shown
    assert "root is <built-in function sqrt>" in shown


def test_records_of_one_cell_are_joined(run, cells, tmp_path):
    cells("n = 1", "%%stash churn\nm = n + 1")
    file = tmp_path / "churn.stash"
    assert run("export", file, "cells/churn").code == 0
    HashStash("cells", dbname="churn").clear()
    cells("n = 5", "%%stash churn\nm = n + 1")
    assert run("import", file).code == 0
    for number in (1, 5):
        assert "restored" in cells(f"n = {number}", "%%stash churn\nm = n + 1", "assert m == n + 1")
