"""What every engine must do. Subclass :class:`EngineContract`, give it an engine and a second route to its rows.

The second route reads and writes the storage without the engine's own methods, so that a bug cannot hide behind its inverse.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hashstash.engine import WRITE_ID, Capability, Engine

ADDRESS = bytes(range(16))
OTHER = bytes(range(100, 116))


def row(text: str, write_id: int = 1) -> bytes:
    """A blob with a write id where stored rows have it."""
    return b"HST\x01" + bytes(4) + write_id.to_bytes(8, "little") + text.encode()


class EngineContract:
    """The tests; a subclass defines the fixture ``make`` and the method ``raw_get``."""

    @pytest.fixture
    def make(self, tmp_path: Any) -> Any:
        """A callable that opens an engine on one place: called twice, it gives two engines on the same rows."""
        raise NotImplementedError

    def raw_get(self, engine: Engine, address: bytes) -> bytes | None:
        """The stored blob, read from the storage itself."""
        raise NotImplementedError

    @pytest.fixture
    def engine(self, make: Any) -> Any:
        engine = make()
        yield engine
        engine.close()

    def needs(self, engine: Engine, capability: Capability) -> None:
        """Skip the test, with the reason, unless the engine promises *capability*."""
        if capability not in engine.capabilities:
            pytest.skip(f"{engine.name} does not promise {capability.name}")

    def test_what_is_put_is_in_the_storage_as_it_is(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert self.raw_get(engine, ADDRESS) == row("hello")

    def test_what_is_put_comes_back(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert engine.get(ADDRESS) == row("hello")
        assert engine.has(ADDRESS)

    def test_a_second_put_replaces(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a longer first one"))
        engine.put(ADDRESS, row("short"))
        assert engine.get(ADDRESS) == row("short")
        assert engine.count() == 1

    def test_absent_rows(self, engine: Engine) -> None:
        assert engine.get(ADDRESS) is None
        assert not engine.has(ADDRESS)
        assert engine.peek(ADDRESS, 10) is None
        assert engine.delete(ADDRESS) is False
        assert list(engine.scan()) == []
        assert engine.count() == 0

    def test_delete_removes_from_the_storage(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert engine.delete(ADDRESS) is True
        assert self.raw_get(engine, ADDRESS) is None
        assert engine.get(ADDRESS) is None

    def test_a_large_blob(self, engine: Engine) -> None:
        blob = row("") + os.urandom(1 << 20) * 8
        engine.put(ADDRESS, blob)
        assert engine.get(ADDRESS) == blob

    def test_addresses_of_other_sizes(self, engine: Engine) -> None:
        for size in (1, 2, 17, 24, 60):
            engine.put(b"\xff" * size, row(str(size)))
        assert sorted(map(len, engine.scan())) == [1, 2, 17, 24, 60]
        assert engine.get(b"\xff" * 24) == row("24")

    def test_scan_yields_each_address_once(self, engine: Engine) -> None:
        addresses = {number.to_bytes(16, "big") for number in range(0, 1 << 20, 1021)}
        engine.put_many((address, row(address.hex())) for address in addresses)
        found = list(engine.scan())
        assert len(found) == len(addresses) == engine.count()
        assert set(found) == addresses

    def test_scan_by_prefix(self, engine: Engine) -> None:
        engine.put_many(
            [(b"\x01\x02" + ADDRESS, row("a")), (b"\x01\x03" + ADDRESS, row("b")), (b"\x02" + ADDRESS, row("c"))]
        )
        assert list(engine.scan(b"\x01\x02")) == [b"\x01\x02" + ADDRESS]
        assert len(list(engine.scan(b"\x01"))) == 2

    def test_rows_may_be_changed_while_they_are_scanned(self, engine: Engine) -> None:
        engine.put_many([(bytes([number]) * 16, row(str(number))) for number in range(200)])
        for address in engine.scan():
            engine.delete(address)
            engine.put(b"new" + address, row("new"))
            if engine.count() > 1000:
                pytest.fail("the scan never ends")
        assert not [address for address in engine.scan() if len(address) == 16]

    def test_rows_pairs_addresses_with_blobs(self, engine: Engine) -> None:
        engine.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
        assert dict(engine.rows()) == {ADDRESS: row("a"), OTHER: row("b")}

    def test_get_many_keeps_the_order_and_says_what_is_missing(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        assert list(engine.get_many([OTHER, ADDRESS, OTHER])) == [None, row("a"), None]

    def test_peek_gives_at_least_the_beginning(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("x" * 1000))
        head = engine.peek(ADDRESS, 20)
        assert head is not None
        assert row("x" * 1000).startswith(head)
        assert len(head) >= 20

    def test_sections_are_separate(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("main"))
        engine.section("history").put(ADDRESS, row("old"))
        assert engine.get(ADDRESS) == row("main")
        assert engine.section("history").get(ADDRESS) == row("old")
        assert engine.section("meta").get(ADDRESS) is None
        assert engine.count() == 1

    def test_clear_removes_rows_and_sections(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("main"))
        engine.section("history").put(ADDRESS, row("old"))
        engine.clear()
        assert engine.count() == 0
        assert self.raw_get(engine, ADDRESS) is None
        assert engine.section("history").count() == 0

    def test_closing_twice_and_using_it_again(self, make: Any) -> None:
        engine = make()
        engine.put(ADDRESS, row("a"))
        engine.close()
        engine.close()
        assert engine.get(ADDRESS) == row("a")
        engine.put(OTHER, row("b"))
        engine.close()

    def test_a_second_engine_on_the_place_sees_the_rows(self, make: Any, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        second = make()
        assert second.get(ADDRESS) == row("a")
        second.close()
        assert engine.get(ADDRESS) == row("a")

    def test_size_grows_with_the_rows(self, engine: Engine) -> None:
        before = engine.size_bytes()
        engine.put(ADDRESS, row("x" * 100_000))
        assert engine.size_bytes() >= before + 100_000

    def test_threads_read_and_write(self, engine: Engine) -> None:
        def work(number: int) -> bool:
            address = number.to_bytes(16, "big")
            for turn in range(20):
                engine.put(address, row(f"{number}-{turn}"))
                if engine.get(address) != row(f"{number}-{turn}"):
                    return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(16)))
        assert engine.count() == 16

    def test_swap_only_if_absent(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        assert engine.swap(ADDRESS, None, row("first", 7))
        assert not engine.swap(ADDRESS, None, row("second", 8))
        assert self.raw_get(engine, ADDRESS) == row("first", 7)

    def test_swap_only_from_the_expected_write(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, row("first", 7))
        assert not engine.swap(ADDRESS, row("", 9)[WRITE_ID], row("second", 8))
        assert engine.swap(ADDRESS, row("", 7)[WRITE_ID], row("second", 8))
        assert engine.get(ADDRESS) == row("second", 8)
        assert not engine.swap(OTHER, row("", 7)[WRITE_ID], row("x", 9))

    def test_swap_counts_exactly_under_threads(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, row("0", 1))

        def add(start: int) -> None:
            done = 0
            while done < 25:
                current = engine.get(ADDRESS)
                assert current is not None
                following = row(str(int(current[16:]) + 1), start + done)
                done += engine.swap(ADDRESS, current[WRITE_ID], following)

        threads = [threading.Thread(target=add, args=(1000 * number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.get(ADDRESS)[16:] == b"200"  # type: ignore[index]

    def test_another_process_sees_the_rows(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        code = (
            f"from {type(engine).__module__} import PLUGIN as E; e = E({engine.location()!r});"
            f" assert e.get({ADDRESS!r}) == {row('a')!r}; e.put({OTHER!r}, {row('from there')!r})"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert engine.get(OTHER) == row("from there")

    def test_a_forked_child_uses_the_rows_and_leaves_the_parent_alone(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        engine.put(ADDRESS, row("a"))
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_child, args=(engine,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert engine.get(OTHER) == row("child")
        engine.put(ADDRESS, row("b"))
        assert engine.get(ADDRESS) == row("b")

    def test_the_lock_is_held_by_one_thread_at_a_time(self, engine: Engine) -> None:
        inside, most = 0, 0

        def enter(_: int) -> None:
            nonlocal inside, most
            with engine.lock("name"):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.002)
                inside -= 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(enter, range(24)))
        assert most == 1

    def test_the_location_names_the_place(self, engine: Engine) -> None:
        assert engine.location()

    def test_sync_keeps_what_is_there(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.sync()
        assert engine.get(ADDRESS) == row("a")


def _child(engine: Engine) -> None:
    assert engine.get(ADDRESS) == row("a")
    engine.put(OTHER, row("child"))
