"""Stashes are found by their folders: all of them, each once, and none is made by looking."""

import os

import pytest

from hashstash import HashStash
from hashstash.inventory import stashes_below
from hashstash.paths import cache_root


def double(x):
    return x * 2


def names(folder, **options):
    return [found.name for found in stashes_below(folder, **options)]


def tree(folder):
    return sorted(os.path.join(place, name) for place, folders, files in os.walk(folder) for name in [*folders, *files])


@pytest.fixture
def engine():
    return "pairtree"


@pytest.fixture
def filled(tmp_path, engine):
    root = tmp_path / "root"
    for dbname in (None, "a", "a/b", "with space/ünïcode %41", "z"):
        HashStash(root, dbname=dbname, engine=engine)["key"] = dbname
    return root


def test_every_stash_is_found_by_its_name_and_in_order(filled):
    assert names(filled) == ["", "a", "a/b", "with space/ünïcode %41", "z"]


@pytest.mark.parametrize("engine", ["pairtree", "lmdb", "sqlite", "shelve", "diskcache", "sqlitedict", "pickledb"])
def test_what_is_found_opens_the_same_stash(filled, engine):
    assert [HashStash.from_config(found.config)["key"] for found in stashes_below(filled)] == [
        None,
        "a",
        "a/b",
        "with space/ünïcode %41",
        "z",
    ]


def test_looking_makes_nothing(filled, tmp_path):
    before = tree(tmp_path)
    list(stashes_below(filled))
    assert list(stashes_below(tmp_path / "mistyped")) == []
    assert tree(tmp_path) == before


def test_below_the_cache_the_first_part_is_the_root_and_the_rest_the_namespace():
    HashStash("first", dbname="second/third", engine="pairtree")["key"] = 1
    (found,) = stashes_below(cache_root())
    assert found.name == "first/second/third"
    assert found.config.root_dir == os.path.join(cache_root(), "first")
    assert found.config.dbname == "second/third"
    (again,) = stashes_below(os.path.join(cache_root(), "first", "second"))
    assert (again.name, again.config) == ("third", found.config)


def test_elsewhere_the_folder_is_the_root(filled):
    assert {(found.config.root_dir, found.config.dbname) for found in stashes_below(filled / "a")} == {
        (str(filled / "a"), None),
        (str(filled / "a"), "b"),
    }


def test_the_caller_may_say_which_namespace_is_meant(filled):
    assert [(found.name, found.config.dbname) for found in stashes_below(filled, dbname="a")] == [
        ("", "a"),
        ("b", "a/b"),
    ]


def test_what_functions_and_maps_keep_belongs_to_the_stash_above(tmp_path):
    stash = HashStash(tmp_path, dbname="x", engine="pairtree")
    stash.run(double, 1)
    list(stash.map(double, [1, 2], num_proc=1, stash_runs=False, progress=False))
    assert names(tmp_path) == ["x"]


def test_a_stash_of_nothing_but_functions_is_one_too(tmp_path):
    stash = HashStash(tmp_path, dbname="x", engine="sqlite")
    stash.run(double, 1)
    assert names(tmp_path) == ["x"]


def test_stashes_of_several_engines_in_one_place_are_several(tmp_path):
    for engine in ("pairtree", "sqlite"):
        HashStash(tmp_path, dbname="x", engine=engine)["key"] = engine
    found = list(stashes_below(tmp_path))
    assert [(one.name, one.config.engine) for one in found] == [("x", "pairtree"), ("x", "sqlite")]
    assert [HashStash.from_config(one.config)["key"] for one in found] == ["pairtree", "sqlite"]


def test_how_new_entries_are_written_is_kept(tmp_path):
    HashStash(tmp_path, engine="pairtree", serializer="pickle", compress="gzip", b64=True)["key"] = 1
    (found,) = stashes_below(tmp_path)
    assert found.config.label == "pairtree.pickle.gzip+b64"


def test_a_codec_that_is_not_known_here_does_not_matter(tmp_path):
    stash = HashStash(tmp_path / "x", engine="pairtree")
    stash["key"] = 1
    folder = os.path.dirname(stash.path)
    os.rename(folder, os.path.join(os.path.dirname(folder), "pairtree.future.zip9"))
    (found,) = stashes_below(tmp_path)
    assert HashStash.from_config(found.config)["key"] == 1


@pytest.mark.parametrize(
    "name", ["pairtree.hashstash.lz4", "unknown.hashstash.lz4/data.db", "pairtree.x/data.db", "a.b.c"]
)
def test_folders_that_only_look_like_data_are_none(tmp_path, name):
    (tmp_path / "x" / name).mkdir(parents=True)
    assert names(tmp_path) == []


def test_links_in_a_circle_are_followed_once(filled):
    (filled / "circle").symlink_to(filled)
    (filled / "a" / "itself").symlink_to("itself")
    assert names(filled) == ["", "a", "a/b", "with space/ünïcode %41", "z"]


def test_what_lies_behind_a_link_is_found(filled, tmp_path):
    HashStash(tmp_path / "elsewhere", engine="pairtree")["key"] = 1
    (filled / "link").symlink_to(tmp_path / "elsewhere")
    (filled / "nowhere").symlink_to(tmp_path / "gone")
    assert "link" in names(filled)


def test_the_search_is_bounded(filled):
    with pytest.warns(RuntimeWarning, match="more than 2 folders"):
        assert len(names(filled, most_folders=2)) <= 2


def test_a_folder_that_no_namespace_has_made_is_a_root_of_its_own(tmp_path):
    HashStash(tmp_path / "made by hand", engine="pairtree")["key"] = 1
    (found,) = stashes_below(tmp_path)
    assert found.name == "made by hand"
    assert HashStash.from_config(found.config)["key"] == 1
