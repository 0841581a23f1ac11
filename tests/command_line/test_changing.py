"""rm, prune, repair and trust: they do what was asked, say so, and do nothing in a rehearsal."""

import math
import os
import time

import pytest

from hashstash import HashStash
from hashstash.errors import UntrustedEntry


def double(x):
    return x * 2


def contents(root):
    """All files of a stash with their sizes."""
    return {
        os.path.join(place, name): os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(root)
        for name in names
    }


# ---- rm ----------------------------------------------------------------------------------------------------------------------


def test_rm_removes_entries_by_their_keys(run, stash):
    assert run("rm", "exp/first", "text", "number") == (0, "removed 2 entries\n", "")
    assert list(stash) == [("f", 1)]
    assert run("rm", "exp/first", "('f', 1)", "--literal", "--json").json == {"dry_run": False, "removed": 1}
    assert not stash


def test_rm_removes_nothing_if_one_key_is_not_there(failed, stash):
    assert "'nope'" in failed("rm", "exp/first", "text", "nope")
    assert len(stash) == 3


def test_rm_takes_the_older_versions_along(run):
    versioned = HashStash("versioned", engine="pairtree", append_mode=True)
    versioned["key"] = "one"
    versioned["key"] = "two"
    assert run("rm", "versioned", "key").code == 0
    assert versioned.store.engine.section("history").count() == 0


def test_rm_without_anything_to_remove_is_a_misuse(failed, stash):
    assert "needs either KEYs, or --all" in failed("rm", "exp/first", code=2)
    assert "needs either KEYs, or --all" in failed("rm", "exp/first", "text", "--all", code=2)


def test_rm_of_everything_asks_first(failed, stash):
    assert "say --yes" in failed("rm", "exp/first", "--all")
    assert len(stash) == 3


def test_rm_of_everything_takes_results_of_functions_along_and_nothing_else(run, stash):
    other = HashStash("exp", dbname="first/other", engine="pairtree")
    other["key"] = 1
    stash.run(double, 1)
    assert run("rm", "exp/first", "--all", "--yes") == (0, "removed 4 entries\n", "")
    assert not stash
    assert len(double.stash) == 0
    assert other["key"] == 1


@pytest.mark.parametrize("words", [["text"], ["--all"]])
def test_a_rehearsed_rm_changes_nothing(run, stash, words):
    before = contents(stash.root_dir)
    assert run("rm", "exp/first", *words, "--dry-run").out.startswith("would remove ")
    assert contents(stash.root_dir) == before
    assert len(stash) == 3


# ---- prune -------------------------------------------------------------------------------------------------------------------


PRUNINGS = {
    "over": ([], 1),
    "old": (["--older-than", "100000s"], 1),
    "all": (["--older-than", "0.000001s"], 7),
    "large": (["--larger-than", "5 KB"], 4),
    "tagged": (["--tag", "x"], 3),
    "many": (["--max-entries", "2"], 5),
    "full": (["--max-size", "12KB"], None),
    "large and many": (["--larger-than", "5 KB", "--max-entries", "5"], 2),
}


@pytest.mark.parametrize(("words", "count"), PRUNINGS.values(), ids=PRUNINGS)
def test_prune_removes_as_many_as_its_rehearsal_says(run, words, count):
    stash = HashStash("pruned", engine="pairtree", compress=False)
    for number in range(3):
        stash.put(f"large {number}", os.urandom(6000), tags=["x"] if number else [])
    stash.update({number: number for number in range(3)})
    stash.put("over", 1, ttl=0.001)
    time.sleep(0.01)
    before = contents(stash.root_dir)
    rehearsed = run("prune", "pruned", *words, "--dry-run", "--json").json
    assert contents(stash.root_dir) == before
    done = run("prune", "pruned", *words, "--json").json
    assert rehearsed == {"dry_run": True, "removed": done["removed"]}
    assert done["removed"] == (count if count is not None else 7 - len(stash))
    assert len(stash) == 7 - done["removed"]


def test_prune_reaches_the_results_of_functions_if_asked(run, stash):
    stash.run(double, 1)
    assert run("prune", "exp/first", "--older-than", "0.000001s").out == "removed 3 entries\n"
    assert len(double.stash) == 1
    assert run("prune", "exp/first", "--older-than", "0.000001s", "--functions").out == "removed 1 entry\n"


