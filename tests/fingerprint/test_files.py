import os
import time

import pytest

from hashstash.fingerprint import FileFact, file_digest, folder_digest

HOUR_AGO = time.time() - 3600


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes(b"abc" * 1000)
    os.utime(path, (HOUR_AGO, HOUR_AGO))
    return path


def rewrite(path, data, when):
    path.write_bytes(data)
    os.utime(path, (when, when))


@pytest.mark.parametrize("name", ["sha256", "xxh3_128"])
def test_equal_content_has_equal_digests(path, tmp_path, name):
    pytest.importorskip("xxhash")
    (tmp_path / "copy").write_bytes(path.read_bytes())
    (tmp_path / "other").write_bytes(b"abd" * 1000)
    assert file_digest(path, name) == file_digest(tmp_path / "copy", name) != file_digest(tmp_path / "other", name)


def test_an_untouched_file_still_holds(path):
    assert FileFact.record(path).still_holds()


def test_a_file_of_another_size_does_not_hold(path):
    fact = FileFact.record(path)
    path.write_bytes(b"abc")
    assert not fact.still_holds()


def test_a_touched_file_with_the_same_content_holds(path):
    fact = FileFact.record(path)
    os.utime(path)
    assert fact.still_holds()


def test_a_rewritten_file_of_the_same_size_does_not_hold(path):
    fact = FileFact.record(path)
    path.write_bytes(b"abd" * 1000)
    assert not fact.still_holds()


def test_a_fresh_file_is_compared_by_content(path):
    now = time.time()
    rewrite(path, b"abc" * 1000, now)
    fact = FileFact.record(path)
    rewrite(path, b"abd" * 1000, now)
    assert not fact.settled
    assert not fact.still_holds()


def test_a_settled_file_is_not_read_again(path):
    fact = FileFact.record(path)
    rewrite(path, b"abd" * 1000, HOUR_AGO)
    assert fact.settled
    assert fact.still_holds()


def test_a_deleted_file_does_not_hold(path):
    fact = FileFact.record(path)
    path.unlink()
    assert not fact.still_holds()


def test_a_missing_file_is_a_fact(tmp_path):
    fact = FileFact.record(tmp_path / "none")
    assert fact.still_holds()
    (tmp_path / "none").write_text("")
    assert not fact.still_holds()


def test_a_folder_is_its_names(tmp_path, path):
    fact = FileFact.record(tmp_path)
    path.write_bytes(b"other")
    assert fact.still_holds()
    (tmp_path / "more").touch()
    assert not fact.still_holds()


def test_names_in_a_folder_can_be_chosen(tmp_path, path):
    before = folder_digest(tmp_path, "*.csv")
    (tmp_path / "a.txt").touch()
    assert folder_digest(tmp_path, "*.csv") == before
    (tmp_path / "a.csv").touch()
    assert folder_digest(tmp_path, "*.csv") != before


def test_a_file_that_became_a_folder_does_not_hold(path):
    fact = FileFact.record(path)
    path.unlink()
    path.mkdir()
    assert not fact.still_holds()
