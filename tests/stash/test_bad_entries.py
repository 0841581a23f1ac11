"""What cannot be read is said so, every time, and is never taken for missing, deleted, or a reason to lose the rest."""

import os
import struct
import zlib

import pytest

from hashstash import HashStash, quarantine
from hashstash.entry import Flag, unpack
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, NewerFormat, TamperedEntry, UntrustedEntry

pytestmark = pytest.mark.once


def with_crc(body):
    return body + struct.pack("<I", zlib.crc32(body))


def relabelled(row, label):
    entry = unpack(row)
    entry.label, entry.flags = label, Flag(0)
    return entry.pack()


def foreign(row):
    entry = unpack(row)
    entry.label, entry.flags, entry.signer, entry.tag = b"pickle", Flag.CODE | Flag.SIGNED, bytes(8), bytes(16)
    return entry.pack()


def tampered(row):
    from hashstash.trust import keyring

    entry = unpack(row)
    keyring().sign(entry, "")
    entry.created_at += 1
    return entry.pack()


def malformed(row):
    entry = unpack(row)
    entry.payload, entry.raw_size = b"\xc1", 1
    return entry.pack()


BAD = {
    "corrupt": (lambda row: row[:50] + bytes([row[50] ^ 1]) + row[51:], CorruptEntry),
    "truncated": (lambda row: row[:-10], CorruptEntry),
    "empty": (lambda row: b"", CorruptEntry),
    "zeros": (lambda row: bytes(len(row)), CorruptEntry),
    "something else": (lambda row: b"something else entirely " * 20, CorruptEntry),
    "malformed": (malformed, CorruptEntry),
    "unknown codec": (lambda row: relabelled(row, b"nope+lz9"), CorruptEntry),
    "newer": (lambda row: with_crc(row[:3] + b"\x63" + row[4:-4]), NewerFormat),
    "foreign": (foreign, UntrustedEntry),
    "tampered": (tampered, TamperedEntry),
}


@pytest.fixture(params=BAD)
def damaged(request, stash):
    """A stash with two good entries and a bad one, the stored bytes of that, and the error it should raise."""
    stash.update(good=1, bad="the value", better=[2])
    address = stash.store.keys.address("bad")
    damage, error = BAD[request.param]
    row = damage(stash.store.engine.get(address))
    stash.store.engine.put(address, row)
    return stash, row, error


def row_of(stash):
    return stash.store.engine.get(stash.store.keys.address("bad"))


