"""Servers that are killed, started again, and stopped for a while under their users; holders of leases that stand still."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import Any

from servers import MongoServer, RedisServer

from hashstash.errors import ServerUnavailable
from torture.children import TESTS, Child, Hangs, say
from torture.places import SERVERS, Place
from torture.report import Budget, Check, Finding
from torture.values import MIDDLE, SMALL, Torn, made, verified

_TIMEOUT = 2.0
_LONGEST = 8 * _TIMEOUT
"""Seconds that one call may take while the server is away: connecting, one more try, and a machine that is busy."""
_LEASE = 2.0


def tripled(number: int) -> int:
    """What is memoized."""
    return 3 * number


def writes(place: str, writer: int) -> None:
    """In a child: overwrite with rising numbers, until told to stop; what fails is tried again, and no call takes too long."""
    where = Place.loads(place)
    stash, number, stop = where.open(timeout=_TIMEOUT), 0, _told_to_stop()
    while not stop.is_set():
        key, number, began = f"key {writer} {number % 7}", number + 1, time.monotonic()
        try:
            stash[key] = made(key, writer, number, SMALL if number % 5 else MIDDLE)
        except ServerUnavailable:
            say("failed", key, number)
            time.sleep(0.02)
        except Exception as error:  # noqa: BLE001
            say("wrong", f"a write raises {error!r}")
        else:
            say("done", key, number)
        try:
            verified(key, stash.get(key, made(key, writer, 0)))
        except ServerUnavailable:
            pass
        except Exception as error:  # noqa: BLE001
            say("wrong", f"a read raises {error!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            if stash.run(tripled, number) != 3 * number:
                say("wrong", "a computation was lost")
        if (took := time.monotonic() - began) > 4 * _LONGEST:
            say("wrong", f"a write, a read and a computation took {took:.1f} s")


def _told_to_stop() -> threading.Event:
    stop = threading.Event()

    def wait() -> None:
        os.read(0, 1)
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


def servers(where: Place, budget: Budget) -> Finding:
    finding = Finding()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder, finding.timed():
        server = (
            RedisServer(folder, "--appendonly yes", "--appendfsync always")
            if where.engine == "redis"
            else MongoServer(folder)
        )
        server.start()
        place = Place(where.engine, f"{where.root}-servers", {"url": server.url})
        writers = [Child("torture.remote", "writes", place.dumps(), number) for number in range(2)]
        try:
            _disturb(server, writers, budget, finding)
        finally:
            for child in writers:
                child.tell("stop")
            _compare(place, [_noted(child, finding) for child in writers], finding)
            server.stop()
    return finding


def _disturb(server: Any, writers: list[Child], budget: Budget, finding: Finding) -> None:
    """Kill and start, end and start, stop and resume the server, while all write; each time they must come back."""
    for number in range(budget(full=24, short=3)):
        _wait_for_writes(writers, finding)
        way = ("kill", "end", "pause")[number % 3]
        if way == "pause":
            server.pause()
            time.sleep(_TIMEOUT * 1.5)
            server.resume()
        else:
            server.stop() if way == "kill" else server.end()
            time.sleep(0.2)
            server.start(server.port)
        finding.counts[f"times {way}"] += 1
    _wait_for_writes(writers, finding)


def _wait_for_writes(writers: list[Child], finding: Finding) -> None:
    """Until each writer has written again."""
    for child in writers:
        done = 0
        deadline = time.monotonic() + 60
        while done < 5:
            said = child.hear()
            _note(child, said, finding)
            done += bool(said) and said[0] == "done"
            if said is None or time.monotonic() > deadline:
                raise Hangs("a writer does not write any more")


def _note(child: Child, said: list[Any] | None, finding: Finding) -> None:
    noted = child.__dict__.setdefault("noted", {})
    if said is None:
        return
    kind, what, *number = said
    if kind == "wrong":
        finding.wrong(what)
        return
    finding.counts["writes" if kind == "done" else "refused"] += 1
    known, possible = noted.get(what, (0, 0))
    noted[what] = (number[0], number[0]) if kind == "done" else (known, max(possible, number[0]))


def _noted(child: Child, finding: Finding) -> dict[str, tuple[int, int]]:
    for said in child.hear_all():
        _note(child, said, finding)
    child.end_well(finding, "a writer")
    return child.__dict__.get("noted", {})


def _compare(place: Place, noted: list[dict[str, tuple[int, int]]], finding: Finding) -> None:
    """Nothing that was acknowledged is lost; what failed may have arrived."""
    stash = place.open()
    for keys in noted:
        for key, (least, most) in keys.items():
            try:
                number = verified(key, stash[key])[1] if least or key in stash else 0
            except (Torn, KeyError) as error:
                finding.wrong(f"{key}: {error!r}")
                continue
            if not least <= number <= most:
                finding.wrong(f"{key} is number {number}; acknowledged was {least}")
    stash.close()


# ---- leases ----------------------------------------------------------------------------------------------------------


def holds(place: str, folder: str) -> None:
    """In a child: compute one result, noting that it was begun, until the file ``go`` is there."""
    stash = Place.loads(place).open(lease=_LEASE)
    say("result", stash.run(_noted_work, folder))


def _noted_work(folder: str) -> int:
    with open(os.path.join(folder, "begun"), "ab", 0) as file:
        file.write(f"{os.getpid()}\n".encode())
    say("begun", os.getpid())
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(folder, "go")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return 7


def leases(where: Place, budget: Budget) -> Finding:
    """Whoever computes is stopped: another takes over once its lease is over; when the first goes on, nothing is wrong."""
    finding = Finding()
    with finding.timed():
        for number in range(budget(full=4, short=1)):
            with tempfile.TemporaryDirectory(prefix="torture-") as folder:
                _take_over(where.fresh(f"lease-{number}"), folder, finding)
    return finding


def _take_over(where: Place, folder: str, finding: Finding) -> None:
    first = Child("torture.remote", "holds", where.dumps(), folder)
    first.hear()
    first.send(signal.SIGSTOP)
    second = Child("torture.remote", "holds", where.dumps(), folder)
    began = time.monotonic()
    said = second.hear()
    took = time.monotonic() - began
    if said is None or said[0] != "begun":
        finding.wrong(f"nobody takes over: {said}")
    if took < _LEASE * 0.5:
        finding.wrong(f"somebody took over after {took:.1f} s, with a lease of {_LEASE} s")
    first.send(signal.SIGCONT)
    with open(os.path.join(folder, "go"), "w"):
        pass
    results = [said for child in (first, second) for said in child.hear_all() if said[0] == "result"]
    ends = [(child.end(), child.errors()[-400:]) for child in (first, second)]
    if results != [["result", 7]] * 2 or any(code for code, _ in ends):
        finding.wrong(f"the results are {results}, the ends {ends}")
    if where.open().run(_noted_work, folder) != 7:
        finding.wrong("the result is not there")
    finding.counts["taken over"] += 1
    finding.notes = [f"after {took:.1f} s of a lease of {_LEASE:g} s"]


def two_kernels(where: Place, budget: Budget) -> Finding:  # noqa: ARG001
    """What the tests of the cells try with two kernels, which `make test` runs anyway."""
    finding = Finding()
    with finding.timed():
        file = os.path.join(TESTS, "cells", "test_two_kernels.py")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
        ran = subprocess.run(command, cwd=os.path.dirname(TESTS), capture_output=True, text=True, timeout=1200)
        if ran.returncode:
            finding.wrong(ran.stdout[-1500:])
        for number, kind in re.findall(r"(\d+) (passed|failed|skipped)", ran.stdout):
            finding.counts[kind] += int(number)
    return finding


REMOTE = (
    Check(
        "servers",
        servers,
        SERVERS,
        "servers go away and come back: clear errors in time, and nothing acknowledged is lost",
        ("redis",),
    ),
    Check(
        "leases",
        leases,
        SERVERS,
        "of a holder that stands still the lease is taken over, and both have the result",
        ("redis",),
    ),
    Check(
        "two_kernels",
        two_kernels,
        ("pairtree",),
        "two kernels with one cell neither compute it twice nor wait in vain",
        (),
    ),
)
