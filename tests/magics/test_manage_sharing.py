"""``%stash export``, ``import`` and ``trust``: what one user sends, what another sees, restores and signs."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from hashstash import trust

DATA = "%%stash data\ny = [1, {'a': (x, 3)}]\nprint('made')"
CODE = "%%stash code\ndef f():\n    return 1\nz = f()"


@pytest.fixture
def become_another_user(tmp_path, monkeypatch):
    """Another key, and another cache that is empty."""

    def become(name: str = "another") -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name / "state"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
        trust._keyrings.clear()

    return become


@pytest.fixture
def sent(session):
    """A file with stash data and stash code; the variables are gone."""
    session.run("x = 2")
    session.run(DATA)
    session.run(CODE)
    session.run("%stash export sent.stash")
    assert "2 stashes (code, data)" in session.status()
    session.run("del y, f, z")
    return session


def test_data_comes_back_on_another_account_without_trust(sent, become_another_user, capsys):
    become_another_user()
    sent.run("%stash import sent.stash data")
    assert "stash data: 1 record added" in sent.status()
    capsys.readouterr()
    sent.run(DATA)
    assert "hit" in sent.status()
    assert sent["y"] == [1, {"a": (2, 3)}]
    assert capsys.readouterr().out == "made\n"


def test_code_does_not_come_back_on_another_account_until_it_is_trusted(sent, become_another_user):
    become_another_user()
    sent.run("%stash import sent.stash")
    assert "%stash trust code" in sent.status()
    assert "nobody you trust signed" in str(sent.fail("%stash get code f"))
    sent.run("%stash trust code")
    sent.run("%stash trust code --yes")
    assert sent.run("%stash get code f")() == 1
    sent.run(CODE)
    assert "hit" in sent.status()


def test_what_one_has_exported_oneself_is_ones_own_again(sent):
    sent.run("%stash clear --all")
    sent.run("%stash import sent.stash")
    assert "trust" not in sent.status()
    sent.run(CODE)
    assert "hit" in sent.status()


def test_records_of_a_cell_that_is_stored_here_too_come_beside_those(sent, become_another_user):
    become_another_user()
    sent.run("x = 5")
    sent.run(DATA)
    sent.run("%stash import sent.stash data")
    assert "1 record added" in sent.status()
    assert [item["trusted"] for item in sent.run("%stash ls data").items] == [True, False]
    for x in (2, 5):
        sent.run(f"x = {x}")
        sent.run(DATA)
        assert "hit" in sent.status()
        assert sent["y"][1]["a"][0] == x


def test_importing_twice_brings_nothing_new(sent, become_another_user):
    become_another_user()
    sent.run("%stash import sent.stash")
    sent.run("%stash import sent.stash")
    assert "stash code: nothing new" in sent.status()
    assert len(sent.run("%stash ls data").rows) == 1


def test_an_equal_record_that_is_here_stays_and_no_parts_are_left_over(sent, become_another_user):
    become_another_user()
    sent.run(DATA)
    stash = sent.shell.magics_manager.registry["StashMagics"].stash_of("data")
    count = len(stash)
    sent.run("%stash import sent.stash data")
    assert "nothing new" in sent.status()
    assert len(stash) == count
    assert sent.run("%stash ls data").items[0]["trusted"]


def test_an_import_under_another_name(sent):
    sent.run("%stash import sent.stash data --as 'from her'")
    assert "stash from her: 1 record added" in sent.status()
    assert sent.run("%stash get 'from her' y") == [1, {"a": (2, 3)}]


def test_maps_travel_with_their_stash(defined, become_another_user):
    defined.run("%stash_map --serial --no-progress -n m f xs")
    defined.run("%stash export maps.stash m")
    become_another_user()
    defined.run("%stash import maps.stash")
    assert "3 results of maps added" in defined.status()
    defined.run("calls.clear()")
    defined.run("%stash_map --serial --no-progress -n m f xs")
    assert defined["calls"] == []


def test_without_names_what_this_session_used_is_exported(sent):
    sent.shell.run_line_magic("reload_ext", "hashstash")
    assert "say which: code, data, or --all" in str(sent.fail("%stash export x.stash"))
    sent.run(DATA)
    sent.run("%stash export x.stash")
    assert "1 stash (data)" in sent.status()
    sent.run("%stash export x.stash --all")
    assert "2 stashes (code, data)" in sent.status()


def test_an_export_never_writes_over_what_is_no_archive(sent, home):
    (home / "results.csv").write_text("a,b\n")
    assert "holds no stashes" in str(sent.fail("%stash export results.csv data"))
    assert (home / "results.csv").read_text() == "a,b\n"


@pytest.mark.parametrize(
    "line, part",
    [
        ("export", "required: FILE"),
        ("export folder data", "is a folder"),
        ("export no/such/place.stash data", "there is no folder ~/no/such"),
        ("export x.stash nosuch", "no stash named 'nosuch'"),
        ("export x.stash data --all", "not both"),
        ("import nofile.stash", "nofile.stash"),
        ("import notes.txt", "notes.txt"),
        ("import sent.stash nosuch", "it holds: code, data"),
        ("import sent.stash --as new", "--as needs the name of one stash"),
        ("import sent.stash data --as ../up", "would lead outside"),
    ],
)
def test_what_cannot_be_exported_or_imported_is_an_error_that_says_so(sent, home, line, part):
    (home / "folder").mkdir()
    (home / "notes.txt").write_text("notes")
    before = sorted(row[0] for row in sent.run("%stash").rows)
    error = sent.fail(f"%stash {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)
    assert sorted(row[0] for row in sent.run("%stash").rows) == before


# ---- trust -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def imported(sent, become_another_user):
    become_another_user()
    sent.run("%stash import sent.stash")
    return sent


def test_trust_lists_what_it_would_sign_and_signs_nothing(imported):
    listing = imported.run("%stash trust code")
    assert {item["what"] for item in listing.items} == {"record", "outputs", "variables"}
    assert {item["kind"] for item in listing.items if item["what"] == "variables"} == {"code"}
    assert all(item["text"] == "def f():" for item in listing.items)
    assert len({item["signer"] for item in listing.items}) == 1
    imported.fail("%stash get code f")


def test_yes_in_a_new_session_lists_first(imported):
    listing = imported.run("%stash trust code --yes")
    assert "has not been listed in this session" in imported.status()
    assert len(listing.items) == 3
    imported.fail("%stash get code f")


def test_yes_with_the_code_signs_at_once_as_a_notebook_that_runs_by_itself_needs_it(imported):
    code = imported.run("%stash trust code").code
    imported.shell.run_line_magic("reload_ext", "hashstash")
    imported.run(f"%stash trust code --yes {code}")
    assert "trusted from now on: 3 rows, 1 record among them" in imported.status()
    assert imported.run("%stash get code f")() == 1
    imported.run(f"%stash trust code --yes {code}")
    assert "everything in it is yours" in imported.status()


def test_what_was_added_since_the_list_is_not_signed(imported, become_another_user, monkeypatch):
    code = imported.run("%stash trust code").code
    with monkeypatch.context() as patch:
        patch.setenv("HASHSTASH_KEY", "ab" * 32)
        trust._keyrings.clear()
        imported.run("%%stash code\ndef g():\n    return 2")
    trust._keyrings.clear()
    for line in ("%stash trust code --yes", f"%stash trust code --yes {code}"):
        imported.shell.run_line_magic("reload_ext", "hashstash")
        imported.run(line)
        assert "nothing was signed" in imported.status()
        imported.fail("%stash get code g")
        imported.fail("%stash get code f")


def test_only_what_was_listed_is_signed_even_if_more_comes_in_between(imported, monkeypatch):
    stashes = imported.shell.magics_manager.registry["StashMagics"].stashes()
    listed = stashes.untrusted("code")
    with monkeypatch.context() as patch:
        patch.setenv("HASHSTASH_KEY", "ab" * 32)
        trust._keyrings.clear()
        imported.run("%%stash code\ndef g():\n    return 2")
    trust._keyrings.clear()
    assert stashes.trust("code", listed).records == 1
    assert stashes.get("code", "f")() == 1
    imported.fail("%stash get code g")


def test_ones_own_stash_has_nothing_to_trust(session):
    session.run(DATA.replace("x", "1"))
    assert session.run("%stash trust data") is None
    assert "everything in it is yours" in session.status()


def test_text_of_strangers_cannot_steer_the_terminal(session, become_another_user):
    session.run("%%stash t\ny = '\x1b[2J\x1b]0;owned\x07'")
    session.run("%stash export t.stash t")
    become_another_user()
    session.run("%stash import t.stash")
    shown = [session.run(line) for line in ("%stash ls t", "%stash info t", "%stash info t 1", "%stash trust t")]
    assert "\x1b" not in "".join(map(repr, shown))
    assert r"\x1b[2J" in repr(shown[2])
