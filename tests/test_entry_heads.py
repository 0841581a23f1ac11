"""The beginning of a row tells what a listing shows, without the payload."""

import pytest

from hashstash.entry import HEADER_SIZE, Entry, Flag, unpack, unpack_head
from hashstash.errors import CorruptEntry
from hashstash.policies.size_limit import entry_size

pytestmark = pytest.mark.once

DIGEST = bytes(range(16))


def an_entry(**changes):
    entry = Entry(DIGEST, b"hashstash+lz4", b"\0key", b"x" * 5000, 9000)
    entry.write_id, entry.version, entry.created_at, entry.expires_at = bytes(range(8)), 3, 10, 20
    entry.seconds, entry.metadata = 1.5, b"metadata"
    for name, value in changes.items():
        setattr(entry, name, value)
    return entry


def test_a_beginning_says_all_but_the_payload():
    row = an_entry().pack()
    head, whole = unpack_head(row[:200], DIGEST), unpack(row, DIGEST)
    assert (bytes(head.payload), head.unread) == (b"", 5000)
    names = ("digest", "label", "key", "raw_size", "flags", "write_id", "version", "created_at", "expires_at")
    for name in (*names, "seconds", "metadata", "signer", "tag", "is_trusted"):
        assert getattr(head, name) == getattr(whole, name), name
    assert entry_size(head) == entry_size(whole)


@pytest.mark.parametrize("size", [HEADER_SIZE + 13 + 4 + 8, 300, 5000])
def test_it_is_enough_from_the_end_of_the_metadata_on(size):
    assert unpack_head(an_entry().pack()[:size], DIGEST).metadata == b"metadata"


def test_it_is_not_enough_before():
    assert unpack_head(an_entry().pack()[: HEADER_SIZE + 20], DIGEST) is None


def test_a_whole_row_is_read_as_a_whole():
    assert unpack_head(an_entry().pack(), DIGEST) is None


def test_a_signed_row_is_read_as_a_whole():
    row = an_entry(flags=Flag.SIGNED, signer=bytes(8), tag=bytes(16)).pack()
    assert unpack_head(row[:200], DIGEST) is None


def test_a_row_of_another_key_or_format_is_not_believed():
    row = an_entry().pack()
    assert unpack_head(row[:200], bytes(16)) is None
    assert unpack_head(row[:3] + b"\2" + row[4:200], DIGEST) is None
    assert unpack_head(b"XYZ" + row[3:200], DIGEST) is None


def test_less_than_a_header_is_corrupt():
    with pytest.raises(CorruptEntry):
        unpack_head(an_entry().pack()[:40], DIGEST)


def test_every_engine_gives_beginnings_of_all_rows(open_on, every_engine):
    engine = open_on(every_engine).store.engine
    rows = {bytes([number]) * 16: an_entry(payload=b"x" * size).pack() for number, size in enumerate((0, 10, 8000))}
    engine.put_many(rows.items())
    try:
        heads = dict(engine.heads(300))
        assert heads.keys() == rows.keys()
        for address, head in heads.items():
            assert rows[address].startswith(head)
            assert len(head) >= min(300, len(rows[address]))
    finally:
        engine.clear()
