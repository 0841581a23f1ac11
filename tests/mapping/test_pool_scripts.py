"""Maps in whole programs: how they are started, how they end, and what is left of their workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("cloudpickle")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")]

PATIENCE = 100
HEAD = """
import os, sys, time
from pathlib import Path
from hashstash import HashStash

stash = HashStash(os.environ["STASH"], engine="pairtree")
"""
MAP = """
print("the program runs")
class Point:
    def __init__(self, x):
        self.x = x
def double(x):
    return Point(2 * x)
mapped = stash.map(double, range(6), num_proc=2, progress=False)
print([point.x for point in mapped.results], all(type(point) is Point for point in mapped.results))
"""
SHOWN = "the program runs\n[0, 2, 4, 6, 8, 10] True\n"


@pytest.fixture
def program(tmp_path):
    """A callable that starts Python with *arguments*, and *text* as its input."""
    running = []
    environment = {**os.environ, "STASH": str(tmp_path / "stash"), "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(*arguments, text=None, **options):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment,
            start_new_session=True,
            **options,
        )
        running.append(process)
        if text is not None:
            process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def output_of(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out


def write(folder, text, name="program.py"):
    file = folder / name
    file.write_text(text)
    return file


def until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_unguarded_script_runs_once(program, tmp_path):
    assert output_of(program(write(tmp_path, HEAD + MAP))) == SHOWN


def test_a_program_from_standard_input(program):
    assert output_of(program("-", text=HEAD + MAP)) == SHOWN


def test_a_program_on_the_command_line(program):
    assert output_of(program("-c", HEAD + MAP)) == SHOWN


def test_a_module_that_is_run(program, tmp_path):
    (tmp_path / "package").mkdir()
    write(tmp_path, "FACTOR = 2\n", "package/__init__.py")
    text = MAP.replace("2 * x", "FACTOR * x")
    write(tmp_path, HEAD + "from package import FACTOR\n" + text, "package/tool.py")
    assert output_of(program("-m", "package.tool")) == SHOWN


def test_a_program_without_a_file_of_its_own(program):
    text = HEAD + "import __main__\n__main__.__dict__.pop('__file__', None); __main__.__spec__ = None\n" + MAP
    assert output_of(program("-c", text)) == SHOWN


def test_a_system_without_a_fork_server(program, tmp_path):
    text = "import multiprocessing\nmultiprocessing.get_all_start_methods = lambda: ['spawn']\n" + HEAD + MAP
    assert output_of(program(write(tmp_path, text))) == SHOWN


def test_a_fork_server_that_the_program_has_started_itself(program, tmp_path):
    text = (
        "import multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('forkserver')\n"
        "    process = context.Process(target=print); process.start(); process.join()\n"
    )
    indented = "".join(f"    {line}\n" for line in (HEAD + MAP).splitlines())
    assert output_of(program(write(tmp_path, text + indented))) == "\n" + SHOWN


def test_the_program_may_choose_a_start_method_afterwards(program, tmp_path):
    text = HEAD + MAP + "import multiprocessing; multiprocessing.set_start_method('spawn'); print('chosen')\n"
    assert output_of(program(write(tmp_path, text))) == SHOWN + "chosen\n"


def test_a_map_in_a_thread(program, tmp_path):
    text = MAP.replace("mapped = ", "import threading\ndef run():\n  global mapped\n  mapped = ").replace(
        "print([", "thread = threading.Thread(target=run); thread.start(); thread.join()\nprint(["
    )
    assert output_of(program(write(tmp_path, HEAD + text))) == SHOWN


def test_a_daemon_process_which_may_have_no_children_computes_by_itself(program, tmp_path):
    text = HEAD + (
        "import multiprocessing\n"
        "def run():\n"
        "    print(os.getpid() in stash.map(lambda x: os.getpid(), range(3), num_proc=2, progress=False).results, flush=True)\n"
        "process = multiprocessing.get_context('fork').Process(target=run, daemon=True); process.start(); process.join()\n"
    )
    assert output_of(program(write(tmp_path, text))) == "True\n"


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)"])
def test_a_process_that_was_forked_from_one_with_a_pool_has_its_own(program, tmp_path, leave):
    text = HEAD + (
        "def pids(number): return set(stash.map(lambda x: (time.sleep(.1), os.getpid())[1], range(number, number + 4),"
        " num_proc=2, chunksize=1, progress=False))\n"
        "mine = pids(0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        f"    print(len(pids(10)) == 2, not pids(20) & mine, flush=True); {leave}\n"
        "os.waitpid(child, 0)\n"
        "print(pids(30) == mine)\n"
    )
    quiet = ("-W", "ignore::DeprecationWarning")  # since Python 3.12, of the fork of a process that has threads
    assert output_of(program(*quiet, write(tmp_path, text))) == "True True\nTrue\n"


def test_what_workers_print_appears(program, tmp_path):
    text = HEAD + "stash.map(lambda x: print(f'item {x}'), range(4), num_proc=2, progress=False).wait()\n"
    assert sorted(output_of(program(write(tmp_path, text))).splitlines()) == [f"item {n}" for n in range(4)]


def test_a_program_waits_at_its_end_for_its_map(program, tmp_path):
    text = HEAD + (
        "def slow(x):\n    time.sleep(0.3)\n    return x\n"
        "stash.map(slow, range(6), num_proc=2, progress=False)\nprint('the end')\n"
    )
    assert output_of(program(write(tmp_path, text))) == "the end\n"
    again = HEAD + (
        "def slow(x):\n    time.sleep(0.3)\n    return x\n"
        "print(stash.map(slow, range(6), num_proc=2, progress=False).was_cached)\n"
    )
    assert output_of(program(write(tmp_path, again, "again.py"))) == f"{[True] * 6}\n"


HANG = HEAD + (
    "def hang(x, folder):\n"
    "    Path(folder, str(os.getpid())).touch()\n"
    "    time.sleep(1000)\n"
    "folder = os.environ['STASH'] + '-pids'\n"
    "os.makedirs(folder)\n"
    "mapped = stash.map(hang, range(4), folder=folder, num_proc=2, progress=False)\n"
)


def pids_of(tmp_path, count=2):
    folder = tmp_path / "stash-pids"
    until(lambda: folder.is_dir() and len(list(folder.iterdir())) == count)
    return [int(file.name) for file in folder.iterdir()]


@pytest.mark.parametrize("end", ["mapped.wait()", "pass"], ids=["waiting", "at the end of the program"])
def test_ctrl_c_ends_the_program_and_its_workers(program, tmp_path, end):
    process = program(write(tmp_path, HANG + end))
    workers = pids_of(tmp_path)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    until(lambda: not any(map(is_there, workers)))


def test_workers_end_when_their_parent_is_killed_in_the_middle_of_a_task(program, tmp_path):
    process = program(write(tmp_path, HANG + "mapped.wait()"))
    workers = pids_of(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not any(map(is_there, workers)))


def test_workers_end_although_a_fork_of_their_killed_parent_lives_on(program, tmp_path):
    child = tmp_path / "child"
    text = HANG + (
        f"pid = os.fork()\nif pid == 0:\n    time.sleep(1000)\nPath({str(child)!r}).write_text(f'{{pid}}.')\nmapped.wait()"
    )
    process = program(write(tmp_path, text))
    workers = pids_of(tmp_path)
    until(lambda: child.exists() and child.read_text().endswith("."))
    try:
        process.kill()
        process.wait()
        until(lambda: not any(map(is_there, workers)))
    finally:
        os.kill(int(child.read_text()[:-1]), signal.SIGKILL)


def test_idle_workers_end_when_their_parent_is_killed(program, tmp_path):
    text = HEAD + (
        "def note(x, folder):\n    Path(folder, str(os.getpid())).touch(); time.sleep(0.2)\n"
        "folder = os.environ['STASH'] + '-pids'\nos.makedirs(folder)\n"
        "stash.map(note, range(4), folder=folder, num_proc=2, chunksize=1, progress=False).wait()\ntime.sleep(1000)\n"
    )
    process = program(write(tmp_path, text))
    workers = pids_of(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not any(map(is_there, workers)))
