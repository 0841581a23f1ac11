import os
import pathlib
import pickle
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashstash import HashStash
from hashstash.errors import MissingDependency, ReadOnlyStash, UnknownPlugin, UnsafeName
from hashstash.paths import cache_root
from hashstash.registry import ENGINES

ALL_ENGINES = ["pairtree", "lmdb", "memory"]
COMPRESSORS = ["raw", "zlib", "gzip", "bz2", "lz4", "blosc", "zstd"]


# ---- where it lies ---------------------------------------------------------------------------------------------------


def test_a_name_lies_under_the_cache_root():
    assert HashStash("functions_stash").root_dir == os.path.join(cache_root(), "functions_stash")


def test_without_a_name_it_is_the_default_stash():
    assert HashStash().root_dir == os.path.join(cache_root(), "default_stash")


def test_a_relative_path_lies_under_the_cache_root():
    assert HashStash("project/stash").root_dir == os.path.join(cache_root(), "project", "stash")


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    assert HashStash(str(tmp_path / "here")).root_dir == str(tmp_path / "here")
    assert HashStash(tmp_path / "here").root_dir == str(tmp_path / "here")


def test_a_typed_relative_path_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    HashStash("./here", engine="pairtree")["k"] = 1
    assert (tmp_path / "here").is_dir()


def test_a_tilde_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert HashStash("~/here").root_dir == str(tmp_path / "here")


@pytest.mark.parametrize("name", ["v1.0", "data.db", "a.b.c", "x.lmdb", "lmdb.data", ".hidden"])
def test_a_dot_in_a_name_means_nothing(engine, name):
    HashStash(name, engine=engine, dbname=name)["k"] = name
    assert HashStash(name, engine=engine, dbname=name)["k"] == name
    assert HashStash(name, engine=engine, dbname=name).root_dir == os.path.join(cache_root(), name)


def test_name_is_another_word_for_root_dir():
    assert HashStash(name="x").root_dir == HashStash("x").root_dir


def test_both_words_at_once_are_refused():
    with pytest.raises(TypeError, match=r"root_dir='a' and name='b'"):
        HashStash("a", name="b")


@pytest.mark.parametrize("dbname", ["one", "one/two", "one/two/three"])
def test_a_dbname_is_a_folder_below(tmp_path, shared_engine, dbname):
    stash = HashStash(tmp_path, dbname, engine=shared_engine)
    assert stash.path.startswith(str(tmp_path / dbname) + os.sep)
    assert stash.dbname == dbname


def test_dbnames_are_separate_stashes(opened):
    one, other, none = opened(dbname="one"), opened(dbname="other"), opened()
    one["k"], none["k"] = 1, 2
    assert (one["k"], "k" in other, none["k"], len(none)) == (1, False, 2, 1)


@pytest.mark.parametrize("spelled", ["a//b", "/a/b", "a/b/"])
def test_one_dbname_is_one_namespace_however_it_is_spelled(opened, spelled):
    opened(dbname=spelled, serializer="pickle")["k"] = {1}
    assert opened(dbname="a/b")["k"] == {1}


@pytest.mark.parametrize(
    "name, encoded",
    [
        ("a b", "a%20b"),
        ("ünï", "%C3%BCn%C3%AF"),
        ("a\nb", "a%0Ab"),
        ("100%", "100%25"),
        ("a\\b", "a%5Cb"),
        ("C:", "C%3A"),
    ],
)
def test_other_characters_are_percent_encoded(tmp_path, shared_engine, name, encoded):
    stash = HashStash(tmp_path, name, engine=shared_engine)
    stash["k"] = 1
    assert (tmp_path / encoded).is_dir()
    assert HashStash(tmp_path, name, engine=shared_engine)["k"] == 1


def test_very_long_names_are_told_apart(opened):
    one, other = opened(dbname="x" * 1000 + "1"), opened(dbname="x" * 1000 + "2")
    one["k"], other["k"] = 1, 2
    assert (one["k"], other["k"]) == (1, 2)


