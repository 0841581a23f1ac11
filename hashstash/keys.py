"""Any object as a key: a canonical tree, one write in a frozen byte format, a 16-byte digest.

Keys are equal when they have the same type and the same content: ``1``, ``1.0`` and ``True`` are three keys, so are ``[1]`` and
``(1,)``, and ``0.0`` and ``-0.0``; ``nan`` equals itself. Equal dicts in any order are one key, and so are equal sets;
OrderedDict keeps its order.

The frozen format is the part of marshal's version 2 that writes ``None``, bools, ints, floats, complex, bytes, str, tuples and
lists. :func:`write_plain` is its definition. ``marshal.dumps`` writes the same bytes faster, and is used when a golden vector
shows that it does. It never sees an object whose exact type was not checked before, for it would write arrays type-blind.
"""

from __future__ import annotations

import gc
import marshal
import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from itertools import chain
from typing import Any

from hashstash.errors import VolatileKey
from hashstash.unfolded import extent_of

ADDRESS_SIZE = 16
_DEEPEST = 200
_TOO_DEEP = f"a key nests deeper than {_DEEPEST} levels or contains itself; use a part of it that does not"
_PLAIN = frozenset({str, int, bool, type(None), bytes})
_ONLY_STR = frozenset({str})
_MAPPINGS = frozenset({dict, Counter, OrderedDict})
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_LONG_DIGIT_BITS = 15
_UNCHECKED_PARTS = 100_000
"""Parts that are walked over before it is found out how many there are: a large key has more, and so has a folded one."""
_UNWEIGHED_PARTS = 20
"""Parts of a key that is written without asking first how long it gets: at most so many times as long as what it holds."""
_MOST_PARTS = 20_000_000
_MOST_BYTES = 1 << 30
_FOLDED = (
    "a key holds the same parts over and over: written out, as it has to be for its hash, it would have more than {} {};"
    " use a part of it, or a text that names it"
)

FingerprintOf = Callable[[Any], bytes]


class _Walk:
    """The way over one key."""

    __slots__ = ("digest", "digests", "key", "left")

    def __init__(self, key: Any, digest: FingerprintOf) -> None:
        self.key = key
        self.digest = digest
        self.digests: dict[int, tuple[Any, bytes]] = {}
        self.left = _UNCHECKED_PARTS

    def fingerprint(self, value: Any) -> bytes:
        """The digest of an object, which may stand in the key more than once."""
        found = self.digests.get(id(value))
        if found is None:
            # It is kept, so that its identity stays its own.
            found = self.digests[id(value)] = (value, self.digest(value))
        return found[1]

    def look_ahead(self) -> None:
        """Refuse a key of which a few containers stand for parts without end; walk over any other one to its end."""
        _refuse_folded(self.key)
        self.left = 1 << 62

    def weigh(self, tree: Any) -> None:
        """Refuse the key if *tree*, a part of it that is written now, gets far longer than what it holds."""
        if self.left < _UNCHECKED_PARTS - _UNWEIGHED_PARTS and _most_bytes(tree) > _MOST_BYTES:
            _refuse_folded(self.key)


def _parts_of(value: Any) -> Any:
    """The parts of *value* that are written out; of an object its digest is."""
    kind = type(value)
    if kind in _MAPPINGS:
        return chain.from_iterable(value.items())
    is_named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return tuple.__iter__(value) if is_named else value if kind in _SEQUENCES else ()


def _refuse_folded(key: Any) -> None:
    extent = extent_of(key, _parts_of)
    if extent.is_folded(_MOST_PARTS):
        raise VolatileKey(_FOLDED.format(f"{_MOST_PARTS:,}", "parts"))
    if extent.is_heavy(_MOST_BYTES):
        raise VolatileKey(_FOLDED.format(f"{_MOST_BYTES:,}", "bytes"))


def address_of(key: Any, fingerprint: FingerprintOf) -> bytes:
    """The 16-byte address of *key*; *fingerprint* digests what is neither a scalar nor a built-in container."""
    kind = type(key)
    if kind in _PLAIN or _is_plain(key):
        return blake2b(write(key), digest_size=ADDRESS_SIZE).digest()
    return blake2b(write(canonical(key, fingerprint)), digest_size=ADDRESS_SIZE).digest()


