"""The user's own modules in warm workers: results are those of the code that the parent has, whatever happened to the files."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("cloudpickle")
pytestmark = pytest.mark.slow

PATIENCE = 200
HEAD = """
import importlib, os, sys, time, warnings
from pathlib import Path
from hashstash import HashStash

folder = Path(os.environ["FOLDER"])
sys.path.insert(0, str(folder))
sys.dont_write_bytecode = False
stash = HashStash(folder / "stash", engine="pairtree")

def edit(text, name="usermod"):
    (folder / f"{name}.py").write_text(text)

def values(function, *, count=4, **options):
    mapped = stash.map(function, range(count), **{"num_proc": 2, "chunksize": 1, "progress": False, **options})
    return mapped.results, sum(mapped.was_cached)

def pids():
    return set(stash.map(lambda x: (time.sleep(.1), os.getpid())[1], range(4), num_proc=2, chunksize=1, force=True,
                         progress=False).results)
"""
EXECUTORS = {"ours": "", "loky": "executor='loky'", "stdlib": "executor=pool"}


@pytest.fixture
def run(tmp_path):
    """Run a program and return what it has printed."""

    def run(text):
        file = tmp_path / "program.py"
        file.write_text(HEAD + text)
        environment = {**os.environ, "FOLDER": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", str(file)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
            cwd=tmp_path,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_a_module_beside_the_program_is_imported_by_workers(run):
    assert run(
        "edit('def f(x): return x + 1')\nimport usermod\nprint(values(usermod.f))\nprint(values(usermod.f))\n"
    ) == ["([1, 2, 3, 4], 0)", "([1, 2, 3, 4], 4)"]


EDITED = """
edit('def f(x): return x + 1')
import usermod
print(values(usermod.f, OPTIONS))
edit('def f(x): return x * 100')
importlib.reload(usermod)
print(values(usermod.f, OPTIONS))
edit('def f(x): return x + 1')
importlib.reload(usermod)
print(values(usermod.f, OPTIONS))
"""
EDITED_SHOWS = ["([1, 2, 3, 4], 0)", "([0, 100, 200, 300], 0)", "([1, 2, 3, 4], 4)"]


def test_an_edited_and_reloaded_module_is_not_served_stale_by_a_warm_worker(run):
    assert run(EDITED.replace("OPTIONS", "")) == EDITED_SHOWS


def test_nor_by_workers_of_loky(run):
    pytest.importorskip("loky")
    assert run(EDITED.replace("OPTIONS", "executor='loky'")) == EDITED_SHOWS


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_nor_by_those_of_the_standard_library(run, method):
    text = (
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        f"  with ProcessPoolExecutor(2, multiprocessing.get_context({method!r})) as pool:\n"
    )
    body = EDITED.replace("OPTIONS", "executor=pool")
    assert run(text + "".join(f"    {line}\n" for line in body.splitlines())) == EDITED_SHOWS


def test_a_module_that_was_edited_but_not_reloaded_gives_the_results_of_what_the_parent_has(run):
    assert run(
        "edit('def f(x): return x + 1')\nimport usermod\nedit('def f(x): return x * 100')\n"
        "print(values(usermod.f))\nprint([usermod.f(x) for x in range(4)])\n"
    ) == ["([1, 2, 3, 4], 0)", "[1, 2, 3, 4]"]


def test_what_the_parent_has_set_in_a_module_counts_in_the_workers(run):
    assert run(
        "edit('FACTOR = 1\\ndef f(x): return x * FACTOR')\nimport usermod\n"
        "print(values(usermod.f))\nusermod.FACTOR = 7\nprint(values(usermod.f))\n"
        "usermod.FACTOR = 1\nprint(values(usermod.f))\n"
    ) == ["([0, 1, 2, 3], 0)", "([0, 7, 14, 21], 0)", "([0, 1, 2, 3], 4)"]


def test_a_helper_two_modules_away(run):
    assert run(
        "edit('def g(x): return x + 1', 'far')\nedit('from far import g\\ndef f(x): return g(x)')\n"
        "import far, usermod\nprint(values(usermod.f))\n"
        "edit('def g(x): return x * 100', 'far')\nimportlib.reload(far); importlib.reload(usermod)\n"
        "print(values(usermod.f))\n"
    ) == ["([1, 2, 3, 4], 0)", "([0, 100, 200, 300], 0)"]


def test_a_module_that_only_the_function_imports(run):
    assert run(
        "edit('def g(x): return x + 1', 'late')\n"
        "def f(x):\n    import late\n    return late.g(x)\n"
        "print(values(f))\n"
        "edit('def g(x): return x * 100', 'late')\n"
        "print(values(f))\n"
    ) == ["([1, 2, 3, 4], 0)", "([0, 100, 200, 300], 0)"]


def test_the_class_of_an_argument(run):
    assert run(
        "edit('class C:\\n  def __init__(self, x): self.x = x\\n  def score(self): return self.x + 1')\n"
        "import usermod\n"
        "def score(x, thing): return thing.score()\n"
        "print(values(score, thing=usermod.C(5)))\n"
        "edit('class C:\\n  def __init__(self, x): self.x = x\\n  def score(self): return self.x * 100')\n"
        "importlib.reload(usermod)\n"
        "print(values(score, thing=usermod.C(5)))\n"
    ) == ["([6, 6, 6, 6], 0)", "([500, 500, 500, 500], 0)"]


def test_a_result_is_an_instance_of_the_parents_class(run):
    assert run(
        "edit('class C:\\n  def __init__(self, x): self.x = x\\ndef f(x): return C(x)')\nimport usermod\n"
        "found, _ = values(usermod.f)\nprint([c.x for c in found], all(type(c) is usermod.C for c in found))\n"
        "edit('class C:\\n  def __init__(self, x): self.x = -x\\ndef f(x): return C(x)')\n"
        "importlib.reload(usermod)\n"
        "found, _ = values(usermod.f)\nprint([c.x for c in found], all(type(c) is usermod.C for c in found))\n"
    ) == ["[0, 1, 2, 3] True", "[0, -1, -2, -3] True"]


def test_a_module_that_workers_cannot_import_travels_whole(run):
    assert run(
        "import types\nmodule = types.ModuleType('made')\n"
        "exec(compile('SHIFT = 3\\ndef g(x): return x + SHIFT\\ndef f(x): return g(x)', 'made.py', 'exec'), module.__dict__)\n"
        "sys.modules['made'] = module\nmodule.__file__ = str(folder / 'made.py')\n"
        "print(values(module.f))\n"
    ) == ["([3, 4, 5, 6], 0)"]


def test_a_module_whose_folder_left_the_path(run):
    assert run(
        "edit('def f(x): return x + 1')\nimport usermod\nsys.path.remove(str(folder))\nos.chdir('/')\n"
        "print(values(usermod.f))\n"
    ) == ["([1, 2, 3, 4], 0)"]


def test_workers_stay_while_no_module_changes(run):
    assert run(
        "edit('def f(x): return x + 1')\nimport usermod\n"
        "values(usermod.f); before = pids(); edit('x = 1', 'other'); values(usermod.f, force=True)\n"
        "print(before == pids())\n"
    ) == ["True"]


def test_a_module_that_cannot_be_had_elsewhere_is_called_by_threads_with_a_warning(run):
    assert run(
        "edit('VIEW = memoryview(bytes(3))\\nFACTOR = 1\\ndef f(x): return x * FACTOR + VIEW[0]')\n"
        "import usermod\nusermod.FACTOR = 7\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    print(values(usermod.f)[0])\n"
        "print(sum('threads' in str(one.message) for one in caught))\n"
    ) == ["[0, 7, 14, 21]", "1"]


def test_what_a_cluster_computes_with_what_may_be_other_code_is_returned_with_a_warning_and_not_stored(run):
    assert run(
        "import pickle, subprocess\nfrom concurrent.futures import Future\n"
        "class Elsewhere:\n"
        "    def submit(self, function, task):\n"
        "        code = 'import pickle, sys; f, x = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(f(x))'\n"
        "        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}\n"
        "        future = Future()\n"
        "        future.set_result(subprocess.run([sys.executable, '-c', code], input=pickle.dumps((function, task)),\n"
        "                                         capture_output=True, check=True, env=environment).stdout)\n"
        "        return future\n"
        "edit('VIEW = memoryview(bytes(3))\\nFACTOR = 1\\ndef f(x): return x * FACTOR + VIEW[0]')\n"
        "import usermod\n"
        "print(values(usermod.f, executor=Elsewhere(), chunksize=4)[0])\n"
        "usermod.FACTOR = 7\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    print(values(usermod.f, executor=Elsewhere(), chunksize=4))\n"
        "    print(sum('are not stored' in str(one.message) for one in caught))\n"
        "    print(values(usermod.f, executor='serial'))\n"
    ) == ["[0, 1, 2, 3]", "([0, 7, 14, 21], 0)", "1", "([0, 7, 14, 21], 0)"]


def test_what_is_found_by_its_place_in_a_cell_or_program_keeps_it(run):
    assert run(
        "import functools\n"
        "class Outer:\n    class Inner:\n        def __init__(self, x): self.x = x\n"
        "@functools.lru_cache\ndef fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n"
        "def f(x): return type(Outer.Inner(x)).__qualname__, fibonacci(x + 5)\n"
        "print(values(f, count=2))\nprint(values(fibonacci, count=3))\nprint(values(lambda x: Outer.Inner(x).x))\n"
    ) == ["([('Outer.Inner', 5), ('Outer.Inner', 8)], 0)", "([0, 1, 1], 0)", "([0, 1, 2, 3], 0)"]