LEAVING = ["..", ".", "a/..", "../a", "a/../../b", "a/./b", "nul\0", "a/\0"]


@pytest.mark.parametrize("name", LEAVING)
def test_a_dbname_cannot_leave_the_root(opened, name):
    with pytest.raises(UnsafeName):
        opened(dbname=name)
    with pytest.raises(UnsafeName):
        opened().sub(name)


@pytest.mark.parametrize("name", ["a/../../b", "a/..", "nul\0", "a/./b", ""])
def test_a_name_cannot_leave_the_cache_root(name, engine):
    with pytest.raises(UnsafeName):
        HashStash(name, engine=engine)


@pytest.mark.parametrize("name", LEAVING)
def test_settings_from_elsewhere_cannot_leave_the_root(opened, name):
    with pytest.raises(UnsafeName):
        HashStash.from_dict({**opened().to_dict(), "dbname": name})


@pytest.mark.parametrize("name", ["", "/", "//"])
def test_a_dbname_of_nothing_is_refused(opened, name):
    with pytest.raises(UnsafeName, match="names nothing"):
        opened(dbname=name)
    with pytest.raises(UnsafeName, match="names nothing"):
        opened().sub(name)


@pytest.mark.parametrize("name", [5, b"x", ["x"], True])
def test_a_dbname_is_text(opened, name):
    with pytest.raises(TypeError, match="dbname"):
        opened(dbname=name)


def test_a_file_in_the_place_of_the_folder_is_said_so(tmp_path, shared_engine):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="a file lies where a folder is needed; move it away.*/file'$"):
            HashStash(root, engine=shared_engine)["k"] = 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_everything_below_is_private_under_any_umask(tmp_path, shared_engine, umask):
    before = os.umask(umask)
    try:
        stash = HashStash(tmp_path / "stash", "db", engine=shared_engine, compress=False, append_mode=True)
        stash["small"], stash["large"] = 1, os.urandom(100_000)
        stash["large"] = 2
        stash.close()
    finally:
        os.umask(before)
    paths = [tmp_path / "stash", *(tmp_path / "stash").glob("**/*")]
    wrong = {str(path): oct(path.stat().st_mode) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert not wrong


def test_a_root_that_everybody_may_write_is_said_so(tmp_path, shared_engine):
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o777)
    with pytest.warns(RuntimeWarning, match=r"can be written by other users.*not decoded") as caught:
        HashStash(root, engine=shared_engine)
    assert caught[0].filename == __file__


# ---- URLs ------------------------------------------------------------------------------------------------------------


def test_a_url_selects_the_engine():
    stash = HashStash("memory://from-a-url")
    stash["k"] = 1
    assert stash.engine == "memory"
    assert HashStash("memory://from-a-url")["k"] == 1
    assert "k" not in HashStash("memory://another")


def test_a_url_without_a_path_is_the_default_stash():
    assert HashStash("memory://").root_dir == HashStash(engine="memory").root_dir


def test_a_url_and_the_same_engine_agree():
    assert HashStash("memory://x", engine="memory").engine == "memory"


def test_a_url_and_another_engine_contradict_each_other():
    pytest.importorskip("lmdb")
    with pytest.raises(ValueError, match=r"memory://.*'memory'.*engine='lmdb'"):
        HashStash("memory://x", engine="lmdb")


@pytest.mark.parametrize("url", ["http://x", "ftp://x/y", "memry://x", "://x"])
def test_a_url_of_no_engine_lists_the_known(url):
    with pytest.raises(UnknownPlugin, match=r"memory"):
        HashStash(url)


@pytest.mark.parametrize("url", ["memory://../x", "memory://a/../../b", "memory://%2e%2e/x", "memory://a%00"])
def test_a_url_never_names_a_folder_outside(url, tmp_path, monkeypatch):
    """The memory engine makes no folder; the name is refused or stays a name."""
    monkeypatch.chdir(tmp_path)
    try:
        HashStash(url)["k"] = 1
    except UnsafeName:
        pass
    assert list(tmp_path.iterdir()) == []


