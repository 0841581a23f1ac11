"""What a cell reads and binds, by syntax alone."""

import ast
import sys
from textwrap import dedent

import pytest

from hashstash.cells.names import CellNames, Read, analyse

BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)


def names(code: str, *, existing: str = "", reached: dict[str, str] | None = None) -> CellNames:
    table = {name: further.split() for name, further in (reached or {}).items()}
    return analyse(ast.parse(dedent(code)), existing=existing.split(), reached=lambda name: table.get(name, ()))


def reads(code: str, **keywords: object) -> set[str]:
    return {name for name in names(code, **keywords).reads if name not in BUILTINS}


READS = {
    "plain load": ("y = x + 1", "x"),
    "bound before it is read": ("x = 1\ny = x", ""),
    "read before it is bound": ("y = x\nx = 1", "x"),
    "self assignment": ("x = x + [1]", "x"),
    "augmented": ("x += 1", "x"),
    "augmented item": ("x[i] += 1", "x i"),
    "attribute target": ("p.v = w", "p w"),
    "attribute names": ("y = o.v", "o"),
    "keyword names": ("y = dict(v=3)", ""),
    "one branch only": ("if flag:\n    v = 1\ny = v", "flag v"),
    "both branches": ("if flag:\n    v = 1\nelse:\n    v = 2\ny = v", "flag"),
    "other branch raises": ("if flag:\n    v = 1\nelse:\n    raise E\ny = v", "flag E"),
    "if True": ("if True:\n    v = 1\ny = v", ""),
    "code behind a raise": ("raise E\ny = x", "E"),
    "loop target": ("for v in data:\n    pass\ny = v", "data v"),
    "loop over a literal": ("for v in (1, 2):\n    pass\ny = v", ""),
    "loop over a range": ("for v in range(3):\n    k = v\ny = k", ""),
    "loop over an empty range": ("for v in range(0):\n    pass\ny = v", "v"),
    "second round reads": ("for v in (1, 2):\n    print(t)\n    t = v", "t"),
    "while": ("while c:\n    v = 1\ny = v", "c v"),
    "while True with break": ("while True:\n    v = 1\n    break\ny = v", ""),
    "for else": ("for i in (1,):\n    break\nelse:\n    v = 1\ny = v", "v"),
    "try body": ("try:\n    v = 1\nexcept E:\n    pass\ny = v", "E v"),
    "try and handler": ("try:\n    v = 1\nexcept E:\n    v = 2\ny = v", "E"),
    "handler raises": ("try:\n    import foo\nexcept ImportError:\n    raise\ny = foo", ""),
    "else of try": ("try:\n    f()\nexcept E:\n    v = 1\nelse:\n    v = 2\ny = v", "f E"),
    "finally binds": ("try:\n    f()\nfinally:\n    v = 1\ny = v", "f"),
    "exception name ends": ("try:\n    f()\nexcept E as e:\n    print(e)\ny = e", "f E e"),
    "suppressing with": ("with m:\n    v = 1\ny = v", "m v"),
    "with target": ("with m as v:\n    pass\ny = v", "m"),
    "open does not suppress": ("with open(p) as f:\n    v = f.read()\ny = v", "p"),
    "match without default": ("match x:\n    case 1:\n        v = 1\ny = v", "x v"),
    "match with default": ("match x:\n    case 1:\n        v = 1\n    case _:\n        v = 2\ny = v", "x"),
    "match captures": ("match x:\n    case {'k': q, **rest}:\n        y = q, rest\n    case [a, *b]:\n        y = a, b", "x"),
    "match class": ("match x:\n    case P(v=q):\n        y = q", "x P"),
    "walrus": ("if (n := f(x)):\n    y = n", "f x"),
    "walrus that may not run": ("c and (n := 1)\ny = n", "c n"),
    "conditional expression": ("y = (n := 1) if c else 2\nz = n", "c n"),
    "comprehension target": ("y = [v for v in range(3)]", ""),
    "comprehension reads": ("y = [v * k for v in d if v > t]", "d k t"),
    "nested comprehension": ("y = [w for v in d for w in v]", "d"),
    "walrus in a comprehension": ("y = [n := v for v in d]\nz = n", "d n"),
    "dict comprehension": ("y = {k: v + w for k, v in d.items()}", "d w"),
    "lambda": ("f = map(lambda v, q=p: v + k, d)", "p k d"),
    "unused function": ("def f():\n    return x", ""),
    "used function": ("def f():\n    return x\ny = f()", "x"),
    "global bound before the call": ("def f():\n    return x\nx = 1\ny = f()", ""),
    "global bound after the call": ("def f():\n    return x\ny = f()\nx = 1", "x"),
    "function handed on": ("def f(v):\n    return v + x\ny = map(f, d)", "x d"),
    "function in a function": ("def f():\n    def g():\n        return x\n    return g()\ny = f()", "x"),
    "enclosing variable": ("def f(x):\n    def g():\n        return x\n    return g()\ny = f(1)", ""),
    "local of a function": ("def f():\n    x = 1\n    return x\ny = f()", ""),
    "parameters": ("def f(a, *b, c=d, **e):\n    return a, b, c, e\ny = f(1)", "d"),
    "decorated": ("@deco\ndef f():\n    return x", "deco x"),
    "annotation": ("def f(a: T) -> R:\n    pass", "T R"),
    "default": ("def f(v=k):\n    return v", "k"),
    "recursion": ("def f(n):\n    return n and f(n - 1) + x\ny = f(3)", "x"),
    "mutual recursion": ("def f():\n    return g()\ndef g():\n    return f() or x\ny = f()", "x"),
    "assigned lambda, unused": ("f = lambda: x", ""),
    "assigned lambda, used": ("f = lambda: x\ny = f()", "x"),
    "redefined function": ("def f():\n    return x\ndef f():\n    return z\ny = f()", "z"),
    "function of one branch": ("if c:\n    def f():\n        return x\nelse:\n    def f():\n        return z\ny = f()", "c x z"),
    "global statement": ("def f():\n    global z\n    z = 1\nf()\ny = z", "z"),
    "class body": ("class C:\n    a = x\n    b = a", "x"),
    "class body reads a name it binds later": ("class C:\n    y = a\n    a = 1", "a"),
    "unused class": ("class C:\n    def m(self):\n        return x", ""),
    "used class": ("class C:\n    def m(self):\n        return x\ny = C().m()", "x"),
    "class attribute is not seen by methods": ("class C:\n    a = 1\n    def m(self):\n        return a\nC()", "a"),
    "subclass": ("class C(B):\n    def m(self):\n        return x", "B x"),
    "property": ("class C:\n    @property\n    def m(self):\n        return x", ""),
    "import": ("import os.path\nfrom math import pi as p\ny = os, p", ""),
    "star import": ("from math import *\ny = sqrt(2)", "sqrt"),
    "delete": ("del tmp", "tmp"),
    "read after delete": ("x = 1\ndel x\ny = x", "x"),
    "delete what is bound": ("x = 1\ndel x", ""),
    "chained targets": ("a = b = c", "c"),
    "unpacking": ("first, *mid, (q, r) = data\ny = mid, q", "data"),
    "async for": ("async for v in agen():\n    y = v", "agen"),
    "await": ("y = await f(x)", "f x"),
    "type parameters": ("def f[T](v: T) -> T:\n    return v", ""),
    "generic class": ("class C[T](B[T]):\n    x: T\n    def m(self) -> T:\n        return k\ny = C()", "B k"),
    "type alias": ("type X[T] = list[T] | K\ny = 1", "K"),
    "eval of a constant": ("y = eval('a + b')", "a b"),
    "exec of a constant": ("exec('v = a')\ny = v", "a"),
    "globals item": ("y = globals()['const']", "const"),
    "name in globals": ("y = 'const' in globals()", "const"),
    "globals get": ("y = globals().get('const', d)", "const d"),
    "time magic": ("get_ipython().run_cell_magic('time', '', 'v = a\\nw = v\\n')", "a"),
    "bare string": ("'thr'", ""),
}  # fmt: skip


