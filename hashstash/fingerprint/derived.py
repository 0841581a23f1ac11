"""Handlers for objects that remember what they were asked, or leave out what their class says: sparse matrices of scipy, and
polynomials of numpy.

Neither is imported here: a value can only be one of them if they already were.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint import instances

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler, Walker

_FOUND_OUT: Final = frozenset({"_has_canonical_format", "_has_sorted_indices"})
"""What a matrix has seen in its indices when it was asked."""


def find_handler(kind: type) -> Handler | None:
    """The handler for a sparse matrix or array, or a polynomial; else ``None``."""
    if issubclass(kind, _classes("scipy.sparse", "spmatrix", "sparray")):
        return walk_sparse
    return walk_polynomial if issubclass(kind, _classes("numpy.polynomial._polybase", "ABCPolyBase")) else None


def _classes(module: str, *names: str) -> tuple[Any, ...]:
    found = (getattr(sys.modules.get(module), name, None) for name in names)
    return tuple(one for one in found if isinstance(one, type))


def walk_sparse(walker: Walker, value: Any) -> None:
    state = {name: part for name, part in vars(value).items() if name not in _FOUND_OUT}
    cells = getattr(value, "_dict", value)
    if isinstance(cells, dict):  # a dictionary of keys, which are numbers of Python's or of numpy's
        places = [key if isinstance(key, tuple) else (key,) for key in cells]
        state["_dict"] = [[tuple(map(int, place)) for place in places], list(cells.values())]
    _write(walker, value, state)


def walk_polynomial(walker: Walker, value: Any) -> None:
    _write(walker, value, {**vars(value), "domain": value.domain, "window": value.window})


def _write(walker: Walker, value: Any, state: dict[str, Any]) -> None:
    walker.register(value)
    walker.mark("instance")
    walker.walk(type(value))
    instances.walk_state(walker, dict(sorted(state.items())))
