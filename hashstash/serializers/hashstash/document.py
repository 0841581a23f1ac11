"""Plain documents: data as MessagePack, with extension types for what MessagePack lacks.

The format, frozen:

* A plain document is the MessagePack of the value itself, each number and string in its shortest form. ``list`` and
  ``dict`` are arrays and maps; exact types only. A document whose first byte is ``0xC1``, which MessagePack never
  uses, is a graph document (see ``graph.py``).
* Extension code 0 is any other type: the payload is the array ``[tag, meta, *buffers]``, as the type's hook made them.
* The codes of :data:`CODES` stand for frequent tags: the payload is ``meta`` alone.
* Extension code 1 is a place in ``Encoded.buffers``: the payload is its number. It occurs only among the buffers of
  code 0; buffers shorter than :data:`OUT_OF_BAND` stand there as bytes.
* No map key is an array or a map. The codes from 64 on, and the negative ones, are not used.

Writing looks at the types first, level by level and in C, because no encoder is strict enough: ``msgspec`` writes
subclasses as their bases, ``msgpack`` writes ``bytearray`` as ``bytes``. What the look finds decides who writes:
``msgspec`` if all is JSON-like, ``msgpack`` with a hook if not, our own writer for the few types that ``msgpack``
would change, and always where these packages are not installed. All three write the same bytes.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hashstash.codec import Buffer, Encoded
from hashstash.errors import CorruptEntry, NewerFormat, UnsupportedValue
from hashstash.serializers.hashstash import msgpack_plain
from hashstash.serializers.hashstash.bounds import frozenset_of, set_of
from hashstash.serializers.hashstash.scan import JSON_LIKE, LEAVES, MAX_DEPTH, find_path, scan
from hashstash.serializers.hashstash.types import NeedsGraph, find_hook, restore
from hashstash.unfolded import is_folded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

try:
    import msgpack
except ImportError:
    msgpack = None
try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]

__all__ = ["GRAPH_BYTE", "NeedsGraph", "find_path", "plain_python", "read", "read_fast", "write", "write_fast"]

GRAPH_BYTE = 0xC1
GENERIC, BUFFER = 0, 1
CODES = {
    "tuple": 2,
    "set": 3,
    "frozenset": 4,
    "int": 5,
    "str": 6,
    "complex": 7,
    "bytearray": 8,
    "memoryview": 9,
    "datetime": 10,
    "date": 11,
    "time": 12,
    "timedelta": 13,
    "timezone": 14,
    "decimal": 15,
    "uuid": 16,
}
TAGS = {code: tag for tag, code in CODES.items()}
SEQUENCES: dict[type, int] = {tuple: CODES["tuple"], set: CODES["set"], frozenset: CODES["frozenset"]}
SEQUENCE_TYPES: dict[int, Callable[[list[Any]], Collection[Any]]] = {
    CODES["tuple"]: tuple,
    CODES["set"]: set_of,
    CODES["frozenset"]: frozenset_of,
}

OUT_OF_BAND = 4096
"""Bytes from which on a buffer stays outside of the document."""
MAX_NESTING = 64
"""How deep extension values may be nested."""
MANY_EXTENSIONS = 20_000
"""Extension values in a document before it is found out whether they are the same ones, nested in each other."""
TRAPS = frozenset({bytearray, memoryview} | ({msgpack.ExtType, msgpack.Timestamp} if msgpack else set()))
"""Types that ``msgpack`` writes as something else, without asking the hook."""
BEYOND_MSGSPEC = (OverflowError, UnicodeEncodeError, *((msgspec.EncodeError,) if msgspec else ()))
"""What ``msgspec`` raises for an integer beyond 64 bits, for half of a surrogate pair, and for text or bytes of 4 GiB."""

_TUPLE = CODES["tuple"]
_CALL_PARTS = 2

MOST_FAST = 200
"""How many parts a value may have on each level to be written by :func:`write_fast`; more cost more than the way there."""

_plain_only = bool(os.environ.get("HASHSTASH_PLAIN_MSGPACK"))


@contextmanager
def plain_python() -> Iterator[None]:
    """Within the block, read and write without ``msgpack`` and ``msgspec``, in all threads: for tests."""
    global _plain_only
    before, _plain_only = _plain_only, True
    try:
        yield
    finally:
        _plain_only = before


def write(value: Any) -> Encoded:
    """*value* as a plain document; :class:`NeedsGraph` if it is more than data, too deep, or holds itself."""
    kind = type(value)
    try:
        kinds = {kind} if kind in LEAVES else scan(value)
        if kinds <= JSON_LIKE and msgspec and not _plain_only:
            try:
                return Encoded(_encode_json_like(value))
            except BEYOND_MSGSPEC:
                pass
        return _Writer().write(value, kinds)
    except NeedsGraph as error:
        error.locate = lambda culprit: find_path(value, culprit)
        raise
    except (OverflowError, ValueError) as error:
        raise UnsupportedValue(f"the value cannot be written as one document: {error}; store it in parts") from error


def write_fast(value: Any) -> bytes | None:
    """The document of a small *value*, JSON-like or the arguments of a call, in half of the time.

    ``None`` for all that :func:`write` must look at.
    """
    if not msgspec or _plain_only:
        return None
    kind = type(value)
    try:
        if kind is tuple and len(value) == _CALL_PARTS:
            return _write_call_fast(*value)
        if kind not in LEAVES:
            if kind is not dict and kind is not list:
                return None
            # A level without referents ends it: numbers and strings have none, and neither have empty containers.
            level, depth = gc.get_referents(value), 1
            while level:
                if len(level) > MOST_FAST or depth >= MAX_DEPTH or not JSON_LIKE.issuperset(map(type, level)):
                    return None
                level, depth = gc.get_referents(*level), depth + 1
        return _encode_json_like(value)
    except (*BEYOND_MSGSPEC, TypeError):  # the last for a class that cannot be hashed
        return None


def _write_call_fast(args: Any, kwargs: Any) -> bytes | None:
    """The document of ``(args, kwargs)`` if these are few leaves in a tuple and in a dict."""
    if type(args) is not tuple or type(kwargs) is not dict or len(args) + len(kwargs) > MOST_FAST:
        return None
    for leaves in (args, kwargs, kwargs.values()):
        if not LEAVES.issuperset(map(type, leaves)):
            return None
    parts = [msgspec.msgpack.Ext(_TUPLE, _encode_json_like(args)), kwargs]
    return _encode_json_like(msgspec.msgpack.Ext(_TUPLE, _encode_json_like(parts)))


class _Place(int):
    """The number of an out-of-band buffer, on its way into a document."""

    __slots__ = ()


class _Writer:
    """Writes one document."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self._nesting = 0
        self._root: Any = None
        self._extensions = 0
        self._packers: list[Any] = []
        self._free_packer = 0
        self._in_python = _plain_only or not msgpack

    def write(self, value: Any, kinds: set[type]) -> Encoded:
        """The whole *value*, in which a scan has found *kinds*."""
        self._root = value
        try:
            return Encoded(self.pack_scanned(value, kinds), self.buffers)
        finally:
            self._packers.clear()  # they hold this writer, and a quarter of a megabyte each

    def pack(self, value: Any) -> bytes:
        document = write_fast(value)
        return self.pack_scanned(value, scan(value)) if document is None else document

    def pack_scanned(self, value: Any, kinds: set[type]) -> bytes:
        if kinds.isdisjoint(TRAPS):
            return self._encode(value)
        outer, self._in_python = self._in_python, True
        try:
            return self._encode(value)
        finally:
            self._in_python = outer

    def _encode(self, value: Any) -> bytes:
        if self._in_python:
            return self._encode_plain(value)
        written, depth = len(self.buffers), self._free_packer
        # Making a packer takes longer than most of what it packs, and each packs one value at a time.
        if depth == len(self._packers):
            self._packers.append(
                msgpack.Packer(strict_types=True, use_bin_type=True, autoreset=True, default=self._extension_in_c)
            )
        self._free_packer = depth + 1
        try:
            packed: bytes = self._packers[depth].pack(value)
        except UnicodeEncodeError:
            del self.buffers[written:], self._packers[depth:]
        else:
            return packed
        finally:
            self._free_packer = depth
        return self._encode_plain(value)

    def _encode_plain(self, value: Any) -> bytes:
        return msgpack_plain.pack(value, self._extension)

    def _extension_in_c(self, value: Any) -> Any:
        code = SEQUENCES.get(type(value))
        if code is not None and msgspec and self._nesting < MAX_NESTING and LEAVES.issuperset(map(type, value)):
            try:  # right here: most sequences hold only leaves, and each call more takes as long as writing one
                return tuple.__new__(msgpack.ExtType, (code, _encode_json_like(value)))
            except BEYOND_MSGSPEC:
                pass
        return tuple.__new__(msgpack.ExtType, self._extension(value))  # without the checks of ExtType.__new__

    def _extension(self, value: Any) -> tuple[int, bytes]:
        """The extension code and payload of what MessagePack has no type for."""
        kind = type(value)
        if kind is _Place:
            return BUFFER, self._encode(int(value))
        self._nesting += 1
        self._extensions += 1
        if self._extensions == MANY_EXTENSIONS and is_folded(self._root):
            raise NeedsGraph(self._root, "holds the same parts over and over")
        if self._nesting > MAX_NESTING:
            raise NeedsGraph(value, f"holds itself, or is nested more than {MAX_NESTING} deep")
        code = SEQUENCES.get(kind)
        packed = (code, self._encode(list(value))) if code is not None else self._pack_by_hook(value, kind)
        self._nesting -= 1
        return packed

    def _pack_by_hook(self, value: Any, kind: type) -> tuple[int, bytes]:
        hook = find_hook(kind)
        if hook is None:
            raise NeedsGraph(value, f"is a {kind.__qualname__} of {kind.__module__}, which is more than data")
        meta, buffers = hook.pack(value)
        if hook.tag in CODES:
            return CODES[hook.tag], self.pack(meta)
        return GENERIC, self.pack([hook.tag, meta, *map(self._place, buffers)])

    def _place(self, buffer: Buffer) -> Any:
        if memoryview(buffer).nbytes < OUT_OF_BAND:
            return bytes(buffer)
        self.buffers.append(buffer)
        return _Place(len(self.buffers) - 1)


