import pytest

from hashstash.errors import VolatileKey
from hashstash.fingerprint import LiveFingerprint

TEXT = """
K = 1
TABLE = {"a": [1]}
def h(v): return v + K
def g(v, w=2): return h(v) * w
class P:
    k = 1
    def m(self): return h(1)
def make(n):
    def f(v, *, x=3): return g(v) + n + x + P.k + len(TABLE)
    return f
f = make(5)
"""


@pytest.fixture
def namespace(run):
    return run(TEXT)


def rebind_cell(namespace):
    namespace["f"].__closure__[0].cell_contents = 6


EDITS = {
    "its code": lambda n: setattr(n["f"], "__code__", n["make"](1).__code__.replace(co_consts=(None, 1))),
    "a global two calls down": lambda n: n.update(K=2),
    "the type of a global": lambda n: n.update(K=True),
    "a helper": lambda n: n.update(g=lambda v: v),
    "the code of a helper": lambda n: setattr(n["h"], "__code__", (lambda v: v - K).__code__),
    "the defaults of a helper": lambda n: setattr(n["g"], "__defaults__", (3,)),
    "a keyword default": lambda n: n["f"].__kwdefaults__.update(x=4),
    "all keyword defaults": lambda n: setattr(n["f"], "__kwdefaults__", {"x": 4}),
    "a closure": rebind_cell,
    "a table": lambda n: n["TABLE"]["a"].append(2),
    "another table": lambda n: n.update(TABLE={"a": [2]}),
    "a class attribute": lambda n: setattr(n["P"], "k", 2),
    "a new class attribute": lambda n: setattr(n["P"], "j", 2),
    "a method": lambda n: setattr(n["P"], "m", lambda self: 5),
    "the code of a method": lambda n: setattr(n["P"].m, "__code__", (lambda self: 5).__code__),
    "an attribute": lambda n: setattr(n["f"], "note", 1),
    "a shadowed builtin": lambda n: n.update(len=lambda v: 1),
    "a global that is gone": lambda n: n.pop("K"),
}
K = 0


@pytest.mark.parametrize("what", EDITS)
def test_sees_a_change_of(what, namespace):
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    EDITS[what](namespace)
    assert live.digest() != before


@pytest.mark.parametrize("what", EDITS)
def test_a_change_before_the_first_call_gives_the_same_digest_as_one_after(what, namespace, run):
    live = LiveFingerprint(namespace["f"])
    live.digest()
    EDITS[what](namespace)
    assert LiveFingerprint(namespace["f"]).digest() == live.digest()


def test_changing_back_gives_the_first_digest(namespace):
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    namespace["K"] = 2
    live.digest()
    namespace["K"] = 1
    assert live.digest() == before


def test_nothing_changed(namespace):
    live = LiveFingerprint(namespace["f"])
    assert live.digest() == live.digest()


def test_the_same_text_elsewhere_has_the_same_digest(namespace, run):
    assert LiveFingerprint(namespace["f"]).digest() == LiveFingerprint(run(TEXT)["f"]).digest()


def test_sharing_between_mutable_globals_counts(run):
    text = "A = [1]\nB = {}\ndef f(): return A, B"
    apart, together = run(text.format("[1]")), run(text.format("A"))
    assert LiveFingerprint(apart["f"]).digest() != LiveFingerprint(together["f"]).digest()


def test_a_function_of_a_module_that_is_patched(user_module, run):
    module = user_module("helper_m", "def g(): return 1\n")
    live = LiveFingerprint(run("import helper_m\ndef f(): return helper_m.g()")["f"])
    before = live.digest()
    module.g = lambda: 2
    assert live.digest() != before


def test_a_partial_is_followed(run):
    namespace = run("import functools\ndef g(v): return v\nh = functools.partial(g, v=[1])\ndef f(): return h()")
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    namespace["h"].keywords["v"].append(2)
    assert live.digest() != before


def test_a_new_registration_is_seen(run):
    namespace = run("import functools\n@functools.singledispatch\ndef g(v): return v\ndef f(): return g(1)")
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    namespace["g"].register(int)(lambda v: 1)
    assert live.digest() != before


def test_an_instance_is_hashed_at_each_call(run):
    namespace = run("class P: pass\np = P()\np.v = 1\ndef f(): return p.v")
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    namespace["p"].v = 2
    assert live.digest() != before


def test_a_class_behind_an_instance_is_seen(run):
    namespace = run("class P:\n def m(s): return 1\np = P()\ndef f(): return p.m()")
    live = LiveFingerprint(namespace["f"])
    before = live.digest()
    namespace["P"].m = lambda s: 2
    assert live.digest() != before


def test_a_volatile_global_is_named(run):
    namespace = run("g = (i for i in ())\ndef f(): return next(g)")
    with pytest.raises(VolatileKey, match="`f -> g` is a generator"):
        LiveFingerprint(namespace["f"]).digest()


def test_a_global_that_became_stable_is_hashed_again(run):
    namespace = run("g = (i for i in ())\ndef f(): return next(g)")
    live = LiveFingerprint(namespace["f"])
    with pytest.raises(VolatileKey):
        live.digest()
    namespace["g"] = 3
    assert live.digest() == live.digest()


def test_parts_name_the_global(run):
    namespace = run("K = 1\ndef f(): return K")
    live = LiveFingerprint(namespace["f"])
    before = live.parts()
    namespace["K"] = 2
    after = live.parts()
    assert {name for name in before if before[name] != after[name]} == {"global K"}
