"""Rows go in and come back, alone and in batches; what was never put is not there."""

from __future__ import annotations

import os
import pickle
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hashstash.engine import WRITE_ID, Capability
from hashstash.testing.engine.base import ContractBase
from hashstash.testing.rows import ADDRESS, OTHER, numbered, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.engine import Engine

BLOBS = {
    "nothing": b"",
    "a zero": b"\0",
    "shorter than a write id": b"HST\x01\0",
    "every byte": bytes(range(256)) * 3,
    "no text": b"\xff\xfe\xed\r\n\x1a\x00",
    "a pickle": pickle.dumps({"a": [1, 2]}),
}
PREFIXES = [b"\xff", b"\xff\xff", b"\x00", b"*", b"[a-z]", b"?\\", b"%_", b"\xc3", b"@"]


class BasicContract(ContractBase):
    """One row, many rows, all rows."""

    # ---- one row -------------------------------------------------------------------------------------------------

    def test_what_is_put_is_in_the_storage_as_it_is(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert self.raw_get(engine, ADDRESS) == row("hello")

    def test_what_is_put_comes_back(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert engine.get(ADDRESS) == row("hello")
        assert engine.has(ADDRESS)

    @pytest.mark.parametrize("name", BLOBS)
    def test_any_bytes_come_back_as_bytes(self, engine: Engine, name: str) -> None:
        engine.put(ADDRESS, BLOBS[name])
        assert engine.get(ADDRESS) == self.raw_get(engine, ADDRESS) == BLOBS[name]
        assert type(engine.get(ADDRESS)) is bytes
        assert (engine.has(ADDRESS), engine.count(), list(engine.rows())) == (True, 1, [(ADDRESS, BLOBS[name])])

    def test_a_second_put_replaces(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a longer first one"))
        engine.put(ADDRESS, row("short"))
        assert engine.get(ADDRESS) == self.raw_get(engine, ADDRESS) == row("short")
        assert engine.count() == 1

    def test_absent_rows(self, engine: Engine) -> None:
        assert engine.get(ADDRESS) is None
        assert not engine.has(ADDRESS)
        assert engine.peek(ADDRESS, 10) is None
        assert engine.delete(ADDRESS) is False
        assert list(engine.scan()) == []
        assert list(engine.rows()) == []
        assert engine.count() == 0

    def test_a_row_is_not_found_at_a_part_of_its_address_or_beyond_it(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        assert [engine.get(ADDRESS[:8]), engine.get(ADDRESS + b"\0"), engine.get(ADDRESS[:-1] + b"\xff")] == [None] * 3

    def test_delete_removes_from_the_storage(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("hello"))
        assert engine.delete(ADDRESS) is True
        assert self.raw_get(engine, ADDRESS) is None
        assert engine.get(ADDRESS) is None
        assert engine.delete(ADDRESS) is False
        assert engine.count() == 0

    def test_what_was_deleted_may_be_put_again(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.delete(ADDRESS)
        engine.put(ADDRESS, row("b"))
        assert (engine.get(ADDRESS), engine.count(), list(engine.scan())) == (row("b"), 1, [ADDRESS])

    def test_a_large_blob(self, engine: Engine) -> None:
        blob = row("") + os.urandom(1 << 20) * 8
        engine.put(ADDRESS, blob)
        assert engine.get(ADDRESS) == blob

    def test_addresses_of_other_sizes(self, engine: Engine) -> None:
        for size in (1, 2, 17, 24, 60):
            engine.put(b"\xff" * size, row(str(size)))
        assert sorted(map(len, engine.scan())) == [1, 2, 17, 24, 60]
        assert engine.get(b"\xff" * 24) == row("24")

    def test_the_order_of_writing_does_not_matter(self, engine: Engine) -> None:
        rows = dict(numbered(number) for number in range(200))
        backwards = random.Random(0).sample(list(rows), len(rows))
        for address in backwards:
            engine.put(address, rows[address])
        assert dict(engine.rows()) == rows
        assert [engine.get(address) for address in rows] == list(rows.values())

    @pytest.mark.parametrize("size", [0, 20, 500, 5000])
    def test_peek_gives_at_least_the_beginning(self, engine: Engine, size: int) -> None:
        engine.put(ADDRESS, row("x" * 1000))
        head = engine.peek(ADDRESS, size)
        assert head is not None
        assert row("x" * 1000).startswith(head)
        assert len(head) >= min(size, len(row("x" * 1000)))

    def test_peek_at_a_row_without_content_finds_it(self, engine: Engine) -> None:
        engine.put(ADDRESS, b"")
        assert engine.peek(ADDRESS, 88) == b""

    def test_a_row_outlives_the_moment_that_was_given_for_what_it_replaced(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.expire(ADDRESS, time.time_ns() + 20_000_000)
        engine.put(ADDRESS, row("b"))
        time.sleep(0.05)
        assert engine.get(ADDRESS) == row("b")

    def test_a_row_that_expires_later_is_there_until_then(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.expire(ADDRESS, time.time_ns() + 3600 * 10**9)
        engine.expire(OTHER, time.time_ns() + 3600 * 10**9)
        assert engine.get(ADDRESS) == row("a")
        assert (engine.count(), list(engine.scan())) == (1, [ADDRESS])

    # ---- batches -------------------------------------------------------------------------------------------------

    def test_get_many_keeps_the_order_and_says_what_is_missing(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        assert list(engine.get_many([OTHER, ADDRESS, OTHER, ADDRESS])) == [None, row("a"), None, row("a")]

    def test_a_batch_may_come_from_a_generator_and_be_large(self, engine: Engine) -> None:
        rows = dict(numbered(number) for number in range(5000))
        engine.put_many((address, blob) for address, blob in rows.items())
        assert list(engine.get_many(address for address in rows)) == list(rows.values())
        assert engine.count() == 5000
        assert self.raw_get(engine, numbered(4321)[0]) == numbered(4321)[1]

    def test_the_last_row_of_an_address_in_a_batch_wins(self, engine: Engine) -> None:
        engine.put_many([(ADDRESS, row("a")), (OTHER, row("b")), (ADDRESS, row("c")), (ADDRESS, row("d"))])
        assert dict(engine.rows()) == {ADDRESS: row("d"), OTHER: row("b")}

    def test_a_batch_replaces_what_was_there(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.put_many([(ADDRESS, row("b")), (OTHER, row("c"))])
        assert (self.raw_get(engine, ADDRESS), engine.count()) == (row("b"), 2)

    def test_an_empty_batch_changes_nothing(self, engine: Engine) -> None:
        engine.put_many([])
        engine.put_many(iter(()))
        assert list(engine.get_many([])) == []
        assert engine.count() == 0

    def test_a_batch_whose_source_breaks_off_leaves_whole_rows(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("before"))

        def source() -> Iterator[tuple[bytes, bytes]]:
            yield from (numbered(number) for number in range(10))
            raise LookupError("the source")

        with pytest.raises(LookupError, match="the source"):
            engine.put_many(source())
        expected = dict(numbered(number) for number in range(10)) | {ADDRESS: row("before")}
        assert all(expected[address] == blob for address, blob in engine.rows())
        engine.put(OTHER, row("after"))
        assert engine.get(OTHER) == row("after")

    # ---- all rows ------------------------------------------------------------------------------------------------

    def test_scan_yields_each_address_once(self, engine: Engine) -> None:
        addresses = {number.to_bytes(16, "big") for number in range(0, 1 << 20, 1021)}
        engine.put_many((address, row(address.hex())) for address in addresses)
        found = list(engine.scan())
        assert len(found) == len(addresses) == engine.count()
        assert set(found) == addresses
        assert {type(address) for address in found} == {bytes}

    def test_scan_by_prefix(self, engine: Engine) -> None:
        engine.put_many(
            [(b"\x01\x02" + ADDRESS, row("a")), (b"\x01\x03" + ADDRESS, row("b")), (b"\x02" + ADDRESS, row("c"))]
        )
        assert list(engine.scan(b"\x01\x02")) == [b"\x01\x02" + ADDRESS]
        assert len(list(engine.scan(b"\x01"))) == 2
        assert list(engine.scan(b"\x03")) == []
        assert list(engine.scan(b"\x02" + ADDRESS)) == [b"\x02" + ADDRESS]
        assert list(engine.scan(b"\x02" + ADDRESS + b"\0")) == []

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_scan_takes_a_prefix_as_bytes_and_not_as_a_pattern(self, engine: Engine, prefix: bytes) -> None:
        engine.put_many([(start + ADDRESS, row(start.hex())) for start in (*PREFIXES, b"a", b"b", b"0")])
        expected = {start + ADDRESS for start in (*PREFIXES, b"a", b"b", b"0") if start.startswith(prefix)}
        assert set(engine.scan(prefix)) == expected

    def test_scanning_by_prefix_costs_what_is_found(self, engine: Engine) -> None:
        self.needs(engine, Capability.PREFIX_SCAN)
        engine.put_many(numbered(number) for number in range(min(20_000, self.many)))
        rare = [b"\x00\x01\x02\x03\x04" + bytes([number]) * 11 for number in range(10)]
        engine.put_many((address, row("rare")) for address in rare)
        part = min(_seconds(lambda: list(engine.scan(rare[0][:5]))) for _ in range(5))
        everything = min(_seconds(lambda: list(engine.scan())) for _ in range(3))
        assert sorted(engine.scan(rare[0][:5])) == rare
        assert part < everything / 4

    def test_rows_may_be_changed_while_they_are_scanned(self, engine: Engine) -> None:
        engine.put_many([(bytes([number]) * 16, row(str(number))) for number in range(200)])
        for address in engine.scan():
            engine.delete(address)
            engine.put(b"new" + address, row("new"))
            if engine.count() > 1000:
                pytest.fail("the scan never ends")
        assert not [address for address in engine.scan() if len(address) == 16]

    def test_rows_that_are_deleted_on_the_way_are_left_out_or_whole(self, engine: Engine) -> None:
        rows = dict(numbered(number) for number in range(3000))
        engine.put_many(rows.items())
        reader = engine.rows()
        found = [next(reader)]
        for address in list(rows)[:2500]:
            engine.delete(address)
        found.extend(reader)
        assert len(found) == len(dict(found))
        assert all(rows[address] == blob for address, blob in found)
        assert {address for address, _ in found} >= set(list(rows)[2500:])

    def test_a_scan_that_is_given_up_holds_nothing(self, engine: Engine) -> None:
        engine.put_many(numbered(number) for number in range(2500))
        given_up: list[Iterator[object]] = [
            engine.scan(),
            engine.rows(),
            engine.get_many([numbered(0)[0], numbered(1)[0]]),
        ]
        for reader in given_up:
            next(reader)
        writer = threading.Thread(target=engine.put, args=(ADDRESS, row("a")), daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        engine.put(OTHER, row("b"))
        assert (engine.get(ADDRESS), engine.get(OTHER)) == (row("a"), row("b"))

    def test_rows_pairs_addresses_with_blobs(self, engine: Engine) -> None:
        engine.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
        assert dict(engine.rows()) == {ADDRESS: row("a"), OTHER: row("b")}

    def test_size_grows_with_the_rows(self, engine: Engine) -> None:
        before = engine.size_bytes()
        engine.put(ADDRESS, row("x" * 100_000))
        assert engine.size_bytes() >= before + 100_000

    # ---- swap ----------------------------------------------------------------------------------------------------

    def test_swap_only_if_absent(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        assert engine.swap(ADDRESS, None, row("first", 7))
        assert not engine.swap(ADDRESS, None, row("second", 8))
        assert self.raw_get(engine, ADDRESS) == row("first", 7)
        assert engine.count() == 1

    def test_swap_only_from_the_expected_write(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, row("first", 7))
        assert not engine.swap(ADDRESS, row("", 9)[WRITE_ID], row("second", 8))
        assert engine.swap(ADDRESS, row("", 7)[WRITE_ID], row("second", 8))
        assert engine.get(ADDRESS) == row("second", 8)
        assert not engine.swap(OTHER, row("", 7)[WRITE_ID], row("x", 9))
        assert not engine.has(OTHER)

    @pytest.mark.parametrize("damaged", [b"", b"HST\x01", b"HST\x01\0\0\0\0abc"])
    def test_swap_replaces_a_row_that_is_too_short_for_a_write_id(self, engine: Engine, damaged: bytes) -> None:
        """Its write id is what there is of it: a damaged row can be repaired, and is not taken for an absent one."""
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, damaged)
        assert not engine.swap(ADDRESS, None, row("a"))
        assert not engine.swap(ADDRESS, row("", 7)[WRITE_ID], row("a"))
        assert engine.swap(ADDRESS, damaged[WRITE_ID], row("a"))
        assert engine.get(ADDRESS) == row("a")

    def test_many_are_swapped_each_for_itself(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        third = bytes(16)
        engine.put_many([(ADDRESS, row("a", 1)), (OTHER, row("b", 2))])
        changes = [(third, None, row("c", 3)), (ADDRESS, None, row("d", 4)), (OTHER, row("", 2)[WRITE_ID], row("e", 5))]
        assert engine.swap_many(changes) == [True, False, True]
        assert engine.swap_many([]) == []
        assert self.raw_get(engine, third) == row("c", 3)
        assert dict(engine.rows()) == {third: row("c", 3), ADDRESS: row("a", 1), OTHER: row("e", 5)}
        assert engine.count() == 3

    def test_delete_only_of_the_expected_write(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put_many([(ADDRESS, row("a", 7)), (OTHER, row("b", 8))])
        assert engine.delete_if(ADDRESS, row("", 8)[WRITE_ID]) is False
        assert self.raw_get(engine, ADDRESS) == row("a", 7)
        assert engine.delete_if(ADDRESS, row("", 7)[WRITE_ID]) is True
        assert self.raw_get(engine, ADDRESS) is None
        assert engine.delete_if(ADDRESS, row("", 7)[WRITE_ID]) is False
        assert list(engine.scan()) == [OTHER]
        assert engine.count() == 1

    @pytest.mark.parametrize("damaged", [b"", b"HST\x01", b"HST\x01\0\0\0\0abc"])
    def test_a_row_that_is_too_short_for_a_write_id_is_deleted_by_what_there_is(
        self, engine: Engine, damaged: bytes
    ) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, damaged)
        assert not engine.delete_if(ADDRESS, row("", 7)[WRITE_ID])
        assert engine.delete_if(ADDRESS, damaged[WRITE_ID])
        assert not engine.has(ADDRESS)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
