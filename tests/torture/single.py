"""Many ask for the same at once: it is computed once, by somebody; numbers are given once; and nobody waits for ever.

All processes of a check are forked from one that has imported everything and opened nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from torture.children import Child, Hangs, say
from torture.kills import forked, read_all
from torture.places import FILES, SERVERS, Place
from torture.races import shared_by_processes
from torture.report import Budget, Check, Finding
from torture.values import made, verified

ASKERS = 8
APPENDERS = 4
WORKERS, THREADS = 4, 2
NODES = 7
ITEMS = 30
PATIENCE = 60.0
TAKEOVER = 1.0
"""Seconds within which another one computes what a killed process was about to."""

STASH: Any = None
"""The stash that the functions below, of which each calls others, are stashed in."""


# ---- functions that are stashed --------------------------------------------------------------------------------------


def note(tally: str) -> None:
    """Leave a line with the time in the file *tally*: the function that calls this runs."""
    descriptor = os.open(tally, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{time.monotonic()}\n".encode())
    os.close(descriptor)


def noted(tally: str) -> list[float]:
    """When functions ran that have noted it there."""
    try:
        with open(tally) as file:
            return [float(line) for line in file]
    except FileNotFoundError:
        return []


def slow(tally: str, seconds: float) -> dict[str, Any]:
    """A value, after a while."""
    note(tally)
    time.sleep(seconds)
    return made("slow", 0, 1)


def endless_at_first(tally: str) -> dict[str, Any]:
    """A value; but whoever computes it first takes for ever, and has a child that has inherited all that is open."""
    note(tally)
    if len(noted(tally)) == 1:
        child = os.fork()
        if child:
            with open(f"{tally}.child", "w") as file:
                file.write(str(child))
            os.rename(f"{tally}.child", f"{tally}.ready")
        time.sleep(1000)
        os._exit(0)
    return made("endless", 0, 1)


def first(tally: str, graph: int, node: int) -> int:
    """One of three functions that call each other."""
    return _number(0, tally, graph, node)


def second(tally: str, graph: int, node: int) -> int:
    """One of three functions that call each other."""
    return _number(1, tally, graph, node)


def third(tally: str, graph: int, node: int) -> int:
    """One of three functions that call each other."""
    return _number(2, tally, graph, node)


def _number(which: int, tally: str, graph: int, node: int) -> int:
    note(f"{tally}.{which}.{graph}.{node}")
    others = (first, second, third)
    return 1 + sum(STASH.run(others[other], tally, graph, below) for other, below in calls_of(graph, node))


def calls_of(graph: int, node: int) -> list[tuple[int, int]]:
    """What *node* calls: functions, and nodes below it, so that every recursion ends."""
    dice = random.Random(f"{graph} {node}")
    return [(dice.randrange(3), below) for below in range(node) if dice.random() < 0.5]


def item(tally: str, number: int) -> dict[str, Any]:
    """One item of a map."""
    note(f"{tally}.{number}")
    return made("item", 0, number)


# ---- in forked processes ---------------------------------------------------------------------------------------------


def _together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What *work* gives in each of so many processes that begin at once; an exception as its text."""
    gate, opened = os.pipe()

    def run(number: int, pipe: int) -> None:
        os.close(opened)
        os.read(gate, 1)  # until it is closed
        os.write(pipe, json.dumps([work(number)]).encode())

    running = [forked(run, number) for number in range(count)]
    os.close(gate)
    os.close(opened)
    deadline = time.monotonic() + PATIENCE
    told = [read_all(pipe, deadline) for _, pipe in running]
    for child, pipe in running:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
    if None in told:
        raise Hangs(f"{told.count(None)} of {count} processes do not come to an end")
    return [json.loads(text or b'["it has crashed"]')[0] for text in told]


def _ask(place: Place, tally: str) -> int:
    return verified("slow", place.open().run(slow, tally, 0.3))[1]


