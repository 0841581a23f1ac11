"""export and import: from a shell, whole stashes go to another place in one file."""

import math

import pytest

from hashstash import HashStash


def double(x):
    return x * 2


def test_a_stash_comes_back_from_a_file(run, stash, tmp_path):
    stash["code"] = math.sqrt
    stash.run(double, 2)
    expected = dict(stash.items())
    file = tmp_path / "x.stash"
    assert "5 entries of 1 stash" in run("export", file, "exp/first").out
    stash.clear()
    assert "exp/first: 5 entries stored in" in run("import", file).out
    assert dict(stash.items()) == expected
    assert stash.run(double, 2) == 4
    assert double.stash.stats.hits == 1


def test_without_a_place_all_stashes_are_exported(run, stash, tmp_path):
    HashStash("another", engine="sqlite")["key"] = 1
    ran = run("export", tmp_path / "x.stash", "--json").json
    assert (ran["stashes"], ran["entries"]) == (["another", "exp/first"], 4)
    assert ran["size"] == (tmp_path / "x.stash").stat().st_size


def test_a_folder_stands_for_all_stashes_below_it(run, tmp_path):
    for dbname in (None, "a", "b/c"):
        HashStash(tmp_path / "project", dbname=dbname, engine="pairtree")["key"] = dbname
    ran = run("export", tmp_path / "x.stash", tmp_path / "project", "--json").json
    assert ran["stashes"] == ["project", "project/a", "project/b/c"]
    assert run("import", tmp_path / "x.stash", tmp_path / "new").code == 0
    assert HashStash(tmp_path / "new", dbname="project/b/c")["key"] == "b/c"


def test_a_file_that_is_there_is_replaced_only_by_force(run, failed, stash, tmp_path):
    file = tmp_path / "x.stash"
    file.write_text("precious")
    assert "is there already; --force replaces it" in failed("export", file, "exp/first")
    assert file.read_text() == "precious"
    assert run("export", file, "--force", "exp/first").code == 0


def test_nothing_to_export_is_no_archive(failed, tmp_path):
    assert "there are no stashes" in failed("export", tmp_path / "x.stash")
    assert "there is no folder" in failed("export", tmp_path / "x.stash", "mistyped")
    assert not (tmp_path / "x.stash").exists()


def test_a_stash_is_imported_to_a_place_on_another_engine(run, stash, tmp_path):
    stash["code"] = math.sqrt
    run("export", tmp_path / "x.stash", "exp/first")
    assert run("import", tmp_path / "x.stash", tmp_path / "new", "--engine", "sqlite", "--dbname", "in/it").code == 0
    new = HashStash(tmp_path / "new", dbname="in/it", engine="sqlite")
    assert dict(new.items()) == dict(stash.items())


def test_versions_come_along_without_being_asked_for(run, tmp_path):
    versioned = HashStash("versioned", engine="pairtree", append_mode=True)
    versioned["key"] = "one"
    versioned["key"] = "two"
    run("export", tmp_path / "x.stash", "versioned")
    run("import", tmp_path / "x.stash", "copy")
    assert run("get", "copy", "key", "--number", "1").out == "one\n"


def test_what_is_there_stays_unless_it_is_overwritten(run, stash, tmp_path):
    run("export", tmp_path / "x.stash", "exp/first")
    stash["text"] = "changed"
    ran = run("import", tmp_path / "x.stash")
    assert "0 entries stored" in ran.out
    assert "3 entries left out, as their keys were there already" in ran.out
    assert run("import", tmp_path / "x.stash", "--overwrite", "newer").code == 0
    assert stash["text"] == "changed"
    assert run("import", tmp_path / "x.stash", "--overwrite", "always", "--json").json == {"stored": {"exp/first": 1}}
    assert stash["text"] == "hello"


def test_one_stash_of_several_is_chosen_by_name(run, failed, stash, tmp_path):
    HashStash("another", engine="pairtree")["key"] = 1
    run("export", tmp_path / "x.stash")
    assert run("import", tmp_path / "x.stash", tmp_path / "new", "--name", "another").code == 0
    assert HashStash(tmp_path / "new")["key"] == 1
    assert "it holds: another, exp/first" in failed("import", tmp_path / "x.stash", "--name", "nope")


def test_a_rehearsed_import_says_what_the_file_holds(run, stash, tmp_path, tree):
    run("export", tmp_path / "x.stash", "exp/first")
    before = tree()
    ran = run("import", tmp_path / "x.stash", tmp_path / "new", "--dry-run")
    assert ran.lines[1].split()[:2] == ["exp/first", "3"]
    (one,) = run("import", tmp_path / "x.stash", "--dry-run", "--json").json["stashes"]
    assert (one["name"], one["entries"]) == ("exp/first", 3)
    assert tree() == before


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + bytes(100)])
def test_a_file_that_is_no_archive_is_one_line(failed, tmp_path, tree, content):
    (tmp_path / "x.stash").write_bytes(content)
    before = tree()
    assert "x.stash" in failed("import", tmp_path / "x.stash", "new")
    assert tree() == before


def test_a_file_that_is_not_there_is_one_line(failed, tmp_path):
    assert "No such file or directory" in failed("import", tmp_path / "nothing")
