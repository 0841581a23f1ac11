"""Why a cell ran, in detail: ``%stash why`` and ``--verbose`` name what differs in inputs, code, files and the rest."""

from __future__ import annotations

import random
import sys
import zlib

import pytest

from hashstash.cells import lately, source_texts, summaries
from hashstash.cells.recorded import Outputs


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a loaded machine too there is time for what these tests hold."""
    monkeypatch.setattr(summaries, "_SECONDS", 60)
    monkeypatch.setattr(summaries, "_SECONDS_FOR_ALL", 60)


FRAME = "import pandas as pd\ndf = pd.DataFrame({'price': [1.0, 2.0, 3.0], 'name': ['a', 'b', 'c']})"


def why(session, before: str, cell: str, after: str, *, is_restarted: bool = False) -> str:
    """What is said of a cell that runs a second time, after a change; in another process nothing is left in memory."""
    session.run(before)
    session.run(f"%%stash t\n{cell}")
    session.run(after)
    if is_restarted:
        lately._kept.clear()  # noqa: SLF001  as in a new process
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
def test_after_a_restart_a_variable_is_told_by_its_type_size_and_place(session, before, after, said):
    assert said in why(session, before, "y = x", after, is_restarted=True)


@pytest.mark.parametrize(
    "before, after, said",
    [
        ("x = 1", "x = 2", "1 -> 2"),
        ("x = None", "x = 2.5", "type NoneType -> float\nNone -> 2.5"),
        ("x = dt.date(2020, 1, 1)", "x = dt.date(2021, 1, 1)", "2020-01-01 -> 2021-01-01"),
        ("x = dt.timedelta(1)", "x = dt.timedelta(2)", "1 day, 0:00:00 -> 2 days, 0:00:00"),
        ("x = Decimal('0.1')", "x = Decimal('0.10')", "0.1 -> 0.10"),
        ("x = PurePosixPath('a/b')", "x = PurePosixPath('a/c')", "a/b -> a/c"),
        ("x = range(3)", "x = range(4)", "range(0, 3) -> range(0, 4)"),
    ],
)
def test_single_values_are_told_once_and_as_they_are(session, before, after, said):
    session.run("import datetime as dt\nfrom decimal import Decimal\nfrom pathlib import PurePosixPath")
    assert why(session, before, "y = x", after) == f"`x` changed\n{said}"


@pytest.mark.parametrize(
    "before, after, said",
    [
        ("x = 'one two'", "x = 'one too'", "length 7 as before\n'one two' -> 'one too'"),
        ("x = 'a ' * 300", "x = 'a ' * 100 + 'b ' * 200", "first difference at character 200: 'a a a "),
        ("x = 'select a\\nfrom t\\n'", "x = 'select b\\nfrom t\\n'", "-select a\n+select b\nfrom t"),
        ("x = [0] * 20", "x = [0] * 12 + [1] * 8", "length 20 as before\n[12]: 0 -> 1, and in 7 items more"),
        ("x = [1, 2, 3]", "x = [1, 2, [3]]", "length 3 as before\n[2]: type int -> list\n[2]: 3 -> [3]"),
        ("x = (1, 2, 3)", "x = (1, 2, 3, 4)", "length 3 -> 4\nthe first 3 items are as before"),
        ("x = {'a': 1, 'b': {'c': 2}}", "x = {'a': 1, 'b': {'c': 3}}", "length 2 as before\n['b']['c']: 2 -> 3"),
        ("x = {'a': 1, 'b': 2}", "x = {'b': 2, 'c': 3}", "- ['a']: 1\n+ ['c']: 3"),
        ("x = {1, 2}", "x = {1, 3}", "- 2\n+ 3"),
        ("x = [float('nan'), 0.0]", "x = [float('nan'), -0.0]", "[1]: 0.0 -> -0.0"),
        ("x = [1, 2]", "x = [1, True]", "[1]: 2 -> True"),
    ],
)
def test_in_one_session_a_variable_is_told_by_what_it_was_and_is(session, before, after, said):
    assert said in why(session, before, "y = x", after)


@pytest.mark.parametrize(
    "before, after",
    [
        ("token = 'sesame one'", "token = 'sesame two'"),
        ("x = {'password': 'sesame1'}", "x = {'password': 'sesame2'}"),
        ("x = ['sesame0123456789abcdef']", "x = ['sesame0123456789abcdeg']"),
        ("x = 'k=sesame0123456789abcdef '", "x = 'k=sesame0123456789abcdeg '"),
        ("x = {'h': 'Bearer sesame0123456789abc'}", "x = {'h': 'Bearer sesame0123456789abd'}"),
    ],
)
def test_what_looks_like_a_secret_is_not_repeated(session, before, after):
    said = why(session, before, "y = len(token)" if "token" in before else "y = len(x)", after)
    assert "changed" in said
    assert "sesame" not in said


@pytest.mark.parametrize(
    "is_restarted, said", [(False, "[1, 1]: 0.0 -> 5.0"), (True, "[1, 1]: 0.0 -> 5.0")], ids=["here", "restarted"]
)
def test_an_array_is_told_by_the_first_difference_and_what_was_there(session, is_restarted, said):
    pytest.importorskip("numpy")
    before = "import numpy as np\na = np.zeros((2, 3))"
    said = f"shape (2, 3) as before\nfirst difference at {said}"
    assert said in why(session, before, "y = a.sum()", "a[1, 1] = 5", is_restarted=is_restarted)


def test_a_large_array_is_told_by_the_elements_between_which_it_differs(session):
    pytest.importorskip("numpy")
    before = "import numpy as np\na = np.zeros((300, 1000))"
    said = why(session, before, "y = a.sum()", "a[1, 30] = 5")
    assert "first difference between [1, 24] and [2, 47]" in said


def test_an_array_is_told_by_shape_and_dtype(session):
    pytest.importorskip("numpy")
    said = why(session, "import numpy as np\na = np.zeros(6)", "y = a.sum()", "a = np.zeros(7, dtype='int32')")
    assert "shape (6) -> (7)\ndtype float64 -> int32" in said


@pytest.mark.parametrize(
    "after, here, restarted",
    [
        ("df.loc[1, 'price'] = 9", "column 'price', row 1: 2.0 -> 9.0", "column 'price', row 1: 2.0 -> 9.0"),
        (
            "df['name'] = ['a', 'x', 'y']",
            "column 'name', row 1: 'b' -> 'x', and in 1 row more",
            "column 'name' is diff",
        ),
        (
            "df['more'] = 1",
            "shape (3, 2) -> (3, 3)\ncolumn 'more' is new",
            "shape (3, 2) -> (3, 3)\ncolumn 'more' is new",
        ),
        ("df['price'] = [1, 2, 3]", "column 'price': dtype float64 -> int64", "column 'price': dtype float64 -> int64"),
        ("del df['name']", "column 'name' is gone", "column 'name' is gone"),
        ("df = df[['name', 'price']]", "the columns are in another order", "the columns are in another order"),
        ("df.index = [3, 4, 5]", "index, row 0: 0 -> 3, and in 2 rows more", "the index differs"),
        ("df = df.iloc[::-1]", "the rows are in another order", "the index differs"),
        ("df = df.iloc[:2]", "the first 2 rows are as before", "shape (3, 2) -> (2, 2)"),
        ("df.attrs['k'] = 1", "shape (3, 2) as before", "shape (3, 2) as before"),
    ],
)
def test_a_frame_is_told_by_shape_columns_index_and_the_first_difference(session, after, here, restarted):
    pytest.importorskip("pandas")
    assert here in why(session, FRAME, "y = len(df)", after)
    assert restarted in why(session, FRAME, "y = len(df) + 1", after, is_restarted=True)


def test_a_row_is_told_by_its_label(session):
    pytest.importorskip("pandas")
    before = "import pandas as pd\ns = pd.Series([1, 2, 3], index=['a', 'b', 'c'])"
    assert "row 'b': 2 -> 7" in why(session, before, "y = s.sum()", "s['b'] = 7")


def test_a_row_is_told_by_its_labels(session):
    pytest.importorskip("pandas")
    index = "pd.MultiIndex.from_product([['a', 'b'], [1, 2]])"
    before = f"import pandas as pd\ndf = pd.DataFrame({{'v': [1, 2, 3, 4]}}, index={index})"
    said = why(session, before, "y = len(df)", "df.iloc[2, 0] = 99")
    assert "shape (4, 1) as before\ncolumn 'v', row ('b', 1): 3 -> 99" in said


def test_of_a_long_frame_the_columns_are_told_that_differ(session):
    pytest.importorskip("pandas")
    before = "import pandas as pd, numpy as np\ndf = pd.DataFrame(np.zeros((100_000, 3)), columns=list('abc'))"
    said = why(session, before, "y = len(df)", "df.loc[77_777, 'b'] = 1")
    assert "shape (100000, 3) as before\ncolumn 'b' is different" in said


def test_other_frames_and_arrays_are_told_in_the_same_way(session):
    pytest.importorskip("polars")
    before = "import polars as pl\np = pl.DataFrame({'a': range(50), 'b': ['x'] * 50}); s = pl.Series('s', range(100))"
    after = "p[13, 'b'] = 'y'; s[4] = 77"
    said = why(session, before, "y = len(p), len(s)", after)
    assert "`p` changed\nshape (50, 2) as before\ncolumn 'b', row 13: 'x' -> 'y'" in said
    assert "`s` changed\nshape (100) as before\nrow 4: 4 -> 77" in said
    said = why(session, before, "y = len(s), len(p)", after + "; p[3, 'a'] = 7", is_restarted=True)
    assert "column 'a', row 3: 3 -> 7\ncolumn 'b' is different" in said
    assert "first difference at element 4: 4 -> 77" in said


def test_arrays_with_names_of_dimensions_are_told_by_them(session):
    pytest.importorskip("xarray")
    before = "import xarray as xr, numpy as np\na = xr.DataArray(np.zeros((2, 3)), dims=['x', 'y'])"
    said = why(session, before, "y = float(a.sum())", "a = a.copy(); a[1, 2] = 5")
    assert "shape (2, 3) as before\nfirst difference at [x=1, y=2]: 0.0 -> 5.0" in said


def test_an_input_that_the_cell_changes_itself_is_told_as_it_was_before_the_run(session):
    assert "length 1 -> 2" in why(session, "x = [1]", "x.append(5)", "x = [1, 2]")


def test_a_helper_is_told_by_its_lines(session):
    helper = "def helper(a):\n    b = a + {}\n    return b\ndef f(a):\n    return helper(a)"
    said = why(session, helper.format(1), "y = f(1)", helper.format(2))
    assert "`helper` changed" in said
    assert "-    b = a + 1\n+    b = a + 2" in said
    assert "`f`" not in said


def test_a_method_and_an_attribute_are_told_by_name(session):
    source = (
        "class Acc:\n    def add(self): return {}\n    def other(self): return 0\na = Acc(); a.n = {}; a.t = 'text {}'"
    )
    said = why(session, source.format(1, 1, 1), "y = a.add()", source.format(2, 2, 2))
    assert "attribute 'n': 1 -> 2\nattribute 't' is different" in said
    assert "Acc.add:\n-    def add(self): return 1\n+    def add(self): return 2" in said
    assert "other" not in said


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


MODULE = """N = 1
WORD = 'geheim'
def inner(a):
    return a + 1
