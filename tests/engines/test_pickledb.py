import base64
import json
import os

import pytest

from hashstash.testing.engine import EngineContract

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
