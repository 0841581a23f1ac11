import json
import os
import threading
import time

import pytest

from hashstash import HashStash
from hashstash.blobs import BlobStore
from hashstash.engine import Capability
from hashstash.errors import CorruptEntry, NewerFormat, NoSuchVersion
from hashstash.store import MISSING, Store
from hashstash.testing.engine.base import Worker, run_together
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once

COUNT = 25


@pytest.fixture
def engine(every_engine):
    return every_engine


@pytest.fixture
def opened(open_on, engine):
    return lambda **options: open_on(engine, **options)


@pytest.fixture
def stash(opened):
    stash = opened(append_mode=True)
    yield stash
    stash.clear()


def numbers(stash, key="k"):
    return [version["_version"] for version in stash.get_all(key, with_metadata=True)]


def test_a_write_keeps_what_was_there(stash):
    for value in ("a", None, [1]):
        stash["k"] = value
    assert stash.get_all("k") == ["a", None, [1]]


def test_reading_gives_the_latest(stash):
    stash["k"], stash["k"] = 1, 2
    assert (stash["k"], stash.get("k"), dict(stash.items()), len(stash)) == (2, 2, {"k": 2}, 1)


def test_metadata(stash):
    before = time.time()
    stash["k"], stash["k"] = "a", "b"
    one, other = stash.get_all("k", with_metadata=True)
    assert list(one) == ["_version", "_timestamp", "_value"]
    assert [(one["_version"], one["_value"]), (other["_version"], other["_value"])] == [(1, "a"), (2, "b")]
    assert before <= one["_timestamp"] <= other["_timestamp"] <= time.time()


def test_a_missing_key_has_no_versions(stash):
    assert stash.get_all("missing") == []
    assert stash.get_all("missing", default=5) == 5
    assert stash.get_all("missing", with_metadata=True) == []


def test_versions_are_kept_per_key(stash):
    for number in range(3):
        stash["a"], stash["b"] = number, -number
    assert (stash.get_all("a"), stash.get_all("b")) == ([0, 1, 2], [0, -1, -2])


@pytest.mark.parametrize(
    "write",
    [
        lambda stash: stash.update(k=2),
        lambda stash: stash.set_many([("k", 2)]),
        lambda stash: stash.put("k", 2, ttl=60),
        lambda stash: stash.__ior__({"k": 2}),
    ],
)
def test_every_way_of_writing_appends(stash, write):
    stash["k"] = 1
    write(stash)
    assert stash.get_all("k") == [1, 2]


def test_many_in_one_call_append_in_order(stash):
    stash.set_many([("k", number) for number in range(5)])
    assert stash.get_all("k") == [0, 1, 2, 3, 4]
    assert numbers(stash) == [1, 2, 3, 4, 5]


def test_code_and_large_values_have_versions(stash):
    stash["k"], stash["k"], stash["k"] = len, list(range(50_000)), "x"
    assert stash.get_all("k") == [len, list(range(50_000)), "x"]


def test_removing_removes_all_versions(stash):
    stash["k"], stash["k"] = 1, 2
    del stash["k"]
    assert stash.get_all("k") == []
    assert list(stash.store.engine.section("history").scan()) == []
    stash["k"] = 3
    assert (stash.get_all("k"), numbers(stash)) == ([3], [1])


def test_clearing_removes_all_versions(stash):
    stash["k"], stash["k"] = 1, 2
    stash.clear()
    stash["k"] = 3
    assert stash.get_all("k") == [3]


def test_without_append_mode_there_is_one_version(opened):
    stash = opened()
    stash["k"], stash["k"] = 1, 2
    assert stash.get_all("k") == [2]
    assert numbers(stash) == [1]


def test_versions_are_seen_by_whoever_opens_the_stash_later(opened, stash):
    stash["k"], stash["k"] = 1, 2
    assert opened().get_all("k") == [1, 2]
    assert opened(append_mode=True).get_all("k") == [1, 2]


def test_append_mode_may_begin_later(opened):
    opened()["k"] = "before"
    stash = opened(append_mode=True)
    stash["k"] = "after"
    assert stash.get_all("k") == ["before", "after"]


