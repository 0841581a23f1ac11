"""``f.explain(*args)``: would the call hit, and if not, which argument, helper, constant or time is why."""

import json
import subprocess
import sys
import time

import pytest

from hashstash import HashStash
from hashstash.entry import unpack
from hashstash.functions import Explanation


def program(text, **names):
    """The namespace of a program; edited ones stand for edited notebooks."""
    namespace = {"__name__": "__main__", **names}
    exec(text, namespace)
    return namespace


FIT = """
RATE = 0.5
NAMES = ["a"]
def scale(x): return x * RATE
def helper(x): return scale(x) + 1
def fit(x, depth=3, *, verbose=False): return helper(x) * depth + len(NAMES)
"""


@pytest.fixture
def fit(stash):
    """A memoized function of which one call is stored, and a callable that gives it after edits of its program."""

    def edited(*edits, **options):
        text = FIT
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        return stash.stashed_result(program(text)["fit"], **options)

    f = edited()
    f(1)
    f.edited = edited
    return f


def changes(explanation):
    return [tuple(change) for change in explanation.changes]


def test_a_hit_says_so(fit):
    found = fit.explain(1)
    assert found
    assert (found.hit, found.reason, found.changes) == (True, "stored", ())
    assert repr(found).startswith("fit(1) is answered from the stash: stored ")
    assert abs(found.stored_at - time.time()) < 1000


def test_explaining_calls_nothing_and_stores_nothing(stash, calls):
    @stash.stashed_result
    def f(x):
        calls.append(x)

    assert not f.explain(1)
    assert calls == []
    assert len(f.stash) == 0
    assert f.cache_info() == (0, 0, 0)


def test_a_function_that_was_never_called(stash):
    found = stash.stashed_result(program(FIT)["fit"]).explain(1)
    assert (found.hit, found.reason) == (False, "nothing stored")
    assert str(found) == "fit(1) is computed: nothing is stored yet"


def test_another_argument(fit):
    found = fit.explain(1, depth=5)
    assert (found.hit, found.reason) == (False, "other arguments")
    assert changes(found) == [("depth", "3", "5")]
    assert "\n  depth: 3 -> 5" in str(found)


def test_the_nearest_call_is_the_one_of_which_the_fewest_arguments_differ(fit):
    fit(2, depth=7)
    fit(5, depth=8, verbose=True)
    assert changes(fit.explain(2, depth=8)) == [("depth", "7", "8")]


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (("RATE = 0.5", "RATE = 0.7"), ("global RATE", "0.5", "0.7")),
        (("x * RATE", "x / RATE"), ("function scale", "", "")),
        (("+ 1", "+ 2"), ("function helper", "", "")),
        (("* depth", "- depth"), ("code of fit", "", "")),
        (('["a"]', '["b"]'), ("global NAMES", "", "")),
        (("depth=3", "depth=4"), ("default of depth", "3", "4")),
        (("verbose=False", "verbose=None"), ("default of verbose", "False", "None")),
    ],
)
def test_what_has_changed_in_the_function_is_named(fit, edit, change):
    found = fit.edited(edit).explain(1, 3, verbose=False)
    assert (found.hit, found.reason) == (False, "function changed")
    assert changes(found) == [change]


def test_what_a_function_uses_only_now_is_named(fit):
    found = fit.edited(("* depth", "* depth + MORE"), ("RATE = 0.5", "RATE = 0.5; MORE = 3")).explain(1)
    assert changes(found) == [("code of fit", "", ""), ("global MORE", "not used", "used")]


def test_a_closure_value_that_changed(stash):
    make = program("def make(k):\n def f(x): return x + k\n return f")["make"]
    stash.stashed_result(make(2))(1)
    assert changes(stash.stashed_result(make(3)).explain(1)) == [("closure k", "2", "3")]


def test_text_constants_are_never_written_down(tmp_path):
    """They may be passwords."""
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    text = "TOKEN = 'very secret'\ndef f(x): return len(TOKEN)"
    stash.run(program(text)["f"], 1)
    f = stash.stashed_result(program(text.replace("secret", "hidden"))["f"])
    assert changes(f.explain(1)) == [("global TOKEN", "", "")]
    files = [path for path in (tmp_path / "stash").rglob("*") if path.is_file()]
    assert [path for path in files if b"very secret" in path.read_bytes()] == []


def test_other_arguments_of_a_function_that_changed(fit):
    found = fit.edited(("0.5", "0.7")).explain(8)
    assert found.reason == "function changed"
    assert changes(found) == [("global RATE", "0.5", "0.7"), ("x", "1", "8")]
    assert "for other arguments" in str(found)


