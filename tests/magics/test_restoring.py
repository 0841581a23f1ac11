"""A record that cannot be brought back, or shown: all or nothing, and the cell runs on what was there before."""

from __future__ import annotations

import os

import pytest

np = pytest.importorskip("numpy")

MOODY = """
import os
class Moody:
    def __init__(self): self.__dict__['x'] = 0
    def __getstate__(self): return {'x': self.x}
    def __setstate__(self, state):
        if os.environ.get('MOOD') == 'bad':
            raise RuntimeError('not today')
        self.__dict__.update(state)
"""


@pytest.fixture
def moody(session, monkeypatch):
    """A session in which the second of two changed objects cannot be brought back when MOOD is bad."""
    monkeypatch.setenv("MOOD", "good")
    monkeypatch.delenv("CHANGED", raising=False)
    session.run(MOODY)
    return session


SETUP = """
import random
items, table, array, gone = [0], {'k': 1}, np.zeros(3), 1
alias = items
random.seed(3)
os.environ.pop('CHANGED', None)
"""
CELL = """%%stash t
items.append(len(items)); table['new'] = items; array += 1
del gone
os.environ['CHANGED'] = 'yes'
random.seed(4); random.random()
made = [items]
"""


def state(session):
    names = ("items", "table", "made")
    found = {name: repr(session.shell.user_ns.get(name)) for name in names}
    space = session.shell.user_ns
    return {**found, "array": space["array"].tolist(), "gone": "gone" in space, "alias": space["alias"] is space["items"],
            "environment": os.environ.get("CHANGED"), "random": space["random"].getstate()}  # fmt: skip


def apply_with_a_fault_at(number, monkeypatch):
    """Let the n-th object that is changed raise, after it was changed."""
    from hashstash.cells import objects

    apply, calls = objects.apply, []

    def faulty(value, changed):
        apply(value, changed)
        calls.append(value)
        if len(calls) == number:
            raise RuntimeError("not today")

    monkeypatch.setattr(objects, "apply", faulty)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_fails_on_the_way_is_undone_and_the_cell_runs(moody, monkeypatch, number):
    session = moody
    session.run("import numpy as np")
    session.run(SETUP)
    session.run(CELL)
    expected = state(session)
    session.run("del made")
    session.run(SETUP)
    before = state(session)
    seen = []
    session.shell.user_ns["look"] = lambda: seen.append(state(session))
    with monkeypatch.context() as patch:
        apply_with_a_fault_at(number, patch)
        session.run(CELL + "# look\n")
        assert "could not be brought back: RuntimeError: not today" in session.status()
        assert "ran in" in session.status()
    assert state(session) == expected
    session.run("del made")
    session.run(SETUP)
    assert state(session) == before
    session.run(CELL)
    assert "hit" in session.status()
    assert state(session) == expected


def test_before_it_runs_everything_is_as_it_was(moody, monkeypatch):
    """The cell that runs instead must not see a part of what was restored."""
    session = moody
    session.run("import numpy as np\nseen = []")
    cell = CELL.replace("%%stash t", "%%stash t --ignore seen -x seen").replace(
        "items.append", "seen.append(repr((items, table, array)));items.append", 1
    )
    session.run(SETUP)
    session.run(cell)
    session.run(SETUP)
    with monkeypatch.context() as patch:
        apply_with_a_fault_at(3, patch)
        session.run(cell)
    assert session["seen"][0] == session["seen"][1]


def test_a_class_that_refuses_its_state_runs_the_cell(moody, monkeypatch):
    session = moody
    session.run("items, thing = [0], Moody()")
    cell = "%%stash t\nitems.append(1)\nthing.__dict__['x'] += 1\nthing.x"
    session.run(cell)
    session.run("items, thing = [0], Moody()")
    monkeypatch.setenv("MOOD", "bad")
    session.run(cell)
    assert (session["items"], session["thing"].x) == ([0, 1], 1)


def test_a_working_directory_that_is_gone_runs_the_cell(session, tmp_path):
    session.run("import os, shutil\nhere = os.getcwd()\nitems = [0]")
    cell = "%%stash t\nitems.append(1)\nos.makedirs('deep', exist_ok=True)\nos.chdir('deep')"
    session.run(cell)
    session.run("os.chdir(here)\nshutil.rmtree('deep')\nitems = [0]")
    session.run(cell)
    assert session["items"] == [0, 1]
    assert os.getcwd().endswith("deep")
    session.run("os.chdir(here)")


def test_outputs_that_cannot_be_shown_are_a_warning_and_nothing_runs_twice(session):
    session.run("items = [0]")
    cell = (
        "%%stash t\nfrom IPython.display import display, HTML\nitems.append(1)\ndisplay(HTML('<b>x</b>'))\nlen(items)"
    )
    session.run(cell)
    session.run("items = [0]")
    publish = session.shell.display_pub.publish

    def refuse(data, metadata=None, *arguments, **keywords):
        if "hashstash" not in (metadata or {}):
            raise BrokenPipeError("nobody listens")
        publish(data, metadata, *arguments, **keywords)

    session.shell.display_pub.publish = refuse
    try:
        assert session.run(cell) == 2
    finally:
        session.shell.display_pub.publish = publish
    assert session["items"] == [0, 1]
    assert "hit" in session.status()
    assert "not all outputs could be shown again: BrokenPipeError: nobody listens" in session.status()
