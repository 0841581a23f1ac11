import os
import subprocess
import sys
import threading

import pytest

from hashstash.errors import CorruptEntry
from hashstash.testing.engine import ADDRESS, EngineContract, row

lmdb_engine = pytest.importorskip(
    "hashstash.engines.lmdb", reason="the package lmdb is not installed", exc_type=ImportError
)
LmdbEngine = lmdb_engine.LmdbEngine


class TestLmdb(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: LmdbEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        env = lmdb_engine._environments[os.path.realpath(engine.location())]._env
        with env.begin() as transaction, transaction.cursor() as cursor:
            return cursor.value() if cursor.set_key(address) else None


def test_the_map_grows_when_it_is_full(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    for number in range(64):
        engine.put(bytes([number]) * 16, row("x" * 100_000))
    assert engine.count() == 64
    engine.close()


def test_the_map_grows_while_threads_read(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    engine.put(ADDRESS, row("a"))
    stop = threading.Event()
    wrong = []

    def read():
        while not stop.wait(0.0005):
            if engine.get(ADDRESS) != row("a"):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        engine.put(bytes([number + 50]) * 16, row("x" * 100_000))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    engine.close()


def test_the_map_that_another_process_has_grown_is_adopted(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    engine.put(ADDRESS, row("a"))
    code = (
        "from hashstash.engines.lmdb import LmdbEngine as E; from hashstash.testing.engine import row;"
        f" e = E({str(tmp_path)!r}, map_size=1 << 20);"
        " [e.put(bytes([n]) * 16, row('x' * 100_000)) for n in range(40)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert engine.get(ADDRESS) == row("a")
    assert engine.count() == 41
    engine.put(ADDRESS, row("b" * 500_000))
    assert engine.get(ADDRESS) == row("b" * 500_000)
    engine.close()


def test_a_file_that_is_cut_off_is_said_so_and_not_mapped(tmp_path):
    engine = LmdbEngine(str(tmp_path))
    engine.put(ADDRESS, row("a"))
    engine.close()
    with open(tmp_path / "data.mdb", "r+b") as file:
        file.truncate(100)
    with pytest.raises(CorruptEntry, match="cut off"):
        LmdbEngine(str(tmp_path)).get(ADDRESS)


def test_what_is_no_environment_is_said_so(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"something else" * 10_000)
    with pytest.raises(CorruptEntry, match="no LMDB environment"):
        LmdbEngine(str(tmp_path)).get(ADDRESS)


@pytest.mark.parametrize("size", [8192, 12000, 40_000])
def test_reading_a_file_that_lost_its_end_raises_and_does_not_kill(tmp_path, size):
    engine = LmdbEngine(str(tmp_path))
    for number in range(500):
        engine.put(number.to_bytes(16, "big"), row("x" * 200))
    engine.close()
    os.truncate(tmp_path / "data.mdb", size)
    code = (
        "from hashstash.engines.lmdb import LmdbEngine; from hashstash.errors import CorruptEntry\n"
        f"engine = LmdbEngine({str(tmp_path)!r}); bad = 0\n"
        "for number in range(500):\n"
        "    try: engine.get(number.to_bytes(16, 'big'))\n"
        "    except CorruptEntry: bad += 1\n"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