def read(document: Buffer, buffers: Sequence[Buffer] = ()) -> Any:
    """The value of a plain document: imports nothing but numpy and pandas, and calls nothing but constructors of data.

    Malformed input is a :class:`CorruptEntry`, an unknown type a :class:`NewerFormat`, a package that the value needs
    and that is not installed a :class:`~hashstash.errors.MissingDependency`.
    """
    if msgspec and not _plain_only:
        try:
            if not buffers:
                return read_fast(document)
            reader = _Reader(buffers)
            return reader.finish(reader.decode(document))
        except RecursionError:
            pass  # our own reader needs no stack
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
            raise CorruptEntry(f"a stored value is malformed ({error}); delete the entry") from error
    reader = _Reader(buffers, plain=True)
    return reader.finish(reader.decode(document))


class _Reader:
    """Reads one document."""

    def __init__(self, buffers: Sequence[Buffer] = (), *, plain: bool = False) -> None:
        self.decode: Callable[[Any], Any]
        if plain or not msgspec:
            self.decode = self._decode_plain
        else:
            self.decode = msgspec.msgpack.Decoder(ext_hook=self.extension).decode
        self._buffers = buffers
        self._nesting = 0
        self._loose = 0
        self._used: set[int] = set()

    def finish(self, value: Any) -> Any:
        # It refers to this reader: the buffers, which are mapped files, would stay until garbage is collected.
        del self.decode
        if self._loose:
            raise CorruptEntry("a stored value names a buffer where none can be; delete the entry")
        return value

    def _decode_plain(self, data: Buffer) -> Any:
        return msgpack_plain.unpack(data, self._nested_extension)

    def _nested_extension(self, code: int, data: memoryview) -> Any:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise CorruptEntry(f"a stored value is nested more than {MAX_NESTING} deep; delete the entry")
        value = self.extension(code, data)
        self._nesting -= 1
        return value

    def extension(self, code: int, data: memoryview) -> Any:
        """The value of one extension type."""
        make = SEQUENCE_TYPES.get(code)
        if make is not None:
            return make(_expect_list(self.decode(data)))
        if code == GENERIC:
            tag, meta, *buffers = _expect_list(self.decode(data), least=2)
            return restore(tag, meta, [self._expect_buffer(buffer) for buffer in buffers])
        if code == BUFFER:
            self._loose += 1
            return _Place(_expect_int(self.decode(data)))
        tag = TAGS.get(code)
        if tag is None:
            raise NewerFormat(f"the stored value holds the extension type {code}: pip install -U hashstash")
        return restore(tag, self.decode(data), [])

    def _expect_buffer(self, buffer: Any) -> Buffer:
        if type(buffer) is bytes:
            return buffer
        if type(buffer) is not _Place or not 0 <= buffer < len(self._buffers):
            raise CorruptEntry("a stored value names a buffer that is not there; delete the entry")
        if buffer in self._used:  # else a few bytes for each use would ask for a copy of the whole buffer
            raise CorruptEntry("a stored value names a buffer twice; delete the entry")
        self._used.add(buffer)
        self._loose -= 1
        return self._buffers[buffer]


