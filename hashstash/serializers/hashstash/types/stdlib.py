"""The standard library's own data: numbers, text that MessagePack cannot hold, containers, patterns, paths."""

from __future__ import annotations

import array
import collections
import functools
import re
import sys
import types
from typing import TYPE_CHECKING, Any

from hashstash.errors import CorruptEntry, NewerFormat
from hashstash.serializers.hashstash.types import NeedsGraph, TypeHook
from hashstash.serializers.hashstash.types.build import expect, items, named, no_attributes, plain_hook
from hashstash.serializers.hashstash.types.classes import CLASSES
from hashstash.serializers.hashstash.types.exceptions import EXCEPTIONS
from hashstash.serializers.hashstash.types.times import TIMES

if TYPE_CHECKING:
    from hashstash.codec import Buffer


def _pack_int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _unpack_int(meta: Any) -> int:
    return int.from_bytes(expect(bytes, meta), "big", signed=True)


def _unpack_str(meta: Any) -> str:
    return str(expect(bytes, meta), "utf-8", "surrogatepass")


def _unpack_complex(meta: Any) -> complex:
    real, imag = items(meta, 2)
    return complex(expect(float, real), expect(float, imag))


MEMORYVIEW_FORMATS = frozenset("bBhHiIlLqQnNfd?c")


def _pack_memoryview(value: memoryview) -> list[Any]:
    shape = list(value.shape or ())
    is_castable = value.format in MEMORYVIEW_FORMATS and (value.ndim == 1 or 0 not in shape)
    if not (value.c_contiguous and is_castable):
        raise NeedsGraph(value, f"is a memoryview of format {value.format!r} that is not plain contiguous memory")
    return [value.format, shape, value.readonly, value.tobytes()]


def _unpack_memoryview(meta: Any) -> memoryview:
    code, shape, readonly, data = items(meta, 4)
    if code not in MEMORYVIEW_FORMATS:
        raise CorruptEntry(f"a stored memoryview has the unknown format {code!r:.80}; delete the entry")
    flat = memoryview(expect(bytes, data) if readonly else bytearray(expect(bytes, data)))
    view = flat.cast(code) if len(expect(list, shape)) == 1 else flat.cast(code, shape)
    if view.shape != tuple(shape):
        raise CorruptEntry("a stored memoryview is malformed: its shape does not fit its bytes; delete the entry")
    return view


def _unpack_range(meta: Any) -> range:
    start, stop, step = items(meta, 3)
    return range(start, stop, step)


def _unpack_slice(meta: Any) -> slice:
    return slice(*items(meta, 3))


def _pack_decimal(value: Any) -> str:
    return str(value)


def _unpack_decimal(meta: Any) -> Any:
    from decimal import Decimal

    return Decimal(expect(str, meta), _strict_context())


@functools.cache
def _strict_context() -> Any:
    """The context in which a text that is no number is an error, whatever the user's own context says."""
    from decimal import Context, InvalidOperation

    return Context(traps=[InvalidOperation])


_MOST_FRACTION_BITS = 1 << 16
"""Beyond that, bringing a fraction to its lowest terms takes time that grows with the square of its bytes."""


def _pack_fraction(value: Any) -> list[int]:
    if _is_long_fraction(value.numerator, value.denominator):
        raise NeedsGraph(value, "is a fraction of numbers that are too long for data")
    return [value.numerator, value.denominator]


def _unpack_fraction(meta: Any) -> Any:
    from fractions import Fraction

    numerator, denominator = items(meta, 2)
    if _is_long_fraction(expect(int, numerator), expect(int, denominator)):
        raise CorruptEntry("a stored fraction is longer than any that is written; delete the entry")
    return Fraction(numerator, denominator)


def _is_long_fraction(numerator: int, denominator: int) -> bool:
    return min(numerator.bit_length(), denominator.bit_length()) > _MOST_FRACTION_BITS


def _pack_uuid(value: Any) -> Any:
    return value.bytes if value.is_safe.value is None else [value.bytes, value.is_safe.value]


def _unpack_uuid(meta: Any) -> Any:
    from uuid import UUID, SafeUUID

    if type(meta) is bytes:
        return UUID(bytes=meta)
    data, safe = items(meta, 2)
    return UUID(bytes=expect(bytes, data), is_safe=SafeUUID(safe))


PATHS = ("PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath")


