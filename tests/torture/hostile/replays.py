"""Rows that this user did sign, moved by a stranger who cannot sign: under another key, into another namespace or section, and changed."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from hashstash import HashStash
from hashstash.errors import StashError
from hashstash.open import function_stashes
from torture.children import say
from torture.hostile.frames import CODE, SIGNED
from torture.hostile.plain import f
from torture.places import Place

HEADER = 88


def sealed(body: bytes) -> bytes:
    """A row with a checksum that fits."""
    return body + struct.pack("<I", zlib.crc32(body))


def changed(row: bytes, start: int, part: bytes) -> bytes:
    return sealed(row[:start] + part + row[start + len(part) : -4])


class Book:
    """What its owner stored, by stash and key."""

    def __init__(self, place: Place) -> None:
        self.stashes = {
            name: place.open(dbname=name, append_mode=True) for name in ("one", "two", "one/inner", "three")
        }
        self.stored: dict[tuple[str, str], list[Any]] = {}
        for name, stash in self.stashes.items():
            for key in ("model", "other"):
                for version in (1, 2):
                    value = f"{name} {key} {version}"
                    stash[key] = _Code(value)
                    self.stored.setdefault((name, key), []).append(value)
            stash.run(f, 3)

    def row(self, name: str, key: str, section: str = "") -> bytes:
        stash = self.stashes[name]
        engine = stash.store.engine
        if section:
            return next(row for _, row in engine.section(section).rows() if stash.store.keys.encode(key).data in row)
        return bytes(engine.get(stash.store.keys.address(key)))

    def put(self, name: str, key: str, row: bytes) -> None:
        stash = self.stashes[name]
        stash.store.engine.put(stash.store.keys.address(key), row)

    def address(self, key: str) -> bytes:
        return bytes(self.stashes["one"].store.keys.address(key))


class _Code:
    """A value that needs code to come back, and tells what it is."""

    def __init__(self, text: str) -> None:
        self.text = text


def moves(book: Book) -> Iterator[tuple[str, str, str, bytes]]:
    """What, and the row that is put for which stash and key."""
    row = book.row("one", "model")
    other = book.address("other")
    yield "under another key", "one", "other", row
    yield "under another key, with its digest", "one", "other", changed(row, 72, other)
    yield "in another namespace", "two", "model", row
    yield "in a namespace below", "one/inner", "model", row
    yield "from a namespace below", "one", "model", book.row("one/inner", "model")
    key, another = (book.stashes["one"].store.keys.encode(name).data for name in ("model", "other"))
    yield "with another key's text", "one", "other", sealed(changed(row, 72, other)[:-4].replace(key, another))
    for start, part, what in (
        (4, bytes([row[4] & ~CODE]), "said to be data"),
        (4, bytes([row[4] & ~SIGNED]), "said to be unsigned"),
        (4, bytes([row[4] | 32]), "said to be loose"),
        (8, bytes(8), "with another write id"),
        (16, struct.pack("<I", 9), "with another version"),
        (48, struct.pack("<q", 1), "with another time"),
        (56, struct.pack("<q", 2**62), "with another end"),
        (64, struct.pack("<d", 1e9), "with other seconds"),
        (40, struct.pack("<Q", 5), "with another size"),
        (HEADER, b"pickle   ", "with another label"),
    ):
        yield what, "one", "model", changed(row, start, part)
    size = len(row)
    for position in range(HEADER, size - 4, max(1, size // 60)):
        yield f"with byte {position} changed", "one", "model", changed(row, position, bytes([row[position] ^ 1]))
    yield "without its signature", "one", "model", sealed(changed(row, 4, bytes([row[4] & ~SIGNED]))[: size - 28])
    yield "signed by nobody", "one", "model", changed(row, size - 28, bytes(24))
    yield "with the tag of another row", "one", "model", changed(row, size - 20, book.row("one", "other")[-20:-4])
    yield from ((f"a result {number}", "one", "model", row) for number, row in enumerate(_rows_of_functions(book)))


def _rows_of_functions(book: Book) -> Iterator[bytes]:
    """The rows of the functions' stashes below."""
    for config in function_stashes(book.stashes["one"].config):
        for _, row in HashStash.from_config(config).store.engine.rows():
            yield bytes(row)


def replay(place: str) -> None:
    """In the owner's own child: each move, and then every way of reading; what came back that was never stored there."""
    warnings.simplefilter("ignore")
    book = Book(Place.loads(place))
    failures: list[str] = []
    tried = 0
    for what, name, key, row in list(moves(book)):
        honest = book.row(name, key)
        book.put(name, key, row)
        stash = book.stashes[name]
        ways: dict[str, Callable[[], Any]] = {
            "[]": lambda stash=stash, key=key: stash[key],
            "get": lambda stash=stash, key=key: stash.get(key),
            "get_many": lambda stash=stash, key=key: stash.get_many([key])[0],
            "at": lambda stash=stash, key=key: stash.at(key, -1),
            "items": lambda stash=stash, key=key: dict(stash.items()).get(key),
            "decode_value": lambda stash=stash, row=row: stash.decode_value(row),
        }
        for way, action in ways.items():
            tried += 1
            try:
                value = action()
            except (StashError, KeyError):
                continue
            if isinstance(value, _Code) and value.text not in book.stored[name, key] and way != "decode_value":
                failures.append(f"{what}: {way} gives {value.text!r} as {key!r} of {name!r}")
            elif (
                isinstance(value, _Code)
                and row != honest
                and way != "decode_value"
                and value.text != book.stored[name, key][-1]
            ):
                failures.append(f"{what}: {way} gives the old {value.text!r}")
        book.put(name, key, honest)
        if not isinstance(stash[key], _Code):
            failures.append(f"{what}: the honest row does not come back")
    for (name, key), values in book.stored.items():
        if book.stashes[name][key].text != values[-1]:
            failures.append(f"the end: {name} {key} is not what was stored")
    say("replayed", tried, failures)
