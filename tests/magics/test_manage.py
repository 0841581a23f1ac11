"""``%stash``: listing, explaining, clearing."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError


@pytest.fixture
def filled(session):
    session.run("x = 1")
    session.run("%%stash one\n# first\ny = x + 1")
    session.run("%%stash two/deep\nz = '<i>'")
    return session


def test_list_of_stashes(filled):
    table = filled.run("%stash")
    assert [row[:2] for row in table.rows] == [["one", "1"], ["two/deep", "1"]]


def test_empty_list_says_how_to_begin(session):
    assert "%%stash NAME" in repr(session.run("%stash"))


def test_records_of_one_stash(filled):
    table = filled.run("%stash ls one")
    assert table.rows[0][3:] == ["y", "x", "y = x + 1"]


def test_tables_are_escaped_and_plain_text_too(filled):
    table = filled.run("%stash ls two/deep")
    assert "<i>" not in table._repr_html_()
    assert "z = '<i>'" in repr(table)


def test_why_names_what_changed(filled):
    filled.run("x = 2")
    filled.run("%%stash one\ny = x + 1")
    filled.run("%stash why one")
    assert "`x` changed" in filled.status()


def test_clear_removes_the_records_of_one_stash(filled):
    filled.run("%stash clear one")
    assert "1 record removed" in filled.status()
    filled.run("%%stash one\ny = x + 1")
    assert "ran in" in filled.status()
    assert filled.run("%stash ls two/deep").rows


def test_clear_older_keeps_young_records(filled):
    filled.run("%stash clear one --older 1d")
    assert "0 records removed" in filled.status()


@pytest.mark.parametrize(
    "line", ["nonsense", "ls a b", "clear", "clear ../up", "clear one --older", "clear one --older soon", "why nobody"]
)
def test_a_wrong_command_is_a_usage_error(session, line):
    assert isinstance(session.fail(f"%stash {line}"), UsageError)


@pytest.mark.parametrize("line", ["%stash ls nosuch", "%stash clear nosuch"])
def test_an_unknown_stash_is_named_and_not_made(filled, line):
    with pytest.raises(UsageError, match="no stash named 'nosuch'; known: one, two/deep"):
        filled.run(line)
    assert len(filled.run("%stash").rows) == 2


def test_a_stash_that_was_cleared_is_not_listed(filled):
    filled.run("%stash clear one")
    assert [row[0] for row in filled.run("%stash").rows] == ["two/deep"]