@pytest.mark.parametrize("code, expected", READS.values(), ids=READS.keys())
def test_reads(code: str, expected: str) -> None:
    if "[T]" in code and not hasattr(ast, "TypeAlias"):
        pytest.skip("type parameters are syntax of Python 3.12")
    assert reads(code) == set(expected.split())


STRINGS = {
    "query": ("y = df.query('a > @thr')", "df thr"),
    "shell": ("get_ipython().system('echo {x}')", "x"),
    "line magic": ("get_ipython().run_line_magic('timeit', 'f(x)')", "f x"),
    "bound first": ("x = 1\ny = df.query('a > @x')", "df"),
    "constant subscript": ("y = df['x']", "df"),
    "dict key": ("y = {'x': 1}", ""),
    "f-string": ("y = f'thr {x}'", "thr x"),
    "no variable of that name": ("y = 'nothing here'", ""),
}


@pytest.mark.parametrize("code, expected", STRINGS.values(), ids=STRINGS.keys())
def test_strings_read_the_variables_they_name(code: str, expected: str) -> None:
    assert reads(code, existing="x f thr df") == set(expected.split())


@pytest.mark.parametrize(
    "code",
    ["y = globals()['x' + k]", "d = globals()", "v = vars()", "f = eval", "y = dir()",
     "ip = get_ipython()", "get_ipython().user_ns['x']", "import __main__", "get_ipython().system(command)"],
)  # fmt: skip
def test_computed_names_read_everything(code: str) -> None:
    assert names(code).reads_everything


@pytest.mark.parametrize(
    "code", ["f.__globals__[n]", "sys._getframe().f_globals[n]", "shell.user_ns[n]", "import __main__\n__main__.x"]
)
def test_the_namespace_of_somebodys_code_reads_everything(code: str) -> None:
    assert names(code).reads_everything


