"""MessagePack in plain Python, for machines without the packages ``msgpack`` and ``msgspec``.

:func:`pack` writes byte for byte what ``msgpack.packb(strict_types=True)`` writes: every number and string in its
shortest form. :func:`unpack` reads it without recursion, and never allocates more than the bytes that are really
there can fill. Extension types are the caller's: *default* makes them of what MessagePack lacks, *ext_hook* undoes
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Buffer

U8, U16, U32, U64 = Struct(">BB"), Struct(">BH"), Struct(">BI"), Struct(">BQ")
I8, I16, I32, I64 = Struct(">Bb"), Struct(">Bh"), Struct(">Bi"), Struct(">Bq")
F64 = Struct(">Bd")
EXT8, EXT16, EXT32 = Struct(">BBb"), Struct(">BHb"), Struct(">BIb")
FIXEXT = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}
CONSTANTS = {None: b"\xc0", False: b"\xc2", True: b"\xc3"}
SIZE_LIMIT = 2**32
NEVER_USED = 0xC1
MAX_DEPTH = 1000
"""How deep lists and maps may be nested in what is read: a value of that depth costs far more than its bytes."""

Default = Callable[[Any], tuple[int, bytes]]
ExtHook = Callable[[int, memoryview], Any]


def pack(value: Any, default: Default) -> bytes:
    """*value* as MessagePack; *default* makes an extension code and payload of each part that MessagePack lacks."""
    out: list[bytes] = []
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        for part in stack[-1]:
            kind = type(part)
            if kind is str:
                out.append(_pack_str(part, default))
            elif kind is int:
                out.append(_pack_int(part, default))
            elif kind is float:
                out.append(F64.pack(0xCB, part))
            elif part is None or kind is bool:
                out.append(CONSTANTS[part])
            elif kind is dict:
                out.append(_header(len(part), 0x80, 0xDE))
                stack.append(chain.from_iterable(part.items()))
                break
            elif kind is list:
                out.append(_header(len(part), 0x90, 0xDC))
                stack.append(iter(part))
                break
            elif kind is bytes:
                out.append(_length(len(part), 0xC4))
                out.append(part)
            else:
                out.append(pack_ext(*default(part)))
        else:
            stack.pop()
    return b"".join(out)


def pack_ext(code: int, payload: bytes) -> bytes:
    """One extension value."""
    size = len(payload)
    if size in FIXEXT:
        return FIXEXT[size] + code.to_bytes(1, "big", signed=True) + payload
    if size < 1 << 8:
        return EXT8.pack(0xC7, size, code) + payload
    if size < 1 << 16:
        return EXT16.pack(0xC8, size, code) + payload
    if size >= SIZE_LIMIT:
        raise OverflowError(f"{size} bytes are more than MessagePack can count")
    return EXT32.pack(0xC9, size, code) + payload


def _pack_str(text: str, default: Default) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return pack_ext(*default(text))
    size = len(data)
    return (bytes((0xA0 | size,)) if size < 32 else _length(size, 0xD9)) + data


def _pack_int(number: int, default: Default) -> bytes:
    if number >= 0:
        if number < 0x80:
            return number.to_bytes(1, "big")
        return _pack_positive(number, default)
    if number >= -0x20:
        return number.to_bytes(1, "big", signed=True)
    if number >= -0x80:
        return I8.pack(0xD0, number)
    if number >= -0x8000:
        return I16.pack(0xD1, number)
    if number >= -0x80000000:
        return I32.pack(0xD2, number)
    if number >= -(1 << 63):
        return I64.pack(0xD3, number)
    return pack_ext(*default(number))


def _pack_positive(number: int, default: Default) -> bytes:
    if number < 1 << 8:
        return U8.pack(0xCC, number)
    if number < 1 << 16:
        return U16.pack(0xCD, number)
    if number < 1 << 32:
        return U32.pack(0xCE, number)
    if number < 1 << 64:
        return U64.pack(0xCF, number)
    return pack_ext(*default(number))


def _header(count: int, short: int, long: int) -> bytes:
    """The head of an array or a map."""
    if count < 16:
        return bytes((short | count,))
    if count < 1 << 16:
        return U16.pack(long, count)
    return U32.pack(long + 1, _countable(count))


def _length(size: int, first: int) -> bytes:
    """The head of a string or of bytes, with one, two or four bytes of length."""
    if size < 1 << 8:
        return U8.pack(first, size)
    if size < 1 << 16:
        return U16.pack(first + 1, size)
    return U32.pack(first + 2, _countable(size))


def _countable(size: int) -> int:
    if size >= SIZE_LIMIT:
        raise OverflowError(f"{size} items or bytes are more than MessagePack can count")
    return size


def unpack(document: Buffer, ext_hook: ExtHook) -> Any:
    """The value of a whole *document*; anything that is not exactly one MessagePack value is a ``CorruptEntry``."""
    reader = _Reader(memoryview(document), ext_hook)
    try:
        value = reader.read_value()
    except (IndexError, UnicodeDecodeError, TypeError) as error:
        raise CorruptEntry(
            f"a stored value is malformed near byte {reader.position} ({error}); delete the entry"
        ) from error
    if reader.position != len(document):
        raise CorruptEntry(f"a stored value ends at byte {reader.position} of {len(document)}; delete the entry")
    return value


class _Open:
    """A list or map whose items are still being read."""

    __slots__ = ("is_map", "items", "left")

    def __init__(self, count: int, *, is_map: bool) -> None:
        self.items: list[Any] = []
        self.left = count
        self.is_map = is_map

    def close(self) -> Any:
        if not self.is_map:
            return self.items
        iterator = iter(self.items)
        return dict(zip(iterator, iterator, strict=True))


class _Reader:
    def __init__(self, data: memoryview, ext_hook: ExtHook) -> None:
        self.data = data
        self.position = 0
        self.ext_hook = ext_hook

    def read_value(self) -> Any:
        stack: list[_Open] = []
        while True:
            value = self.read_head()
            if type(value) is _Open:
                if value.left:
                    stack.append(value)
                    if len(stack) > MAX_DEPTH:
                        raise IndexError("it is nested too deep")
                    continue
                value = value.close()
            while stack:
                top = stack[-1]
                top.items.append(value)
                top.left -= 1
                if top.left:
                    break
                value = stack.pop().close()
            else:
                return value

    def read_head(self) -> Any:
        """The next value, or the opened container if it is one."""
        head = self.data[self.position]
        self.position += 1
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head < 0x90:
            return self.open(head & 0x0F, is_map=True)
        if head < 0xA0:
            return self.open(head & 0x0F, is_map=False)
        if head < 0xC0:
            return str(self.take(head & 0x1F), "utf-8")
        return self.read_long(head)

    def read_long(self, head: int) -> Any:
        """A value whose first byte says its type, but neither its size nor its content."""
        if head in SINGLE:
            return SINGLE[head]
        if head in NUMBERS:
            layout = NUMBERS[head]
            return layout.unpack(self.take(layout.size))[0]
        if head == NEVER_USED:
            raise IndexError("a byte that MessagePack does not use")
        if head <= 0xC6:
            return bytes(self.take(self.count(1 << (head - 0xC4))))
        if head <= 0xC9:
            return self.read_ext(self.count(1 << (head - 0xC7)))
        if head <= 0xD8:
            return self.read_ext(1 << (head - 0xD4))
        if head <= 0xDB:
            return str(self.take(self.count(1 << (head - 0xD9))), "utf-8")
        return self.open(self.count(2 << (head & 1)), is_map=head >= 0xDE)

    def read_ext(self, size: int) -> Any:
        code = int.from_bytes(self.take(1), "big", signed=True)
        return self.ext_hook(code, self.take(size))

    def open(self, count: int, *, is_map: bool) -> _Open:
        count = count * 2 if is_map else count
        if count > len(self.data) - self.position:  # each item takes at least one byte
            raise IndexError("it ends too early")
        return _Open(count, is_map=is_map)

    def count(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def take(self, size: int) -> memoryview:
        start = self.position
        self.position = start + size
        if self.position > len(self.data):
            raise IndexError("it ends too early")
        return self.data[start : self.position]


SINGLE = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
