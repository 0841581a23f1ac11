import subprocess
import sys
import threading
import time

import pytest

from hashstash import HashStash
from hashstash.errors import CorruptEntry, NewerFormat

COUNT = 25


@pytest.fixture
def stash(opened):
    return opened(append_mode=True)


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
    monkeypatch.setattr("hashstash.store.time.time_ns", lambda: 1)
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


APPEND = """
import sys
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2], append_mode=True)
print("ready", flush=True)
sys.stdin.read()
for number in range(int(sys.argv[4])):
    stash["k"] = (int(sys.argv[3]), number)
"""


def test_processes_append_without_loss_or_a_number_twice(shared_engine, tmp_path):
    stash = HashStash(tmp_path / "stash", engine=shared_engine, append_mode=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    arguments = [str(tmp_path / "stash"), shared_engine]
    processes = [
        subprocess.Popen([sys.executable, "-c", APPEND, *arguments, str(name), str(COUNT)], **pipes)
        for name in range(4)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.close()
    codes = [process.wait(60) for process in processes]
    for process in processes:
        process.stdout.close()
    assert codes == [0] * 4
    assert sorted(stash.get_all("k")) == [(name, number) for name in range(4) for number in range(COUNT)]
    assert numbers(stash) == list(range(1, 4 * COUNT + 1))


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