def _ask_in_threads(place: Place, tally: str) -> list[int]:
    stash = place.open()
    begin = threading.Barrier(ASKERS)
    answers: list[int] = []

    def ask() -> None:
        begin.wait()
        answers.append(verified("slow", stash.run(slow, tally, 0.3))[1])

    threads = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def fly(place: str, folder: str, rounds: int) -> None:
    """In a child: what was wrong, how long takeovers took."""
    where = _warm(place)
    wrong, seconds = [], []
    for number in range(rounds):
        tally = f"{folder}/processes {number}"
        answers = _together(ASKERS, lambda _, tally=tally: _ask(where, tally))
        if answers != [1] * ASKERS or len(noted(tally)) != 1:
            wrong.append(f"{ASKERS} processes: {answers}, computed {len(noted(tally))} times")
        tally = f"{folder}/threads {number}"
        answers = _together(1, lambda _, tally=tally: _ask_in_threads(where, tally))
        if answers != [[1] * ASKERS] or len(noted(tally)) != 1:
            wrong.append(f"{ASKERS} threads: {answers}, computed {len(noted(tally))} times")
        seconds.append(_taken_over(where, f"{folder}/takeover {number}", wrong))
    say(wrong, seconds, 2 * rounds)


def _taken_over(place: Place, tally: str, wrong: list[str]) -> float:
    def ask(pipe: int) -> None:
        os.write(pipe, json.dumps(verified("endless", place.open().run(endless_at_first, tally))[1]).encode())

    holder, pipe = forked(ask)
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(f"{tally}.ready") and time.monotonic() < deadline:
        time.sleep(0.01)
    waiter, answer = forked(ask)
    time.sleep(0.5)  # by then it waits, as a rule; if it does not yet, it takes over as it comes
    killed = time.monotonic()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    told = read_all(answer, deadline)
    with open(f"{tally}.ready") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    os.kill(waiter, signal.SIGKILL)
    os.waitpid(waiter, 0)
    os.close(pipe)
    os.close(answer)
    times = noted(tally)
    if told != b"1" or len(times) != 2 or times[1] < killed:
        wrong.append(f"after a takeover: {told!r}, computed at {times}, killed at {killed}")
        return PATIENCE
    return times[1] - killed


def recurse(place: str, folder: str, graphs: int, seed: int) -> None:
    """In a child: graphs of calls, asked for by processes and threads in any order."""
    where = _warm(place)
    tally = f"{folder}/node"

    def work(number: int) -> list[str]:
        global STASH
        STASH = where.open()
        wrong: list[str] = []

        def ask(thread: int) -> None:
            dice = random.Random(f"{seed} {number} {thread}")
            for graph in range(graphs):
                for node in dice.sample(range(NODES), NODES):
                    which = dice.randrange(3)
                    if STASH.run((first, second, third)[which], tally, graph, node) != size_of(graph, node):
                        wrong.append(f"node {node} of graph {graph}")

        threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong

    wrong = [sentence for sentences in _together(WORKERS, work) for sentence in sentences]
    counted = Counter({name: len(noted(f"{folder}/{name}")) for name in os.listdir(folder)})
    wrong += [f"{name} was computed {times} times" for name, times in counted.items() if times != 1]
    say(wrong, [], len(counted))


def size_of(graph: int, node: int) -> int:
    """What the functions above give for a node."""
    return 1 + sum(size_of(graph, below) for _, below in calls_of(graph, node))


def append(place: str, _folder: str, count: int) -> None:
    """In a child: processes append to one key; all is there, numbered without gaps, and in each one's order."""
    where = _warm(place)

    def work(number: int) -> str:
        stash = where.open(append_mode=True)
        for value in range(1, count + 1):
            stash["key"] = made("key", number, value, 100 if value % 10 else 50_000)
        stash.close()
        return "done"

    wrong = [told for told in _together(APPENDERS, work) if told != "done"]

    def look(_: int) -> list[str]:
        stash = where.open(append_mode=True)
        found = [verified("key", value) for value in stash.get_all("key")]
        numbers = [info.version for info in stash.versions("key")]
        sentences = []
        if numbers != list(range(1, APPENDERS * count + 1)):
            sentences.append(f"the versions are numbered {numbers}")
        for appender in range(APPENDERS):
            values = [value for who, value in found if who == appender]
            if values != list(range(1, count + 1)):
                sentences.append(f"of what process {appender} has appended there is {values}")
        return sentences

    wrong += _together(1, look)[0]
    say(wrong, [], APPENDERS * count)


