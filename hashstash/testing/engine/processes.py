"""Processes share what an engine stores; a fork, a kill or another machine's writer breaks nothing."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hashstash.engine import Capability
from hashstash.testing.engine.base import PATIENCE, ContractBase, Worker, run_alone, run_together
from hashstash.testing.rows import ADDRESS, OTHER, START, is_whole, numbered, row, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.engine import Engine

PROCESSES = 3
REPLACE = """
import threading
over = threading.Event()
threading.Thread(target=lambda: sys.stdin.readline() and over.set(), daemon=True).start()
while not over.is_set():
    for size in (50, 20_000, 700):
        engine.put(ADDRESS, whole(size, int(sys.argv[1])))
"""
WRITE_FOR_EVER = """
print("writing", flush=True)
while True:
    for number in range(5):
        engine.put(bytes([number]) * 16, whole(30_000, number))
        engine.put_many([(bytes([number]) * 15, whole(300, number)) for number in range(5)])
"""


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
class ProcessContract(ContractBase):
    """Fresh processes, forked ones, and killed ones."""

    def test_another_process_sees_the_rows(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        run_alone(self.source(engine), "assert engine.get(ADDRESS) == row('a'); engine.put(OTHER, row('there'))")
        assert engine.get(OTHER) == row("there")
        assert engine.count() == 2

    def test_what_another_process_does_is_seen_at_once(self, engine: Engine) -> None:
        """While both have the storage open: a row replaced, deleted, added, cleared."""
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
        steps = [
            "engine.put(ADDRESS, row('there'))",
            "engine.delete(OTHER)",
            "engine.put_many(numbered(number) for number in range(50))",
            "engine.section('history').put(ADDRESS, row('old'))",
            "engine.clear()",
        ]
        code = "".join(f"{step}; print('done', flush=True); sys.stdin.readline()\n" for step in steps)
        looks: list[Callable[[], bool]] = [
            lambda: engine.get(ADDRESS) == row("there"),
            lambda: not engine.has(OTHER) and engine.get(OTHER) is None and engine.count() == 1,
            lambda: engine.count() == 51 == len(list(engine.scan())) and engine.get(numbered(9)[0]) == numbered(9)[1],
            lambda: engine.section("history").get(ADDRESS) == row("old"),
            lambda: engine.count() == 0 and engine.get(ADDRESS) is None and not engine.section("history").has(ADDRESS),
        ]
        with Worker("engine = None\n" + self.source(engine) + "engine.get(ADDRESS)\n", code) as worker:
            for look in looks:
                worker.go()
                assert worker.line() == "done"
                assert look()
            worker.go()
            worker.finish()

    def test_a_forked_child_uses_the_rows_and_leaves_the_parent_alone(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        engine.section("history").put(ADDRESS, row("old"))
        _in_fork(_child, engine)
        assert engine.get(OTHER) == row("child")
        assert engine.section("history").get(OTHER) == row("child")
        engine.put(ADDRESS, row("b"))
        assert engine.get(ADDRESS) == row("b")

    def test_a_child_that_closes_what_it_inherited_leaves_the_parent_alone(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        reader = engine.scan()
        _in_fork(_close, engine)
        assert list(reader) == [ADDRESS]
        engine.put(OTHER, row("b"))
        assert dict(engine.rows()) == {ADDRESS: row("a"), OTHER: row("b")}

    def test_children_that_are_forked_while_threads_work_do_not_hang(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                engine.put(numbered(1)[0], row("thread"))
                engine.get(numbered(1)[0])

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                _in_fork(_child, engine)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert engine.get(OTHER) == row("child")

    def test_swap_counts_exactly_under_processes(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS | Capability.SWAP)
        engine.put(ADDRESS, row("0", 1))
        code = "count_up(engine, ADDRESS, 25, 1000 * (1 + int(sys.argv[1])))"
        run_together(self.source(engine), code, PROCESSES)
        assert (engine.get(ADDRESS) or b"")[START:] == str(25 * PROCESSES).encode()

    def test_swap_lets_one_of_many_processes_be_first(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS | Capability.SWAP)
        code = "print(*(int(engine.swap(bytes([turn]) * 16, None, row(sys.argv[1]))) for turn in range(40)))"
        won = [[int(turn) for turn in output.split()] for output in run_together(self.source(engine), code, PROCESSES)]
        assert [sum(turn) for turn in zip(*won, strict=True)] == [1] * 40

    def test_several_processes_write(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS | Capability.SHARED_WRITERS)
        before = engine.check()
        code = (
            "start = 100 * int(sys.argv[1])\n"
            "for number in range(start, start + 30): engine.put(*numbered(number))\n"
            "engine.put_many(numbered(number) for number in range(start + 30, start + 100))\n"
            "assert all(engine.get(numbered(number)[0]) == numbered(number)[1] for number in range(start, start + 100))"
        )
        run_together(self.source(engine), code, PROCESSES)
        assert dict(engine.rows()) == dict(numbered(number) for number in range(100 * PROCESSES))
        assert engine.count() == 100 * PROCESSES
        assert engine.check() == before

    def test_a_row_that_two_processes_replace_is_never_missing_and_never_torn(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, whole(50, 0))
        reads = 0
        with Worker(self.source(engine), REPLACE, 1) as one, Worker(self.source(engine), REPLACE, 2) as other:
            one.go()
            other.go()
            enough = time.monotonic() + self.race
            while reads < 4 or time.monotonic() < enough:
                blob = engine.get(ADDRESS)
                assert blob is not None
                assert is_whole(blob)
                head = engine.peek(ADDRESS, START)
                assert head is not None
                reads += 1
            for worker in (one, other):
                worker.go()  # a second time: it is over
                worker.finish()
        assert engine.count() == 1

    @pytest.mark.parametrize("seconds", [0.02, 0.15])
    def test_a_killed_writer_leaves_whole_rows_and_no_lock(self, engine: Engine, seconds: float) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(OTHER, row("before"))
        with Worker(self.source(engine), WRITE_FOR_EVER) as worker:
            worker.go()
            assert worker.line() == "writing"
            time.sleep(seconds)
            worker.kill()
        rows = dict(engine.rows())
        assert rows.pop(OTHER) == row("before")
        assert all(is_whole(blob) for blob in rows.values())
        assert engine.count() == len(rows) + 1
        engine.put(ADDRESS, row("after"))
        assert engine.get(ADDRESS) == row("after")

    def test_a_lock_is_held_by_one_process_at_a_time(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        code = "lock = engine.lock('name')\nwith lock:\n    print('held', flush=True)\n    sys.stdin.readline()\n"
        entered = threading.Event()

        def enter() -> None:
            with engine.lock("name"):
                entered.set()

        with Worker(self.source(engine), code) as worker:
            worker.go()
            assert worker.line() == "held"
            thread = threading.Thread(target=enter, daemon=True)
            thread.start()
            assert not entered.wait(0.3)
            worker.go()
            assert entered.wait(PATIENCE)
            worker.finish()
            thread.join(PATIENCE)


def _in_fork(work: object, engine: Engine) -> None:
    child = multiprocessing.get_context("fork").Process(target=work, args=(engine,))  # type: ignore[arg-type]
    child.start()
    child.join(PATIENCE / 2)
    if child.exitcode is None:
        child.kill()
        child.join()
        pytest.fail("the forked child hangs")
    assert child.exitcode == 0


def _child(engine: Engine) -> None:
    assert engine.get(ADDRESS) == row("a")
    engine.put(OTHER, row("child"))
    assert engine.get(OTHER) == row("child")
    engine.section("history").put(OTHER, row("child"))


def _close(engine: Engine) -> None:
    engine.close()
    os._exit(0)
