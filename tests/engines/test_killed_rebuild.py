"""Whoever is killed while he writes the rows of a damaged storage anew leaves the old one, the new one, or what can be repaired."""

import json
import subprocess
import sys

import pytest

from hashstash.engines._salvage import remove_drafts
from hashstash.processes import mark, system

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="forks, and is killed by a signal")]

DATABASES = {
    "lmdb": "data.mdb",
    "sqlite": "rows.sqlite",
    "sqlitedict": "rows.sqlite",
    "diskcache": "cache.db",
    "shelve": "rows.dumb.dir",
    "shelve on sqlite3": "rows.sqlite3",
    "shelve on gnu": "rows.gnu",
    "pickledb": "rows.json",
}
CHILD = '''
import itertools, json, os, shutil, signal, sys, traceback
from hashstash import HashStash
from hashstash.policies.versions import HISTORY

folder, engine, options, database, keeps = json.loads(sys.argv[1])
template, trial = os.path.join(folder, "template"), os.path.join(folder, "trial")

def opened(place):
    return HashStash(place, engine=engine, append_mode=True, compress=False, **options)

def in_child(work):
    """What the work gives in a process of its own; None if that was killed."""
    reads, writes = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.write(writes, json.dumps(work()).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writes)
    with open(reads, "rb") as said:
        text = said.read()
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status), f"exit status {status}"
    return json.loads(text) if status == 0 else None

def fill():
    stash = opened(template)
    for number in range(80):
        stash[f"key {number % 60}"] = f"value {number} " + "x" * 50
    path = stash.path
    stash.close()
    return path

def damage(place):
    for where, _, names in os.walk(place):
        if database in names:
            with open(os.path.join(where, database), "r+b") as file:
                file.write(bytes(64)) if keeps < 0 else file.truncate(keeps)
            yield where

def rows(stash):
    engines = stash.store.engine, stash.store.engine.section(HISTORY)
    return [sorted((address.hex(), blob.hex()) for address, blob in engine.rows()) for engine in engines]

def repaired():
    stash = opened(trial)
    stash.repair()
    return rows(stash)

def killed_at(number):
    calls = itertools.count(1)

    def dying(real):
        def call(*arguments, **named):
            if next(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        return call

    stash = opened(trial)
    for name in ("rename", "replace", "link", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    stash.repair()
    return "not killed"

def looked():
    stash = opened(trial)
    is_told = bool(stash.check())
    if not is_told:
        at_once = rows(stash)
    stash.repair()
    found = rows(stash)
    problems = str(stash.check()) if stash.check() else ""
    stash["new"] = 1
    drafts = [name for _, names, _ in os.walk(trial) for name in names if name.startswith("draft")]
    return [is_told or at_once == found, found, problems, drafts, stash["new"], len(stash)]

def anew():
    shutil.rmtree(trial, ignore_errors=True)
    shutil.copytree(template, trial)

in_child(fill)
damaged = list(damage(template))
anew()
expected = in_child(repaired)
answers, number = [], 0
while not answers or answers[-1] is not None:
    number += 1
    anew()
    answers.append(None if in_child(lambda: killed_at(number)) else in_child(looked) or "killed")
print(json.dumps([damaged, expected, answers[:-1]]))
'''


def killed_everywhere(name, tmp_path, *, keeps=-1):
    """Where the files lay, the rows that a repair finds, and for each move what is there after being killed just before it."""
    engine, _, backend = name.partition(" on ")
    pytest.importorskip(
        f"hashstash.engines.{engine}", reason=f"the package {engine} is not installed", exc_type=ImportError
    )
    if backend:
        pytest.importorskip(f"dbm.{backend}", reason=f"this Python has no dbm.{backend}", exc_type=ImportError)
    options = {"backend": backend or "dumb"} if engine == "shelve" else {}
    told = json.dumps([str(tmp_path), engine, options, DATABASES[name], keeps])
    done = subprocess.run([sys.executable, "-c", CHILD, told], capture_output=True, text=True, check=False, timeout=600)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "keeps"),
    [*((name, -1) for name in DATABASES), ("shelve", 0)],
    ids=[*DATABASES, "shelve without its index"],
)
def test_whoever_is_killed_at_any_move_of_a_rebuild_loses_nobody_a_row(name, keeps, tmp_path):
    damaged, expected, answers = killed_everywhere(name, tmp_path, keeps=keeps)
    assert len(damaged) >= 2, "the entries, their history, and more"
    assert len(expected[0]) + len(expected[1]) > (0 if "gnu" in name else 70)
    assert len(answers) >= 4, "the moves of two rebuilds"
    for move, (is_honest, found, problems, drafts, new, _) in enumerate(answers, 1):
        assert is_honest, f"killed before move {move}, it says that nothing is wrong, and shows other rows than it has"
        assert found == expected, f"killed before move {move}"
        assert (problems, drafts, new) == ("", [], 1), f"killed before move {move}"


@pytest.mark.skipif(not system(), reason="this system does not say which boot it is")
def test_drafts_of_processes_that_may_be_alive_on_another_machine_are_left_alone(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", "from hashstash.processes import mark; print(mark())"],
        capture_output=True,
        text=True,
        check=True,
    )
    gone = process.stdout.strip()
    number, began, _ = gone.split("-")
    drafts = [f"draft.{maker}.0011aabb" for maker in (gone, mark(), f"{number}-{began}-00000000")]
    for draft in drafts:
        (tmp_path / draft).mkdir()
    remove_drafts(str(tmp_path))
    assert [(tmp_path / draft).exists() for draft in drafts] == [False, True, True]
