import pytest

from hashstash import decode, deserialize, encode, serialize
from hashstash.errors import BadEntry, CorruptEntry, UnknownPlugin, UnsupportedValue

VALUES = [None, 1, "x" * 5000, {"a": [1, (2, {3})], "b": b"\0"}, [1.5, float("inf")], len]


@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
@pytest.mark.parametrize("value", VALUES)
def test_what_is_serialized_comes_back(value, serializer):
    data = serialize(value, serializer)
    assert isinstance(data, bytes)
    assert deserialize(data, serializer) == value


def test_the_data_itself_says_which_serializer_wrote_it():
    assert deserialize(serialize({1}, "pickle")) == {1}


@pytest.mark.parametrize("b64", [True, False])
@pytest.mark.parametrize("compress", ["raw", "zlib", "gzip", "bz2", "lz4"])
@pytest.mark.parametrize("value", VALUES)
def test_what_is_encoded_comes_back(value, compress, b64):
    assert decode(encode(value, compress, b64=b64)) == value


def test_encoded_values_are_text_and_small():
    pytest.importorskip("lz4")
    data = encode("x" * 5000)
    assert data.isascii()
    assert len(data) < 500


def test_text_is_decoded_like_bytes():
    assert decode(encode([1], "zlib").decode()) == [1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(kind):
    assert deserialize(kind(serialize([1]))) == [1]


def test_arrays_come_back():
    np = pytest.importorskip("numpy")
    assert (decode(encode(np.arange(50_000), "zlib")) == np.arange(50_000)).all()


@pytest.mark.parametrize("data", [b"", "", b"HST", b"not base64!", "ünï", b"AAAA", b"HST\x01" + bytes(200)])
def test_what_is_no_frame_is_said_so(data):
    with pytest.raises(CorruptEntry):
        decode(data)


def test_every_flipped_byte_and_truncation_is_noticed():
    data = serialize({"a": [1, 2]})
    for position in range(len(data)):
        with pytest.raises(BadEntry):
            deserialize(data[:position] + bytes([data[position] ^ 0x11]) + data[position + 1 :])
        with pytest.raises(CorruptEntry):
            deserialize(data[:position])


@pytest.mark.parametrize("name", ["nope", "", None])
def test_unknown_names_are_refused(name):
    with pytest.raises(UnknownPlugin):
        serialize(1, name)
    with pytest.raises(UnknownPlugin):
        encode(1, name)


def test_what_cannot_be_serialized_is_named():
    with pytest.raises(UnsupportedValue, match="generator"):
        serialize(i for i in ())
