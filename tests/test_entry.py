import os
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashstash.entry import (
    FORMAT_VERSION,
    HEADER_SIZE,
    Entry,
    Flag,
    new_write_id,
    pack_plain,
    peek_sizes,
    unpack,
    unpack_plain,
)
from hashstash.errors import BadEntry, CorruptEntry, NewerFormat

DIGEST = bytes(range(16))
OTHER = bytes(range(16, 32))


def plain_row():
    return pack_plain(DIGEST, b"hashstash", b"\x00key", b"the payload", 11)


def full_entry():
    return Entry(
        *(DIGEST, b"pickle+lz4", b"\x02the key", b"stored payload", 1000),
        flags=Flag.CODE | Flag.PARTS | Flag.SIGNED,
        write_id=b"writeid8",
        version=7,
        created_at=1_700_000_000_000_000_001,
        expires_at=1_800_000_000_000_000_002,
        seconds=1.25,
        metadata=b"context",
        signer=b"signer 8",
        tag=b"sixteen byte tag",
    )


ROWS = {
    "plain": plain_row(),
    "full": full_entry().pack(),
    "empty": Entry(DIGEST, b"", b"", b"", 0, write_id=bytes(8)).pack(),
}


@pytest.fixture(params=ROWS)
def row(request):
    return ROWS[request.param]


def with_crc(body):
    """*body* with the checksum that belongs to it: what an attacker, not an accident, writes."""
    return body + struct.pack("<I", zlib.crc32(body))


def changed(row, position, value):
    return with_crc(row[:position] + value + row[position + len(value) : -4])


def test_a_row_comes_back_as_it_was_packed():
    entry = full_entry()
    found = unpack(entry.pack())
    found.payload = bytes(found.payload)
    assert found == entry


def test_packing_again_gives_the_same_row(row):
    assert unpack(row).pack() == row


def test_the_short_and_the_long_way_of_packing_agree():
    row = plain_row()
    entry = unpack(row)
    same = Entry(
        DIGEST, b"hashstash", b"\x00key", b"the payload", 11, write_id=entry.write_id, created_at=entry.created_at
    )
    assert same.pack() == row


def test_the_short_and_the_long_way_of_unpacking_agree():
    row = plain_row()
    entry = unpack(row, DIGEST)
    assert unpack_plain(row, DIGEST)[:2] == (entry.label, entry.payload)


@given(
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.binary(max_size=200),
    st.binary(max_size=20),
    st.floats(allow_nan=False),
)
@settings(max_examples=50, deadline=None)
def test_any_content_comes_back(label, key, payload, metadata, seconds):
    entry = Entry(DIGEST, label, key, payload, len(payload), write_id=bytes(8), metadata=metadata, seconds=seconds)
    found = unpack(entry.pack())
    assert (found.label, found.key, bytes(found.payload), found.metadata, found.seconds) == (
        label,
        key,
        payload,
        metadata,
        seconds,
    )


def test_every_flipped_bit_is_noticed(row):
    for position in range(len(row)):
        for bit in range(8):
            bad = bytearray(row)
            bad[position] ^= 1 << bit
            assert unpack_plain(bytes(bad), DIGEST) is None
            with pytest.raises(BadEntry):
                unpack(bytes(bad), DIGEST)


def test_every_other_byte_is_noticed(row):
    for position in range(len(row)):
        bad = bytearray(row)
        bad[position] = ~bad[position] & 0xFF
        with pytest.raises(CorruptEntry):
            unpack(bytes(bad))


def test_every_truncation_is_noticed(row):
    for size in range(len(row)):
        assert unpack_plain(row[:size], DIGEST) is None
        with pytest.raises(CorruptEntry):
            unpack(row[:size], DIGEST)


def test_every_truncation_at_the_front_is_noticed(row):
    for size in range(1, len(row) + 1):
        with pytest.raises(CorruptEntry):
            unpack(row[size:], DIGEST)


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 4, b"x" * 100])
def test_bytes_behind_the_end_are_noticed(row, extra):
    with pytest.raises(CorruptEntry):
        unpack(row + extra)


def test_two_rows_in_one_are_noticed(row):
    with pytest.raises(CorruptEntry):
        unpack(row + row)


def test_a_row_of_zeros_is_no_entry():
    for size in (0, 1, HEADER_SIZE + 4, 4096):
        with pytest.raises(CorruptEntry):
            unpack(bytes(size))


