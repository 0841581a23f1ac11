"""Notes and tags: what users say about an entry, beside its value."""

import datetime as dt
import struct
import zlib

import pytest

from hashstash import HashStash
from hashstash.errors import CorruptEntry, NewerFormat, UnsupportedValue
from hashstash.metadata import notes_bytes, pack_notes, read_notes


@pytest.fixture
def one_stash(open_on):
    """For what does not depend on the engine."""
    return open_on("memory")


META = {
    "accuracy": 0.94,
    "when": dt.datetime(2024, 5, 1, tzinfo=dt.UTC),
    "layers": [64, 32],
    "more": {"a": (1, None)},
    "ü": b"x",
}


def test_notes_come_back_as_they_were_given(stash):
    stash.put("k", [1, 2], meta=META, tags=["paper", "final"])
    assert stash["k"] == [1, 2]
    assert stash.meta("k") == META
    assert stash.info("k").tags == ("paper", "final")


def test_without_notes_there_is_an_empty_dict(stash):
    stash["a"] = 1
    stash.put("b", 1, meta={}, tags=[])
    assert (stash.meta("a"), stash.meta("b"), stash.info("a").tags) == ({}, {}, ())
    assert stash.store.find("b").metadata == b""


def test_a_missing_key_has_no_notes(stash):
    with pytest.raises(KeyError):
        stash.meta("missing")


def test_what_is_returned_may_be_changed_without_an_effect(stash):
    stash.put("k", 1, meta={"a": 1})
    stash.meta("k")["a"] = 2
    assert stash.meta("k") == {"a": 1}


REWRITES = {
    "[]": lambda stash: stash.__setitem__("k", 2),
    "put": lambda stash: stash.put("k", 2, ttl=60),
    "update": lambda stash: stash.update(k=2),
}


@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES)
def test_writing_again_without_notes_drops_them(stash, rewrite):
    stash.put("k", 1, meta=META, tags=["a"])
    rewrite(stash)
    assert (stash.meta("k"), stash.info("k").tags) == ({}, ())


def test_a_time_to_live_and_notes_go_together(stash):
    stash.put("k", 1, ttl="1h", seconds=3.0, meta={"a": 1})
    info = stash.info("k")
    assert (info.seconds, dict(info.meta), info.expires is not None) == (3.0, {"a": 1}, True)


def test_large_values_and_code_have_notes(stash):
    stash.put("large", bytes(range(256)) * 1000, meta={"a": 1})
    stash.put("code", len, meta={"a": 2})
    assert [stash.meta(key) for key in ("large", "code")] == [{"a": 1}, {"a": 2}]
    assert stash["code"] is len


def test_notes_are_seen_by_whoever_opens_the_stash_later(opened, stash):
    stash.put("k", 1, meta=META)
    assert opened(compress="zlib", serializer="pickle").meta("k") == META


def test_each_version_keeps_its_own(opened):
    stash = opened(append_mode=True)
    stash.put("k", 1, meta={"n": 1}, tags="one")
    stash["k"] = 2
    stash.put("k", 3, meta={"n": 3})
    assert [(dict(version.meta), version.tags) for version in stash.versions("k")] == [
        ({"n": 1}, ("one",)),
        ({}, ()),
        ({"n": 3}, ()),
    ]


def test_a_copy_keeps_them(opened, tmp_path):
    stash = opened(append_mode=True)
    stash.put("k", 1, meta={"n": 1}, tags=["a"])
    stash.put("k", 2, meta={"n": 2})
    other = stash.copy_to(HashStash(tmp_path / "other", engine="memory", append_mode=True))
    assert [dict(version.meta) for version in other.versions("k")] == [{"n": 1}, {"n": 2}]
    assert other.versions("k")[0].tags == ("a",)


def test_repair_touch_and_trust_keep_them(stash, somebody_else):
    with somebody_else:
        stash.put("k", len, meta={"n": 1})
    assert stash.meta("k") == {"n": 1}
    stash.trust()
    stash.touch("k", ttl=60)
    stash.repair()
    assert (stash.meta("k"), stash["k"]) == ({"n": 1}, len)


def test_an_entry_in_the_stash_of_a_function_has_notes(stash):
    @stash.stashed_result
    def double(number):
        return 2 * number

    double(1)
    double.stash.put(((2,), {}), 5, meta={"from": "elsewhere"})
    assert double(2) == 5
    assert double.stash.meta(((2,), {})) == {"from": "elsewhere"}
    assert double.stash.meta(((1,), {})) == {}
    assert len(double.stash) == 2
    assert [info.key for info in double.stash.entries(**{"meta.from": "elsewhere"})] == [((2,), {})]


def test_a_copy_of_a_function_stash_keeps_its_entries(opened, stash):
    @stash.stashed_result
    def double(number):
        return 2 * number

    double(1)
    copy = HashStash.from_config(double.stash.sub("copy").config, double.stash.store.keys)
    double.stash.copy_to(copy)
    assert list(copy.items()) == [(((1,), {}), 2)]