def test_appending_does_not_rewrite_history(stash):
    for number in range(20):
        stash["k"] = number
    history = stash.store.engine.section("history")
    before = dict(history.rows())
    stash["k"] = 20
    after = dict(history.rows())
    assert len(after) == len(before) + 1
    assert {address: after[address] for address in before} == before


def test_order_is_by_number_and_not_by_clock(stash, monkeypatch):
    stash["k"] = "first"
    monkeypatch.setattr("hashstash.writing.time.time_ns", lambda: 1)
    stash["k"] = "second, by a clock that was set back"
    assert stash.get_all("k") == ["first", "second, by a clock that was set back"]
    assert numbers(stash) == [1, 2]


def test_threads_append_without_loss(stash):
    def work(name):
        for number in range(COUNT):
            stash["k"] = (name, number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stash.get_all("k")) == [(name, number) for name in range(4) for number in range(COUNT)]
    assert numbers(stash) == list(range(1, 4 * COUNT + 1))


def in_processes(stash, code, number=3):
    """Let *number* processes run *code* on *stash* at the same moment; each has its own ``who``."""
    if Capability.CROSS_PROCESS not in stash.store.engine.capabilities:
        pytest.skip("other processes do not see the rows")
    settings = f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({json.dumps(stash.to_dict())!r}))"
    run_together(settings, f"who = int(sys.argv[1])\n{code}", number)


@pytest.mark.engines("lmdb", "redis", "diskcache")
def test_processes_append_without_loss_or_a_number_twice(stash):
    in_processes(stash, f"for number in range({COUNT}): stash['k'] = (who, number)")
    assert sorted(stash.get_all("k")) == [(name, number) for name in range(3) for number in range(COUNT)]
    assert numbers(stash) == list(range(1, 3 * COUNT + 1))


@pytest.mark.engines("pairtree", "sqlite", "mongo")
def test_processes_append_large_and_small_values_to_several_keys(stash):
    in_processes(stash, "for n in range(8): stash[n % 2] = (who, n, 'x' * (50_000 if n % 3 == 0 else 10))")
    for key in (0, 1):
        assert sorted(stash.get_all(key)) == [
            (who, n, "x" * (50_000 if n % 3 == 0 else 10)) for who in range(3) for n in range(8) if n % 2 == key
        ]
        assert numbers(stash, key) == list(range(1, 13))


# ---- what an append costs --------------------------------------------------------------------------------------------


def cost_of_an_append(stash, versions):
    """What the engine is asked to do for one append on top of so many versions: calls, rows and bytes per operation."""
    for number in range(len(numbers(stash)), versions):
        stash["k"] = f"{number:08d}" * 20
    counters = stash.store.engine
    counters.reset()
    stash["k"] = "12345678" * 20
    return {name: (done.calls, done.rows, done.size) for name, done in counters.operations().items()}


def test_an_append_costs_the_same_after_many_versions(stash):
    stash.store.engine = CountersWrapper(stash.store.engine)
    few, many = cost_of_an_append(stash, 3), cost_of_an_append(stash, 60)
    assert few == many
    assert {"history.swap", "swap"} <= set(few)
    assert sum(size for _, _, size in few.values()) < 2000
    assert not {"scan", "rows", "history.scan", "history.rows", "count"} & set(few)


def test_reading_the_latest_does_not_look_at_history(stash):
    for number in range(20):
        stash["k"] = number
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    assert stash["k"] == 19
    assert {name: done.calls for name, done in counters.operations().items()} == {"get": 1}


# ---- crashes and other writers ---------------------------------------------------------------------------------------

KILLED = """
import os, signal
def killed(*args):
    if where == "after":
        assert swap(*args)
    os.kill(os.getpid(), signal.SIGKILL)
swap, stash.store.engine.swap = stash.store.engine.swap, killed
stash["k"] = "lost or kept"
"""


