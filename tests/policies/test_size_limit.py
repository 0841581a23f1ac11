"""Limits to the number and the size of entries hold exactly, and what goes first is what was used longest ago."""

import random
import threading
import time

import pytest

from hashstash import HashStash
from hashstash.errors import ReadOnlyStash, StashFull
from hashstash.policies.size_limit import SizeLimit, entry_size
from hashstash.testing.engine.base import Worker
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once


def bytes_in(stash):
    """What the entries of a stash take, looked up one by one."""
    return sum(info.size for info in stash.entries())


def blob(number, size=2_000):
    return random.Random(number).randbytes(size)


def fill(stash, count, start=0):
    for number in range(start, start + count):
        stash[number] = number


# ---- what goes -----------------------------------------------------------------------------------------------------


def test_the_entries_written_first_go_first_if_nothing_was_read(opened):
    stash = opened(max_entries=3)
    fill(stash, 5)
    assert sorted(stash) == [2, 3, 4]


READS = {
    "[]": lambda stash: stash[0],
    "get": lambda stash: stash.get(0),
    "in": lambda stash: 0 in stash,
    "get_many": lambda stash: stash.get_many([0]),
    "setdefault": lambda stash: stash.setdefault(0, "no"),
    "touch": lambda stash: stash.touch(0),
    "write": lambda stash: stash.put(0, 0),
}


@pytest.mark.parametrize("use", READS.values(), ids=READS)
def test_what_was_used_stays(opened, use):
    stash = opened(max_entries=3)
    fill(stash, 3)
    use(stash)
    fill(stash, 2, start=3)
    assert sorted(stash) == [0, 3, 4]


LISTINGS = {
    "items": lambda stash: list(stash.items()),
    "values": lambda stash: list(stash.values()),
    "entries": lambda stash: repr(stash.entries()),
    "info": lambda stash: stash.info(0),
    "len": len,
}


@pytest.mark.parametrize("look", LISTINGS.values(), ids=LISTINGS)
def test_listing_uses_nothing(opened, look):
    stash = opened(max_entries=3)
    fill(stash, 3)
    look(stash)
    fill(stash, 1, start=3)
    assert sorted(stash) == [1, 2, 3]


def test_the_order_of_going_is_the_order_of_use(opened):
    stash = opened(max_entries=70)
    fill(stash, 70)
    order = random.Random(1).sample(range(70), 70)
    for number in order:
        stash[number]
    gone = []
    for step in range(70):
        stash["new", step] = step
        there = set(stash)
        gone += [number for number in order if number not in there and number not in gone]
    assert gone == order


def test_an_entry_that_is_over_goes_first(opened):
    stash = opened(max_entries=3)
    stash["old"] = 1
    stash.put("over", 1, ttl=0.01)
    stash["new"] = 1
    time.sleep(0.05)
    stash["newest"] = 1
    assert sorted(stash) == ["new", "newest", "old"]


def test_uses_by_another_object_count_once_it_has_written_or_was_closed(opened):
    reader, writer = opened(max_entries=3), opened(max_entries=3)
    fill(writer, 3)
    for number in (0, 1):
        reader[number]
    reader.close()
    fill(writer, 1, start=3)
    assert sorted(writer) == [0, 1, 3]
    reader[0]
    reader[4] = 4
    assert sorted(writer) == [0, 3, 4]


def test_uses_are_published_by_reading_on(opened):
    reader, writer = opened(max_entries=3), opened(max_entries=3)
    fill(writer, 3)
    reader[0]  # which is published at once, as the first one is
    notes = reader.store.engine.section("uses")
    published, deadline = dict(notes.rows()), time.monotonic() + 60
    while dict(notes.rows()) == published and time.monotonic() < deadline:
        reader[1]
        time.sleep(0.02)
    fill(writer, 1, start=3)
    assert sorted(writer) == [0, 1, 3]


def test_uses_are_known_to_whoever_opens_the_stash_later(opened):
    stash = opened(max_entries=3)
    fill(stash, 3)
    stash[0]
    stash.close()
    later = opened(max_entries=3)
    fill(later, 2, start=3)
    assert sorted(later) == [0, 3, 4]


# ---- how much stays --------------------------------------------------------------------------------------------------