# ---- engine, serializer, compressor ----------------------------------------------------------------------------------


def test_the_default_engine_is_the_best_that_is_installed():
    pytest.importorskip("lmdb")
    assert HashStash("x").engine == "lmdb"


def test_without_lmdb_it_is_pairtree(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.setattr("importlib.util.find_spec", _without("lmdb"))
    assert HashStash("x").engine == "pairtree"


def test_without_lz4_it_is_zlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "lz4", None)
    monkeypatch.setattr("importlib.util.find_spec", _without("lz4"))
    assert HashStash("x", engine="memory").compress == "zlib"
    assert HashStash("x", engine="memory", compress=True).compress == "zlib"


def _without(package):
    from importlib.util import find_spec

    return lambda name: None if name == package else find_spec(name)


def test_a_missing_package_gives_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.delitem(sys.modules, "hashstash.engines.lmdb", raising=False)
    monkeypatch.setattr(ENGINES, "_loaded", {})
    with pytest.raises(MissingDependency, match=r"needs the package 'lmdb': pip install 'hashstash\[lmdb\]'") as caught:
        HashStash("x", engine="lmdb")
    assert isinstance(caught.value, ImportError)


def test_an_alias_is_called_by_its_proper_name():
    assert HashStash("x", engine="file").engine == "pairtree"


@pytest.mark.parametrize(
    "setting, value",
    [
        ("engine", "nope"),
        ("serializer", "nope"),
        ("compress", "nope"),
        ("engine", 5),
        ("compress", 5),
        ("serializer", ["x"]),
    ],
)
def test_an_unknown_plugin_is_refused_and_the_known_are_listed(setting, value):
    with pytest.raises(UnknownPlugin, match=r"known: "):
        HashStash("x", **{"engine": "memory", setting: value})


@pytest.mark.parametrize(
    "setting, typed, meant",
    [("engine", "lmbd", "lmdb"), ("serializer", "pickel", "pickle"), ("compress", "zlob", "zlib")],
)
def test_a_typing_error_is_answered_with_the_nearest(setting, typed, meant):
    with pytest.raises(UnknownPlugin, match=f"did you mean '{meant}'"):
        HashStash("x", **{setting: typed})


@pytest.mark.parametrize("compress, name", [(True, "lz4"), (False, "raw"), (None, "lz4"), ("bz2", "bz2")])
def test_compress_may_be_a_truth_value(compress, name):
    pytest.importorskip("lz4")
    assert HashStash("x", engine="memory", compress=compress).compress == name


@pytest.mark.parametrize("b64", [False, True])
@pytest.mark.parametrize("compress", COMPRESSORS)
@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
def test_every_codec_gives_back_what_was_stored(opened, serializer, compress, b64):
    stash = opened(serializer=serializer, compress=compress, b64=b64)
    values = {
        "small": 1,
        "text": "all work and no play " * 500,
        "bytes": os.urandom(3000),
        (1, "k"): {"a": [None, (1,)]},
    }
    stash.update(values)
    assert dict(stash.items()) == values
    assert [stash[key] for key in values] == list(values.values())


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_compression_makes_rows_smaller(opened, compress):
    stash = opened(compress=compress)
    stash["k"] = "all work and no play " * 500
    (info,) = stash.entries()
    assert (info.size < info.raw_size / 3) == (compress != "raw")


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_the_listing_says_what_was_chosen_for_each_entry(opened, compress):
    stash = opened(compress=compress)
    packed = "hashstash" if compress == "raw" else f"hashstash+{compress}"
    stash.update({"text": "the same words " * 500, "short": "x" * 300, "noise": os.urandom(300_000)})
    chosen = {info.key: (info.codec, info.raw_size) for info in stash.entries()}
    assert chosen == {"text": (packed, 7503), "short": ("hashstash", 303), "noise": ("hashstash", 300_005)}


def test_b64_values_are_text_in_the_row(opened):
    stash = opened(b64=True, compress=False)
    stash["k"] = os.urandom(1000)
    entry = stash.store.find("k")
    assert bytes(entry.payload).isascii()


