"""Archives, compressed files, readers and writers that were closed come back as used up as they were."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import tarfile
import zipfile

import pytest

from hashstash.cells import leftovers

OPENERS = {"gzip": gzip.open, "bz2": bz2.open, "lzma": lzma.open}


def again(value):
    return leftovers.make(json.loads(json.dumps(leftovers.describe(value))))


@pytest.mark.parametrize("mode", ["rb", "rt"])
@pytest.mark.parametrize("name", OPENERS)
def test_a_closed_compressed_file_comes_back_closed(tmp_path, name, mode):
    path = tmp_path / "f"
    with OPENERS[name](path, "wb") as file:
        file.write(b"text")
    with OPENERS[name](path, mode) as file:
        assert leftovers.describe(file) is None
    made = again(file)
    assert (type(made), made.closed) == (type(file), True)
    with pytest.raises(ValueError, match="closed"):
        made.read()


def test_a_closed_zip_still_tells_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("x", "y")
        assert leftovers.describe(archive) is None
    made = again(archive)
    assert (made.namelist(), made.fp, made.filename, made.mode) == (["x"], None, "a.zip", "w")


def test_a_closed_tar_comes_back_closed(tmp_path):
    (tmp_path / "x").write_text("y")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x", "x")
        assert leftovers.describe(archive) is None
    made = again(archive)
    assert (made.closed, made.name, [member.name for member in made.members]) == (True, archive.name, ["x"])


@pytest.mark.parametrize("kind", [csv.reader, csv.DictReader])
def test_a_reader_of_a_closed_file_comes_back_used_up(tmp_path, kind):
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1;2\n")
    with open(path) as file:
        reader = kind(file, delimiter=";")
        list(reader)
        assert leftovers.describe(reader) is None
    made = again(reader)
    assert (made.line_num, getattr(made, "fieldnames", None)) == (2, getattr(reader, "fieldnames", None))
    assert leftovers.describe(made) == leftovers.describe(reader)
    with pytest.raises(ValueError, match="closed"):
        next(made)


@pytest.mark.parametrize("kind, row", [(csv.writer, [1]), (lambda file: csv.DictWriter(file, ["a"]), {"a": 1})])
def test_a_writer_to_a_closed_file_comes_back_used_up(tmp_path, kind, row):
    with open(tmp_path / "a.csv", "w") as file:
        writer = kind(file)
        writer.writerow(row)
    made = again(writer)
    assert leftovers.describe(made) == leftovers.describe(writer)
    with pytest.raises(ValueError, match="closed"):
        made.writerow(row)


@pytest.mark.parametrize("value", [csv.reader(["a"]), csv.DictReader(["a", "b"]), csv.excel, csv])
def test_what_reads_from_memory_is_none(value):
    assert leftovers.describe(value) is None
