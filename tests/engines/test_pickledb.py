import base64
import json
import os

import pytest

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