def address_within(context: bytes, key: tuple[Any, ...], fingerprint: FingerprintOf) -> bytes:
    """The address of ``(context, key)``, without a walk over what is plain: one step for most calls of functions."""
    tree = (context, key if _is_plain(key) else canonical(key, fingerprint))
    return blake2b(write(tree), digest_size=ADDRESS_SIZE).digest()


def _is_plain(key: Any) -> bool:
    """Whether *key* is a tuple that stands for itself, and too short to be weighed."""
    return type(key) is tuple and len(key) <= _UNWEIGHED_PARTS and _PLAIN.issuperset(map(type, key))


def canonical(key: Any, fingerprint: FingerprintOf) -> Any:
    """The plain tree that stands for *key*: equal keys have equal trees, and no others do.

    Scalars and tuples stand for themselves; everything else is a list that begins with a tag, which no key can imitate.
    """
    walk = _Walk(key, fingerprint)
    try:
        tree = _canonical(key, walk, 0)
    except RecursionError as error:  # before the limit, where the caller himself is deep in calls
        raise VolatileKey(_TOO_DEEP) from error
    walk.weigh(tree)
    return tree


def _most_bytes(tree: Any) -> int:
    """What the texts and integers in *tree* take at most when it is written."""
    size, level = 0, [tree]
    while level:
        level = gc.get_referents(*level)  # in C; what is no container has none
        kinds = set(map(type, level))
        size += sum(sum(map(len, _of_kind(kind, level, kinds))) for kind in (str, bytes) if kind in kinds)
        if int in kinds:
            numbers = _of_kind(int, level, kinds)
            size += len(numbers) * max(max(numbers).bit_length(), min(numbers).bit_length()) // 8
    return size


def _of_kind(kind: type, level: list[Any], kinds: set[type]) -> list[Any]:
    return level if len(kinds) == 1 else [part for part in level if type(part) is kind]


def _canonical(key: Any, walk: _Walk, depth: int) -> Any:
    kind = type(key)
    if kind in _PLAIN:
        return key
    if depth > _DEEPEST:
        raise VolatileKey(_TOO_DEEP)
    # The three common containers right here: a call more for each of them doubles the time of a nested key.
    if kind is dict and _ONLY_STR.issuperset(map(type, key)):
        names = sorted(key)
        return ["dict", tuple(names), tuple(_all(list(map(key.__getitem__, names)), walk, depth + 1))]
    if kind is tuple:
        items = _all(key, walk, depth + 1)
        return key if items is key else tuple(items)
    if kind is list:
        return ["list", *_all(key, walk, depth + 1)]
    convert = _CONVERSIONS.get(kind)
    if convert is not None:
        return convert(key, walk, depth + 1)
    if isinstance(key, tuple) and hasattr(kind, "_fields"):
        return ["namedtuple", walk.fingerprint(kind), *_all(key, walk, depth + 1)]
    return ["object", walk.fingerprint(key)]


def _all(items: Any, walk: _Walk, depth: int) -> Any:
    walk.left -= len(items)
    if walk.left < 0:
        walk.look_ahead()
    if _PLAIN.issuperset(map(type, items)):
        return items
    return [
        item
        if (kind := type(item)) in _PLAIN or (kind is float and item == item)  # noqa: PLR0124  nan is not itself
        else _canonical(item, walk, depth)
        for item in items
    ]


def _float(key: float, _: _Walk, __: int) -> Any:
    return ["nan"] if math.isnan(key) else key


def _complex(key: complex, _: _Walk, __: int) -> Any:
    if math.isnan(key.real) or math.isnan(key.imag):
        return ["complex", *(["nan"] if math.isnan(part) else part for part in (key.real, key.imag))]
    return key


def _set(key: set[Any] | frozenset[Any], walk: _Walk, depth: int) -> Any:
    return [type(key).__name__, *_sorted(_all(key, walk, depth), walk)]