@pytest.mark.few_engines
@pytest.mark.parametrize(("where", "kept"), [("before", []), ("after", ["lost or kept"])])
def test_a_writer_that_is_killed_between_history_and_head_loses_no_version(stash, where, kept):
    if Capability.CROSS_PROCESS not in stash.store.engine.capabilities:
        pytest.skip("other processes do not see the rows")
    stash["k"], stash["k"], stash["k"] = 1, [2] * 20_000, 3
    settings = f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({json.dumps(stash.to_dict())!r}))"
    with Worker(settings, f"where = {where!r}\n{KILLED}") as worker:
        worker.go()
        with pytest.raises(pytest.fail.Exception, match="-9"):
            worker.finish()
    assert stash.get_all("k") == [1, [2] * 20_000, 3, *kept]
    stash["k"] = "after"
    assert stash.get_all("k") == [1, [2] * 20_000, 3, *kept, "after"]
    assert numbers(stash) == list(range(1, 5 + len(kept)))


def test_versions_go_with_a_copy(stash, tmp_path):
    for value in ("a", [1] * 20_000, None):
        stash["k"] = value
    stash["other"] = 1
    copy = stash.copy_to(HashStash(tmp_path / "copy", engine="pairtree", append_mode=True))
    assert copy.get_all("k") == ["a", [1] * 20_000, None]
    assert numbers(copy) == [1, 2, 3]
    stash.clear()
    copy.copy_to(stash)
    assert (stash.get_all("k"), stash.get_all("other"), numbers(stash)) == (["a", [1] * 20_000, None], [1], [1, 2, 3])


@pytest.mark.parametrize(
    "remove", [lambda stash: stash.pop("k"), lambda stash: stash.discard("k"), lambda stash: stash.popitem()]
)
def test_every_way_of_removing_removes_all_versions(stash, remove):
    for number in range(5):
        stash["k"] = [number] * (5 if number % 2 else 20_000)
    remove(stash)
    assert (stash.get_all("k"), list(stash.store.engine.section("history").scan())) == ([], [])
    assert stash.size_bytes() < 100_000


def test_appending_while_others_remove_never_gives_a_number_twice(stash):
    stop = threading.Event()
    wrong = []

    def remove():
        while not stop.wait(0.005):
            stash.discard("k")

    def read():
        while not stop.is_set():
            found = numbers(stash)
            if found != sorted(set(found)):
                wrong.append(found)

    threads = [threading.Thread(target=work) for work in (remove, read)]
    for thread in threads:
        thread.start()
    for number in range(60):
        stash["k"] = number
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    stash.discard("k")
    stash["k"] = "begin"
    stash["k"] = "again"
    assert stash.get_all("k") == ["begin", "again"]


