"""Handlers for data frames: pandas by columns, index, dtypes, attrs and flags; pyarrow and polars by type and values.

Columns go to the hash as the buffers that they are. Arrow buffers are brought into one form first: no offset, no
garbage behind nulls, one chunk. None of these packages is ever imported here, nor does it count which others are.
"""

from __future__ import annotations

import sys
from array import array as packed
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint import arrays, hollow, instances

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler, Walker

_POLARS_NUMBERS: Final = {
    "Boolean": ("b", "|b1"), "Int8": ("b", "|i1"), "Int16": ("h", "i2"), "Int32": ("i", "i4"), "Int64": ("q", "i8"),
    "UInt8": ("B", "|u1"), "UInt16": ("H", "u2"), "UInt32": ("I", "u4"), "UInt64": ("Q", "u8"), "Float32": ("f", "f4"),
    "Float64": ("d", "f8"),
}  # fmt: skip
"""Type of polars -> the typecode of Python's arrays, and what numpy calls it."""
_TEXT_WIDTHS: Final = {"string": 4, "binary": 4, "large_string": 8, "large_binary": 8}


def find_handler(kind: type) -> Handler | None:
    """The handler for a type of pandas, pyarrow or polars, or derived from one; else ``None``."""
    for package, finder in (("pandas", _find_pandas), ("pyarrow", _find_arrow), ("polars", _find_polars)):
        module = sys.modules.get(package)
        if module is not None and any(base.__module__.partition(".")[0] == package for base in kind.__mro__):
            handler = finder(module, kind)
            if handler is not None:
                return handler
    return None


# --- pandas


def _find_pandas(pandas: Any, kind: type) -> Handler | None:
    table: tuple[tuple[type, Handler], ...] = (
        (pandas.DataFrame, walk_frame),
        (pandas.Series, walk_series),
        (pandas.RangeIndex, walk_range_index),
        (pandas.MultiIndex, walk_multi_index),
        (pandas.Index, walk_index),
        (pandas.api.extensions.ExtensionArray, walk_extension_array),
        (pandas.Timestamp, walk_moment),
        (pandas.Timedelta, walk_moment),
        (type(pandas.NaT), walk_singleton),
        (type(pandas.NA), walk_singleton),
        (pandas.Period, walk_period),
        (pandas.tseries.offsets.BaseOffset, walk_offset),
        (pandas.api.extensions.ExtensionDtype, walk_extension_dtype),
        (pandas.core.base.SelectionMixin, walk_grouping),
        (pandas.core.groupby.ops.BaseGrouper, walk_grouping),
        (pandas.core.groupby.grouper.Grouping, walk_grouping),
        (pandas.core.groupby.grouper.Grouper, walk_grouping),
    )
    return next((handler for base, handler in table if issubclass(kind, base)), None)


