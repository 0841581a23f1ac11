"""What a summary keeps of an array, a column, a frame: shape, dtype, digests of parts, and the first few numbers in plain.

With these the place of the first difference can be told later, roughly, and among the first numbers exactly. Nothing here loads
or computes what an object only describes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_COLUMNS: Final = 24
LONGEST_NAME: Final = 40
_ALONE = 8
"""So many elements have digests of their own; behind them each digest covers twice as many as the one before."""
_PART_ELEMENTS = 1 << 10
WHOLE_ELEMENTS = 2 * _PART_ELEMENTS
"""So many elements at the beginning are covered by digests, of an array and of a list."""
_LARGEST_ELEMENT = 16
_MOST_DIGESTS: Final = 96
"""Of parts of all columns of a frame together."""
_MOST_NUMBERS: Final = 48
"""In plain, of all columns of a frame together."""
_ALONE_NUMBERS: Final = 16
"""In plain, of an array."""


class Digests(Protocol):
    """Makes short digests, as long as there is time."""

    def of(self, value: Any) -> bytes:
        """The digest of any value; empty if there is none."""

    def of_column(self, column: Any) -> bytes:
        """The digest of a column or an index; of a long one, a sample, if nothing better is known."""


def part_bounds(number: int) -> tuple[int, int]:
    """The first element of a part, and the one after its last."""
    if number < _ALONE:
        return number, number + 1
    start = _ALONE << (number - _ALONE)
    return start, 2 * start


def parts_of(length: int, digest: Callable[[int, int], bytes], most: int = WHOLE_ELEMENTS) -> list[bytes]:
    """A digest of each part of a sequence of that length."""
    found = []
    start, end = part_bounds(0)
    while start < min(length, most):
        found.append(digest(start, min(end, length)))
        start, end = part_bounds(len(found))
    return found


def count_parts(length: int) -> int:
    """How many parts a sequence of that length has."""
    return min(length, _ALONE) + max(0, (length - 1) // _ALONE).bit_length()


def place_of(at: int, shape: Sequence[int]) -> list[int]:
    """The index, along each axis, of an element of which the number in C order is known."""
    numbers: list[int] = []
    for length in reversed(shape):
        at, number = divmod(at, int(length))
        numbers.insert(0, number)
    return numbers


def summary_of_data(value: Any, module: str, name: str, digests: Digests) -> dict[str, Any] | None:
    """What is kept of an array or a frame of these libraries; ``None`` for anything else."""
    if module == "numpy" and name == "ndarray":
        return _array(value)
    if module == "pandas" and name == "DataFrame":
        columns = [(value.columns[at], value._get_column_array(at)) for at in _first(value.shape[1])]  # noqa: SLF001  frame.iloc would leave its result in the frame's cache
        return {**_frame(columns, digests), "shape": list(value.shape), "index": digests.of_column(value.index)}
    if module == "pandas" and name == "Series":
        array = value.to_numpy() if _is_plain(value.dtype) else None
        kept = _values(array) if array is not None else {"parts": []}
        return {"shape": list(value.shape), "dtype": str(value.dtype), "index": digests.of_column(value.index), **kept}
    if module == "polars" and name == "DataFrame":
        columns = [(column.name, column) for column in value.get_columns()[:MOST_COLUMNS]]
        return {**_frame(columns, digests), "shape": list(value.shape)}
    if module == "polars" and name == "Series":
        array = _numbers_of(value)
        kept = _values(array) if array is not None else {}
        return {"shape": [len(value)], "dtype": str(value.dtype), **kept}
    if module == "pyarrow" and name == "Table":
        columns = list(zip(value.column_names, value.columns, strict=True))[:MOST_COLUMNS]
        return {**_frame(columns, digests), "shape": list(value.shape)}
    if module == "torch" and name in ("Tensor", "Parameter"):
        return _tensor(value)
    if module == "xarray" and name == "DataArray":
        return {"dims": _dims(value), **_array(value.variable._data)}  # noqa: SLF001  its values would be loaded
    if module == "xarray" and name == "Dataset":
        return _dataset(value, digests)
    if module == "scipy" and "dtype" in dir(type(value)) and hasattr(value, "nnz"):
        return {"shape": list(value.shape), "dtype": str(value.dtype), "stored elements": int(value.nnz)}
    return None


def _first(count: int) -> range:
    return range(min(count, MOST_COLUMNS))


def _array(array: Any) -> dict[str, Any]:
    is_here = type(array).__module__.partition(".")[0] == "numpy"
    return {"shape": list(array.shape), "dtype": str(array.dtype), **(_values(array) if is_here else {})}


def _values(array: Any, most_numbers: int = _ALONE_NUMBERS) -> dict[str, Any]:
    kept: dict[str, Any] = {"parts": array_parts(array)}
    numbers = _plain_numbers(array, most_numbers)
    return {**kept, "numbers": numbers} if numbers else kept


def _tensor(tensor: Any) -> dict[str, Any]:
    summary = {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "device": str(tensor.device)}
    summary["requires_grad"] = str(bool(tensor.requires_grad))
    is_plain = tensor.device.type == "cpu" and str(tensor.layout) == "torch.strided" and tensor.is_contiguous()
    if is_plain and str(tensor.dtype) != "torch.bfloat16":
        summary |= _values(tensor.detach().numpy())
    return summary


def _dims(value: Any) -> str:
    return ", ".join(f"{name}={size}" for name, size in list(value.sizes.items())[:MOST_COLUMNS])[:160]


def _dataset(dataset: Any, digests: Digests) -> dict[str, Any]:
    variables = {name: variable._data for name, variable in list(dataset.variables.items())[:MOST_COLUMNS]}  # noqa: SLF001
    here = [(name, array) for name, array in variables.items() if type(array).__module__.partition(".")[0] == "numpy"]
    return {
        "dims": _dims(dataset),
        "variables": _frame(here, digests)["columns"],
        "is whole": len(here) == len(dataset.variables),
    }


def _frame(columns: list[tuple[Any, Any]], digests: Digests) -> dict[str, Any]:
    """The columns, each as its name, its dtype, its digest, digests of its parts, and its first numbers."""
    arrays = [_numbers_of(column) for _name, column in columns]
    plain = sum(array is not None for array in arrays)
    room, most = _MOST_DIGESTS, max(1, _MOST_NUMBERS // max(plain, 1))
    found = []
    for (name, column), array in zip(columns, arrays, strict=True):
        entry: list[Any] = [str(name)[:LONGEST_NAME], _dtype(column), digests.of_column(column), [], []]
        if array is not None and plain <= _MOST_NUMBERS:
            entry[4] = _plain_numbers(array, most)
        if array is not None and count_parts(array.size) <= room:
            entry[3] = array_parts(array)
            room -= len(entry[3])
        found.append(entry)
    return {"columns": found}


def _dtype(column: Any) -> str:
    return str(getattr(column, "dtype", None) or getattr(column, "type", ""))[:LONGEST_NAME]


def _numbers_of(column: Any) -> Any:
    """The column as an array of numpy, if it is one of numbers that has no need to be copied for it; else ``None``."""
    kind = type(column).__module__.partition(".")[0]
    if kind == "numpy":
        return column if _is_plain(column.dtype) else None
    if kind == "pandas":
        is_coded = hasattr(column, "categories")
        inner = None if is_coded else getattr(column, "_ndarray", None)  # of a zone's moments, or what it wraps
        return inner if inner is not None and _is_plain(inner.dtype) else None
    if kind == "polars" and column.dtype.is_numeric() and not column.dtype.is_decimal() and not column.null_count():
        return column.to_numpy()
    return None


def is_plain(column: Any) -> bool:
    """Whether a column is an array of numpy, of numbers."""
    return type(column).__module__ == "numpy" and _is_plain(column.dtype)


def _is_plain(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "biufcmM" and type(dtype).__module__.startswith("numpy")


def _plain_numbers(array: Any, most: int) -> list[str]:
    if not _is_plain(array.dtype) or not array.size:
        return []
    return list(map(str, _beginning(array, most)))


def _beginning(array: Any, most: int) -> Iterator[Any]:
    # array.flat takes them in C order, and copies nothing.
    return (number for number, _ in zip(array.flat, range(most), strict=False))


def array_parts(array: Any) -> list[bytes]:
    """Digests of the elements in C order; of a long part, of its beginning. None of objects, and of what would be copied."""
    is_copied = not array.flags.c_contiguous and array.size > _PART_ELEMENTS and array.ndim > 1
    if array.dtype.hasobject or array.itemsize > _LARGEST_ELEMENT or is_copied:
        return []
    flat = array.reshape(-1)
    return parts_of(
        array.size,
        lambda a, b: blake2b(flat[a : min(b, a + _PART_ELEMENTS)].tobytes(), digest_size=4).digest(),
        most=array.size,
    )