def test_each_writers_values_keep_their_order(stash):
    def work(name):
        for number in range(COUNT):
            stash["k"] = (name, number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = stash.get_all("k")
    assert all(
        [value for value in found if value[0] == name] == [(name, number) for number in range(COUNT)]
        for name in range(3)
    )


# ---- bad versions ----------------------------------------------------------------------------------------------------


def head_of(stash, key="k"):
    address = stash.store.keys.address(key)
    return address, stash.store.engine.get(address)


def test_a_corrupt_latest_version_raises(stash):
    stash["k"], stash["k"] = 1, 2
    address, row = head_of(stash)
    stash.store.engine.put(address, row[:-1])
    with pytest.raises(CorruptEntry, match="'k'"):
        stash["k"]
    with pytest.raises(CorruptEntry, match="'k'"):
        stash.get_all("k")


@pytest.mark.parametrize(
    "damage", [lambda row: row[:-1], lambda row: row[:20], lambda row: b"", lambda row: bytes(len(row))]
)
def test_a_corrupt_latest_version_may_be_written_over_and_the_others_stay(stash, damage):
    for value in (1, 2, 3):
        stash["k"] = value
    address, row = head_of(stash)
    stash.store.engine.put(address, damage(row))
    stash["k"] = 4
    assert stash.get_all("k") == [1, 2, 4]
    assert numbers(stash) == sorted(set(numbers(stash)))
    assert numbers(stash)[-1] > 3
    assert stash.store.engine.section("bad").get(address) == damage(row)


def test_a_corrupt_older_version_raises_for_all_and_not_for_the_latest(stash):
    stash["k"], stash["k"] = 1, 2
    history = stash.store.engine.section("history")
    (address,) = history.scan()
    history.put(address, history.get(address)[:-1])
    assert stash["k"] == 2
    with pytest.raises(CorruptEntry):
        stash.get_all("k")


def test_a_version_of_a_newer_format_is_not_written_over(stash):
    import struct
    import zlib

    stash["k"] = 1
    address, row = head_of(stash)
    body = row[:3] + b"\x63" + row[4:-4]
    newer = body + struct.pack("<I", zlib.crc32(body))
    stash.store.engine.put(address, newer)
    with pytest.raises(NewerFormat, match="nothing was overwritten"):
        stash["k"] = 2
    assert stash.store.engine.get(address) == newer


@pytest.fixture
def removed_meanwhile(tmp_path, monkeypatch):
    """A stash whose large versions another process removes, and begins anew, between looking them up and reading them."""
    stash, other = (HashStash(tmp_path, engine="pairtree", compress="raw", append_mode=True) for _ in range(2))
    stash["k"] = b"1" * 100_000
    stash["k"] = b"2" * 100_000
    read = Store.value_of

    def overtaken(store, entry, key=MISSING):
        monkeypatch.undo()
        other.discard("k")
        other["k"] = b"3" * 100_000
        return read(store, entry, key)

    monkeypatch.setattr(Store, "value_of", overtaken)
    return stash


def test_versions_that_are_removed_while_they_are_read_are_no_damage(removed_meanwhile):
    assert removed_meanwhile.get_all("k") == [b"3" * 100_000]
    removed_meanwhile["k"] = b"4"
    assert "bad" not in removed_meanwhile.store.engine.section_names()


@pytest.mark.parametrize("version", [1, -1])
def test_a_version_that_is_replaced_while_it_is_read_is_the_new_one(removed_meanwhile, version):
    assert removed_meanwhile.at("k", version) == b"3" * 100_000
    removed_meanwhile["k"] = b"4"
    assert "bad" not in removed_meanwhile.store.engine.section_names()


@pytest.mark.parametrize("read", [lambda stash: stash.at("k", 2), lambda stash: stash.diff("k")])
def test_a_version_that_is_removed_while_it_is_read_is_no_version_any_more(removed_meanwhile, read):
    with pytest.raises(NoSuchVersion, match="there is: 1"):
        read(removed_meanwhile)


def test_what_is_written_while_a_version_is_read_is_not_what_was_there_at_that_time(removed_meanwhile):
    with pytest.raises(NoSuchVersion):
        removed_meanwhile.at("k", time=time.time())


@pytest.fixture
def opening_is_overtaken(tmp_path, monkeypatch):
    """A stash whose large value another process removes between finding it and opening its file."""
    stash, other = (HashStash(tmp_path, engine="pairtree", compress="raw") for _ in range(2))
    stash["k"] = b"1" * 100_000
    mapped = BlobStore.map

    def overtaken(blobs, reference, *, is_signed):
        monkeypatch.undo()
        other.clear()
        return mapped(blobs, reference, is_signed=is_signed)

    monkeypatch.setattr(BlobStore, "map", overtaken)
    return stash


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "read",
    [
        lambda stash: list(stash.items()),
        lambda stash: list(stash.entries().items()),
        lambda stash: list(stash.assemble_ld(with_metadata=True)),
        lambda stash: stash.get_many(["k"], default=[])[0],
        lambda stash: stash.get_encoded("k") or [],
        lambda stash: HashStash(stash.path + "-copy", engine="memory").update(stash) or [],
    ],
    ids=["items", "entries", "assemble_ld", "get_many", "get_encoded", "update"],
)
def test_a_value_that_is_removed_while_it_is_read_is_no_damage(opening_is_overtaken, read):
    assert read(opening_is_overtaken) == []


def test_a_version_whose_file_is_gone_raises(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress="raw", append_mode=True)
    stash["k"] = b"1" * 100_000
    stash["k"] = b"2" * 100_000
    for name in stash.store.blobs.names():
        os.unlink(stash.store.blobs.path(name))
    with pytest.raises(CorruptEntry):
        stash.get_all("k")
