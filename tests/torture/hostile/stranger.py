"""Somebody else: another home, another key. What he stores by the front door, and rows that he plants below it."""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any

from hashstash import HashStash, serialize
from torture.children import say
from torture.hostile.frames import CODE, SIGNED, Frame
from torture.hostile.plain import f
from torture.hostile.rows import Planted, planted
from torture.places import Place


def chosen(mark: str, stride: int, seed: int) -> list[Planted]:
    """Every *stride*-th of what can be planted, of each family some."""
    return planted(mark)[seed % stride :: stride] if stride > 1 else planted(mark)


def rows_for(stash: HashStash, found: list[Planted]) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Rows under the addresses of keys, which are given too; a row with a key of its own lies under an address of its own."""
    dice = random.Random(5)
    rows, keys = [], []
    own_key = Frame().key
    for number, (family, name, frame) in enumerate(found):
        if frame.key == own_key:
            key = f"{number} {family}: {name}"
            encoded = stash.store.keys.encode(key)
            address, keys_own = encoded.address, encoded.data
            keys.append(key)
            if frame.digest == bytes(16):
                frame = frame.but(digest=address)
            frame = frame.but(key=keys_own)
        else:
            address = dice.randbytes(16)
            frame = frame.but(digest=address)
        rows.append((address, frame.pack()))
    return rows, keys


def signed_rows(stash: HashStash, found: list[Planted], signer: bytes) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Code rows that say *signer* has signed them."""
    rows, keys = [], []
    for number, (family, name, frame) in enumerate(found):
        key = f"forged {number} {family}: {name}"
        encoded = stash.store.keys.encode(key)
        bits = frame.flags | CODE | SIGNED
        frame = frame.but(key=encoded.data, digest=encoded.address, flags=bits, signature=signer + os.urandom(16))
        rows.append((encoded.address, frame.pack()))
        keys.append(key)
    return rows, keys


class Thing:
    """A class of the stranger's, whose module the victim has not."""

    def __reduce__(self) -> Any:
        return exec, ("zq_canary = 1",)


def store_by_the_front_door(stash: HashStash) -> list[Any]:
    """What a stranger's HashStash writes by itself: data for all, code for nobody; the keys."""
    stash["data"] = {"a": [1, 2.5, None, "text"], "b": (1, {2})}
    stash["large"] = list(range(20_000))
    stash["function"] = f
    stash["lambda"] = lambda: exec("zq_canary = 1")
    stash["instance"] = Thing()
    stash["class"] = Thing
    stash["built-in"] = os.system
    stash[f] = "a function as a key"
    stash.put("with notes", 1, tags=["<script>zq_canary()</script>"], meta={"<b>": "\x1b]0;x\x07"})
    stash.run(f, 3)
    stash.stashed_result(f)(4)
    return ["data", "large", "function", "lambda", "instance", "class", "built-in", "with notes"]


def plant(place: str, mark: str, out: str, stride: int, seed: int, signer: str, here: bool = True) -> None:
    """In a child with the stranger's home: fill the stash, and write down keys, rows that could not be planted here, and frames."""
    where = Place.loads(place)
    stash = where.open()
    found = chosen(mark, stride, seed)
    rows, keys = rows_for(stash, found)
    forged = [one for one in found if one.family in ("pickles", "graphs")][:: max(1, 8 // stride)]
    more, others = signed_rows(stash, forged, bytes.fromhex(signer))
    if here:
        keys += store_by_the_front_door(stash)
        stash.store.engine.put_many(rows + more)
    loose = [serialize(value).hex() for value in (f, Thing, os.system, {"a": 1})]
    with open(out, "w") as file:
        json.dump(
            {
                "keys": keys + others,
                "rows": [] if here else [(a.hex(), b.hex()) for a, b in rows + more],
                "loose": loose,
                "frames": [row.hex() for _, row in rows],
            },
            file,
        )
    stash.close()
    say(
        "planted",
        len({(one.family, one.frame.payload, one.frame.key, one.frame.metadata) for one in found}),
        len(rows) + len(more),
    )
    sys.stdout.flush()
