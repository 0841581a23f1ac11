"""What may be asked for, and what is said at once where it is not to be had."""

import sys

import pytest

from hashstash import HashStash
from hashstash.errors import MissingDependency, ReadOnlyStash, ServerUnavailable, UnknownPlugin, UnsupportedValue
from hashstash.profiling.grid import Wishes, grid_of
from hashstash.profiling.place import beside
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS

pytest.importorskip("pandas", reason="the package pandas is not installed")


@pytest.fixture
def not_installed(monkeypatch):
    """A callable after which the plug-in of that name says that its package is missing."""

    def take_away(registry, name):
        load = registry.load

        def loaded(wanted):
            if wanted == name:
                raise MissingDependency(f"{name} needs a package: pip install 'hashstash[{name}]'")
            return load(wanted)

        monkeypatch.setattr(registry, "load", loaded)

    return take_away


@pytest.fixture
def grid(stash):
    """The grid of some wishes; only one round of one small value, unless something else is wished."""
    few = {"engine": "memory", "serializer": "hashstash", "compress": "raw", "size": 100}
    opened = []

    def grid(**wishes):
        with beside(stash.config) as place:
            opened.append(grid_of(Wishes(**{**few, **wishes}), place))
            return opened[-1]

    return grid


def settings(grid, name):
    return list(dict.fromkeys(getattr(setting.config, name) for setting in grid.settings))


def test_a_single_value_is_as_good_as_a_list(grid):
    assert len(grid().settings) == 1
    assert len(grid(engine=["memory"], b64=[False], size=[100]).settings) == 1


def test_names_are_measured_once_and_in_their_order(grid):
    found = grid(engine=["sqlite", "file", "pairtree"], compress=["zlib", False, "raw", "zlib"])
    assert settings(found, "engine") == ["sqlite", "pairtree"]
    assert settings(found, "compress") == ["zlib", "raw"]


@pytest.mark.parametrize("wish", [None, "all"])
def test_all_that_is_installed_is_measured_but_servers_and_what_keeps_nothing(grid, wish):
    found = grid(engine=wish)
    assert {"memory", "pairtree", "sqlite", "shelve"} <= set(settings(found, "engine"))
    assert not {"redis", "mongo", "null"} & set(settings(found, "engine"))
    assert any("'null' keeps nothing" in reason for reason in found.left_out)


def test_all_serializers_and_compressors_that_are_installed(grid):
    found = grid(serializer=None, compress="all")
    assert {"hashstash", "pickle"} <= set(settings(found, "serializer"))
    assert {"raw", "zlib", "gzip", "bz2"} <= set(settings(found, "compress"))


def test_servers_are_left_out_and_it_is_said_how_to_have_them(grid):
    pytest.importorskip("redis", reason="the package redis is not installed")
    assert any("'redis' needs a server: name it" in reason for reason in grid(engine=None).left_out)


@pytest.mark.parametrize(
    "registry, wish", [(ENGINES, "engine"), (SERIALIZERS, "serializer"), (COMPRESSORS, "compress")]
)
def test_what_is_missing_is_left_out_where_all_is_wanted_and_the_pip_line_is_given(grid, not_installed, registry, wish):
    not_installed(registry, {"engine": "shelve", "serializer": "pickle", "compress": "bz2"}[wish])
    found = grid(**{wish: None})
    assert not {"shelve", "pickle", "bz2"} & set(settings(found, wish))
    assert any("pip install 'hashstash[" in reason for reason in found.left_out)


@pytest.mark.parametrize(
    "registry, wish", [(ENGINES, "engine"), (SERIALIZERS, "serializer"), (COMPRESSORS, "compress")]
)
def test_what_is_missing_and_named_raises_with_the_pip_line(stash, not_installed, registry, wish):
    name = {"engine": "shelve", "serializer": "pickle", "compress": "bz2"}[wish]
    not_installed(registry, name)
    with pytest.raises(MissingDependency, match=f"pip install 'hashstash\\[{name}\\]'"):
        stash.profile(**{wish: [name]}, progress=False)


@pytest.mark.parametrize(
    "wish, message",
    [
        ({"engine": "sqllite"}, "no engine named 'sqllite'; did you mean 'sqlite'"),
        ({"engine": ["memory", 3]}, "no engine named 3"),
        ({"serializer": ["hashstash", "pikle"]}, "no serializer named 'pikle'; did you mean 'pickle'"),
        ({"compress": ["zlip"]}, "no compressor named 'zlip'; did you mean 'zlib'"),
    ],
)
def test_unknown_names_raise_with_the_nearest_known(stash, wish, message):
    with pytest.raises(UnknownPlugin, match=message):
        stash.profile(**wish, progress=False)


