"""Records that somebody else wrote: data comes back, code does not, and only harmless displays are shown."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from hashstash import trust
from hashstash.serializers.hashstash.graph import dump_roots


@pytest.fixture
def become_another_user(tmp_path, monkeypatch):
    def become() -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another state"))
        trust._keyrings.clear()

    return become


def test_data_comes_back(session, become_another_user):
    session.run("%%stash t\ny = [1, {'a': (2, 3)}]")
    session.run("del y")
    become_another_user()
    session.run("%%stash t\ny = [1, {'a': (2, 3)}]")
    assert "hit" in session.status()
    assert session["y"] == [1, {"a": (2, 3)}]


def test_html_is_left_out_and_text_is_shown(session, become_another_user):
    session.run("from IPython.display import display, HTML")
    cell = "%%stash t\ndisplay(HTML('<b>x</b>'))\ny = 1"
    session.run(cell)
    become_another_user()
    session.run(cell)
    assert "1 display left out" in session.status()
    assert "(%stash trust t lists what is theirs)" in session.status()
    assert [list(data) for data in session.outputs()] == [["text/plain"]]


def test_the_text_of_a_stranger_gives_a_terminal_no_orders(session, become_another_user, capsys):
    cell = "%%stash t\nprint('\\x1b[31mred\\x1b[0m', 'a\\x1b]52;c;enEK\\x07b')\ny = 1"
    session.run(cell)
    capsys.readouterr()
    session.run(cell)
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m a\x1b]52;c;enEK\x07b\n"
    become_another_user()
    session.run(cell)
    assert "hit" in session.status()
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m ab\n"


def test_code_runs_again_with_a_warning(session, become_another_user):
    cell = "%%stash t\ndef f():\n    return 1\ny = f()"
    session.run(cell)
    session.run("del f, y")
    become_another_user()
    session.run(cell)
    assert "ran in" in session.status()
    assert "warning" in session.status()
    session.run(cell)
    assert "hit" in session.status()


def test_a_stranger_does_not_change_the_environment(session, become_another_user):
    cell = "%%stash t\nimport os\nos.environ['SET_BY_CELL'] = 'x'\ndel os"
    session.run(cell)
    del os.environ["SET_BY_CELL"]
    become_another_user()
    session.run(cell)
    assert "nobody you trust signed it" in session.status()
    assert "ran in" in session.status()
    del os.environ["SET_BY_CELL"]


def stored(session, cell):
    """The rows of stash t, and the one record in them with its code's digest."""
    session.run(cell)
    assert "stored" in session.status()
    rows = session.shell.magics_manager.registry["StashMagics"].open("t")
    (found,) = rows.all()
    return rows, *found


def replace_variables(session, rows, record, roots):
    encoded = dump_roots(roots, namespace=session.shell.user_ns)
    rows.stash.put_encoded(("variables", record.id), encoded)


PLANTED = {"helper (changed in place, 0)": {"token": ["helper", 0], "set": {"__defaults__": ("planted",)}}}


def test_unsigned_changes_of_objects_are_not_applied_even_below_an_own_record(session):
    session.run("def helper(a='mine'):\n    return a")
    cell = "%%stash t\nx = helper() and 2"
    rows, _digest, record = stored(session, cell)
    session.run("del x")
    replace_variables(session, rows, record, {"x": 2, **PLANTED})
    session.run(cell)
    assert "nobody you trust signed it" in session.status()
    assert session["helper"]() == "mine"


def test_a_stranger_changes_no_objects(session, become_another_user):
    session.run("seen = [1]")
    cell = "%%stash t\nseen.append(2)"
    session.run(cell)
    session.run("seen = [1]")
    become_another_user()
    session.run(cell)
    assert "changes objects in place, and nobody you trust signed it" in session.status()
    assert "ran in" in session.status()
    assert session["seen"] == [1, 2]


def test_own_changes_of_objects_come_back(session):
    session.run("seen = [1]")
    cell = "%%stash t\nseen.append(2)"
    session.run(cell)
    session.run("seen = [1]")
    session.run(cell)
    assert "hit" in session.status()
    assert session["seen"] == [1, 2]


