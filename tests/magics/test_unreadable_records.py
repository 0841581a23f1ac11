"""What a cell has stored cannot be read: damaged rows give way, those of a newer version stay, a missing package is told first."""

from __future__ import annotations

import struct
import sys
import zlib

import pytest
from IPython.core.error import UsageError

from hashstash import decoding, registry
from hashstash.entry import Flag, unpack
from hashstash.quarantine import BAD

CELL = "%%stash t --engine pairtree\nseen.append(1)\ny = [1] * 5"


@pytest.fixture
def rows(session):
    """The records of a stash in which one cell is stored, for an empty list ``seen``."""
    session.run("seen = []")
    session.run(CELL)
    assert "stored" in session.status()
    session.run("seen = []\ndel y")
    return session.shell.magics_manager.registry["StashMagics"]._open_stashes._kept[-1].rows


@pytest.fixture
def stored(rows):
    """The store of these records."""
    return rows.stash.store


def alter(store, kind, how):
    """Change the row of that kind; returns its address and what is there now."""
    (key,) = [entry_key for entry_key in store.all_keys() if entry_key[0] == kind]
    address = store.keys.address(key)
    row = how(store.engine.get(address))
    store.engine.put(address, row)
    return address, row


def with_crc(body):
    return body + struct.pack("<I", zlib.crc32(body))


def newer(row):
    return with_crc(row[:3] + b"\x63" + row[4:-4])


def unsigned(entry):
    entry.flags, entry.signer, entry.tag = Flag(0), b"", b""
    return entry


def malformed(row):
    entry = unpack(row)
    entry.payload, entry.raw_size, entry.label = b"\xc1", 1, b"hashstash"
    return unsigned(entry).pack()


def code_of_a_stranger(row):
    entry = unpack(row)
    entry.label, entry.flags, entry.signer, entry.tag = b"pickle", Flag.CODE | Flag.SIGNED, bytes(8), bytes(16)
    return entry.pack()


def of_an_unknown_codec(row):
    entry = unpack(row)
    entry.label = b"nosuch"
    return unsigned(entry).pack()


DAMAGE = {
    "changed": lambda row: row[:-1] + bytes([row[-1] ^ 255]),
    "cut off": lambda row: row[:-10],
    "empty": lambda row: b"",
    "malformed": malformed,
    "code of a stranger": code_of_a_stranger,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_list_of_records_is_told_once_kept_aside_and_begun_anew(session, stored, damage):
    address, row = alter(stored, "code", DAMAGE[damage])
    session.run(CELL)
    assert "stored" in session.status()
    assert session.status().count("warning") == 1
    assert session["seen"] == [1]
    assert stored.engine.section(BAD).get(address) == row
    session.run("seen = []\ndel y")
    session.run(CELL)
    assert "hit" in session.status()
    assert "warning" not in session.status()
    assert session["y"] == [1] * 5


@pytest.mark.parametrize("how", [newer, of_an_unknown_codec])
def test_a_list_that_only_a_newer_version_can_read_stays_and_the_results_are_here(session, stored, how):
    address, row = alter(stored, "code", how)
    session.run(CELL)
    assert "not cached" in session.status()
    assert session.status().count("warning") == 1
    assert "has stored of this cell stays" in session.status()
    assert session["y"] == [1] * 5
    assert stored.engine.get(address) == row


def test_a_list_of_a_newer_version_stays_where_the_cell_is_forced_to_run(session, stored):
    address, row = alter(stored, "code", newer)
    session.run(CELL.replace("t ", "t --force ", 1))
    assert "has stored of this cell stays" in session.status()
    assert session.status().count("warning") == 1
    assert stored.engine.get(address) == row


@pytest.mark.parametrize("kind", ["outputs", "variables"])
def test_a_record_with_a_part_of_a_newer_version_stays(session, stored, kind):
    address, row = alter(stored, kind, newer)
    session.run(CELL)
    assert "not cached" in session.status()
    assert "has stored of this cell stays" in session.status()
    assert session["y"] == [1] * 5
    assert stored.engine.get(address) == row


def test_a_record_of_a_newer_form_stays_beside_one_with_the_same_facts(session, rows):
    (digest,) = rows.digests()
    rows._put_list(digest, [{**row, "format": 99, "id": "theirs"} for row in rows._list(digest)])
    session.run(CELL)
    assert "stored" in session.status()
    assert [row["format"] for row in rows._list(digest)] == [99, 1]


def test_a_cell_to_be_read_whose_list_is_damaged_says_why_not(session, stored):
    alter(stored, "code", DAMAGE["changed"])
    error = session.fail(CELL.replace("t ", "t --read ", 1))
    assert "checksum" in str(error)


def test_an_import_begins_a_damaged_list_anew(session, stored, tmp_path):
    session.run("%stash config engine pairtree")
    session.run(f"%stash export {tmp_path}/t.stash t")
    address, row = alter(stored, "code", DAMAGE["changed"])
    session.run(f"%stash import {tmp_path}/t.stash")
    assert stored.engine.section(BAD).get(address) == row
    session.run(CELL)
    assert "hit" in session.status()


def test_a_stash_whose_only_list_is_damaged_is_listed_and_can_be_cleared(session, stored):
    alter(stored, "code", DAMAGE["changed"])
    session.run("%stash config engine pairtree")
    assert "1 stash (what one cell has stored cannot be read" in repr(session.run("%stash"))
    session.run("%stash rm t")
    assert "1 record removed" in session.status()
    assert list(stored.engine.scan()) == []


# ---- packages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_lz4(monkeypatch):
    """Let lz4 not be installed any more."""
    pytest.importorskip("lz4")

    def forget():
        for name in ("lz4", "lz4.block", "lz4.frame"):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "hashstash.compressors.lz4", raising=False)
        monkeypatch.setattr(decoding, "_decoders", {})
        monkeypatch.setattr(registry.COMPRESSORS, "_loaded", {})

    return forget


