"""ls, info, get and check: they say what is there, and change nothing."""

import datetime as dt
import math
import os
import shutil
import struct

import pytest

from hashstash import HashStash
from hashstash.checksum import crc32
from hashstash.command_line import main

ESCAPES = "\x1b]0;title\x07\x1b[31mred \u202e\x9b1m\r\x08"


def double(x):
    return x * 2


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


# ---- ls --------------------------------------------------------------------------------------------------------------------


def test_ls_shows_all_stashes_of_the_user(run, stash):
    HashStash("another", engine="sqlite")["key"] = 1
    stash.run(double, 1)
    ran = run("ls")
    assert ran.code == 0
    assert [line.split()[:4] for line in ran.lines[1:]] == [
        ["another", "sqlite", "1", ran.lines[1].split()[3]],
        ["exp/first", "pairtree", "3", "1"],
    ]


def test_ls_in_an_empty_home_says_so_and_makes_nothing(run, tree):
    before = tree()
    assert run("ls") == (0, "no stashes\n", "")
    assert run("ls", "--json").json == {"stashes": []}
    assert tree() == before


def test_ls_leaves_out_empty_stashes_unless_asked(run, stash):
    HashStash("empty", engine="pairtree")
    assert "empty" not in run("ls").out
    assert "empty" in run("ls", "--all").out


def test_ls_shows_what_is_below_a_folder(run, tmp_path):
    HashStash(tmp_path / "x", dbname="a/b", engine="pairtree")["key"] = 1
    assert run("ls", tmp_path).lines[1].split()[0] == "x/a/b"
    assert run("ls", tmp_path / "x", "--dbname", "a").lines[1].split()[0] == "b"


def test_ls_as_json_is_complete(run, stash):
    (one,) = run("ls", "--json").json["stashes"]
    assert one == {
        "name": "exp/first",
        "engine": "pairtree",
        "entries": 3,
        "results": 0,
        "size": stash.size_bytes(),
        "root_dir": stash.root_dir,
        "dbname": "first",
        "serializer": "hashstash",
        "compress": stash.compress,
        "b64": False,
        "path": stash.path,
    }


def test_ls_goes_on_where_one_stash_cannot_be_read(run, stash, private_home):
    broken = HashStash("broken", engine="sqlite")
    broken["key"] = 1
    broken.close()
    for place, _, names in os.walk(os.path.dirname(broken.path)):
        for name in names:
            with open(os.path.join(place, name), "wb") as file:
                file.write(b"no database at all" * 500)
    ran = run("ls")
    assert ran.code == 1
    assert "exp/first" in ran.out
    assert "cannot be read" in next(line for line in ran.lines if line.startswith("broken"))


def test_ls_shows_entries(run, stash):
    stash.put("noted", 1, ttl=3000, tags=["final"], seconds=2)
    ran = run("ls", "exp/first", "--entries")
    address = stash.store.keys.address("noted").hex()[:8]
    (line,) = [line for line in ran.lines if line.startswith(address)]
    assert "'noted'" in line
    assert "final" in line
    assert "2 s" in line
    assert len(ran.lines) == 5


def test_entries_as_json_are_one_document_with_everything(run, stash):
    stash.put("noted", math.sqrt, ttl=3000, tags=["final"], meta={"when": dt.date(2024, 5, 1), "n": 1}, seconds=2.5)
    entries = run("ls", "exp/first", "-e", "--json").json["entries"]
    noted = next(entry for entry in entries if entry["key"] == "noted")
    info = stash.info("noted")
    assert noted["address"] == info.address.hex()
    assert (noted["size"], noted["raw_size"], noted["codec"]) == (info.size, info.raw_size, info.codec)
    assert (noted["is_code"], noted["trusted"], noted["foreign"], noted["signer"]) == (True, True, False, info.signer)
    assert (noted["tags"], noted["meta"]["n"], noted["seconds"], noted["version"]) == (["final"], 1, 2.5, 1)
    assert dt.datetime.fromisoformat(noted["expires"]).timestamp() == pytest.approx(info.expires_at)
    assert {entry["repr"] for entry in entries} == {"'text'", "'number'", "('f', 1)", "'noted'"}


