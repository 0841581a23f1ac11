"""What HashStash imports of its own accord, and what an entry can make it import: nothing that lies in the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashstash.imports import installed_only, installed_path, is_installed

ROOT = Path(__file__).resolve().parent.parent
MARK = "with open('mark', 'a') as file:\n    file.write(__name__)\nPLUGIN = None\n"


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """The current folder, as a notebook has it: first on the path, with a module that leaves a mark."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    for name in ("lies_beside", "plistlib"):
        (tmp_path / f"{name}.py").write_text(MARK)
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", ["", ".", str])
def test_the_current_folder_is_left_out_by_whatever_name(beside, monkeypatch, name):
    monkeypatch.setattr(sys, "path", [str(beside) if name is str else name, "/elsewhere"])
    assert installed_path() == ["/elsewhere"]


def test_a_module_beside_the_notebook_is_not_installed(beside):
    assert not is_installed("lies_beside")
    with installed_only(), pytest.raises(ModuleNotFoundError, match="lies_beside"):
        __import__("lies_beside")
    assert not (beside / "mark").exists()


def test_an_installed_one_is_found_behind_it(beside):
    with installed_only():
        found = __import__("plistlib")
    assert Path(found.__file__).parent != beside
    assert not (beside / "mark").exists()


def test_afterwards_imports_are_as_before(beside):
    before = list(sys.meta_path)
    with installed_only():
        pass
    assert sys.meta_path == before
    __import__("lies_beside")
    assert (beside / "mark").read_text() == "lies_beside"
    assert is_installed("lies_beside")  # now that its owner has imported it
    del sys.modules["lies_beside"]


READ = """
from hashstash import HashStash
from hashstash.entry import Entry
from hashstash.errors import CorruptEntry, MissingDependency
stash = HashStash("stash", engine="pairtree")
for label in ("evil", "hashstash+evil", "hashstash+blosc", "hashstash+zstd", "jsonpickle"):
    key = stash.store.keys.encode(label)
    stash.store.engine.put(key.address, Entry(key.address, label.encode(), key.data, b"x" * 600, 600).pack())
    try:
        stash[label]
    except (CorruptEntry, MissingDependency):
        continue
    raise SystemExit(f"{label} was read")
try:
    HashStash("other", engine="evil")
except ValueError:
    print("done")
"""


def test_neither_a_package_nor_a_plug_in_that_an_entry_names_is_taken_from_there(tmp_path):
    """An interpreter without any package, in a folder that seems to have them all."""
    for name in ("blosc", "blosc2", "zstandard", "jsonpickle", "msgpack", "msgspec", "numpy", "lz4", "xxhash", "evil"):
        (tmp_path / f"{name}.py").write_text(MARK)
    about = tmp_path / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    kinds = ("engines", "serializers", "compressors", "filters")
    (about / "entry_points.txt").write_text("".join(f"[hashstash.{kind}]\nevil = evil:PLUGIN\n" for kind in kinds))
    done = subprocess.run(
        [sys.executable, "-S", "-c", READ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert not (tmp_path / "mark").exists()
