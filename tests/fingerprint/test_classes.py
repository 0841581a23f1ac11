import pickle

import pytest

from hashstash.fingerprint import Fingerprinter

CHANGES = {
    "a method": ("class C:\n def m(s): return 1", "class C:\n def m(s): return 2"),
    "a method of a base": (
        "class B:\n def m(s): return 1\nclass C(B): pass",
        "class B:\n def m(s): return 2\nclass C(B): pass",
    ),
    "a class attribute": ("class C: k = 1", "class C: k = 2"),
    "the content of a class attribute": ("class C: k = [1]", "class C: k = [2]"),
    "a property": ("class C:\n @property\n def p(s): return 1", "class C:\n @property\n def p(s): return 2"),
    "a static method": ("class C:\n @staticmethod\n def p(): return 1", "class C:\n @staticmethod\n def p(): return 2"),
    "a class method": ("class C:\n @classmethod\n def p(c): return 1", "class C:\n @classmethod\n def p(c): return 2"),
    "the kind of a method": ("class C:\n @classmethod\n def p(c): pass", "class C:\n @staticmethod\n def p(c): pass"),
    "the bases": ("class C(dict): pass", "class C(list): pass"),
    "the slots": ("class C: __slots__ = ('a',)", "class C: __slots__ = ('b',)"),
    "the metaclass": (
        "class M(type): pass\nclass C(metaclass=M): pass",
        "class M(type):\n k = 1\nclass C(metaclass=M): pass",
    ),
    "the docstring": ("class C: 'a'", "class C: 'b'"),
    "the name": ("class C: pass", "class D: pass\nC = D"),
    "an annotation": ("class C:\n k: int", "class C:\n k: str"),
    "a global of a method": ("K = 1\nclass C:\n def m(s): return K", "K = 2\nclass C:\n def m(s): return K"),
    "a cached property": (
        "import functools\nclass C:\n @functools.cached_property\n def p(s): return 1",
        "import functools\nclass C:\n @functools.cached_property\n def p(s): return 2",
    ),
    "a partial method": (
        "import functools\nclass C:\n def m(s, v): pass\n p = functools.partialmethod(m, 1)",
        "import functools\nclass C:\n def m(s, v): pass\n p = functools.partialmethod(m, 2)",
    ),
    "a field's default": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int = 1",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int = 2",
    ),
    "a field's place": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int\n b: int",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n b: int\n a: int",
    ),
    "a dataclass's flags": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass C:\n a: int",
    ),
    "a dataclass's method": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int\n def __repr__(s): return '1'",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n a: int\n def __repr__(s): return '2'",
    ),
    "a default factory": (
        "from dataclasses import dataclass, field\n@dataclass\nclass C:\n a: list = field(default_factory=lambda: [1])",
        "from dataclasses import dataclass, field\n@dataclass\nclass C:\n a: list = field(default_factory=lambda: [2])",
    ),
    "a member": ("import enum\nclass C(enum.Enum):\n A = 1", "import enum\nclass C(enum.Enum):\n A = 2"),
    "a method of an enum": (
        "import enum\nclass C(enum.Enum):\n A = 1\n def m(s): return 1",
        "import enum\nclass C(enum.Enum):\n A = 1\n def m(s): return 2",
    ),
    "the hash of an enum": (
        "import enum\nclass C(enum.Enum):\n A = 1\n def __hash__(s): return 1",
        "import enum\nclass C(enum.Enum):\n A = 1\n def __hash__(s): return 2",
    ),
    "a named tuple's fields": (
        "from collections import namedtuple\nC = namedtuple('C', 'a b')",
        "from collections import namedtuple\nC = namedtuple('C', 'b a')",
    ),
    "a named tuple's defaults": (
        "from typing import NamedTuple\nclass C(NamedTuple):\n a: int = 1",
        "from typing import NamedTuple\nclass C(NamedTuple):\n a: int = 2",
    ),
    "a named tuple's method": (
        "from typing import NamedTuple\nclass C(NamedTuple):\n a: int\n def m(s): return 1",
        "from typing import NamedTuple\nclass C(NamedTuple):\n a: int\n def m(s): return 2",
    ),
    "an attribute set later": ("class C: pass", "class C: pass\nC.k = 1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_counts_of(what, run, digest):
    before, after = CHANGES[what]
    assert digest(run(before)["C"]) != digest(run(after)["C"])
    assert digest(run(before)["C"]) == digest(run(before)["C"])


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_counts_without_a_module_name_of(what, digest):
    before, after = {}, {}
    exec(CHANGES[what][0], before)
    exec(CHANGES[what][1], after)
    assert digest(before["C"]) != digest(after["C"])


def test_what_pickle_and_the_interpreter_write_does_not_count(run, digest):
    namespace = run("class C:\n __slots__ = ('a',)\nclass D(C): pass")
    before = digest(namespace["D"])
    namespace["D"].__annotations__
    namespace["D"]().__reduce_ex__(4)
    assert "__slotnames__" in vars(namespace["D"])
    assert digest(namespace["D"]) == before


def test_use_of_an_abstract_class_does_not_count(run, digest):
    cls = run("import abc\nclass C(abc.ABC):\n @abc.abstractmethod\n def m(s): ...")["C"]
    before = digest(cls)
    isinstance(1, cls)
    assert digest(cls) == before


def test_formatting_of_a_class_does_not_count(run, digest):
    assert digest(run("class C:\n def m(s): return 1")["C"]) == digest(
        run("class C:\n\n  def m(s):  # m\n    return (1)")["C"]
    )


def test_state_of_an_instance_counts(run, digest):
    namespace = run("class P: pass\np, q, r = P(), P(), P()\np.v, q.v, r.v = 1, 1, 2")
    assert digest(namespace["p"]) == digest(namespace["q"]) != digest(namespace["r"])


def test_slots_of_an_instance_count(run, digest):
    namespace = run("class P:\n __slots__ = 'v', 'w'\np, q, r = P(), P(), P()\np.v, q.v, r.w = 1, 1, 1")
    assert digest(namespace["p"]) == digest(namespace["q"]) != digest(namespace["r"])


def test_class_of_an_instance_counts(run, digest):
    assert digest(run("class P:\n def m(s): return 1\np = P()")["p"]) != digest(
        run("class P:\n def m(s): return 2\np = P()")["p"]
    )


def test_state_that_pickle_would_drop_counts(run, digest):
    text = "class P:\n def __init__(s, v): s.v = v\n def __getstate__(s): return {}\np, q = P(1), P(2)"
    namespace = run(text)
    assert digest(namespace["p"]) != digest(namespace["q"])


def test_an_instance_with_a_lock_may_say_what_its_state_is(run):
    text = (
        "import threading\nclass P:\n def __init__(s, v): s.v, s.lock = v, threading.Lock()\n"
        " def __getstate__(s): return {'v': s.v}\np, q, r = P(1), P(1), P(2)"
    )
    namespace = run(text)
    walks = [Fingerprinter().walk(namespace[name]) for name in "pqr"]
    assert not any(walk.volatile for walk in walks)
    assert walks[0].digest == walks[1].digest != walks[2].digest


def test_subclasses_of_builtins_keep_content_and_state(run, digest):
    namespace = run("class L(list): pass\na, b, c, d = L([1]), L([1]), L([2]), L([1])\nd.v = 1\ne = [1]")
    assert digest(namespace["a"]) == digest(namespace["b"])
    assert len({digest(namespace[name]) for name in "acde"}) == 4


@pytest.mark.parametrize("base", ["str", "int", "float", "bytes", "tuple", "dict", "set", "frozenset", "bytearray"])
def test_a_subclass_is_not_its_base(base, run, digest):
    namespace = run(f"class S({base}): pass\na, b = S(), {base}()")
    assert digest(namespace["a"]) != digest(namespace["b"])


def test_members_of_an_enum(run, digest):
    namespace = run("import enum\nclass C(enum.Enum):\n A = 1\n B = 2\na, b = C.A, C.B")
    assert digest(namespace["a"]) == digest(namespace["C"].A) != digest(namespace["b"])


def test_instances_of_one_class_and_of_an_equal_one(run, digest):
    namespace = run("def mk():\n class P: pass\n return P\nP, Q = mk(), mk()\none, two = [P(), P()], [P(), Q()]")
    assert digest(namespace["one"]) != digest(namespace["two"])


def test_classes_of_the_library_count_by_name(digest):
    assert digest(pickle.Pickler) != digest(pickle.Unpickler)
    assert digest(dict) != digest(list)


def test_an_exception_is_class_and_arguments(run, digest):
    namespace = run("class E(ValueError): pass\na, b, c = E(1), E(1), E(2)")
    assert digest(namespace["a"]) == digest(namespace["b"]) != digest(namespace["c"])


def test_a_cycle_through_the_class_ends(run, digest):
    namespace = run("class C:\n def m(s): return __class__\nC.me = C()")
    assert digest(namespace["C"]) == digest(namespace["C"])


def test_volatile_parts_under_many_that_pickle_take_no_exponential_time(run):
    text = "import threading\nclass P:\n def __init__(s, v): s.v = v\n def __getstate__(s): return {'v': s.v}\np = P(threading.Lock())"
    namespace = run(text + "\nfor _ in range(40): p = P(p)")
    walk = Fingerprinter().walk(namespace["p"], "p")
    assert walk.volatile == (f"`p{'.v' * 41}` is a lock",)
