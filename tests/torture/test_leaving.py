"""Blocks that are left, wherever an interrupt comes."""

import contextlib
import gc
import sys
from types import SimpleNamespace

import pytest

from hashstash import HashStash
from hashstash.cells.looks import mime_bundle
from hashstash.cells.restore import _uncollected
from hashstash.cells.surroundings import importing_as_after
from hashstash.engines import _sqlite_connections
from hashstash.imports import installed_only
from hashstash.leaving import always_left
from torture.interrupting import at_step

pytestmark = pytest.mark.once
TRACE = []


@always_left
def counting():
    try:
        TRACE.append("entered")
        yield "inside"
    finally:
        TRACE.append("left")


def interrupted_everywhere(work):
    """*work* is interrupted at each step, and what came out is kept, as a notebook keeps it."""
    kept, step, where = [], 0, "somewhere"
    while where:
        step += 1
        where, came_out = at_step(work, step, kept)
        assert came_out or not where
        yield
    assert len(kept) == step - 1 > 3


def test_a_block_gives_what_is_yielded_and_is_left_after_an_error():
    TRACE.clear()
    with pytest.raises(KeyError, match="in the block"), counting() as found:
        assert (found, TRACE) == ("inside", ["entered"])
        raise KeyError("in the block")
    assert TRACE == ["entered", "left"]


def test_a_block_may_be_entered_anew_and_nested():
    TRACE.clear()
    with counting(), counting():
        pass
    assert TRACE == ["entered", "entered", "left", "left"]


def test_a_stack_of_blocks_leaves_it_too():
    TRACE.clear()
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(counting()) == "inside"
    assert TRACE == ["entered", "left"]


def test_after_an_interrupt_at_any_step_a_database_may_be_opened_again(tmp_path):
    def work():
        with _sqlite_connections.replacing(str(tmp_path / "rows.sqlite")):
            len("")

    for _ in interrupted_everywhere(work):
        assert not _sqlite_connections._replaced


def test_after_an_interrupt_at_any_step_the_usual_imports_are_back():
    def work():
        with installed_only():
            len("")

    before = list(sys.meta_path)
    for _ in interrupted_everywhere(work):
        assert sys.meta_path == before


def test_after_an_interrupt_at_any_step_garbage_is_collected_again():
    def work():
        with _uncollected():
            len("")

    assert gc.isenabled()
    for _ in interrupted_everywhere(work):
        assert gc.isenabled()


def test_after_an_interrupt_at_any_step_modules_are_looked_for_where_they_were(tmp_path):
    changes = {"import_path": ([str(tmp_path)], [], []), "working_directory": str(tmp_path)}

    def work():
        with importing_as_after(changes):
            assert str(tmp_path) in sys.path

    before = list(sys.path)
    for _ in interrupted_everywhere(work):
        assert sys.path == before


def test_after_an_interrupt_at_any_step_of_looking_at_a_value_the_shell_shows_again_what_it_is_given():
    publisher = SimpleNamespace()
    formatter = SimpleNamespace(format=lambda value: ({"text/plain": repr(value)}, {}))
    shell = SimpleNamespace(display_pub=publisher, display_formatter=formatter)
    streams = sys.stdout, sys.stderr
    for _ in interrupted_everywhere(lambda: mime_bundle(shell, 1)):
        assert (sys.stdout, sys.stderr) == streams
        assert not vars(publisher)


def test_after_an_interrupt_at_any_step_of_growing_its_map_an_lmdb_stash_is_read(tmp_path):
    pytest.importorskip("lmdb")
    stash = HashStash(tmp_path / "stash", engine="lmdb")
    stash["a"] = 1
    environment = stash.store.engine._open()

    def work():
        environment.grow(environment.map_size() - 1)  # so that nothing has to grow

    for _ in interrupted_everywhere(work):
        assert environment.begin is not None or environment.is_due
        assert stash["a"] == 1
    stash.close()
