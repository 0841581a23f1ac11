"""What a cell that remembers does once, and not once per record, per cell or per name: counted, not timed."""

from __future__ import annotations

import shutil
import sys

import pytest

from hashstash import locks
from hashstash.cells import before, rows
from hashstash.cells.recorded import Record
from hashstash.cells.rows import Rows
from hashstash.cells.stashes import CellStashes
from hashstash.cells.summaries import Looked, summarise_all

CELL = "%%stash t\ny = x + 1\nprint(y)\n"


def stash_of(session, name="t"):
    return session.shell.magics_manager.registry["StashMagics"].open(name).stash


class Commits:
    """Write transactions of a stash's LMDB environment, as the library itself counts them."""

    def __init__(self, session):
        pytest.importorskip("lmdb")
        self.session = session
        self.before = self.count()

    def count(self) -> int:
        return int(stash_of(self.session).store.engine._open()._env.info()["last_txnid"])

    def since(self) -> int:
        return self.count() - self.before


@pytest.fixture
def made(monkeypatch):
    """How many records were made of what lies in a list, each as a 1."""
    found = []
    from_data = Record.from_data.__func__

    def counted(cls, *arguments, **keywords):
        found.append(1)
        return from_data(cls, *arguments, **keywords)

    monkeypatch.setattr(Record, "from_data", classmethod(counted))
    return found


def run_with(session, *values):
    for value in values:
        session.run(f"x = {value}")
        session.run(CELL)


def test_a_hit_commits_nothing(session):
    run_with(session, 1)
    commits = Commits(session)
    session.run("del y")
    session.run(CELL)
    assert (session["y"], commits.since()) == (2, 0)


def test_a_miss_commits_what_it_made_at_once_and_then_the_list_of_records(session):
    run_with(session, 1)
    commits = Commits(session)
    run_with(session, 2)
    assert "stored" in session.status()
    assert commits.since() == 2


@pytest.fixture
def lock_files(monkeypatch):
    """The lock files that were made."""
    found = []
    create = locks.create_file
    monkeypatch.setattr(locks, "create_file", lambda path: found.append(path) or create(path))
    return found


@pytest.mark.skipif(locks.fcntl is None, reason="there are no lock files on this system")
def test_a_miss_makes_two_files_for_locks_and_none_for_its_turn_beside_them(session, lock_files):
    run_with(session, 1)
    lock_files.clear()
    run_with(session, 2)
    assert "stored" in session.status()
    assert len(lock_files) == 2


def test_a_hit_makes_no_lock_file(session, lock_files):
    run_with(session, 1)
    lock_files.clear()
    session.run("del y")
    session.run(CELL)
    assert ("hit" in session.status(), lock_files) == (True, [])


def test_the_code_of_a_cell_is_analysed_once_among_the_same_names(session, monkeypatch):
    analysed = []
    analyse = before.analyse
    monkeypatch.setattr(before, "analyse", lambda *tree, **asked: analysed.append(tree) or analyse(*tree, **asked))
    run_with(session, 1, 2)
    analysed.clear()
    run_with(session, 3, 4)
    assert analysed == []


@pytest.mark.parametrize(
    "change",
    ["def f():\n    return w", "f = len", "z = f; del f; f = z; other = 1"],
    ids=["a function that reads another name", "another function", "another variable"],
)
def test_the_code_of_a_cell_is_analysed_anew_where_its_names_may_mean_other_things(session, change):
    """The digest of the code says nothing of what its names read, nor of which variables its strings name."""
    cell = "%%stash t\ny = f() if callable(f) and f is not len else 'w other'\n"
    session.run("v, w = 1, 2\ndef f():\n    return v")
    for value in (5, 6, 7):
        session.run(f"v = {value}")
        session.run(cell)
    session.run(change)
    session.run(cell)
    session.run("v, w, other = 10, 20, 30")
    session.run(cell)
    plain = session["y"]
    session.run(cell.removeprefix("%%stash t\n"))
    assert session["y"] == plain


def test_a_hit_makes_one_record_however_many_there_are(session, made):
    run_with(session, *range(12))
    made.clear()
    session.run(CELL)
    assert "hit" in session.status()
    assert len(made) == 1


@pytest.fixture
def decoded(monkeypatch):
    """The lists of records that were decoded, each as a 1."""
    found = []
    own_list = Rows._own_list
    monkeypatch.setattr(Rows, "_own_list", lambda opened, entry: found.append(1) or own_list(opened, entry))
    return found


