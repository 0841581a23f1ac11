"""For each compressor some bytes that inflate to 1 GiB of zeros, made without compressing 1 GiB."""

import struct
import zlib

GIB = 1 << 30
_BLOCK = 1 << 20
_BZ2 = (
    "78da738acab034748c540b8ee4e37c749f31becf81e10003038702834183af9bd302d5955c0dd347e547e587bebc474dfc49"
    "86aea013207916b08a33ac9acb262a3927ba74f28b17b95a044cf8d6f1840900e4fdeced"
)


def _deflated():
    """Raw deflate data: 1024 blocks that each stand for 1 MiB by themselves, then the end."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = stream.compress(bytes(_BLOCK)) + stream.flush(zlib.Z_FULL_FLUSH)
    return block * (GIB // _BLOCK) + b"\x03\x00"


def _adler():
    """The checksum of 1 GiB of zeros."""
    return (GIB % 65521) << 16 | 1


def _zlib():
    return b"\x78\x9c" + _deflated() + struct.pack(">I", _adler())


def _gzip():
    checksum = 0
    for _ in range(GIB >> 24):
        checksum = zlib.crc32(bytes(1 << 24), checksum)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _deflated() + struct.pack("<II", checksum, GIB)


def _lz4():
    """One literal zero, a match of nearly 1 GiB, and the five literals that end every block."""
    steps, rest = divmod(GIB - 1 - 5 - 4 - 15, 255)
    return b"\x1f\0\x01\0" + b"\xff" * steps + bytes([rest]) + b"\x50" + bytes(5)


def _zstd():
    """A frame that tells its size, of blocks which repeat one byte."""
    block = 1 << 17
    head = struct.pack("<IBI", 0xFD2FB528, 0xA0, GIB)
    blocks = [(block << 3 | 1 << 1).to_bytes(3, "little") + b"\0"] * (GIB // block - 1)
    return head + b"".join(blocks) + (block << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"


def _blosc():
    """A chunk of nothing but zeros, in the format of Blosc 2."""
    return struct.pack("<BBBBIII", 5, 1, 0x25, 8, GIB, 1 << 18, 32) + bytes.fromhex("0000000000010100 0000000000000010")


BOMBS = {
    "zlib": _zlib,
    "gzip": _gzip,
    "bz2": lambda: zlib.decompress(bytes.fromhex(_BZ2)),
    "lz4": _lz4,
    "zstd": _zstd,
    "blosc": _blosc,
}
