import sys

import pytest

from hashstash.fingerprint import Fingerprinter, LiveFingerprint
from hashstash.fingerprint.reads import Import, modules_named

HELPER = "K = 1\nJ = 1\ndef g(v): return v + K\ndef h(v): return v + J\n"


def test_only_what_a_function_takes_from_a_module_counts(user_module, run, digest):
    module = user_module("helper_a", HELPER)
    f = run("import helper_a\ndef f(v): return helper_a.g(v)")["f"]
    before = digest(f)
    module.J = 5
    assert digest(f) == before
    module.K = 5
    assert digest(f) != before


def test_a_module_that_is_passed_on_counts_as_a_whole(user_module, run, digest):
    module = user_module("helper_a", HELPER)
    f = run("import helper_a\ndef f(v): return v(helper_a)")["f"]
    before = digest(f)
    module.J = 5
    assert digest(f) != before


def test_a_function_taken_from_a_module_counts(user_module, run, digest):
    text = "from helper_a import g\ndef f(v): return g(v)"
    user_module("helper_a", HELPER)
    before = digest(run(text)["f"])
    user_module("helper_a", HELPER.replace("v + K", "v - K"))
    assert digest(run(text)["f"]) != before


def test_a_module_behind_a_module_counts(user_module, digest):
    user_module("helper_b", "def g(v): return v + 1\n")
    module = user_module("helper_a", "import helper_b\ndef f(v): return helper_b.g(v)\n")
    before = digest(module)
    user_module("helper_b", "def g(v): return v + 5\n")
    module = user_module("helper_a", "import helper_b\ndef f(v): return helper_b.g(v)\n")
    assert digest(module) != before


def test_a_constant_set_in_a_module_counts(user_module, digest):
    module = user_module("helper_a", HELPER)
    before = digest(module)
    module.K = "1"
    assert digest(module) != before


def test_comments_of_a_module_do_not_count(user_module, digest):
    before = digest(user_module("helper_a", HELPER))
    assert digest(user_module("helper_a", "# why\n" + HELPER)) == before


def test_a_lock_in_a_module_does_not_make_it_volatile(user_module):
    module = user_module("helper_a", "import threading\nLOCK = threading.Lock()\nITEMS = [threading.Lock()]\n" + HELPER)
    assert Fingerprinter().walk(module).volatile == ()


def test_modules_of_the_library_count_by_name(digest):
    import json
    import math

    assert digest(json) != digest(math)


def test_an_installed_module_counts_by_pinned_version(monkeypatch):
    package = pytest.importorskip("_pytest")
    monkeypatch.setattr(package, "__version__", "5.1.2")
    walks = [Fingerprinter(pin=pin).walk(package) for pin in ("none", "minor", "exact")]
    monkeypatch.setattr(package, "__version__", "5.1.3")
    patched = [Fingerprinter(pin=pin).walk(package) for pin in ("none", "minor", "exact")]
    monkeypatch.setattr(package, "__version__", "5.2.0")
    minor = [Fingerprinter(pin=pin).walk(package) for pin in ("none", "minor", "exact")]
    assert walks[0].packages == {"_pytest": "5.1.2"}
    assert [one.digest == other.digest for one, other in zip(walks, patched, strict=True)] == [True, True, False]
    assert [one.digest == other.digest for one, other in zip(walks, minor, strict=True)] == [True, False, False]


IMPORTERS = [
    "def f(v):\n import helper_a\n return helper_a.g(v)",
    "def f(v):\n from helper_a import g\n return g(v)",
    "def f(v):\n import helper_c\n return helper_c.helper_a.g(v)",
]


@pytest.mark.parametrize("text", IMPORTERS)
def test_an_import_inside_a_function_counts(text, user_module, run, digest):
    user_module.write("helper_c", "import helper_a\n")
    user_module.write("helper_a", HELPER)
    before = digest(run(text)["f"])
    user_module.write("helper_a", HELPER.replace("v + K", "v - K"))
    assert digest(run(text)["f"]) != before


@pytest.mark.parametrize("text", IMPORTERS)
def test_loading_what_a_function_imports_changes_nothing(text, user_module, run, digest):
    user_module.write("helper_c", "import helper_a\n")
    user_module.write("helper_a", HELPER)
    f = run(text)["f"]
    before = digest(f)
    f(1)
    assert "helper_a" in sys.modules
    assert digest(f) == before
    sys.modules["helper_a"].K = 5
    if "helper_c" not in text:
        assert digest(f) != before


FINDERS = [
    "import importlib\ndef f(v): return importlib.import_module('helper_a').g(v)",
    "from importlib import import_module\nN = 'helper_a'\ndef f(v): return import_module(N).g(v)",
    "import importlib\ndef f(v, n='helper_a'): return importlib.import_module(n).g(v)",
    "def f(v): return __import__('helper_a').g(v)",
    "import sys\ndef f(v): return sys.modules['helper_a'].g(v)",
    "def f(v):\n import sys\n return list(sys.modules['helper_a'].g(v) for _ in 'a')",
    "def f(v):\n import sys\n return [sys.modules[n].g(v) for n in ('helper_a',)]",
]


@pytest.mark.parametrize("text", FINDERS)
def test_a_module_that_is_found_by_its_name_counts(text, user_module, run):
    module = user_module("helper_a", HELPER)
    f = run(text)["f"]
    live = LiveFingerprint(f)
    before = live.digest()
    f(1)
    assert live.digest() == before
    module.K = 5
    assert live.digest() != before


def test_what_a_module_gives_by_its_getattr_counts(user_module, run):
    module = user_module("helper_a", "K = 1\ndef __getattr__(name): return K")
    f = run("import helper_a\ndef f(v): return helper_a.made_up + v")["f"]
    live = LiveFingerprint(f)
    before = live.digest()
    assert (f(1), live.digest()) == (2, before)
    module.K = 5
    assert live.digest() != before


def test_the_own_module_found_by_its_name_counts(run, digest):
    space = run("import sys\nK = 1\ndef f(v): return sys.modules[__name__].K + v")
    before = digest(space["f"])
    space["K"] = 5
    assert digest(space["f"]) != before


@pytest.mark.parametrize(("text", "package"), [(".two", "pack"), ("..two", "pack.inner"), ("pack.two", "other")])
def test_texts_name_modules_as_import_module_reads_them(text, package):
    assert Import("pack.two", 0, ()) in set(modules_named([text, package]))


def test_a_relative_import_inside_a_function_counts(tmp_path, monkeypatch, digest):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("def f():\n from .two import g\n return g()\n")
    (package / "two.py").write_text("def g(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import pack.one

    before = digest(pack.one.f)
    (package / "two.py").write_text("def g(): return 2\n")
    after = digest(pack.one.f)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
        del sys.modules[name]
    assert before != after


def test_a_live_function_that_imports_is_walked_at_each_call(user_module, run):
    user_module.write("helper_a", HELPER)
    live = LiveFingerprint(run(IMPORTERS[0])["f"])
    before = live.digest()
    user_module.write("helper_a", HELPER.replace("v + K", "v - K"))
    assert live.digest() != before