def _unpack_path(meta: Any) -> Any:
    import pathlib

    kind, text = items(meta, 2)
    if kind not in PATHS:
        raise CorruptEntry(f"a stored path is of the unknown kind {kind!r}; delete the entry")
    foreign = "PosixPath" if sys.platform == "win32" else "WindowsPath"
    return getattr(pathlib, f"Pure{kind}" if kind == foreign else kind)(expect(str, text))


_LONGEST_PATTERN = 1 << 16
_MOST_WIDE_RANGES = 100
_WIDE = re.compile(r"[^\x00-\xff]|\\[uUN]")


def _pack_pattern(value: re.Pattern[Any]) -> list[Any]:
    if value.flags & re.DEBUG:
        raise NeedsGraph(value, "is a pattern that prints when it is compiled (re.DEBUG)")
    if _is_slow(value.pattern):
        raise NeedsGraph(value, "is a pattern that takes too long to compile for data")
    return [value.pattern, value.flags]


def _unpack_pattern(meta: Any) -> re.Pattern[Any]:
    pattern, flags = items(meta, 2)
    if expect(int, flags) & re.DEBUG:
        raise CorruptEntry("a stored pattern would print when it is compiled; delete the entry")
    if _is_slow(expect((str, bytes), pattern)):
        raise CorruptEntry("a stored pattern takes longer to compile than any that is written; delete the entry")
    return re.compile(pattern, flags)


def _is_slow(pattern: str | bytes) -> bool:
    """Compiling takes microseconds for a character, but milliseconds for a range such as that of all characters."""
    if len(pattern) > _LONGEST_PATTERN:
        return True
    return isinstance(pattern, str) and pattern.count("-") > _MOST_WIDE_RANGES and bool(_WIDE.search(pattern))


def _pack_ordered(value: collections.OrderedDict[Any, Any]) -> dict[Any, Any]:
    no_attributes(value)
    return dict(value)


def _unpack_ordered(meta: Any) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict(expect(dict, meta))


def _pack_counter(value: collections.Counter[Any]) -> dict[Any, Any]:
    no_attributes(value)
    return dict(value)


def _unpack_counter(meta: Any) -> collections.Counter[Any]:
    counter: collections.Counter[Any] = collections.Counter()
    dict.update(counter, expect(dict, meta))  # Counter.update would add, and so refuse counts that are no numbers
    return counter


FACTORIES = {kind.__name__: kind for kind in (list, dict, set, frozenset, int, float, complex, bool, str, bytes, tuple)}


def _pack_defaultdict(value: collections.defaultdict[Any, Any]) -> list[Any]:
    factory: Any = value.default_factory
    if factory is None:
        return [None, dict(value)]
    name = getattr(factory, "__name__", None)
    if type(factory) is not type or FACTORIES.get(name) is not factory:  # type: ignore[arg-type]
        raise NeedsGraph(value, "is a defaultdict with a factory of its own")
    return [name, dict(value)]


def _unpack_defaultdict(meta: Any) -> collections.defaultdict[Any, Any]:
    name, content = items(meta, 2)
    factory = None if name is None else FACTORIES[name]
    return collections.defaultdict(factory, expect(dict, content))


def _unpack_deque(meta: Any) -> collections.deque[Any]:
    content, maxlen = items(meta, 2)
    return collections.deque(expect(list, content), maxlen)


def _pack_chain(value: collections.ChainMap[Any, Any]) -> list[Any]:
    no_attributes(value, but=("maps",))
    return list(value.maps)


def _unpack_chain(meta: Any) -> collections.ChainMap[Any, Any]:
    return collections.ChainMap(*(expect(collections.abc.MutableMapping, part) for part in expect(list, meta)))


def _unpack_namespace(meta: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**expect(dict, meta))


ADDRESSES = ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface")


def _unpack_address(meta: Any) -> Any:
    import ipaddress

    kind, text = items(meta, 2)
    if kind not in ADDRESSES:
        raise CorruptEntry(f"a stored IP address is of the unknown kind {kind!r}; delete the entry")
    return getattr(ipaddress, kind)(expect(str, text))


def _pack_array(value: array.array[Any]) -> tuple[Any, list[Buffer]]:
    if value.typecode in "uw":
        return [value.typecode, value.tounicode(), sys.byteorder], []
    return [value.typecode, value.itemsize, sys.byteorder], [memoryview(value).cast("B") if value else b""]


