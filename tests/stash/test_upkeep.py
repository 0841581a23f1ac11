"""check() finds what is wrong and changes nothing; repair() moves it aside and loses nothing; compact() gives room back."""

import os
import sqlite3
import tracemalloc

import pytest

from hashstash import HashStash, quarantine
from hashstash.entry import Flag, unpack
from hashstash.errors import CorruptEntry, ReadOnlyStash, StashFull
from hashstash.integrity import checking, mending, rows
from hashstash.policies.versions import history_address

ENGINES = ["pairtree", "lmdb", "sqlite", "memory"]


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def flipped(row, at=60):
    return row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :]


def address(stash, key):
    return stash.store.keys.address(key)


def damage(stash, key, change=flipped):
    where = address(stash, key)
    stash.store.engine.put(where, change(stash.store.engine.get(where)))


def blob_file(stash, key):
    from hashstash.blobs import Reference

    entry = unpack(stash.store.engine.get(address(stash, key)))
    assert entry.flags & Flag.BLOB
    return stash.store.blobs.path(Reference.unpack(entry.payload).name)


def rows_of(stash, section=None):
    engine = stash.store.engine if section is None else stash.store.engine.section(section)
    return dict(engine.rows())


# ---- check -----------------------------------------------------------------------------------------------------------


def test_of_an_empty_stash_nothing_is_wrong_and_nothing_is_made(tmp_path, engine):
    stash = HashStash(tmp_path / "x", engine=engine)
    assert not stash.check()
    assert len(stash.check()) == 0
    assert "0 rows, nothing wrong" in str(stash.check())
    assert str(stash.repair()) == "nothing to repair"


def test_of_a_sound_stash_nothing_is_wrong(opened):
    stash = opened(append_mode=True, compress=False)
    for turn in range(3):
        stash["small"] = turn
        stash["large"] = os.urandom(50_000)
    stash["function"] = len
    stash[("tuple", 1)] = {"set": {1, 2}}
    report = stash.check()
    assert not report, report
    assert report.rows == 8


def test_every_bad_row_is_listed_and_the_good_ones_are_not(stash):
    for number in range(300):
        stash[number] = number
    for number in range(0, 300, 3):
        damage(stash, number)
    report = stash.check()
    assert len(report) == 100
    assert {problem.address for problem in report} == {address(stash, number) for number in range(0, 300, 3)}
    assert {problem.kind for problem in report} == {"damage"}
    assert "300 rows, 100 problems" in str(report)
    assert "checksum does not fit" in str(report)


def test_looking_changes_nothing(stash):
    stash["a"], stash["b"] = 1, os.urandom(50_000)
    damage(stash, "a")
    before = rows_of(stash)
    stash.check()
    stash.check()
    assert rows_of(stash) == before
    with pytest.raises(CorruptEntry):
        stash["a"]


def test_a_row_that_was_copied_to_another_key_is_found(stash):
    stash["a"], stash["b"] = 1, 2
    stash.store.engine.put(address(stash, "b"), stash.store.engine.get(address(stash, "a")))
    (problem,) = stash.check()
    assert "another key" in problem.what
    assert problem.address == address(stash, "b")


def test_a_version_that_was_copied_to_another_number_is_found(opened):
    stash = opened(append_mode=True)
    stash["a"], stash["a"] = 1, 2
    history = stash.store.engine.section("history")
    history.put(history_address(address(stash, "a"), 7), history.get(history_address(address(stash, "a"), 1)))
    (problem,) = stash.check()
    assert problem.section == "history"


@pytest.mark.parametrize("way", ["missing", "shorter", "changed"])
def test_a_blob_file_that_is_not_what_was_written_is_found(tmp_path, way):
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    stash["k"] = os.urandom(100_000)
    assert len(stash["k"]) == 100_000  # verified once by this process: check() looks again
    path = blob_file(stash, "k")
    if way == "missing":
        os.unlink(path)
    elif way == "shorter":
        os.truncate(path, 99_000)
    else:
        with open(path, "r+b") as file:
            file.seek(70_000)
            file.write(b"other bytes")
    (problem,) = stash.check()
    assert problem.what.startswith("'k': its blob file ")
    assert {"missing": "is gone", "shorter": "99000 bytes", "changed": "was changed"}[way] in problem.what


