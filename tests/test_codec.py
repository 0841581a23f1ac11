import os
import random

import pytest

from hashstash import HashStash
from hashstash.codec import (
    ALIGNMENT,
    SMALLEST_COMPRESSED,
    Codec,
    Encoded,
    Payload,
    key_is_code,
    lay_out,
    pack_key,
    take_apart,
    unpack_key,
)
from hashstash.compressors import zlib
from hashstash.decoding import check_size, decoder_of, needs_signature, unfilter
from hashstash.entry import Flag
from hashstash.errors import BadEntry, CorruptEntry, UnknownPlugin, UntrustedEntry

COMPRESSORS = ["raw", "zlib", "gzip", "bz2", "lz4", "blosc", "zstd"]
TEXT = "all work and no play makes jack a dull boy " * 100
PARTS = [
    Encoded(b"document", [b"one", bytearray(b"two" * 100), memoryview(b"x")]),
    Encoded(b"", [b""]),
    Encoded(b"doc" * 50, [os.urandom(1000), b"", os.urandom(64)]),
]


def read(payload, label=None, *, is_trusted=False):
    return unfilter(label or payload.label, payload.join(), payload.raw_size, payload.flags, is_trusted=is_trusted)


def value_in(payload):
    return decoder_of(payload.label).serializer.loads(read(payload))


@pytest.mark.parametrize("b64", [False, True])
@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize(
    "value", ["", "short", TEXT, TEXT + "?", TEXT + "!!", list(range(2000)), random.Random(0).randbytes(5000)]
)
def test_values_come_back_through_every_codec(compressor, b64, value):
    assert value_in(Codec("hashstash", compressor, b64=b64).encode(value)) == value


@pytest.mark.parametrize("b64", [False, True])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_buffers_come_back_through_every_codec(compressor, b64):
    codec = Codec("hashstash", compressor, b64=b64)
    encoded = Encoded(b"document" * 100, [bytes(10_000), b"a" * 777])
    found = read(codec.payload(encoded))
    assert (bytes(found.document), [bytes(buffer) for buffer in found.buffers]) == (
        encoded.document,
        list(encoded.buffers),
    )


@pytest.mark.parametrize("compressor", [name for name in COMPRESSORS if name != "raw"])
def test_text_is_compressed_and_the_label_says_so(compressor):
    payload = Codec("hashstash", compressor).encode(TEXT)
    assert payload.size < payload.raw_size / 5
    assert payload.label == f"hashstash+{compressor}".encode()


@pytest.mark.parametrize("value", ["x" * (SMALLEST_COMPRESSED - 10), os.urandom(5000)])
def test_what_compression_would_not_help_stays_raw(value):
    payload = Codec("hashstash", "zlib").encode(value)
    assert payload.label == b"hashstash"
    assert payload.size == payload.raw_size


def test_noise_in_a_buffer_stays_raw_and_zeros_are_compressed():
    codec = Codec("hashstash", "zlib")
    assert codec.payload(Encoded(b"", [os.urandom(200_000)])).label == b"hashstash"
    assert codec.payload(Encoded(b"", [bytes(200_000)])).label == b"hashstash+zlib"


def test_what_a_compressor_cannot_hold_stays_raw(monkeypatch):
    pytest.importorskip("lz4")
    monkeypatch.setattr("hashstash.compressors.lz4.LARGEST_BLOCK", 1000)
    payload = Codec("hashstash", "lz4").encode(TEXT)
    assert payload.label == b"hashstash"
    assert value_in(payload) == TEXT


def test_b64_payloads_are_text():
    payload = Codec("hashstash", "zlib", b64=True).encode(os.urandom(2000))
    assert payload.join().isascii()
    assert payload.flags & Flag.B64


@pytest.mark.parametrize("name", ["nope", "", "lz5", None])
def test_an_unknown_compressor_is_refused(name):
    with pytest.raises(UnknownPlugin, match="no compressor"):
        Codec("hashstash", name)


def test_an_unknown_serializer_is_refused():
    with pytest.raises(UnknownPlugin, match="no serializer"):
        Codec("nope", "raw")


def test_the_label_names_the_codec():
    assert Codec("pickle", "bz2", b64=True).label == "pickle.bz2+b64"


@pytest.mark.parametrize("encoded", PARTS)
def test_buffers_are_laid_out_and_found_again(encoded):
    payload = b"".join(lay_out(encoded))
    found = take_apart(payload, is_code=True)
    assert bytes(found.document) == bytes(encoded.document)
    assert [bytes(buffer) for buffer in found.buffers] == [bytes(buffer) for buffer in encoded.buffers]
    assert found.is_code


@pytest.mark.parametrize("encoded", PARTS)
def test_buffers_begin_at_aligned_places(encoded):
    position, starts = 0, []
    for piece in lay_out(encoded):
        starts.append(position)
        position += len(piece)
    assert [
        start % ALIGNMENT
        for start, piece in zip(starts, lay_out(encoded), strict=True)
        if piece in encoded.buffers and len(piece)
    ] == [0 for buffer in encoded.buffers if len(buffer)]