def test_notes_of_any_kind_have_a_form_in_json(run, stash):
    notes = {"nan": math.nan, "nested": {(1, 2): [{3}, b"bytes"]}, "tuple": (1, None), "long": 10**30}
    stash.put("noted", 1, meta=notes)
    found = run("info", "exp/first", "noted", "--json").json["meta"]
    assert found == {"nan": "nan", "nested": {"(1, 2)": ["{3}", "b'bytes'"]}, "tuple": [1, None], "long": 10**30}


def test_a_key_that_cannot_be_read_does_not_hide_the_others(run, stash):
    """Such as one of a type whose package is not installed here."""
    address = stash.store.keys.address("text")
    row = bytearray(stash.store.engine.get(address))
    where = row.index(b"text")
    row[where - 1] = 0xC1  # which no document has
    stash.store.engine.put(address, bytes(row[:-4]) + struct.pack("<I", crc32(row[:-4])))
    texts = {entry["repr"] for entry in run("ls", "exp/first", "-e", "--json").json["entries"]}
    assert texts == {"<key that cannot be read>", "'number'", "('f', 1)"}


def test_entries_of_an_empty_stash_are_valid_json_too(run):
    HashStash("empty", engine="pairtree")
    assert run("ls", "empty", "-e", "--json").json["entries"] == []
    assert run("ls", "empty", "-e").out == "no entries\n"


def test_only_so_many_entries_are_listed(run, stash):
    assert len(run("ls", "exp/first", "-e", "--limit", "2", "--json").json["entries"]) == 2


def test_entries_of_nothing_are_a_misuse(failed):
    assert "ls --entries needs a PLACE" in failed("ls", "--entries", code=2)


# ---- what is not there -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["ls"], ["ls", "-e"], ["info"], ["get", "key"], ["rm", "key"], ["rm", "--all", "--yes"], ["prune"], ["check"]]
    + [["repair"], ["trust", "--yes"]],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["mistyped", "mis/typed", "{tmp}/mistyped", "lmdb://{tmp}/mistyped", "{tmp}"])
def test_a_mistyped_place_is_not_made(failed, stash, tree, tmp_path, words, place):
    place = place.format(tmp=tmp_path)
    if place.startswith("lmdb"):
        pytest.importorskip("lmdb", reason="the package lmdb is not installed")
    before = tree()
    line = failed(words[0], place, *words[1:])
    assert "there is no" in line
    assert "hashstash ls" in line
    assert tree() == before


def test_a_folder_above_stashes_names_them(failed, stash):
    assert "no stash at" in failed("info", "exp")
    assert "but below it: first" in failed("info", "exp")


def test_a_key_that_is_not_there_says_how_other_keys_are_given(failed, stash):
    line = failed("get", "exp/first", "nope")
    assert "there is no entry of 'nope'" in line
    assert "--literal or --address" in line


def test_an_entry_that_is_over_is_not_there(failed, stash):
    stash.put("short", 1, ttl=0.001)
    assert "is over" in failed("get", "exp/first", "short")


def test_several_engines_in_one_place_are_told_apart(run, failed, stash):
    HashStash("exp", dbname="first", engine="sqlite")["text"] = "from sqlite"
    assert "pairtree, sqlite; choose one with --engine" in failed("get", "exp/first", "text", code=2)
    assert run("get", "exp/first", "text", "--engine", "sqlite").out == "from sqlite\n"


@pytest.mark.parametrize(
    "words",
    [[], ["dance"], ["get", "exp"], ["ls", "--limit", "-1"], ["get", "a", "b", "--raw", "--json"], ["ls", "--colour"]],
    ids=" ".join,
)
def test_a_line_that_makes_no_sense_is_a_misuse(run, words):
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "usage: hashstash" in ran.err


def test_an_unknown_engine_is_a_misuse(failed, stash):
    assert "did you mean 'sqlite'" in failed("info", "exp/first", "--engine", "sqlit", code=2)
    assert "no engine for URLs of lmbd://" in failed("ls", "lmbd://x", code=2)


@pytest.mark.parametrize(
    "command", ["ls", "info", "get", "check", "rm", "prune", "repair", "trust", "export", "import"]
)
def test_every_command_explains_itself(run, command):
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"usage: hashstash {command}" in ran.out
    assert "--json" in ran.out