BAD = {
    "no dict": ([1], TypeError, "is a dict"),
    "text": ("x", TypeError, "is a dict"),
    "names": ({1: 2}, TypeError, "names are text"),
    "code": ({"f": len}, UnsupportedValue, "plain data"),
    "what cannot be stored": ({"f": (i for i in ())}, UnsupportedValue, "cannot be stored"),
    "too large": ({"a": "x" * 2_000_000}, UnsupportedValue, "at most"),
}


@pytest.mark.parametrize("meta, error, text", BAD.values(), ids=BAD)
def test_what_is_no_plain_data_is_refused_and_nothing_changed(one_stash, meta, error, text):
    one_stash.put("k", 1, meta={"a": 1})
    with pytest.raises(error, match=text):
        one_stash.put("k", 2, meta=meta)
    assert (one_stash["k"], one_stash.meta("k")) == (1, {"a": 1})


@pytest.mark.parametrize("tags", [5, [1], [b"x"], [None]])
def test_tags_are_texts(one_stash, tags):
    with pytest.raises(TypeError, match="tags="):
        one_stash.put("k", 1, tags=tags)
    assert "k" not in one_stash


@pytest.mark.parametrize("tags, found", [("one", ("one",)), ({"a"}, ("a",)), (["b", "a", "b"], ("b", "a")), ((), ())])
def test_tags_may_be_given_in_several_ways(one_stash, tags, found):
    one_stash.put("k", 1, tags=tags)
    assert one_stash.info("k").tags == found


def test_numpy_scalars_may_be_notes(one_stash):
    numpy = pytest.importorskip("numpy")
    one_stash.put("k", 1, meta={"acc": numpy.float64(0.5), "row": numpy.arange(3)})
    assert one_stash.meta("k")["acc"] == 0.5
    assert one_stash.meta("k")["row"].tolist() == [0, 1, 2]


# ---- the bytes -------------------------------------------------------------------------------------------------------------


def test_the_layout_of_the_first_version_is_frozen():
    packed = pack_notes({"a": 1}, ["t"])
    assert packed.hex() == "0082a46d65746181a16101a47461677391a174" + "130000000168736d"
    assert read_notes(packed) == ({"a": 1}, ("t",))


@pytest.mark.parametrize("context", [b"", bytes(16), b"0123456789abcdef", b"ends with\x01hsm"[-16:]])
def test_notes_stand_behind_the_digest_of_a_function(context):
    packed = pack_notes({"a": 1}, None)
    assert read_notes(context + packed) == ({"a": 1}, ())
    assert notes_bytes(context + packed) == packed


@pytest.mark.parametrize("metadata", [b"", b"x", bytes(16), b"hsm", b"0123456789abchsm", b"\xff\xff\xff\xff\x01hsm"])
def test_other_bytes_are_no_notes(metadata):
    assert read_notes(metadata) == ({}, ())
    assert notes_bytes(metadata) == b""


def with_metadata(stash, metadata):
    """Give the entry at ``k`` those bytes, as another program could."""
    entry = stash.store.find("k")
    entry.metadata = metadata
    stash.store.engine.put(entry.digest, entry.pack())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\x00",
        b"\x00\x01",
        b"\x00\x81\xa4meta\x01",
        b"\x00\x82\xa4meta\x80\xa4tags\x91\x01",
        b"\x02\x80",
        b"\x00\xc1",
    ],
)
def test_damaged_notes_do_not_hide_the_value(one_stash, document):
    one_stash["k"] = 5
    one_stash["other"] = 6
    with_metadata(one_stash, document + struct.pack("<IB3s", len(document), 1, b"hsm"))
    assert one_stash["k"] == 5
    with pytest.raises(CorruptEntry, match="'k'"):
        one_stash.meta("k")
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read"):
        assert [info.key for info in one_stash.entries()] == ["other"]


def test_notes_of_a_newer_layout_are_named(one_stash):
    one_stash["k"] = 5
    with_metadata(one_stash, b"whatever" + struct.pack("<IB3s", 8, 2, b"hsm"))
    assert one_stash["k"] == 5
    with pytest.raises(NewerFormat, match="newer format"):
        one_stash.meta("k")


def test_notes_of_a_stranger_run_no_code(one_stash):
    """A key byte that says code, and a document that would import, are refused before they are decoded."""
    one_stash["k"] = 5
    entry = one_stash.store.find("k")
    code = one_stash.store.codec.serializer.dumps(len)
    document = b"\x02" + bytes(code.document)
    entry.metadata = document + struct.pack("<IB3s", len(document), 1, b"hsm")
    one_stash.store.engine.put(entry.digest, entry.pack())
    with pytest.raises(CorruptEntry):
        one_stash.meta("k")
    document = b"\x00" + bytes(code.document)
    entry.metadata = document + struct.pack("<IB3s", len(document), 1, b"hsm")
    one_stash.store.engine.put(entry.digest, entry.pack())
    with pytest.raises(CorruptEntry):
        one_stash.meta("k")


def test_notes_are_covered_by_the_checksum(stash):
    stash.put("k", 1, meta={"a": 1})
    address = stash.store.keys.address("k")
    row = stash.store.engine.get(address)
    place = row.index(b"meta")
    stash.store.engine.put(address, row[:place] + b"mela" + row[place + 4 :])
    with pytest.raises(CorruptEntry):
        stash.meta("k")
    assert zlib.crc32(row) == 0x2144DF1C