def test_another_version(fit):
    found = fit.edited(version="2").explain(1)
    assert found.reason == "version changed"
    assert changes(found) == [("version", "None", "'2'")]


def test_a_result_that_is_over(stash):
    f = stash.stashed_result(program(FIT)["fit"], ttl=0.02)
    f(1)
    time.sleep(0.03)
    found = f.explain(1)
    assert (found.hit, found.reason) == (False, "expired")
    assert "its result is over: for " in str(found)


def test_a_result_with_a_time_to_live_says_how_long(stash):
    f = stash.stashed_result(program(FIT)["fit"], ttl="2h")
    f(1)
    assert "over in 2 h" in str(f.explain(1))


def test_an_argument_that_cannot_be_hashed(fit):
    found = fit.explain(i for i in ())
    assert (found.hit, found.reason) == (False, "volatile")
    assert "is a generator" in str(found)


def test_a_function_that_cannot_be_hashed(memory):
    f = memory.stashed_result(program("import threading\nL = threading.Lock()\ndef f(x): return L")["f"])
    assert "f -> L` is a lock" in str(f.explain(1))


def test_a_corrupt_result(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    f = stash.stashed_result(program(FIT)["fit"])
    f(1)
    engine = f.stash.store.engine
    for address, row in list(engine.rows()):
        engine.put(address, row[:-1] + bytes([row[-1] ^ 1]))
    found = f.explain(1)
    assert (found.hit, found.reason) == (False, "corrupt")
    assert "checksum" in str(found)


def test_a_result_of_a_newer_hashstash(memory):
    f = memory.stashed_result(program(FIT)["fit"])
    f(1)
    ((address, row),) = f.stash.store.engine.rows()
    f.stash.store.engine.put(address, newer(row))
    assert f.explain(1).reason == "newer format"


def newer(row):
    import zlib

    body = row[:3] + bytes([row[3] + 1]) + row[4:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


class Result:
    pass


def test_a_result_that_somebody_else_signed(tmp_path, somebody_else):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    f = stash.stashed_result(program("def f(x): return Result()", Result=Result)["f"])
    with somebody_else:
        f(1)
    found = f.explain(1)
    assert (found.hit, found.reason) == (False, "foreign")
    assert "stash.trust()" in str(found)


def test_a_kept_exception(memory):
    @memory.stashed_result(cache_exceptions="1h")
    def fail(x):
        raise ValueError("no")

    with pytest.raises(ValueError):
        fail(1)
    found = fail.explain(1)
    assert (found.hit, found.reason) == (True, "exception stored")
    assert "ValueError(no)" in str(found)


def test_force_is_said(fit, stash):
    found = stash.options(force=True).explain(fit, 1)
    assert (found.hit, found.reason) == (False, "forced")


def test_a_stash_explains_any_function_and_method(stash):
    class Model:
        def __init__(self, weight):
            self.weight = weight

        def predict(self, x):
            return self.weight * x

    stash.run(Model(2).predict, 3)
    assert stash.options().explain(Model(2).predict, 3)
    assert changes(stash.options().explain(Model(4).predict, 3)) == [("self.weight", "2", "4")]


def test_arguments_that_do_not_fit_raise_what_the_call_raises(fit):
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        fit.explain(1, wrong=2)


def test_editing_back_hits_again(fit):
    assert not fit.edited(("0.5", "0.7")).explain(1)
    assert fit.edited().explain(1)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ([1, 2, 3], [1, 5, 3], ("x[1]", "2", "5")),
        ([1, 2], [1, 2, 3], ("len(x)", "2", "3")),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ("x['a']['b']", "1", "2")),
        ({"a": 1}, {"a": 1, "b": 2}, ("x['b']", "missing", "2")),
        (1, 1.0, ("x", "1", "1.0")),
        (1, True, ("x", "1", "True")),
        ("a", "b", ("x", "'a'", "'b'")),
        ((1, (2, 3)), (1, (2, 4)), ("x[1][1]", "3", "4")),
    ],
)
def test_where_an_argument_differs(memory, old, new, change):
    f = memory.stashed_result(lambda x: 0)
    f(old)
    assert changes(f.explain(new)) == [change]


def test_where_arrays_differ(memory):
    numpy = pytest.importorskip("numpy")
    f = memory.stashed_result(lambda x: 0)
    array = numpy.array([[1.0, numpy.nan], [3.0, 4.0]])
    f(array)
    other = array.copy()
    other[1, 0] = 9
    assert changes(f.explain(other)) == [("x[1, 0]", "3.0", "9.0")]
    assert changes(f.explain(array[:1])) == [("x.shape", "(2, 2)", "(1, 2)")]
    assert changes(f.explain(array.astype("f4"))) == [("x.dtype", "float64", "float32")]


