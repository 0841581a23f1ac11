"""Clocks that step, processes that fork with everything open, a map that grows under its users."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import select
import threading
import time
import warnings

from hashstash import HashStash
from torture.children import Child, say
from torture.places import EVERY, SHARED, Place
from torture.report import Budget, Check, Finding
from torture.values import LARGE, MIDDLE, SMALL, made, verified

HOUR, DECADE = 3_600.0, 3_650 * 86_400.0
_PATIENCE = 240.0


# ---- clock -----------------------------------------------------------------------------------------------------------


class _Clock:
    """The time of day, which steps when it is told to; what passes by itself goes on."""

    def __init__(self) -> None:
        self._offset = 0
        self._time, self._time_ns = time.time, time.time_ns
        time.time_ns = lambda: self._time_ns() + self._offset  # type: ignore[assignment]
        time.time = lambda: time.time_ns() / 1e9  # type: ignore[assignment]

    def step(self, seconds: float) -> None:
        """To *seconds* from the true time."""
        self._offset = int(seconds * 1e9)

    def to_epoch(self) -> None:
        self._offset = -self._time_ns()


def steps(place: str, rounds: int, seed: int) -> None:
    """In a child: the clock steps before every write; what was written last is the newest, and nothing is lost early."""
    where, clock, dice = Place.loads(place), _Clock(), random.Random(seed)
    moves = [0.0, HOUR, -HOUR, DECADE, -DECADE, None, 0.0]
    _versions(where, clock, moves)
    _lasting(where, clock, moves)
    _limited(where, clock, rounds, dice)
    _shown(where, clock, moves)


def _move(clock: _Clock, seconds: float | None) -> None:
    clock.to_epoch() if seconds is None else clock.step(seconds)


def _versions(where: Place, clock: _Clock, moves: list[float | None]) -> None:
    stash = where.fresh("versions").open(append_mode=True)
    plain = where.fresh("plain").open()
    for number, seconds in enumerate([*moves, *reversed(moves)]):
        _move(clock, seconds)
        stash["key"] = plain["key"] = number
        if (stash["key"], plain["key"]) != (number, number):
            say("wrong", f"with the clock at {seconds}, the last write is not what is read")
        if stash.get_all("key") != list(range(number + 1)):
            say("wrong", f"with the clock at {seconds}, the versions are {stash.get_all('key')}")
        numbers = [version.version for version in stash.versions("key")]
        if sorted(numbers) != sorted(set(numbers)) or len(numbers) != number + 1:
            say("wrong", f"the numbers of versions are {numbers}")
        say("count", "writes", 2)
    stash.close(), plain.close()


def _lasting(where: Place, clock: _Clock, moves: list[float | None]) -> None:
    """An entry with a time to live is there until it is over by the reader's clock, and one from the future is."""
    stash = where.fresh("lasting").open()
    for written in moves:
        _move(clock, written)
        now = time.time()
        key = f"written at {written}"
        stash.put(key, 1, ttl=600)
        for read, is_there in ((0, True), (-30, True), (-DECADE, True), (300, True), (700, False), (DECADE, False)):
            clock.step(0)
            clock.step(now + read - time.time())
            if (stash.get(key) == 1) != is_there or (key in stash) != is_there:
                say("wrong", f"{key} with 600 s to live is {'gone' if is_there else 'there'} {read:g} s later")
            say("count", "reads", 1)
        clock.step(0)
    stash.close()


def _limited(where: Place, clock: _Clock, rounds: int, dice: random.Random) -> None:
    """A stash for ten entries holds ten, and what was stored last is among them however the clock goes."""
    stash = where.fresh("limited").open(max_entries=10)
    _half_from_the_future(where, stash, clock)
    for number in range(rounds):
        seconds = dice.choice([0.0, HOUR, -HOUR]) if number % 20 >= 10 else 0.0
        clock.step(seconds)
        stash[f"key {number}"] = number
        if len(stash) > 10 or stash.get(f"key {number}") != number:
            say("wrong", f"{len(stash)} of 10 entries; the one just stored is {stash.get(f'key {number}')}")
        say("count", "writes", 1)
    clock.step(0)
    stash.close()


def _half_from_the_future(where: Place, stash: HashStash, clock: _Clock) -> None:
    """What was written while the clock was wrong does not stay for that at the cost of what comes later."""
    for number in range(10):
        clock.step(DECADE if number < 5 else 0)
        stash[f"old {number}"] = number
    clock.step(0)
    with where.fresh("limited").open() as unlimited:  # which makes all be counted anew
        unlimited["one more"] = 0
    again = where.fresh("limited").open(max_entries=10)
    for number in range(10, 14):
        again[f"old {number}"] = number
    if (kept := [again.get(f"old {number}") for number in range(5, 14)]) != list(range(5, 14)):
        say("wrong", f"what was written when the clock was in the future displaced what came later: {kept}")
    again.close()


def _shown(where: Place, clock: _Clock, moves: list[float | None]) -> None:
    """Nothing that is shown or swept stumbles over a time."""
    stash = where.fresh("shown").open()
    for number, seconds in enumerate(moves):
        _move(clock, seconds)
        stash[f"key {number}"] = made(f"key {number}", 0, number, LARGE if number % 2 else SMALL)
    for seconds in moves:
        _move(clock, seconds)
        again = where.fresh("shown").open()
        repr(again), again._repr_html_(), repr(again.entries()), [repr(again.info(key)) for key in again]
        again.stats, again.check(), again.compact(), again.prune(older_than=10 * DECADE)
        for number in range(len(moves)):
            verified(f"key {number}", again[f"key {number}"])
        again.close()
        say("count", "times shown", 1)
    clock.step(0)
    stash.close()


# ---- fork ------------------------------------------------------------------------------------------------------------