@pytest.mark.parametrize(
    "wish, error, message",
    [
        ({"iterations": 0}, ValueError, "iterations=0; it is a positive whole number"),
        ({"iterations": 2.5}, ValueError, "iterations=2.5"),
        ({"iterations": True}, ValueError, "iterations=True"),
        ({"size": 0}, ValueError, "size=0; it is at least one byte"),
        ({"size": -5}, ValueError, "size=-5"),
        ({"size": "big"}, ValueError, "'big' is no size"),
        ({"size": []}, ValueError, "size= is empty"),
        ({"size": [True]}, TypeError, "a size is a number of bytes"),
        ({"b64": "yes"}, TypeError, "b64='yes'; it is True, False, or both"),
        ({"b64": []}, ValueError, "b64= is empty"),
        ({"engine": []}, ValueError, "engine= is empty"),
        ({"values": []}, ValueError, "values= is empty"),
        ({"values": "text"}, TypeError, "values= is a list of values, or a dict of them by name, not a str"),
        ({"values": 7}, TypeError, "not a int"),
        ({"engine": "null"}, ValueError, "the engine 'null' keeps nothing"),
    ],
)
def test_what_makes_no_sense_is_said(stash, wish, error, message):
    with pytest.raises(error, match=message):
        stash.profile(**{"engine": "memory", "serializer": "pickle", "compress": "raw", **wish}, progress=False)


def test_a_frame_is_no_list_of_values(stash):
    import pandas as pd

    with pytest.raises(TypeError, match="not a DataFrame; for a single one, give a list of it"):
        stash.profile(values=pd.DataFrame({"a": [1]}), progress=False)


def test_a_misspelt_keyword_raises(stash):
    with pytest.raises(TypeError, match="serialiser"):
        stash.profile(serialiser="pickle")


def test_a_server_that_does_not_answer_raises_at_once(stash):
    pytest.importorskip("redis", reason="the package redis is not installed")
    with pytest.raises(ServerUnavailable, match="127.0.0.1:1"):
        stash.profile(engine=["memory", "redis://127.0.0.1:1/0"], progress=False)


def test_a_server_is_not_written_to_from_a_read_only_stash(stash):
    pytest.importorskip("redis", reason="the package redis is not installed")
    with HashStash(stash.root_dir, engine="sqlite", read_only=True) as reader:
        with pytest.raises(ReadOnlyStash, match="profiling redis writes to its server"):
            reader.profile(engine="redis", progress=False)


def test_a_server_that_is_named_is_measured_and_left_empty(open_on):
    stash = open_on("redis")
    stash["mine"] = 1
    profile = stash.profile(serializer="pickle", compress="raw", engine="redis", iterations=1, progress=False)
    assert set(profile["Engine"]) == {"redis"}
    assert list(stash) == ["mine"]
    assert not [
        name
        for name in stash.store.engine.stashes_below(stash.root_dir, stash.config.engine_options)
        if "profile-" in name
    ]


def test_the_server_of_the_stash_itself_needs_no_name(open_on):
    stash = open_on("redis")
    profile = stash.profile(serializer="pickle", compress="raw", size=100, iterations=1, progress=False)
    assert "redis" in set(profile["Engine"])


def test_two_places_of_one_engine_would_be_mixed_up(stash):
    pytest.importorskip("redis", reason="the package redis is not installed")
    with pytest.raises(ValueError, match="two places of 'redis'"):
        stash.profile(engine=["redis://127.0.0.1:1/0", "redis://127.0.0.1:2/0"], progress=False)


def test_a_value_that_a_named_serializer_cannot_store_raises_before_anything_is_measured(stash):
    pytest.importorskip("jsonpickle", reason="the package jsonpickle is not installed")
    with pytest.raises(UnsupportedValue, match="the serializer 'jsonpickle' cannot store the value 'mine'"):
        stash.profile(serializer=["pickle", "jsonpickle"], values={"mine": bytearray(b"abc")}, progress=False)


def test_where_all_serializers_are_wanted_one_that_cannot_store_it_is_left_out(grid):
    pytest.importorskip("jsonpickle", reason="the package jsonpickle is not installed")
    found = grid(serializer=None, values=[bytearray(b"abc")])
    assert settings(found, "serializer") == ["hashstash", "pickle"]
    assert any("'jsonpickle' cannot store the value 'value 1'" in reason for reason in found.left_out)


def test_without_pandas_it_is_said_before_anything_is_measured(stash, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "hashstash.profiling.pandas", raising=False)
    with pytest.raises(MissingDependency, match="pip install 'hashstash\\[plot\\]'"):
        stash.profile(progress=False)