@pytest.mark.parametrize("code", ["y = eval(text)", "exec(text)"])
def test_what_a_computed_text_reads_is_left_to_be_heard(code: str) -> None:
    found = names(code)
    assert (found.runs_texts, found.reads_everything, "text" in found.reads) == (True, False, True)


def test_eval_as_a_value_reads_everything() -> None:
    assert names("y = list(map(eval, texts))").reads_everything


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("script.py", {("script.py", False)}),
        ("-i script.py a b", {("script.py", True)}),
        ("-i -t script", {("script", True)}),
        ("-m module", set()),
    ],
)
def test_scripts_that_are_run_are_known_by_name(line: str, expected: set[tuple[str, bool]]) -> None:
    found = names(f"get_ipython().run_line_magic('run', {line!r})")
    assert (found.scripts, found.reads_everything) == (expected, False)


@pytest.mark.parametrize("line", ["-i $script", "-i {name}.py", "-i -m module"])
def test_a_script_that_is_not_known_reads_everything_if_it_may(line: str) -> None:
    assert names(f"get_ipython().run_line_magic('run', {line!r})").reads_everything


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with Python 3.12")
def test_the_bounds_of_type_parameters_are_read() -> None:
    assert reads("class C[T: a]: pass\ndef f[U: (b, c)](v: U): pass\ntype X[V: d] = list[V]") == set("abcd")


@pytest.mark.parametrize(
    "code",
    ["y = vars(o)", "y = dir(o)", "def f():\n    return locals()\ny = f()", "y = df.eval('a+b')", "y = re.compile(p)"],
)
def test_harmless_namesakes_do_not_read_everything(code: str) -> None:
    assert not names(code).reads_everything


def test_names_of_a_used_function_are_read() -> None:
    assert reads("y = f(1)", reached={"f": "K helper", "helper": "L f"}) == {"f", "K", "helper", "L"}


def test_what_a_function_reads_is_dropped_if_the_cell_bound_it_before() -> None:
    assert reads("K = 1\ny = f(1)", reached={"f": "K L"}) == {"f", "L"}


def test_what_a_function_reads_counts_if_the_cell_binds_it_later() -> None:
    assert reads("y = f(1)\nK = 1", reached={"f": "K"}) == {"f", "K"}


def test_an_existing_function_may_call_a_function_of_the_cell() -> None:
    assert reads("def inner():\n    return x\ny = outer()", reached={"outer": "inner"}) == {"outer", "x"}


GUARDS = {
    "plain": ("y = v", False),
    "in try": ("try:\n    y = v\nexcept NameError:\n    y = 0", True),
    "in a suppressing with": ("with suppress(NameError):\n    y = v", True),
    "called function": ("def f():\n    return v\ny = f()", False),
    "function handed on": ("def f():\n    return v\ny = safe(f)", True),
    "called in try": ("def f():\n    return v\ntry:\n    f()\nexcept NameError:\n    pass", True),
    "plain and guarded": ("y = v\ntry:\n    v\nexcept NameError:\n    pass", True),
    "handler": ("try:\n    f()\nexcept E:\n    y = v", False),
}


@pytest.mark.parametrize("code, is_guarded", GUARDS.values(), ids=GUARDS.keys())
def test_guards(code: str, is_guarded: bool) -> None:
    assert names(code).reads["v"].is_guarded is is_guarded


def test_only_the_existence_of_a_deleted_name_matters() -> None:
    assert names("del tmp").reads["tmp"] == Read(by_value=False)


BOUND = {
    "assignment": ("y = 1", "y", "y"),
    "one branch": ("if c:\n    y = 1", "", "y"),
    "deleted": ("y = 1\ndel y", "", "y"),
    "loop": ("for i in d:\n    y = 1", "", "i y"),
    "exception name": ("try:\n    f()\nexcept E as err:\n    y = 1", "", "err y"),
    "global": ("def f():\n    global z\n    z = 1\nf()", "f", "f z"),
    "all binders": ("import a.b as c\nfrom d import e\nclass C: pass\ndef f(): pass\nwith open(p) as g: pass\nx: int = 1",
                    "c e C f g x", "c e C f g x"),
}  # fmt: skip


@pytest.mark.parametrize("code, sure, touched", BOUND.values(), ids=BOUND.keys())
def test_bound(code: str, sure: str, touched: str) -> None:
    found = names(code)
    assert found.surely_bound == set(sure.split())
    assert found.touched == set(touched.split())


@pytest.mark.parametrize(
    "code",
    [
        "os.environ['MODE']",
        "os.environ.get('MODE', 1)",
        "os.getenv('MODE')",
        "'MODE' in os.environ",
        "environ.pop('MODE')",
    ],
)
def test_environment_variables_that_are_asked_for(code: str) -> None:
    assert names(code).environment == {"MODE"}


def test_imported_modules() -> None:
    assert names("import a.b, c\nfrom d.e import f\nfrom g import *").modules == {"a.b", "c", "d.e", "d.e.f", "g"}
