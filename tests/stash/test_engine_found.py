"""Which engine a stash has for which none was named: never an empty one beside one that is full, without a word."""

import sys
import warnings
from importlib.util import find_spec

import pytest

from hashstash import HashStash
from hashstash.cells.stashes import CellStashes
from hashstash.errors import MissingDependency


@pytest.fixture
def without_lmdb():
    """A context in which the package lmdb is not installed."""

    class WithoutLmdb:
        def __enter__(self):
            self._patch = pytest.MonkeyPatch()
            self._patch.setitem(sys.modules, "lmdb", None)
            self._patch.setattr("importlib.util.find_spec", lambda name: None if name == "lmdb" else find_spec(name))

        def __exit__(self, *_):
            self._patch.undo()

    return WithoutLmdb()


@pytest.mark.parametrize("dbname", [None, "inner/part"])
def test_a_stash_of_lmdb_names_the_package_where_it_is_not_installed(tmp_path, without_lmdb, dbname):
    pytest.importorskip("lmdb")
    HashStash(tmp_path, dbname)["k"] = 1
    with without_lmdb:
        with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[lmdb\]'; engine='pairtree'"):
            HashStash(tmp_path, dbname)
        assert "k" not in HashStash(tmp_path, dbname, engine="pairtree")


def test_what_was_only_opened_with_lmdb_is_no_stash_of_it(tmp_path, without_lmdb):
    pytest.importorskip("lmdb")
    assert "k" not in HashStash(tmp_path)
    with without_lmdb:
        assert HashStash(tmp_path).engine == "pairtree"


def test_a_stash_stays_what_it_was_when_lmdb_is_installed(tmp_path, without_lmdb):
    pytest.importorskip("lmdb")
    with without_lmdb:
        HashStash(tmp_path)["k"] = 1
    assert HashStash(tmp_path)["k"] == 1
    assert HashStash(tmp_path).engine == "pairtree"
    assert HashStash(tmp_path, "other").engine == "lmdb"


def test_cells_stay_with_the_engine_of_each_stash(tmp_path, without_lmdb):
    pytest.importorskip("lmdb")
    with without_lmdb:
        CellStashes(str(tmp_path)).open("old").stash["k"] = 1
    assert CellStashes(str(tmp_path)).open("old").stash["k"] == 1
    CellStashes(str(tmp_path)).open("new").stash["k"] = 2
    with without_lmdb:
        with pytest.raises(MissingDependency, match="--engine pairtree"):
            CellStashes(str(tmp_path)).open("new")
        assert CellStashes(str(tmp_path), engine="pairtree").open("new").stash.engine == "pairtree"


def test_of_two_the_best_is_taken(tmp_path):
    pytest.importorskip("lmdb")
    HashStash(tmp_path, engine="pairtree")["k"] = 1
    HashStash(tmp_path, engine="lmdb")["k"] = 2
    with pytest.warns(RuntimeWarning, match="the engine 'pairtree' has stored"):
        assert HashStash(tmp_path)["k"] == 2


@pytest.mark.parametrize("has_entries", [False, True])
def test_a_stash_beside_one_of_another_engine_says_so_once(tmp_path, has_entries):
    HashStash(tmp_path, engine="sqlite")["k"] = 1
    if has_entries:
        HashStash(tmp_path, engine=HashStash(tmp_path / "another").engine)["other"] = 2
    with pytest.warns(RuntimeWarning, match="'sqlite' has stored .* is not read .* give engine='sqlite'") as said:
        assert "k" not in HashStash(tmp_path)
    assert [one.filename for one in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HashStash(tmp_path)
        HashStash(tmp_path, engine="pairtree")


def test_a_folder_of_something_else_is_no_stash(tmp_path):
    (tmp_path / "notes.of.mine" / "data.db").mkdir(parents=True)
    (tmp_path / "notes.of.mine" / "data.db" / "file").write_text("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HashStash(tmp_path)