# ---- info and get ------------------------------------------------------------------------------------------------------------


def test_info_describes_a_stash(run, stash):
    stash.run(double, 1)
    ran = run("info", "exp/first", "--json").json
    assert (ran["name"], ran["entries"], ran["results"], ran["older_versions"]) == ("exp/first", 3, 1, 0)
    assert list(ran["below"].values()) == [1]
    assert stash.path in run("info", "exp/first").out


def test_info_describes_an_entry(run, stash):
    ran = run("info", "exp/first", "text", "--json").json
    assert (ran["key"], ran["address"]) == ("text", stash.store.keys.address("text").hex())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hello", "hello\n"),
        (0.5, "0.5\n"),
        (None, "None\n"),
        ([1, "a", (2,)], "[1, 'a', (2,)]\n"),
        (b"\0a", "b'\\x00a'\n"),
    ],
)
def test_get_prints_a_value(run, stash, value, shown):
    stash["key"] = value
    assert run("get", "exp/first", "key") == (0, shown, "")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_get_shows_the_beginning_of_what_has_no_end(run, stash, flags):
    value = [1]
    for _ in range(60):
        value = [value, value]
    stash["key"] = value
    ran = run("get", "exp/first", "key", *flags)
    assert ran.code == 1
    assert "holds the same parts over and over" in ran.err


def test_get_says_why_a_value_cannot_be_shown(run, stash):
    stash["key"] = 1 << 100_000
    ran = run("get", "exp/first", "key")
    assert ran.code == 1
    assert "key cannot be shown" in ran.err


def test_get_prints_json(run, stash):
    stash["key"] = {"a": [1, None], "b": (2.5, True), "c": dt.date(2024, 5, 1)}
    assert run("get", "exp/first", "key", "--json").json == {"a": [1, None], "b": [2.5, True], "c": "2024-05-01"}


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), {"a": b"bytes"}, {(1, 2): 3}])
def test_what_json_cannot_hold_is_not_changed_silently(failed, stash, value):
    stash["key"] = value
    assert "key cannot be written as JSON" in failed("get", "exp/first", "key", "--json")


def test_get_gives_arrays_as_json(run, stash):
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    stash["key"] = numpy.arange(4.0).reshape(2, 2)
    assert run("get", "exp/first", "key", "--json").json == [[0.0, 1.0], [2.0, 3.0]]


def test_get_gives_bytes_unchanged(stash, capfdbinary):
    content = bytes(range(256)) * 10
    stash["key"] = content
    assert main(["get", "exp/first", "key", "--raw"]) == 0
    assert capfdbinary.readouterr().out == content


def test_raw_is_for_bytes_and_text(failed, stash):
    assert "--raw is for bytes and text, and number is a float" in failed("get", "exp/first", "number", "--raw", code=2)


def test_get_writes_to_a_file(run, stash, tmp_path):
    stash["key"] = b"\0\1"
    assert run("get", "exp/first", "key", "--raw", "-o", tmp_path / "out") == (0, "", "")
    assert (tmp_path / "out").read_bytes() == b"\0\1"


def test_a_file_that_cannot_be_written_is_named(failed, stash, tmp_path):
    assert "No such file or directory" in failed("get", "exp/first", "text", "-o", tmp_path / "no" / "out")


@pytest.mark.parametrize("words", [["--literal", "('f', 1)"], ["--address", "{address}"], ["--address", "{short}"]])
def test_keys_of_every_kind_can_be_given(run, stash, words):
    address = stash.store.keys.address(("f", 1)).hex()
    words = [word.format(address=address, short=address[:7]) for word in words]
    assert run("get", "exp/first", *words).out == "{'a': [1, 2], 'b': (3,)}\n"


def test_a_key_can_be_given_as_json(run, stash):
    stash[["a", {"b": 1}]] = "found"
    assert run("get", "exp/first", "--key-json", '["a", {"b": 1}]').out == "found\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--literal", "__import__('os')"], "no Python literal"),
        (["--literal", "("], "no Python literal"),
        (["--key-json", "{"], "is no JSON"),
        (["--address", "xyz!"], "is no address"),
        (["--address", "ab"], "is no address"),
    ],
)
def test_a_key_that_cannot_be_read_is_a_misuse(failed, stash, words, hint):
    assert hint in failed("get", "exp/first", *words, code=2)