def test_a_codec_that_is_not_known_here_is_listed_and_left_alone(stash):
    stash["k"] = 1
    entry = unpack(stash.store.engine.get(address(stash, "k")))
    entry.label, entry.flags = b"nope+lz9", Flag(0)
    stash.store.engine.put(entry.digest, entry.pack())
    (problem,) = stash.check()
    assert problem.kind == "left alone"
    assert "nope+lz9" in problem.what
    assert stash.repair().left == (problem,)
    assert rows_of(stash)[entry.digest] == entry.pack()


def test_code_of_somebody_else_is_no_problem(opened, somebody_else):
    with somebody_else:
        opened()["function"] = test_code_of_somebody_else_is_no_problem
    assert not opened().check()


def test_results_of_functions_are_looked_at_too(stash):
    @stash.stashed_result
    def double(number):
        return 2 * number

    double(1)
    inner = double.stash
    where = next(inner.store.engine.scan())
    inner.store.engine.put(where, flipped(inner.store.engine.get(where)))
    assert len(stash.check()) == 1
    assert len(stash.repair().moved) == 1
    assert not stash.check()
    assert double(1) == 2


def test_a_read_only_stash_is_checked_and_not_repaired(opened):
    stash = opened()
    stash["a"], stash["b"] = 1, 2
    damage(stash, "a")
    reader = opened(read_only=True)
    if reader.engine == "memory":
        assert reader.path == stash.path
    assert len(reader.check()) == 1
    with pytest.raises(ReadOnlyStash):
        reader.repair()
    with pytest.raises(ReadOnlyStash):
        reader.compact()
    assert len(stash.check()) == 1


