"""A result is stored for the function as it is: what it is and what it uses, near and far."""

import subprocess
import sys

import pytest

calls = []
FACTOR = 10


def helper(x):
    return inner_helper(x) * FACTOR


def inner_helper(x):
    return x + 1


def work(a, b=2, *, c=3):
    calls.append((a, b, c))
    return helper(a) + b + c


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def test_editing_the_function_recomputes_and_editing_back_hits(stash):
    def make(source):
        namespace = {"__name__": "__main__"}
        exec(source, namespace)
        return stash.stashed_result(namespace["f"])

    first, second = "def f(x):\n    return x + 1", "def f(x):\n    return x + 2"
    assert make(first)(1) == 2
    assert make(second)(1) == 3
    again = make(first)
    assert again(1) == 2
    assert again.cache_info()[:2] == (1, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("FACTOR", 100), ("inner_helper", lambda x: x + 5), ("helper", lambda x: -x)],
)
def test_a_changed_global_or_helper_recomputes(stash, monkeypatch, name, value):
    f = stash.stashed_result(work)
    before = f(1)
    monkeypatch.setitem(globals(), name, value)
    assert f(1) != before
    monkeypatch.undo()
    assert f(1) == before
    assert len(calls) == 2


def test_a_changed_default_recomputes(stash):
    def f(x, y=1):
        return x + y

    assert stash.run(f, 1) == 2
    f.__defaults__ = (5,)
    assert stash.run(f, 1) == 6


def test_a_changed_closure_value_recomputes(stash):
    def make(step):
        def f(x):
            calls.append(x)
            return x + step

        return f

    assert stash.run(make(1), 1) == 2
    assert stash.run(make(5), 1) == 6
    assert stash.run(make(1), 1) == 2
    assert len(calls) == 2


def test_a_changed_mutable_global_recomputes(stash, monkeypatch):
    config = {"n": 1}

    def f(x):
        return x * config["n"]

    assert stash.run(f, 3) == 3
    config["n"] = 2
    assert stash.run(f, 3) == 6


def test_comments_and_formatting_do_not_matter(tmp_path):
    script = tmp_path / "mod.py"
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "import mod; from hashstash import HashStash\n"
        "s = HashStash(sys.argv[2], engine='pairtree'); print(s.run(mod.f, 1), s.run(mod.f, 1)); print(len(mod.f.stash))\n"
    )

    def run(source):
        script.write_text(source)
        out = subprocess.run(
            [sys.executable, program, tmp_path, tmp_path / "other"], capture_output=True, text=True, check=True
        )
        return out.stdout.split("\n")

    one = "log = []\ndef f(x):\n    log.append(x)\n    print('ran', end=' ')\n    return x + 1\n"
    two = "log = []\n# a comment\ndef f( x ):\n    log.append( x )   # another\n\n    print(\"ran\", end=' ')\n    return (x\n    + 1)\n"
    assert run(one)[0] == "ran 2 2"
    assert run(two)[0] == "2 2"
    assert run(one.replace("+ 1", "+ 2"))[0] == "ran 3 3"
    assert run(one) == ["2 2", "1", ""]


def test_two_lambdas_on_one_line_differ(stash):
    f, g = (lambda x: x + 1), (lambda x: x + 2)
    assert (stash.run(f, 1), stash.run(g, 1)) == (2, 3)
    assert (stash.run(f, 1), stash.run(g, 1)) == (2, 3)


def test_counting_its_calls_does_not_change_a_function(stash):
    count = 0
    seen = {}

    @stash.stashed_result
    def f(x):
        nonlocal count
        count += 1
        seen[x] = True
        return x

    assert [f(1), f(1), f(2), f(1)] == [1, 1, 2, 1]
    assert count == 2


def test_a_function_that_computes_names_depends_on_every_global(stash, monkeypatch):
    def apply(name, x):
        return globals()[name](x)

    def evaluate(expression):
        return eval(expression)

    monkeypatch.setitem(globals(), "scale", lambda x: x * 10)
    assert (stash.run(apply, "scale", 2), stash.run(evaluate, "scale(3)")) == (20, 30)
    monkeypatch.setitem(globals(), "scale", lambda x: x * 1000)
    assert (stash.run(apply, "scale", 2), stash.run(evaluate, "scale(3)")) == (2000, 3000)
    assert stash.run(apply, "scale", 2) == 2000
