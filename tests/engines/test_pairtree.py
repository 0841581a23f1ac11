import os
import stat

import pytest

from hashstash.engines.pairtree import PairtreeEngine
from hashstash.testing.engine import ADDRESS, EngineContract, ScaleContract, row

pytestmark = pytest.mark.once


class TestPairtree(EngineContract):
    many = 20_000

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

    @pytest.mark.parametrize("make_one", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/hostname", path)])
    def test_what_is_no_file_is_no_row_and_nobody_waits_for_it(self, make, make_one):
        engine = make()
        engine.put(ADDRESS, row("a"))
        path = os.path.join(engine.location(), ADDRESS.hex()[:2], ADDRESS.hex())
        os.unlink(path)
        make_one(path)
        assert engine.has(ADDRESS)
        assert (engine.get(ADDRESS), engine.peek(ADDRESS, 8)) == (b"", b"")
        assert dict(engine.rows()) == {ADDRESS: b""}

    def test_a_hole_in_the_place_of_a_row_takes_no_memory(self, make):
        engine = make()
        engine.put(ADDRESS, row("a"))
        os.truncate(os.path.join(engine.location(), ADDRESS.hex()[:2], ADDRESS.hex()), 1 << 40)
        assert engine.get(ADDRESS) == b""

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


@pytest.mark.heavy
class TestHundredThousandRows(ScaleContract):
    make, raw_get = TestPairtree.make, TestPairtree.raw_get


class TestOneFolderOfManyRows:
    """As many rows in one folder as each would have of five million entries: one level of folders is enough at any size."""

    NUMBER = 20_000

    @pytest.fixture(scope="class")
    @classmethod
    def crowded(cls, tmp_path_factory):
        engine = PairtreeEngine(str(tmp_path_factory.mktemp("crowded") / "stash"))
        engine.put(b"\x07" + bytes(15), row("first"))
        folder = os.path.join(engine.location(), "07")
        for number in range(1, cls.NUMBER):
            name = (b"\x07" + number.to_bytes(15, "little")).hex()
            with open(os.path.join(folder, name), "wb") as file:
                file.write(row(str(number)))
        return engine

    def test_every_row_is_found_counted_and_listed(self, crowded):
        assert crowded.count() == self.NUMBER == sum(1 for _ in crowded.scan())
        assert crowded.get(b"\x07" + (self.NUMBER - 1).to_bytes(15, "little")) == row(str(self.NUMBER - 1))
        assert crowded.get(b"\x07" + self.NUMBER.to_bytes(15, "little")) is None

    def test_rows_are_replaced_and_deleted(self, crowded):
        address = b"\x07" + (5).to_bytes(15, "little")
        crowded.put(address, row("new"))
        assert crowded.get(address) == row("new")
        assert crowded.delete(address)
        assert crowded.count() == self.NUMBER - 1
        crowded.put(address, row("5"))

    def test_reading_and_writing_touch_no_other_row(self, crowded, monkeypatch):
        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, lambda *_: pytest.fail("listed a folder"))
        address = b"\x07" + (9).to_bytes(15, "little")
        crowded.put(address, row("9"))
        assert crowded.has(address)
        assert crowded.get(address) == row("9")
        assert crowded.swap(address, row("9")[8:16], row("9"))
