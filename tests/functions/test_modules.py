"""Functions that use the user's own modules: whatever changes in them, near or far, computes anew."""

import importlib
import itertools
import sys
import textwrap

import pytest

_numbers = itertools.count()


class Package:
    """A package of the user's, its modules under fixed names; its files can be edited and reloaded."""

    def __init__(self, folder, files):
        self.name = f"package_of_user_{next(_numbers)}"
        self._folder = folder / self.name
        self._folder.mkdir()
        (self._folder / "__init__.py").write_text("")
        for name, text in files.items():
            self.write(name, text)
        importlib.invalidate_caches()

    def __getitem__(self, name):
        return importlib.import_module(f"{self.name}.{name}")

    def write(self, name, text):
        (self._folder / f"{name}.py").write_text(textwrap.dedent(text))

    def edit(self, name, text):
        self.write(name, text)
        importlib.reload(self[name])


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda **files: Package(tmp_path, files)
    for name in [name for name in sys.modules if name.startswith("package_of_user_")]:
        del sys.modules[name]


@pytest.fixture
def follows(memory):
    """Check that a memoized function answers as the plain one does, before a change and after it, and hits in between.

    The change must be explained by name.
    """

    def check(function, change, argument=1, *, computes=True):
        f = memory.stashed_result(function)
        assert f(argument) == f(argument) == function(argument)
        misses = f.cache_info().misses
        f(argument)
        assert f.cache_info().misses == misses, "an unchanged function was computed again"
        change()
        explanation = f.explain(argument)
        assert (bool(explanation), bool(explanation.changes)) == (not computes, computes)
        assert f(argument) == function(argument)
        assert (f.cache_info().misses > misses) is computes

    return check


CHAIN = {
    "main": "from .near import g\ndef f(x): return g(x) + 1\n",
    "near": "from . import far\ndef g(x): return far.h(x) * 2\n",
    "far": "K = 3\ndef h(x): return x + K\n",
}


def test_a_constant_two_modules_away(package, follows):
    modules = package(**CHAIN)
    follows(modules["main"].f, lambda: setattr(modules["far"], "K", 10))


def test_a_helper_two_modules_away_edited_and_reloaded(package, follows):
    modules = package(**CHAIN)
    follows(modules["main"].f, lambda: modules.edit("far", "K = 3\ndef h(x):\n    return x - K\n"))


def test_a_comment_two_modules_away(package, follows):
    modules = package(**CHAIN)
    edited = "# why\nK = 3\ndef h( x ):\n    return x + K  # so\n"
    follows(modules["main"].f, lambda: modules.edit("far", edited), computes=False)


def test_an_edit_that_is_not_reloaded_changes_nothing(package, follows):
    modules = package(**CHAIN)
    follows(modules["main"].f, lambda: modules.write("far", "K = 3\ndef h(x): return x - K\n"), computes=False)


def test_what_a_star_import_brought_in(package, follows):
    modules = package(main="from .near import *\ndef f(x): return g(x)\n", near="Z = 1\ndef g(x): return x * Z\n")
    follows(modules["main"].f, lambda: setattr(modules["near"], "Z", 5))


def test_a_function_of_a_module_of_a_module_that_is_replaced(package, follows):
    modules = package(
        main="from . import near\ndef f(x): return near.sub.g(x)\n",
        near="from . import far as sub\n",
        far="def g(x): return x\n",
    )
    follows(modules["main"].f, lambda: setattr(modules["far"], "g", lambda x: 9))