LARGE = "%%stash t --engine pairtree --compress lz4\nseen.append(1)\ny = 'ab' * 60000"
UNCOMPRESSED = LARGE.replace("lz4", "raw")


@pytest.fixture
def lacking(session, without_lz4):
    """A session in which a cell was stored with a package that is there no longer."""
    session.run("seen = []")
    session.run(LARGE)
    assert "stored" in session.status()
    session.run("seen = []\ndel y")
    without_lz4()
    return session


def test_a_cell_whose_record_needs_a_missing_package_says_so_before_it_runs(lacking):
    error = lacking.fail(UNCOMPRESSED)
    assert isinstance(error, UsageError)
    assert "pip install 'hashstash[lz4]'" in str(error)
    assert "%%stash --force" in str(error)
    assert lacking["seen"] == []
    assert "y" not in lacking.shell.user_ns
    lacking.run("%stash why")
    assert "next: install it" in lacking.status()


def test_a_magic_that_runs_the_cell_says_so_too(lacking):
    line, _, body = UNCOMPRESSED.removeprefix("%%stash ").partition("\n")
    error = lacking.fail(f"get_ipython().run_cell_magic('stash', {line!r}, {body!r})")
    assert "%%stash --force" in str(error)
    assert lacking["seen"] == []


def test_a_cell_that_awaits_says_so_too(session, without_lz4):
    cell = LARGE + "\nimport asyncio\nawait asyncio.sleep(0)"
    session.run("seen = []")
    session.run(cell)
    session.run("seen = []\ndel y")
    without_lz4()
    assert "%%stash --force" in str(session.fail(cell.replace("lz4", "raw")))
    assert session["seen"] == []


def test_forced_the_cell_runs_and_its_results_are_stored_and_come_back(lacking):
    lacking.run(UNCOMPRESSED.replace("t ", "t --force ", 1))
    assert lacking["seen"] == [1]
    assert "stored" in lacking.status()
    lacking.run("seen = []\ndel y")
    lacking.run(UNCOMPRESSED)
    assert "hit" in lacking.status()
    assert len(lacking["y"]) == 120_000


def test_a_plain_cell_under_auto_says_so_and_how_to_run_it(session, without_lz4):
    cell = "y = 'ab' * 60000\nseen.append(1)"
    for line in (
        "%stash config engine pairtree",
        "%stash config compress lz4",
        "%stash auto --min 0",
        "seen = []",
        cell,
    ):
        session.run(line)
    assert "stored" in session.status()
    session.run("%stash config compress raw")
    session.run("seen = []\ndel y")
    without_lz4()
    assert "pip install 'hashstash[lz4]'" in str(session.fail(cell))
    assert session["seen"] == []
    session.run(f"# stash: off\n{cell}")
    assert session["seen"] == [1]
