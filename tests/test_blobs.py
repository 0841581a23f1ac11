import contextlib
import errno
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
import zlib

import pytest

from hashstash import HashStash, blobs, upkeep
from hashstash.blobs import SMALLEST_BLOB, BlobMissing, BlobStore, Reference
from hashstash.entry import Entry, Flag
from hashstash.errors import CorruptEntry, StashFull, UnsafeName, UntrustedEntry

np = pytest.importorskip("numpy")

RACE_SECONDS = 0.7


@pytest.fixture
def store(tmp_path):
    return BlobStore(str(tmp_path / "blobs"))


@pytest.fixture(params=["pairtree", "lmdb"])
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, compress=False, **options)


@pytest.fixture
def stash(opened):
    return opened()


def names(stash):
    return set(stash.store.blobs.names())


def noise(size=100_000, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [[b"one"], [b"one", bytearray(b"two"), memoryview(b"3")], [], [b""], [os.urandom(100_000)] * 3, [b"x"] * 2000],
)
def test_what_is_written_is_mapped(store, pieces):
    reference = store.write(pieces)
    assert bytes(store.map(reference, is_signed=False)) == b"".join(pieces)


def test_a_reference_stands_in_a_row(store):
    reference = store.write([b"content"], digest=True)
    assert Reference.unpack(reference.pack()) == reference


@pytest.mark.parametrize("payload", [b"", b"short", bytes(100)])
def test_a_reference_of_the_wrong_size_is_noticed(payload):
    with pytest.raises(CorruptEntry):
        Reference.unpack(payload)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_are_private_under_any_umask(store, umask):
    before = os.umask(umask)
    try:
        path = store.path(store.write([b"secret"]).name)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_what_is_written_into_a_mapping_stays_private(store):
    reference = store.write([b"content"])
    view = store.map(reference, is_signed=False)
    view[:3] = b"CON"
    assert bytes(store.map(reference, is_signed=False)) == b"content"


def test_a_missing_file_is_said_so(store):
    reference = store.write([b"content"])
    store.remove(reference.name)
    with pytest.raises(BlobMissing, match=reference.name):
        store.map(reference, is_signed=False)


def test_removing_twice_is_fine(store):
    reference = store.write([b"content"])
    store.remove(reference.name)
    store.remove(reference.name)


