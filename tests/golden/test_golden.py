"""Entries that the first version of the format wrote are read for ever; ``write_golden.py`` says how they were made."""

import array
import asyncio
import collections
import datetime
import decimal
import fractions
import functools
import importlib
import ipaddress
import json
import operator
import os
import pathlib
import pickle
import random
import re
import shutil
import types
import uuid
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from together import each

from hashstash import HashStash
from hashstash.entry import unpack
from hashstash.errors import UntrustedEntry
from hashstash.loose import decode, deserialize
from hashstash.serializers.hashstash.document import plain_python
from hashstash.testing.equality import assert_same

HERE = Path(__file__).parent / "v1"
MANIFESTS = [json.loads(path.read_text()) for path in sorted(HERE.glob("manifest*.json"))]
SECTIONS = {name: section for manifest in MANIFESTS for name, section in manifest["sections"].items()}
LOOSE = {name: expression for manifest in MANIFESTS for name, expression in manifest["loose"].items()}
(SIGNING_KEY,) = {manifest["signing key"] for manifest in MANIFESTS}
NAMES_OF_PACKAGES = {
    "numpy": {"np": "numpy"},
    "pandas": {"np": "numpy", "pd": "pandas"},
    "pyarrow": {"np": "numpy", "pa": "pyarrow"},
    "polars": {"np": "numpy", "pl": "polars"},
    "scipy": {"np": "numpy", "sparse": "scipy.sparse"},
    "dateutil": {"tz": "dateutil.tz"},
    "pytz": {"pytz": "pytz"},
}
NAMES = {
    **{module.__name__: module for module in (array, asyncio, collections, datetime, decimal, fractions, functools)},
    **{module.__name__: module for module in (ipaddress, operator, os, pathlib, pickle, random, re, types, uuid)},
    "dt": datetime,
}
ENTRIES = [
    pytest.param(section, entry, id=f"{section}: {entry['key']}")
    for section, described in SECTIONS.items()
    for entry in described["entries"]
]
PORTABLE = [parameter for parameter in ENTRIES if parameter.values[0] != "pickle"]
CODE = sorted({parameter.values[0] for parameter in ENTRIES if parameter.values[1]["flags"] & 1})


@pytest.fixture(autouse=True)
def key(private_home, monkeypatch):
    monkeypatch.setenv("HASHSTASH_KEY", SIGNING_KEY)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy as its owner has it: version control keeps neither the permissions nor empty folders."""
    copy = tmp_path_factory.mktemp("golden") / "stash"
    shutil.copytree(HERE / "stash", copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


@pytest.fixture
def opened(root):
    """Opens a section, for reading only."""
    return lambda section, **settings: HashStash(str(root), section, engine="pairtree", read_only=True, **settings)


def named(entry):
    """The names in an entry's expressions; skips where it needs a package that is not installed."""
    needed = entry.get("needs")
    if needed is not None and find_spec(needed) is None:
        pytest.skip(f"the package {needed} is not installed")
    imported = NAMES_OF_PACKAGES.get(needed, {})
    return {**NAMES, **{name: importlib.import_module(module) for name, module in imported.items()}}


def assert_is_as_described(value, entry, names):
    if "check" in entry:
        assert eval(entry["check"], {**names, "v": value}), entry["check"]
    else:
        assert_same(value, eval(entry["value"], names))


def key_of(entry, names, stash):
    return next(iter(stash)) if "listed" in entry else eval(entry["key"], names)


@each("section, entry", ENTRIES)
def test_value_is_what_was_written(opened, section, entry):
    names = named(entry)
    stash = opened(section)
    assert_is_as_described(stash[key_of(entry, names, stash)], entry, names)


@each("section, entry", PORTABLE)
def test_value_is_read_without_packages(opened, section, entry):
    names = named(entry)
    stash = opened(section)
    with plain_python():
        assert_is_as_described(stash[key_of(entry, names, stash)], entry, names)


@each("section, entry", ENTRIES)
def test_row_lies_where_it_lay_and_says_what_it_said(root, section, entry):
    (path,) = root.glob(f"{section.replace(' ', '%20')}/*/data.db/{entry['address'][:2]}/{entry['address']}")
    row = unpack(path.read_bytes(), bytes.fromhex(entry["address"]))
    found = {"label": row.label.decode(), "flags": int(row.flags), "raw size": row.raw_size}
    assert {**found, "created at": row.created_at} == {name: entry[name] for name in (*found, "created at")}


@pytest.mark.parametrize("section", CODE)
def test_code_of_another_user_is_refused(opened, monkeypatch, section):
    monkeypatch.setenv("HASHSTASH_KEY", "ab" * 32)
    store = opened(section).store
    for entry in filter(store.is_foreign, store.entries()):
        with pytest.raises(UntrustedEntry):
            store.value_of(entry)


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_come_back_as_they_were(opened, section):
    entries = SECTIONS[section]["entries"]
    named(entries[0])
    expected = sorted(entry["key"] for entry in entries if "listed" not in entry)
    names = [eval(text, NAMES) for text in expected]
    found = {opened(section).store.keys.address(key): key for key in opened(section)}
    for key in names:
        assert_same(found[opened(section).store.keys.address(key)], key)
    assert len(found) == len(entries)


def test_a_class_comes_back_as_a_key(opened):
    (key,) = opened("code key")
    assert (type(key), key.__name__) == (type, "K")


def test_all_versions_come_back(opened):
    found = opened("versions", append_mode=True).get_all("key", with_metadata=True)
    assert [(row["_version"], row["_value"]) for row in found] == [(1, 1), (2, ["two"]), (3, bytearray(b"3") * 40_000)]


def test_the_latest_version_needs_no_append_mode(opened):
    assert opened("versions")["key"] == bytearray(b"3") * 40_000


def test_an_entry_that_is_not_over_is_there(opened):
    stash = opened("expiring")
    assert (stash["in two hundred years"], list(stash), len(stash)) == (1, ["in two hundred years"], 1)


def test_an_entry_that_is_over_is_missing(opened):
    assert "over" not in opened("expiring")


def test_the_header_keeps_age_and_cost(opened):
    entry = opened("expiring").store.find("in two hundred years")
    assert entry.expires_at - entry.created_at == 200 * 365 * 86400 * 10**9
    assert entry.seconds == 2.5


@pytest.mark.parametrize("name", LOOSE)
def test_a_frame_of_its_own_is_read(name):
    content = (HERE / "loose" / name).read_bytes()
    for read in (decode, deserialize):
        value, expected = read(content), eval(LOOSE[name], NAMES)
        assert value == expected
        assert type(value) is type(expected) or type(value).__name__ == "Pair"


def test_reading_warns_of_nothing(opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(opened("plain"))) == len(SECTIONS["plain"]["entries"])
