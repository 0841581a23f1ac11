import base64
import json
import os
import time

import pytest

from hashstash.errors import CorruptEntry
from hashstash.testing.engine import EngineContract
from hashstash.testing.rows import ADDRESS, row

pickledb_engine = pytest.importorskip(
    "hashstash.engines.pickledb", reason="the package pickledb is not installed", exc_type=ImportError
)
PickledbEngine = pickledb_engine.PickledbEngine


class TestPickledb(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: PickledbEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        path = os.path.join(engine.location(), "rows.json")
        if not os.path.exists(path):
            return None
        with open(path) as file:
            text = json.load(file).get(address.hex())
        return None if text is None else base64.b64decode(text)


def test_what_an_interrupt_left_unchecked_is_read_and_checked_again(tmp_path, monkeypatch):
    PickledbEngine(str(tmp_path)).put(ADDRESS, row("a"))
    engine = PickledbEngine(str(tmp_path))
    check, checked = engine._hold_against, []

    def interrupted(handle, guard):
        checked.append(handle)
        if len(checked) == 1:
            raise KeyboardInterrupt
        check(handle, guard)

    monkeypatch.setattr(engine, "_hold_against", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.get(ADDRESS)
    assert engine.get(ADDRESS) == row("a")
    assert len(checked) == 2


def leave_draft(folder, *, age):
    path = folder / "rows.json.tmp"
    path.write_bytes(b"a part of")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_draft_that_could_not_be_removed_is_removed_by_whoever_writes_next(tmp_path):
    draft = leave_draft(tmp_path, age=0)
    PickledbEngine(str(tmp_path)).put(ADDRESS, row("a"))
    assert not draft.exists()


def test_the_draft_of_a_section_is_removed_by_whoever_writes_next_to_the_engine(tmp_path):
    PickledbEngine(str(tmp_path)).section("meta").put(ADDRESS, row("a"))
    draft = leave_draft(tmp_path / "@meta", age=0)
    PickledbEngine(str(tmp_path)).put(ADDRESS, row("b"))
    assert not draft.exists()
    assert PickledbEngine(str(tmp_path)).section("meta").get(ADDRESS) == row("a")


def test_a_draft_is_removed_by_compacting(tmp_path):
    engine = PickledbEngine(str(tmp_path))
    engine.put(ADDRESS, row("a"))
    draft = leave_draft(tmp_path, age=0)
    engine.compact()
    assert not draft.exists()
    assert PickledbEngine(str(tmp_path)).get(ADDRESS) == row("a")


def test_whoever_only_reads_removes_nothing(tmp_path):
    draft = leave_draft(tmp_path, age=2 * 86_400)
    assert PickledbEngine(str(tmp_path)).get(ADDRESS) is None
    assert draft.exists()


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path):
    engine = PickledbEngine(str(tmp_path))
    engine.put(ADDRESS, row("a"))
    os.unlink(tmp_path / "rows.json")
    (tmp_path / "rows.json" / "in the way").mkdir(parents=True)
    with pytest.raises(CorruptEntry, match="a folder in the place of a file"):
        engine.put(ADDRESS, row("b"))
    assert not (tmp_path / "rows.json.tmp").exists()
