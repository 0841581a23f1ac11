"""What the user's modules hold, who looks at it when, and whom a token of a module may make load one."""

from __future__ import annotations

import importlib
import sys

import pytest

from hashstash.cells import module_state
from hashstash.cells.facts import ModuleFact
from hashstash.cells.module_state import BUILTINS, MODULE, FreshModules, changes, kept_objects, look, resolve
from hashstash.cells.versions import differences
from hashstash.cells.versions import look as versions_of
from hashstash.fingerprint import FileFact

TEXT = """
REGISTRY = {}
COUNT = 0
class Kind:
    made = []
def register(name):
    global COUNT
    COUNT += 1
    REGISTRY[name] = len(REGISTRY)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "kept_state.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("kept_state")
    sys.modules.pop("kept_state", None)


def test_a_module_that_is_left_alone_has_no_changes(module):
    before = look(module)
    assert list(changes(module, before)) == []


def test_what_a_function_changed_is_told_in_place(module):
    before = look(module)
    module.register("a")
    found = {change["token"][2]: change for change in changes(module, before)}
    assert found["REGISTRY"]["content"] == {"a": 0}
    assert found[""]["set"] == {"COUNT": 1}


def test_a_replaced_function_and_a_list_of_a_class_are_changes(module):
    before = look(module)
    module.register = print
    module.Kind.made.append(1)
    found = {change["token"][2]: change for change in changes(module, before)}
    assert found[""]["set"] == {"register": print}
    assert found["Kind.made"]["content"] == [1]


def test_what_has_no_state_that_can_be_told_is_left_alone(module):
    before = look(module)
    module.generator = (number for number in ())
    assert list(changes(module, before)) == []


def test_containers_that_stay_have_tokens(module):
    before = look(module)
    assert kept_objects(module, before)[id(module.REGISTRY)] == [MODULE, "kept_state", "REGISTRY"]


def test_a_token_of_a_stranger_loads_no_module(tmp_path, monkeypatch):
    (tmp_path / "never_loaded.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LookupError, match="not signed"):
        resolve([MODULE, "never_loaded", ""], may_import=False)
    assert "never_loaded" not in sys.modules


def test_the_dict_of_the_builtins_is_found_by_anybody():
    assert resolve(BUILTINS, may_import=False)["len"] is len


def test_a_module_is_looked_at_when_it_is_loaded(module, tmp_path):
    (tmp_path / "loads_kept_state.py").write_text("import kept_state\nkept_state.register('first')\n")
    del sys.modules["kept_state"]
    with FreshModules() as fresh:
        importlib.import_module("loads_kept_state")
    del sys.modules["loads_kept_state"]
    assert fresh.looked["kept_state"]["", "COUNT"].value == 1
    assert fresh not in sys.meta_path


def test_a_module_that_fails_leaves_no_trace_of_the_listener(tmp_path, monkeypatch):
    (tmp_path / "fails_at_once.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with FreshModules() as fresh, pytest.raises(ZeroDivisionError) as caught:
        importlib.import_module("fails_at_once")
    assert fresh.looked == {}
    assert not any(module_state.__file__ == str(entry.path) for entry in caught.traceback)


def test_a_file_that_another_one_hides_is_not_the_module(module, tmp_path, monkeypatch):
    fact = ModuleFact("kept_state", FileFact.record(str(module.__file__)), b"")
    del sys.modules["kept_state"]
    held = fact.still_holds(None)
    (tmp_path / "nearer").mkdir()
    (tmp_path / "nearer" / "kept_state.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "nearer"))
    assert (held, fact.still_holds(None)) == (True, False)
    assert "another file" in fact.told()


def test_other_versions_are_named():
    then = {**versions_of([]), "Python": "3.2"}
    assert differences(then) == [f"stored with Python 3.2; here is Python {versions_of([])['Python']}"]


def test_the_same_versions_are_not_named():
    assert differences(versions_of([pytest])) == []


def test_what_somebody_else_made_up_is_no_version():
    assert differences(["Python"]) == []
