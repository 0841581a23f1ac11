"""Compacting and clearing put another file in place: no row is lost, nobody stays behind, whoever is killed meanwhile."""

import os
import stat
import subprocess
import sys
import time
from contextlib import closing

import pytest

lmdb_engine = pytest.importorskip(
    "hashstash.engines.lmdb", reason="the package lmdb is not installed", exc_type=ImportError
)
LmdbEngine = lmdb_engine.LmdbEngine
replacing = pytest.importorskip("hashstash.engines._lmdb_replacing")
LARGE = 1_000_000
OTHER_PROCESS = """
import sys
from hashstash.engines.lmdb import LmdbEngine
engine = LmdbEngine(sys.argv[1])
for line in sys.stdin:
    what, number = line.split()
    address = bytes([int(number)]) * 16
    if what == "put":
        engine.put(address, b"theirs")
    print(engine.get(address) == {"put": b"theirs", "mine": b"mine", "old": b"x" * 4000}[what], engine.check(), flush=True)
"""
STEPS = ["_copy_rows", "_flush", "leave", "second mark", "_take_place", "rename", "seal"]


def size_of(folder):
    return os.stat(folder / "data.mdb").st_blocks * 512


def inode_of(folder):
    return os.stat(folder / "data.mdb").st_ino


@pytest.fixture
def engine(tmp_path):
    """An engine of which most rows were deleted: 10 are left in a file for 500."""
    engine = LmdbEngine(str(tmp_path))
    engine.put_many((number.to_bytes(16, "big"), b"y" * 4000) for number in range(490))
    engine.put_many((bytes([number]) * 16, b"x" * 4000) for number in range(100, 110))
    for number in range(490):
        engine.delete(number.to_bytes(16, "big"))
    yield engine
    engine.close()


def has_all(engine):
    return dict(engine.rows()) == {bytes([number]) * 16: b"x" * 4000 for number in range(100, 110)}


def test_compacting_gives_room_back_and_keeps_every_row(engine, tmp_path):
    before = size_of(tmp_path)
    engine.compact()
    assert before > LARGE > 5 * size_of(tmp_path)
    assert has_all(engine)
    assert engine.check() == []


def test_clearing_gives_room_back(engine, tmp_path):
    engine.clear()
    assert size_of(tmp_path) < LARGE / 5
    assert engine.count() == 0


def test_a_file_that_is_as_small_as_it_can_be_stays(engine, tmp_path):
    engine.compact()
    engine.put_many((number.to_bytes(16, "big"), b"y" * 4000) for number in range(90))
    engine.compact()
    inode = inode_of(tmp_path)
    engine.compact()
    assert inode_of(tmp_path) == inode


def test_other_processes_and_engines_go_on_in_the_new_file(engine, tmp_path):
    with closing(LmdbEngine(str(tmp_path))) as second:
        assert has_all(second)
        with subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, tmp_path], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:

            def said(what):
                other.stdin.write(what + "\n")
                other.stdin.flush()
                return other.stdout.readline()

            assert said("old 100") == "True []\n"
            engine.compact()
            assert said("put 1") == "True []\n"
            assert engine.get(bytes([1]) * 16) == second.get(bytes([1]) * 16) == b"theirs"
            engine.put(bytes([2]) * 16, b"mine")
            assert said("mine 2") == "True []\n"
            engine.clear()
            assert said("put 3") == "True []\n"
            assert list(second.scan()) == [bytes([3]) * 16]
            other.stdin.close()


def test_who_lists_rows_while_they_are_compacted_sees_each_once(engine):
    rows = engine.rows()
    first = next(rows)
    engine.compact()
    assert sorted([first, *rows]) == sorted(engine.rows())


def test_a_forked_child_goes_on_in_the_new_file(engine):
    assert has_all(engine)
    child = os.fork()
    if not child:
        os._exit(not has_all(engine) if engine.compact() is None else 2)
    assert os.waitpid(child, 0)[1] == 0
    assert has_all(engine)


