from importlib.util import find_spec

import pytest
from together import each

from hashstash import Decoder, Deserializer, Encoder, Serializer, decode, deserialize, encode, serialize
from hashstash.entry import unpack
from hashstash.errors import BadEntry, CorruptEntry, UnknownPlugin, UnsupportedValue, UntrustedEntry

VALUES = [None, 1, "x" * 5000, {"a": [1, (2, {3})], "b": b"\0"}, [1.5, float("inf")], len]


def label_of(frame):
    return bytes(unpack(frame).label)


@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
@pytest.mark.parametrize("value", VALUES)
def test_what_is_serialized_comes_back(value, serializer):
    data = serialize(value, serializer)
    assert isinstance(data, bytes)
    assert deserialize(data, serializer) == value


def test_the_data_itself_says_which_serializer_wrote_it():
    assert deserialize(serialize({1}, "pickle")) == {1}


@pytest.mark.parametrize("b64", [True, False])
@pytest.mark.parametrize("compress", ["raw", "zlib", "gzip", "bz2", "lz4", "blosc", "zstd"])
@each("value", VALUES)
def test_what_is_encoded_comes_back(value, compress, b64):
    assert decode(encode(value, compress, b64=b64)) == value


def test_encoded_values_are_text_and_small():
    data = encode("x" * 5000)
    assert data.isascii()
    assert len(data) < 500


def test_text_is_decoded_like_bytes():
    assert decode(encode([1], "zlib").decode()) == [1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(kind):
    assert deserialize(kind(serialize([1]))) == [1]


@pytest.mark.parametrize("change", [str.strip, lambda text: text + "\n", lambda text: f" {text[:40]}\r\n{text[40:]}\n"])
def test_line_breaks_in_text_do_not_matter(change):
    assert decode(change(encode(["text"] * 100).decode())) == ["text"] * 100


@pytest.mark.parametrize("data", [None, 5, 10**15, [1, 2], {}, object(), open])
@pytest.mark.parametrize("read", [decode, deserialize])
def test_what_is_no_bytes_at_all_is_a_type_error(read, data):
    with pytest.raises(TypeError, match=f"a {type(data).__name__} is nothing to decode"):
        read(data)


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


def test_lz4_is_the_default_where_it_is_installed():
    best = "zlib" if find_spec("lz4") is None else "lz4"
    assert label_of(encode("x" * 5000, b64=False)) == f"hashstash+{best}".encode()


def test_nothing_is_compressed_with_false():
    assert label_of(encode("x" * 5000, False, False)) == b"hashstash"


def test_the_data_itself_says_how_it_was_encoded():
    assert decode(encode({1}, "bz2", False), "zlib", True) == {1}


@pytest.mark.parametrize("value", VALUES)
def test_the_classes_keep_their_arguments(value):
    encoder, serializer = Encoder("zlib", b64=False, serializer="pickle"), Serializer("pickle")
    assert label_of(encoder.encode("x" * 5000)) == b"pickle+zlib"
    assert label_of(serializer.serialize("x")) == b"pickle"
    assert Decoder("zlib", b64=False).decode(encoder.encode(value)) == value
    assert Deserializer("pickle").deserialize(serializer.serialize(value)) == value


@pytest.mark.parametrize("value", VALUES)
def test_the_classes_have_the_defaults_of_the_functions(value):
    assert deserialize(Serializer().serialize(value)) == Deserializer().deserialize(serialize(value)) == value
    assert decode(Encoder().encode(value)) == Decoder().decode(encode(value)) == value


def test_objects_of_the_classes_can_be_called():
    assert Deserializer()(Serializer()([1])) == Decoder()(Encoder()([1])) == [1]


def test_objects_with_equal_arguments_are_equal():
    assert Encoder("zlib") == Encoder("zlib") != Encoder("gzip")
    assert len({Serializer(), Serializer("hashstash"), Serializer("pickle")}) == 2


@pytest.mark.parametrize("kind", [Encoder, Decoder, Serializer, Deserializer])
@pytest.mark.parametrize("name", ["nope", "", None, 5])
def test_the_classes_refuse_unknown_names_at_once(kind, name):
    with pytest.raises(UnknownPlugin, match="known:"):
        kind(name)


def test_unknown_names_are_refused_when_reading_too():
    with pytest.raises(UnknownPlugin, match="did you mean 'zlib'"):
        decode(encode(1, "zlib"), "zlip")
    with pytest.raises(UnknownPlugin):
        deserialize(serialize(1), "pickel")


@pytest.mark.parametrize("kind", [Encoder, Serializer])
def test_strangers_code_is_not_decoded(kind, somebody_else):
    data = kind()(len)
    with somebody_else, pytest.raises(UntrustedEntry):
        Decoder()(data)
