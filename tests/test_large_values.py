"""Large values through whole stashes: how they lie in memory, who sees what is written into them, and what they cost."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from hashstash import HashStash, blobs, codec, upkeep
from hashstash.errors import CorruptEntry, UnsupportedValue
from hashstash.registry import COMPRESSORS
from hashstash.serializers.hashstash import document
from hashstash.testing.equality import assert_same

np = pytest.importorskip("numpy")

MIB = 1 << 20
ENGINES = ["pairtree", "lmdb", "memory"]
FILES = ["pairtree", "lmdb"]


def numbers(size_in_mib, seed=0):
    return np.random.default_rng(seed).random(size_in_mib * MIB // 8)


def frame(rows):
    """Columns of every common kind, text and categories and times among them."""
    pd = pytest.importorskip("pandas")
    dice = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "count": np.arange(rows),
            "share": dice.random(rows),
            "flag": dice.random(rows) > 0.5,
            "small": dice.integers(0, 100, rows, dtype="i2"),
            "text": np.array(["", "plain", "é", "a longer text that repeats"])[dice.integers(0, 4, rows)],
            "kind": pd.Categorical.from_codes(dice.integers(-1, 5, rows), list("abcde")),
            "when": pd.date_range("2020", periods=rows, freq="s"),
            "where": pd.date_range("2020", periods=rows, freq="min", tz="UTC"),
            "took": pd.to_timedelta(dice.integers(0, 10**9, rows)),
            "maybe": pd.array(dice.integers(0, 9, rows), dtype="Int64"),
        },
        index=pd.Index(np.arange(rows) * 2, name="row"),
    )


def large_buffers(value):
    """The memory of an array, or of the columns of a frame that are numbers of some kind."""
    if isinstance(value, np.ndarray):
        return [value]
    columns = [value.iloc[:, number].array for number in range(value.shape[1])]
    found = [getattr(column, name, None) for column in columns for name in ("_ndarray", "_codes", "_data", "_mask")]
    return [part for part in found if isinstance(part, np.ndarray) and part.dtype != object]


def structured(count):
    array = np.zeros(count, [("a", "<i4"), ("b", "<f8"), ("c", "S5")])
    array["a"], array["c"] = np.arange(count), b"text"
    return array


VALUES = {
    "8 MB": lambda: numbers(8),
    "80 MB": lambda: numbers(80),
    "F-ordered": lambda: np.asfortranarray(numbers(8).reshape(1024, 1024)),
    "strided": lambda: numbers(8).reshape(1024, 1024)[::2, ::3],
    "backwards": lambda: numbers(2)[::-1],
    "structured": lambda: structured(100_000),
    "bytes": lambda: np.frombuffer(os.urandom(MIB), "u1"),
    "frame of 1e5 rows": lambda: frame(100_000),
    "frame of 1e6 rows": lambda: frame(1_000_000),
}


@pytest.fixture(params=ENGINES)
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, **{"compress": False, **options})


@pytest.fixture
def stash(opened):
    return opened()


@pytest.fixture(params=FILES)
def stash_with_files(request, tmp_path):
    return HashStash(tmp_path / "stash", engine=request.param, compress=False)


def the_file(stash):
    (name,) = stash.store.blobs.names()
    return stash.store.blobs.path(name)


def in_child(stash, code):
    """What another process prints that runs *code* with the stash and numpy at hand."""
    head = "import os, sys\nimport numpy as np\nfrom hashstash import HashStash\nfrom hashstash.errors import *\n"
    head += "stash = HashStash(sys.argv[1], engine=sys.argv[2], compress=False)\n"
    command = [sys.executable, "-c", head + code, stash.root_dir, stash.engine]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# ---- how it lies in memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_it_comes_back_the_same_writable_and_aligned(stash, name):
    value = VALUES[name]()
    stash["k"] = value
    found = stash["k"]
    assert_same(found, value)
    parts = large_buffers(found)
    assert parts
    assert [part.ctypes.data % 64 for part in parts] == [0] * len(parts)
    assert all(part.flags.writeable for part in parts)


@pytest.mark.parametrize("compressor", [name for name in COMPRESSORS.names() if name != "raw"])
def test_compressed_it_comes_back_the_same_writable_and_aligned(opened, compressor):
    value = [np.repeat(np.arange(5000.0), 40), np.zeros(777), np.arange(20_000) // 1000]
    stash = opened(compress=compressor)
    stash["k"] = value
    assert stash.entries()[0].codec == f"hashstash+{compressor}"
    found = stash["k"]
    assert_same(found, value)
    assert [part.ctypes.data % 64 for part in found] == [0, 0, 0]
    assert all(part.flags.writeable for part in found)


@pytest.mark.parametrize("b64", [False, True])
def test_a_small_value_with_arrays_is_aligned_too(opened, b64):
    stash = opened(b64=b64)
    stash["k"] = {"a": np.arange(600.0), "b": np.arange(1500, dtype="f4"), "text": "x" * 999}
    found = stash["k"]
    assert [found[name].ctypes.data % 64 for name in "ab"] == [0, 0]
    assert all(found[name].flags.writeable for name in "ab")


def test_of_a_view_only_the_view_is_stored(stash_with_files):
    stash_with_files["k"] = numbers(16)[1000:5000:2]
    assert stash_with_files.size_bytes() < 100_000
    assert_same(stash_with_files["k"], numbers(16)[1000:5000:2])


# ---- who sees what is written into it --------------------------------------------------------------------------------


def test_what_is_written_into_it_nobody_else_sees(stash):
    stash["k"] = value = numbers(1)
    found, other = stash["k"], stash["k"]
    found[:] = 0
    assert (other == value).all()
    assert (stash["k"] == value).all()


def test_what_is_written_into_a_column_nobody_else_sees(stash):
    value = frame(10_000)
    stash["k"] = value
    found = stash["k"]
    found.loc[:, "share"] = 0.0
    found["count"].array[:] = -1
    assert_same(stash["k"], value)


def test_what_is_written_into_it_another_process_does_not_see(stash_with_files):
    stash_with_files["k"] = value = numbers(1)
    found = stash_with_files["k"]
    found[:] = 0
    with open(the_file(stash_with_files), "rb") as file:
        assert value.tobytes() in file.read()
    done = in_child(stash_with_files, "print(repr(float(stash['k'].sum())))")
    assert (done.stdout, done.stderr) == (f"{float(value.sum())!r}\n", "")


def _write_in_child(array, results):
    before = float(array[0])
    array[:] = -1.0
    results.put((before, float(array.sum())))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_its_own_copy_of_an_array_that_was_read_before(stash):
    stash["k"] = np.ones(MIB)
    found = stash["k"]
    found[0] = 5.0
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_write_in_child, args=(found, results))
    child.start()
    assert results.get(timeout=30) == (5.0, -1.0 * MIB)
    child.join(30)
    assert (found[0], found[1:].min()) == (5.0, 1.0)
    assert stash["k"].min() == 1.0


def test_after_another_process_replaced_it_old_arrays_keep_their_values(stash_with_files):
    stash_with_files["k"] = np.zeros(MIB)
    old = stash_with_files["k"]
    done = in_child(stash_with_files, "stash['k'] = np.ones(1 << 20)")
    assert done.stderr == ""
    assert not old.any()
    assert stash_with_files["k"].all()
    assert not old.any()
    assert os.path.exists(the_file(stash_with_files))


def test_arrays_outlive_their_stash(stash):
    stash["k"] = numbers(1)
    found = stash["k"]
    stash.close()
    stash.clear()
    assert (found == numbers(1)).all()


# ---- verified once, and never a crash --------------------------------------------------------------------------------


def test_it_is_read_for_its_checksum_at_the_first_get_only(stash_with_files, monkeypatch):
    stash_with_files["k"] = numbers(8)
    read = []

    def counted(data, *start):
        read.append(len(data))
        return crc32(data, *start)

    crc32 = blobs.crc32
    monkeypatch.setattr(blobs, "crc32", counted)
    for _ in range(3):
        stash_with_files["k"]
    assert read == [os.path.getsize(the_file(stash_with_files))]
    HashStash(stash_with_files.root_dir, engine=stash_with_files.engine, compress=False)["k"]
    assert len(read) == 1


def test_a_flipped_byte_in_the_middle_is_found_at_the_first_get(stash_with_files):
    stash_with_files["k"] = numbers(8)
    with open(the_file(stash_with_files), "r+b") as file:
        file.seek(4 * MIB)
        byte = file.read(1)
        file.seek(4 * MIB)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(CorruptEntry, match="changed after it was written"):
        stash_with_files["k"]


@pytest.mark.parametrize("size", [0, 1, 4096, 4 * MIB])
def test_a_truncated_file_is_a_corrupt_entry_and_no_bus_error(stash_with_files, size):
    stash_with_files["k"] = numbers(8)
    os.truncate(the_file(stash_with_files), size)
    done = in_child(stash_with_files, "try: stash['k']\nexcept CorruptEntry as error: print(error)")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"has {size} bytes instead of" in done.stdout


# ---- orphans ---------------------------------------------------------------------------------------------------------

KILLED = """
import signal
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
stash.store.engine.put = stash.store.engine.swap = die
stash["k"] = np.ones(1 << 17)
"""


def test_a_writer_that_is_killed_before_its_row_leaves_an_orphan_that_is_swept(stash_with_files):
    stash = stash_with_files
    stash["k"] = np.zeros(1 << 17)
    kept = the_file(stash)
    assert in_child(stash, KILLED).returncode == -signal.SIGKILL
    names = list(stash.store.blobs.names())
    assert len(names) == 2
    assert not stash["k"].any()
    assert upkeep.sweep(stash.store) == 0
    for name in names:
        os.utime(stash.store.blobs.path(name), (0, 0))
    assert upkeep.sweep(stash.store) == 1
    assert the_file(stash) == kept
    assert not stash["k"].any()


# ---- with everything else that a stash does --------------------------------------------------------------------------


def test_it_expires_like_any_other(stash):
    stash.put("k", numbers(1), ttl=600)
    assert (stash["k"] == numbers(1)).all()
    stash.put("k", numbers(1), ttl=0.05)
    time.sleep(0.06)
    assert "k" not in stash


def test_all_versions_come_back(opened):
    stash = opened(append_mode=True)
    for seed in range(3):
        stash["k"] = numbers(1, seed)
    assert [float(found[0]) for found in stash.get_all("k")] == [float(numbers(1, seed)[0]) for seed in range(3)]


@pytest.mark.parametrize("target", ENGINES)
def test_it_is_copied_to_any_engine(stash, target, tmp_path):
    stash["k"] = numbers(1)
    other = HashStash(tmp_path / "other", engine=target, compress=False)
    stash.copy_to(other)
    stash.clear()
    assert_same(other["k"], numbers(1))


def test_a_sub_stash_has_its_own(stash):
    stash["k"] = numbers(1, 1)
    stash.sub("below")["k"] = numbers(1, 2)
    assert_same(stash["k"], numbers(1, 1))
    assert_same(stash.sub("below")["k"], numbers(1, 2))


def test_popping_gives_it_and_leaves_nothing(stash_with_files):
    stash_with_files["k"] = numbers(1)
    found = stash_with_files.pop("k")
    assert list(stash_with_files.store.blobs.names()) == []
    assert_same(found, numbers(1))


# ---- what it costs ---------------------------------------------------------------------------------------------------

OWN_MEMORY = """
def own_memory():
    with open("/proc/self/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
stash["small"] = np.zeros(1 << 17)
stash["small"]
before = own_memory()
first = stash["k"]
again = stash["k"]
total = first.sum() + again.sum()
print(own_memory() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not say")
def test_reading_80_mb_takes_next_to_no_memory_of_its_own(stash_with_files):
    stash_with_files["k"] = numbers(80)
    done = in_child(stash_with_files, OWN_MEMORY)
    assert done.stderr == ""
    assert int(done.stdout) < 4096


@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_array_gives_its_memory_back_as_soon_as_it_is_forgotten(engine, serializer, tmp_path):
    """Without waiting for the garbage collector: a mapped file, or a copy, would stay for each read until then."""
    with HashStash(tmp_path, engine=engine, serializer=serializer) as stash:
        stash["a"] = numbers(1)
        stash["a"]
        gc.collect()
        gc.disable()
        try:
            stash["a"]
            assert gc.collect() == 0
        finally:
            gc.enable()


# ---- more than an entry holds --------------------------------------------------------------------------------------------

MOST = 100_000
TOO_LARGE = np.arange(MOST)


def too_large(_=None):
    return TOO_LARGE


@pytest.fixture(params=[*ENGINES, "sqlite"])
def narrow(request, tmp_path, monkeypatch):
    """A stash whose entries hold less than usual."""
    if request.param == "lmdb":
        pytest.importorskip("lmdb")
    monkeypatch.setattr(codec, "LARGEST_CONTENT", MOST)
    stash = HashStash(tmp_path / "narrow", engine=request.param)
    stash["before"] = 1
    yield stash
    stash.clear()
    stash.close()


@pytest.mark.parametrize("value", [TOO_LARGE, "x" * (MOST + 1), [TOO_LARGE, Ellipsis]], ids=["buffer", "text", "code"])
@pytest.mark.parametrize(
    "write",
    [
        lambda stash, value: stash.__setitem__("k", value),
        lambda stash, value: stash.update({"k": value}),
        lambda stash, value: stash.put("k", value),
        lambda stash, value: stash.setdefault("k", value),
        lambda stash, value: stash.get_set("k", value),
        lambda stash, value: stash.encode_value(value),
    ],
    ids=["set", "update", "put", "setdefault", "get_set", "encode_value"],
)
def test_what_is_larger_than_an_entry_may_be_is_refused_and_nothing_is_stored(narrow, write, value):
    with pytest.raises(UnsupportedValue, match="an entry holds at most 100,000; store it in parts"):
        write(narrow, value)
    assert list(narrow.items()) == [("before", 1)]
    assert narrow.store.blobs is None or not narrow.store.blobs.exists()


@pytest.mark.parametrize(
    "compute",
    [
        lambda stash: stash.get_set("k", too_large),
        lambda stash: stash.run(too_large),
        lambda stash: stash.map(too_large, [1], num_proc=1, progress=False)[0],
        lambda stash: stash.map(too_large, [1], executor="threads", progress=False)[0],
    ],
    ids=["get_set", "run", "map", "map by threads"],
)
def test_a_result_that_is_larger_than_an_entry_may_be_is_returned_with_one_warning(narrow, compute):
    with pytest.warns(RuntimeWarning, match=r"could not be stored.*store it in parts") as warned:
        assert compute(narrow) is TOO_LARGE
    assert len(warned) == 1
    assert "nothing wrong" in str(narrow.check())


def test_a_value_as_large_as_an_entry_may_be_is_stored(narrow):
    text = "x" * (MOST - 5)  # and five bytes that say how long it is
    narrow["k"] = text
    assert narrow["k"] == text


@pytest.mark.parametrize("value", [b"abc", (b"abc",), {"a": b"abc"}, [1, (2, 3)]])
def test_what_msgspec_cannot_count_is_written_by_msgpack(monkeypatch, value):
    msgspec = pytest.importorskip("msgspec")

    def refuse(_):
        raise msgspec.EncodeError("Can't encode bytes-like objects longer than 2**32 - 1")

    usual = document.write(value)
    monkeypatch.setattr(document, "_encode_json_like", refuse)
    assert document.write_fast(value) is None
    assert document.write(value).document == usual.document
