"""Blocks that are left, wherever an interrupt comes."""

import contextlib
import gc
import sys

import pytest

from hashstash import HashStash
from hashstash.cells.restore import _uncollected
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


def test_after_an_interrupt_at_any_step_of_growing_its_map_an_lmdb_stash_is_read(tmp_path):
    pytest.importorskip("lmdb")
    stash = HashStash(tmp_path / "stash", engine="lmdb")
    stash["a"] = 1
    environment = stash.store.engine._open()

    def work():
        environment.grow(environment.map_size() - 1)  # so that nothing has to grow

    for _ in interrupted_everywhere(work):
        assert environment.begin is not None
        assert stash["a"] == 1
    stash.close()
