"""Any object as a key: a canonical tree, one write in a frozen byte format, a 16-byte digest.

Keys are equal when they have the same type and the same content: ``1``, ``1.0`` and ``True`` are three keys, so are ``[1]`` and
``(1,)``, and ``0.0`` and ``-0.0``; ``nan`` equals itself. Equal dicts in any order are one key, and so are equal sets;
OrderedDict keeps its order.

The frozen format is the part of marshal's version 2 that writes ``None``, bools, ints, floats, complex, bytes, str, tuples and
lists. :func:`write_plain` is its definition. ``marshal.dumps`` writes the same bytes faster, and is used when a golden vector
shows that it does. It never sees an object whose exact type was not checked before, for it would write arrays type-blind.
"""

from __future__ import annotations

import marshal
import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from hashstash.errors import VolatileKey

ADDRESS_SIZE = 16
_DEEPEST = 200
_TOO_DEEP = f"a key nests deeper than {_DEEPEST} levels or contains itself; use a part of it that does not"
_PLAIN = frozenset({str, int, bool, type(None), bytes})
_ONLY_STR = frozenset({str})
_LONG_DIGIT_BITS = 15

FingerprintOf = Callable[[Any], bytes]


def address_of(key: Any, fingerprint: FingerprintOf) -> bytes:
    """The 16-byte address of *key*; *fingerprint* digests what is neither a scalar nor a built-in container."""
    kind = type(key)
    if kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, key))):
        return blake2b(write(key), digest_size=ADDRESS_SIZE).digest()
    return blake2b(write(canonical(key, fingerprint)), digest_size=ADDRESS_SIZE).digest()


def address_within(context: bytes, key: tuple[Any, ...], fingerprint: FingerprintOf) -> bytes:
    """The address of ``(context, key)``, without a walk over what is plain: one step for most calls of functions."""
    is_plain = type(key) is tuple and _PLAIN.issuperset(map(type, key))
    tree = (context, key if is_plain else canonical(key, fingerprint))
    return blake2b(write(tree), digest_size=ADDRESS_SIZE).digest()


def canonical(key: Any, fingerprint: FingerprintOf) -> Any:
    """The plain tree that stands for *key*: equal keys have equal trees, and no others do.

    Scalars and tuples stand for themselves; everything else is a list that begins with a tag, which no key can imitate.
    """
    try:
        return _canonical(key, fingerprint, 0)
    except RecursionError as error:  # before the limit, where the caller himself is deep in calls
        raise VolatileKey(_TOO_DEEP) from error


def _canonical(key: Any, fingerprint: FingerprintOf, depth: int) -> Any:
    kind = type(key)
    if kind in _PLAIN:
        return key
    if depth > _DEEPEST:
        raise VolatileKey(_TOO_DEEP)
    # The three common containers right here: a call more for each of them doubles the time of a nested key.
    if kind is dict and _ONLY_STR.issuperset(map(type, key)):
        names = sorted(key)
        return ["dict", tuple(names), tuple(_all(list(map(key.__getitem__, names)), fingerprint, depth + 1))]
    if kind is tuple:
        return key if _PLAIN.issuperset(map(type, key)) else tuple(_all(key, fingerprint, depth + 1))
    if kind is list:
        return ["list", *_all(key, fingerprint, depth + 1)]
    convert = _CONVERSIONS.get(kind)
    if convert is not None:
        return convert(key, fingerprint, depth + 1)
    if isinstance(key, tuple) and hasattr(kind, "_fields"):
        return ["namedtuple", fingerprint(kind), *_all(key, fingerprint, depth + 1)]
    return ["object", fingerprint(key)]


def _all(items: Any, fingerprint: FingerprintOf, depth: int) -> Any:
    if _PLAIN.issuperset(map(type, items)):
        return items
    return [
        item
        if (kind := type(item)) in _PLAIN or (kind is float and item == item)  # noqa: PLR0124  nan is not itself
        else _canonical(item, fingerprint, depth)
        for item in items
    ]


def _float(key: float, _: FingerprintOf, __: int) -> Any:
    return ["nan"] if math.isnan(key) else key


def _complex(key: complex, _: FingerprintOf, __: int) -> Any:
    if math.isnan(key.real) or math.isnan(key.imag):
        return ["complex", *(["nan"] if math.isnan(part) else part for part in (key.real, key.imag))]
    return key


def _set(key: set[Any] | frozenset[Any], fingerprint: FingerprintOf, depth: int) -> Any:
    return [type(key).__name__, *_sorted(_all(key, fingerprint, depth))]


def _dict(key: dict[Any, Any], fingerprint: FingerprintOf, depth: int) -> Any:
    if _ONLY_STR.issuperset(map(type, key)):
        names = sorted(key)
        values = _all([key[name] for name in names], fingerprint, depth)
    else:
        pairs = [(_canonical(name, fingerprint, depth), value) for name, value in key.items()]
        pairs.sort(key=lambda pair: write(pair[0]))
        names = [name for name, _ in pairs]
        values = _all([value for _, value in pairs], fingerprint, depth)
    return [type(key).__name__, tuple(names), tuple(values)]


def _ordered(key: OrderedDict[Any, Any], fingerprint: FingerprintOf, depth: int) -> Any:
    return [
        "OrderedDict",
        tuple(_all(list(key), fingerprint, depth)),
        tuple(_all(list(key.values()), fingerprint, depth)),
    ]


def _bytearray(key: bytearray, _: FingerprintOf, __: int) -> Any:
    return ["bytearray", bytes(key)]


def _sorted(trees: list[Any]) -> list[Any]:
    return sorted(trees) if _ONLY_STR.issuperset(map(type, trees)) else sorted(trees, key=write)


_CONVERSIONS: dict[type, Callable[[Any, FingerprintOf, int], Any]] = {
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
    return marshal.dumps(tree, 2)


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
