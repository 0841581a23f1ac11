"""``%stash``: listing, taking out, explaining, removing."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

ONE = "%%stash one\n# first\ny = x + 1\nlabel = 'a'"


@pytest.fixture
def filled(session):
    session.run("x = 1")
    session.run(ONE)
    session.run("%%stash two/deep\nz = '<i>'")
    return session


@pytest.fixture
def twice(filled):
    """Stash one has a second record, of ``x = 2``."""
    filled.run("x = 2")
    filled.run(ONE)
    return filled


def test_list_of_stashes(filled):
    table = filled.run("%stash")
    assert [row[:2] for row in table.rows] == [["one", "1"], ["two/deep", "1"]]


def test_empty_list_says_how_to_begin(session):
    assert "%%stash NAME" in repr(session.run("%stash"))


def test_records_of_one_stash_newest_first(twice):
    table = twice.run("%stash ls one")
    assert [row[0] for row in table.rows] == ["1", "2"]
    assert [row[5:] for row in table.rows] == [["y, label", "x", "y = x + 1"]] * 2


def test_tables_are_escaped_and_plain_text_too(filled):
    table = filled.run("%stash ls two/deep")
    assert "<i>" not in table._repr_html_()
    assert "z = '<i>'" in repr(table)


def test_a_list_as_a_data_frame_has_values_and_not_texts(twice):
    pytest.importorskip("pandas")
    frame = twice.run("%stash ls one --df")
    assert frame["number"].tolist() == [1, 2]
    assert frame["variables"].tolist() == [["y", "label"]] * 2
    assert frame["size"].gt(0).all()
    stashes = twice.run("%stash ls --df")
    assert stashes.set_index("stash")["records"].to_dict() == {"one": 2, "two/deep": 1}


def test_a_name_with_a_space_stands_in_quotes_everywhere(session):
    session.run('%%stash "my runs"\ny = 1')
    session.run("y = 0")
    session.run("%%stash 'my runs'\ny = 1")
    assert "stash my runs: hit" in session.status()
    assert session.run("%stash get 'my runs' y") == 1
    assert [row[0] for row in session.run("%stash").rows] == ["my runs"]


@pytest.mark.parametrize("name", ["{x}", "$x", "a{x}b"])
def test_braces_and_dollars_in_a_line_are_never_expanded(session, name):
    session.run("x = 5")
    session.run(f"%%stash {name}\ny = 1")
    assert [row[0] for row in session.run("%stash").rows] == [name]
    assert session.run(f"%stash ls {name}").rows


def test_a_comment_at_the_end_of_a_line_is_one(filled):
    assert filled.run("%stash ls one  # the first").rows


# ---- stashes of several engines --------------------------------------------------------------------------------------


def test_a_stash_of_another_engine_is_found_and_looking_makes_no_second_one(session):
    session.run("%%stash t --engine sqlite\ny = 1")
    assert len(session.run("%stash ls t").rows) == 1
    assert session.run("%stash get t y") == 1
    assert [item["engine"] for item in session.run("%stash").items] == ["sqlite"]


def test_one_name_in_two_engines_is_two_rows_and_a_flag_chooses(session):
    session.run("%%stash t --engine sqlite\ny = 1")
    session.run("%%stash t --engine pairtree\ny = 2")
    listing = session.run("%stash")
    assert [(item["stash"], item["engine"]) for item in listing.items] == [("t", "pairtree"), ("t", "sqlite")]
    assert "pairtree" in repr(listing)
    assert session.run("%stash get t y --engine sqlite") == 1
    assert session.run("%stash get t y --engine pairtree") == 2


def test_with_an_engine_no_other_engines_stash_is_cleared(session):
    session.run("%%stash t --engine sqlite\ny = 1")
    error = session.fail("%stash clear t --engine pairtree")
    assert "no stash named 't' in pairtree" in str(error)
    assert session.run("%stash get t y") == 1


def test_stashes_in_memory_are_listed_where_memory_is_the_engine(session):
    session.run("%%stash t/deep --engine memory\ny = 1")
    assert session.run("%stash ls").rows == []
    assert [row[0] for row in session.run("%stash ls --engine memory").rows] == ["t/deep"]
    assert session.run("%stash get t/deep y --engine memory") == 1


def test_a_root_is_looked_into_where_it_is_named(session, home):
    session.run(f"%%stash t --root {home}/elsewhere\ny = 1")
    assert session.run("%stash").rows == []
    assert session.run(f"%stash get t y --root {home}/elsewhere") == 1


# ---- get -------------------------------------------------------------------------------------------------------------


def test_get_gives_one_variable_of_the_newest_record_and_restores_nothing(twice):
    twice.run("del y, label")
    assert twice.run("%stash get one y") == 3
    assert "y" not in twice.shell.user_ns
    assert "label" not in twice.shell.user_ns


def test_get_can_be_assigned(twice):
    twice.run("old = %stash get one y 2")
    assert twice["old"] == 2


def test_get_takes_the_beginning_of_an_id(twice):
    record = twice.run("%stash ls one").items[1]["id"]
    assert twice.run(f"%stash get one y {record[:8]}") == 2


def test_get_looks_for_the_newest_record_that_has_the_variable(filled):
    filled.run("%%stash one\nother = 7")
    assert filled.run("%stash get one y") == 2


def test_get_gives_functions_and_instances_that_this_user_has_stored(session):
    session.run("%%stash t\nclass A:\n    n = 3\ndef f(a):\n    return a.n\na = A()")
    session.run("del A, f, a")
    function = session.run("%stash get t f")
    assert function(session.run("%stash get t a")) == 3


def test_get_gives_the_live_object_that_the_record_shares_while_it_is_as_it_was(session):
    session.run("x = [1]")
    session.run("%%stash t\nb = x\nc = 3")
    session.run("del b")
    assert session.run("%stash get t b") is session["x"]


def test_get_refuses_a_value_that_shares_what_has_changed_and_gives_the_others(session):
    session.run("x = [1]")
    session.run("%%stash t\nb = {'in': x}\nc = 3")
    session.run("x.append(2)")
    assert "shares objects with the notebook's variable `x`" in str(session.fail("%stash get t b"))
    assert session.run("%stash get t c") == 3


@pytest.mark.parametrize(
    "line, part",
    [
        ("get one nosuch", "has no variable 'nosuch'; it has: label, y"),
        ("get one labl", "did you mean label?"),
        ("get one y 9", "no record 9; they are 1 (the newest) to 2"),
        ("get one y 0", "no record 0"),
        ("get one y zzzzzz", "no record 'zzzzzz'"),
        ("get one", "required: VARIABLE"),
        ("get onee y", "did you mean 'one'?"),
    ],
)
def test_a_value_that_cannot_be_had_is_an_error_that_says_what_there_is(twice, line, part):
    error = twice.fail(f"%stash {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)


def test_a_variable_that_was_left_out_is_said_to_be(session):
    session.run("%%stash t -x big\nbig = 1\ny = 2")
    assert "left out" in str(session.fail("%stash get t big"))


# ---- info and why ----------------------------------------------------------------------------------------------------


def test_info_says_what_the_records_read_and_wrote(session, home):
    (home / "in.txt").write_text("5")
    session.run("x = 1")
    session.run("from pathlib import Path")
    session.run("%%stash t\ny = x + int(Path('in.txt').read_text())\nPath('out.txt').write_text('a');")
    text = repr(session.run("%stash info t"))
    assert "1 record of 1 cell" in text
    assert "in.txt" in text
    assert "out.txt" in text
    assert "x" in session.run("%stash info t").records.items[0]["inputs"]


def test_info_shows_what_changed_in_the_code_since_the_record(filled):
    filled.run("%%stash one --dry-run\ny = x + 2\nlabel = 'a'")
    info = filled.run("%stash info one")
    assert "-y = x + 1" in list(info.difference)
    assert "+y = x + 2" in list(info.difference)
    assert "+y = x + 2" in info._repr_html_()


def test_info_of_a_cell_that_is_stored_as_it_is_says_so(filled):
    info = filled.run("%stash info one")
    assert info.difference is None
    assert "has the code of record 1" in repr(info)


def test_info_does_not_compare_cells_that_have_nothing_to_do_with_one_another(filled):
    filled.run("%%stash one --dry-run\nimport collections\nd = collections.deque()")
    info = filled.run("%stash info one")
    assert info.difference is None
    assert "no record has code like" in repr(info)


def test_info_of_a_record_shows_all_that_it_depends_on_and_its_code(filled, monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    filled.run("%%stash t --env PLACE --ttl 1d\nimport json\ny = json.dumps(x)\nprint(y)")
    text = repr(filled.run("%stash info t 1"))
    assert "PLACE" in text
    assert "expires" in text
    assert "1 output" in text
    assert text.endswith("import json\ny = json.dumps(x)\nprint(y)")


def test_why_names_what_changed(filled):
    filled.run("x = 2")
    filled.run(ONE)
    filled.run("%stash why one")
    assert "`x` changed" in filled.status()


def test_why_of_a_cell_that_has_not_run_names_those_that_have(filled):
    assert "those that ran: one, two/deep" in str(filled.fail("%stash why nobody"))


# ---- removing --------------------------------------------------------------------------------------------------------


def test_rm_removes_the_records_that_are_named_and_says_which(twice):
    twice.run("%stash rm one 2")
    assert "1 record removed" in twice.status()
    assert "y = x + 1" in twice.status()
    twice.run("x = 1")
    twice.run(f"{ONE}")
    assert "ran in" in twice.status()
    twice.run("x = 2")
    twice.run(f"{ONE}")
    assert "hit" in twice.status()


def test_rm_takes_all_its_records_before_it_removes_one(twice):
    twice.run("x = 3")
    twice.run(ONE)
    twice.run("%stash rm one 1 3")
    assert [item["number"] for item in twice.run("%stash ls one").items] == [1]
    assert twice.run("%stash get one y") == 3


def test_rm_with_a_wrong_number_removes_nothing(twice):
    assert "no record 7" in str(twice.fail("%stash rm one 1 7"))
    assert len(twice.run("%stash ls one").rows) == 2


def test_rm_leaves_no_parts_of_a_record(twice):
    twice.run("%stash rm one 1 2")
    assert len(twice.shell.magics_manager.registry["StashMagics"].stash_of("one")) == 0


def test_rm_of_a_stash_removes_all_of_it(twice):
    twice.run("%stash rm one")
    assert "2 records removed" in twice.status()
    assert [row[0] for row in twice.run("%stash").rows] == ["two/deep"]


def test_clear_removes_the_records_of_one_stash(filled):
    filled.run("%stash clear one")
    assert "1 record removed" in filled.status()
    filled.run(ONE)
    assert "ran in" in filled.status()
    assert filled.run("%stash ls two/deep").rows


def test_clear_older_keeps_young_records(filled):
    filled.run("%stash clear one --older 1d")
    assert "0 records removed" in filled.status()
    assert filled.run("%stash ls one").rows


def test_clear_all_removes_everything_of_every_engine(filled):
    filled.run("%%stash one --engine sqlite\nq = 1")
    filled.run("%stash clear --all")
    assert "stash one: 2 records" in filled.status()
    assert filled.run("%stash").rows == []
    filled.run("%stash clear --all")
    assert "nothing to remove" in filled.status()


def test_clear_removes_results_of_maps_too(defined):
    defined.run("%stash_map --serial --no-progress -n t f xs")
    assert "results of maps" in defined.run("%stash").columns
    defined.run("%stash clear t --older 1d")
    assert "0 records removed" in defined.status()
    defined.run("%stash clear t")
    assert "3 results of maps" in defined.status()
    assert defined.run("%stash").rows == []


def test_a_stash_that_was_cleared_is_not_listed(filled):
    filled.run("%stash clear one")
    assert [row[0] for row in filled.run("%stash").rows] == ["two/deep"]


# ---- lines that are wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, part",
    [
        ("nonsense", "known: aside, auto, check, clear, config"),
        ("lss", "did you mean ls?"),
        ("delete one", "did you mean rm?"),
        ("off", "did you mean auto --off?"),
        ("one", "%stash ls one"),
        ("ls a b", "'b' is one too many (what has spaces stands in quotes)"),
        ("ls --dff", "did you mean --df?"),
        ("ls --nonsense", "no flag --nonsense"),
        ("clear", "the name of one stash, or --all"),
        ("clear one --all", "not both"),
        ("clear ../up", "would lead outside"),
        ("clear one --older", "--older"),
        ("clear one --older soon", "soon"),
        ("why nobody", "no %%stash nobody"),
        ("get 'one y", "is not closed"),
        ("ls ''", "names nothing"),
        ("ls --engine nosuch", "nosuch"),
        ("ls --root redis://me:pw@somewhere", "--root: 'redis://...@somewhere' is no folder"),
        ("ls --root redis://somewhere", "--root: 'redis://somewhere' is no folder; for a server set engine"),
    ],
)
def test_a_wrong_command_is_a_usage_error_that_names_the_fault(filled, line, part):
    error = filled.fail(f"%stash {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)


@pytest.mark.parametrize("command", ["ls", "clear", "rm", "info", "trust"])
def test_an_unknown_stash_is_named_and_not_made(filled, command):
    with pytest.raises(UsageError, match="no stash named 'nosuch'; known: one, two/deep"):
        filled.run(f"%stash {command} nosuch")
    assert len(filled.run("%stash").rows) == 2


def test_help_lists_the_commands_and_each_has_its_own(session, capsys):
    session.run("%stash --help")
    assert "  export  " in capsys.readouterr().out
    session.run("%stash clear --help")
    assert "--older TIME" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["auto", "ls", "info", "why", "get", "rm", "clear", "trust", "use", "export", "import", "config"]
)
def test_the_help_of_each_command_can_be_printed(name):
    from hashstash.magics.manage import COMMANDS

    text = COMMANDS[name].argument_parser().format_help()
    assert COMMANDS[name].summary.split()[0] in text
    assert "{" not in text


def test_what_is_said_of_a_name_steers_no_terminal(session):
    with pytest.raises(UsageError) as raised:
        session.run("%stash import \x1b]0;title\x07.stash")
    assert "\\x1b]0;title\\x07" in str(raised.value)
