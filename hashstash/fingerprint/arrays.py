"""Handlers for numpy: arrays by dtype, shape and content; scalars by dtype and value; random generators by state.

numpy is never imported here: a value can only be an array if it already was.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint import instances
from hashstash.fingerprint.buffers import LARGE
from hashstash.fingerprint.memory import shared_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.fingerprint.walker import Handler, Walker

_LONG_DOUBLES: Final = "gG"
_PIECE: Final = 2 << 20
_LARGEST_ROW: Final = 4 << 20
_FEWEST_ROWS: Final = 16
_COLUMNS: Final = 16
"""Of an array in Fortran's order, some rows of some columns are copied at a time, as many as fit the cache."""


def find_handler(kind: type) -> Handler | None:
    """The handler for a type of numpy, or derived from one; else ``None``."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "ufunc"):
        return None
    if issubclass(kind, numpy.ma.MaskedArray):
        return walk_masked_array
    if issubclass(kind, numpy.ndarray):
        return walk_array
    if issubclass(kind, numpy.generic):
        return walk_scalar
    if issubclass(kind, numpy.dtype):
        return walk_dtype
    if issubclass(kind, numpy.ufunc):
        return walk_ufunc
    if issubclass(kind, numpy.busdaycalendar):
        return walk_business_days
    if issubclass(kind, numpy.random.Generator):
        return walk_generator
    if issubclass(kind, numpy.random.BitGenerator):
        return walk_bit_generator
    return walk_random_state if issubclass(kind, numpy.random.RandomState) else None


def walk_array(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("ndarray")
    _write_class(walker, value, sys.modules["numpy"].ndarray)
    for number, distance in shared_memory(walker, value):
        walker.mark("shares memory", number, distance)
    write_content(walker, value)
    if getattr(value, "__dict__", None) and type(value) is not sys.modules["numpy"].memmap:
        instances.walk_state(walker, vars(value))


def _write_class(walker: Walker, value: Any, base: type) -> None:
    if type(value) is not base:
        walker.walk(type(value))


def write_content(walker: Walker, array: Any) -> None:
    """Write dtype, shape and elements in C order, without a number for the array itself."""
    numpy: Any = sys.modules["numpy"]
    array = numpy.asarray(array)
    walk_dtype(walker, array.dtype)
    walker.mark("shape", *array.shape)
    if array.dtype.names is not None:
        for name in array.dtype.names:
            # By field, since the bytes between fields are anything.
            write_content(walker, array[name])
    elif array.dtype.kind in "OT":
        elements = array.ravel(order="C").tolist()
        walker.items(elements, range(len(elements)))
    elif array.dtype.char in _LONG_DOUBLES:
        _write_long_doubles(walker, array)
    elif array.flags.c_contiguous or array.nbytes < LARGE:
        contiguous = numpy.ascontiguousarray(array)
        walker.buffer(contiguous.reshape(-1).view(numpy.uint8), owner=array if contiguous is array else None)
    else:
        walker.pieces(array.nbytes, _pieces(array), owner=array)


def _pieces(array: Any) -> Iterator[Any]:
    """The elements in C order, in contiguous pieces that fit the processor's cache: one copy of all takes far longer."""
    numpy: Any = sys.modules["numpy"]
    row = array[:1].nbytes
    if row > _LARGEST_ROW and array.ndim > 1:
        for part in array:
            yield from _pieces(part)
        return
    step = max(_FEWEST_ROWS, _PIECE // row)
    for start in range(0, len(array), step):
        yield _contiguous(array[start : start + step]).reshape(-1).view(numpy.uint8)


def _contiguous(rows: Any) -> Any:
    numpy: Any = sys.modules["numpy"]
    if rows.ndim != 2 or abs(rows.strides[0]) >= abs(rows.strides[1]):
        return numpy.ascontiguousarray(rows)
    turned = numpy.empty(rows.shape, rows.dtype)
    for start in range(0, rows.shape[1], _COLUMNS):
        turned[:, start : start + _COLUMNS] = rows[:, start : start + _COLUMNS]
    return turned


def _write_long_doubles(walker: Walker, array: Any) -> None:
    """Long doubles hold bytes of padding, so they are written as exponents and two halves of their digits."""
    numpy: Any = sys.modules["numpy"]
    parts = (array.real, array.imag) if array.dtype.char == "G" else (array,)
    for part in parts:
        with numpy.errstate(all="ignore"):
            digits, exponent = numpy.frexp(part)
            high = digits.astype(numpy.float64)
            low = (digits - high).astype(numpy.float64)
        for piece in (numpy.signbit(part), numpy.isnan(part), numpy.nan_to_num(high), numpy.nan_to_num(low), exponent):
            write_content(walker, piece)
        write_content(walker, numpy.isinf(part))


def walk_masked_array(walker: Walker, value: Any) -> None:
    """What lies under the mask does not count."""
    numpy: Any = sys.modules["numpy"]
    walker.register(value)
    walker.mark("masked array", bool(value.hardmask))
    _write_class(walker, value, numpy.ma.MaskedArray)
    mask = numpy.ma.getmaskarray(value)
    write_content(walker, mask)
    if value.dtype.names is None:
        data = numpy.array(value.data, subok=False)
        data[mask] = numpy.zeros((), data.dtype)
        write_content(walker, data)
    else:
        write_content(walker, value.data)
    if value is not numpy.ma.masked:  # which has none as long as nobody asks, and cannot be given one
        walker.step(".fill_value", value.fill_value)


def walk_scalar(walker: Walker, value: Any) -> None:
    numpy: Any = sys.modules["numpy"]
    walker.mark("numpy scalar")
    _write_class(walker, value, value.dtype.type)
    array = numpy.asarray(value)
    if array.dtype.kind in "fc" and numpy.isnan(value).any() and array.dtype.kind == "f":
        array = numpy.array(numpy.nan, dtype=array.dtype)
    write_content(walker, array)


def walk_dtype(walker: Walker, dtype: Any) -> None:
    if dtype.names is not None:
        walker.mark("struct dtype", dtype.itemsize, len(dtype.names), bool(dtype.isalignedstruct))
        for name in dtype.names:
            field, offset, *title = dtype.fields[name]
            walker.mark("field", name, offset)
            if title:
                walker.mark("title", *map(str, title))
            walk_dtype(walker, field)
    elif dtype.subdtype is not None:
        walker.mark("array dtype", *dtype.subdtype[1])
        walk_dtype(walker, dtype.subdtype[0])
    else:
        walker.mark("dtype", repr(dtype) if dtype.kind == "T" else dtype.str)


def walk_ufunc(walker: Walker, value: Any) -> None:
    name = str(value.__name__)
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), name, None) is value:
            walker.installed("ufunc", module, name, is_stdlib=False)
            return
    walker.refuse("a ufunc that neither numpy nor scipy names", value)


def walk_business_days(walker: Walker, value: Any) -> None:
    walker.mark("business days")
    write_content(walker, value.weekmask)
    write_content(walker, value.holidays)


def walk_generator(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("random generator", type(value).__name__)
    walker.step(".bit_generator", value.bit_generator)


def walk_bit_generator(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("bit generator", type(value).__name__)
    walker.walk(value.state)
    seed = getattr(value, "seed_seq", None)
    # Spawning children counts on in the seed, not in the state.
    walker.walk(getattr(seed, "state", None))


def walk_random_state(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("random state", type(value).__name__)
    walker.walk(value.get_state(legacy=False))
