"""Records that somebody else wrote: data comes back, code does not, and only harmless displays are shown."""

from __future__ import annotations

import os

import pytest

from hashstash import trust


@pytest.fixture
def become_another_user(tmp_path, monkeypatch):
    def become() -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another state"))
        trust._keyrings.clear()

    return become


def test_data_comes_back(session, become_another_user):
    session.run("%%stash t\ny = [1, {'a': (2, 3)}]")
    session.run("del y")
    become_another_user()
    session.run("%%stash t\ny = [1, {'a': (2, 3)}]")
    assert "hit" in session.status()
    assert session["y"] == [1, {"a": (2, 3)}]


def test_html_is_left_out_and_text_is_shown(session, become_another_user):
    session.run("from IPython.display import display, HTML")
    cell = "%%stash t\ndisplay(HTML('<b>x</b>'))\ny = 1"
    session.run(cell)
    become_another_user()
    session.run(cell)
    assert "1 display left out" in session.status()
    assert [list(data) for data in session.outputs()] == [["text/plain"]]


def test_code_runs_again_with_a_warning(session, become_another_user):
    cell = "%%stash t\ndef f():\n    return 1\ny = f()"
    session.run(cell)
    session.run("del f, y")
    become_another_user()
    session.run(cell)
    assert "ran in" in session.status()
    assert "warning" in session.status()
    session.run(cell)
    assert "hit" in session.status()


def test_a_stranger_does_not_change_the_environment(session, become_another_user):
    cell = "%%stash t\nimport os\nos.environ['SET_BY_CELL'] = 'x'\ndel os"
    session.run(cell)
    del os.environ["SET_BY_CELL"]
    become_another_user()
    session.run(cell)
    assert "nobody you trust signed it" in session.status()
    assert "ran in" in session.status()
    del os.environ["SET_BY_CELL"]
