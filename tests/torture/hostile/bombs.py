"""Payloads that inflate to 1 GiB, by each compressor: refused, with next to no memory."""

from __future__ import annotations

import importlib.util
import os
import struct
import zlib
from typing import Any

from hashstash import HashStash
from hashstash.errors import MissingDependency, StashError
from hashstash.registry import COMPRESSORS
from torture.children import TESTS, say
from torture.hostile.frames import B64, CODE, PARTS, Frame
from torture.places import Place

GIB = 1 << 30
MOST = 64 << 20
CLAIMS = {"the truth": GIB, "little": 1000, "what is allowed": 60 << 20, "too much": 1 << 62}


def _bombs() -> dict[str, Any]:
    """The ones of the compressors' own tests."""
    spec = importlib.util.spec_from_file_location(
        "bombs_of_compressors", os.path.join(TESTS, "compressors", "bombs.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.BOMBS)


def _keys(compressor: str) -> list[str]:
    return [f"{compressor} {claim}{more}" for claim in CLAIMS for more in ("", " in parts", " in text", " as code")]


def plant(place: str) -> None:
    """In a child with the stranger's home: each bomb with each claim."""
    stash = Place.loads(place).open()
    stash["honest"] = "the same words " * 1000
    for compressor, make in _bombs().items():
        bomb = make()
        twice = zlib.compress(bomb)
        for claim, size in CLAIMS.items():
            for more, flags in {"": 0, " in parts": PARTS, " in text": B64, " as code": CODE}.items():
                _put(
                    stash,
                    f"{compressor} {claim}{more}",
                    Frame(label=f"hashstash+{compressor}".encode(), payload=bomb, flags=flags),
                    size,
                )
        _put(stash, f"{compressor} twice", Frame(label=b"hashstash+zlib", payload=twice), len(bomb))
    for what, document in {
        "list": b"\xdd" + struct.pack(">I", 1 << 30),
        "map": b"\xdf" + struct.pack(">I", 1 << 30),
        "text": b"\xdb" + struct.pack(">I", (1 << 32) - 1) + b"x" * 100,
        "bytes": b"\xc6" + struct.pack(">I", (1 << 32) - 1) + b"x" * 100,
        "nested": b"\x91" * 5_000_000,
    }.items():
        _put(stash, f"zlib of {what}", Frame(label=b"hashstash+zlib", payload=zlib.compress(document)), len(document))
    stash.close()
    say("planted")


def _put(stash: HashStash, name: str, frame: Frame, raw: int) -> None:
    key = stash.store.keys.encode(name)
    stash.store.engine.put(key.address, frame.but(key=key.data, digest=key.address, sizes={"raw": raw}).pack())


def _peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def meet(place: str) -> None:
    """In a child with the victim's home: read each; the most memory that one of them took."""
    stash = Place.loads(place).open()
    assert stash["honest"] == "the same words " * 1000
    names = [f"zlib of {what}" for what in ("list", "map", "text", "bytes", "nested")]
    for compressor in _bombs():
        try:
            COMPRESSORS.load(compressor)
        except MissingDependency:
            continue
        names += [*_keys(compressor), f"{compressor} twice"]
    wrong, most = [], 0
    for name in names:
        _forget_peak()
        before = _peak()
        try:
            value = stash[name]
        except StashError:
            pass
        except Exception as error:
            wrong.append(f"{name} raises {error!r:.200}")
        else:
            wrong.append(f"{name} gives {type(value).__name__}")
        extra = _peak() - before
        most = max(most, extra)
        if extra > MOST:
            wrong.append(f"{name} takes {extra >> 20} MB")
    say("met", len(names), wrong, most)
