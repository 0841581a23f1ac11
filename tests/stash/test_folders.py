"""One folder for each engine, whoever opens it first, and whoever else does so in the same moment."""

import fcntl
import os
import threading

import pytest

from hashstash import HashStash
from hashstash.folders import folder_in, made_folder_in

pytestmark = pytest.mark.once
LABELS = [f"pairtree.hashstash.{compressor}" for compressor in ("bz2", "gzip", "lz4", "raw", "zlib", "zstd")]


def opened_at_once(parent):
    """The folders that threads are given which open a new stash in one moment, each with a codec of its own."""
    start = threading.Barrier(len(LABELS))
    found = []

    def open_it(label):
        start.wait()
        found.append(made_folder_in(parent, "pairtree", label))

    threads = [threading.Thread(target=open_it, args=(label,)) for label in LABELS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return set(found)


def test_those_who_open_a_new_stash_at_once_with_different_codecs_share_one_folder(tmp_path):
    for number in range(60):
        parent = str(tmp_path / f"stash {number}")
        assert len(opened_at_once(parent)) == 1
        assert len(os.listdir(parent)) == 1


def test_options_that_an_engine_refuses_leave_no_empty_stash_behind(tmp_path):
    with pytest.raises(ValueError, match="backend='nope'"):
        HashStash(tmp_path / "stash", engine="shelve", backend="nope")
    assert not (tmp_path / "stash").exists()


def test_making_a_folder_leaves_nothing_beside_it(tmp_path):
    folder = made_folder_in(str(tmp_path / "new"), "pairtree", LABELS[0])
    assert os.listdir(tmp_path / "new") == [LABELS[0]]
    assert folder == folder_in(str(tmp_path / "new"), "pairtree", LABELS[1])


def test_somebody_who_locks_the_folder_for_ever_does_not_keep_others_from_opening_a_stash(tmp_path, monkeypatch):
    monkeypatch.setattr("hashstash.folders._PATIENCE", 0.05)
    (tmp_path / "new").mkdir()
    descriptor = os.open(tmp_path / "new", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert os.path.isdir(made_folder_in(str(tmp_path / "new"), "pairtree", LABELS[0]))
    finally:
        os.close(descriptor)


def test_a_folder_where_no_locks_are_had_is_made_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("hashstash.folders.fcntl.flock", refuse)
    assert os.path.isdir(made_folder_in(str(tmp_path / "new"), "pairtree", LABELS[0]))


def test_a_stash_that_is_opened_under_another_codec_is_the_same_one(tmp_path):
    first = HashStash(tmp_path / "stash", engine="pairtree", compress="raw")
    second = HashStash(tmp_path / "stash", engine="pairtree", serializer="pickle", compress="zlib")
    first["a"] = 1
    assert second["a"] == 1
    assert first.path == second.path