def test_where_large_arrays_differ_only_their_digests_tell(memory):
    numpy = pytest.importorskip("numpy")
    f = memory.stashed_result(lambda x: 0)
    f(numpy.zeros(100_000))
    ((name, old, new),) = changes(f.explain(numpy.ones(100_000)))
    assert (name, old[:33], new[:33]) == (
        "x",
        *["<ndarray (100000,) float64 " + text for text in (old[27:33], new[27:33])],
    )
    assert old != new


def test_where_frames_differ(memory):
    pandas = pytest.importorskip("pandas")
    f = memory.stashed_result(lambda x: 0)
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    f(frame)
    assert changes(f.explain(frame.assign(b=["x", "z"]))) == [("x['b'][1]", "'y'", "'z'")]
    assert changes(f.explain(frame.rename(columns={"a": "c"}))) == [("x.columns", "('a', 'b')", "('c', 'b')")]


def test_another_process_explains_what_this_one_has_stored(tmp_path):
    script = tmp_path / "script.py"
    text = (
        "import sys\nfrom hashstash import HashStash\nstash = HashStash(sys.argv[1], engine='pairtree')\n"
        + FIT
        + "fit = stash.stashed_result(fit)\nprint(fit.explain(1))\nfit(1)\n"
    )

    def run(text):
        script.write_text(text)
        command = [sys.executable, script, tmp_path / "stash"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert run(text) == "fit(1) is computed: nothing is stored yet\n"
    assert "is answered from the stash" in run(text)
    found = run(text.replace("RATE = 0.5", "RATE = 0.7").replace("+ 1", "+ 2"))
    assert found.split("\n")[1:] == ["  function helper changed", "  global RATE: 0.5 -> 0.7", ""]


def test_hits_write_nothing(tmp_path):
    stash = HashStash(tmp_path, engine="memory", clear=True)
    f = stash.stashed_result(program(FIT)["fit"])
    f(1)
    rows = dict(f.stash.store.engine.section("meta").rows())
    assert [address for address in rows if address.startswith(b"context ")] == [
        b"context " + f.stash.store.keys.context()
    ]
    f(1)
    f(2)
    assert dict(f.stash.store.engine.section("meta").rows()).keys() == rows.keys()


def test_an_account_that_cannot_be_read_is_left_out(memory):
    f = memory.stashed_result(program(FIT)["fit"])
    f(1)
    section = f.stash.store.engine.section("meta")
    for address, _ in list(section.rows()):
        section.put(address, b"0" * 16 + b"{broken")
    g = memory.stashed_result(program(FIT.replace("0.5", "0.7"))["fit"])
    found = g.explain(1)
    assert (found.reason, found.changes) == ("function changed", ())
    assert "not recorded" in str(found)


def test_many_changes_are_cut(memory):
    f = memory.stashed_result(lambda **names: 0)
    f(**{f"name{number}": number for number in range(30)})
    found = f.explain(**{f"name{number}": -1 - number for number in range(30)})
    assert len(str(found).split("\n")) <= 15


def test_an_explanation_is_a_value():
    one = Explanation("f(1)", hit=False, reason="nothing stored")
    assert one == Explanation("f(1)", hit=False, reason="nothing stored")
    assert not one


def test_rows_that_carry_notes_of_users_belong_to_their_context(memory):
    f = memory.stashed_result(lambda x: 0)
    f(1)
    ((address, row),) = f.stash.store.engine.rows()
    assert unpack(row, address).metadata[:16] == f.stash.store.keys.context()


STRANGE = {"function": "x", "version": None, "parts": {}, "numbers": {}, "packages": {}}


@pytest.mark.parametrize(
    "context",
    [
        b"[" * 100_000,
        json.dumps({**STRANGE, "parts": 5}).encode(),
        json.dumps({**STRANGE, "numbers": [1]}).encode(),
        json.dumps({**STRANGE, "packages": {"numpy": 5}}).encode(),
        json.dumps({**STRANGE, "version": "\x1b]0;title\x07", "parts": {"\x1b[2J" * 1000: "a"}}).encode(),
    ],
)
def test_what_a_stranger_says_that_the_function_was_is_no_harm(fit, context):
    meta = fit.stash.store.engine.section("meta")
    for address in list(meta.scan(b"context ")):
        meta.put(address, bytes(16) + context)
    told = repr(fit.edited(("x * RATE", "x * RATE * 2")).explain(1))
    assert "the function or what it uses has changed" in told
    assert "\x1b" not in told
    assert len(told) < 5000
