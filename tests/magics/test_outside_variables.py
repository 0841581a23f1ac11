"""Cells that depend on more than their names say: scripts that ``%run`` runs, and how logging is set up."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager

import pytest

NOTEBOOK = {
    "cells": [{"cell_type": "code", "source": "r = a + 1", "metadata": {}, "outputs": [], "execution_count": None}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 4,
}


WRITES = "import pathlib\npathlib.Path('made.py').write_text('r = a + 1')\n"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("", '-i "my s.py"'),
        ("", "-ni t.py"),
        ("", "-i -N 3 -t t.py"),
        ("", "o.ipynb"),
        ("", "t.ipy"),
        (WRITES, "-i made"),
    ],
)
def test_what_a_script_reads_among_the_notebooks_variables_is_an_input(session, home, first, line):
    if line.endswith("ipynb"):
        pytest.importorskip("nbformat")
    for name in ("my s.py", "t.py", "t.ipy"):
        (home / name).write_text("r = a + 1\n", encoding="utf-8")
    (home / "o.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    session.run("a = 1")
    cell = f"%%stash t\n{first}%run {line}"
    session.run(cell)
    assert "stored" in session.status()
    assert session["r"] == 2
    session.run("a = 10")
    session.run(cell)
    assert session["r"] == 11


@contextmanager
def first_logger():
    """The first logger without the handlers that pytest gives it for each test."""
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        yield root
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


CELL = "%%stash t\nimport logging\nlogging.basicConfig(level=logging.INFO)\nr = 1"


def test_a_cell_that_sets_up_logging_does_so_on_a_hit_and_is_a_hit_where_it_is_set_up(session, home):
    with first_logger() as root:
        session.run(CELL)
        assert "stored" in session.status()
        session.run(CELL)
        assert "restored" in session.status()
        root.handlers.clear()
        root.setLevel(logging.WARNING)
        session.run(CELL)
        assert "restored" in session.status()
        assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]
        assert root.level == logging.INFO


def test_handlers_that_the_user_added_since_are_kept(session, home):
    with first_logger() as root:
        session.run(CELL)
        own = logging.FileHandler(home / "x.log", delay=True)
        root.addHandler(own)
        session.run(CELL)
        assert own in root.handlers
        assert len(root.handlers) == 2


def test_that_a_cell_set_up_nothing_since_it_was_set_up_is_no_hit_where_it_is_not(session, home):
    with first_logger() as root:
        own = logging.FileHandler(home / "x.log", delay=True)
        root.addHandler(own)
        session.run(CELL)
        assert root.handlers == [own]
        root.handlers.clear()
        session.run(CELL)
        assert root.level == logging.INFO
        assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]


def test_a_database_that_is_open_for_reading_only_keeps_no_cell_from_being_stored(session, home):
    session.run(
        "import sqlite3\nw = sqlite3.connect('x.db')\nw.execute('pragma journal_mode=wal')\n"
        "w.execute('create table t (n)')\nw.execute('insert into t values (5)')\nw.commit()\nw.close()"
    )
    cell = "%%stash t -x con\ncon = sqlite3.connect('x.db')\nr = con.execute('select n from t').fetchone()[0]"
    session.run(cell)
    assert "stored" in session.status(), session.status()
    session.run("con.execute('update t set n = 6')\ncon.commit()\ncon.close()")
    session.run(cell)
    assert session["r"] == 6
    session.run("con.close()")