def _dict(key: dict[Any, Any], walk: _Walk, depth: int) -> Any:
    if _ONLY_STR.issuperset(map(type, key)):
        names = sorted(key)
        values = _all([key[name] for name in names], walk, depth)
    else:
        pairs = [(_canonical(name, walk, depth), value) for name, value in key.items()]
        walk.left -= len(pairs)
        walk.weigh([name for name, _ in pairs])
        pairs.sort(key=lambda pair: write(pair[0]))
        names = [name for name, _ in pairs]
        values = _all([value for _, value in pairs], walk, depth)
    return [type(key).__name__, tuple(names), tuple(values)]


def _ordered(key: OrderedDict[Any, Any], walk: _Walk, depth: int) -> Any:
    return [
        "OrderedDict",
        tuple(_all(list(key), walk, depth)),
        tuple(_all(list(key.values()), walk, depth)),
    ]


def _bytearray(key: bytearray, _: _Walk, __: int) -> Any:
    return ["bytearray", bytes(key)]


def _sorted(trees: list[Any], walk: _Walk) -> list[Any]:
    if _ONLY_STR.issuperset(map(type, trees)):
        return sorted(trees)
    walk.weigh(trees)
    return sorted(trees, key=write)


_CONVERSIONS: dict[type, Callable[[Any, _Walk, int], Any]] = {
    float: _float,
    complex: _complex,
    set: _set,
    frozenset: _set,
    dict: _dict,
    Counter: _dict,
    OrderedDict: _ordered,
    bytearray: _bytearray,
}


def write_plain(tree: Any) -> bytes:
    """The bytes of a canonical tree: the definition of the frozen format."""
    out: list[bytes] = []
    _write(tree, out.append)
    return b"".join(out)


def _write(tree: Any, emit: Callable[[bytes], None]) -> None:
    kind = type(tree)
    if tree is None:
        emit(b"N")
    elif kind is bool:
        emit(b"T" if tree else b"F")
    elif kind is int:
        emit(_int_bytes(tree))
    elif kind is float:
        emit(struct.pack("<cd", b"g", tree))
    elif kind is complex:
        emit(struct.pack("<cdd", b"y", tree.real, tree.imag))
    elif kind is str:
        data = tree.encode("utf-8", "surrogatepass")
        emit(struct.pack("<cI", b"u", len(data)) + data)
    elif kind is bytes:
        emit(struct.pack("<cI", b"s", len(tree)) + tree)
    else:
        emit(struct.pack("<cI", b"(" if kind is tuple else b"[", len(tree)))
        for item in tree:
            _write(item, emit)


def _int_bytes(number: int) -> bytes:
    if -(2**31) <= number < 2**31:
        return struct.pack("<ci", b"i", number)
    digits = []
    rest = abs(number)
    while rest:
        digits.append(rest & (2**_LONG_DIGIT_BITS - 1))
        rest >>= _LONG_DIGIT_BITS
    count = len(digits) if number > 0 else -len(digits)
    return struct.pack(f"<ci{len(digits)}H", b"l", count, *digits)


def _write_fast(tree: Any) -> bytes:
    try:
        return marshal.dumps(tree, 2)
    except ValueError:  # it counts to 2 GiB, and the format to 4
        return _write_large(tree)


def _write_large(tree: Any) -> bytes:
    try:
        return write_plain(tree)
    except struct.error as error:
        raise VolatileKey("a key holds text or bytes of 4 GiB or more; use a part of it, or its digest") from error


_GOLDEN_TREE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31 - 1, 2**31, -(2**31) - 1, 10**30, -(10**30), 1.5, -0.0, 1 - 2j),
    *("", "a\u00e9\u20ac\U0001f600\ud800", b"", b"\x00\xff", (), [], ["list", 1, ("x",)], ("same", "same")),
)


def _choose_writer() -> Callable[[Any], bytes]:
    """The fast writer if it writes the golden vector as the definition does, now and on this Python; else the definition."""
    expected = write_plain(_GOLDEN_TREE)
    return _write_fast if _write_fast(_GOLDEN_TREE) == expected else write_plain


write: Callable[[Any], bytes] = _choose_writer()
"""The writer in use: equal to :func:`write_plain` on every canonical tree."""
