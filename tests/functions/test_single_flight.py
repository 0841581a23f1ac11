"""A slow function runs once, however many threads and processes ask; whoever dies is replaced at once."""

import asyncio
import contextlib
import os
import signal
import threading
import time
import warnings

import pytest

from hashstash import HashStash, locks
from hashstash.functions import flights

pytestmark = pytest.mark.once

SHARED = ["pairtree", "lmdb", "sqlite", "redis"]

SLOW = """
def slow(x):
    note("ran")
    time.sleep(.5)
    return x * 2
note("here", "arrivals")
wait_for("go")
print(STASH.run(slow, 21))
"""


@pytest.fixture(params=SHARED)
def shared(request, open_on):
    """A stash that processes share."""
    return open_on(request.param)


@pytest.mark.slow
@pytest.mark.engines("pairtree", "redis")
def test_eight_processes_compute_once(shared, programs, eventually):
    running = [programs.start(shared, SLOW) for _ in range(8)]
    eventually(lambda: len(programs.notes("arrivals")) == 8)
    programs.say("go")
    assert [programs.result(process) for process in running] == ["42\n"] * 8
    assert programs.notes() == ["ran"]


def test_eight_threads_compute_once(stash, calls):
    started = threading.Barrier(8)
    answers = []

    @stash.stashed_result
    def slow(x):
        calls.append(x)
        threading.Event().wait(0.05)
        return x

    def ask():
        started.wait()
        answers.append(slow(1))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 8
    assert len(calls) == 1


def _until_there(path):
    while not os.path.exists(path):
        time.sleep(0.005)


@pytest.fixture
def hear(monkeypatch):
    """Let waits be long soon; calls *then* at each warning, and gives the warnings with the files of their lines."""
    for module in (locks, flights):
        monkeypatch.setattr(module, "LONG_WAIT", 0.05)

    @contextlib.contextmanager
    def hearing(then):
        heard = []

        def hear(message, _category, filename, *_rest):
            heard.append((str(message), filename))
            then()

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = hear
            yield heard

    return hearing


def test_who_waits_long_for_another_process_is_told_for_which(tmp_path, programs, eventually, hear):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    other = programs.start(stash, "STASH.lock('k').acquire()\nnote('held')\nwait_for('go')\n")
    eventually(programs.notes)
    with hear(lambda: programs.say("go")) as heard:
        assert stash.get_set("k", lambda: 5) == 5
    ((text, filename),) = heard
    assert "get_set() waits for a result that" in text
    assert f"process {other.pid} " in text or not os.path.exists("/proc/locks")
    assert filename == __file__


def test_who_waits_long_for_another_thread_is_told_so(memory, hear, programs, eventually):
    place = str(programs.place)

    @memory.stashed_result
    def slow(x):
        open(f"{place}/running", "w").close()
        _until_there(f"{place}/go")
        return x

    thread = threading.Thread(target=slow, args=(1,))
    thread.start()
    eventually(lambda: os.path.exists(f"{place}/running"))
    with hear(lambda: programs.say("go")) as heard:
        assert slow(1) == 1
    thread.join()
    ((text, filename),) = heard
    assert "slow waits for a result that another thread of this process has been computing for more than" in text
    assert filename == __file__


def test_a_task_that_waits_long_for_another_is_told_so(memory, hear, programs):
    place = str(programs.place)

    @memory.stashed_result
    async def slow(x):
        await asyncio.to_thread(_until_there, f"{place}/go")
        return x

    async def both():
        return await asyncio.gather(slow(1), slow(1))

    with hear(lambda: programs.say("go")) as heard:
        assert asyncio.run(both()) == [1, 1]
    ((text, _),) = heard
    assert "another task of this process" in text


def test_a_task_that_waits_long_for_a_thread_is_told_so(memory, hear):
    held, done = threading.Event(), threading.Event()

    @memory.stashed_result
    async def double(x):
        return 2 * x

    def hold():
        with double.stash.lock(((1,), {})):
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    with hear(done.set) as heard:
        assert asyncio.run(double(1)) == 2
    thread.join()
    ((text, _),) = heard
    assert "double waits for a result that another thread of this process has been" in text


