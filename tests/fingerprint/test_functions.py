import functools
import linecache
import random
import threading

import pytest

from hashstash.errors import VolatileKey
from hashstash.fingerprint import Fingerprinter


def change(run, digest, before, after, name="f"):
    """Whether the digest of *name* differs between two notebooks."""
    return digest(run(before)[name]) != digest(run(after)[name])


CHANGES = {
    "a constant": ("def f(v): return v + 1", "def f(v): return v + 2"),
    "the type of a constant": ("def f(): return 1", "def f(): return '1'"),
    "int and float": ("def f(): return 1", "def f(): return 1.0"),
    "int and bool": ("def f(): return 1", "def f(): return True"),
    "the sign of zero": ("def f(): return 0.0", "def f(): return -0.0"),
    "grouped arguments": ("def f(): return g(1, 23)", "def f(): return g(12, 3)"),
    "grouped strings": ("def f(): return 'a', 'bc'", "def f(): return 'ab', 'c'"),
    "an attribute": ("def f(v): return v.real", "def f(v): return v.imag"),
    "an operator": ("def f(v): return v + v", "def f(v): return v - v"),
    "a docstring": ("def f():\n    'a'", "def f():\n    'b'"),
    "an annotation": ("def f(v: int): return v", "def f(v: str): return v"),
    "a hash inside a string": ("def f(): return 'v # one'", "def f(): return 'v # two'"),
    "a default": ("def f(v=1): return v", "def f(v=2): return v"),
    "a keyword default": ("def f(*, v=1): return v", "def f(*, v=2): return v"),
    "which parameter has the default": ("def f(a, b=1): return a", "def f(a=1, b=None): return a"),
    "a global": ("K = 1\ndef f(): return K", "K = 2\ndef f(): return K"),
    "the type of a global": ("K = 1\ndef f(): return K", "K = 1.0\ndef f(): return K"),
    "a global of a lambda inside": (
        "K = 1\ndef f(v): return [(lambda q: q + K)(u) for u in v]",
        "K = 2\ndef f(v): return [(lambda q: q + K)(u) for u in v]",
    ),
    "a global of a class inside": (
        "K = 1\ndef f():\n class C:\n  k = K\n return C",
        "K = 2\ndef f():\n class C:\n  k = K\n return C",
    ),
    "a global of a comprehension": ("K = 1\ndef f(): return [K for _ in '']", "K = 2\ndef f(): return [K for _ in '']"),
    "a helper": ("def g(): return 1\ndef f(): return g()", "def g(): return 2\ndef f(): return g()"),
    "a helper two calls down": (
        "def h(): return 1\ndef g(): return h()\ndef f(): return g()",
        "def h(): return 2\ndef g(): return h()\ndef f(): return g()",
    ),
    "a global of a helper": (
        "K = 1\ndef g(): return K\ndef f(): return g()",
        "K = 2\ndef g(): return K\ndef f(): return g()",
    ),
    "a closure": (
        "def mk(n):\n return lambda v: v + n\nf = mk(1)",
        "def mk(n):\n return lambda v: v + n\nf = mk(2)",
    ),
    "a function in a closure": (
        "def deco(g):\n def w(): return g()\n return w\n@deco\ndef f(): return 1",
        "def deco(g):\n def w(): return g()\n return w\n@deco\ndef f(): return 2",
    ),
    "the decorator": (
        "def deco(g):\n def w(): return g()\n return w\n@deco\ndef f(): return 1",
        "def deco(g):\n def w(): return -g()\n return w\n@deco\ndef f(): return 1",
    ),
    "a wrapped function": (
        "import functools\n@functools.lru_cache\ndef f(v): return v + 1",
        "import functools\n@functools.lru_cache\ndef f(v): return v + 2",
    ),
    "a partial argument": (
        "import functools\ndef g(a, b): return a\nf = functools.partial(g, 2)",
        "import functools\ndef g(a, b): return a\nf = functools.partial(g, 3)",
    ),
    "the function of a partial": (
        "import functools\ndef g(a, b): return a\nf = functools.partial(g, 2)",
        "import functools\ndef g(a, b): return b\nf = functools.partial(g, 2)",
    ),
    "a registered implementation": (
        "import functools\n@functools.singledispatch\ndef f(v): return v\n@f.register(int)\ndef _(v): return 1",
        "import functools\n@functools.singledispatch\ndef f(v): return v\n@f.register(int)\ndef _(v): return 2",
    ),
    "a name inside eval": ("K = 1\ndef f(): return eval('K + 1')", "K = 2\ndef f(): return eval('K + 1')"),
    "a name inside globals()": ("K = 1\ndef f(): return globals()['K']", "K = 2\ndef f(): return globals()['K']"),
    "a name in a query": ("K = 1\ndef f(df): return df.query('a > @K')", "K = 2\ndef f(df): return df.query('a > @K')"),
    "a shadowed builtin": ("def f(v): return len(v)", "def len(v): return 1\ndef f(v): return len(v)"),
    "an attribute of the function": ("def f(): return f.k\nf.k = 1", "def f(): return f.k\nf.k = 2"),
    "a mutual helper": (
        "def even(n): return n == 0 or f(n - 1)\ndef f(n): return n != 0 and even(n - 1)",
        "def even(n): return n == 1 or f(n - 1)\ndef f(n): return n != 0 and even(n - 1)",
    ),
    "async or not": ("async def f(): return 1", "def f(): return 1"),
    "a contextmanager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 1",
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 2",
    ),
}
NO_CHANGES = {
    "a comment": ("def f(v):\n    return v + 1", "def f(v):\n    # why\n    return v + 1  # so"),
    "formatting": (
        "def f(v): return [v, 'a']",
        '\n\ndef f(\n    v,\n):\n    return [\n        (v),\n        "a",\n    ]',
    ),
    "other names": ("def f(v): return v", "K = 3\ndef g(): return 1\ndef f(v): return v"),
    "a global of the same name as an attribute": ("def f(v): return v.k", "k = 3\ndef f(v): return v.k"),
    "a global of the same name as a keyword": ("def f(v): return dict(k=v)", "k = 3\ndef f(v): return dict(k=v)"),
    "a global of the same name as a variable": ("def f(v): return v", "v = 3\ndef f(v): return v"),
    "where the lambda stands": ("f = lambda v: v + 1", "a, f = 1, (lambda v: v + 1)"),
    "how a default is written": ("def f(v=1 + 1): return v", "def f(v=2): return v"),
    "how an f-string is split": ("def f(v): return f'a{v}b'", "def f(v): return 'a' f'{v}' 'b'"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_counts_of(what, run, digest):
    assert change(run, digest, *CHANGES[what])


@pytest.mark.parametrize("what", CHANGES)
def test_the_same_text_again_has_the_same_digest(what, run, digest):
    assert not change(run, digest, CHANGES[what][0], CHANGES[what][0])


@pytest.mark.parametrize("what", NO_CHANGES)
def test_does_not_count(what, run, digest):
    assert not change(run, digest, *NO_CHANGES[what])


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_counts_without_source_of(what, digest):
    before, after = {}, {}
    exec(CHANGES[what][0], before)
    exec(CHANGES[what][1], after)
    again = {}
    exec(CHANGES[what][0], again)
    if what != "an annotation":
        assert digest(before["f"]) != digest(after["f"])
    assert digest(before["f"]) == digest(again["f"])


def test_lambdas_on_one_line_differ(run, digest):
    first, second, third, fourth = run("fs = [lambda: 1, lambda: 2, lambda v: v, (lambda: (lambda: 1))]")["fs"]
    assert len({digest(first), digest(second), digest(third), digest(fourth)}) == 4


def test_equal_lambdas_on_one_line_are_equal(run, digest):
    first, second = run("fs = [lambda v: v + 1, lambda v: v + 1]")["fs"]
    assert digest(first) == digest(second)


def test_the_loaded_code_counts_and_not_an_edited_file(user_module, digest):
    module = user_module("edited", "def f(): return 1\n")
    user_module.write("edited", "def f(): return 2\n")
    linecache.checkcache()
    edited = digest(module.f)
    user_module.write("edited", "def f(): return 1\n")
    assert edited != digest(user_module("edited", "def f(): return 2\n").f)


def test_an_edit_after_the_first_look_changes_nothing(user_module, digest):
    module = user_module("edited", "def f(): return 1\n")
    before = digest(module.f)
    user_module.write("edited", "# other\ndef f(): return 22\n")
    linecache.checkcache()
    assert digest(module.f) == before


def test_a_reloaded_module_is_read_again(user_module, digest):
    before = digest(user_module("edited", "def f(): return 1\n").f)
    after = digest(user_module("edited", "def f(): return 22\n").f)
    back = digest(user_module("edited", "def f(): return 1\n").f)
    assert before == back != after


def test_mutable_default_counts_by_content(run, digest):
    f = run("def f(v, acc=[]): return len(acc) + v")["f"]
    before = digest(f)
    f.__defaults__[0].append(0)
    assert digest(f) != before


def test_mutable_closure_counts_by_content(run, digest):
    f = run("def mk():\n n = [0]\n def f():\n  n[0] += 1\n  return n[0]\n return f\nf = mk()")["f"]
    before = digest(f)
    f()
    assert digest(f) != before


def test_the_cache_of_a_cached_function_does_not_count(run, digest):
    f = run("import functools\n@functools.cache\ndef f(v): return v")["f"]
    before = digest(f)
    f(1)
    assert digest(f) == before


def test_calls_of_a_dispatcher_do_not_count(run, digest):
    f = run("import functools\n@functools.singledispatch\ndef f(v): return v")["f"]
    before = digest(f)
    f(1)
    assert digest(f) == before


def test_recursion_ends(run, digest):
    f = run("def f(n): return n and f(n - 1)")["f"]
    assert digest(f) == digest(f)


def test_an_empty_cell_is_walked(run, digest):
    f = run("def mk():\n def f(): return later\n return f\n later = 1\nf = mk()")["f"]
    assert digest(f) == digest(f)


def test_a_bound_method_is_its_function_and_its_self(run, digest):
    text = "class P:\n def __init__(s, v): s.v = v\n def m(s): return s.v\nf, g, h = P(1).m, P(1).m, P(2).m"
    found = run(text)
    assert digest(found["f"]) == digest(found["g"]) != digest(found["h"])


def test_globals_of_the_namespace_are_named_and_do_not_count(run):
    namespace = run("K = 1\ndef g(): return K\ndef f(v): return g() + len(v) + missing")
    before = Fingerprinter(namespace=namespace).walk(namespace["f"])
    namespace["K"] = 2
    after = Fingerprinter(namespace=namespace).walk(namespace["f"])
    assert before.digest == after.digest
    assert before.names == {"g", "len", "missing"}


def test_names_of_methods_are_reported(run):
    namespace = run("class P:\n def m(self): return K")
    assert Fingerprinter(namespace=namespace).walk(namespace["P"]).names == {"K"}


def test_functions_of_other_modules_are_walked_under_a_namespace(user_module):
    module = user_module("helpers", "K = 1\ndef f(): return K\n")
    before = Fingerprinter(namespace={}).walk(module.f)
    module.K = 2
    after = Fingerprinter(namespace={}).walk(module.f)
    assert before.digest != after.digest
    assert not before.names


def test_dynamic_functions_are_reported(run):
    namespace = run("def f(v): return eval(v)\ndef g(v): return v")
    assert Fingerprinter(namespace=namespace).walk(namespace["f"]).is_dynamic
    assert not Fingerprinter(namespace=namespace).walk(namespace["g"]).is_dynamic


def test_a_volatile_global_is_named(run):
    f = run("import threading\nLOCK = threading.Lock()\ndef f():\n with LOCK: return 1")["f"]
    with pytest.raises(VolatileKey, match="`f -> LOCK` is a lock"):
        Fingerprinter().digest(f, "f")


def test_a_volatile_default_is_named(run):
    f = run("def f(v=(i for i in ())): return v")["f"]
    assert Fingerprinter().walk(f, "f").volatile == ("`f(v=)` is a generator",)


def test_functions_of_installed_packages_count_by_name_and_version():
    walk = Fingerprinter(pin="exact").walk(pytest.raises)
    assert walk.packages.keys() == {"_pytest"} or walk.packages.keys() == {"pytest"}
    assert Fingerprinter(pin="none").walk(pytest.raises).digest != walk.digest


def test_parts_name_what_changed(run):
    text = (
        "K = 1\ndef h(): return K\ndef g(): return h()\ndef mk(n):\n def f(v=3): return g() + n\n return f\nf = mk(2)"
    )
    before, after = run(text), run(text.replace("K = 1", "K = 5"))
    old, new = Fingerprinter().parts(before["f"]), Fingerprinter().parts(after["f"])
    assert old.keys() == {"code of f", "default v", "closure n", "helper g", "helper h", "global K"}
    assert {name for name in old if old[name] != new[name]} == {"global K"}


def test_partials_of_the_same_function(digest):
    assert digest(functools.partial(print, 1)) != digest(functools.partial(print, end=1))


def test_threads_may_walk_at_once(run):
    f = run("K = [1]\ndef g(): return K\ndef f(): return g()")["f"]
    digests = []
    threads = [threading.Thread(target=lambda: digests.append(Fingerprinter().digest(f))) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(digests) == 8
    assert len(set(digests)) == 1


def test_functions_of_a_hidden_instance_count_by_name(digest):
    before = digest(random.random), digest(random.randint)
    random.random()
    assert (digest(random.random), digest(random.randint)) == before
    assert digest(random.Random(1).random) != digest(random.Random(2).random)


def test_a_function_that_hashstash_memoized_stands_for_itself(run, digest):
    f = run("def f(v): return v")["f"]
    globals_of_ours = {"__name__": "hashstash.functions.decorators", "lock": threading.Lock()}
    exec("def wrap(f):\n def w(*a):\n  with lock: return f(*a)\n return w", globals_of_ours)
    wrapper = functools.wraps(f)(globals_of_ours["wrap"](f))
    other = run("def f(v): return -v")["f"]
    assert digest(wrapper) != digest(functools.wraps(other)(globals_of_ours["wrap"](other)))
