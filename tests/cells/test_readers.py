"""Files that libraries open in C++ are heard, and nothing of that is left afterwards."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from hashstash.cells.readers import hearing_readers
from hashstash.cells.watch import Watch

pyarrow = pytest.importorskip("pyarrow")
for name in ("csv", "dataset", "feather", "orc", "parquet"):
    importlib.import_module(f"pyarrow.{name}")


@pytest.fixture
def files(tmp_path):
    table = pyarrow.table({"a": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "a.feather")
    pyarrow.orc.write_table(table, tmp_path / "a.orc")
    pyarrow.csv.write_csv(table, tmp_path / "a.csv")
    (tmp_path / "parts").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "parts" / "1.parquet")
    return tmp_path


@pytest.fixture
def heard(files):
    """Call a reader while it is listened to; the paths that were heard, relative to the folder of the files."""

    def hear(reader, *arguments, **keywords):
        with Watch() as watch, hearing_readers({}):
            reader(*arguments, **keywords)
        return {os.path.relpath(path, files) for path in watch.read}

    return hear


@pytest.mark.parametrize(
    "reader, name",
    [
        (lambda path: pyarrow.parquet.read_table(path), "a.parquet"),
        (lambda path: pyarrow.parquet.ParquetFile(path), "a.parquet"),
        (lambda path: pyarrow.parquet.read_table(source=str(path)), "a.parquet"),
        (lambda path: pyarrow.dataset.dataset(path), "a.parquet"),
        (lambda path: pyarrow.dataset.dataset([str(path)]), "a.parquet"),
        (lambda path: pyarrow.feather.read_table(path), "a.feather"),
        (lambda path: pyarrow.orc.ORCFile(path), "a.orc"),
        (lambda path: pyarrow.csv.read_csv(path), "a.csv"),
        (lambda path: pyarrow.memory_map(str(path)), "a.csv"),
    ],
)
def test_the_path_is_heard(heard, files, reader, name):
    assert heard(reader, files / name) == {name}


def test_a_folder_is_all_files_in_it(heard, files):
    assert heard(lambda: pyarrow.dataset.dataset(files / "parts")) == {"parts/1.parquet"}


def test_pandas_reads_through_it(heard, files):
    pandas = pytest.importorskip("pandas")
    assert heard(lambda: pandas.read_parquet(files / "a.parquet")) == {"a.parquet"}


def test_afterwards_everything_is_as_it_was(files):
    before = pyarrow.csv.read_csv, pyarrow.parquet.ParquetFile.__init__, list(sys.meta_path)
    variables = {}
    with pytest.raises(ZeroDivisionError), Watch(), hearing_readers(variables):
        variables["read_csv"] = pyarrow.csv.read_csv
        assert variables["read_csv"] is not before[0]
        raise ZeroDivisionError
    assert (pyarrow.csv.read_csv, pyarrow.parquet.ParquetFile.__init__, sys.meta_path) == before
    assert variables["read_csv"] is before[0]


def test_a_library_that_is_loaded_meanwhile_is_heard(files):
    code = f"""if True:
        import sys
        from hashstash.cells.readers import hearing_readers
        from hashstash.cells.watch import Watch
        assert "pyarrow" not in sys.modules
        with Watch() as watch, hearing_readers({{}}):
            import pyarrow.parquet
            pyarrow.parquet.read_table({str(files / "a.parquet")!r})
        print([path for path in watch.read if path.endswith(".parquet")])
        print(pyarrow.parquet.read_table.__module__, pyarrow.memory_map.__class__.__name__)
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[0] == str([str(files / "a.parquet")])
    assert "hashstash" not in shown.splitlines()[1]


def test_a_file_that_is_written_is_not_an_input(files):
    with Watch() as watch, hearing_readers({}):
        pyarrow.parquet.write_table(pyarrow.table({"a": [2]}), files / "a.parquet")
    assert str(files / "a.parquet") in watch.written
    assert str(files / "a.parquet") not in watch.read