def helper(a):
    return inner(a)
class K:
    def m(self):
        return N
"""


@pytest.fixture
def my_helpers(session, home, monkeypatch):
    """Writes a module of the user's, and loads it again if it is loaded."""
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.delitem(sys.modules, "my_helpers", raising=False)

    def write(text):
        (home / "my_helpers.py").write_text(text)
        session.run(
            "import sys, importlib\nif 'my_helpers' in sys.modules: importlib.reload(sys.modules['my_helpers'])"
        )

    write(MODULE)
    yield write
    sys.modules.pop("my_helpers", None)


EDITED = MODULE.replace("a + 1", "a + 10").replace("N = 1", "N = 2").replace("return N", "return -N")


def test_a_module_of_the_users_is_told_by_its_lines_and_numbers(session, my_helpers):
    session.run("import my_helpers")
    session.run("%%stash t\ny = my_helpers.helper(1)")
    my_helpers(EDITED)
    session.run("%%stash t -v\ny = my_helpers.helper(1)")
    assert "`my_helpers` changed\n  attribute 'N': 1 -> 2\n" in session.status()
    assert "my_helpers.inner:\n   def inner(a):\n  -    return a + 1\n  +    return a + 10" in session.status()
    assert "-        return N\n  +        return -N" in session.status()
    assert "helper(a)" not in session.status()


