import os
import stat

import pytest

from hashstash.engines.pairtree import PairtreeEngine
from hashstash.testing.engine import ADDRESS, EngineContract, row


class TestPairtree(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: PairtreeEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        path = os.path.join(engine.location(), address.hex()[:2], address.hex())
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_only_the_owner_can_read_under_any_umask(self, make, umask):
        engine = make()
        before = os.umask(umask)
        try:
            engine.put(ADDRESS, row("secret"))
        finally:
            os.umask(before)
        path = os.path.join(engine.location(), ADDRESS.hex()[:2], ADDRESS.hex())
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(engine.location()).st_mode) == 0o700

    def test_drafts_of_dead_writers_are_removed_when_they_are_old(self, make):
        engine = make()
        engine.put(ADDRESS, row("a"))
        draft = os.path.join(engine.location(), "tmp", "1.abc")
        with open(draft, "wb") as file:
            file.write(b"half")
        make()
        assert os.path.exists(draft)
        os.utime(draft, (1, 1))
        make()
        assert not os.path.exists(draft)

    def test_the_count_sees_what_other_engines_write(self, make):
        one, two = make(), make()
        for number in range(20):
            one.put(bytes([number]) * 16, row("a"))
            assert two.count() == number + 1
