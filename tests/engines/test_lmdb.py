import contextlib
import os
import subprocess
import sys
import tempfile
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
        env = lmdb_engine.shared.environments[os.path.realpath(engine.location())]._env
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


# ---- growth under several processes ----------------------------------------------------------------------------------

WRITE = """
import sys
from hashstash.engines.lmdb import LmdbEngine
from hashstash.testing.rows import row
folder, number, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
engine = LmdbEngine(folder, map_size=1 << 20)
print("ready", flush=True)
sys.stdin.readline()
address = lambda turn: bytes([number]) + turn.to_bytes(15, "big")
for turn in range(0, 60, 3):
    rows = [(address(turn + step), row(f"{number}-{turn + step}" + "x" * 60_000)) for step in range(3)]
    if way == "put_many":
        engine.put_many(rows)
    else:
        for where, blob in rows:
            engine.put(where, blob) if way == "put" else engine.swap(where, None, blob)
    for where, blob in rows:
        assert engine.get(where) == blob, (number, turn)
assert not [where for where in engine.scan(bytes([number])) if engine.get(where) is None]
"""

READ = """
import sys, threading
from hashstash.engines.lmdb import LmdbEngine
from hashstash.testing.rows import row
engine = LmdbEngine(sys.argv[1], map_size=1 << 20)
print("ready", flush=True)
stop, wrong, reads = threading.Event(), [], [0]
def read():
    try:
        while not stop.is_set():
            if engine.get(b"first") != row("first"): wrong.append("get")
            if len(list(engine.scan(b"f"))) != 1: wrong.append("scan")
            for address, blob in engine.rows():
                if not blob.startswith(b"HST"): wrong.append(address)
            reads[0] += 1
    except Exception as error:
        wrong.append(repr(error))
threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads: thread.start()
sys.stdin.readline()
stop.set()
for thread in threads: thread.join()
print(wrong[:5], reads[0] > 0)
"""


def started(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


@pytest.mark.parametrize("way", ["put", "put_many", "swap"])
def test_the_map_grows_while_processes_write_and_others_read(tmp_path, way):
    """From 1 MB to more than 16 MB: each process meets a map that is full, and maps that the others have grown."""
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    engine.put(b"first", row("first"))
    readers = [started(READ, tmp_path) for _ in range(2)]
    writers = [started(WRITE, tmp_path, number, way) for number in range(4)]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for number in range(40):
        engine.put(b"parent" + bytes([number]), row("x" * 60_000))
        assert engine.get(b"first") == row("first")
    for writer in writers:
        errors = writer.communicate(timeout=100)[1]
        assert writer.returncode == 0, errors
    for reader in readers:
        assert reader.communicate("\n", timeout=100)[0] == "[] True\n"
    assert engine.count() == 1 + 40 + 4 * 60
    assert all(engine.get(bytes([number]) + turn.to_bytes(15, "big")) for number in range(4) for turn in range(60))
    assert lmdb_engine.shared.environments[os.path.realpath(tmp_path)].map_size() >= 16 << 20
    engine.close()


def test_a_row_that_is_larger_than_the_map_is_stored(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    engine.put(ADDRESS, row("x" * 9_000_000))
    assert len(engine.get(ADDRESS)) == 9_000_016
    engine.put_many([(bytes([number]) * 16, row("x" * 4_000_000)) for number in range(5)])
    assert engine.count() == 6
    engine.close()


def test_threads_that_write_at_once_grow_the_map_together(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    wrong = []

    def write(number):
        try:
            for turn in range(40):
                engine.put(bytes([number, turn]), row("x" * 50_000))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert engine.count() == 240
    engine.close()


def test_a_map_that_was_grown_is_opened_at_its_size_by_the_next_process(tmp_path):
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    for number in range(30):
        engine.put(bytes([number]) * 16, row("x" * 100_000))
    engine.close()
    code = (
        "from hashstash.engines.lmdb import LmdbEngine as E; from hashstash.testing.rows import row\n"
        f"e = E({str(tmp_path)!r}, map_size=1 << 20); assert e.count() == 30; e.put(b'new', row('x' * 900_000))\n"
        "assert len(e.get(bytes([29]) * 16)) == 100_016; print(e.count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "31\n", done.stderr


@pytest.fixture
def killed_reader(tmp_path):
    """An engine, and a process that was killed while it read: LMDB keeps every page that is freed afterwards for it."""
    engine = LmdbEngine(str(tmp_path), map_size=1 << 20)
    engine.put(ADDRESS, row("a"))
    code = (
        "import lmdb, os, signal\n"
        f"env = lmdb.open({str(tmp_path)!r}, map_size=1 << 20, max_readers=1024); reading = env.begin()\n"
        f"assert reading.get({ADDRESS!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -9
    yield engine
    engine.close()


def test_a_sync_gives_up_what_a_killed_reader_has_kept(killed_reader, tmp_path):
    for number in range(20):
        killed_reader.put(ADDRESS, row("x" * 20_000 + str(number)))
    killed_reader.sync()
    before = os.stat(tmp_path / "data.mdb").st_size
    for number in range(100):
        killed_reader.put(ADDRESS, row("y" * 20_000 + str(number)))
    assert os.stat(tmp_path / "data.mdb").st_size == before


def test_the_map_does_not_grow_for_the_sake_of_a_killed_reader(killed_reader):
    for number in range(200):
        killed_reader.put(ADDRESS, row("x" * 20_000 + str(number)))
    assert lmdb_engine.shared.environments[os.path.realpath(killed_reader.location())].map_size() == 1 << 20


@pytest.mark.parametrize("work", ["get", "put", "delete"])
def test_an_interrupt_leaves_no_note_of_a_running_transaction(tmp_path, work):
    """Closing, growing and forking would wait for it."""
    engine = LmdbEngine(str(tmp_path))
    uses = {
        "get": lambda: engine.get(b"a" * 16),
        "put": lambda: engine.put(b"a" * 16, b"x" * 20),
        "delete": lambda: engine.delete(b"a" * 16),
    }
    engine.put(b"a" * 16, b"x" * 20)
    for place in range(1, 200):
        left = [place]

        def interrupt(frame, event, argument, left=left):
            if event == "c_return" and frame.f_code.co_filename == lmdb_engine.__file__:
                left[0] -= 1
                if not left[0]:
                    sys.setprofile(None)
                    raise KeyboardInterrupt

        sys.setprofile(interrupt)
        try:
            uses[work]()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        assert not engine._environment.running
        if left[0] > 0:
            break
    assert place > 3


READ_ONLY = """
import os, sys
from hashstash.engines.lmdb import LmdbEngine
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
engine = LmdbEngine(sys.argv[1])
assert engine.get(b"a" * 16) == b"x" * 20
child = os.fork()
if not child:
    found = engine.get(b"a" * 16)
    os._exit(0 if found == b"x" * 20 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_goes_on_reading_a_folder_that_cannot_be_written():
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(LmdbEngine(folder)) as engine:
            engine.put(b"a" * 16, b"x" * 20)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
        try:
            ran = subprocess.run([sys.executable, "-c", READ_ONLY, folder], capture_output=True, text=True, timeout=120)
        finally:
            os.chmod(folder, 0o700)
    assert (ran.returncode, ran.stderr) == (0, "")