def test_a_function_of_a_module_is_told_by_the_lines_of_those_that_it_calls(session, my_helpers):
    session.run("from my_helpers import helper")
    session.run("%%stash t\ny = helper(1)")
    my_helpers(EDITED)
    session.run("from my_helpers import helper")
    session.run("%%stash t -v\ny = helper(1)")
    assert "`helper` changed\n  my_helpers.inner:\n   def inner(a):\n  -    return a + 1\n" in session.status()
    assert "its text is as before" not in session.status()


def test_a_module_that_the_cell_imports_is_told_by_its_file(session, my_helpers):
    session.run("%%stash t\nfrom my_helpers import helper\ny = helper(1)")
    my_helpers(EDITED)
    session.run("del helper")
    del sys.modules["my_helpers"]
    session.run("%%stash t -v\nfrom my_helpers import helper\ny = helper(1)")
    assert "module my_helpers changed: 131 B -> 133 B, written just now\n  my_helpers.inner:" in session.status()
    assert "my_helpers:\n  -N = 1\n  +N = 2" in session.status()


def test_no_texts_of_modules_are_kept_but_those_of_functions(session, my_helpers):
    session.run("import my_helpers as other")
    session.run("%%stash t\nimport my_helpers\ny = other.helper(1)")
    kept = stored_inputs(session)
    texts = {name: source_texts.unpacked(summary.get("code")) for name, summary in kept.items()}
    assert texts["other"]["my_helpers.inner"] == "def inner(a):\n    return a + 1\n"
    assert texts["module my_helpers"]["my_helpers"] == "N = 1\n"
    assert "geheim" not in repr((kept, texts))