READS = {
    "[]": lambda stash: stash["bad"],
    "get": lambda stash: stash.get("bad"),
    "get with a default": lambda stash: stash.get("bad", "default"),
    "pop": lambda stash: stash.pop("bad"),
    "pop with a default": lambda stash: stash.pop("bad", "default"),
    "setdefault": lambda stash: stash.setdefault("bad", "default"),
    "get_set": lambda stash: stash.get_set("bad", lambda: "default"),
    "get_many": lambda stash: stash.get_many(["good", "bad"]),
    "get_all": lambda stash: stash.get_all("bad"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_it_raises_every_time_and_changes_nothing(damaged, read):
    stash, row, error = damaged
    for _ in range(2):
        with pytest.raises(error) as caught:
            read(stash)
        assert not isinstance(caught.value, KeyError)
    assert row_of(stash) == row


def test_the_error_names_the_key_the_place_and_the_reason(damaged):
    stash, _, error = damaged
    with pytest.raises(error) as caught:
        stash["bad"]
    text = str(caught.value)
    assert "'bad'" in text
    assert stash.path in text
    assert len(text) > len(stash.path) + 60
    assert any(step in text for step in ("call stash.repair()", "upgrade hashstash", "call stash.trust()"))


def test_an_encoded_value_whose_file_was_changed_names_the_key_and_the_place(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress="raw")
    stash["large"] = b"x" * 100_000
    for name in stash.store.blobs.names():
        os.truncate(stash.store.blobs.path(name), 1000)
    with pytest.raises(CorruptEntry, match=r"the entry of 'large' in .*data\.db: "):
        HashStash(tmp_path, engine="pairtree").get_encoded("large")


ITERATIONS = {
    "iter": sorted,
    "keys": lambda stash: sorted(stash.keys()),
    "entries": lambda stash: sorted(info.key for info in stash.entries()),
}


@pytest.mark.parametrize("iterate", ITERATIONS.values(), ids=ITERATIONS)
@pytest.mark.filterwarnings("ignore:.*cannot be read.*:RuntimeWarning")
def test_listing_keys_goes_on(damaged, iterate):
    stash, row, error = damaged
    if error is UntrustedEntry:
        pytest.skip("a placeholder stands for its key, which does not sort")
    assert set(iterate(stash)) >= {"good", "better"}
    assert row_of(stash) == row


def test_iterating_skips_it_and_warns_once_with_the_count(damaged):
    stash, row, error = damaged
    if error is UntrustedEntry:
        assert "foreign" in repr(stash.items())
        return
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read") as caught:
        assert dict(stash.items()) == {"good": 1, "better": [2]}
    assert len(caught) == 1
    assert row_of(stash) == row


def test_a_list_of_what_may_expire_warns_once_though_it_counts_first(opened):
    stash = opened(ttl=1000)
    stash["key"] = 1
    address = stash.store.keys.address("key")
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1] + b"?")
    with pytest.warns(RuntimeWarning) as caught:
        assert list(stash.items()) == []
    assert len(caught) == 1


def test_values_skip_it_too(damaged):
    stash, _, error = damaged
    if error is UntrustedEntry:
        assert len(list(stash.values())) == 3
        return
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read") as caught:
        assert sorted(map(str, stash.values())) == ["1", "[2]"]
    assert caught[0].filename == __file__


def test_len_counts_it(damaged):
    assert len(damaged[0]) == 3


@pytest.mark.filterwarnings("ignore:.*cannot be read.*:RuntimeWarning")
def test_popitem_takes_the_others(damaged):
    stash, row, _ = damaged
    assert {stash.popitem()[0] for _ in range(2)} == {"good", "better"}
    with pytest.raises(KeyError):
        stash.popitem()
    assert row_of(stash) == row


@pytest.mark.filterwarnings("ignore:.*cannot be read.*:RuntimeWarning")
def test_copying_leaves_it_out(damaged, tmp_path):
    assert dict(damaged[0].copy_to(HashStash(tmp_path / "other", engine="memory")).items()) == {
        "good": 1,
        "better": [2],
    }


def test_it_may_be_deleted_on_request(damaged):
    stash, _, _ = damaged
    del stash["bad"]
    assert "bad" not in stash
    assert len(stash) == 2


def test_it_may_be_discarded(damaged):
    assert damaged[0].discard("bad") is True


def test_the_others_are_read_as_before(damaged):
    stash, _, _ = damaged
    assert (stash["good"], stash["better"], stash.get_many(["good", "better"])) == (1, [2], [1, [2]])


def test_clearing_removes_it(damaged):
    stash, _, _ = damaged
    stash.clear()
    assert (len(stash), stash.get("bad")) == (0, None)


def test_several_are_counted(stash):
    stash.update({number: number for number in range(5)})
    for number in range(3):
        address = stash.store.keys.address(number)
        stash.store.engine.put(address, b"bad")
    with pytest.warns(RuntimeWarning, match="3 entries that cannot be read"):
        assert dict(stash.items()) == {3: 3, 4: 4}


def test_an_entry_under_another_keys_address_is_corrupt(stash):
    stash.update(a=1, b=2)
    engine, keys = stash.store.engine, stash.store.keys
    engine.put(keys.address("b"), engine.get(keys.address("a")))
    with pytest.raises(CorruptEntry, match="another key"):
        stash["b"]
    with pytest.warns(RuntimeWarning, match="1 entry"):
        assert dict(stash.items()) == {"a": 1}


