"""Compressed payloads whose headers lie: of windows, sizes, dictionaries; streams upon streams, and work that yields nothing."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import hashstash
from hashstash import HashStash
from hashstash.errors import MissingDependency
from hashstash.registry import COMPRESSORS
from torture.hostile.documents import pack
from torture.hostile.frames import LOOSE, Frame
from torture.hostile.trials import REFUSED, Trials

VALUE = {"honest": list(range(30))}
RAW = pack(VALUE)
CLAIMS = {"the truth": len(RAW), "nothing": 0, "what is allowed": 60 << 20, "a gigabyte": 1 << 30, "all": (1 << 64) - 1}
MANY = 300_000
"""Of what is small, so that it takes a megabyte or two."""
Streams = Iterator[tuple[str, Callable[[], bytes]]]


def streams() -> dict[str, Callable[[], Streams]]:
    """By compressor."""
    return {"zlib": _zlib, "gzip": _gzip, "bz2": _bz2, "lz4": _lz4, "zstd": _zstd, "blosc": _blosc}


def meet(trials: Trials, stride: int, seed: int) -> None:
    """Each with each claim, as a row and on its own; *stride* leaves some out."""
    stash = HashStash("streams", engine="memory").clear()
    number = seed
    for compressor, make in streams().items():
        try:
            COMPRESSORS.load(compressor)
        except MissingDependency:
            continue
        for name, build in make():
            for claim, size in CLAIMS.items():
                number += 1
                if number % stride:
                    continue
                trials.count("streams", f"{compressor} {name}, said to be {claim}")
                _read(trials, stash, compressor, build(), size)


def _read(trials: Trials, stash: HashStash, compressor: str, payload: bytes, size: int) -> None:
    key = stash.store.keys.encode("it")
    frame = Frame(label=b"hashstash+" + compressor.encode(), payload=payload, sizes={"raw": size})
    stash.store.engine.put(key.address, frame.but(key=key.data, digest=key.address).pack())
    loose = frame.but(flags=LOOSE, key=b"").pack()
    with trials.weighed("reading it"):
        for what, read in {"[]": lambda: stash["it"], "decode": lambda: hashstash.decode(loose)}.items():
            value = trials.met(what, read)
            if value is not REFUSED and value != VALUE:
                trials.fail(f"{what} gives {value!r:.80}")


def _zlib() -> Streams:
    whole = zlib.compress(RAW)
    body, checksum = _deflated(), struct.pack(">L", zlib.adler32(RAW))
    for name, stream in {
        "nothing": b"",
        "a header": whole[:2],
        "a dictionary": b"\x78\xbb" + b"\0\0\0\1" + body + checksum,
        "another method": b"\x7f\x9c" + body + checksum,
        "a window of 64 KB": b"\x88\x1c" + body + checksum,
        "a small window": b"\x08\x1d" + body + checksum,
        "no end": b"\x78\x9c" + b"\0\5\0\xfa\xffhello",
        "another checksum": whole[:-1] + b"?",
        "cut off": whole[:-4],
        "a third kind of block": b"\x78\x9c\x07" + bytes(50),
        "a distance that is too far": b"\x78\x9c" + bytes.fromhex("4b04c2ff") + bytes(20),
    }.items():
        yield name, partial(bytes, stream)
    yield "empty blocks", lambda: b"\x78\x9c" + b"\0\0\0\xff\xff" * MANY + body + checksum
    yield "empty blocks without end", lambda: b"\x78\x9c" + b"\0\0\0\xff\xff" * MANY
    yield "stream upon stream", lambda: whole * 1000
    yield "streams of nothing", lambda: zlib.compress(b"") * (MANY // 8) + whole
    yield "zeros behind", lambda: whole + bytes(1 << 20)


def _deflated() -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return stream.compress(RAW) + stream.flush()


def _gzip() -> Streams:
    whole, body = gzip.compress(RAW, mtime=0), _deflated()
    tail = struct.pack("<LL", zlib.crc32(RAW), len(RAW))

    def head(flags: int, more: bytes = b"") -> bytes:
        return b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\0\xff" + more + body + tail

    for name, stream in {
        "nothing": b"",
        "all flags": head(0xFF),
        "reserved flags": head(0xE0),
        "another size": whole[:-1] + b"\xff",
        "another checksum": whole[:-5] + b"?" + whole[-4:],
        "another method": whole[:2] + b"\x07" + whole[3:],
        "a name": head(8, b"../../etc/passwd\0"),
        "an extra field": head(4, b"\xff\xff" + bytes(0xFFFF)),
    }.items():
        yield name, partial(bytes, stream)
    yield "a name without end", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (8 << 20)
    yield "a long name", lambda: head(8, b"x" * (4 << 20) + b"\0")
    yield "a long remark", lambda: head(16, b"x" * (4 << 20) + b"\0")
    yield "members of nothing", lambda: gzip.compress(b"", mtime=0) * (MANY // 20) + whole
    yield "member upon member", lambda: whole * 1000
    yield "empty blocks", lambda: whole[:10] + b"\0\0\0\xff\xff" * MANY + body + tail


def _bz2() -> Streams:
    whole, empty = bz2.compress(RAW), bz2.compress(b"")
    for name, stream in {
        "nothing": b"",
        "a header": whole[:4],
        "a level of 0": b"BZh0" + whole[4:],
        "another level": b"BZh1" + whole[4:],
        "ones": whole[:10] + b"\xff" * 5000,
        "zeros": whole[:10] + bytes(5000),
        "cut off": whole[:-4],
        "randomized": whole[:14] + bytes([whole[14] | 0x80]) + whole[15:],
        "an end at once": b"BZh9\x17\x72\x45\x38\x50\x90" + bytes(4) + whole,
    }.items():
        yield name, partial(bytes, stream)
    yield "streams of nothing", lambda: empty * (MANY // 10) + whole
    yield "stream upon stream", lambda: whole * 1000
    for at in range(4, len(whole), 3):
        yield f"byte {at}", partial(bytes, whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])


def _lz4() -> Streams:
    for name, stream in {
        "nothing": b"",
        "a token": b"\xf0",
        "no offset": b"\x10a\0\0",
        "an offset before it": b"\x10a\xff\xff\x50hello",
        "a frame": bytes.fromhex("04224d18") + b"\x64\x70\xb9" + bytes(30),
        "its size before it": struct.pack("<I", len(RAW)) + bytes([min(len(RAW), 14) << 4]) + RAW,
        "an end in a match": b"\x1fa\1\0\xff\xff",
    }.items():
        yield name, partial(bytes, stream)
    yield "literals without end", lambda: b"\xf0" + b"\xff" * (8 << 20)
    yield "a match without end", lambda: b"\x1fa\1\0" + b"\xff" * (8 << 20)
    yield "matches of nothing", lambda: b"\x10a" + b"\0\1\0" * MANY + b"\x50hello"


def _frame(
    content: bytes = RAW, *, flags: int = 0xA0, window: bytes = b"", dictionary: bytes = b"", size: int | None = None
) -> bytes:
    """A frame of Zstandard whose one block is kept as it is; *size*: what it says, in four bytes."""
    sized = b"" if not flags & 0xC0 and not flags & 0x20 else struct.pack("<I", len(content) if size is None else size)
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + bytes([flags]) + window + dictionary + sized + block + content


def _zstd() -> Streams:
    skipped = struct.pack("<II", 0x184D2A50, 0)
    empty = _frame(b"")
    for name, stream in {
        "nothing": b"",
        "a magic number": b"\x28\xb5\x2f\xfd",
        "itself": _frame(),
        "a reserved bit": _frame(flags=0xA8),
        "a checksum that is not there": _frame(flags=0xA4),
        "a checksum": _frame(flags=0xA4) + b"????",
        "no size": b"\x28\xb5\x2f\xfd\0\x58" + (len(RAW) << 3 | 1).to_bytes(3, "little") + RAW,
        "a size of 2**64 - 1": b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + (1).to_bytes(3, "little"),
        "a third kind of block": b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(RAW)) + (7).to_bytes(3, "little"),
        "a block of 2 MB": b"\x28\xb5\x2f\xfd\xa0"
        + struct.pack("<I", 1 << 21)
        + ((1 << 21) - 1 << 3 | 3).to_bytes(3, "little")
        + b"x",
        "no last block": b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 0) + bytes(3),
        "skipped to the end": struct.pack("<II", 0x184D2A5F, 0xFFFFFFFF) + _frame(),
        "something skipped before it": skipped + _frame(),
        "something skipped behind it": _frame() + skipped,
        "an old format": b"\x27\xb5\x2f\xfd" + _frame()[4:],
    }.items():
        yield name, partial(bytes, stream)
    for exponent in range(0, 32, 3):
        for mantissa in (0, 7):
            window = bytes([exponent << 3 | mantissa])
            yield f"a window of 2**{exponent + 10}", partial(_frame, flags=0x80, window=window)
            yield (
                f"a window of 2**{exponent + 10}, a gigabyte",
                partial(_frame, flags=0x80, window=window, size=1 << 30),
            )
    for size in (1, 2, 3):
        for number in (0, 1, 0xFF):
            yield (
                f"a dictionary {number} of {size}",
                partial(_frame, flags=0xA0 | size, dictionary=bytes([number]) * (1 << size - 1)),
            )
    yield "frames of nothing", lambda: empty * (MANY // 4) + _frame()
    yield "frame upon frame", lambda: _frame() * 1000
    yield "much that is skipped", lambda: skipped * (MANY // 4) + _frame()
    yield (
        "blocks of nothing",
        lambda: b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(RAW)) + bytes(3) * MANY + _frame()[9:],
    )
    yield (
        "blocks of nothing without end",
        lambda: b"\x28\xb5\x2f\xfd\x80\x58" + struct.pack("<I", len(RAW)) + bytes(3) * MANY,
    )


def _blosc() -> Streams:
    base = COMPRESSORS.load("blosc").encode(RAW * 20)

    def but(at: int, value: int, form: str = "B", content: bytes = base) -> bytes:
        made = bytearray(content)
        struct.pack_into(f"<{form}", made, at, value)
        return bytes(made)

    for at in range(min(32, len(base))):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            yield f"byte {at} of {value}", partial(but, at, value)
    for flags in range(256):
        yield f"flags {flags}", partial(but, 2, flags)
    for at, what in ((4, "raw size"), (8, "block size"), (12, "size")):
        for value in (0, 1, 31, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            yield f"a {what} of {value}", partial(but, at, value, "I")
    for kind in range(0, 256, 8):
        for raw in (len(RAW), 60 << 20, 1 << 30):
            head = struct.pack("<BBBBIII", 5, 1, 0x25, 8, raw, min(raw, 1 << 18), 32)
            yield (
                f"{raw} of the kind {kind}",
                partial(bytes, head + bytes.fromhex("00000000000101000000000000000000")[:15] + bytes([kind])),
            )
    for size in range(0, len(base), max(1, len(base) // 12)):
        yield f"{size} bytes of it", partial(bytes, base[:size])
    yield "zeros behind", lambda: base + bytes(1 << 20)
