"""What stands around a cell's variables, while its record is looked at."""

from __future__ import annotations

import os
import sys

import pytest

from hashstash.cells.surroundings import describes_session, importing_as_after


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "one", "two"])


@pytest.mark.parametrize("changes", [{}, {"import_path": (["new"], [], ["two"])}, {"working_directory": os.sep}])
def test_what_others_do_to_the_import_path_meanwhile_is_kept(changes):
    with importing_as_after(changes):
        sys.path.insert(0, "theirs")
        sys.path.append("last")
    assert sys.path == ["theirs", "", "one", "two", "last"]


def test_within_modules_are_looked_for_where_the_changes_lead():
    with importing_as_after({"import_path": (["new"], [], ["two"]), "working_directory": os.sep}):
        assert sys.path == [os.path.join(os.sep, name) for name in ("new", "", "one")]
    assert sys.path == ["", "one", "two"]


@pytest.mark.parametrize("name", ["STY", "TMUX", "TMUX_PANE", "MPLBACKEND", "XDG_SESSION_ID", "JPY_PARENT_PID"])
def test_a_variable_of_a_session_is_none_of_a_cells(name):
    assert describes_session(name)


@pytest.mark.parametrize("name", ["STYLE", "MPLBACKENDS", "TMUXINATOR_CONFIG", "SESSION_MANAGERS", "WINDOWIDS"])
def test_a_variable_that_only_begins_like_one_of_a_session_counts(name):
    assert not describes_session(name)