def open_files_that_are_removed(store):
    """Of this store: what other tests have left mapped is none of ours."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return [link for link in links if link.endswith(" (deleted)") and link.startswith(store.folder)]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux lists the files that are open")
def test_removed_files_are_gone_at_once_and_their_room_is_given_back_soon(store):
    written = [store.write([bytes(2 << 20)]).name for _ in range(6)]
    for name in written:
        store.remove(name)
    assert list(store.names()) == []
    deadline = time.monotonic() + 10
    while open_files_that_are_removed(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert open_files_that_are_removed(store) == []


def test_every_truncation_is_noticed(store):
    reference = store.write([b"some content"])
    for size in range(12):
        os.truncate(store.path(reference.name), size)
        with pytest.raises(CorruptEntry, match=f"{size} bytes instead of 12"):
            store.map(reference, is_signed=False)


def test_every_flipped_byte_is_noticed(store):
    reference = store.write([b"some content"])
    for position in range(12):
        content = bytearray(b"some content")
        content[position] ^= 0x40
        with open(store.path(reference.name), "r+b") as file:
            file.write(content)
        with pytest.raises(CorruptEntry, match="changed after it was written"):
            store.map(reference, is_signed=False)


def test_a_link_in_the_place_of_a_file_is_not_followed(store, tmp_path):
    reference = store.write([b"content"])
    path = store.path(reference.name)
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(CorruptEntry, match="is not a file, but a link"):
        store.map(reference, is_signed=False)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_damage_and_nothing_waits(store, make):
    reference = store.write([b"content"])
    os.unlink(store.path(reference.name))
    make(store.path(reference.name))
    with pytest.raises(CorruptEntry, match="is not a file"):
        store.map(reference, is_signed=False)


def test_nothing_is_removed_behind_a_link(store, tmp_path):
    reference = store.write([b"content"])
    folder = os.path.dirname(store.path(reference.name))
    os.rename(folder, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", folder)
    with pytest.raises(UnsafeName, match="is a symbolic link"):
        store.remove(reference.name)
    assert (tmp_path / "elsewhere" / reference.name).exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_so_and_leaves_nothing(store, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "writev", refuse)
    with pytest.raises(StashFull, match="no room for 7 bytes") as caught:
        store.write([b"content"])
    assert caught.value.errno == number
    assert list(store.names()) == []


def test_an_interrupted_write_leaves_nothing(store, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "writev", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write([b"content"])
    assert list(store.names()) == []


def test_names_by_age(store):
    old, new = store.write([b"old"]).name, store.write([b"new"]).name
    os.utime(store.path(old), (0, 0))
    assert set(store.names()) == {old, new}
    assert list(store.names(older_than=3600)) == [old]


def test_a_store_without_files_is_empty(store):
    assert not store.exists()
    assert list(store.names()) == []
    assert store.size_bytes() == 0


def test_sizes_add_up(store):
    store.write([bytes(1000)])
    store.write([bytes(500)])
    assert store.size_bytes() == 1500


# ---- arrays through a stash ------------------------------------------------------------------------------------------


def test_an_8_mb_array_comes_back_mapped_writable_and_aligned(stash):
    stash["k"] = np.arange(1 << 20, dtype=np.float64)
    found = stash["k"]
    assert (found == np.arange(1 << 20)).all()
    assert found.flags.writeable
    assert not found.flags.owndata
    assert found.ctypes.data % 64 == 0
    with open("/proc/self/maps") as maps:
        assert any("/blobs/" in line for line in maps)


def test_writing_into_what_came_back_changes_nothing_stored(stash, opened):
    stash["k"] = np.zeros(100_000)
    found = stash["k"]
    found[:] = 1
    assert not stash["k"].any()
    assert not opened()["k"].any()


def test_the_payload_lies_in_a_file_of_its_own(stash):
    stash["k"] = noise()
    (name,) = names(stash)
    with open(stash.store.blobs.path(name), "rb") as file:
        assert noise().tobytes() in file.read()
    assert stash.store.engine.size_bytes() < 50_000


@pytest.mark.parametrize("size, expected", [(SMALLEST_BLOB - 1000, 0), (SMALLEST_BLOB, 1)])
def test_only_large_payloads_do(stash, size, expected):
    stash["k"] = noise(size)
    assert len(names(stash)) == expected


def test_large_text_does_too(stash):
    text = "".join(map(chr, noise().tolist()))
    stash["k"] = text
    assert len(names(stash)) == 1
    assert stash["k"] == text


def test_engines_without_files_keep_it_in_the_row(tmp_path):
    stash = HashStash(tmp_path, engine="memory")
    stash["k"] = noise()
    assert (stash["k"] == noise()).all()
    assert stash.store.blobs is None


def test_many_arrays_in_one_value(stash):
    value = {str(number): noise(5000 + number, number) for number in range(20)}
    stash["k"] = value
    found = stash["k"]
    assert all((found[name] == value[name]).all() for name in value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5)),
        np.zeros((300, 200))[::2, ::3],
        np.asfortranarray(noise(90_000).reshape(300, 300)),
        np.array(1.5),
    ],
)
def test_arrays_of_any_layout(stash, array):
    stash["k"] = [array, noise()]
    assert stash["k"][0].shape == array.shape
    assert (stash["k"][0] == array).all()


def test_an_overwritten_file_is_removed_and_its_views_stay(stash):
    stash["k"] = noise(seed=1)
    view = stash["k"]
    stash["k"] = noise(seed=2)
    assert len(names(stash)) == 1
    assert (view == noise(seed=1)).all()
    assert (stash["k"] == noise(seed=2)).all()


def test_overwriting_with_something_small_removes_the_file(stash):
    stash["k"] = noise()
    stash["k"] = 1
    assert names(stash) == set()


def test_a_stash_that_was_opened_earlier_removes_it_as_well(opened):
    early, other = opened(), opened()
    other["k"] = noise()
    early["k"]
    early["k"] = 1
    assert names(early) == set()


@pytest.mark.parametrize(
    "remove",
    [
        lambda stash: stash.pop("k"),
        lambda stash: stash.__delitem__("k"),
        lambda stash: stash.popitem(),
        lambda stash: stash.clear(),
    ],
)
def test_removing_an_entry_removes_its_file_and_views_stay(stash, remove):
    stash["k"] = noise()
    view = stash["k"]
    remove(stash)
    assert names(stash) == set()
    assert (view == noise()).all()


def test_files_of_older_versions_stay_and_go_with_them(opened):
    stash = opened(append_mode=True)
    for seed in range(3):
        stash["k"] = noise(seed=seed)
    assert len(names(stash)) == 3
    assert all((found == noise(seed=seed)).all() for seed, found in enumerate(stash.get_all("k")))
    del stash["k"]
    assert names(stash) == set()


def test_a_missing_file_of_an_older_version_is_never_answered_with_a_newer_one(opened):
    stash = opened(append_mode=True)
    stash["k"] = noise(seed=0)
    (name,) = names(stash)
    stash["k"] = noise(seed=1)
    stash.store.blobs.remove(name)
    with pytest.raises(CorruptEntry, match=name):
        stash.get_all("k")


def test_a_missing_file_is_a_corrupt_entry_every_time(stash):
    stash["k"] = noise()
    (name,) = names(stash)
    stash.store.blobs.remove(name)
    for _ in range(2):
        with pytest.raises(CorruptEntry, match=f"'k'.*{name}"):
            stash.get("k")


def test_a_changed_file_is_a_corrupt_entry_every_time(opened):
    opened()["k"] = noise()
    stash = opened()
    (name,) = names(stash)
    with open(stash.store.blobs.path(name), "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"changed")
    for _ in range(2):
        with pytest.raises(CorruptEntry, match="changed"):
            stash["k"]


def test_a_bad_file_is_overwritten_like_any_other(stash):
    stash["k"] = noise()
    (name,) = names(stash)
    stash.store.blobs.remove(name)
    stash["k"] = noise(seed=1)
    assert (stash["k"] == noise(seed=1)).all()


@pytest.mark.parametrize(
    "size, raw_size, signer, error",
    [
        (16 << 30, 16 << 30, b"", CorruptEntry),
        (16 << 30, 10, b"", CorruptEntry),
        (2 << 30, 2 << 30, b"", UntrustedEntry),
        (100_000, 100 << 20, b"", UntrustedEntry),
        (2 << 30, 2 << 30, b"stranger", UntrustedEntry),
    ],
)
def test_sizes_that_a_stranger_may_not_claim_are_refused_before_anything_is_read(
    stash, monkeypatch, size, raw_size, signer, error
):
    address, payload = stash.store.keys.address("k"), Reference("ab" * 16, size, 0, bytes(16)).pack()
    entry = Entry(address, b"hashstash", b"", payload, raw_size, Flag.BLOB | (Flag.SIGNED if signer else 0))
    entry.signer, entry.tag = signer, bytes(2 * len(signer))
    stash.store.engine.put(address, entry.pack())
    monkeypatch.setattr(stash.store.blobs, "map", None)
    with pytest.raises(error, match=f"claims [0-9,]* bytes of content in {size:,}"):
        stash["k"]


def test_base64_may_take_more_than_what_it_stands_for(opened):
    stash = opened(b64=True)
    stash["k"] = noise(300_000)
    assert (stash["k"] == noise(300_000)).all()


def test_a_bad_file_does_not_end_an_iteration(stash):
    stash["good"] = 1
    stash["k"] = noise()
    (name,) = names(stash)
    stash.store.blobs.remove(name)
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read"):
        assert dict(stash.items()) == {"good": 1}


# ---- orphans ---------------------------------------------------------------------------------------------------------


def test_orphans_are_swept_when_they_are_old(stash):
    stash["k"] = noise()
    kept = names(stash)
    old, new = stash.store.blobs.write([b"old"]).name, stash.store.blobs.write([b"new"]).name
    os.utime(stash.store.blobs.path(old), (0, 0))
    assert upkeep.sweep(stash.store) == 1
    assert names(stash) == kept | {new}


def test_files_that_rows_or_older_versions_point_at_are_no_orphans(opened):
    stash = opened(append_mode=True)
    stash["k"] = noise(seed=1)
    stash["k"] = noise(seed=2)
    for name in names(stash):
        os.utime(stash.store.blobs.path(name), (0, 0))
    assert upkeep.sweep(stash.store) == 0
    assert len(stash.get_all("k")) == 2


def test_opening_sweeps_once_a_day(opened):
    stash = opened()
    stash["k"] = noise()
    kept = names(stash)

    def orphan():
        name = stash.store.blobs.write([b"orphan"]).name
        os.utime(stash.store.blobs.path(name), (0, 0))
        return name

    orphan()
    opened()
    assert names(stash) == kept
    second = orphan()
    opened()
    assert names(stash) == kept | {second}
    mark = os.path.join(stash.store.blobs.folder, "swept")
    os.utime(mark, (0, 0))
    opened()
    assert names(stash) == kept


def old_mark(path):
    with open(path, "wb"):
        pass
    os.utime(path, (0, 0))


@pytest.mark.parametrize("refused, prepare", [("utime", old_mark), ("open", len)])
def test_nothing_is_swept_where_nobody_could_note_that_it_was(stash, opened, monkeypatch, refused, prepare):
    stash["k"] = noise()
    orphan = stash.store.blobs.write([b"orphan"]).name
    os.utime(stash.store.blobs.path(orphan), (0, 0))
    mark = os.path.join(stash.store.blobs.folder, "swept")
    prepare(mark)
    allow = getattr(os, refused)

    def refuse(path, *arguments, **options):
        if path == mark:
            raise OSError(errno.EROFS, "Read-only file system", path)
        return allow(path, *arguments, **options)

    monkeypatch.setattr(os, refused, refuse)
    assert (opened()["k"] == noise()).all()
    assert orphan in names(stash)


def test_a_sweep_that_may_not_remove_a_file_does_not_fail_the_opening(stash, opened, monkeypatch):
    stash["k"] = noise()
    orphan = stash.store.blobs.path(stash.store.blobs.write([b"orphan"]).name)
    os.utime(orphan, (0, 0))
    unlink, refused = os.unlink, []

    def refuse(path, **options):
        if path == orphan:
            refused.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    assert (opened()["k"] == noise()).all()
    assert refused


def test_a_sweep_that_meets_damage_does_not_fail_the_opening(tmp_path):
    stash = HashStash(tmp_path, engine="sqlite", compress=False)
    for number in range(300):
        stash[number] = str(number) * 200
    stash["large"] = bytes(noise())
    for name in names(stash):
        os.utime(stash.store.blobs.path(name), (0, 0))
    stash.close()
    with open(os.path.join(stash.store.engine.location(), "rows.sqlite"), "r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    again = HashStash(tmp_path, engine="sqlite", compress=False)
    assert again.check()
    assert os.path.exists(os.path.join(again.store.blobs.folder, "swept"))


def test_clearing_leaves_the_file_of_a_write_that_is_under_way(stash):
    stash["k"] = noise()
    under_way = stash.store.blobs.write([bytes(noise(seed=1))]).name
    stash.clear()
    assert names(stash) == {under_way}


def test_a_write_that_is_refused_leaves_no_file(stash, monkeypatch):
    stash["k"] = noise()
    kept = names(stash)

    def refuse(address, blob):
        raise StashFull(28, "no room")

    monkeypatch.setattr(stash.store.engine, "put", refuse)
    with pytest.raises(StashFull):
        stash["other"] = noise(seed=1)
    assert names(stash) == kept


def test_an_error_after_the_row_was_stored_keeps_its_file(stash, monkeypatch):
    put = stash.store.engine.put

    def store_and_fail(address, blob):
        put(address, blob)
        raise OSError(errno.EIO, "after the fact")

    monkeypatch.setattr(stash.store.engine, "put", store_and_fail)
    with pytest.raises(OSError, match="after the fact"):
        stash["k"] = noise()
    assert (stash["k"] == noise()).all()


def test_an_interrupt_after_the_row_was_stored_keeps_its_file(stash, monkeypatch):
    put = stash.store.engine.put

    def store_and_interrupt(address, blob):
        put(address, blob)
        raise KeyboardInterrupt

    monkeypatch.setattr(stash.store.engine, "put", store_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        stash["k"] = noise()
    assert (stash["k"] == noise()).all()


# ---- races -----------------------------------------------------------------------------------------------------------


def whole(found):
    """Whether an array is one that a writer made: all elements alike."""
    return found.shape == (10_000,) and (found == found[0]).all()


def overwrite(stash, stop):
    number = 0
    while not stop.is_set():
        number += 1
        stash["k"] = np.full(10_000, number)


def test_a_thread_that_reads_while_others_overwrite_never_fails(stash):
    stash["k"] = np.zeros(10_000)
    stop, wrong = threading.Event(), []
    writers = [threading.Thread(target=overwrite, args=(stash, stop)) for _ in range(2)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + RACE_SECONDS
    try:
        while time.monotonic() < deadline:
            wrong += [found for found in (stash["k"], *stash.values(), *stash.get_many(["k"])) if not whole(found)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not wrong


OVERWRITE = """
import sys, time
import numpy as np
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2], compress=False)
print("ready", flush=True)
number, deadline = 0, time.monotonic() + float(sys.argv[3])
while time.monotonic() < deadline:
    number += 1
    stash["k"] = np.full(10_000, number)
