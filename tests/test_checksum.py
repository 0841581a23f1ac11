"""The checksum in use is zlib's crc32, whoever computes it."""

from __future__ import annotations

import zlib

import pytest

from hashstash.checksum import crc32


@pytest.mark.parametrize("size", [0, 1, 7, 8, 63, 64, 255, 4096, 100_003])
def test_number_is_the_one_of_zlib(size):
    data = bytes(number * 31 % 251 for number in range(size))
    assert crc32(data) == zlib.crc32(data)


def test_it_continues_over_pieces_of_memory():
    data = memoryview(bytes(range(256)) * 100)
    assert crc32(data[1000:], crc32(data[:1000])) == zlib.crc32(data)
