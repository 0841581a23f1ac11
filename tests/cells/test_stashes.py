"""``CellStashes``: the stashes of cells for a program, without a notebook; and lists that others have written badly."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from hashstash import HashStash, trust
from hashstash.cells.facts import Facts
from hashstash.cells.recorded import Outputs, Record
from hashstash.cells.stashes import CellStashes, NoSuchRecord, NoSuchStash
from hashstash.serializers.hashstash.graph import dump_roots


@pytest.fixture
def stashes(private_home):
    return CellStashes(engine="pairtree")


def store(stashes, name, code, variables, *, age=0.0, reads=()):
    """What a cell of that text stores."""
    record = Record(
        code=code,
        facts=Facts(names=dict.fromkeys(reads, code.encode())),
        seconds=1.5,
        variables=dict.fromkeys(variables),
        created_at=time.time() - age,
    )
    stashes.open(name).add(code.encode().ljust(16)[:16], record, Outputs([]), dump_roots(variables))
    return record


def test_a_program_lists_gets_and_removes(stashes):
    store(stashes, "t", "a = 1", {"a": 1}, age=60)
    store(stashes, "t", "a = 2", {"a": 2})
    assert stashes.names() == ["t"]
    assert [item["seconds"] for item in stashes.ls("t").items] == [1.5, 1.5]
    assert (stashes.get("t", "a"), stashes.get("t", "a", 2)) == (2, 1)
    assert stashes.variables("t") == ["a"]
    assert stashes.rm("t", 2).records == 1
    assert stashes.clear("t").records == 1
    assert stashes.ls().rows == []


def test_it_says_what_there_is_not(stashes):
    store(stashes, "t", "a = 1", {"a": 1})
    with pytest.raises(NoSuchStash, match="did you mean 't'"):
        stashes.ls("tt")
    with pytest.raises(NoSuchRecord):
        stashes.get("t", "a", 2)
    with pytest.raises(LookupError):
        stashes.get("t", "b")


def test_looking_makes_no_folder(stashes, tmp_path):
    with pytest.raises(NoSuchStash):
        stashes.info("t")
    assert not list(tmp_path.rglob("data.db"))


def test_clear_removes_only_what_is_older(stashes):
    store(stashes, "t", "a = 1", {"a": 1}, age=3600)
    store(stashes, "t", "a = 2", {"a": 2})
    assert stashes.clear("t", older=60).records == 1
    assert stashes.get("t", "a") == 2


def test_a_list_that_cannot_be_read_is_counted_and_the_others_are_shown(stashes):
    store(stashes, "t", "a = 1", {"a": 1})
    stash = stashes.open("t").stash
    stash["code", b"0" * 16] = [{"format": 1, "id": 3}]
    stash["code", b"1" * 16] = "no list"
    listing = stashes.ls("t")
    assert [item["variables"] for item in listing.items] == [["a"]]
    assert "2 cells" in listing.title
    assert "2 cells" in stashes.ls().title
    assert stashes.clear("t").records == 3  # of what cannot be read, nobody knows how many there were
    assert len(stash) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": "long"},
        {"created_at": float("nan")},
        {"created_at": None},
        {"code": 3},
        {"variables": ["a"]},
        {"deleted": 5},
        {"facts": {}},
        {"facts": {**Facts().to_data(), "names": ["a"]}},
        {"facts": {**Facts().to_data(), "files": [[1, 2, 3, b""]]}},
        {"facts": {**Facts().to_data(), "written": [1]}},
        {"facts": {**Facts().to_data(), "asked": ["/etc"]}},
        {"facts": {**Facts().to_data(), "settings": {"numpy": 3}}},
        {"facts": {**Facts().to_data(), "replaced": ["math"]}},
        {"facts": {**Facts().to_data(), "replaced": {"math": 3}}},
    ],
)
def test_what_is_of_the_wrong_type_is_no_record(stashes, wrong):
    record = store(stashes, "t", "a = 1", {"a": 1})
    stashes.open("t").stash["code", b"0" * 16] = [{**record.to_data(), **wrong}]
    assert "cannot be read" in repr(stashes.ls("t"))
    assert stashes.untrusted("t").items
    assert len(stashes.ls("t").items) == 1
    assert "1.5 s" in repr(stashes.info("t"))


def test_a_record_that_says_nothing_of_what_was_replaced_is_read(stashes):
    data = store(stashes, "t", "a = 1", {"a": 1}).to_data()
    del data["facts"]["replaced"]
    assert Record.from_data(data, is_trusted=True).facts == Facts()


def test_records_go_from_account_to_account_in_one_file(stashes, tmp_path, monkeypatch):
    store(stashes, "t", "a = 1", {"a": [1, 2]})
    assert stashes.export_to(tmp_path / "t.stash", ["t"]) == 3
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other" / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other" / "cache"))
    trust._keyrings.clear()
    others = CellStashes(engine="sqlite")
    store(others, "t", "a = 1", {"a": 0}, reads=["b"])
    assert others.import_from(tmp_path / "t.stash") == {"t": (1, 0)}
    assert sorted(others.get("t", "a", number) == 0 for number in (1, 2)) == [False, True]
    assert len(others.untrusted("t").items) == 2


def test_a_list_stays_as_long_as_it_may_be_and_what_is_here_comes_first(stashes, tmp_path):
    for number in range(40):
        store(stashes, "t", "a = 1", {"a": number}, reads=[f"mine{number}"])
    theirs = CellStashes(str(tmp_path / "theirs"), engine="pairtree")
    for number in range(40):
        store(theirs, "t", "a = 1", {"a": number}, reads=[f"theirs{number}"])
    theirs.export_to(tmp_path / "t.stash", ["t"])
    assert stashes.import_from(tmp_path / "t.stash")["t"].records == 24
    kept = {name for item in stashes.ls("t").items for name in item["inputs"]}
    assert {f"mine{number}" for number in range(40)} <= kept
    assert len(stashes.open("t").stash) == 1 + 2 * 64


def test_a_name_too_long_for_a_folder_is_found_and_stays_ones_own(stashes):
    name = "long " * 60
    store(stashes, name, "a = 1", {"a": 1})
    assert stashes.get(name, "a") == 1
    assert stashes.records(name)[0].is_trusted


def test_very_many_records_are_not_all_shown(stashes):
    for number in range(4):
        for other in range(60):
            store(stashes, "t", f"a = {number}", {"a": 1}, reads=[f"x{other}"])
    listing = stashes.ls("t")
    assert (len(listing.items), len(listing.rows)) == (240, 200)
    assert "the first 200 are shown" in listing.title


def test_what_lies_elsewhere_in_the_cache_is_no_stash_of_cells(stashes):
    HashStash("mine", engine="pairtree")["a"] = 1
    store(stashes, "t", "a = 1", {"a": 1})
    assert stashes.names() == ["t"]


@pytest.mark.parametrize("folder", ["%2E%2E", "%00", "a/%2E"])
def test_a_folder_that_no_stash_has_made_hides_none(stashes, folder):
    """As others may put there: no name leads to it."""
    store(stashes, "t", "a = 1", {"a": 1})
    there = Path(stashes.open("t").stash.path).parents[1]
    shutil.copytree(there, there.parent / folder)
    assert stashes.names() == ["t"]
    assert [item["stash"] for item in stashes.ls().items] == ["t"]
    assert stashes.clear_all()["t"].records == 1