def in_child(work):
    """The status of a forked process in which *work* was done."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def compact_up_to(step, folder):
    """In a process that is killed at that step of it."""

    def die(*_, **__):
        os.kill(os.getpid(), 9)

    take, note, marks = replacing._take_place, replacing._note_last, []

    def note_once(*arguments):
        die() if marks else note(*arguments)
        marks.append(1)

    def take_place(folder):
        os.replace = die
        take(folder)

    name, change = {"second mark": ("_note_last", note_once), "rename": ("_take_place", take_place)}.get(
        step, (step, die)
    )
    setattr(replacing, name, change)
    LmdbEngine(str(folder)).compact()


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_lost_where_a_process_is_killed_at_a_step_of_it(engine, tmp_path, step):
    assert has_all(engine)
    assert in_child(lambda: compact_up_to(step, tmp_path)) == 9
    assert has_all(engine)
    engine.put(bytes([110]) * 16, b"mine")

    def go_on():
        other = LmdbEngine(str(tmp_path))
        assert other.get(bytes([110]) * 16) == b"mine"
        other.put(bytes([111]) * 16, b"theirs")

    assert in_child(go_on) == 0
    assert engine.get(bytes([111]) * 16) == b"theirs"
    engine.compact()
    assert not {"draft", "data.new"} & set(os.listdir(tmp_path))


def test_the_file_may_be_written_by_its_owner_under_any_umask(tmp_path):
    before = os.umask(0o277)
    try:
        engine = LmdbEngine(str(tmp_path / "stash"))
        engine.put(bytes(16), b"a")
        engine.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "stash" / "data.mdb").st_mode) == 0o600


@pytest.mark.parametrize(("age", "is_left"), [(86_400, False), (0, True)])
def test_what_a_killed_process_has_left_is_removed_when_nobody_can_be_at_it(tmp_path, age, is_left):
    os.mkdir(tmp_path / "draft")
    for name in ("draft/data.mdb", "data.new", "draft"):
        if name != "draft":
            (tmp_path / name).write_bytes(b"a")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    engine = LmdbEngine(str(tmp_path))
    engine.put(bytes(16), b"a")
    engine.close()
    assert [(tmp_path / name).exists() for name in ("draft", "data.new")] == [is_left] * 2


WRITER = """
import os, random, sys
from hashstash.engines.lmdb import LmdbEngine
folder, own, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
dice, engine, acknowledged = random.Random(own), LmdbEngine(folder), {}
def address():
    return bytes([own]) + dice.randrange(200).to_bytes(15, "big")
number = 0
print("begun", flush=True)
while not os.path.exists(stop):
    number += 1
    place = address()
    engine.put(place, number.to_bytes(8, "big") * dice.choice([8, 1000]))
    acknowledged[place] = number
    if number % 5 == 0:
        place = address()
        assert engine.delete(place) == (acknowledged.pop(place, None) is not None)
    place = address()
    found = engine.get(place)
    assert acknowledged.get(place) == (None if found is None else int.from_bytes(found[:8], "big"))
    assert found is None or found == found[:8] * (len(found) // 8)
engine.close()  # what lies there counts, not what is open
found = {place: int.from_bytes(row[:8], "big") for place, row in engine.rows() if place[0] == own}
assert found == acknowledged
engine.close()
print(number)
"""


def rebuilt(engine):
    return engine.rebuild(lambda _: None)


def compacted(engine):
    return engine._replace(keeps_rows=True)


@pytest.mark.slow
@pytest.mark.parametrize("put_another", [compacted, rebuilt])
def test_processes_that_store_and_read_lose_nothing_while_another_one_puts_a_file_there(tmp_path, put_another):
    folder, stop = tmp_path / "stash", tmp_path / "stop"
    command = [sys.executable, "-c", WRITER, folder]
    writers = [
        subprocess.Popen([*command, str(own), stop], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for own in range(3)
    ]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["begun\n"] * 3
        replaced, deadline = 0, time.monotonic() + 60
        with closing(LmdbEngine(str(folder))) as engine:
            while replaced < 20 and time.monotonic() < deadline:
                replaced += put_another(engine)
        assert replaced == 20
    finally:
        stop.touch()
        said = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], said
    assert all(int(out) > 0 for out, _ in said)