# ---- the folder and its label ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, label",
    [
        ({"compress": "zlib"}, "hashstash.zlib"),
        ({"compress": False}, "hashstash.raw"),
        ({"serializer": "pickle", "compress": "bz2", "b64": True}, "pickle.bz2+b64"),
    ],
)
def test_a_new_folder_is_named_after_engine_and_codec(tmp_path, shared_engine, options, label):
    stash = HashStash(tmp_path, "db", engine=shared_engine, **options)
    stash["k"] = 1
    assert stash.path == str(tmp_path / "db" / f"{shared_engine}.{label}" / "data.db")
    assert os.path.exists(stash.path)


OTHERS = [
    {"compress": "zlib"},
    {"compress": False},
    {"serializer": "pickle"},
    {"b64": True},
    {"serializer": "pickle", "compress": "bz2", "b64": True},
]


@pytest.mark.parametrize("later", OTHERS)
@pytest.mark.parametrize("first", OTHERS)
def test_other_settings_find_what_is_there(opened, first, later):
    opened(**first).update({"a": 1, "b": "text " * 1000, "c": os.urandom(100_000)})
    stash = opened(**later)
    stash["d"] = "more " * 1000
    assert sorted(stash) == ["a", "b", "c", "d"]
    assert opened(**first)["d"] == "more " * 1000
    assert len(stash["c"]) == 100_000


def test_stashes_that_were_opened_before_anything_was_written_share_it(opened):
    one, other = opened(compress="zlib"), opened(compress="bz2", serializer="pickle")
    one["k"] = 1
    assert other["k"] == 1


def test_other_engines_have_folders_of_their_own(tmp_path):
    pytest.importorskip("lmdb")
    HashStash(tmp_path, engine="pairtree")["k"] = 1
    assert "k" not in HashStash(tmp_path, engine="lmdb")
    assert HashStash(tmp_path, engine="pairtree")["k"] == 1


def test_a_dbname_that_looks_like_a_label_is_not_taken_for_one(tmp_path, shared_engine):
    HashStash(tmp_path, f"{shared_engine}.hashstash.zlib", engine=shared_engine)["k"] = "below"
    stash = HashStash(tmp_path, engine=shared_engine)
    assert "k" not in stash
    stash["k"] = "above"
    assert HashStash(tmp_path, f"{shared_engine}.hashstash.zlib", engine=shared_engine)["k"] == "below"


# ---- other arguments -------------------------------------------------------------------------------------------------


def test_positional_arguments_have_this_order(tmp_path):
    stash = HashStash(str(tmp_path), "db", "pairtree", "pickle", "bz2", True, True)
    expected = {
        "root_dir": str(tmp_path),
        "dbname": "db",
        "engine": "pairtree",
        "serializer": "pickle",
        "compress": "bz2",
        "b64": True,
    }
    assert {name: stash.to_dict()[name] for name in expected} == expected
    assert stash.append_mode is True


def test_clear_wipes_at_opening(opened):
    opened().update(a=1, b=2)
    assert len(opened(clear=True)) == 0
    assert len(opened()) == 0


@pytest.mark.parametrize(
    "name, nearest",
    [("compres", "compress"), ("dbnam", "dbname"), ("appendmode", "append_mode"), ("serialiser", "serializer")],
)
def test_an_unknown_keyword_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(TypeError, match=f"{name!r}.*did you mean {nearest!r}"):
        HashStash("x", **{name: 1})


def test_an_unknown_keyword_far_from_all_lists_the_known():
    with pytest.raises(TypeError, match=r"'qqqq'; known: root_dir, dbname"):
        HashStash("x", qqqq=1)


def test_the_keyword_of_another_engine_is_unknown():
    with pytest.raises(TypeError, match="engine 'pairtree' have no parameter 'map_size'"):
        HashStash("x", engine="pairtree", map_size=1 << 20)


def test_an_engines_own_keyword_reaches_it(tmp_path):
    pytest.importorskip("lmdb")
    stash = HashStash(tmp_path, engine="lmdb", map_size=1 << 22)
    stash["k"] = 1
    assert stash.to_dict()["engine_options"] == {"map_size": 1 << 22}


