"""Annotations of plain names come back with the cell that made them, as a plain run would have noted them."""

from __future__ import annotations

import sys

import pytest

from hashstash.cells.annotated import NAME

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="annotations are evaluated when they are asked for")


def come_back(session, cell: str, *names: str) -> dict:
    """The annotations after the cell came back, in a shell that has forgotten its variables; they are those of its run."""
    session.run(f"%%stash t\n{cell}")
    assert ", stored " in session.status()
    noted = dict(session[NAME])
    for name in (NAME, *names):
        session.shell.user_ns.pop(name, None)
    session.run(f"%%stash t\n{cell}")
    assert ": hit, " in session.status()
    found = session.shell.user_ns.get(NAME, {})
    assert repr(found) == repr(noted)
    return found


def test_annotations_come_back(session):
    found = come_back(session, "x: int = 3\ny: list['str']\nz: 'text' = 4\nw: float | None = None", "x", "z", "w")
    assert found == {"x": int, "y": list["str"], "z": "text", "w": float | None}


def test_classes_of_the_cell_are_those_that_came_back(session):
    found = come_back(session, "class A: pass\na: A = A()", "A", "a")
    assert found["a"] is session["A"]


def test_only_those_that_were_noted_come_back(session):
    cell = "if flag:\n    x: int = 1\nelse:\n    y: str = ''\nfor i in range(2):\n    z: float = i"
    session.run("flag = False")
    assert come_back(session, cell, "y", "i", "z") == {"y": str, "z": float}


def test_earlier_ones_stay(session):
    session.run("before: int = 1")
    session.run("%%stash t\nx: str = ''")
    del session["__annotations__"]["x"]
    session.run("%%stash t\nx: str = ''")
    assert session["__annotations__"] == {"before": int, "x": str}


def test_none_come_back_that_python_does_not_note(session):
    cell = "class A:\n    inner: int = 1\ndef f():\n    local: int = 2\nA.b: int = 3\n(c): int = 4\nf()"
    session.run(f"%%stash t\n{cell}")
    noted = dict(session.shell.user_ns.get(NAME, {}))
    session.run(f"%%stash t\n{cell}")
    assert session.shell.user_ns.get(NAME, {}) == noted == {}


def test_with_the_future_import_they_are_texts(session):
    session.run("from __future__ import annotations")
    assert come_back(session, "x: f(1)[no_such] = 3", "x") == {"x": "f(1)[no_such]"}


def test_a_cell_that_reads_them_depends_on_them(session):
    session.run("x: int = 1")
    session.run("%%stash t\nnames = sorted(__annotations__)")
    session.run("%%stash t\nnames = sorted(__annotations__)")
    assert ": hit, " in session.status()
    session.run("y: int = 2")
    session.run("%%stash t\nnames = sorted(__annotations__)")
    assert session["names"] == ["x", "y"]


@pytest.mark.parametrize(
    "cell",
    ["def f(): return int\nx: f() = 3", "A = int\nx: A = 3\nA = str", "A = int\nx: A = 3\ndel A", "x: (y := int) = 1"],
)
def test_what_cannot_be_evaluated_once_more_is_not_stored(session, cell):
    session.run(f"%%stash t\n{cell}")
    assert "not cached: the annotation of `x` cannot be repeated on a hit" in session.status()
    assert session[NAME]["x"] is int


def test_a_cell_without_annotations_makes_none(session):
    session.run("%%stash t\nx = 1")
    session.run("%%stash t\nx = 1")
    assert NAME not in session.shell.user_ns