def _expect_list(parts: Any, *, least: int = 0) -> list[Any]:
    if type(parts) is not list or len(parts) < least:
        raise CorruptEntry("a stored value is malformed: an array was expected; delete the entry")
    return parts


def _expect_int(number: Any) -> int:
    if type(number) is not int:
        raise CorruptEntry("a stored value is malformed: a number was expected; delete the entry")
    return number


def _read_one(code: int, data: memoryview) -> Any:
    """An extension value of a document that has no buffers."""
    value = read_fast(data)
    make = SEQUENCE_TYPES.get(code)
    if make is not None:
        return make(_expect_list(value))
    tag = TAGS.get(code)
    if tag is not None:
        return restore(tag, value, [])
    if code == GENERIC:
        tag, meta, *small = _expect_list(value, least=2)
        if {*map(type, small)} <= {bytes}:
            return restore(tag, meta, small)
    reader = _Reader()
    return reader.finish(reader.extension(code, data))


read_fast: Callable[[Any], Any]
"""Decodes a plain document without buffers, as fast as we can. After any exception, :func:`read` says what is wrong."""

if msgspec:
    _encode_json_like = msgspec.msgpack.Encoder().encode
    read_fast = msgspec.msgpack.Decoder(ext_hook=_read_one).decode
else:
    read_fast = read