def test_threads_that_wait_for_a_function_that_fails_try_it_themselves_one_by_one(memory, calls):
    started = threading.Barrier(4)

    @memory.stashed_result
    def fail():
        calls.append("in")
        threading.Event().wait(0.01)
        calls.append("out")
        raise ValueError

    def ask():
        started.wait()
        with pytest.raises(ValueError):
            fail()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert calls == ["in", "out"] * 4


def test_functions_that_call_each_other_do_not_deadlock(stash):
    @stash.stashed_result
    def even(n):
        return n == 0 or odd(n - 1)

    @stash.stashed_result
    def odd(n):
        return n != 0 and even(n - 1)

    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(even(n))) for n in (20, 21, 19, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, False, True, True]


GRAPHS = """
import random, threading
GRAPHS = 200
MEMO = STASH.stashed_result

def graph_of(number):
    dice = random.Random(number)
    return [[(dice.randrange(3), below) for below in range(node) if dice.random() < .5] for node in range(7)]

def compute(which, number, node):
    note(f"{which}-{number}-{node}")
    return 1 + sum((a, b, c)[other](number, below) for other, below in graph_of(number)[node])

@MEMO
def a(number, node): return compute(0, number, node)
@MEMO
def b(number, node): return compute(1, number, node)
@MEMO
def c(number, node): return compute(2, number, node)

def ask(number, dice):
    graph = graph_of(number)
    for node in dice.sample(range(len(graph)), len(graph)):
        (a, b, c)[dice.randrange(3)](number, node)

def work(seed):
    dice = random.Random(seed)
    for number in range(GRAPHS):
        ask(number, dice)

me = int(sys.argv[3])
note("here", "arrivals")
wait_for("go")
threads = [threading.Thread(target=work, args=(10 * me + number,)) for number in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


@pytest.mark.slow
def test_recursion_over_random_graphs_of_calls_never_deadlocks_and_computes_each_node_once(
    open_on, programs, eventually
):
    pytest.importorskip("lmdb", reason="the package lmdb is not installed")
    stash = open_on("lmdb")
    running = [programs.start(stash, GRAPHS, number) for number in range(4)]
    eventually(lambda: len(programs.notes("arrivals")) == 4)
    programs.say("go")
    assert [programs.result(process) for process in running] == ["done\n"] * 4
    computed = programs.notes()
    assert len(computed) == len(set(computed))
    assert len({node.split("-")[1] for node in computed}) == 200


OWNER = """
import subprocess
def slow(x):
    note(os.getpid(), "owners")
    wait_for("finish")
    return x * 2
children = []
if sys.argv[3] == "owner":
    import threading
    def have_children():
        wait_for("owners")
        child = os.fork()
        if not child:
            time.sleep(1000)
            os._exit(0)
        popen = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], close_fds=False)
        note(child, "children"); note(popen.pid, "children")
        note("ready", "ready")
    threading.Thread(target=have_children, daemon=True).start()