"""


def test_a_process_that_reads_while_another_overwrites_never_fails(stash):
    stash["k"] = np.zeros(10_000)
    command = [sys.executable, "-c", OVERWRITE, stash.root_dir, stash.engine, str(RACE_SECONDS)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "ready\n"
    wrong = []
    while writer.poll() is None:
        wrong += [found for found in (stash["k"], *stash.values()) if not whole(found)]
    writer.stdout.close()
    assert writer.returncode == 0
    assert not wrong


def test_a_thread_that_reads_while_another_deletes_finds_it_or_not(stash):
    stop, failures = threading.Event(), []

    def work():
        while not stop.is_set():
            stash["k"] = np.zeros(10_000)
            stash.discard("k")

    writer = threading.Thread(target=work)
    writer.start()
    deadline = time.monotonic() + RACE_SECONDS
    try:
        while time.monotonic() < deadline:
            found = [stash.get("k"), *stash.get_many(["k"]), *stash.values()]
            failures += [value for value in found if value is not None and not whole(value)]
    finally:
        stop.set()
        writer.join()
    assert not failures


def _child(stash, results):
    results.put(zlib.crc32(stash["k"].tobytes()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_maps_it_too(stash):
    stash["k"] = noise()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_child, args=(stash, results))
    child.start()
    assert results.get(timeout=30) == zlib.crc32(noise().tobytes())
    child.join(30)


def test_a_file_is_verified_once_per_process(store, monkeypatch):
    checks = []
    monkeypatch.setattr(blobs, "_verify", lambda *_, **__: checks.append(1))
    reference = store.write([b"content"])
    store.map(reference, is_signed=False)
    store.map(reference, is_signed=False)
    assert checks == [1]
    store.map(reference, is_signed=True)
    assert checks == [1, 1]