def test_at_the_limit_nothing_goes(opened):
    stash = opened(max_entries=5)
    stash.update({str(number): number for number in range(5)})
    stash.update({str(number): -number for number in range(5)})
    assert len(stash) == 5


def test_one_entry_is_enough(opened):
    stash = opened(max_entries=1)
    stash["a"] = 1
    stash["b"] = 2
    assert dict(stash.items()) == {"b": 2}


@pytest.mark.parametrize("limit", [7, 64, 65, 150])
def test_the_number_is_exact_after_each_write(opened, limit):
    stash = opened(max_entries=limit)
    counts = []
    for number in range(limit + 60):
        stash[number] = number
        counts.append(stash.store.engine.count())
    assert counts == [min(number + 1, limit) for number in range(limit + 60)]


def test_bytes_are_exact_after_each_write(opened):
    stash = opened(max_size=20_000, compress=False)
    sizes = []
    for number in range(60):
        stash[number] = blob(number, random.Random(number).randrange(10, 4_000))
        sizes.append(bytes_in(stash))
        assert number in stash
    assert max(sizes) <= 20_000
    assert min(sizes[20:]) > 20_000 - 4_200


def test_replacing_an_entry_counts_the_difference(opened):
    stash = opened(max_size=20_000, compress=False)
    for number in range(6):
        stash[number] = blob(number)
    for size in (3_000, 100, 5_000, 10, 4_000):
        stash[0] = blob(0, size)
    assert sorted(stash) == [0, 1, 2, 3, 4, 5]
    assert stored_sums(stash) == (6, bytes_in(stash))


def stored_sums(stash):
    sums = SizeLimit(max_entries=1)._stored_sums(stash.store.engine)
    return sums.count, sums.size