@pytest.mark.parametrize("encoded", PARTS)
def test_every_truncation_of_the_layout_is_noticed(encoded):
    payload = b"".join(lay_out(encoded))
    for size in range(len(payload)):
        with pytest.raises(CorruptEntry):
            take_apart(payload[:size], is_code=False)


@pytest.mark.parametrize("position", range(16))
def test_a_head_that_lies_never_reads_beyond_the_payload(position):
    payload = bytearray(b"".join(lay_out(PARTS[0])))
    for value in (0, 1, 0x7F, 0xFF):
        payload[position] = value
        try:
            found = take_apart(bytes(payload), is_code=False)
        except CorruptEntry:
            continue
        assert sum(map(len, found.buffers)) + len(found.document) <= len(payload)


def test_a_million_buffers_are_refused_before_they_are_made():
    with pytest.raises(CorruptEntry):
        take_apart(b"P1\0\0\xff\xff\xff\xff" + bytes(8), is_code=False)


@pytest.mark.parametrize("label", [b"nope", b"hashstash+nope", b"\xff\xfe", b"", b"+", b"hashstash+", b"os", b"../x"])
def test_a_label_of_no_codec_is_corrupt_and_imports_nothing(label):
    if label == b"hashstash+":
        pytest.skip("the compressor is left out: it is the label of raw payloads")
    with pytest.raises(CorruptEntry, match="codec"):
        decoder_of(label)


@pytest.mark.parametrize("b64", [False, True])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_a_raw_size_that_lies_is_noticed(compressor, b64):
    payload = Codec("hashstash", compressor, b64=b64).encode(TEXT)
    for raw_size in (0, 1, payload.raw_size - 1, payload.raw_size + 1, payload.raw_size + 3):
        with pytest.raises(CorruptEntry):
            unfilter(payload.label, payload.join(), raw_size, payload.flags, is_trusted=False)


@pytest.mark.parametrize("b64", [False, True])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_every_truncation_of_a_payload_is_noticed(compressor, b64):
    payload = Codec("hashstash", compressor, b64=b64).encode("abcdefgh" * 70)
    for size in range(len(payload.join())):
        with pytest.raises(CorruptEntry):
            unfilter(payload.label, payload.join()[:size], payload.raw_size, payload.flags, is_trusted=True)


@pytest.mark.parametrize("data", [b"====", b"=AAA", b"a b=", b"\xff" * 8, b"AAA", b"AA\nA"])
@pytest.mark.parametrize("compressor", ["raw", "zlib", "lz4"])
def test_text_that_is_no_base64_is_noticed(data, compressor):
    with pytest.raises(CorruptEntry):
        unfilter(b"hashstash+" + compressor.encode(), data, 3, Flag.B64, is_trusted=True)


MIB = 1 << 20


@pytest.mark.parametrize(
    "stored, raw, mine, foreign",
    [
        (1000, 1000, True, True),
        (1, 64 * MIB, True, True),
        (1, 64 * MIB + 1, True, False),
        (64 * MIB, 1024 * MIB, True, True),
        (512 * MIB, 1024 * MIB + 1, True, False),
        (2048 * MIB, 4096 * MIB, True, False),
        (2048 * MIB, 4096 * MIB + 1, False, False),
    ],
)
def test_what_may_be_claimed_depends_on_who_claims_it(stored, raw, mine, foreign):
    def is_accepted(is_trusted):
        try:
            check_size(stored, raw, is_trusted=is_trusted)
        except BadEntry:
            return False
        return True

    assert (is_accepted(True), is_accepted(False)) == (mine, foreign)


def test_a_bomb_is_refused_before_it_is_inflated():
    bomb = zlib.Zlib().encode(bytes(80 * MIB))
    with pytest.raises(UntrustedEntry, match="claims"):
        unfilter(b"hashstash+zlib", bomb, 80 * MIB, Flag(0), is_trusted=False)


def test_what_a_stranger_would_refuse_is_signed():
    assert not needs_signature(Payload(b"hashstash", [b"x"], 1, 1, Flag(0)))
    assert needs_signature(Payload(b"hashstash", [b"x"], 1, 1, Flag.CODE))
    assert needs_signature(Payload(b"hashstash+zlib", [b"x"], 1, 65 * MIB, Flag(0)))


def test_a_value_that_inflates_beyond_a_strangers_limit_is_signed_and_its_owner_reads_it(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", compress="zlib")
    stash["k"] = bytes(65 * MIB)
    assert stash["k"] == bytes(65 * MIB)
    (info,) = stash.entries()
    assert info.signer is not None


@pytest.mark.parametrize("encoded", [*PARTS, Encoded(b"doc", (), is_code=True), Encoded(b"", ())])
def test_keys_are_packed_and_unpacked(encoded):
    found = unpack_key(pack_key(encoded))
    assert (bytes(found.document), found.is_code) == (bytes(encoded.document), encoded.is_code)
    assert list(map(bytes, found.buffers)) == list(map(bytes, encoded.buffers))
    assert key_is_code(pack_key(encoded)) is encoded.is_code


@pytest.mark.parametrize("data", [b"", b"\x04rest", b"\xff", b"\x01"])
def test_a_key_that_begins_like_none_is_noticed(data):
    with pytest.raises(CorruptEntry):
        unpack_key(data)