def test_a_package_that_is_missing_is_named_in_every_way_of_reading(stash, monkeypatch):
    import sys

    from hashstash import decoding, registry

    stash["k"] = 1
    address = stash.store.keys.address("k")
    entry = unpack(stash.store.engine.get(address))
    entry.label = b"hashstash+lz4"
    stash.store.engine.put(address, entry.pack())
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    monkeypatch.setitem(sys.modules, "lz4", None)
    monkeypatch.delitem(sys.modules, "hashstash.compressors.lz4", raising=False)
    monkeypatch.setattr(decoding, "_decoders", {})
    monkeypatch.setattr(registry.COMPRESSORS, "_loaded", {})
    for read in (lambda: stash["k"], lambda: stash.get("k", 5), lambda: list(stash.items()), lambda: stash.pop("k", 5)):
        with pytest.raises(
            MissingDependency, match=r"the entry of 'k' in .*: .*pip install 'hashstash\[lz4\]'"
        ) as caught:
            read()
        assert str(caught.value).count("the entry of 'k'") == 1
    stash["k"] = 2  # an intact row, which is no bad one
    assert "bad" not in stash.store.engine.section_names() or not stash.store.engine.section("bad").count()


# ---- every byte ------------------------------------------------------------------------------------------------------

VALUES = {
    "small": ({"a": [1, None, "text"]}, {}),
    "compressed": ("all work and no play " * 40, {"compress": "zlib"}),
    "b64": ({"a": list(range(30))}, {"b64": True, "compress": False}),
    "pickle": ({"a": (1, {2})}, {"serializer": "pickle", "compress": False}),
}


@pytest.mark.parametrize("name", VALUES)
def test_every_flipped_byte_is_noticed_by_whoever_reads(tmp_path, name):
    value, options = VALUES[name]
    stash = HashStash(tmp_path, engine="memory", **options)
    stash["k"] = value
    address, engine = stash.store.keys.address("k"), stash.store.engine
    row = engine.get(address)
    for position in range(len(row)):
        engine.put(address, row[:position] + bytes([row[position] ^ 0x55]) + row[position + 1 :])
        with pytest.raises(BadEntry):
            stash["k"]
    engine.put(address, row)
    assert stash["k"] == value


@pytest.mark.parametrize("name", VALUES)
def test_every_truncation_is_noticed_by_whoever_reads(tmp_path, name):
    value, options = VALUES[name]
    stash = HashStash(tmp_path, engine="memory", **options)
    stash["k"] = value
    address, engine = stash.store.keys.address("k"), stash.store.engine
    row = engine.get(address)
    for size in range(len(row)):
        engine.put(address, row[:size])
        with pytest.raises(CorruptEntry):
            stash["k"]


@pytest.mark.parametrize("name", ["small", "compressed", "b64"])
def test_every_byte_that_an_attacker_changes_gives_an_error_of_ours_or_a_value(tmp_path, name):
    """Behind a good checksum data may differ, but nothing else than a BadEntry is ever raised."""
    value, options = VALUES[name]
    stash = HashStash(tmp_path, engine="memory", **options)
    stash["k"] = value
    address, engine = stash.store.keys.address("k"), stash.store.engine
    row = engine.get(address)
    for position in range(len(row) - 4):
        for flip in (0x01, 0x80, 0xFF):
            engine.put(address, with_crc(row[:position] + bytes([row[position] ^ flip]) + row[position + 1 : -4]))
            try:
                stash.get("k")
            except BadEntry:
                continue


