"""Files in whose place others are put, with a removed folder or by a repair, while somebody has them open."""

import contextlib
import shutil
import subprocess
import sys
import time

import pytest

from hashstash.engines._sqlite_replaced import Kept
from hashstash.testing.engine import ADDRESS, OTHER, row

ENGINES = ("sqlite", "diskcache", "sqlitedict", "shelve", "pickledb")


@pytest.fixture(params=ENGINES)
def make(request, tmp_path):
    """A function that makes engines on one folder, as two processes would have them."""
    module = pytest.importorskip(f"hashstash.engines.{request.param}", exc_type=ImportError)
    engines = []

    def new():
        engines.append(module.PLUGIN(str(tmp_path / "stash")))
        return engines[-1]

    yield new
    for engine in engines:
        engine.close()


@pytest.fixture
def opened(make):
    """An engine that has its file open, for writing."""
    engine = make()
    engine.put(ADDRESS, row("old"))
    assert engine.get(ADDRESS) == row("old")
    return engine


def removed(engine):
    shutil.rmtree(engine.location())


def test_a_write_goes_where_others_find_it_after_the_folder_was_removed(opened, make):
    removed(opened)
    opened.put(OTHER, row("new"))
    another = make()
    assert (another.get(ADDRESS), another.get(OTHER)) == (None, row("new"))


def test_a_write_goes_into_the_folder_that_another_process_has_made_anew(opened, make):
    removed(opened)
    another = make()
    another.put(ADDRESS, row("theirs"))
    opened.put(OTHER, row("ours"))
    assert (another.get(ADDRESS), another.get(OTHER)) == (row("theirs"), row("ours"))
    assert (opened.get(ADDRESS), opened.count(), opened.check()) == (row("theirs"), 2, [])


def test_a_deletion_is_one_in_the_folder_that_another_process_has_made_anew(opened, make):
    removed(opened)
    another = make()
    another.put_many([(ADDRESS, row("theirs")), (OTHER, row("theirs"))])
    time.sleep(0.15)
    assert opened.delete(OTHER)
    assert list(another.scan()) == [ADDRESS]


def test_a_reader_sees_a_removed_folder_after_a_tenth_of_a_second(opened, make):
    removed(opened)
    time.sleep(0.15)
    assert opened.get(ADDRESS) is None
    make().put(ADDRESS, row("new"))
    assert opened.get(ADDRESS) == row("new")


def test_a_reader_sees_the_folder_that_was_made_anew_after_a_tenth_of_a_second(opened, make):
    removed(opened)
    make().put(OTHER, row("new"))
    time.sleep(0.15)
    assert (opened.get(ADDRESS), opened.get(OTHER), opened.count()) == (None, row("new"), 1)


REPAIRS = 5
WRITES = """
import sys, importlib, time
from hashstash.testing.engine import row

name, folder, number = sys.argv[1:]
engine = importlib.import_module("hashstash.engines." + name).PLUGIN(folder)
count = 0
while True:
    address = b"%s %06d" % (number.encode(), count)
    engine.put(address, row(address.decode()))
    print(address.decode(), flush=True)
    count += 1
    if count % 7 == 0:
        engine.close()
    time.sleep(0.001)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
@pytest.mark.parametrize("name", ["sqlite", "diskcache", "sqlitedict"])
def test_what_others_store_during_repairs_is_there_afterwards(name, tmp_path):
    module = pytest.importorskip(f"hashstash.engines.{name}", exc_type=ImportError)
    folder = str(tmp_path / "stash")
    engine = module.PLUGIN(folder)
    engine.put(ADDRESS, row("first"))
    with contextlib.ExitStack() as writers:
        said = [writers.enter_context(_writing(name, folder, tmp_path / number)) for number in "ab"]
        for file in said:
            while file.stat().st_size < 100:
                time.sleep(0.01)
        for _ in range(REPAIRS):
            assert engine.rebuild(lambda _: None)
            time.sleep(0.03)
    acknowledged = {line for file in said for line in file.read_text().split("\n")[:-1]}
    stored = {address.decode() for address in engine.scan() if address != ADDRESS}
    engine.close()
    assert len(acknowledged) > REPAIRS
    assert acknowledged - stored == set()


@contextlib.contextmanager
def _writing(name, folder, said):
    """Another process that writes one row after the other, and says which of them were acknowledged."""
    with open(said, "w") as file:
        writer = subprocess.Popen([sys.executable, "-c", WRITES, name, folder, said.name], stdout=file)
    try:
        yield said
    finally:
        writer.kill()
        writer.wait()


def test_a_log_that_somebody_else_is_bringing_into_the_file_is_not_taken_for_one_that_is_there(tmp_path, monkeypatch):
    kept = Kept(str(tmp_path / "rows.sqlite"))
    monkeypatch.setattr(kept, "_read", lambda _: (1, -1, -1))
    assert kept.has_log()
