"""Rows that a stranger plants: each payload under each serializer's name, with each claim about itself; headers, keys and notes that lie."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from torture.hostile.canary import WORD
from torture.hostile.documents import documents, graphs, hook, pack
from torture.hostile.frames import B64, BLOB, CODE, LOOSE, PARTS, SIGNED, Frame, buffers
from torture.hostile.pickles import jsons, pickles
from torture.hostile.sizes import sizes

LABELS = (b"hashstash", b"pickle", b"jsonpickle")
CLAIMS = {"data": 0, "code": CODE}


class Planted(NamedTuple):
    """A row without its key: the family and name say what it is."""

    family: str
    name: str
    frame: Frame


def payloads(mark: str) -> Iterator[tuple[str, str, bytes, int]]:
    """Family, name, payload and flags of each payload by itself."""
    for name, document in pickles(mark):
        yield "pickles", name, document, 0
    for name, document in jsons(mark):
        yield "jsonpickle", name, document, 0
    for name, document, parts in documents():
        yield "documents", name, buffers(document, *parts) if parts else document, PARTS if parts else 0
    for name, document in graphs(mark):
        yield "graphs", name, document, 0


def planted(mark: str) -> list[Planted]:
    """All of them."""
    found = []
    for family, name, payload, flags in payloads(mark):
        for label in LABELS:
            for claim, bits in CLAIMS.items():
                frame = Frame(label=label, payload=payload, flags=flags | bits)
                found.append(Planted(family, f"{name} as {claim} of {label.decode()}", frame))
    found += [Planted("sizes", name, Frame(payload=document)) for name, document in sizes()]
    found += [Planted("headers", name, frame) for name, frame in headers(mark)]
    found += [Planted("keys", name, frame) for name, frame in keys(mark)]
    found += [Planted("notes", name, frame) for name, frame in notes(mark)]
    return found


def headers(mark: str) -> Iterator[tuple[str, Frame]]:
    """Each field of a header, changed behind a checksum that fits."""
    evil = b"cos\nsystem\n(S'touch " + mark.encode() + b"'\ntR."
    for what, base in {"data": Frame(payload=pack("data")), "code": Frame(label=b"pickle", payload=evil)}.items():
        for bit in range(8):
            yield f"flag {1 << bit} of {what}", base.but(flags=1 << bit)
        yield f"all flags of {what}", base.but(flags=255)
        for flags in (CODE | SIGNED, PARTS | B64, BLOB | CODE, LOOSE | CODE, LOOSE, SIGNED | LOOSE, BLOB | PARTS | B64):
            yield f"flags {flags} of {what}", base.but(flags=flags, signature=os.urandom(24) if flags & SIGNED else b"")
        for field in ("label", "key", "metadata", "payload", "raw"):
            for size in (0, 1, 255, 2**16, 2**31 - 1, 2**32 - 1):
                yield f"{field} of {size} in {what}", base.but(sizes={field: size})
        yield f"payload of 2**63 in {what}", base.but(sizes={"payload": 2**63 - 1})
        yield f"raw of 2**64 in {what}", base.but(sizes={"raw": 2**64 - 1})
        for number in (0, 2, 255):
            yield f"format {number} of {what}", base.but(format=number)
        yield f"another magic of {what}", base.but(magic=b"HSt")
        yield f"reserved of {what}", base.but(reserved=(1, 0))
        yield f"reserved too of {what}", base.but(reserved=(0, 1))
        yield f"another key's digest of {what}", base.but(digest=os.urandom(16))
        yield f"another checksum of {what}", base.but(crc=1)
        yield f"version 2**32-1 of {what}", base.but(version=2**32 - 1)
        yield f"version 0 of {what}", base.but(version=0)
        yield f"from the future, {what}", base.but(created=2**63 - 1)
        yield f"from the past, {what}", base.but(created=-(2**63))
        yield f"expires in the past, {what}", base.but(expires=-(2**63))
        yield f"expires never, {what}", base.but(expires=2**63 - 1)
        yield f"took for ever, {what}", base.but(seconds=float("inf"))
        yield f"took nan, {what}", base.but(seconds=float("nan"))
        for label in (
            b"evil",
            b"evil+evil",
            b"plugged",
            b"hashstash+evil",
            b"hashstash+plugged",
            b"pickle+plugged",
            b"numpy_",
        ):
            yield f"label {label.decode()} of {what}", base.but(label=label)
        for label in (
            b"",
            b"+",
            b"../pickle",
            b"hashstash.serializers.pickle",
            b"os",
            b"__init__",
            b"_stream",
            b"\xff\xfe",
        ):
            yield f"label {label!r} of {what}", base.but(label=label)
        for label in (
            b"hashstash+blosc",
            b"hashstash+zstd",
            b"hashstash+raw+raw",
            b"hashstash+_stream",
            b"hashstash\0",
            b"HASHSTASH",
        ):
            yield f"label {label!r} of {what}", base.but(label=label, flags=0)
    for name, packer in {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress}.items():
        for label, payload in (
            (b"pickle", evil),
            (b"hashstash", b"\xc1" + pack([1, [[32, "zq_canary_module"]], [0], 0])),
        ):
            packed = packer(payload)
            yield (
                f"{name} of {label.decode()}",
                Frame(label=label + b"+" + name.encode(), payload=packed, sizes={"raw": len(payload)}),
            )
            yield (
                f"{name} cut off, {label.decode()}",
                Frame(label=label + b"+" + name.encode(), payload=packed[:-3], sizes={"raw": 9}),
            )
    for size in (0, 8, 44, 45, 4096):
        yield f"blob reference of {size} bytes", Frame(flags=BLOB, payload=os.urandom(size))
    for name in (b"../../../etc/passwd"[:16], bytes(16), b"\x2e\x2e\x2f" * 5 + b"a"):
        yield (
            f"blob reference to {name!r}",
            Frame(flags=BLOB, payload=struct.pack("<16sQI16s", name, 100, 0, bytes(16))),
        )
    parts = struct.Struct("<2sHIQ")
    for what, payload in {
        "many buffers": parts.pack(b"P1", 0, 2**32 - 1, 0),
        "a million buffers": parts.pack(b"P1", 0, 2**20, 0),
        "a long document": parts.pack(b"P1", 0, 0, 2**64 - 1),
        "long buffers": parts.pack(b"P1", 0, 2, 1) + struct.pack("<QQ", 2**64 - 1, 2**63) + b"\xc0",
        "no buffers": parts.pack(b"P1", 0, 0, 1) + b"\xc0",
        "nothing": b"",
        "another layout": parts.pack(b"P9", 0, 0, 1) + b"\xc0",
    }.items():
        yield f"parts: {what}", Frame(flags=PARTS, payload=payload)
        yield f"parts in text: {what}", Frame(flags=PARTS | B64, payload=payload)


TEXTS = (
    "<script>zq_canary()</script>",
    "<img src=x onerror=zq_canary()>",
    '"><svg onload=zq_canary()>',
    "</td></table><iframe src=javascript:zq_canary()>",
    "javascript:zq_canary()",
    "{{7*7}}${7*7}<%= zq %>",
    "[a](javascript:zq_canary()) ![](http://zq.invalid/x.png)",
    "$\\input{/etc/passwd}$ \\href{javascript:zq}{x}",
    "\x1b[31mred\x1b]0;title\x07\x1b]52;c;enEK\x07\x1b[2J\x9b31m",
    "\x1b]8;;http://zq.invalid\x07link\x1b]8;;\x07",
    "\r\nfake line\b\b\b\b\x7f",
    "\u202eevil\u202c\u2066\u200f\u2028\u2029\x85",
    "a\0b",
    "\ud800",
    "\ufeff\u200b\u00ad" * 50,
    "z" * 100_000,
    "Z\u0301" + "\u0301" * 5000,
    "../../../etc/passwd",
    "/etc/passwd",
    "CON",
    "%s%s%n{0.__class__}",
    "' OR 1=1; DROP TABLE rows; --",
)


def keys(mark: str) -> Iterator[tuple[str, Frame]]:
    """Stored keys that are code, that lie, that nobody can print; their rows lie where no honest key does."""
    evil = b"cos\nsystem\n(S'touch " + mark.encode() + b"'\ntR."
    for name, document in graphs(mark):
        yield f"{name} as data", Frame(key=b"\0" + document)
        if zlib.crc32(name.encode()) % 4 == 0 or "CALL" in name:
            yield f"{name} as code", Frame(key=b"\2" + document)
            yield f"{name} as code, said to be code", Frame(key=b"\2" + document, flags=CODE)
            yield (
                f"{name} as code, said to be signed",
                Frame(key=b"\2" + document, flags=CODE | SIGNED, signature=os.urandom(24)),
            )
    for byte in range(4, 256, 25):
        yield f"key that begins with {byte}", Frame(key=bytes([byte]) + pack("key"))
    for first in (b"\0", b"\1", b"\2", b"\3"):
        yield f"pickle as a key {first!r}", Frame(key=first + evil)
        yield f"no key {first!r}", Frame(key=first)
        yield (
            f"parts as a key {first!r}",
            Frame(key=first + buffers(pack(hook("np.nd", ["|O", [1], "C", None])), b"x" * 8)),
        )
    yield "no key at all", Frame(key=b"")
    for text in TEXTS:
        yield f"text {text[:20]!r}", Frame(key=b"\0" + pack(text), payload=pack({text: [text]}))
        yield f"texts {text[:20]!r}", Frame(key=b"\0" + pack([text, {text: text}]), payload=pack(text))
    for what, value in {
        "deep": [[[[[[[[[[1]]]]]]]]]],
        "long": ["x" * 50] * 2000,
        "a float": float("nan"),
        "none": None,
    }.items():
        yield f"key {what}", Frame(key=b"\0" + pack(value))


def notes(mark: str) -> Iterator[tuple[str, Frame]]:
    """What is said beside a value."""

    def said(document: bytes, layout: int = 1, size: int | None = None) -> bytes:
        return document + struct.pack("<IB3s", len(document) if size is None else size, layout, b"hsm")

    for number, (name, document) in enumerate(graphs(mark)):
        yield f"notes: {name}", Frame(metadata=said(bytes([number % 4]) + document))
    for text in TEXTS:
        yield (
            f"notes and tags {text[:20]!r}",
            Frame(metadata=said(b"\0" + pack({"meta": {text: text}, "tags": [text, text]}))),
        )
    for what, value in {
        "no dict": [1],
        "tags of another kind": {"tags": {"a": 1}},
        "meta of another kind": {"meta": [WORD]},
        "numbers as names": {"meta": {1: 2}},
        "many tags": {"tags": ["t"] * 50_000},
        "deep": {"meta": {"a": {"b": {"c": [{}]}}}},
    }.items():
        yield f"notes: {what}", Frame(metadata=said(b"\0" + pack(value)))
    yield "notes longer than they are", Frame(metadata=said(b"\0\xc0", size=2**32 - 1))
    yield "notes of another layout", Frame(metadata=said(b"\0\xc0", layout=9))
    yield "notes of a megabyte", Frame(metadata=said(b"\0" + pack({"meta": {"a": "x" * 2_000_000}})))
