"""Our own MessagePack beside the package: the same bytes, the same values, the same refusals."""

import struct

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.msgpack_plain import pack, pack_ext, unpack
from hashstash.testing.equality import assert_same

msgpack = pytest.importorskip("msgpack")

QUICK = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
EDGES = sorted(
    {sign * (1 << bits) + step for bits in (5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1) for step in (-1, 0, 1)}
)
INTEGERS = st.sampled_from([number for number in EDGES if -(2**63) <= number < 2**64]) | st.integers(
    -(2**63), 2**64 - 1
)
KEYS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text(max_size=40) | st.binary(max_size=5)
LEAVES = KEYS | st.floats() | st.binary(max_size=300) | st.text(max_size=300)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(KEYS, inner, max_size=20), max_leaves=40
)


def by_package(value):
    return msgpack.packb(value, strict_types=True, use_bin_type=True)


def ours(value):
    return pack(value, no_extension)


def no_extension(*_):
    pytest.fail("there is no extension in these values")


def read_by_package(data):
    """The package's value; ``None`` instead of it where the package refuses the bytes, or means something else by them."""
    try:
        return [msgpack.unpackb(data, strict_map_key=False, raw=False, ext_hook=msgpack.ExtType, timestamp=0)]
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError):
        return None


def extension_of_package(code, payload):
    return msgpack.Timestamp.from_bytes(bytes(payload)) if code == -1 else msgpack.ExtType(code, bytes(payload))


def read_by_us(data):
    try:
        return [unpack(data, extension_of_package)]
    except (CorruptEntry, ValueError):  # the latter from the package, for codes that it does not have
        return None


@QUICK
@given(VALUES)
def test_the_same_bytes_are_written(value):
    assert ours(value) == by_package(value)


@QUICK
@given(VALUES)
def test_what_the_package_writes_is_read_the_same(value):
    assert_same(unpack(by_package(value), no_extension), value)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize("make", ["x".__mul__, b"x".__mul__, [None].__mul__, lambda size: dict.fromkeys(range(size))])
def test_every_length_is_written_in_its_shortest_form(make, size):
    assert ours(make(size)) == by_package(make(size))
    assert_same(unpack(ours(make(size)), no_extension), make(size))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 255, 256, 65535, 65536])
@pytest.mark.parametrize("code", [0, 1, 127])
def test_extensions_of_every_length_are_written_the_same(code, size):
    packed = pack_ext(code, b"x" * size)
    assert packed == by_package(msgpack.ExtType(code, b"x" * size))
    assert unpack(packed, lambda found, data: (found, bytes(data))) == (code, b"x" * size)


@pytest.mark.parametrize(
    "data",
    [
        *(b"\xcc\x05", b"\xcd\0\x05", b"\xce\0\0\0\x05", b"\xcf" + bytes(7) + b"\x05", b"\xd0\x05", b"\xd1\xff\xff"),
        *(b"\xd9\x01a", b"\xda\0\x01a", b"\xdb\0\0\0\x01a", b"\xc5\0\x01a", b"\xc6\0\0\0\x01a"),
        *(b"\xdc\0\x01\xc0", b"\xdd\0\0\0\x01\xc0", b"\xde\0\x01\x01\x02", b"\xdf\0\0\0\x01\x01\x02"),
        *(b"\xca" + struct.pack(">f", 1.5), b"\xd4\x05a", b"\xc7\x01\x05a", b"\xc8\0\x01\x05a", b"\xc9\0\0\0\x01\x05a"),
    ],
)
def test_longer_forms_are_read_the_same(data):
    assert read_by_package(data) is not None
    assert_same(read_by_us(data), read_by_package(data))


def with_a_byte_changed(packed, place, byte):
    return packed[: place % len(packed)] + bytes([byte]) + packed[place % len(packed) + 1 :]


MUTATED = st.builds(with_a_byte_changed, VALUES.map(by_package), st.integers(0, 1000), st.integers(0, 255))


@QUICK
@given(st.binary(max_size=60) | MUTATED)
@example(b"\xc1")
@example(b"\xa1\xff")
@example(b"\x92\x01")
@example(b"\x01\x01")
@example(b"")
def test_any_bytes_are_read_or_refused_by_both(data):
    assert_same(read_by_us(data), read_by_package(data))