def walk_frame(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("DataFrame", *value.shape, bool(value.flags.allows_duplicate_labels))
    _write_own_class(walker, value, "DataFrame")
    walker.step(".columns", value.columns)
    walker.step(".index", value.index)
    for number, column in enumerate(_columns(value)):
        walker.path.append(f"[{number}]")
        _write_column(walker, column)
        walker.path.pop()
    _write_extras(walker, value)


def walk_grouping(walker: Walker, value: Any) -> None:
    """What groups, resamples or rolls is its settings and its data, not what it remembers of being asked."""
    walker.register(value)
    walker.mark("grouping")
    walker.walk(type(value))
    instances.walk_state(walker, {name: part for name, part in vars(value).items() if name != "_cache"})


def _columns(frame: Any) -> Any:
    if hasattr(frame, "_iter_column_arrays"):
        return frame._iter_column_arrays()  # noqa: SLF001  ten times as fast as iloc, where it exists
    return (frame.iloc[:, number].array for number in range(frame.shape[1]))


def walk_series(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("Series", len(value), bool(value.flags.allows_duplicate_labels))
    _write_own_class(walker, value, "Series")
    walker.walk(value.name)
    walker.step(".index", value.index)
    _write_column(walker, value.array)
    _write_extras(walker, value)


def _write_own_class(walker: Walker, value: Any, name: str) -> None:
    if type(value) is not getattr(sys.modules["pandas"], name):
        walker.walk(type(value))


def _write_extras(walker: Walker, value: Any) -> None:
    walker.walk(dict(value.attrs))
    for name in value._metadata:  # noqa: SLF001  the documented place for a subclass's own attributes
        if name not in {"_name", "name"}:
            walker.step(f".{name}", getattr(value, name, None))


def _write_column(walker: Walker, column: Any) -> None:
    """Write an array of pandas or numpy; it has no number, since two frames may share it unseen."""
    numpy: Any = sys.modules["numpy"]
    if isinstance(column, numpy.ndarray):
        arrays.write_content(walker, column)
    elif type(column).__name__ in {"NumpyExtensionArray", "PandasArray"}:
        arrays.write_content(walker, column.to_numpy())
    else:
        _write_extension(walker, column)


def walk_extension_array(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.walk(getattr(value, "freq", None))
    _write_column(walker, value)


def _write_extension(walker: Walker, column: Any) -> None:
    numpy: Any = sys.modules["numpy"]
    walker.mark("extension array", type(column).__name__, len(column))
    walk_extension_dtype(walker, column.dtype)
    if hasattr(column, "categories"):
        arrays.write_content(walker, column.codes)
        walker.walk(column.categories)
    elif hasattr(column, "_pa_array"):
        write_arrow(walker, column._pa_array)  # noqa: SLF001  __arrow_array__ would copy, and lose the chunks' type
    elif hasattr(column, "_mask") and hasattr(column, "_data"):
        mask, data = column._mask, column._data  # noqa: SLF001  what lies under the mask must not count
        arrays.write_content(walker, mask)
        arrays.write_content(walker, numpy.where(mask, numpy.zeros((), data.dtype), data))
    elif hasattr(column, "asi8"):
        arrays.write_content(walker, column.asi8)
    elif hasattr(column, "closed") and hasattr(column, "left"):
        walker.walk(column.left)
        walker.walk(column.right)
    elif hasattr(column, "sp_values"):
        arrays.write_content(walker, column.sp_values)
        arrays.write_content(walker, column.sp_index.indices)
        walker.mark(column.kind)
    elif hasattr(column, "_ndarray"):
        arrays.write_content(walker, column._ndarray)  # noqa: SLF001
    else:
        walker.all(list(column))


def walk_extension_dtype(walker: Walker, dtype: Any) -> None:
    storage, missing = getattr(dtype, "storage", None), getattr(dtype, "na_value", None)
    walker.mark("dtype", type(dtype).__name__, str(dtype), storage if isinstance(storage, str) else None, repr(missing))
    walker.mark("ordered", getattr(dtype, "ordered", None))
    if hasattr(dtype, "categories"):
        walker.walk(dtype.categories)
    if hasattr(dtype, "tz"):
        walker.walk(dtype.tz)


def walk_range_index(walker: Walker, value: Any) -> None:
    walker.mark("RangeIndex", value.start, value.stop, value.step)
    walker.walk(value.name)


def walk_multi_index(walker: Walker, value: Any) -> None:
    walker.mark("MultiIndex", value.nlevels, len(value))
    walker.all(list(value.names))
    for level, codes in zip(value.levels, value.codes, strict=True):
        walker.walk(level)
        arrays.write_content(walker, codes)


def walk_index(walker: Walker, value: Any) -> None:
    walker.mark("Index", type(value).__name__, len(value))
    walker.walk(value.name)
    walker.walk(getattr(value, "freq", None))
    _write_column(walker, value.array)


def walk_moment(walker: Walker, value: Any) -> None:
    """A Timestamp or Timedelta: the count of its unit, and the zone."""
    walker.mark(f"pandas {type(value).__name__}", value.unit, int(value.asm8.view("i8")), getattr(value, "fold", 0))
    walker.walk(getattr(value, "tzinfo", None))


def walk_singleton(walker: Walker, value: Any) -> None:
    walker.mark(f"pandas {type(value).__name__}")


def walk_period(walker: Walker, value: Any) -> None:
    walker.mark("pandas Period", value.freqstr, value.ordinal)


def walk_offset(walker: Walker, value: Any) -> None:
    walker.mark("pandas offset", type(value).__name__, value.n, bool(value.normalize), value.freqstr)
    walker.walk(value.kwds)


# --- pyarrow


def _find_arrow(pyarrow: Any, kind: type) -> Handler | None:
    if issubclass(kind, (pyarrow.Table, pyarrow.RecordBatch)):
        return walk_arrow_table
    if issubclass(kind, (pyarrow.ChunkedArray, pyarrow.Array)):
        return walk_arrow_array
    if issubclass(kind, pyarrow.Scalar):
        return walk_arrow_scalar
    return walk_arrow_type if issubclass(kind, (pyarrow.DataType, pyarrow.Field, pyarrow.Schema)) else None


def walk_arrow_table(walker: Walker, value: Any) -> None:
    walker.mark(type(value).__name__, value.num_rows)
    walk_arrow_type(walker, value.schema)
    for column in value.columns:
        write_arrow(walker, column)


def walk_arrow_array(walker: Walker, value: Any) -> None:
    walker.mark("ChunkedArray" if hasattr(value, "chunks") else "Array")
    write_arrow(walker, value)


def walk_arrow_scalar(walker: Walker, value: Any) -> None:
    walker.mark("arrow scalar", str(value.type))
    walker.walk(value.as_py())


def walk_arrow_type(walker: Walker, value: Any) -> None:
    if hasattr(value, "names") and hasattr(value, "pandas_metadata"):
        walker.mark("schema", value.to_string(show_field_metadata=True, show_schema_metadata=False))
        walker.walk(value.metadata)
    else:
        walker.mark(type(value).__name__, str(value))


def write_arrow(walker: Walker, value: Any) -> None:
    """Write type, length, nulls and values of an Arrow array, however it is chunked, sliced or padded."""
    if hollow.is_refused(walker, value):
        return
    array = _one_array(value)
    walker.mark("arrow", str(array.type), len(array), array.null_count)
    width = _TEXT_WIDTHS.get(str(array.type))
    types: Any = sys.modules["pyarrow"].types
    if types.is_temporal(array.type) and not types.is_interval(array.type):
        array = array.view(f"int{array.type.bit_width}")  # a count of its unit, which the type says
    if width is None and not _is_number(array.type):
        walker.all(array.to_pylist())
        return
    if array.null_count:
        arrays.write_content(walker, array.is_null().to_numpy(zero_copy_only=False))
        array = array.fill_null(_nothing(array.type))
    if width is None:
        arrays.write_content(walker, array.to_numpy(zero_copy_only=False))
    else:
        _write_text(walker, array, width)


def _one_array(value: Any) -> Any:
    if not hasattr(value, "chunks"):
        return value
    pyarrow: Any = sys.modules["pyarrow"]
    if value.num_chunks == 1:
        return value.chunk(0)
    return pyarrow.concat_arrays(value.chunks) if value.num_chunks else pyarrow.array([], value.type)


def _is_number(kind: Any) -> bool:
    types: Any = sys.modules["pyarrow"].types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _nothing(kind: Any) -> Any:
    text = str(kind)
    if text.endswith("string"):
        return ""
    if text.endswith("binary"):
        return b""
    return False if text == "bool" else 0


def _write_text(walker: Walker, array: Any, width: int) -> None:
    """Write texts as the ends of each, counted from the first, and one run of bytes."""
    numpy: Any = sys.modules["numpy"]
    _, offsets_buffer, data = array.buffers()
    if len(array) == 0:
        return
    offsets = numpy.frombuffer(offsets_buffer, dtype=f"<i{width}")[array.offset : array.offset + len(array) + 1]
    ends = offsets - offsets[0] if offsets[0] else offsets
    arrays.write_content(walker, ends.astype("<i8", copy=False))
    content = memoryview(b"") if data is None else memoryview(data).cast("B")
    walker.buffer(content[int(offsets[0]) : int(offsets[-1])])


# --- polars


def _find_polars(polars: Any, kind: type) -> Handler | None:
    if issubclass(kind, polars.DataFrame):
        return walk_polars_frame
    return walk_polars_series if issubclass(kind, polars.Series) else None


def walk_polars_frame(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("polars DataFrame", *value.shape)
    for column in value.get_columns():
        _write_polars_column(walker, column)


def walk_polars_series(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("polars Series")
    _write_polars_column(walker, value)


def _write_polars_column(walker: Walker, column: Any) -> None:
    if hollow.is_refused(walker, column):
        return
    walker.mark("column", column.name, str(column.dtype), len(column))
    missing = column.null_count()
    numbers: Any = column.to_physical() if column.dtype.is_numeric() or column.dtype.is_temporal() else None
    is_text = column.dtype == str
    if not (is_text or (numbers is not None and str(numbers.dtype) in _POLARS_NUMBERS)):
        walker.all(column.to_list())
        return
    walker.mark("missing", missing)
    if missing:
        _write_polars_numbers(walker, column.is_null())
    if is_text:
        _write_polars_numbers(walker, column.str.len_bytes().fill_null(0))
        walker.large_text(column.fill_null("").str.join("").item() if len(column) else "")
    else:
        _write_polars_numbers(walker, numbers.fill_null(0))


def _write_polars_numbers(walker: Walker, numbers: Any) -> None:
    """Write numbers or truths without gaps: the same bytes whether numpy is loaded, which polars may do at any moment."""
    if "numpy" in sys.modules:
        arrays.write_content(walker, numbers.to_numpy())
        return
    code, dtype = _POLARS_NUMBERS[str(numbers.dtype)]
    walker.mark("dtype", dtype if dtype.startswith("|") else ("<" if sys.byteorder == "little" else ">") + dtype)
    walker.mark("shape", len(numbers))
    walker.buffer(packed(code, numbers.to_list()).tobytes())
