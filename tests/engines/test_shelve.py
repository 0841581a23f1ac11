import contextlib
import dbm.dumb
import importlib
import os

import pytest

from hashstash.engines.shelve import ShelveEngine
from hashstash.testing.engine import EngineContract

pytestmark = pytest.mark.once


class ShelveContract(EngineContract):
    backend = ""

    @pytest.fixture
    def make(self, tmp_path):
        pytest.importorskip(
            f"dbm.{self.backend}", reason=f"this Python has no dbm.{self.backend}", exc_type=ImportError
        )
        return lambda: ShelveEngine(str(tmp_path / "stash"), backend=self.backend)

    def source(self, engine):
        return super().source(engine) + f"engine = PLUGIN({engine.location()!r}, backend={self.backend!r})\n"

    def neighbour(self, engine):
        return ShelveEngine(engine.location() + "b", backend=self.backend)


class TestShelveOnDumb(ShelveContract):
    backend = "dumb"

    def raw_get(self, engine, address):
        with dbm.dumb.open(os.path.join(engine.location(), "rows.dumb"), "r") as file:
            key = address.hex().encode()
            return None if file._index.get(key) == (0, 0) else file.get(key)  # that is how a removed row looks


class TestShelveOnSqlite3(ShelveContract):
    backend = "sqlite3"

    def raw_get(self, engine, address):
        with contextlib.closing(
            importlib.import_module("dbm.sqlite3").open(f"{engine.location()}/rows.sqlite3")
        ) as file:
            return file.get(address)


class TestShelveOnGnu(ShelveContract):
    backend = "gnu"

    def raw_get(self, engine, address):
        with importlib.import_module("dbm.gnu").open(os.path.join(engine.location(), "rows.gnu"), "ru") as file:
            return file.get(address)
