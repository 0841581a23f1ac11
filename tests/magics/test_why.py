"""Why a cell ran, in detail: ``%stash why`` and ``--verbose`` name what differs in inputs, code, files and the rest."""

from __future__ import annotations

import sys

import pytest

from hashstash.cells import summaries
from hashstash.cells.rows import Outputs


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a loaded machine too there is time for what these tests hold."""
    monkeypatch.setattr(summaries, "_SECONDS", 60)
    monkeypatch.setattr(summaries, "_SECONDS_FOR_ALL", 60)


FRAME = "import pandas as pd\ndf = pd.DataFrame({'price': [1.0, 2.0, 3.0], 'name': ['a', 'b', 'c']})"


def why(session, before: str, cell: str, after: str) -> str:
    """What is said of a cell that runs a second time, after a change."""
    session.run(before)
    session.run(f"%%stash t\n{cell}")
    session.run(after)
    session.run(f"%%stash t --verbose\n{cell}")
    verbose = session.status()
    session.run("%stash why t")
    lines = session.status().splitlines()
    told = [line.strip().removeprefix("because ") for line in lines[1:]]
    assert all(line in verbose for line in told)
    return "\n".join(told)


@pytest.mark.parametrize(
    "before, after, said",
    [
        ("x = 1", "x = 2", "`x` changed\n1 -> 2"),
        ("x = 1", "x = True", "type int -> bool\n1 -> True"),
        ("x = 'a' * 20", "x = 'a' * 12 + 'b' * 8", "`x` changed\nlength 20 as before"),
        (
            "x = 'a' * 2000",
            "x = 'a' * 650 + 'b' * 1350",
            "length 2,000 as before\nfirst difference between characters 512 and 1,023",
        ),
        ("x = [0] * 20", "x = [0] * 12 + [1] * 8", "length 20 as before\nfirst difference between elements 8 and 15"),
        ("x = [1, 2, 3]", "x = [1, 2, [3]]", "length 3 as before\nfirst difference at element 2"),
        ("x = [1, 2, 3]", "x = [1, 2, 3, 4]", "length 3 -> 4\nfirst difference at element 3"),
        ("x = {'a': 1, 'b': 2}", "x = {'a': 1, 'b': 3}", "length 2 as before\nkey 'b' differs"),
        ("x = {'a': 1, 'b': 2}", "x = {'b': 2, 'c': 3}", "key 'c' is new\n1 of its keys is gone"),
        ("x = {'a': 1, 'b': 2}", "x = {'b': 2, 'a': 1}", "its keys are in another order"),
        ("x = {1, 2}", "x = {1, 2, 3}", "length 2 -> 3"),
    ],
)
def test_a_changed_variable_is_told_by_its_type_size_and_place(session, before, after, said):
    assert said in why(session, before, "y = x", after)


def test_an_array_is_told_by_shape_dtype_and_the_first_difference(session):
    pytest.importorskip("numpy")
    cell = "y = a.sum()"
    assert "shape (2, 3) as before\nfirst difference at element 4" in why(
        session, "import numpy as np\na = np.zeros((2, 3))", cell, "a[1, 1] = 5"
    )
    assert "shape (6) -> (7)\ndtype float64 -> int32" in why(
        session, "a = np.zeros(6)", cell, "a = np.zeros(7, dtype='int32')"
    )


@pytest.mark.parametrize(
    "after, said",
    [
        ("df.loc[1, 'price'] = 9", "`df` changed\nshape (3, 2) as before\ncolumn 'price' is different"),
        ("df['more'] = 1", "shape (3, 2) -> (3, 3)\ncolumn 'more' is new"),
        ("df['price'] = [1, 2, 3]", "column 'price': dtype float64 -> int64"),
        ("del df['name']", "column 'name' is gone"),
        ("df = df[['name', 'price']]", "the columns are in another order"),
        ("df.index = [3, 4, 5]", "shape (3, 2) as before\nthe index differs"),
    ],
)
def test_a_frame_is_told_by_shape_columns_and_index(session, after, said):
    pytest.importorskip("pandas")
    assert said in why(session, FRAME, "y = len(df)", after)


def test_an_input_that_the_cell_changes_itself_is_told_as_it_was_before_the_run(session):
    assert "length 1 -> 2" in why(session, "x = [1]", "x.append(5)", "x = [1, 2]")


def test_a_helper_is_told_by_its_lines(session):
    helper = "def helper(a):\n    b = a + {}\n    return b\ndef f(a):\n    return helper(a)"
    said = why(session, helper.format(1), "y = f(1)", helper.format(2))
    assert "`helper` changed" in said
    assert "-    b = a + 1\n+    b = a + 2" in said
    assert "`f`" not in said


def test_a_method_and_an_attribute_are_told_by_name(session):
    source = "class Acc:\n    def add(self): return {}\n    def other(self): return 0\na = Acc(); a.n = {}"
    said = why(session, source.format(1, 1), "y = a.add()", source.format(2, 2))
    assert "attribute 'n' is different" in said


def test_changed_code_is_told_by_its_lines(session):
    session.run("%%stash t\na = 1\nb = a + 1\nc = b")
    session.run("%%stash t --verbose\na = 1\nb = a + 2\nc = b")
    assert "-b = a + 1\n  +b = a + 2" in session.status()
    session.run("%stash why t")
    assert "this code has not run before" in session.status()
    assert "+b = a + 2" in session.status()


def test_a_file_is_told_by_size_time_and_absence(session, home):
    (home / "in.txt").write_text("one")
    cell = "y = path.read_text()"
    session.run("from pathlib import Path; path = Path('in.txt')")
    assert "in.txt changed: 3 B -> 4 B, written just now" in why(session, "", cell, "path.write_text('more');")
    assert "in.txt changed: of the same size, written just now" in why(session, "", cell, "path.write_text('less');")
    (home / "in.txt").unlink()
    session.run(f"%%stash t --dry-run\n{cell}")
    assert "in.txt changed: it is gone" in session.status()


def test_the_surroundings_are_told(session, home, monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    assert "PLACE changed: it is no longer set" in why(
        session, "import os", "y = os.environ.get('PLACE')", "del os.environ['PLACE']"
    )
    (home / "sub").mkdir()
    said = why(session, "", "y = os.getcwd()", "os.chdir('sub')")
    assert f"no longer {home}, but {home / 'sub'}" in said


def test_the_random_state_is_told_by_generator(session):
    session.run("import random; random.seed(1)")
    session.run("%%stash t --rng\ny = random.random()")
    session.run("random.seed(2)")
    session.run("%%stash t --rng --dry-run\ny = random.random()")
    assert "the random state differs of random" in session.status()


def test_a_package_is_told_by_its_versions(session, monkeypatch):
    pytest.importorskip("numpy")
    session.run("%%stash t\nimport numpy\ny = 1")
    monkeypatch.setattr("hashstash.cells.facts.package_version", lambda _name: "0.9.1")
    session.run("%%stash t --dry-run\nimport numpy\ny = 1")
    assert "the package numpy is no longer" in session.status()
    assert ", but 0.9" in session.status()


# ---- what is kept for it ---------------------------------------------------------------------------------------------


def test_what_there_is_no_time_for_is_left_out(session, monkeypatch):
    monkeypatch.setattr(summaries, "_SECONDS", 0)
    monkeypatch.setattr(summaries, "_SECONDS_FOR_ALL", 0)
    session.run("a = {'k': 1}; b = 2")
    session.run("%%stash t\ny = a, b")
    assert stored_inputs(session) == {}
    session.run("b = 3")
    session.run("%%stash t --verbose\ny = a, b")
    assert "ran because: `b` changed" in session.status()


@pytest.mark.parametrize("value", [[["x"] * 100_000], {"k": [[0] * 100_000]}, ["x" * 10**7], [b"x" * 10**7]])
def test_large_parts_are_not_walked(value):
    kept = summaries.summarise(value)
    assert [digest for digest in kept.get("parts", []) if digest] == []
    assert [digest for _key, digest in kept.get("keys", []) if digest] == []


def stored_inputs(session) -> dict:
    rows = session.shell.magics_manager.registry["StashMagics"].open("t")
    (_digest, record), *_ = rows.all()
    return rows.outputs(record)[0].inputs


def test_no_texts_of_inputs_are_kept(session):
    session.run("token = 'sesame-open'; book = {'sesame-key': 'sesame-value'}; many = ['sesame-item']")
    session.run("%%stash t\ny = len(token), len(book), len(many)")
    kept = stored_inputs(session)
    assert kept.keys() == {"token", "book", "many"}
    assert "sesame" not in repr(kept)
    assert kept["token"] == {"type": "str", "length": 11, "blocks": []}  # nor digests of a few characters, soon guessed


def test_what_is_kept_of_an_input_is_small(session):
    pytest.importorskip("pandas")
    session.run("import pandas as pd, numpy as np")
    session.run("wide = pd.DataFrame({f'column {n} ' + 'x' * 200: range(5000) for n in range(200)})")
    session.run(
        "long = np.zeros((1000, 1000)); words = {f'k{n}' * 50: 'v' * 1000 for n in range(1000)}; n = 10 ** 9999"
    )
    session.run("%%stash t\ny = len(wide), long.shape, len(words), n > 1")
    kept = stored_inputs(session)
    assert kept.keys() == {"wide", "long", "words", "n"}
    assert all(len(repr(summary)) < 4000 for summary in kept.values())


@pytest.mark.parametrize(
    "made_up",
    [
        {},
        {"x": None},
        {"x": {"type": 3}},
        {"x": {"type": "list", "length": "\x1b[2J", "parts": 5}},
        {"x": {"type": "list", "length": 2, "parts": [b"a", "b", None]}},
        {"x": {"type": "list", "shape": [[]], "columns": 5, "keys": [1], "attributes": [[1]]}},
        ["x"],
        5,
    ],
)
def test_a_record_with_a_made_up_summary_or_none_gives_the_reason_without_details(session, monkeypatch, made_up):
    def planted(*_all):
        return Outputs([], {}, None, made_up), False

    session.run("x = [1]")
    session.run("%%stash t\ny = x")
    session.run("x = [2, 3]")
    monkeypatch.setattr("hashstash.cells.rows.Rows.outputs", planted)
    session.run("%%stash t --verbose\ny = x")
    assert "ran because: `x` changed" in session.status()
    assert "\x1b" not in session.status()


def test_steering_characters_of_a_stranger_are_not_printed(session, monkeypatch):
    summary = {"type": "<b>\x1b[2Jlist", "length": 1}
    session.run("x = [1]")
    session.run("%%stash t\ny = x")
    session.run("x = [2, 3]")
    monkeypatch.setattr(
        "hashstash.cells.rows.Rows.outputs", lambda *_all: (Outputs([], {}, None, {"x": summary}), False)
    )
    session.run("%%stash t --verbose\ny = x")
    data = next(data for data, metadata in session.displays if "hashstash" in metadata)
    assert "type <b>\\x1b[2Jlist -> list" in data["text/plain"]
    assert "\x1b" not in data["text/html"]
    assert "<b>" not in data["text/html"]


def test_a_record_that_is_gone_leaves_the_reason(session):
    session.run("x = 1")
    session.run("%%stash t\ny = x")
    session.run("x = 2")
    session.run("%%stash t\ny = x")
    session.run("%stash clear t")
    session.run("%stash why t")
    assert "`x` changed" in session.status()


def test_a_module_of_the_users_is_told_by_its_variables_and_its_file(session, home, monkeypatch):
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.delitem(sys.modules, "my_helpers", raising=False)
    (home / "my_helpers.py").write_text("N = 1\nM = 2\ndef helper(): pass\n")
    said = why(
        session,
        "import my_helpers, importlib, pathlib",
        "from my_helpers import helper\ny = my_helpers.N",
        "pathlib.Path('my_helpers.py').write_text('N = 10 + 1\\nM = 2\\ndef helper(): pass\\n'); importlib.reload(my_helpers);",
    )
    assert "`my_helpers` changed\nattribute 'N' is different" in said
    assert "module my_helpers changed: 31 B -> 36 B, written just now" in said


def test_a_hit_has_no_reasons(session):
    session.run("x = 1")
    session.run("%%stash t\ny = x")
    session.run("%%stash t --verbose\ny = x")
    assert "because" not in session.status()
    session.run("%stash why t")
    assert session.status() == "stash t: the last cell was restored"
