"""Archives of which a number lies, and archives of a few bytes that stand for very many."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from torture.hostile.zips import MANIFEST, ROWS, Made, members, packed

_DIRECTORY = {
    "version": 4,
    "made by": 5,
    "flags": 8,
    "method": 10,
    "date": 14,
    "checksum": 16,
    "packed": 20,
    "size": 24,
}
_DIRECTORY |= {"name": 28, "extra": 30, "comment": 32, "disk": 34, "attributes": 38, "offset": 42}
_LOCAL = {"flags": 6, "method": 8, "checksum": 14, "packed": 18, "size": 22, "name": 26, "extra": 28}
_END = {"disk": 4, "disks": 6, "here": 8, "members": 10, "size": 12, "offset": 16, "comment": 20}
_NUMBERS = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF)


def directories(sound: bytes) -> Made:
    for what, magic, fields in (("directory", b"PK\1\2", _DIRECTORY), ("member", b"PK\3\4", _LOCAL)):
        for number, begin in enumerate(_found(sound, magic)):
            for name, offset in fields.items():
                for value in _NUMBERS:
                    yield f"{what} {number}: {name} of {value}", partial(_set, sound, begin + offset, name, value)
    for name, offset in _END.items():
        for value in _NUMBERS:
            yield f"end: {name} of {value}", partial(_set, sound, len(sound) - 22 + offset, name, value)
    for what, value in {"size": 1 << 62, "2**64": (1 << 64) - 1, "nothing": 0}.items():
        yield f"sizes of 64 bits: {what}", partial(_with_zip64, sound, value)


_WIDE = ("checksum", "packed", "size", "attributes", "offset")


def _set(content: bytes, at: int, field: str, value: int) -> bytes:
    is_wide = field in _WIDE
    made = bytearray(content)
    struct.pack_into("<L" if is_wide else "<H", made, at, value & (0xFFFFFFFF if is_wide else 0xFFFF))
    return bytes(made)


def _found(content: bytes, magic: bytes) -> Iterator[int]:
    at = content.find(magic)
    while at >= 0:
        yield at
        at = content.find(magic, at + 1)


def _with_zip64(sound: bytes, value: int) -> bytes:
    """The first entry of the directory says that its sizes stand in an extra field, where they lie."""
    at = sound.index(b"PK\1\2")
    extra = struct.pack("<HHQQ", 1, 16, value, value)
    head = bytearray(sound[at : at + 46])
    struct.pack_into("<LL", head, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    name_size = struct.unpack_from("<H", head, 28)[0]
    struct.pack_into("<H", head, 30, len(extra))
    end = bytearray(sound[-22:])
    struct.pack_into("<L", end, 12, struct.unpack_from("<L", end, 12)[0] + len(extra))
    rest = sound[at + 46 : -22]
    return sound[:at] + bytes(head) + rest[:name_size] + extra + rest[name_size:] + bytes(end)


# ---- too much ------------------------------------------------------------------------------------------------------------


def bombs(sound: bytes) -> Made:
    found = members(sound)
    manifest = found[MANIFEST]
    row = (60 << 20) - 16

    def rows(make: Callable[[], bytes]) -> bytes:
        return packed({**found, ROWS: make()}, deflated=True)

    def described(make: Callable[[], bytes]) -> bytes:
        return packed({**found, MANIFEST: make()}, deflated=True)

    def beside(begin: bytes, more: bytes, number: int, end: bytes) -> bytes:
        return b'{"a":' + begin + more * number + end + b"," + manifest.lstrip()[1:]

    stashes = json.loads(manifest)
    for what, make in {
        "zeros": lambda: bytes(60 << 20),
        "more zeros": lambda: bytes(100 << 20),
        "one row": lambda: struct.pack("<QQ", row, 0) + b"HST\1" + bytes(row - 4),
        "one row of 12 MB": lambda: struct.pack("<QQ", row // 5, 0) + b"HST\1" + bytes(row // 5 - 4),
        "one blob": lambda: struct.pack("<QQ", 0, row) + bytes(row),
    }.items():
        yield f"a member of {what}", partial(rows, make)
    for what, make in {
        "empty lists": lambda: beside(b"[", b"[],", 15 << 18, b"[]]"),
        "empty dicts": lambda: beside(b"[", b"{},", 15 << 18, b"{}]"),
        "deep lists": lambda: beside(b"[", b"[" * 500 + b"]" * 500 + b",", 15 << 10, b"[]]"),
        "numbers": lambda: beside(b"[", b"1.5,", 15 << 18, b"1]"),
        "names": lambda: (
            b"{" + b",".join(b'"%x":0' % number for number in range(1 << 20)) + b"," + manifest.lstrip()[1:]
        ),
        "stashes": lambda: json.dumps({**stashes, "stashes": stashes["stashes"] * 20_000}).encode(),
        "spaces": lambda: b" " * (15 << 20) + manifest,
        "nesting": lambda: b"[" * (15 << 20),
        "digits": lambda: b'{"version":' + b"9" * (15 << 20) + b"}",
    }.items():
        yield f"a manifest of {what}", partial(described, make)
    yield "many members", lambda: packed({**found, **{f"0/0/rows.{number}": b"" for number in range(20_000)}})
    yield "members that lie upon each other", partial(_overlapping, manifest)
    yield (
        "zip in zip in zip",
        lambda: packed({**found, ROWS: packed({ROWS: rows(lambda: bytes(60 << 20))}, deflated=True)}),
    )


def _overlapping(manifest: bytes, number: int = 500) -> bytes:
    """Many entries of the directory for one and the same packed megabytes."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = engine.compress(bytes(8 << 20)) + engine.flush()
    checksum = zlib.crc32(bytes(8 << 20))
    body = packed({MANIFEST: manifest})
    at = body.index(b"PK\1\2")
    local, directory, end = body[:at], body[at:-22], bytearray(body[-22:])
    begin = len(local)
    first = b"0/0/rows.0000"
    local += (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, checksum, len(data), 8 << 20, len(first), 0) + first + data
    )
    for one in range(number):
        name = b"0/0/rows.%04d" % one
        sizes = (checksum, len(data), 8 << 20, len(name), 0, 0, 0, 0, 0, begin)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, *sizes) + name
    struct.pack_into("<HHLL", end, 8, number + 1, number + 1, len(directory), len(local))
    return local + directory + bytes(end)
