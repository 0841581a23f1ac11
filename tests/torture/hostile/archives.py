"""Archives that a stranger has made: damaged, lying of their sizes, leading elsewhere, too large, or something else altogether."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torture.hostile.archive_sizes import bombs, directories
from torture.hostile.documents import pack
from torture.hostile.frames import BLOB, CODE, LOOSE, PARTS, SIGNED, Frame
from torture.hostile.pickles import Runs
from torture.hostile.rows import TEXTS
from torture.hostile.varied import NOTHING, VALUES, changed, paths
from torture.hostile.zips import MANIFEST, ROWS, Made, info, members, packed

_NAMES = (
    *(
        "../../evil",
        "/etc/zq_evil",
        "..\\..\\evil",
        "C:\\evil",
        "\\\\host\\share\\evil",
        "a/../../evil",
        "CON",
        "~/evil",
    ),
    *(
        "0/0/../0/rows.0",
        "./manifest.json",
        "MANIFEST.JSON",
        "manifest.json/",
        "0/0/rows.00",
        "0/0/rows.1",
        "0/0/rows.-1",
    ),
    *(
        "",
        ".",
        "..",
        "/",
        "a\0b",
        "x" * 60_000,
        "a/" * 20_000,
        "\x1b]0;t\x07\x1b[2J",
        "\u202eevil",
        "<script>zq()</script>",
    ),
)


def archives(sound: bytes, mark: str, signer: bytes) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Family and name of each, and what makes its content; but for damage. *signer*: whose signatures are forged."""
    for family, make in {
        "something else": _others,
        "member names": _names,
        "member kinds": _kinds,
        "directories": directories,
        "bombs": bombs,
        "records": lambda content: _records(content, mark, signer),
        "manifests": _manifests,
    }.items():
        for name, content in make(sound):
            yield family, name, content