@pytest.mark.parametrize("name", ["b64", "append_mode", "clear", "read_only"])
def test_a_text_is_no_truth_value(stash, opened, name):
    """``clear="no"`` would mean yes."""
    stash["k"] = 1
    with pytest.raises(TypeError, match=f"{name}='no'; it is True or False"):
        opened(**{name: "no"})
    assert stash["k"] == 1


@pytest.mark.parametrize(
    "engine, option, wrong, what",
    [
        ("lmdb", "map_size", "1 GB", "a whole number from 1 on"),
        ("lmdb", "map_size", 0, "a whole number from 1 on"),
        ("sqlite", "timeout", -1, "a positive number of seconds"),
        ("sqlite", "timeout", "soon", "a positive number of seconds"),
    ],
)
def test_a_wrong_option_of_the_engine_is_named_before_it_is_used(tmp_path, engine, option, wrong, what):
    pytest.importorskip("lmdb") if engine == "lmdb" else None
    with pytest.raises(ValueError, match=f"{option}={wrong!r}; it is {what}"):
        HashStash(tmp_path, engine=engine, **{option: wrong})


@pytest.mark.parametrize("durability", ["process", "power", "none"])
def test_every_durability_stores(opened, durability):
    opened(durability=durability)["k"] = [1]
    assert opened()["k"] == [1]


@pytest.mark.parametrize("durability", ["", "full", None, True])
def test_an_unknown_durability_is_refused(durability):
    with pytest.raises(ValueError, match=r"durability=.*'process', 'power', 'none'"):
        HashStash("x", durability=durability)


# ---- read-only -------------------------------------------------------------------------------------------------------

