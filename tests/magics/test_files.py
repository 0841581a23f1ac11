"""Files that a cell wrote are part of what it did."""

from __future__ import annotations

import sys

import pytest

WRITES = "%%stash t\nwith open('out.txt', 'w') as file:\n    _ = file.write(str(v))\ndel file"


def test_a_file_that_another_run_of_the_cell_overwrote_is_written_again(session, home):
    for v in (1, 2, 1):
        session.run(f"v = {v}")
        session.run(WRITES)
    assert "ran in" in session.status()
    assert (home / "out.txt").read_text() == "1"


def test_a_file_that_is_as_the_cell_left_it_is_a_hit(session, home):
    session.run("v = 1")
    session.run(WRITES)
    session.run(WRITES)
    assert "hit" in session.status()


def test_others_may_add_to_a_file_that_the_cell_added_to(session, home):
    cell = "%%stash t\nwith open('log.txt', 'a') as file:\n    _ = file.write('line')\ndel file"
    session.run(cell)
    with open("log.txt", "a") as log:
        log.write("more")
    session.run(cell)
    assert "hit" in session.status()


def test_a_file_that_was_written_and_then_added_to_counts_whole(session, home):
    cell = "%%stash t\nfor mode in 'wa':\n    with open('log.txt', mode) as file:\n        _ = file.write('line')\ndel file"
    session.run(cell)
    (home / "log.txt").write_text("other")
    session.run(cell)
    assert (home / "log.txt").read_text() == "lineline"


def test_parquet_at_a_computed_path_is_read_again_when_it_changed(session, home):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame({"a": [1]}).to_parquet("part.parquet")
    session.run("import pandas as pd\nfrom pathlib import Path\nfolder = Path('.')")
    cell = "%%stash t\nx = pd.read_parquet(folder / ('part' + '.parquet'))['a'].sum()"
    session.run(cell)
    session.run(cell)
    assert "hit" in session.status()
    pandas.DataFrame({"a": [20]}).to_parquet("part.parquet")
    session.run(cell)
    assert session["x"] == 20


def test_a_module_behind_a_module_is_an_input(session, home, monkeypatch):
    (home / "behind_pk").mkdir()
    (home / "behind_pk" / "__init__.py").write_text("")
    deep = home / "behind_pk" / "deep.py"
    deep.write_text("def h():\n    return 1\n")
    (home / "behind_pk" / "sub.py").write_text("from .deep import h\ndef g():\n    return h()\n")
    monkeypatch.syspath_prepend(str(home))
    cell = "%%stash t\nfrom behind_pk.sub import g\nx = g()"
    session.run("import behind_pk.deep")
    session.run(cell)
    forget(session, "behind_pk")
    session.run("import behind_pk.deep")
    session.run(cell)
    assert "hit" in session.status()
    deep.write_text("def h():\n    return 'edited'\n")
    forget(session, "behind_pk")
    session.run("import behind_pk.deep")
    session.run(cell)
    assert session["x"] == "edited"
    forget(session, "behind_pk")


def forget(session, package):
    """As after a restart: the modules and the variables are gone."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    for name in ("x", "g", package):
        session.shell.user_ns.pop(name, None)


def test_a_file_opened_to_be_written_and_read_back_is_the_cells_own(session, home):
    (home / "both.txt").write_text("old content")
    cell = "%%stash t\nwith open('both' + '.txt', 'w+') as file:\n    _ = file.write('new')\ndel file"
    session.run(cell)
    session.run(cell)
    assert "hit" in session.status()
