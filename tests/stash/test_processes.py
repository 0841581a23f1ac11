import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from hashstash import HashStash
from hashstash.testing.engine.base import run_alone, run_together

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")]

RACE_SECONDS = 0.6


@pytest.fixture
def stash(shared_engine, tmp_path):
    return HashStash(tmp_path / "stash", engine=shared_engine, compress=False)


def run(code, *arguments):
    return run_alone("from hashstash import HashStash", code, *arguments)


def test_another_process_sees_what_is_stored_at_once(stash):
    stash[{"b": 1, "a": {2, 1}}] = [1, "x"]
    code = "import sys; from hashstash import HashStash; print(HashStash(sys.argv[1], engine=sys.argv[2])[{'a': {1, 2}, 'b': 1}])"
    assert run(code, stash.root_dir, stash.engine) == "[1, 'x']\n"


def test_what_another_process_stores_is_seen_at_once(stash):
    stash["k"] = 1
    code = "import sys; from hashstash import HashStash; s = HashStash(sys.argv[1], engine=sys.argv[2]); s['k'] = 2; s['n'] = len"
    run(code, stash.root_dir, stash.engine)
    assert (stash["k"], stash["n"], len(stash)) == (2, len, 2)


def test_a_stash_travels_to_another_process(stash):
    stash["k"] = 1
    code = "import sys, pickle; s = pickle.loads(bytes.fromhex(sys.argv[1])); s['there'] = s['k'] + 1"
    subprocess.run([sys.executable, "-c", code, pickle.dumps(stash).hex()], check=True, timeout=60)
    assert stash["there"] == 2


def test_another_process_with_another_codec_finds_it(stash):
    stash["k"] = "text " * 1000
    code = "import sys; from hashstash import HashStash; s = HashStash(sys.argv[1], engine=sys.argv[2], compress='bz2', serializer='pickle'); s['there'] = s['k']"
    run(code, stash.root_dir, stash.engine)
    assert stash["there"] == stash["k"]


def _work_in_child(stash, results):
    stash["child"] = os.getpid()
    stash["large"] = list(range(50_000))
    results.put((stash["parent"], sorted(stash), len(stash)))


def test_a_forked_child_uses_the_stash_and_leaves_it_to_its_parent(stash):
    stash["parent"] = 1
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_work_in_child, args=(stash, results))
    child.start()
    assert results.get(timeout=30) == (1, ["child", "large", "parent"], 3)
    child.join(30)
    assert child.exitcode == 0
    assert stash["child"] == child.pid
    stash["parent"] = 2
    assert (stash["parent"], len(stash["large"])) == (2, 50_000)


def test_children_of_children_use_it_too(stash):
    stash["parent"] = 1
    code = """
import os, sys
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2])
stash["begin"] = 1
for depth in range(3):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        stash[("after", depth)] = stash["parent"]
        sys.exit(0)
    stash[("in", depth)] = stash["parent"]
"""
    run(code, stash.root_dir, stash.engine)
    assert set(stash) == {
        "parent",
        "begin",
        *(("in", depth) for depth in range(3)),
        *(("after", depth) for depth in range(3)),
    }


def test_a_pool_of_forked_workers_writes(stash):
    stash["begin"] = 1
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(_store, [(stash, number) for number in range(40)])
    assert {stash[number] for number in range(40)} == {number * 2 for number in range(40)}


def _store(stash, number):
    stash[number] = number * 2


def test_threads_read_and_write(shared_engine, tmp_path):
    stash, wrong = HashStash(tmp_path / "threads", engine=shared_engine), []

    def work(name):
        for number in range(40):
            stash[name, number] = [name, number] * 50
            if stash[name, number] != [name, number] * 50:
                wrong.append((name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(stash) == 320


OVERWRITE = """
import sys, time
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2], compress=False)
print("ready", flush=True)
number, deadline = 0, time.monotonic() + float(sys.argv[3])
while time.monotonic() < deadline:
    number += 1
    stash["k"] = [number] * (5 if number % 2 else 30_000)
"""


def test_a_reader_sees_whole_values_that_only_get_newer(stash):
    """Small and large values in turn, one writer: never torn, never missing, never an older one after a newer one."""
    stash["k"] = [0] * 5
    writer = subprocess.Popen(
        [sys.executable, "-c", OVERWRITE, stash.root_dir, stash.engine, str(RACE_SECONDS)], stdout=subprocess.PIPE
    )
    writer.stdout.readline()
    last, is_over = 0, False
    while not is_over:
        is_over = writer.poll() is not None  # before the last look, which is at what it wrote last
        found = stash["k"]
        assert found == [found[0]] * len(found)
        assert found[0] >= last
        last = found[0]
    writer.stdout.close()
    assert writer.returncode == 0
    assert last > 0


def test_get_set_is_computed_by_one_process(stash, tmp_path):
    code = """
import os, time
def compute():
    open(os.path.join(COMPUTED, str(os.getpid())), "w").close()
    time.sleep(0.2)
    return os.getpid()
print(stash.get_set("k", compute))
"""
    computed = tmp_path / "computed"
    computed.mkdir()
    opened = f"from hashstash import HashStash\nstash = HashStash({stash.root_dir!r}, engine={stash.engine!r})\n"
    answers = run_together(f"{opened}COMPUTED = {str(computed)!r}\n", code, 4)
    assert {*answers} == {f"{stash['k']}\n"}
    assert len(list(computed.iterdir())) == 1


def test_clearing_while_others_write_breaks_nothing(stash):
    stop = threading.Event()
    errors = []

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                stash[number % 5] = [number] * (5 if number % 2 else 20_000)
            except Exception as error:
                errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + RACE_SECONDS
    while time.monotonic() < deadline:
        stash.clear()
    stop.set()
    for writer in writers:
        writer.join()
    assert not errors
    assert all(len(value) in (5, 20_000) for value in stash.values())


def test_an_interpreter_that_ends_with_an_open_stash_says_nothing(stash):
    code = "import sys; from hashstash import HashStash; s = HashStash(sys.argv[1], engine=sys.argv[2]); s['k'] = 1; s['k']; v = s.items()"
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, stash.root_dir, stash.engine],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert stash["k"] == 1