def test_much_code_is_kept_in_part(session, my_helpers):
    rng = random.Random(1)  # noqa: S311
    text = "".join(f"def f{n}():\n    return {[rng.random() for _ in range(20)]}\n" for n in range(100))
    my_helpers(text)
    session.run("import my_helpers as other")
    session.run("%%stash t\nimport my_helpers\ny = other.f77() + other.f3()")
    kept = stored_inputs(session)
    assert all(len(summary["code"]) <= 2000 for summary in kept.values())
    assert {"my_helpers.f77", "my_helpers.f3"} <= source_texts.unpacked(kept["other"]["code"]).keys()


@pytest.mark.parametrize("data", [b"x", zlib.compress(b"\0" * 10**7), zlib.compress(b"\xff\xfe"), "text", 5, [b"x"]])
def test_code_that_a_stranger_made_up_is_no_code(data):
    assert source_texts.unpacked(data) == {}


def test_a_copy_that_is_no_longer_what_it_was_is_not_told(session):
    lately._kept.clear()  # noqa: SLF001
    session.run("x = {'a': [1]}")
    session.run("%%stash t\ny = len(x)")
    (kept,) = lately._kept.values()  # noqa: SLF001
    kept.value["a"].append("not so")
    session.run("x = {'a': [2]}")
    session.run("%%stash t -v\ny = len(x)")
    assert "not so" not in session.status()
    assert "key 'a' differs" in session.status()


def test_copies_are_few_small_and_gone_when_others_come():
    lately._kept.clear()  # noqa: SLF001
    for number in range(1000):
        lately.keep("x" * 90_000, number.to_bytes(4, "big"))
    lately.keep("x" * 10**7, b"large")
    lately.keep([[0] * 1000] * 1000, b"many")
    lately.keep(object(), b"foreign")
    sizes = [len(kept.value) for kept in lately._kept.values()]  # noqa: SLF001
    assert sum(sizes) <= 16 << 20
    assert 100 < len(sizes) <= 256


def test_a_hit_has_no_reasons(session):
    session.run("x = 1")
    session.run("%%stash t\ny = x")
    session.run("%%stash t --verbose\ny = x")
    assert "because" not in session.status()
    session.run("%stash why t")
    assert session.status() == "stash t: the last cell was restored"


# ---- what to do ------------------------------------------------------------------------------------------------------


def said_of(session, name: str = "") -> str:
    session.run(f"%stash why {name}")
    return session.status()


