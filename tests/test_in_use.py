"""The content of a row that cannot be read stays as long as the row, wherever it was moved."""

import os

import pytest

from hashstash import HashStash, upkeep
from hashstash.checksum import crc32
from hashstash.entry import SIGNATURE_SIZE

SIZE = 40_000
REFERENCE, CHECKSUM = 44, 4


@pytest.fixture(params=["pairtree", "sqlite"])
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path, engine=request.param, compress=False, **options)


@pytest.fixture
def stash(opened):
    stash = opened()
    stash["k"] = os.urandom(SIZE)
    age(stash)
    return stash


def age(stash):
    for name in names(stash):
        os.utime(stash.store.blobs.path(name), (0, 0))


def names(stash):
    return set(stash.store.blobs.names())


def change(stash, by):
    engine, address = stash.store.engine, stash.store.keys.address("k")
    row = bytearray(engine.get(address))
    engine.put(address, bytes(by(row) or row))


def flip(at):
    def by(row):
        row[at] ^= 0x10

    return by


def to_newer(row):
    row[3] = 2
    row[-CHECKSUM:] = crc32(bytes(row[:-CHECKSUM])).to_bytes(CHECKSUM, "little")


def to_newer_with_another_checksum(row):
    row[3] = 2


EVERY_FIELD = [0, 3, 4, 5, 8, 20, 32, 48, 72, 88, -1, -CHECKSUM - REFERENCE, -CHECKSUM - 17]


@pytest.mark.parametrize("where", EVERY_FIELD)
def test_a_flipped_bit_anywhere_in_a_row_leaves_its_content(stash, where):
    change(stash, flip(where))
    assert upkeep.sweep(stash.store) == 0


@pytest.mark.parametrize("where", [48, -CHECKSUM - SIGNATURE_SIZE - REFERENCE])
def test_of_a_signed_row_as_well(opened, where):
    stash = opened(trust="strict")
    stash["k"] = os.urandom(SIZE)
    age(stash)
    change(stash, flip(where))
    assert upkeep.sweep(stash.store) == 0


@pytest.mark.parametrize(
    "by", [lambda row: row[:-30], lambda row: row[:-46], lambda row: row[:100], lambda row: row * 2]
)
def test_of_a_row_that_was_cut_off_or_grew_as_well(stash, by):
    change(stash, by)
    assert upkeep.sweep(stash.store) == 0


@pytest.mark.parametrize("by", [to_newer, to_newer_with_another_checksum])
def test_the_daily_sweep_beside_rows_of_a_newer_hashstash_leaves_everything(stash, opened, by):
    change(stash, by)
    before = names(stash)
    opened()
    assert names(stash) == before


def test_repair_leaves_the_content_of_what_it_moves_aside(stash):
    before = names(stash)
    change(stash, flip(50))
    assert len(stash.repair().moved) == 1
    assert names(stash) == before


def test_beside_a_damaged_row_whose_content_is_known_others_are_swept(stash):
    before = names(stash)
    change(stash, flip(50))
    stash.store.blobs.write([b"orphan"])
    age(stash)
    assert upkeep.sweep(stash.store) == 1
    assert names(stash) == before


def test_once_its_row_is_neither_there_nor_aside_its_content_goes(stash):
    change(stash, flip(50))
    stash["k"] = 1
    assert upkeep.sweep(stash.store) == 0
    stash.remove_aside()
    assert names(stash) == set()


def test_clearing_removes_the_content_of_bad_rows_and_leaves_what_is_being_written(stash):
    change(stash, to_newer)
    under_way = stash.store.blobs.write([b"under way"]).name
    stash.clear()
    assert names(stash) == {under_way}


def test_what_is_kept_aside_counts_with_its_content(stash, monkeypatch):
    from hashstash.integrity import mending

    monkeypatch.setattr(mending, "MOST_ASIDE_BYTES", SIZE)
    change(stash, flip(50))
    assert len(stash.repair().left) == 1