def test_an_address_that_fits_several_entries_is_not_guessed(failed, stash):
    stash.update((str(number), number) for number in range(3000))
    prefixes = [address.hex()[:4] for address in stash.store.engine.scan()]
    twice = next(prefix for prefix in prefixes if prefixes.count(prefix) > 1)
    assert "give more digits" in failed("get", "exp/first", "--address", twice, code=2)


def test_older_versions_can_be_got(run, failed):
    versioned = HashStash("versioned", engine="pairtree", append_mode=True)
    versioned["key"] = "one"
    versioned["key"] = "two"
    assert run("get", "versioned", "key").out == "two\n"
    assert run("get", "versioned", "key", "--number", 1).out == "one\n"
    assert run("get", "versioned", "key", "--number", 2).out == "two\n"
    assert "there is no version 3" in failed("get", "versioned", "key", "--number", 3)


# ---- whom to trust -------------------------------------------------------------------------------------------------------------


def test_code_is_only_decoded_if_that_is_wanted(run, failed, stash):
    stash["code"] = math.sqrt
    assert "--code decodes it" in failed("get", "exp/first", "code")
    assert run("get", "exp/first", "code", "--code").out == "<built-in function sqrt>\n"


@pytest.mark.parametrize("words", [[], ["--code"]])
def test_code_of_others_is_never_decoded(failed, run, stash, somebody_else, tmp_path, words):
    trap = tmp_path / "sprung"
    with somebody_else:
        theirs = HashStash("exp", dbname="first", engine="pairtree", serializer="pickle")
        theirs.store.save_encoded("trap", theirs.store.codec.serializer.dumps(Trap(str(trap))))
    line = failed("get", "exp/first", "trap", *words)
    assert "nobody whom you trust" in line
    assert "hashstash trust exp/first" in line
    assert run("ls", "exp/first", "-e").code == 0
    assert run("info", "exp/first", "trap", "--json").json["foreign"] is True
    assert run("check", "exp/first").code == 0
    assert not trap.exists()


def test_keys_that_need_code_are_not_decoded_in_listings(run, stash):
    stash[math.sqrt] = 1
    assert "<key that needs code>" in run("ls", "exp/first", "-e").out


def test_data_of_others_needs_no_trust(run, stash, somebody_else):
    with somebody_else:
        HashStash("exp", dbname="first", engine="pairtree")["theirs"] = [1, 2]
    assert run("get", "exp/first", "theirs").out == "[1, 2]\n"


def test_what_part_of_a_path_is_the_namespace_is_found_by_signatures(run, tmp_path):
    stash = HashStash(tmp_path / "root", dbname="deep/er", engine="pairtree")
    stash.update({"code": math.sqrt, "data": 1})
    place = tmp_path / "root" / "deep" / "er"
    assert run("get", place, "code", "--code").out == "<built-in function sqrt>\n"
    assert run("check", place).code == 0
    assert len(run("ls", place, "-e", "--json").json["entries"]) == 2
    assert run("get", tmp_path / "root", "--dbname", "deep/er", "code", "--code").code == 0


# ---- terminals -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["ls"], ["ls", "-e"], ["info"], ["info", "--address"], ["get", "--address"], ["check"], ["ls", "-e", "--json"]],
)
def test_nothing_that_a_stranger_has_written_steers_the_terminal(run, words):
    stash = HashStash("evil", dbname=ESCAPES, engine="pairtree")
    stash.put(ESCAPES, {ESCAPES: ESCAPES}, tags=[ESCAPES], meta={ESCAPES: ESCAPES})
    stash.put("text", ESCAPES)
    (place,) = [one["name"] for one in run("ls", "--json").json["stashes"]]
    key = [stash.store.keys.address(ESCAPES).hex()] if "--address" in words else []
    ran = run(words[0], *([] if words == ["ls"] else [place]), *words[1:], *key)
    assert ran.code == 0
    assert ran.out.replace("\n", "").isprintable()


def test_text_is_escaped_where_it_is_printed_and_not_where_it_is_wanted_raw(run, stash):
    stash["key"] = "two\nlines\tand \x1b[31m"
    assert run("get", "exp/first", "key").out == "two\nlines\tand \\x1b[31m\n"
    assert run("get", "exp/first", "key", "--raw").out == "two\nlines\tand \x1b[31m"