REMOVALS = {
    "del": lambda stash: stash.__delitem__(1),
    "discard": lambda stash: stash.discard(1),
    "pop": lambda stash: stash.pop(1),
    "popitem": lambda stash: stash.popitem(),
    "entries": lambda stash: stash.entries(key=1).delete(),
    "prune": lambda stash: stash.prune(key=1),
    "twice": lambda stash: (stash.discard(1), stash.discard(1)),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_every_removal_is_subtracted(opened, remove):
    stash = opened(max_size=100_000, compress=False)
    for number in range(4):
        stash[number] = blob(number)
    remove(stash)
    assert stored_sums(stash) == (3, bytes_in(stash))


def test_clearing_begins_anew(opened):
    stash = opened(max_entries=3)
    fill(stash, 3)
    stash.clear()
    fill(stash, 3, start=10)
    assert sorted(stash) == [10, 11, 12]


def test_clearing_through_another_object_begins_anew(opened):
    stash, other = opened(max_entries=3), opened()
    fill(stash, 3)
    other.clear()
    fill(stash, 3, start=10)
    assert sorted(stash) == [10, 11, 12]


def test_large_entries_count_with_their_files(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", max_size=250_000, compress=False)
    for number in range(4):
        stash[number] = blob(number, 100_000)
    assert sorted(stash) == [2, 3]
    assert len(list(stash.store.blobs.names())) == 2


def test_an_entry_beyond_the_limit_is_refused_and_nothing_is_lost(opened):
    stash = opened(max_size=10_000, compress=False)
    stash["k"] = 1
    with pytest.raises(StashFull, match=r"max_size=10,000.*raise max_size") as caught:
        stash["k"] = blob(0, 50_000)
    assert isinstance(caught.value, OSError)
    assert stash["k"] == 1


def test_after_a_smaller_entry_that_could_not_be_written_the_limit_holds_exactly(opened, monkeypatch):
    stash = opened(max_size=10_000, compress=False)
    stash["a"] = blob(0, 4_000)

    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(stash.store.engine, "put", fail)
        with pytest.raises(OSError, match="Input/output"):
            stash["a"] = b"smaller"
    sizes = []
    for number in range(6):
        stash[number] = blob(number, 3_000)
        sizes.append(bytes_in(stash))
    assert max(sizes) <= 10_000


def test_what_was_written_without_limits_counts_from_the_first_write_on(opened):
    fill(opened(), 50)
    stash = opened(max_entries=10)
    stash["new"] = 1
    assert len(stash) == 10
    assert "new" in stash


def test_rows_that_somebody_without_limits_removes_are_noticed(opened):
    stash, other = opened(max_entries=80), opened()
    fill(stash, 80)
    for number in range(70):
        del other[number]
    fill(stash, 60, start=100)
    assert len(stash) == 70


# ---- versions, bad rows, other settings ------------------------------------------------------------------------------


def test_versions_go_with_their_entry(opened):
    stash = opened(max_entries=1, append_mode=True)
    stash["a"] = 1
    stash["a"] = 2
    stash["b"] = 1
    assert list(stash) == ["b"]
    assert list(stash.store.engine.section("history").scan()) == []


def test_versions_count(opened):
    stash = opened(max_size=20_000, append_mode=True, compress=False)
    stash["other"] = blob(0)
    for number in range(8):
        stash["k"] = blob(number)
    stash["new"] = blob(1)
    assert "other" not in stash
    with pytest.raises(StashFull, match="versions of this key"):
        for number in range(8):
            stash["k"] = blob(number)
    assert "k" in stash


def test_a_corrupt_entry_does_not_stop_it(opened):
    stash = opened(max_entries=2)
    stash["bad"] = 0
    address = stash.store.keys.address("bad")
    stash.store.engine.put(address, b"HST\x09" + bytes(200))
    fill(stash, 4)
    assert stash[3] == 3


def test_an_entry_of_a_newer_format_does_not_stop_it(opened):
    import struct
    import zlib

    stash = opened(max_entries=2)
    stash["newer"] = 0
    address = stash.store.keys.address("newer")
    row = stash.store.engine.get(address)
    body = row[:3] + b"\x63" + row[4:-4]
    stash.store.engine.put(address, body + struct.pack("<I", zlib.crc32(body)))
    fill(stash, 4)
    assert stash[3] == 3


@pytest.mark.parametrize("name", [b"sums", b"queue", b"merged", b"by:12345678", b"changed"])
@pytest.mark.parametrize("row", [b"", b"x", b"HSTsums\1" + bytes(5), b"HSTuses\1" + b"\xff" * 48, bytes(64)])
def test_bad_notes_do_not_stop_it(tmp_path, name, row):
    stash = HashStash(tmp_path, engine="pairtree", max_entries=3)
    fill(stash, 4)
    stash.store.engine.section("uses").put(name, row)
    fill(stash, 100, start=10)
    assert sorted(stash) == [107, 108, 109]


def test_a_read_only_object_uses_what_it_reads_without_an_error(opened):
    fill(opened(max_entries=3), 3)
    reader = opened(max_entries=3, read_only=True)
    assert [reader[number] for number in range(3)] == [0, 1, 2]
    with pytest.raises(ReadOnlyStash):
        reader[0] = 1
    reader.close()


def test_functions_keep_the_results_used_last(opened):
    stash = opened(max_entries=2)
    calls = []

    @stash.stashed_result
    def double(number):
        calls.append(number)
        return 2 * number

    for number in (1, 2, 1, 3, 1):
        assert double(number) == 2 * number
    assert calls == [1, 2, 3]
    assert len(double.stash) == 2


@pytest.mark.parametrize("name", ["max_size", "max_entries"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True])
def test_a_limit_that_is_none_is_named(opened, name, value):
    with pytest.raises(ValueError, match=f"{name}=.*positive whole number"):
        opened(**{name: value})


# ---- what it costs -----------------------------------------------------------------------------------------------------


def test_a_write_looks_at_a_few_rows_on_average(tmp_path):
    """Whatever the stash holds: all rows are looked at once in a while, for many writes together."""
    stash = HashStash(tmp_path, engine="memory", max_entries=1000)
    fill(stash, 1000)
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    fill(stash, 2000, start=1000)
    assert len(stash) == 1000
    looked_at = counters.operations()["rows"].rows
    assert 1000 <= looked_at < 2000 * 12


def test_short_processes_share_the_list_of_what_goes_next(tmp_path):
    """Each object here writes once, as a script that is started again and again does."""
    fill(HashStash(tmp_path, engine="memory", max_entries=500), 501)
    looked_at = 0
    for number in range(60):
        stash = HashStash(tmp_path, engine="memory", max_entries=500)
        stash.store.engine = counters = CountersWrapper(stash.store.engine)
        stash["new", number] = number
        looked_at += counters.operations()["rows"].rows if "rows" in counters.operations() else 0
    assert looked_at == 0
    assert len(stash) == 500
    assert sorted(key for key in stash if type(key) is int) == list(range(61, 501))


def test_a_read_writes_nothing_most_of_the_time(opened):
    stash = opened(max_entries=10)
    fill(stash, 10)
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    for number in range(500):
        stash[number % 10]
    done = counters.operations()
    writes = sum(done[name].calls for name in done if name.endswith(("put", "swap")))
    assert writes <= 2 * (1 + done["get"].seconds / 0.2 + 10)
    assert done["get"].calls == 500


# ---- several at once ----------------------------------------------------------------------------------------------------


def test_threads_keep_the_limits(opened):
    stash = opened(max_entries=40)
    most = []

    def work(who):
        for number in range(40):
            stash[who, number] = number
            with stash.store.engine.lock("limits"):  # counting files is not one step
                most.append(stash.store.engine.count())

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 40
    assert len(stash) == 40


@pytest.mark.slow
@pytest.mark.engines("pairtree", "redis")
def test_processes_keep_the_limits_exactly(opened, in_processes):
    stash = opened(max_entries=30, max_size=60_000, compress=False)
    in_processes(
        stash,
        "import random\n"
        "for number in range(60):\n"
        "    stash[who, number % 25] = random.Random(number).randbytes(random.Random(who + number).randrange(10, 4000))\n"
        "    if number % 7 == 0: stash.discard((who, number % 5))\n",
    )
    assert len(stash) <= 30
    assert bytes_in(stash) <= 60_000
    assert stored_sums(stash) == (len(stash), bytes_in(stash))
    assert len(stash) >= 10


@pytest.mark.slow
@pytest.mark.engines("lmdb", "redis")
def test_what_any_process_has_read_is_kept_by_all(opened, in_processes):
    """Thirty entries, twenty of which are read by one of four processes each: the other ten go first."""
    stash = opened(max_entries=40)
    fill(stash, 30)
    in_processes(stash, "for number in range(5): assert stash[5 * who + number] is not None\nstash['first', who] = 1")
    in_processes(stash, "for number in range(4): stash['then', who, number] = 1")
    assert sorted(key for key in stash if type(key) is int) == list(range(20))
    assert len(stash) == 40
    in_processes(stash, "for number in range(5): stash['last', who, number] = 1")
    kept = set(stash)
    assert kept >= {("then", who, number) for who in range(4) for number in range(4)}
    assert kept >= {("last", who, number) for who in range(4) for number in range(5)}
    assert len(kept) == 40


@pytest.mark.slow
@pytest.mark.engines("lmdb", "pairtree")
def test_the_newest_of_all_processes_are_kept(opened, in_processes):
    stash = opened(max_entries=25)
    in_processes(stash, "for number in range(30): stash[who, number] = number")
    rows = sorted((info.created_at, info.key) for info in stash.entries())
    assert len(rows) == 25
    in_processes(stash, "for number in range(5): stash['last', who, number] = number")
    kept = {key for _, key in rows[-5:]} | {("last", who, number) for who in range(4) for number in range(5)}
    assert set(stash) == kept


KILLED = """
import os, signal
put = stash.store.engine.put
def killed(address, row):
    if where == "after":
        put(address, row)
    os.kill(os.getpid(), signal.SIGKILL)
stash.store.engine.put = killed
stash["k"] = "x" * 300
"""


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_writer_that_is_killed_leaves_the_limits_intact(opened, in_processes, where):
    stash = opened(max_entries=3, max_size=100_000)
    fill(stash, 3)
    in_processes(stash, "pass", 1)
    import json

    settings = json.dumps(stash.to_dict())
    source = f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({settings!r}))"
    with Worker(source, f"where = {where!r}\n{KILLED}") as worker:
        worker.go()
        with pytest.raises(pytest.fail.Exception, match="-9"):
            worker.finish()
    for number in range(10, 20):
        stash[number] = number
        assert stash.store.engine.count() <= 3
    assert 19 in stash


def test_the_size_of_an_entry_is_what_its_listing_says(opened):
    stash = opened(max_size=100_000)
    stash.put("k", [1] * 100, meta={"a": 1}, tags=["b"])
    entry = stash.store.find("k")
    assert entry_size(entry) == stash.info("k").size == bytes_in(stash)
