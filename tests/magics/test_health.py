"""``%stash check``, ``repair`` and ``aside``."""

import os

import pytest

from hashstash.cells.stashes import CellStashes
from hashstash.engines._sqlite_connections import close_all_on


@pytest.fixture
def two(session):
    """Two stashes, of which the database of the second one was overwritten."""
    session.run("%%stash one --engine sqlite\nx = 1")
    session.run("%%stash two --engine sqlite\ny = 2")
    path = os.path.join(CellStashes().known("two").stash.store.engine.location(), "rows.sqlite")
    close_all_on(path)  # what is written while SQLite has its log open would crash it, or be mended from that
    assert not os.path.exists(path + "-wal")
    with open(path, "wb") as file:
        file.write(b"hello" * 100)
    return session


def test_nothing_is_wrong_with_what_was_just_stored(session):
    session.run("%%stash one\nx = 1")
    assert not session.run("%stash check one")
    assert not session.run("%stash check")
    assert repr(session.run("%stash repair one")) == "nothing to repair"
    assert len(session.run("%stash aside one")) == 0


def test_a_damaged_stash_hides_no_other_one_and_is_named(two):
    table = two.run("%stash")
    assert [row[0] for row in table.rows] == ["one"]
    assert "cannot be read: two; %stash check tells why" in repr(table)


def test_an_export_of_everything_leaves_no_damaged_stash_out_unsaid(two, home):
    assert "not exported: two; %stash repair NAME" in str(two.fail("%stash export all.stash --all"))
    assert not (home / "all.stash").exists()
    two.run("%stash export one.stash one")
    assert (home / "one.stash").exists()


def test_check_names_the_stash_and_the_next_step(two):
    (problem,) = two.run("%stash check")
    assert problem.what.startswith("stash two: ")
    assert "%stash repair NAME" in two.status()
    assert two.run("%stash check two")
    assert "%stash repair two" in two.status()


def test_a_repaired_stash_stores_again_and_what_was_damaged_is_kept_until_it_is_removed(two):
    assert len(two.run("%stash repair two").rebuilt) == 1
    assert not two.run("%stash check")
    two.run("%%stash two --engine sqlite\ny = 3")
    assert two.run("%stash get two y") == 3
    assert [item["kind"] for item in two.run("%stash aside two").items] == ["files"]
    assert "%stash aside two --remove" in two.status()
    two.run("%stash aside two --remove")
    assert "1 thing deleted" in two.status()
    two.run("%stash aside two --remove")
    assert "nothing is kept aside" in two.status()


@pytest.mark.parametrize("line", ["clear two", "clear --all", "rm two"])
def test_a_damaged_stash_can_be_cleared_and_what_was_damaged_is_kept_until_it_is_removed(two, line):
    two.run(f"%stash {line}")
    assert "stash two: " in two.status() or "--all" in line
    assert not two.run("%stash check")
    assert len(two.run("%stash ls two").rows) == 0
    assert len(two.run("%stash aside two")) == 1


def test_of_a_damaged_stash_nothing_is_cleared_by_its_age(two):
    assert "%stash repair" in str(two.fail("%stash clear two --older 1d"))


def test_a_record_that_was_changed_is_moved_aside(session):
    session.run("%%stash one --engine pairtree\nx = 1")
    store = CellStashes().known("one").stash.store
    address, row = next(iter(store.engine.rows()))
    store.engine.put(address, row[:-1] + bytes([row[-1] ^ 1]))
    assert len(session.run("%stash check one")) == 1
    assert len(session.run("%stash repair one").moved) == 1
    assert len(session.run("%stash aside one")) == 1


@pytest.mark.parametrize("line", ["check nosuch", "repair nosuch", "aside nosuch"])
def test_what_is_not_there_is_not_made(session, home, line):
    assert "no stash named 'nosuch'" in str(session.fail(f"%stash {line}"))
    assert not list(home.rglob("data.db"))