@pytest.mark.parametrize("words", [["--older-than", "soon"], ["--larger-than", "big"], ["--max-size", "-1"]])
def test_a_condition_that_is_none_is_a_misuse(run, stash, words):
    ran = run("prune", "exp/first", *words)
    assert (ran.code, ran.out) == (2, "")
    assert len(stash) == 3


# ---- repair ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(stash):
    address = stash.store.keys.address("text")
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1] + b"?")
    return stash


def test_repair_moves_damaged_rows_aside(run, damaged):
    ran = run("repair", "exp/first")
    assert ran.code == 0
    assert "moved 1 bad row aside" in ran.out
    assert not damaged.check()
    nothing = {"moved": [], "restored": 0, "swept": 0, "left": [], "unmoved": 0, "rebuilt": []}
    assert run("repair", "exp/first", "--json").json == nothing


def test_a_rehearsed_repair_says_what_is_wrong(run, damaged):
    before = contents(damaged.root_dir)
    ran = run("repair", "exp/first", "--dry-run")
    assert ran.code == 1
    assert "3 rows, 1 problem" in ran.out
    assert contents(damaged.root_dir) == before


def test_repair_does_not_take_a_wrong_namespace_for_damage(run, tmp_path):
    """With another namespace than the one for which they were signed, sound entries look as if they had been changed."""
    stash = HashStash(tmp_path / "root", dbname="a/b", engine="pairtree")
    stash["code"] = math.sqrt
    assert run("repair", tmp_path / "root", "--dbname", "a//b/").out == "nothing to repair\n"
    assert run("repair", tmp_path / "root" / "a" / "b").out == "nothing to repair\n"
    assert run("repair", tmp_path / "root", "--dbname", "a/b").out == "nothing to repair\n"
    assert stash["code"] is math.sqrt


def test_repair_leaves_what_has_my_signature_and_was_moved(run, failed, stash):
    other = HashStash("elsewhere", engine="pairtree")
    other["code"] = math.sqrt
    address = other.store.keys.address("code")
    stash["own"] = math.sin
    stash.store.engine.put(address, other.store.engine.get(address))
    assert "--tampered moves them" in failed("repair", "exp/first")
    assert "moved 1 bad row aside" in run("repair", "exp/first", "--tampered").out
    assert stash["own"] is math.sin


@pytest.mark.parametrize("number", range(3))
def test_rows_that_were_moved_here_do_not_say_what_the_namespace_is(run, stash, number):
    """In whatever order the rows come: that of a folder is the file system's."""
    other = HashStash("elsewhere", engine="pairtree")
    other.update({("moved", number, moved): math.sqrt for moved in range(4)})
    stash.update({(number, own): math.sin for own in range(5)})
    for address, row in other.store.engine.rows():
        stash.store.engine.put(address, row)
    assert "moved 4 bad rows aside" in run("repair", "exp/first", "--tampered").out
    assert [stash[(number, own)] for own in range(5)] == [math.sin] * 5


# ---- trust -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def foreign(stash, somebody_else):
    with somebody_else:
        theirs = HashStash("exp", dbname="first", engine="pairtree")
        theirs.update({"theirs": math.sqrt, "data": 1})
        theirs.run(_gives_code, 1)
    return stash


def _gives_code(x):
    return math.sqrt


def test_trust_lists_what_would_be_signed_and_does_nothing_unless_told(run, foreign):
    for words in (["--dry-run"], []):
        ran = run("trust", "exp/first", *words)
        assert "'theirs'" in ran.out
        assert "'data'" not in ran.out
        assert len(ran.lines) == 3
        assert ran.code == int(not words)
    assert "say --yes" in ran.err
    with pytest.raises(UntrustedEntry):
        foreign["theirs"]


def test_trust_signs_what_it_has_listed(run, foreign):
    ran = run("trust", "exp/first", "--yes")
    assert (ran.code, ran.lines[-1]) == (0, "signed 2 rows")
    assert foreign["theirs"] is math.sqrt
    assert (
        run("trust", "exp/first", "--yes").out == "nothing to sign: all code here is yours, or of somebody you trust\n"
    )


def test_trust_as_json_is_one_document(run, foreign):
    rehearsed = run("trust", "exp/first", "--dry-run", "--json").json
    assert (rehearsed["dry_run"], rehearsed["signed"], len(rehearsed["untrusted"])) == (True, 0, 2)
    done = run("trust", "exp/first", "--yes", "--json").json
    assert (done["dry_run"], done["signed"], done["untrusted"]) == (False, 2, rehearsed["untrusted"])