def maps(place: str, folder: str, rounds: int) -> None:
    """In a child: two processes map the same function over the same items at once."""
    where = _warm(place)
    wrong: list[str] = []
    computed = 0
    for number in range(rounds):
        tally = f"{folder}/{number}"

        def work(_: int, tally: str = tally) -> list[int]:
            results = where.open().map(item, [(tally, value) for value in range(ITEMS)], num_proc=1, progress=False)
            return [verified("item", result)[1] for result in results]

        for answer in _together(2, work):
            if answer != list(range(ITEMS)):
                wrong.append(f"a map gives {answer}")
        times = [len(noted(f"{tally}.{value}")) for value in range(ITEMS)]
        computed += sum(times)
        wrong += [f"an item was computed {most} times by two maps" for most in times if not 1 <= most <= 2]
    say(wrong, [], computed)


def _warm(place: str) -> Place:
    """The place, once everything is imported that those will need who are forked."""
    where = Place.loads(place)
    with where.fresh("warming up").open() as stash:
        stash.run(calls_of, 0, 0)
    return where.fresh("single")


# ---- the checks ------------------------------------------------------------------------------------------------------


def checked(place: Place, unit: str, function: str, *arguments: Any, module: str = __name__) -> Finding:
    """What a child finds that runs that function, of so many *unit*."""
    finding = Finding()
    place = shared_by_processes(place)
    folder = f"{os.path.dirname(place.root)}/tallies"
    os.makedirs(folder)
    child = Child(module, function, place.dumps(), folder, *arguments)
    with finding.timed():
        try:
            said = child.hear(3 * PATIENCE)
            if said is None:
                child.process.wait()
                raise Hangs(f"a child ended: {child.errors()[-1500:]}")
            wrong, seconds, number = said
            finding.counts[unit] = number
            for sentence in wrong:
                finding.wrong(sentence, kind="failures")
            if seconds:
                finding.notes.append(f"takeover within {1000 * max(seconds):.0f} ms")
                if max(seconds) > TAKEOVER:
                    finding.wrong(f"to take over took {max(seconds):.2f} s", kind="slow takeovers")
        except Hangs as error:
            finding.wrong(str(error), kind="hangs")
        finally:
            child.drop()
            for name in ("single", "warming up"):
                place.fresh(name).open().clear().close()
    finding.counts.setdefault("failures", 0)
    return finding


def single_flight(place: Place, budget: Budget) -> Finding:
    """Eight ask at once, as processes and as threads; then the one who computes is killed."""
    return checked(place, "flights", "fly", budget(full=5, short=1))


def recursion(place: Place, budget: Budget) -> Finding:
    """Functions that call each other, asked for from all sides."""
    return checked(place, "calls computed", "recurse", budget(full=200, short=8), budget.seed)


def appends(place: Place, budget: Budget) -> Finding:
    """Four processes append to one key."""
    return checked(place, "appended", "append", budget(full=250 if place.engine in QUICK else 50, short=10))


def maps_at_once(place: Place, budget: Budget) -> Finding:
    """Two processes map the same at once."""
    return checked(place, f"computed for twice {ITEMS} items a round", "maps", budget(full=5, short=1))


QUICK = ("pairtree", "lmdb", "sqlite", "redis", "memory")
ALL = (*FILES, *SERVERS, "memory")
SINGLE = (
    Check(
        "single_flight",
        single_flight,
        ALL,
        "what many ask for at once is computed once; if who computes it is killed, another one does at once",
        often=("pairtree", "redis"),
    ),
    Check("recursion", recursion, QUICK, "functions that call each other never wait for ever", often=("lmdb",)),
    Check(
        "append", appends, ALL, "what processes append to one key is all there, in order, numbered", often=("sqlite",)
    ),
    Check(
        "maps_at_once",
        maps_at_once,
        QUICK,
        "two equal maps at once are both right (each computes what is not stored yet: once per map, not once in all)",
        often=("lmdb",),
    ),
)