def test_a_stranger_imports_nothing(session, become_another_user, home):
    cell = "%%stash t\nx = 1"
    rows, digest, record = stored(session, cell)
    (home / "planted_module.py").write_text("raise SystemExit('imported')")
    session.run("import sys\nsys.path.insert(0, '.')\ndel x")
    rows.stash[("code", digest)] = [{**record.to_data(), "imports": ["planted_module"], "is_trusted": True}]
    session.run(cell)
    assert "hit" in session.status()
    assert session["x"] == 1
    session.run("sys.path.remove('.')")


def test_a_stranger_binds_only_names_of_the_cell(session):
    cell = "%%stash t\nx = 1"
    rows, digest, record = stored(session, cell)
    planted = replace(record, variables={"x": None, "print": None})
    rows.stash[("code", digest)] = [planted.to_data()]
    replace_variables(session, rows, record, {"x": 1, "print": 2})
    session.run(cell)
    assert "binds or deletes 'print', which this cell's text does not" in session.status()
    assert "print" not in session.shell.user_ns


def test_a_stranger_deletes_only_what_the_cell_deletes(session):
    session.run("precious = 1")
    cell = "%%stash t\nx = 1"
    rows, digest, record = stored(session, cell)
    rows.stash[("code", digest)] = [replace(record, deleted=("precious",)).to_data()]
    session.run(cell)
    assert "binds or deletes 'precious'" in session.status()
    assert session["precious"] == 1


def test_names_that_the_cell_itself_deletes_may_be_gone(session, become_another_user):
    cell = "%%stash t\nfor i in range(3):\n    y = i\ndel i"
    session.run(cell)
    become_another_user()
    session.run(cell)
    assert "hit" in session.status()


def test_adding_to_a_strangers_list_does_not_make_it_ones_own(session, become_another_user):
    session.run("x = 1\nseen = []")
    cell = "%%stash t\nseen.append(x)"
    rows, digest, _record = stored(session, cell)
    become_another_user()
    session.run("x = 2\nseen = []")
    session.run(cell)
    assert [record.is_trusted for record in rows.of_code(digest)] == [True, False]


def test_a_strangers_record_is_marked_for_good(session, become_another_user):
    session.run("x = 1\nseen = []")
    cell = "%%stash t\nseen.append(x)"
    rows, digest, record = stored(session, cell)
    rows.stash[("code", digest)] = [record.to_data()]
    session.run("x = 2\nseen = []")
    session.run(cell)
    session.run("x = 3\nseen = []")
    session.run(cell)
    assert [record.is_trusted for record in rows.of_code(digest)] == [True, True, False]


def test_trust_makes_a_strangers_records_ones_own(session, become_another_user):
    session.run("from IPython.display import display, HTML\nseen = []")
    cell = "%%stash t\ndisplay(HTML('<b>x</b>'))\ndef f():\n    return 1\nseen.append(1)"
    session.run(cell)
    session.run("del f\nseen = []")
    become_another_user()
    session.run("%stash trust t")
    session.run("%stash trust t --yes")
    assert "3 rows, 1 record among them" in session.status()  # as many as were listed
    session.run(cell)
    assert "hit" in session.status()
    assert "text/html" in session.outputs()[0]
    assert session["f"]() == 1
    assert session["seen"] == [1]


def test_trust_takes_the_name_of_a_stash_that_exists(session):
    assert "there is no stash named 'nothing'" in str(session.fail("%stash trust nothing"))


def test_raster_images_and_streams_of_a_stranger_are_shown(session, become_another_user, capsys):
    session.run("from base64 import b64decode\nfrom IPython.display import Image, display, SVG, Javascript")
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
    cell = (
        f"%%stash t\nprint('before')\ndisplay(Image(b64decode('{pixel}')))\n"
        "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'), Javascript('1'))\ny = 1"
    )
    session.run(cell)
    become_another_user()
    capsys.readouterr()
    session.run(cell)
    assert "2 displays left out" in session.status()
    assert {mime for data in session.outputs() for mime in data} == {"image/png", "text/plain"}
    assert capsys.readouterr().out == "before\n"


def test_several_records_of_a_stranger_that_need_code_warn_once(session, become_another_user):
    cell = "%%stash t\ndef f():\n    return x\ny = f()"
    for number in (1, 2):
        session.run(f"x = {number}")
        session.run(cell)
    become_another_user()
    session.run("del f, y")
    session.run(cell)
    assert session.status().count("warning") == 1
    session.run(cell)
    assert "warning" not in session.status()
    assert "hit" in session.status()