def test_the_list_of_records_is_decoded_once_however_often_they_come_back(session, decoded):
    run_with(session, 1, 2)
    session.run(CELL)
    decoded.clear()
    session.run(CELL)
    assert ("hit" in session.status(), decoded) == (True, [])


def test_a_list_that_was_decoded_is_read_anew_when_somebody_else_has_written_to_it(session, decoded):
    run_with(session, 1, 2)
    session.run(CELL)
    CellStashes().rm("t", 1)
    decoded.clear()
    session.run(CELL)
    assert "stored" in session.status()
    assert decoded


def test_only_the_lists_that_were_read_last_are_kept_decoded(session, decoded):
    texts = [f"%%stash t\ny = x + {number}\n" for number in range(rows._MOST_LISTS + 1)]
    session.run("x = 1")
    for _ in range(2):
        for text in texts:
            session.run(text)
    decoded.clear()
    session.run(texts[-1])
    assert ("hit" in session.status(), len(decoded)) == (True, 0)
    session.run(texts[0])
    assert ("hit" in session.status(), len(decoded)) == (True, 1)


def test_a_miss_makes_one_record_if_one_difference_explains_it_however_many_there_are(session, made):
    run_with(session, *range(12))
    session.run("x = 99")
    made.clear()
    session.run(CELL)
    assert "stored" in session.status()
    assert len(made) == 1


def test_a_miss_makes_few_records_where_much_differs(session, made):
    cell = "%%stash t\ntotal = x + y + z\n"
    for value in range(12):
        session.run(f"x = y = z = {value}")
        session.run(cell)
    session.run("x = y = z = 99")
    made.clear()
    session.run(cell)
    assert len(made) == 3


def test_a_miss_is_explained_by_the_nearest_of_the_newest_records(session):
    cell = "%%stash t\ntotal = x + y + z\n"
    for values in ("1, 2, 3", "1, 9, 3", "7, 8, 9"):
        session.run(f"x, y, z = {values}")
        session.run(cell)
    session.run("x, y, z = 1, 9, 4")
    session.run(cell)
    session.run("%stash why t")
    assert "`z` changed" in session.status()
    assert "`y` changed" not in session.status()


def test_the_oldest_of_many_records_is_found(session):
    run_with(session, *range(12))
    session.run("x = 0")
    session.run(CELL)
    assert "hit" in session.status()


def test_an_old_record_is_found_though_an_ignored_input_differs(session):
    cell = "%%stash t --ignore z\ny = x + z\n"
    session.run("x, z = 1, 1")
    session.run(cell)
    for value in range(2, 7):
        session.run(f"x = {value}")
        session.run(cell)
    session.run("x, z = 1, 5")
    session.run(cell)
    assert (session["y"], "hit" in session.status()) == (2, True)


# ---- the stash stays open ----------------------------------------------------------------------------------------------


def test_a_stash_is_opened_once_for_all_cells(session):
    run_with(session, 1)
    opened = stash_of(session)
    run_with(session, 2)
    assert stash_of(session) is opened


def test_a_stash_whose_folder_was_removed_is_opened_anew(session):
    run_with(session, 1)
    opened = stash_of(session)
    shutil.rmtree(opened.path)
    run_with(session, 2)
    assert "stored" in session.status()
    assert stash_of(session) is not opened
    assert "ran in" not in session.status().partition("stored")[2]
    session.run("del y")
    session.run(CELL)
    assert "hit" in session.status()


def test_another_engine_in_the_environment_counts_from_the_next_cell_on(session, monkeypatch):
    run_with(session, 1)
    monkeypatch.setenv("HASHSTASH_ENGINE", "sqlite")
    run_with(session, 1)
    assert "stored" in session.status()
    assert stash_of(session).engine == "sqlite"


def test_another_root_counts_from_the_next_cell_on(session, tmp_path):
    run_with(session, 1)
    session.run(f"%config StashMagics.root = {str(tmp_path / 'other')!r}")
    run_with(session, 1)
    assert "stored" in session.status()
    assert stash_of(session).root_dir.startswith(str(tmp_path / "other"))