note("asks", "asking")
print(STASH.run(slow, 21))
"""


@pytest.fixture
def no_children_left(programs):
    yield
    for number in programs.notes("children"):
        os.kill(int(number), signal.SIGKILL)


@pytest.mark.usefixtures("no_children_left")
@pytest.mark.parametrize("engine", SHARED)
def test_a_killed_owner_is_replaced_though_its_children_live(engine, open_on, programs, eventually):
    stash = open_on(engine)
    owner = programs.start(stash, OWNER, "owner")
    eventually(lambda: programs.notes("ready"))
    waiting = programs.start(stash, OWNER, "waiter")
    eventually(lambda: len(programs.notes("asking")) == 2)
    assert len(programs.notes("owners")) == 1
    owner.kill()
    owner.wait()
    eventually(lambda: len(programs.notes("owners")) == 2)  # the children sleep for far longer than this waits
    programs.say("finish")
    assert programs.result(waiting) == "42\n"


def test_an_owner_that_is_stopped_is_waited_for(open_on, programs, eventually):
    stash = open_on("pairtree")
    owner = programs.start(stash, OWNER, "other")
    eventually(lambda: programs.notes("owners"))
    os.kill(owner.pid, signal.SIGSTOP)
    waiting = programs.start(stash, OWNER, "waiter")
    eventually(lambda: len(programs.notes("asking")) == 2)
    programs.say("finish")
    with pytest.raises(Exception, match="timed out"):
        waiting.wait(0.5)
    os.kill(owner.pid, signal.SIGCONT)
    assert [programs.result(owner), programs.result(waiting)] == ["42\n", "42\n"]
    assert len(programs.notes("owners")) == 1


INTERRUPTED = """
def slow(x):
    note(os.getpid(), "owners")
    wait_for("finish")
    return x * 2
if sys.argv[3] == "waiter":
    try:
        note("asks", "asking")
        STASH.run(slow, 21)
    except KeyboardInterrupt:
        note("yes", "interrupted")
    wait_for("again")
print(STASH.run(slow, 21))
"""


def test_who_is_interrupted_while_waiting_holds_no_lock(open_on, programs, eventually):
    stash = open_on("pairtree")
    owner = programs.start(stash, INTERRUPTED, "owner")
    eventually(lambda: programs.notes("owners"))
    waiting = programs.start(stash, INTERRUPTED, "waiter")
    eventually(lambda: programs.notes("asking"))
    waiting.send_signal(signal.SIGINT)
    eventually(lambda: programs.notes("interrupted"))
    owner.kill()
    owner.wait()
    other = programs.start(stash, INTERRUPTED, "other")
    eventually(lambda: len(programs.notes("owners")) == 2)
    programs.say("finish")
    assert programs.result(other) == "42\n"
    programs.say("again")
    assert programs.result(waiting) == "42\n"


def test_where_no_lock_can_be_made_the_call_still_runs_and_is_stored(tmp_path, calls):
    stash = HashStash(tmp_path, engine="pairtree")

    @stash.stashed_result
    def f(x):
        calls.append(x)
        return x

    folder = f.stash.store.engine.lock_folder()
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder, "w"):  # a file where the folder of the locks should be
        pass
    assert (f(1), f(1)) == (1, 1)
    assert len(calls) == 1


def test_memoized_recursion(stash):
    @stash.stashed_result
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(40) == 102334155


def test_recursion_may_be_as_deep_as_a_third_of_the_limit(memory):
    @memory.stashed_result
    def count(n):
        return n and 1 + count(n - 1)

    assert count(200) == 200


FORKING = """
import signal, threading
sys.setswitchinterval(1e-6)
from hashstash.locks import KeyLock
stop = []

def hold():
    while not stop:
        with KeyLock(PLACE + "/locks", "name"): pass

threads = [threading.Thread(target=hold) for _ in range(2)]
[thread.start() for thread in threads]
children = []
for _ in range(60):
    child = os.fork()
    if not child:
        note("lives")
        time.sleep(1000)
        os._exit(0)
    children.append(child)
    while len(open(PLACE + "/notes").readlines() if os.path.exists(PLACE + "/notes") else ()) < len(children):
        time.sleep(.001)
stop.append(True)
[thread.join() for thread in threads]
links = [f"/proc/{child}/fd/{number}" for child in children for number in os.listdir(f"/proc/{child}/fd")]
print([path for path in map(os.readlink, links) if "/locks/" in path])
[os.kill(child, signal.SIGKILL) for child in children]
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system does not list the files of a process")
def test_no_child_inherits_a_lock_that_is_just_being_taken(memory, programs):
    """It would hold it for as long as it lives, if its parent is killed."""
    assert programs.result(programs.start(memory, FORKING)) == "[]\n"