def test_the_checksum_alone_is_not_enough():
    with pytest.raises(CorruptEntry, match="does not begin like an entry"):
        unpack(with_crc(b"something else entirely" * 10))


def test_the_residue_is_what_crc32_leaves_of_any_message():
    for size in (0, 1, 1000):
        message = os.urandom(size)
        assert zlib.crc32(with_crc(message)) == 0x2144DF1C


def test_the_error_says_what_is_wrong():
    with pytest.raises(CorruptEntry, match="cut off: 10 bytes"):
        unpack(ROWS["plain"][:10])
    with pytest.raises(CorruptEntry, match="checksum"):
        unpack(ROWS["plain"][:-1])


def test_a_newer_format_says_upgrade(row):
    newer = changed(row, 3, bytes([FORMAT_VERSION + 1]))
    assert unpack_plain(newer, DIGEST) is None
    with pytest.raises(NewerFormat, match=f"format {FORMAT_VERSION + 1}.*upgrade hashstash"):
        unpack(newer, DIGEST)


@pytest.mark.parametrize(
    "position, size", [(5, 1), (20, 4), (24, 4), (32, 8)], ids=["label", "key", "metadata", "payload"]
)
@pytest.mark.parametrize("value", [b"\xff" * 8, b"\x01" + bytes(7)])
def test_a_size_that_lies_is_noticed_behind_a_good_checksum(row, position, size, value):
    bad = changed(row, position, value[:size])
    if bad == row:
        pytest.skip("that is its size")
    assert unpack_plain(bad, DIGEST) is None
    with pytest.raises(CorruptEntry, match="add up"):
        unpack(bad, DIGEST)


def test_a_row_under_another_key_is_noticed(row):
    assert unpack_plain(row, OTHER) is None
    with pytest.raises(CorruptEntry, match="another key"):
        unpack(row, OTHER)


def test_a_signature_that_is_claimed_but_missing_is_noticed():
    row = changed(ROWS["plain"], 4, bytes([Flag.SIGNED]))
    with pytest.raises(CorruptEntry):
        unpack(row)


@pytest.mark.parametrize("flag", list(Flag))
def test_the_short_way_leaves_flagged_rows_to_the_long_way(flag):
    entry = Entry(DIGEST, b"hashstash", b"", b"", 0, flag, bytes(8))
    entry.signer, entry.tag = (bytes(8), bytes(16)) if flag is Flag.SIGNED else (b"", b"")
    assert unpack_plain(entry.pack(), DIGEST) is None
    assert unpack(entry.pack(), DIGEST).flags == flag


def test_the_short_way_leaves_expiring_rows_to_the_long_way():
    assert (
        unpack_plain(Entry(DIGEST, b"hashstash", b"", b"", 0, write_id=bytes(8), expires_at=1).pack(), DIGEST) is None
    )


def test_expiry_is_from_its_instant_on():
    entry = Entry(DIGEST, b"", b"", b"", 0, expires_at=100)
    assert [entry.is_expired(99), entry.is_expired(100), entry.is_expired(101)] == [False, True, True]


def test_without_expiry_it_never_expires():
    assert not Entry(DIGEST, b"", b"", b"", 0).is_expired(2**62)


def test_the_body_is_what_stands_before_the_signature():
    entry = full_entry()
    assert entry.pack()[:-28] == entry.body()


def test_the_head_says_where_key_and_metadata_end():
    row = ROWS["full"]
    end, flags = peek_sizes(row[:HEADER_SIZE])
    assert row[HEADER_SIZE:end] == b"pickle+lz4" + b"\x02the key" + b"context"
    assert Flag(flags) == full_entry().flags


def test_a_head_that_is_cut_off_is_noticed():
    with pytest.raises(CorruptEntry, match="shorter"):
        peek_sizes(ROWS["full"][: HEADER_SIZE - 1])


def test_write_ids_differ():
    assert len({new_write_id() for _ in range(1000)}) == 1000


def test_the_write_id_stands_where_engines_look_for_it():
    from hashstash.engine import WRITE_ID

    assert full_entry().pack()[WRITE_ID] == b"writeid8"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_makes_other_write_ids():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, new_write_id())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 8)
    os.close(read)
    os.close(write)
    assert theirs not in {new_write_id() for _ in range(10)}