def test_a_relative_root_follows_the_working_directory(session, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    session.run("x = 1")
    monkeypatch.chdir(tmp_path / "one")
    session.run("%%stash t --root ./here\ny = x + 1\n")
    monkeypatch.chdir(tmp_path / "two")
    session.run("%%stash t --root ./here\ny = x + 1\n")
    assert "stored" in session.status()
    assert (tmp_path / "two" / "here").is_dir()


# ---- what is kept of a cell's text -------------------------------------------------------------------------------------


def test_a_transformer_that_is_added_later_has_its_say(session):
    cell = "%%stash t\na = 1\nb = a + 1\n"
    session.run(cell)
    session.shell.input_transformers_post.append(lambda lines: [line.replace("a = 1", "a = 5") for line in lines])
    session.run(cell)
    assert (session["a"], session["b"]) == (5, 6)


def test_a_line_that_the_variables_decide_is_looked_at_each_time(session, tmp_path):
    assert session.run("%%stash t\npwd") == str(tmp_path)
    session.run("pwd = 3")
    assert session.run("%%stash t\npwd") == 3


def test_an_ast_transformer_does_not_change_what_is_kept(session):
    import ast

    class Double(ast.NodeTransformer):
        def visit_Constant(self, node):  # noqa: N802
            return ast.copy_location(ast.Constant(node.value * 2), node) if type(node.value) is int else node

    session.shell.ast_transformers.append(Double())
    session.run("%%stash t --force\na = 1\nb = 1\n")
    assert session["a"] == 2
    session.run("%%stash t --force\na = 1\nb = 1\n")
    assert session["a"] == 2


# ---- what is kept of values --------------------------------------------------------------------------------------------


def test_a_summary_holds_the_text_of_the_function_that_it_is_of():
    """Two functions of one fingerprint may differ in their comments."""
    import linecache

    functions = []
    for number in (1, 2):
        text = f"def f():  # {number}\n    return 0\n"
        name = f"<function {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        space = {}
        exec(compile(text, name, "exec"), space)  # noqa: S102
        functions.append(space["f"])
    first, second = (summarise_all({"f": Looked(function, b"same")})["f"]["source"] for function in functions)
    assert ("# 1" in first, "# 2" in second) == (True, True)


def test_summaries_of_one_array_are_alike():
    np = pytest.importorskip("numpy")
    array = np.arange(100.0)
    first, second = (summarise_all({"a": Looked(array, b"an array")}) for _ in range(2))
    assert first == second
    assert first["a"]["shape"] == [100]


SHRINKING = """
class Shrinking:
    def __init__(self): self.x, self.cache = 1, {'a': 1}
    def __getstate__(self):
        self.cache.clear()
        return dict(self.__dict__)
"""


def test_what_changes_while_it_is_pickled_is_stored_as_it_is_then(session):
    session.run(SHRINKING)
    session.run("%%stash t\nmade = Shrinking()\n")
    assert "stored" in session.status()
    assert session["made"].cache == {}
    session.run("%%stash t\nmade = Shrinking()\n")
    assert "hit" in session.status()
    session.run("del made")
    session.run("%%stash t\nmade = Shrinking()\n")
    assert ("hit" in session.status(), session["made"].cache) == (True, {})


def test_functions_that_call_one_another_in_a_long_chain_are_all_inputs(session):
    """Longer than the interpreter's limit on recursion."""
    session.run(
        "for n in range(1500): exec(f'def step{n}(x): return x if x else step{n + 1}(x)')\ndef step1500(x): return 0\n"
    )
    session.run("%%stash t\ny = step0(1)\n")
    assert "stored" in session.status()
    session.run("%%stash t\ny = step0(1)\n")
    assert "hit" in session.status()
    session.run("def step1500(x): return 1")
    session.run("%%stash t\ny = step0(1)\n")
    assert "stored" in session.status()


COUNTED = """
import sys
class Counted:
    def __hashstash_fingerprint__(self):
        sys.looks_at_counted = getattr(sys, 'looks_at_counted', 0) + 1
        return 1
thing = Counted()
"""


def test_a_hit_looks_at_a_module_once(session, tmp_path, monkeypatch):
    (tmp_path / "counted_module.py").write_text(COUNTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "looks_at_counted", 0, raising=False)
    cell = "%%stash t\ny = counted_module.thing is not None\n"
    session.run("import counted_module\n")
    session.run(cell)
    assert sys.looks_at_counted > 0
    sys.looks_at_counted = 0
    session.run(cell)
    assert ("hit" in session.status(), sys.looks_at_counted) == (True, 1)
