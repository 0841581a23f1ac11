"""Keys and arguments of every kind find their entries again, in any process and on any Python, and none finds another's."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.errors import VolatileKey

HERE = Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


every = _load("every_kind_of_key")
NOT_ELSEWHERE = {"function without source"}
"""Its code object is all that there is of it, and belongs to one version of Python."""


def run(action, root, seed, python=sys.executable, *options):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(HERE.parent)}
    command = [python, *options, str(HERE / "every_kind_of_key.py"), action, str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def other_pythons():
    return [
        python
        for version in ("3.11", "3.12", "3.13")
        for python in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))[:1]
    ]


def test_another_process_finds_each_key_again_and_repeats_no_call_and_lists_keys_that_are_found(tmp_path):
    assert run("write", tmp_path, "1") == []
    assert run("read", tmp_path, "2") == []


def test_no_two_of_them_share_an_entry(tmp_path):
    addresses = run("addresses", tmp_path, "3")
    names = {}
    for name, address in addresses.items():
        names.setdefault(address, []).append(name)
    assert [shared for shared in names.values() if len(shared) > 1] == []
    assert len(addresses) == len(every.KEYS)


@pytest.mark.parametrize("python", other_pythons(), ids=lambda python: python.parent.parent.name)
def test_every_python_gives_them_the_same_addresses(tmp_path, python):
    ours = run("addresses", tmp_path, "4", sys.executable, "-S")
    theirs = run("addresses", tmp_path, "5", str(python), "-S")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name] and name not in NOT_ELSEWHERE] == []


@pytest.fixture
def stash():
    return HashStash("every kind", engine="memory", clear=True)


@pytest.mark.parametrize("name", ["function", "closure over 2", "first lambda of a line", "bound method", "partial"])
def test_a_function_among_the_keys_can_be_called_again(stash, name):
    given = every.KEYS[name]()
    stash[given] = 1
    (found,) = stash
    arguments = () if name == "partial" else (5,)
    assert found(*arguments) == given(*arguments)


# ---- what is the same key --------------------------------------------------------------------------------------------


def same_arrays():
    import numpy as np

    array = np.arange(6.0).reshape(2, 3)
    return {
        "order": (array, np.asfortranarray(array)),
        "view": (np.arange(12)[::2], np.arange(12)[::2].copy()),
        "read-only": (array, np.broadcast_to(array, (2, 3))),
        "nan scalars": (np.float64("nan"), -np.float64("nan")),
        "large view": (np.arange(40_000.0)[::2], np.arange(0.0, 40_000.0, 2)),
    }


@pytest.mark.parametrize("name", ["order", "view", "read-only", "nan scalars", "large view"])
def test_arrays_are_what_they_hold_however_it_lies_in_memory(stash, name):
    pytest.importorskip("numpy")
    one, other = same_arrays()[name]
    stash[one] = "found"
    assert stash[other] == "found"


def test_frames_are_what_they_hold_however_it_lies_in_memory(stash):
    pd = pytest.importorskip("pandas")
    import numpy as np

    stash[pd.DataFrame({"a": [1, 2], "b": [3, 4]})] = "found"
    assert stash[pd.DataFrame(np.array([[1, 3], [2, 4]]), columns=["a", "b"])] == "found"
    assert stash[pd.DataFrame({"a": [1, 0, 2], "b": [3, 0, 4]}).iloc[::2].reset_index(drop=True)] == "found"


def test_functions_are_what_they_do_and_not_where_they_stand(stash):
    stash[every.cell("f = lambda x: x + 1")["f"]] = "found"
    assert stash[every.cell("\n\ng = lambda x: (x+1)  # the same")["g"]] == "found"


def test_copies_of_objects_are_the_same_key(stash):
    stash[every.Cyclic(1), every.Point(1, ["a"])] = "found"
    assert stash[every.Cyclic(1), every.Point(1, ["a"])] == "found"


# ---- what is another key ---------------------------------------------------------------------------------------------


def with_cause(cause):
    error = ValueError("a")
    error.__cause__ = cause
    return error


def test_the_cause_of_an_exception_counts(stash):
    stash[with_cause(None)], stash[with_cause(KeyError(1))], stash[with_cause(KeyError(2))] = 0, 1, 2
    assert len(stash) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x=1): pass", "def f(x=2): pass"),
        ("def f(x=1): pass", "def f(x=True): pass"),
        ("def f(): return 1", "def f(): return 1.0"),
        ("def f(): yield 1", "def f(): return 1"),
        ("def g(): return 1\ndef f(): return g()", "def g(): return 2\ndef f(): return g()"),
        ("class B: x = 1\nclass f(B): pass", "class B: x = 2\nclass f(B): pass"),
        ("class f:\n    def m(self): return 1", "class f:\n    def m(self): return 2"),
        ("import dataclasses as d\nf = d.make_dataclass('M', ['a'])", "import dataclasses as d\nf = d.make_dataclass('M', ['b'])"),
        ("import abc\nf = abc.ABCMeta('M', (), {'x': 1})", "import abc\nf = abc.ABCMeta('M', (), {'x': 2})"),
        ("import types\nf = types.new_class('M')", "import types\nf = types.new_class('M', (int,))"),
        ("import functools\nf = functools.partial(print, 1)", "import functools\nf = functools.partial(print, True)"),
    ],
)  # fmt: skip
def test_an_edit_makes_another_key(stash, one, other):
    stash[every.cell(one)["f"]] = 1
    stash[every.cell(other)["f"]] = 2
    assert len(stash) == 2


def test_an_edited_module_is_another_key(stash, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "module_as_a_key.py").write_text("def f(): return 1\n")
    module = importlib.import_module("module_as_a_key")
    stash[module] = 1
    (tmp_path / "module_as_a_key.py").write_text("def f(): return 12\n")
    sys.modules.pop("module_as_a_key")
    assert importlib.import_module("module_as_a_key") not in stash
    sys.modules.pop("module_as_a_key")


# ---- what is no key --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: (n for n in "a"), lambda: open(os.devnull), lambda: iter([1]), sys._getframe])
def test_what_has_no_lasting_content_is_refused_and_named(stash, make):
    key = make()
    with pytest.raises(VolatileKey, match=r"`key\[1\]\['deep'\]`|`key`"):
        stash[1, {"deep": key}] = 1
    getattr(key, "close", lambda: None)()


# ---- arguments -------------------------------------------------------------------------------------------------------


def given(*arguments, **named):
    return len(arguments) + len(named)


@pytest.mark.parametrize("make", ["ndarray", "generic", "DataFrame", "Series", "Index"])
def test_classes_of_arrays_and_frames_are_arguments_like_any_other(stash, make):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    kind = getattr(np, make, None) or getattr(pd, make)
    assert stash.run(given, kind, more=kind) == 2


def test_of_arguments_that_are_large_together_the_row_keeps_a_short_description(stash):
    np = pytest.importorskip("numpy")
    arguments = [np.arange(100_000.0), [np.arange(100_000.0)] * 3, "x" * 3_000_000, {"a": "y" * 10}]
    memoized = stash.stashed_result(given)
    assert memoized(*arguments) == 4
    (info,) = memoized.stash.entries()
    assert info.size < 10_000
    shown = info.key[0]
    assert [text[:5] for text in shown] == ["<ndar", "<list", "<str ", "<dict"]
