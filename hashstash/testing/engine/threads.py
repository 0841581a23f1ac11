"""Threads share an engine as they share a dict; ``swap`` is what they count with."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hashstash.engine import WRITE_ID, Capability
from hashstash.testing.engine.base import ContractBase
from hashstash.testing.rows import ADDRESS, START, count_up, is_whole, numbered, row, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.engine import Engine

THREADS = 8


class ThreadContract(ContractBase):
    """Eight threads at once."""

    def test_threads_read_and_write(self, engine: Engine) -> None:
        def work(number: int) -> bool:
            address = number.to_bytes(16, "big")
            for turn in range(20):
                engine.put(address, row(f"{number}-{turn}"))
                if engine.get(address) != row(f"{number}-{turn}"):
                    return False
            return True

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(work, range(16)))
        assert engine.count() == 16

    def test_threads_do_everything_at_once(self, engine: Engine) -> None:
        rows = [(bytes([number]) * 16, [whole(100 + 900 * size, number) for size in (0, 1)]) for number in range(10)]
        uses: list[Callable[[], object]] = [
            lambda: [engine.put(address, blobs[0]) for address, blobs in rows],
            lambda: engine.put_many([(address, blobs[1]) for address, blobs in rows]),
            lambda: [engine.delete(address) for address, _ in rows[:5]],
            lambda: _all_whole(engine.get(address) for address, _ in rows),
            lambda: _all_whole(engine.get_many([address for address, _ in rows])),
            lambda: _all_whole(blob for _, blob in engine.rows()),
            lambda: (list(engine.scan()), engine.count(), engine.has(rows[0][0])),
            lambda: [engine.section("history").put(address, blobs[0]) for address, blobs in rows],
        ]
        _all_at_once(uses, self.race)
        engine.put_many([(address, blobs[0]) for address, blobs in rows])
        assert dict(engine.rows()) == {address: blobs[0] for address, blobs in rows}
        assert engine.count() == 10

    def test_a_row_that_threads_replace_is_never_missing_and_never_torn(self, engine: Engine) -> None:
        engine.put(ADDRESS, whole(10, 0))
        uses: list[Callable[[], object]] = [
            lambda: [engine.put(ADDRESS, whole(size, 1)) for size in (10, 9000)],
            lambda: [engine.put(ADDRESS, whole(size, 2)) for size in (500, 40_000)],
        ]
        _all_at_once([*uses, *[lambda: _is_there(engine.get(ADDRESS))] * 4], self.race)

    def test_swap_lets_one_of_many_threads_be_first(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        barrier = threading.Barrier(THREADS)

        def work(number: int) -> list[bool]:
            barrier.wait()
            return [engine.swap(bytes([turn]) * 16, None, row(f"{number}", number)) for turn in range(20)]

        with ThreadPoolExecutor(THREADS) as pool:
            won = list(pool.map(work, range(THREADS)))
        assert [sum(turn) for turn in zip(*won, strict=True)] == [1] * 20

    def test_swap_counts_exactly_under_threads(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, row("0", 1))
        threads = [
            threading.Thread(target=count_up, args=(engine, ADDRESS, 25, 1000 * number))
            for number in range(1, THREADS + 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (engine.get(ADDRESS) or b"")[START:] == b"200"

    def test_what_is_put_is_neither_undone_by_a_swap_nor_removed_with_an_older_row(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        stop, lost, errors = threading.Event(), [], []

        def change(work: Callable[[bytes, bytes], object]) -> None:
            try:
                while not stop.is_set():
                    current = engine.get(ADDRESS)
                    if current is not None:
                        work(current[WRITE_ID], current)
            except Exception as error:  # noqa: BLE001 - which nobody would see
                errors.append(error)

        def swap(expected: bytes, current: bytes) -> None:
            engine.swap(ADDRESS, expected, row(current[START:].decode(), int.from_bytes(os.urandom(8), "little")))

        def delete(expected: bytes, current: bytes) -> None:
            if current[START:].startswith(b"over"):
                engine.delete_if(ADDRESS, expected)

        threads = [threading.Thread(target=change, args=(work,)) for work in (swap, swap, delete)]
        for thread in threads:
            thread.start()
        deadline, number = time.monotonic() + self.race, 0
        while time.monotonic() < deadline or number < 2:
            number += 1
            engine.put(ADDRESS, row(f"over {number}"))
            engine.put(ADDRESS, row(str(number)))
            found = [engine.get(ADDRESS), engine.get(ADDRESS)]
            lost += [blob for blob in found if blob is None or blob[START:] != str(number).encode()]
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors
        assert not lost, f"{len(lost)} of {2 * number} looks found another row, such as {lost[0]!r}"

    def test_the_lock_is_held_by_one_thread_at_a_time(self, engine: Engine) -> None:
        inside, most = 0, 0

        def enter(_: int) -> None:
            nonlocal inside, most
            with engine.lock("name"):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.002)
                inside -= 1

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(enter, range(24)))
        assert most == 1

    def test_locks_of_different_names_do_not_wait_for_each_other(self, engine: Engine) -> None:
        with engine.lock("one"), ThreadPoolExecutor(1) as pool:
            assert pool.submit(self._enter, engine, "other").result(20)

    def test_the_thread_that_holds_a_lock_may_enter_it_again(self, engine: Engine) -> None:
        with engine.lock("name"), engine.lock("name"):
            engine.put(ADDRESS, row("a"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(self._enter, engine, "name").result(20)

    def _enter(self, engine: Engine, name: str) -> bool:
        with engine.lock(name):
            return True

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
    def test_threads_that_have_ended_leave_nothing_open(self, engine: Engine) -> None:
        def work() -> None:
            engine.put(ADDRESS, row("a"))
            engine.get(ADDRESS)

        def run(times: int) -> None:
            for _ in range(times):
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()

        run(5)
        before = len(os.listdir("/proc/self/fd"))
        run(60)
        assert len(os.listdir("/proc/self/fd")) < before + 20

    def test_closing_while_others_read_harms_nobody(self, engine: Engine) -> None:
        rows = dict(numbered(number) for number in range(50))
        engine.put_many(rows.items())
        address, blob = numbered(7)
        uses: list[Callable[[], object]] = [
            lambda: _same(engine.get(address), blob),
            lambda: _same(dict(engine.rows()), rows),
            lambda: engine.put(address, blob),
        ]

        def close_soon() -> None:
            time.sleep(0.01)
            engine.close()

        _all_at_once([*uses, close_soon], self.race)
        assert dict(engine.rows()) == rows


def _all_at_once(uses: list[Callable[[], object]], seconds: float) -> None:
    """Repeat each of *uses* in a thread of its own for a while; the first error of any of them is raised."""
    deadline = time.monotonic() + seconds

    def repeat(use: Callable[[], object]) -> int:
        turns = 0
        while time.monotonic() < deadline or not turns:
            use()
            turns += 1
        return turns

    with ThreadPoolExecutor(len(uses)) as pool:
        assert all(pool.map(repeat, uses))


def _all_whole(blobs: object) -> None:
    torn = [blob for blob in blobs if blob is not None and not is_whole(blob)]  # type: ignore[attr-defined]
    if torn:
        raise AssertionError(f"{len(torn)} torn rows, such as {torn[0][:40]!r}")


def _is_there(blob: bytes | None) -> None:
    if blob is None or not is_whole(blob):
        raise AssertionError("missing" if blob is None else f"torn: {blob[:40]!r}")


def _same(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{found!r:.200} instead of {expected!r:.200}")