@pytest.mark.parametrize(
    "cell, said",
    [
        (
            "1 / 0",
            "not cached: it failed with ZeroDivisionError, and errors are never stored\n  next: run the cell again",
        ),
        ("raise KeyboardInterrupt", "it was interrupted, and only what is whole is stored\n  next: run the cell again"),
        ("g = (i for i in 'ab')", "not cached: `g` is a generator"),
        ("next(g0)", "not cached: `g0` is a generator\n  next: let the cell begin with what that was made from"),
    ],
)
@pytest.mark.parametrize("above", ["", "%%time\n"])
def test_a_cell_that_was_not_stored_is_told_with_the_next_step(session, cell, said, above):
    session.run("g0 = iter(i for i in 'ab')")
    session.shell.run_cell(f"{above}%%stash t\n{cell}", store_history=True)
    assert said_of(session, "t").startswith("stash t: the last cell was run\n")
    assert said in said_of(session, "t")
    assert said_of(session) == said_of(session, "t")


@pytest.mark.parametrize(
    "cell, said",
    [
        ("# stash: off\nx = [0] * 9", "the cell says `# stash: off`\n  next: take that comment out of the cell"),
        (
            "x = bytes(200_000)",
            "its variables take 200 KB, more than 100 KB\n  next: raise the limit (%stash auto --max-size",
        ),
        ("import math", "not cached: the cell only imports and defines\n  next: write %%stash above the cell"),
        ("1 / 0", "it failed with ZeroDivisionError"),
    ],
)
def test_so_is_a_cell_under_auto(session, cell, said):
    session.run("%stash auto --min 0s --max-size 100KB")
    session.shell.run_cell(cell, store_history=True)
    assert said in said_of(session)


def test_a_quick_cell_under_auto_is_told_the_limit(session):
    session.run("%stash auto --min 9m")
    session.run("x = sum(range(10))")
    assert "it took less than 9 min\n  next: lower the limit (%stash auto --min TIME), or write `# stash: on`" in (
        said_of(session)
    )


def test_a_cell_that_was_only_to_be_read_was_not_run(session):
    session.shell.run_cell("%%stash t --read\nx = 1", store_history=True)
    assert "the last cell would run" in said_of(session, "t")
    assert "it was not run, since --read was given\n  next: write the cell without --read" in said_of(session, "t")


def test_the_same_code_under_another_name_is_told(session):
    session.run("%%stash one\nx = 1")
    session.run("%%stash two\nx = 1")
    assert "next: the same code is stored under another name: write %%stash one above the cell" in said_of(
        session, "two"
    )


def test_a_name_under_which_nothing_ran_is_told_by_what_is_stored(session):
    assert str(session.fail("%stash why")).startswith("no %%stash cell has run in this session; run one, or see")
    session.run("%%stash fitting\nx = 1")
    session.shell.magics_manager.registry["StashMagics"].reports.clear()
    assert "fitting has run in this session, but it holds 1 record: %stash info fitting" in (
        str(session.fail("%stash why fitting"))
    )
    assert "nothing is stored under that name; did you mean 'fitting'? %stash ls shows" in (
        str(session.fail("%stash why fiting"))
    )


def test_records_of_which_less_was_kept_are_still_told(session, monkeypatch):
    """Of columns only the digests, of attributes no numbers, and the text of functions alone."""
    pytest.importorskip("pandas")
    earlier = {
        "df": {"type": "pandas.DataFrame", "shape": [3, 2], "index": b"abcd", "columns": [["price", "float64", b"abcd"], ["name", "str", b""]]},
        "a": {"type": "A", "attributes": [["n", b"abcd"], ["gone", b"abcd"]]},
        "f": {"type": "function", "source": "def f():\n    return 1\n"},
    }  # fmt: skip
    lately._kept.clear()  # noqa: SLF001
    session.run(FRAME + "\nclass A: pass\na = A(); a.n = 1\ndef f():\n    return 1\n")
    session.run("%%stash t\ny = len(df), a, f()")
    lately._kept.clear()  # noqa: SLF001
    session.run("df.loc[1, 'price'] = 9; df['more'] = 1; a.n = 2\ndef f():\n    return 2\n")
    monkeypatch.setattr("hashstash.cells.rows.Rows.outputs", lambda *_all: (Outputs([], {}, None, earlier), True))
    session.run("%%stash t -v\ny = len(df), a, f()")
    said = session.status()
    assert "shape (3, 2) -> (3, 3)\n" in said
    assert "column 'more' is new\n" in said
    assert "column 'price' is different" not in said  # its digest was made in another way
    assert "attribute 'gone' is gone" in said
    assert "-    return 1\n  +    return 2" in said