WRITES = {
    "[]": lambda stash: stash.__setitem__("new", 1),
    "overwriting": lambda stash: stash.__setitem__("k", 2),
    "large": lambda stash: stash.__setitem__("new", os.urandom(100_000)),
    "code": lambda stash: stash.__setitem__("new", len),
    "del": lambda stash: stash.__delitem__("k"),
    "pop": lambda stash: stash.pop("k"),
    "popitem": lambda stash: stash.popitem(),
    "clear": lambda stash: stash.clear(),
    "update": lambda stash: stash.update(new=1),
    "set_many": lambda stash: stash.set_many({"new": 1}),
    "setdefault": lambda stash: stash.setdefault("new", 1),
    "get_set": lambda stash: stash.get_set("new", 1),
    "ttl": lambda stash: stash.put("new", 1, ttl=5),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_read_only_stash_refuses_every_write_and_nothing_changes(opened, write):
    opened().update(k=1, large=list(range(50_000)))
    before = _files(opened().path)
    with pytest.raises(ReadOnlyStash, match="read_only"):
        write(opened(read_only=True))
    assert dict(opened().items()) == {"k": 1, "large": list(range(50_000))}
    assert _files(opened().path) == before


def test_a_read_only_stash_does_not_even_begin_a_large_write(opened, monkeypatch):
    stash = opened(read_only=True)
    monkeypatch.setattr("hashstash.blobs.BlobStore.write", lambda *_, **__: pytest.fail("a file was written"))
    with pytest.raises(ReadOnlyStash):
        stash["k"] = os.urandom(100_000)


def _files(folder):
    return {str(path) for path in pathlib.Path(folder).glob("blobs/*/*")}


def test_a_read_only_stash_reads(opened):
    opened().update(k=1, large=os.urandom(100_000), function=len)
    stash = opened(read_only=True)
    assert (stash["k"], len(stash["large"]), stash["function"], len(stash)) == (1, 100_000, len, 3)
    assert sorted(stash) == ["function", "k", "large"]


def test_a_read_only_stash_cannot_be_cleared_at_opening(opened):
    opened()["k"] = 1
    with pytest.raises(ReadOnlyStash):
        opened(read_only=True, clear=True)
    assert opened()["k"] == 1


def test_a_read_only_stash_finds_large_keys(opened):
    np = pytest.importorskip("numpy")
    opened()[np.arange(50_000)] = 1
    assert opened(read_only=True)[np.arange(50_000)] == 1


def test_a_read_only_pairtree_makes_no_folder(tmp_path):
    assert "k" not in HashStash(tmp_path / "none", engine="pairtree", read_only=True)
    assert not (tmp_path / "none").exists()


COMPUTED = {
    "run": lambda stash: stash.run(abs, -5),
    "map": lambda stash: stash.map(abs, [-5], num_proc=1, progress=False)[0],
    "whole map": lambda stash: stash.map(abs, [-5], num_proc=1, progress=False, stash_runs=False)[0],
    "get_set": lambda stash: stash.get_set("new", lambda: 5),
}


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize("exists", [True, False])
def test_what_a_read_only_stash_computes_is_returned_with_one_warning_and_leaves_nothing(tmp_path, compute, exists):
    place = tmp_path / "stash"
    if exists:
        HashStash(place, engine="pairtree")["k"] = 1
    before = sorted(place.rglob("*"))
    with pytest.warns(RuntimeWarning, match="opened read-only") as warned:
        assert compute(HashStash(place, engine="pairtree", read_only=True)) == 5
    assert len(warned) == 1
    assert sorted(place.rglob("*")) == before


def test_a_lock_of_a_read_only_stash_is_no_file_and_keeps_other_threads_out(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree", read_only=True)
    with stash.lock("k"), ThreadPoolExecutor(1) as other:
        assert not other.submit(lambda: stash.lock("k").acquire(0.01)).result()
        assert other.submit(lambda: HashStash(tmp_path / "another", read_only=True).lock("k").acquire(0.01)).result()
    assert not (tmp_path / "stash").exists()
    assert not (tmp_path / "none").exists()


# ---- its text --------------------------------------------------------------------------------------------------------

TITLES = {"pairtree": "Pairtree", "lmdb": "LMDB", "memory": "Memory"}


@pytest.mark.parametrize("name", ["pairtree", "lmdb"])
def test_the_text_names_engine_and_place(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME")
    stash = HashStash("project_stash", "sub_stash", name, compress="zlib", b64=True)
    expected = f"{TITLES[name]}HashStash(~/.cache/hashstash/project_stash/sub_stash/{name}.hashstash.zlib+b64/data.db)"
    assert str(stash) == repr(stash) == expected


def test_the_text_names_memory(opened):
    assert repr(HashStash("x", engine="memory")).startswith("MemoryHashStash(")


def test_making_the_text_reads_nothing(opened):
    stash = opened()
    stash["k"] = 1
    repr(stash)
    assert stash.stats.hits == 0


# ---- life ------------------------------------------------------------------------------------------------------------


def test_it_is_a_context_manager_and_opens_again(opened):
    with opened() as stash:
        stash["k"] = 1
    assert stash["k"] == 1
    stash["k"] = 2
    stash.close()
    stash.close()
    assert opened()["k"] == 2


def test_an_exception_in_the_block_passes(opened):
    with pytest.raises(ZeroDivisionError), opened() as stash:
        stash["k"] = 1
        1 / 0
    assert stash["k"] == 1


def test_syncing_keeps_everything(opened):
    stash = opened()
    stash["k"] = 1
    stash.sync()
    assert stash["k"] == 1


def test_two_stashes_on_one_place_see_each_other(opened):
    one, other = opened(), opened()
    one["k"] = 1
    assert other["k"] == 1
    other["k"] = 2
    assert one["k"] == 2
    one.close()
    assert other["k"] == 2


def test_it_survives_pickling(opened):
    stash = opened(dbname="db")
    stash["k"] = 1
    again = pickle.loads(pickle.dumps(stash))
    assert again["k"] == 1
    assert again.to_dict() == stash.to_dict()


@pytest.mark.parametrize("name", ALL_ENGINES)
def test_no_two_engines_share_a_title(name):
    assert ENGINES.load(name).title == TITLES[name]