IMPORTS = [
    "def f(x):\n    from .near import g\n    return g(x)\n",
    "def f(x):\n    from . import near\n    return near.g(x)\n",
    "def f(x):\n    from .near import g as h\n    return h(x)\n",
]
NEAR = "from . import far\nLIMIT = 1\ndef other(x): return 7\ndef g(x, k=1): return far.h(x) * k + C.size + LIMIT\nclass C:\n    size = 2\n"
CHANGES = {
    "constant": lambda near, far: setattr(near, "LIMIT", 5),
    "function": lambda near, far: setattr(near, "g", lambda x: 5),
    "function of the same file": lambda near, far: setattr(near, "g", near.other),
    "default": lambda near, far: setattr(near.g, "__defaults__", (5,)),
    "class attribute": lambda near, far: setattr(near.C, "size", 5),
    "constant of a module behind it": lambda near, far: setattr(far, "K", 9),
    "function of a module behind it": lambda near, far: setattr(far, "h", lambda x: 100),
    "module behind it": lambda near, far: setattr(near, "far", type("Other", (), {"h": staticmethod(lambda x: 70)})),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("text", IMPORTS)
def test_what_a_function_imports_when_it_is_called(package, follows, text, change):
    modules = package(main=text, near=NEAR, far=CHAIN["far"])
    modules["main"].f(1)
    follows(modules["main"].f, lambda: CHANGES[change](modules["near"], modules["far"]))


def test_loading_what_a_function_imports_is_no_change(package, memory):
    near = "from . import far\nLIMIT = 1\ndef g(x, k=1): return far.h(x) * k + LIMIT\nclass C:\n    size = 2\n    def m(self): return 1\n"
    modules = package(main=IMPORTS[0], near=near, far=CHAIN["far"])
    f = memory.stashed_result(modules["main"].f)
    f(1)
    f(1)
    assert f.cache_info() == (1, 1, 1)


CLASSES = """
K = 1
class Base:
    k = 1
    table = {}
    def m(self, x): return x + self.k + len(self.table) + K
    @property
    def p(self): return 5
    @staticmethod
    def s(): return 1
class Model(Base):
    pass
def f(x):
    model = Model()
    return model.m(x) + model.p + model.s()
"""


@pytest.mark.parametrize(
    "change",
    [
        lambda main: setattr(main.Base, "k", 9),
        lambda main: setattr(main.Base, "m", lambda self, x: 99),
        lambda main: setattr(main.Model, "m", lambda self, x: 98),
        lambda main: setattr(main.Base, "p", property(lambda self: 7)),
        lambda main: setattr(main.Base, "s", staticmethod(lambda: 8)),
        lambda main: main.Base.table.update(a=1),
        lambda main: setattr(main, "K", 5),
    ],
)
def test_anything_of_a_class_and_its_bases(package, follows, change):
    main = package(main=CLASSES)["main"]
    follows(main.f, lambda: change(main))


PLACES = {
    "decorator": "import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(*a): return g(*a) + K\n    return w\n@d\ndef h(x): return x\ndef f(x): return h(x)",
    "lru_cache": "import functools\n@functools.lru_cache(maxsize=0)\ndef h(x): return x + K\ndef f(x): return h(x)",
    "generator": "def gen(x):\n    for i in range(K): yield i * x\ndef f(x): return sum(gen(x))",
    "comprehension": "def f(x): return [(lambda: y * K)() for y in range(3)]",
    "nested function": "def f(x):\n    def a():\n        def b(): return K * x\n        return b\n    return a()()",
    "class in a function": "def f(x):\n    class L:\n        y = K\n        def z(self): return self.y + K\n    return L().z()",
    "default": "def f(x, k=lambda: K): return k()",
    "partial": "import functools\nP = functools.partial(lambda k, x: k * x * K, 2)\ndef f(x): return P(x)",
    "function in a dict": "D = {}\ndef a(x): return x * K\nD['a'] = a\ndef f(x): return D['a'](x)",
    "instance": "class C:\n    def __call__(self, x): return x * K\nO = C()\ndef f(x): return O(x)",
    "context manager": "import contextlib\n@contextlib.contextmanager\ndef cm():\n    yield K\ndef f(x):\n    with cm() as v: return v",
    "enum": "import enum\nclass E(enum.Enum):\n    A = 1\n    def v(self): return self.value * K\ndef f(x): return E.A.v()",
    "named tuple": "from typing import NamedTuple\nclass N(NamedTuple):\n    a: int\n    def v(self): return self.a * K\nO = N(2)\ndef f(x): return O.v()",
    "metaclass": "class Meta(type):\n    def __call__(cls, *a): return K\nclass C(metaclass=Meta): pass\ndef f(x): return C()",
    "dynamic attribute": "class C:\n    def __getattr__(self, n): return K\ndef f(x): return C().zz",
    "text that is evaluated": "def f(x): return eval('K + x')",
    "format": "def f(x): return f'{K:.2f}'",
    "singledispatch": "from functools import singledispatch\n@singledispatch\ndef h(x): return 0\n@h.register\ndef _(x: int): return K\ndef f(x): return h(x)",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass P:\n    a: int = 1\n    def m(self): return self.a + K\nO = P()\ndef f(x): return O.m()",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_constant_is_followed_into(package, follows, place):
    main = package(main="K = 2\n" + PLACES[place])["main"]
    follows(main.f, lambda: setattr(main, "K", 4))


CONTENTS = {
    "nested dict": ("{'a': {'b': [1]}}", "K['a']['b'][0]", lambda k: k["a"]["b"].__setitem__(0, 5)),
    "list in a tuple": ("(1, [2])", "K[1][0]", lambda k: k[1].__setitem__(0, 5)),
    "set": ("{1}", "len(K)", lambda k: k.add(9)),
    "namespace": ("types.SimpleNamespace(a=1)", "K.a", lambda k: setattr(k, "a", 5)),
    "deque": ("collections.deque([1])", "K[0]", lambda k: k.appendleft(5)),
    "bytearray": ("bytearray(b'a')", "K[0]", lambda k: k.__setitem__(0, 5)),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_constant_that_is_changed_in_place(package, follows, content):
    value, read, change = CONTENTS[content]
    main = package(main=f"import collections, types\nK = {value}\ndef f(x): return {read}\n")["main"]
    follows(main.f, lambda: change(main.K))


def test_an_array_that_is_changed_through_another_view(package, follows):
    pytest.importorskip("numpy")
    main = package(main="import numpy\nB = numpy.zeros(5)\nK = B[:3]\ndef f(x): return float(K.sum())\n")["main"]
    follows(main.f, lambda: main.B.__setitem__(0, 5))


def test_a_frame_that_is_changed_in_place(package, follows):
    pytest.importorskip("pandas")
    main = package(main="import pandas\nD = pandas.DataFrame({'a': [1]})\ndef f(x): return int(D.a.sum())\n")["main"]
    follows(main.f, lambda: main.D.__setitem__("a", [7]))


ENVIRONMENT = [
    "import os\ndef f(x): return os.environ.get('SETTING_OF_A_TEST')",
    "import os\ndef f(x): return os.getenv('SETTING_OF_A_TEST', 'none')",
    "from os import environ\ndef f(x): return 'SETTING_OF_A_TEST' in environ",
    "import os\ndef h(): return os.environ['SETTING_OF_A_TEST'] if 'SETTING_OF_A_TEST' in os.environ else 0\ndef f(x): return h()",
]


@pytest.mark.parametrize("text", ENVIRONMENT)
def test_a_variable_of_the_environment_that_is_named(package, follows, monkeypatch, text):
    monkeypatch.delenv("SETTING_OF_A_TEST", raising=False)
    follows(package(main=text)["main"].f, lambda: monkeypatch.setenv("SETTING_OF_A_TEST", "1"))


def test_other_variables_of_the_environment_do_not_matter(package, follows, monkeypatch):
    main = package(main=ENVIRONMENT[0])["main"]
    follows(main.f, lambda: monkeypatch.setenv("ANOTHER_SETTING_OF_A_TEST", "1"), computes=False)


def test_running_a_helper_by_itself_changes_nothing_for_who_uses_it(package, follows, memory, stash):
    main = package(main="def h(x): return x\ndef f(x): return h(x)\n")["main"]

    def run_them():
        memory.run(main.h, 5)
        stash.run(main.h, 5)
        stash.run(main.f, 5)

    follows(main.f, run_them, computes=False)


def test_a_change_is_explained_by_the_module_that_it_was_made_in(package, memory):
    modules = package(main=IMPORTS[0], near=NEAR, far=CHAIN["far"])
    f = memory.stashed_result(modules["main"].f)
    f(1)
    f(1)
    modules["near"].LIMIT = 5
    assert [change.name for change in f.explain(1).changes] == ["module .near"]


def test_a_change_two_modules_away_is_explained(package, memory):
    modules = package(**CHAIN)
    f = memory.stashed_result(modules["main"].f)
    f(1)
    modules["far"].K = 10
    assert [tuple(change) for change in f.explain(1).changes] == [("global K", "3", "10")]


def test_a_variable_of_the_environment_is_explained(package, memory, monkeypatch):
    f = memory.stashed_result(package(main=ENVIRONMENT[0])["main"].f)
    f(1)
    monkeypatch.setenv("SETTING_OF_A_TEST", "1")
    assert [change.name for change in f.explain(1).changes] == ["environment SETTING_OF_A_TEST"]