def test_errors_are_escaped_as_well(failed, stash):
    assert "\x1b" not in failed("get", "exp/first", ESCAPES)
    assert "\x1b" not in failed("info", ESCAPES)


# ---- check -----------------------------------------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong_with_sound_stashes(run, stash):
    HashStash("another", engine="sqlite")["key"] = 1
    ran = run("check")
    assert ran.code == 0
    assert ran.lines == ["another: 1 row, nothing wrong", "exp/first: 3 rows, nothing wrong"]


def test_check_exits_with_1_if_something_is_wrong(run, stash, tree):
    address = stash.store.keys.address("text")
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1] + b"?")
    before = tree()
    ran = run("check", "exp/first")
    assert ran.code == 1
    assert "3 rows, 1 problem" in ran.out
    (report,) = run("check", "--json").json["stashes"]
    assert (report["rows"], len(report["problems"])) == (3, 1)
    assert tree() == before


# ---- servers ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize("engine", ["redis", "mongo"])
def test_a_stash_on_a_server_is_looked_into_by_its_url(run, request, engine):
    pytest.importorskip({"redis": "redis", "mongo": "pymongo"}[engine], reason="the package is not installed")
    url = request.getfixturevalue(f"{engine}_url")
    HashStash(url)["key"] = "value"
    HashStash(url, dbname="inner/most")["key"] = "below"
    assert run("get", url, "key").out == "value\n"
    assert {one["name"] for one in run("ls", url, "--json").json["stashes"]} >= {"inner/most"}
    assert run("get", url, "--dbname", "inner/most", "key").out == "below\n"
    assert run("rm", url, "key").code == 0
    assert "key" not in HashStash(url)


def test_a_server_that_is_away_is_one_line(failed):
    pytest.importorskip("redis", reason="redis is not installed")
    assert "redis://localhost:1" in failed("info", "redis://localhost:1/0/x")


@pytest.mark.parametrize("line", ["exp/first {} --literal", "exp/first --literal {}", "--literal exp/first {}"])
def test_flags_may_stand_anywhere(run, stash, line):
    words = [word.format("('f', 1)") for word in line.split(" ")]
    assert run("get", *words).code == run("info", *words).code == run("rm", *words).code == 0
    assert len(stash) == 2


def test_a_key_may_begin_with_a_dash(run, stash):
    stash.update({"-x": "dash", -1: "minus"})
    assert run("get", "exp/first", "--", "-x").out == "dash\n"
    assert run("get", "--literal", "exp/first", "--", "-1").out == "minus\n"
    assert run("get", "exp/first", "-1", "--literal").out == "minus\n"


@pytest.mark.parametrize("engine", ["redis", "mongo", "memory"])
def test_a_folder_named_like_a_server_is_no_stash(run, tmp_path, engine):
    """Looking into a folder asks no server, whatever it says of itself."""
    HashStash(tmp_path / "mine", engine="pairtree", compress="zlib")["a"] = 1
    shutil.copytree(tmp_path / "mine" / "pairtree.hashstash.zlib", tmp_path / "mine" / f"{engine}.hashstash.zlib")
    listed = run("ls", tmp_path, "--json").json["stashes"]
    assert [one["engine"] for one in listed] == ["pairtree"]
    assert run("get", tmp_path / "mine", "a").out == "1\n"


def test_folders_that_no_function_has_made_hide_nothing(run, tmp_path):
    stash = HashStash(tmp_path / "mine", engine="pairtree")
    stash.run(len, "abc")
    results = tmp_path / "mine" / "stashed_result"
    for name in ("%2E%2E", "%00", "%2Fetc"):
        shutil.copytree(next(results.iterdir()), results / name)
    shutil.copytree(tmp_path / "mine", tmp_path / "%00")
    assert run("check", tmp_path).code == 0
    assert not stash.check()
    stash.clear()


def test_words_that_are_not_understood_steer_no_terminal(run):
    ran = run("ls", "a", "\x1b]0;title\x07")
    assert ran.code == 2
    assert "\\x1b]0;title\\x07" in ran.err