def test_a_check_needs_memory_for_a_batch_and_not_for_the_stash(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    for number in range(15):
        stash[number] = os.urandom(3_000_000)
    for number in range(600):
        stash["small", number] = os.urandom(20_000)
    tracemalloc.start()
    assert not stash.check()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000


def test_a_report_lists_a_bounded_number_of_problems(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "MOST_LISTED", 10)
    stash = HashStash(tmp_path, engine="pairtree")
    for number in range(25):
        stash[number] = number
        damage(stash, number)
    report = stash.check()
    assert len(report) == 25
    assert len(report.problems) == 10
    assert "and 15 more" in str(report)


def test_what_is_wrong_with_the_database_is_listed_with_the_rows_that_can_be_read(tmp_path):
    stash = HashStash(tmp_path, engine="sqlite", compress=False)
    for number in range(500):
        stash[number] = os.urandom(500)
    stash.close()
    path = os.path.join(stash.path, "rows.sqlite")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2 // 4096 * 4096)
        file.write(os.urandom(4096))
    report = stash.check()
    assert {problem.kind for problem in report} >= {"storage"}
    assert 100 < report.rows < 500


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_row_whose_file_may_not_be_read_does_not_end_the_check(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    stash["a"], stash["b"] = 1, 2
    name = address(stash, "a").hex()
    os.chmod(os.path.join(stash.path, name[:2], name), 0)
    report = stash.check()
    assert len(report) == 1
    assert report.rows == 1


@pytest.mark.parametrize("trouble", [StashFull(28, "no room"), ConnectionError("away"), TimeoutError("silent")])
def test_what_says_nothing_about_the_entries_is_raised_and_is_no_damage(tmp_path, monkeypatch, trouble):
    stash = HashStash(tmp_path / "x", engine="pairtree")
    stash["a"] = 1

    def refuse():
        raise trouble

    monkeypatch.setattr(stash.store.engine, "check", refuse)
    with pytest.raises(type(trouble)):
        stash.check()
    with pytest.raises(type(trouble)):
        stash.repair()
    monkeypatch.undo()
    assert stash["a"] == 1


def test_a_row_that_is_a_folder_does_not_end_the_check(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    stash["a"], stash["b"] = 1, 2
    name = address(stash, "a").hex()
    path = os.path.join(stash.path, name[:2], name)
    os.unlink(path)
    os.mkdir(path)
    report = stash.check()
    assert [problem.kind for problem in report] == ["damage"]
    assert report.rows == 2
    assert len(stash.repair().moved) == 1
    assert not stash.check()


# ---- repair ----------------------------------------------------------------------------------------------------------


def test_bad_rows_are_moved_aside_and_kept_as_they_are(stash):
    stash["good"], stash["bad"] = 1, 2
    damage(stash, "bad")
    row = stash.store.engine.get(address(stash, "bad"))
    repairs = stash.repair()
    assert [problem.address for problem in repairs.moved] == [address(stash, "bad")]
    assert "moved 1 bad row aside" in str(repairs)
    assert list(rows_of(stash, "bad").values()) == [row]
    assert "bad" not in stash
    assert dict(stash.items()) == {"good": 1}
    assert not stash.check()
    assert "1 bad row kept aside" in str(stash.check())
    stash["bad"] = 3
    assert stash["bad"] == 3


def test_rows_that_went_bad_twice_are_both_kept(stash):
    for value in (1, 2):
        stash["k"] = value
        damage(stash, "k")
        stash.repair()
    assert len(rows_of(stash, "bad")) == 2


def test_what_is_kept_aside_is_limited_and_the_rest_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(mending, "MOST_ASIDE", 5)
    stash = HashStash(tmp_path, engine="pairtree")
    for number in range(8):
        stash[number] = number
        damage(stash, number)
    before = {*rows_of(stash).values()}
    repairs = stash.repair()
    assert (len(repairs.moved), len(repairs.left)) == (5, 3)
    assert {*rows_of(stash).values(), *rows_of(stash, "bad").values()} == before
    assert len(stash.check()) == 3


@pytest.mark.filterwarnings("ignore:.*damaged entry is gone for good:RuntimeWarning")
@pytest.mark.parametrize("module", [mending, quarantine])
def test_blob_files_count_among_what_is_kept_aside(tmp_path, monkeypatch, module):
    monkeypatch.setattr(module, "MOST_ASIDE_BYTES", 250_000)
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    for number in range(4):
        stash[number] = os.urandom(100_000)
        with open(blob_file(stash, number), "r+b") as file:
            file.write(b"damage")
    if module is mending:
        stash.repair()
    else:
        for number in range(4):
            with pytest.raises(CorruptEntry):
                stash[number]
            stash[number] = "new"
    assert len(rows_of(stash, "bad")) == 2


def test_a_blob_file_of_another_size_is_not_read_to_be_found(tmp_path, monkeypatch):
    """It may be a hole of terabytes, which takes no room on the disk."""
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    stash["k"] = os.urandom(100_000)
    os.truncate(blob_file(stash, "k"), 1 << 30)
    monkeypatch.setattr(rows, "crc32", lambda *_: pytest.fail("it was read"))
    (problem,) = stash.check()
    assert f"has {1 << 30} bytes instead of" in problem.what


def test_what_the_system_fails_to_do_once_is_no_damage(tmp_path, monkeypatch):
    """A storage is not written anew from what can be saved of it for want of memory or locks in one moment."""
    stash = HashStash(tmp_path, engine="sqlite")
    stash["k"] = 1
    engine = stash.store.engine
    found = iter([["SQLite says: disk I/O error"]])
    monkeypatch.setattr(engine, "check", lambda: next(found, []))
    assert not stash.repair().rebuilt
    assert not os.path.exists(os.path.join(stash.path, "damaged"))
    assert stash["k"] == 1


def test_the_newest_sound_version_takes_the_place_of_a_bad_one(opened):
    stash = opened(append_mode=True)
    for value in range(1, 5):
        stash["k"] = value
    damage(stash, "k")
    history = stash.store.engine.section("history")
    third = history_address(address(stash, "k"), 3)
    history.put(third, flipped(history.get(third)))
    repairs = stash.repair()
    assert repairs.restored == 1
    assert stash["k"] == 2
    stash["k"] = 9
    assert stash.get_all("k") == [1, 2, 9]
    assert not stash.check()


def test_a_bad_row_at_the_beginning_of_an_address_brings_nothing_back(opened):
    stash = opened(append_mode=True)
    stash["a"], stash["a"] = 1, 2
    short = address(stash, "a")[:6]
    stash.store.engine.put(short, b"of nobody's making")
    assert stash.repair().restored == 0
    assert stash.store.engine.get(short) is None
    assert stash["a"] == 2
    assert not stash.check()


def test_a_bad_row_takes_its_blob_file_with_it_and_leaves_it_readable_for_people(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    stash["k"] = os.urandom(100_000)
    path = blob_file(stash, "k")
    with open(path, "r+b") as file:
        file.write(b"damage")
    os.utime(path, (1, 1))
    stash.repair()
    assert os.path.exists(path)
    assert not stash.check()
    stash.clear()
    assert not os.path.exists(path)


def test_blob_files_that_nothing_points_at_are_found_and_removed_when_they_are_old(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    stash["k"] = os.urandom(100_000)
    path = blob_file(stash, "k")
    stash.store.engine.delete(address(stash, "k"))
    assert not stash.check()  # its row may be about to be written
    os.utime(path, (1, 1))
    (problem,) = stash.check()
    assert problem.what.startswith("1 blob file that no row points at")
    repairs = stash.repair()
    assert repairs.swept == 1
    assert "removed 1 blob file" in str(repairs)
    assert not os.path.exists(path)
    assert not stash.check()


def test_a_count_that_went_wrong_is_repaired(tmp_path):
    stash = HashStash(tmp_path, engine="sqlite")
    stash["k"] = 1
    connection = sqlite3.connect(os.path.join(stash.path, "rows.sqlite"), isolation_level=None)
    connection.execute("UPDATE counter SET rows = 7")
    connection.close()
    assert [problem.kind for problem in stash.check()] == ["storage"]
    assert not stash.repair().left
    assert len(stash) == 1


def test_a_row_that_is_replaced_while_it_is_repaired_is_not_moved(stash, monkeypatch):
    stash["k"] = 1
    damage(stash, "k")
    take = mending._Aside.take

    def replaced_before(aside, engine, where, blob):
        stash["k"] = 2
        return take(aside, engine, where, blob)

    monkeypatch.setattr(mending._Aside, "take", replaced_before)
    stash.repair()
    assert stash["k"] == 2


# ---- compact ---------------------------------------------------------------------------------------------------------


def test_compacting_keeps_what_is_there_and_returns_the_stash(opened):
    stash = opened(append_mode=True, compress=False)
    for turn in range(3):
        stash["a"] = turn
        stash["b"] = bytes([turn]) * 50_000
    assert stash.compact() is stash
    assert stash.get_all("a") == [0, 1, 2]
    assert stash["b"] == bytes([2]) * 50_000
    assert not stash.check()


def test_compacting_removes_what_is_over(stash):
    stash["stays"] = 1
    stash.put("over", 2, ttl=0.001)
    stash.put("later", 3, ttl=1000)
    assert stash.store.engine.count() == 3
    while "over" in stash:
        pass
    stash.compact()
    assert stash.store.engine.count() == 2
    assert stash["later"] == 3


def test_the_file_of_sqlite_shrinks(tmp_path):
    stash = HashStash(tmp_path, engine="sqlite", compress=False)
    for number in range(2000):
        stash[number] = os.urandom(2000)
    for number in range(1990):
        del stash[number]
    stash.sync()
    path = os.path.join(stash.path, "rows.sqlite")
    before = os.path.getsize(path)
    stash.compact()
    assert os.path.getsize(path) < before / 20
    assert len(stash) == 10


def test_the_size_of_an_empty_stash_is_small_and_grows(opened):
    stash = opened(compress=False)
    before = stash.size_bytes()
    stash["row"] = os.urandom(20_000)
    stash["blob"] = os.urandom(200_000)
    assert stash.size_bytes() >= before + 220_000
