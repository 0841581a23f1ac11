"""What the commands do with a database that is damaged as a whole, and with what was put aside."""

import math
import os

import pytest
from together import cases

from hashstash import HashStash
from hashstash.integrity import mending

FILES = {"lmdb": "data.mdb", "sqlite": "rows.sqlite", "diskcache": "cache.db", "sqlitedict": "rows.sqlite"}
ROWS = 100


def text(path):
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(b"hello" * 100)


def garbage(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 3)
        file.write(b"\x93" * (size // 3))


def header(path):
    with open(path, "r+b") as file:
        file.write(b"x" * 16)


def damaged(engine, damage, place="db"):
    """A stash of that engine, signed rows in it, whose database was then damaged."""
    pytest.importorskip(engine) if engine != "sqlite" else None
    with HashStash(place, dbname="deep", engine=engine) as stash:
        stash.update({number: f"value {number} " * 40 for number in range(ROWS)})
        stash["code"] = math.sqrt
    damage(os.path.join(stash.store.engine.location(), FILES[engine]))
    return stash


@pytest.mark.parametrize("engine", FILES)
def test_repair_writes_a_damaged_database_anew_and_keeps_what_was_signed(run, private_home, engine):
    """The namespace of signed rows is seen only once they can be read: they must not be taken for changed ones before."""
    stash = damaged(engine, garbage)
    ran = run("repair", "db/deep")
    assert ran.code == 0
    assert "anew, the damaged files lie in" in ran.out
    assert run("check", "db/deep").code == 0
    assert 0 < len(stash) <= ROWS + 1
    stash["code"] = math.sqrt
    assert "nothing to repair" in run("repair", "db/deep").out


def test_repair_leaves_nothing_that_stops_it_where_no_row_can_be_found(run, private_home):
    with cases() as case:
        for engine in FILES:
            with case(engine):
                stash = damaged(engine, text, engine)
                assert run("repair", f"{engine}/deep").code == 0
                stash["key"] = 1
                assert stash["key"] == 1


@pytest.mark.parametrize("damage", [text, garbage])
def test_rm_empties_a_damaged_stash(run, private_home, damage):
    stash = damaged("sqlite", damage)
    ran = run("rm", "db/deep", "--all", "--yes")
    assert (ran.code, ran.out.split()[0]) == (0, "removed")
    assert "was damaged and has been written anew" in ran.err
    assert run("check", "db/deep").code == 0
    assert len(stash) == 0


def test_rm_of_a_damaged_stash_asks_and_says_why_it_cannot_count(failed, private_home):
    damaged("sqlite", text)
    line = failed("rm", "db/deep", "--all")
    assert "is damaged" in line
    assert "remove all of it, whatever it holds" in line
    assert "hashstash repair" in failed("rm", "db/deep", "--all", "--dry-run")


def test_a_refused_repair_says_that_the_database_was_written_anew_all_the_same(run, private_home):
    other = HashStash("elsewhere", engine="sqlite")
    other["code"] = math.sin
    with HashStash("db", dbname="deep", engine="sqlite") as stash:
        stash.update(dict.fromkeys(range(5), math.sqrt))
        address = other.store.keys.address("code")
        stash.store.engine.put(address, other.store.engine.get(address))
    header(os.path.join(stash.store.engine.location(), FILES["sqlite"]))
    ran = run("repair", "db/deep")
    assert ran.code == 1
    assert "was damaged and has been written anew" in ran.err
    assert "--tampered moves them" in ran.err
    assert [stash[number] for number in range(5)] == [math.sqrt] * 5
    assert "moved 1 bad row aside" in run("repair", "db/deep", "--tampered").out


# ---- what was put aside --------------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(stash):
    """A stash with an array of which one byte was changed, and moved aside."""
    stash["array"] = os.urandom(100_000)
    (name,) = stash.store.blobs.names()
    with open(stash.store.blobs.path(name), "r+b") as file:
        file.seek(50_000)
        file.write(b"changed")
    address = stash.store.keys.address("text")
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1] + b"?")
    assert len(stash.repair().moved) == 2
    return stash


def test_aside_lists_what_a_repair_has_moved(run, spoilt):
    ran = run("aside", "exp/first")
    assert ran.code == 0
    assert ran.lines[0].startswith("2 things kept aside, ")
    assert "was changed after it was written" in ran.out
    assert "'array'" in ran.out
    listed = run("aside", "exp/first", "--json").json
    assert sorted(item["kind"] for item in listed["aside"]) == ["row", "row"]
    assert max(item["size"] for item in listed["aside"]) > 100_000


def test_aside_deletes_only_if_asked_and_told_that_it_is_meant(run, spoilt):
    for words in ([], ["--remove"], ["--remove", "--dry-run"]):
        assert "2 things kept aside" in run("aside", "exp/first", *words).out
        assert spoilt.check().aside == 2


def test_aside_deletes_rows_with_their_blob_files_and_nothing_else(run, spoilt):
    spoilt["other"] = content = os.urandom(100_000)
    assert run("aside", "exp/first", "--remove", "--yes").lines[-1] == "deleted 2 things"
    assert spoilt.check().aside == 0
    assert len(list(spoilt.store.blobs.names())) == 1
    assert spoilt["other"] == content
    assert run("aside", "exp/first", "--remove").out == "nothing is kept aside\n"


def test_aside_shows_and_deletes_the_files_of_a_database_that_was_written_anew(run, private_home):
    stash = damaged("sqlite", text)
    run("repair", "db/deep")
    (item,) = run("aside", "db/deep", "--json").json["aside"]
    assert (item["kind"], item["size"] >= 500) == ("files", True)
    assert run("aside", "db/deep", "--remove", "--yes", "--json").json["removed"] == 1
    assert not os.listdir(os.path.join(stash.store.engine.location(), "damaged"))


def test_links_among_what_was_put_aside_are_removed_and_not_followed(run, private_home, tmp_path):
    stash = HashStash("db", engine="sqlite")
    stash["key"] = 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    folder = os.path.join(stash.store.engine.location(), "damaged")
    os.makedirs(os.path.join(folder, "1"))
    for link in ("2", "1/inner"):
        os.symlink(tmp_path / "mine", os.path.join(folder, link))
    assert run("aside", "db", "--remove", "--yes").lines[-1] == "deleted 2 things"
    assert os.listdir(folder) == []
    assert (tmp_path / "mine" / "letter").read_text() == "dear"


def test_repair_says_why_rows_stay_where_there_is_no_more_room_aside(run, spoilt, monkeypatch):
    monkeypatch.setattr(mending, "MOST_ASIDE", 2)
    address = spoilt.store.keys.address("number")
    spoilt.store.engine.put(address, spoilt.store.engine.get(address)[:-1] + b"?")
    ran = run("repair", "exp/first")
    assert ran.code == 1
    assert ran.lines[0] == "nothing was repaired"
    assert "no room aside for 1 bad row" in ran.out
    assert "hashstash aside" in ran.out
    run("aside", "exp/first", "--remove", "--yes")
    assert "moved 1 bad row aside" in run("repair", "exp/first").out