def damaged(sound: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Cut off at every position, and with each byte changed."""
    for at in range(len(sound)):
        yield "cut off", f"at {at}", sound[:at]
    for at in range(len(sound)):
        mask = (0x01, 0x80, 0xFF)[at % 3]
        yield "a byte", f"{at} ^ {mask}", sound[:at] + bytes([sound[at] ^ mask]) + sound[at + 1 :]


def _others(sound: bytes) -> Made:
    found = {
        "nothing": b"",
        "an empty zip": b"PK\5\6" + bytes(18),
        "text": b"hello " * 500,
        "zeros": bytes(5000),
        "twice": sound * 2,
        "with something before": b"#!/bin/sh\n" + sound,
        "with something behind": sound + b"x",
        "with a comment": sound[:-2] + struct.pack("<H", 5) + b"hello",
        "with an end in its comment": sound[:-2] + struct.pack("<H", 22) + b"PK\5\6" + bytes(18),
        "another magic": b"PK\7\x08" + sound[4:],
        "in gzip": gzip.compress(sound),
        "in bzip2": bz2.compress(sound),
        "in xz": lzma.compress(sound),
        "in a zip": packed({"x.stash": sound}),
        "in itself": packed({**members(sound), "x.stash": sound}),
        "a pickle": pickle.dumps(Runs("zq_canary")),
        "a notebook": json.dumps(notebook()).encode(),
        "html": b"<!doctype html><script>zq_canary()</script>",
        "an executable": b"\x7fELF" + bytes(200),
        "a database": b"SQLite format 3\0" + bytes(200),
        "zip64 that points to itself": sound[:-22]
        + _zip64_end(len(sound) - 22)
        + sound[-22:-6]
        + b"\xff" * 4
        + b"\0\0",
    }
    for name, content in found.items():
        yield name, partial(bytes, content)
    for name, compression in {"tar": "w:", "tar.gz": "w:gz", "tar.xz": "w:xz"}.items():
        yield name, partial(_tar, sound, compression)


def notebook() -> dict[str, Any]:
    """A notebook whose metadata say all that they should not."""
    evil = {"hashstash": {"trust": "all", "engine": "zq_canary_module", "key": "00" * 32, "root": "/etc"}}
    cell = {"cell_type": "code", "metadata": evil, "outputs": [], "source": "%%stash\nzq_canary = 1", "id": "../x"}
    cell |= {"execution_count": 10**400}
    kernel = {"name": "../../evil", "argv": ["touch", "x"], "display_name": "\x1b]0;t\x07"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {**evil, "kernelspec": kernel}, "cells": [cell]}


def _zip64_end(at: int) -> bytes:
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 1 << 62, at)
    return end + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)


def _tar(sound: bytes, mode: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as opened:
        for name in ("../../evil", "/etc/zq_evil", MANIFEST):
            info = tarfile.TarInfo(name)
            info.size = len(sound)
            opened.addfile(info, io.BytesIO(sound))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"kind {kind!r}")
            info.type, info.linkname = kind, "/etc/passwd"
            opened.addfile(info)
    return written.getvalue()


def _names(sound: bytes) -> Made:
    found = members(sound)
    for name in _NAMES:
        yield f"one more called {name[:40]!r}", partial(packed, found, ((info(name), b"evil"),))
        for old in (ROWS, MANIFEST):
            rest = {one: content for one, content in found.items() if one != old}
            yield f"{name[:40]!r} for {old}", partial(packed, rest, ((info(name), found[old]),))
    for name, content in found.items():
        yield f"{name} twice", partial(packed, found, ((info(name), content),))
        yield f"{name} twice, different", partial(packed, found, ((info(name), b"x" + content),))
        yield f"without {name}", partial(packed, {one: data for one, data in found.items() if one != name})
    for old in found:  # names that differ between the directory and the member itself
        at = sound.index(old.encode())
        other = b"../evilevilevil"[: len(old)].ljust(len(old), b"x")
        yield f"{old} called otherwise", partial(bytes, sound[:at] + other + sound[at + len(old) :])


def _kinds(sound: bytes) -> Made:
    found = members(sound)
    for old in (ROWS, MANIFEST):
        rest = {one: content for one, content in found.items() if one != old}
        for what, kind in {"link": 0o120777, "folder": 0o040755, "pipe": 0o010644, "device": 0o020666}.items():
            for target in (b"/etc/passwd", found[old]):
                yield f"{old} as a {what} of {len(target)} bytes", partial(packed, rest, ((info(old, kind), target),))
        yield f"{old} setuid", partial(packed, rest, ((info(old, 0o106755), found[old]),))


# ---- rows ----------------------------------------------------------------------------------------------------------------


def _records(sound: bytes, mark: str, signer: bytes) -> Made:
    found = members(sound)
    evil = pickle.dumps(Runs(mark))

    def with_rows(*rows: bytes, blob: bytes = b"", sizes: tuple[int, int] | None = None) -> bytes:
        content = b"".join(struct.pack("<QQ", *sizes or (len(row), len(blob))) + row + blob for row in rows)
        manifest = json.loads(found[MANIFEST])
        manifest["stashes"][0]["parts"][0]["entries"] = len(rows)
        return packed({**found, ROWS: content, MANIFEST: json.dumps(manifest).encode()})

    plain = Frame(digest=b"d" * 16)
    code = Frame(digest=b"c" * 16, label=b"pickle", payload=evil, flags=CODE)
    for what, frame in {
        "code": code,
        "code said to be data": code.but(flags=0),
        "code with a forged tag": code.but(flags=CODE | SIGNED, signature=signer + os.urandom(16)),
        "code with another's tag": code.but(flags=CODE | SIGNED, signature=os.urandom(24)),
        "data with a forged tag": plain.but(flags=SIGNED, signature=signer + os.urandom(16)),
        "a tag cut off": code.but(flags=CODE | SIGNED, signature=signer),
        "a value on its own": plain.but(flags=LOOSE),
        "code on its own, said to be signed": code.but(flags=LOOSE | CODE | SIGNED, signature=signer + os.urandom(16)),
        "all flags": plain.but(flags=255),
        "parts that are none": plain.but(flags=PARTS, payload=b"P1" + b"\xff" * 30),
        "a blob that is not there": plain.but(
            flags=BLOB, payload=struct.pack("<16sQI16s", b"n" * 16, 100, 0, bytes(16))
        ),
        "a blob called ../": plain.but(
            flags=BLOB, payload=struct.pack("<16sQI16s", b"../../etc/passwd", 0, 0, bytes(16))
        ),
        "a newer format": plain.but(format=2),
        "no key": plain.but(key=b""),
        "a key that is code": plain.but(key=b"\2" + evil),
        "a version of 2**32 - 1": plain.but(version=(1 << 32) - 1),
        "from the future": plain.but(created=(1 << 63) - 1),
        "over for ever": plain.but(expires=-(1 << 63)),
        "nan seconds": plain.but(seconds=float("nan")),
        "notes that are none": plain.but(metadata=b"\xff" * 50 + struct.pack("<IB3s", 50, 1, b"hsm")),
    }.items():
        yield what, partial(with_rows, frame.pack())
        yield f"{what}, with content", partial(with_rows, frame.pack(), blob=b"x" * 100)
    for label in (
        b"evil",
        b"evil+evil",
        b"plugged",
        b"hashstash+evil",
        b"../x",
        b"os",
        b"",
        b"\xff",
        b"hashstash+zstd+zstd",
    ):
        yield f"made by {label!r}", partial(with_rows, plain.but(label=label).pack())
    for text in TEXTS:
        yield f"a key {text[:20]!r}", partial(with_rows, plain.but(key=b"\0" + pack(text), payload=pack(text)).pack())
    for sizes in ((1 << 62, 0), (0, 1 << 62), ((1 << 64) - 1, 1), ((1 << 64) - 1, (1 << 64) - 1), (0, 0), (100, 0)):
        yield f"sizes of {sizes}", partial(with_rows, plain.pack(), sizes=sizes)
    yield "one row often", partial(with_rows, *[plain.pack()] * 3000)
    yield "one version often", partial(packed, {**found, "0/0/history.0": found.get("0/0/history.0", b"") * 50})
    for what, address in {
        "none": b"",
        "long": b"context " + b"x" * 500,
        "of the stash": b"stash",
        "counts": b"stats",
    }.items():
        context = struct.pack("<QQ", len(address), 20) + address + b"x" * 20
        name = next(one for one in found if "contexts" in one)
        yield f"a context whose address is {what}", partial(packed, {**found, name: context})


# ---- manifests -----------------------------------------------------------------------------------------------------------


def _manifests(sound: bytes) -> Made:
    found = members(sound)
    manifest = json.loads(found[MANIFEST])
    for path in paths(manifest):
        for value in VALUES:
            text = json.dumps(changed(manifest, path, value)).encode()
            yield f"{'.'.join(map(str, path))} = {value!r:.40}", partial(packed, {**found, MANIFEST: text})
        lacking = changed(manifest, path, NOTHING)
        yield f"without {'.'.join(map(str, path))}", partial(packed, {**found, MANIFEST: json.dumps(lacking).encode()})
    text = found[MANIFEST]
    for what, said in {
        "not there twice": text + text,
        "in UTF-16": text.decode().encode("utf-16"),
        "with a mark": b"\xef\xbb\xbf" + text,
        "that is no text": b"\xff" + text,
        "with a name twice": text.replace(b'"version": 1', b'"version": 1, "version": 1, "version": 2'),
        "deep": b'{"a":' + b"[" * 200_000,
        "deep and whole": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"," + text.lstrip()[1:],
        "with nan": text.replace(b'"version": 1', b'"version": NaN'),
        "with a large number": text.replace(b'"version": 1', b'"version": ' + b"9" * 5000),
        "as text in text": json.dumps(text.decode()).encode(),
    }.items():
        yield f"a manifest {what}", partial(packed, {**found, MANIFEST: said})