def _unpack_array(meta: Any, buffers: list[Buffer]) -> array.array[Any]:
    code, size, order = items(meta, 3)
    if code not in array.typecodes and code == "w":
        raise NewerFormat("the stored array has the typecode 'w', which needs Python 3.13 or newer")
    if expect(str, code) in "uw":
        return array.array(code, expect(str, size))
    (data,) = buffers
    values = array.array(code)
    if values.itemsize != size:  # a C long has four bytes on some platforms, eight on others
        values = array.array(_integer_of_size(size, signed=code.islower()))
    values.frombytes(data)
    if order != sys.byteorder:
        values.byteswap()
    return values if values.typecode == code else array.array(code, values)


def _integer_of_size(size: Any, *, signed: bool) -> str:
    codes = "bhiq" if signed else "BHIQ"
    return next(code for code in codes if array.array(code).itemsize == size)


def _pack_random(value: Any) -> list[Any]:
    no_attributes(value, but=("gauss_next",))
    version, internal, gauss = value.getstate()
    return [version, list(internal), gauss]


def _unpack_random(meta: Any) -> Any:
    from random import Random

    version, internal, gauss = items(meta, 3)
    generator = Random(0)
    generator.setstate((version, tuple(expect(list, internal)), gauss))
    return generator


def _pack_proxy(value: types.MappingProxyType[Any, Any]) -> dict[Any, Any]:
    content = value.copy()
    if type(content) is not dict:
        raise NeedsGraph(value, f"is a read-only view of a {type(content).__qualname__}")
    return content


_HOOKS = [
    plain_hook("int", named("builtins.int"), _pack_int, _unpack_int),
    plain_hook("str", named("builtins.str"), lambda text: text.encode("utf-8", "surrogatepass"), _unpack_str),
    plain_hook("complex", named("builtins.complex"), lambda number: [number.real, number.imag], _unpack_complex),
    plain_hook("bytearray", named("builtins.bytearray"), bytes, lambda meta: bytearray(expect(bytes, meta))),
    plain_hook("memoryview", named("builtins.memoryview"), _pack_memoryview, _unpack_memoryview),
    plain_hook("range", named("builtins.range"), lambda value: [value.start, value.stop, value.step], _unpack_range),
    plain_hook("slice", named("builtins.slice"), lambda value: [value.start, value.stop, value.step], _unpack_slice),
    plain_hook(
        "proxy",
        lambda kind: kind is types.MappingProxyType,
        _pack_proxy,
        lambda meta: types.MappingProxyType(expect(dict, meta)),
    ),
    plain_hook("decimal", named("decimal.Decimal"), _pack_decimal, _unpack_decimal),
    plain_hook("fraction", named("fractions.Fraction"), _pack_fraction, _unpack_fraction),
    plain_hook("uuid", named("uuid.UUID"), _pack_uuid, _unpack_uuid),
    plain_hook(
        "path",
        named(*(f"{module}.{kind}" for module in ("pathlib", "pathlib._local") for kind in PATHS)),
        lambda value: [type(value).__name__, str(value)],
        _unpack_path,
    ),
    plain_hook("pattern", named("re.Pattern"), _pack_pattern, _unpack_pattern),
    plain_hook("ordered", named("collections.OrderedDict"), _pack_ordered, _unpack_ordered),
    plain_hook("counter", named("collections.Counter"), _pack_counter, _unpack_counter),
    plain_hook("defaultdict", named("collections.defaultdict"), _pack_defaultdict, _unpack_defaultdict),
    plain_hook("deque", named("collections.deque"), lambda value: [list(value), value.maxlen], _unpack_deque),
    plain_hook("chain", named("collections.ChainMap"), _pack_chain, _unpack_chain),
    plain_hook("namespace", named("types.SimpleNamespace"), lambda value: dict(vars(value)), _unpack_namespace),
    plain_hook(
        "ip",
        named(*(f"ipaddress.{kind}" for kind in ADDRESSES)),
        lambda value: [type(value).__name__, str(value)],
        _unpack_address,
    ),
    TypeHook("array", named("array.array"), _pack_array, _unpack_array),
    plain_hook("random", named("random.Random"), _pack_random, _unpack_random),
    *TIMES,
    *EXCEPTIONS,
    *CLASSES,
]
HOOKS = {hook.tag: hook for hook in _HOOKS}