def forks(place: str, rounds: int, seed: int) -> None:
    """In a child: threads read and write while the process forks; each fork reads, writes and ends in one way or another."""
    where, dice = Place.loads(place), random.Random(seed)
    stash = where.open()
    shared = where.engine != "memory"
    for number in range(10):
        stash[f"key {number}"] = made(f"key {number}", 0, number, LARGE if number % 3 == 0 else SMALL)
    stash.run(_slow, 0)
    stop, trouble = threading.Event(), []
    threads = [threading.Thread(target=_busy, args=(stash, name, stop, trouble), daemon=True) for name in range(2)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        how = ("_exit", "exit", "exec")[number % 3]
        with stash.lock("held") if number % 2 else contextlib.nullcontext():
            process, pipe = _fork(stash, number, how)
            stash[f"parent {number}"] = made(f"parent {number}", 0, number, dice.choice((SMALL, LARGE)))
            said = _answer(pipe, process)
        if said != "good":
            say("wrong", f"fork {number} that ends by {how}: {said[-900:]}")
        verified(f"parent {number}", stash[f"parent {number}"])
        if shared and how != "exec" and verified(f"child {number}", stash[f"child {number}"])[1] != number:
            say("wrong", f"the parent does not see what fork {number} wrote")
        say("count", "forks", 1)
    stop.set()
    for thread in threads:
        thread.join(30)
        if thread.is_alive():
            trouble.append("a thread of the parent hangs")
    for what in trouble:
        say("wrong", what)
    for number in range(10):
        verified(f"key {number}", stash[f"key {number}"])
    if problems := [problem for problem in stash.check() if "writes nothing to a disk" not in problem.what]:
        say("wrong", f"check() says {problems[:3]}")
    if shared:
        _with_processes(where)
    stash.close()


def _slow(number: int) -> int:
    return number


def _busy(stash: HashStash, name: int, stop: threading.Event, trouble: list[str]) -> None:
    """One thread of the parent."""
    number = 0
    try:
        while not stop.wait(0.001):
            key = f"thread {name} {number % 5}"
            stash[key] = made(key, name, number, MIDDLE)
            verified(key, stash[key])
            with stash.lock(f"of thread {name}"):
                number += 1
    except Exception as error:  # noqa: BLE001 - told at the end
        trouble.append(f"a thread of the parent: {error!r}")


def _fork(stash: HashStash, number: int, how: str) -> tuple[int, int]:
    """A fork at work, and where it says how that was."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.close(reading)
    try:
        said = _at_work(stash, number)
    except BaseException as error:  # noqa: BLE001
        said = f"{type(error).__name__}: {error}"
    os.write(writing, said.encode())
    os.close(writing)
    if how == "exec":
        os.execv("/bin/true", ["true"])
    if how == "exit":
        with contextlib.suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _exit_normally()
    os._exit(0)


def _exit_normally() -> None:
    """What the interpreter does at its end in a process that ends by itself."""
    import atexit

    atexit._run_exitfuncs()
    os._exit(0)


def _at_work(stash: HashStash, number: int) -> str:
    for known in range(10):
        verified(f"key {known}", stash[f"key {known}"])
    key = f"child {number}"
    stash[key] = made(key, 1, number, LARGE if number % 4 == 0 else SMALL)
    verified(key, stash[key])
    if stash.run(_slow, number) != number:
        return "a computation went wrong"
    with stash.lock(f"own {number}"):
        pass
    return "good"


def _answer(pipe: int, process: int) -> str:
    said = ""
    if select.select([pipe], [], [], 60)[0]:
        said = os.read(pipe, 4096).decode() or "it died without a word"
    else:
        os.kill(process, 6)
        said = "it hangs"
    os.close(pipe)
    deadline = time.monotonic() + 60
    while not os.waitpid(process, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(process, 9)
            said = "it does not end"
        time.sleep(0.005)
    return said


def _with_processes(where: Place) -> None:
    """The same through multiprocessing, by both ways in which it starts processes, with the stash as an argument."""
    stash = where.open()
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with context.Pool(2) as pool:
                numbers = pool.starmap(_in_pool, [(stash, method, number) for number in range(6)], chunksize=1)
        for number in range(6):
            key = f"{method} {number}"
            if numbers[number] != number or verified(key, stash[key])[1] != number:
                say("wrong", f"multiprocessing by {method}: {key}")
        say("count", "processes", 2)
    stash.close()


def _in_pool(stash: HashStash, method: str, number: int) -> int:
    key = f"{method} {number}"
    stash[key] = made(key, 2, number, SMALL)
    return verified(key, stash[key])[1]


# ---- checks ----------------------------------------------------------------------------------------------------------


def clock(where: Place, budget: Budget, module: str = "torture.surroundings") -> Finding:
    return _told("steps", where, budget(full=200, short=12), budget, module)


def fork(where: Place, budget: Budget) -> Finding:
    return _told("forks", where, budget(full=90, short=3), budget)


def _told(function: str, where: Place, rounds: int, budget: Budget, module: str = "torture.surroundings") -> Finding:
    finding = Finding()
    with finding.timed():
        child = Child(module, function, where.dumps(), rounds, budget.seed)
        for kind, what, *number in child.hear_all(_PATIENCE):
            if kind == "wrong":
                finding.wrong(what)
            else:
                finding.counts[what] += number[0]
        child.end_well(finding)
    return finding


SURROUNDINGS = (
    Check(
        "clock",
        clock,
        EVERY,
        "whatever the clock does, the last write is the newest, and nothing is over before its time",
        ("pairtree",),
    ),
    Check(
        "fork",
        fork,
        (*SHARED, "memory"),
        "both sides of a fork go on with what was open, and end as they like",
        ("lmdb", "sqlite"),
    ),
)