def test_every_truncated_file_of_pairtree_is_noticed(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    stash["k"] = [1, 2, 3]
    name = stash.store.keys.address("k").hex()
    path = os.path.join(stash.path, name[:2], name)
    for size in reversed(range(os.path.getsize(path))):
        os.truncate(path, size)
        with pytest.raises(CorruptEntry):
            stash["k"]


# ---- writing over it -------------------------------------------------------------------------------------------------

OVERWRITES = {
    "[]": lambda stash: stash.__setitem__("bad", "new"),
    "update": lambda stash: stash.update(bad="new"),
    "set_many": lambda stash: stash.set_many({"bad": "new", "other": 1}),
    "put": lambda stash: stash.put("bad", "new", seconds=1.0),
}


@pytest.mark.parametrize("overwrite", OVERWRITES.values(), ids=OVERWRITES)
def test_it_may_be_written_over_and_its_bytes_are_kept_aside(damaged, overwrite):
    stash, row, error = damaged
    with pytest.raises(error):
        stash["bad"]
    overwrite(stash)
    assert stash["bad"] == "new"
    kept = stash.store.engine.section("bad").get(stash.store.keys.address("bad"))
    assert kept == (None if error is UntrustedEntry else row)


UNREAD = {
    "put": lambda stash: stash.put("bad", "new", tags=["x"]),
    "large": lambda stash: stash.__setitem__("bad", os.urandom(100_000)),
    "code": lambda stash: stash.__setitem__("bad", len),
    "del": lambda stash: stash.__delitem__("bad"),
    "discard": lambda stash: stash.discard("bad"),
}


@pytest.mark.parametrize("overwrite", OVERWRITES.values(), ids=OVERWRITES)
@pytest.mark.parametrize("engine", ["lmdb", "memory"])
def test_where_reading_costs_nothing_a_small_write_looks_at_what_it_replaces(stash, overwrite):
    address = stash.store.keys.address("bad")
    stash.store.engine.put(address, b"damaged")
    overwrite(stash)
    assert stash.store.engine.section("bad").get(address) == b"damaged"
    assert stash["bad"] == "new"


@pytest.mark.parametrize("overwrite", UNREAD.values(), ids=UNREAD)
def test_a_damaged_row_that_nobody_has_read_is_kept_aside_too(stash, overwrite):
    stash["bad"] = "the value"
    address = stash.store.keys.address("bad")
    row = stash.store.engine.get(address)[:-1] + b"?"
    stash.store.engine.put(address, row)
    overwrite(stash)
    assert stash.store.engine.section("bad").get(address) == row
    assert stash.get("bad") != "the value"


def test_what_is_damaged_twice_is_kept_aside_twice(stash):
    address = stash.store.keys.address("bad")
    for damage in (b"one", b"other", b"other"):
        stash.store.engine.put(address, damage)
        stash.put("bad", 1)
    assert sorted(row for _, row in stash.store.engine.section("bad").rows()) == [b"one", b"other"]


def test_what_is_kept_aside_is_neither_counted_nor_listed(damaged):
    stash, _, error = damaged
    with pytest.raises(error):
        stash["bad"]
    stash["bad"] = "new"
    assert len(stash) == 3
    assert dict(stash.items()) == {"good": 1, "bad": "new", "better": [2]}


def test_no_more_than_a_bounded_number_of_bad_rows_is_kept_aside_when_they_are_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "MOST_ASIDE", 3)
    with HashStash(tmp_path, engine="pairtree") as stash:
        for key in range(6):
            stash[key] = "value"
            address = stash.store.keys.address(key)
            stash.store.engine.put(address, b"damaged")
            with pytest.raises(CorruptEntry):
                stash[key]
        with pytest.warns(RuntimeWarning, match=r"gone for good.*for 3 rows.*stash\.remove_aside\(\)") as said:
            stash.update(dict.fromkeys(range(6), "again"))
        assert [one.filename for one in said] == [__file__]
        assert dict(stash) == dict.fromkeys(range(6), "again")
        assert stash.store.engine.section(quarantine.BAD).count() == 3
