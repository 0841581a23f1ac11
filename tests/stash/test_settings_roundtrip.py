import copy
import json
import pickle

import pytest

from hashstash import HashStash
from hashstash.errors import UnsafeName

FIRST_TEN = [
    *(
        "root_dir",
        "dbname",
        "engine",
        "serializer",
        "compress",
        "b64",
        "append_mode",
        "is_function_stash",
        "is_tmp",
        "filename",
    ),
]
CHANGED = {
    "ttl": 60.0,
    "max_size": 10_000,
    "max_entries": 5,
    "durability": "power",
    "trust": "strict",
    "read_only": True,
}
WAYS = {
    "from_dict": lambda stash: HashStash.from_dict(stash.to_dict()),
    "json": lambda stash: HashStash.from_dict(json.loads(json.dumps(stash.to_dict()))),
    "pickle": lambda stash: pickle.loads(pickle.dumps(stash)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def test_settings_are_listed_in_this_order(stash):
    assert list(stash.to_dict()) == FIRST_TEN


def test_the_root_is_absolute(stash, tmp_path):
    assert stash.to_dict()["root_dir"] == str(tmp_path / "stash")


def test_the_file_name_is_data_db(stash):
    assert stash.to_dict()["filename"] == "data.db"


@pytest.mark.parametrize("name", CHANGED)
def test_further_settings_are_listed_where_they_were_changed(opened, name):
    described = opened(**{name: CHANGED[name]}).to_dict()
    assert list(described) == [*FIRST_TEN, name]
    assert described[name] == CHANGED[name]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "options",
    [{}, {"dbname": "a/b", "serializer": "pickle", "compress": "bz2", "b64": True}, CHANGED, {"append_mode": True}],
)
def test_every_setting_survives(opened, options, way):
    stash = opened(**options)
    assert way(stash).to_dict() == stash.to_dict()
    assert way(stash) == stash


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_copy_sees_what_is_stored(stash, way):
    again = way(stash)
    stash["k"] = 1
    assert again["k"] == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_stash_opened_elsewhere_than_the_default_root_is_found(monkeypatch, tmp_path, way):
    stash = HashStash("named", engine="pairtree")
    stash["k"] = 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))
    assert way(stash)["k"] == 1


def test_the_copy_counts_by_itself(stash):
    again = copy.copy(stash)
    stash["k"] = 1
    assert again.stats.sets == 0


@pytest.mark.parametrize("unknown", [{"compres": "lz4"}, {"keys": None}, {"path": "/x"}])
def test_settings_that_describe_no_stash_are_named(stash, unknown):
    with pytest.raises(TypeError, match=f"{next(iter(unknown))} does not describe a stash"):
        HashStash.from_dict({**stash.to_dict(), **unknown})


def test_settings_without_a_root_are_refused(stash):
    described = stash.to_dict()
    del described["root_dir"]
    with pytest.raises(TypeError, match="root_dir"):
        HashStash.from_dict(described)


@pytest.mark.parametrize(
    "name, value", [("engine", "nope"), ("serializer", "nope"), ("compress", "nope"), ("trust", "nope")]
)
def test_settings_with_an_unknown_value_are_refused(stash, name, value):
    with pytest.raises(ValueError, match="nope"):
        HashStash.from_dict({**stash.to_dict(), name: value})


def test_a_temporary_stash_says_so(stash):
    with stash.tmp() as temporary:
        assert temporary.to_dict()["is_tmp"] is True


@pytest.mark.parametrize(
    "changes, error, what",
    [
        ({"durability": "most"}, ValueError, "durability='most'; it is one of 'process', 'power', 'none'"),
        ({"trust": "everyone"}, ValueError, "trust='everyone'; it is one of 'mine', 'strict', 'all'"),
        ({"max_size": "1 GB"}, ValueError, "max_size='1 GB'"),
        ({"ttl": "soon"}, ValueError, "'soon' is no duration"),
        ({"b64": "no"}, TypeError, "b64='no'; it is True or False"),
        ({"engine_options": {"wombat": 1}}, TypeError, "no parameter 'wombat'"),
        ({"enginee": "pairtree"}, TypeError, "enginee does not describe a stash"),
        ({"engine": ""}, TypeError, "engine must be among what describes a stash"),
        ({"dbname": "../other"}, UnsafeName, "outside of the stash's root"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_description_that_somebody_has_changed_is_checked_like_arguments(stash, changes, error, what):
    with pytest.raises(error, match=what):
        HashStash.from_dict(stash.to_dict() | changes)


def test_a_description_may_say_a_time_to_live_in_words(stash):
    assert HashStash.from_dict(stash.to_dict() | {"ttl": "2m"}).config.ttl == 120.0


def test_a_described_name_lies_under_the_cache_root():
    described = HashStash("named", engine="pairtree").to_dict()
    assert HashStash.from_dict(described | {"root_dir": "named"}).root_dir == described["root_dir"]
