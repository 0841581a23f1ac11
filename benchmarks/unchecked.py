"""HashStash with its checks compiled out of the functions that read, to be compared with itself: no user can have it so.

Each function is taken as it stands in the source and compiled once more without the named expressions. One that is not there any
more is an error, so that what is measured is what the package has.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hashstash import blobs, codec, decoding, entry, listing, reading, store

_CHECKS: list[tuple[Any, str, dict[str, str]]] = [
    (
        entry,
        "unpack_plain",
        {
            "crc32(blob) != _RESIDUE": "False",
            "len(blob) < _SHORTEST": "False",
            "found != digest": "False",
            "document + stored + 4 != len(blob)": "False",
        },
    ),
    (entry, "unpack", {"len(blob) < _SHORTEST or crc32(blob) != _RESIDUE": "False"}),
    (
        entry,
        "_unpack_checked",
        {
            "reserved or reserved_too": "False",
            "end + signature + 4 != len(blob)": "False",
            "digest is not None and found != digest": "False",
        },
    ),
    (decoding, "unfilter", {"raw_size > _LARGEST_FOREIGN_BOMB": "False", "len(data) != raw_size": "False"}),
    (codec, "take_apart", {"magic != b'P1' or count > _MOST_BUFFERS": "False", "position != len(view)": "False"}),
    (
        reading,
        "open_row",
        {"found is not None and (found.flags.value & _NEEDS_CHECK or store.trust is not Trust.MINE)": "False"},
    ),
    (reading, "encoded_of", {"not entry.is_trusted and (entry.is_code or store.trust is Trust.STRICT)": "False"}),
    (
        blobs.BlobStore,
        "map",
        {
            "status.st_size != reference.size": "False",
            "(is_signed and _others_may_write(status)) or not self._may_map": "not self._may_map",
            "proof not in _verified": "False",
            "(path, status.st_ino, status.st_ctime_ns, reference.checksum, reference.digest if is_signed else b'')": "None",
        },
    ),
]
"""Where a check is, and what takes the place of its expression: checksum, key digest, sizes, limits, signature."""
_USERS = (entry, codec, decoding, reading, store, listing)
"""Modules that have these functions by name."""


@contextmanager
def unchecked() -> Iterator[None]:
    """Nothing is checked that is read inside; for data that this process has just written."""
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for owner, name, found, without in _variants():
            for user in (owner, *_USERS):
                if getattr(user, name, None) is found:
                    replaced.append((user, name, found))
                    setattr(user, name, without)
        yield
    finally:
        for user, name, found in replaced:
            setattr(user, name, found)


@cache
def _variants() -> tuple[tuple[Any, str, Any, Any], ...]:
    return tuple(
        (owner, name, getattr(owner, name), _without(getattr(owner, name), gone)) for owner, name, gone in _CHECKS
    )


def _without(function: Callable[..., Any], gone: dict[str, str]) -> Callable[..., Any]:
    """*function* compiled anew with expressions replaced."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    remover = _Remover({_normal(old): new for old, new in gone.items()})
    tree = ast.fix_missing_locations(remover.visit(tree))
    if missing := remover.gone.keys() - remover.found:
        raise LookupError(f"{function.__qualname__} has no check like this any more: {', '.join(missing)}")
    tree.body.insert(0, ast.parse("from __future__ import annotations").body[0])
    namespace: dict[str, Any] = {}
    exec(compile(tree, inspect.getfile(function), "exec"), function.__globals__, namespace)
    made: Callable[..., Any] = namespace[function.__name__]
    return made


def _normal(expression: str) -> str:
    return ast.unparse(ast.parse(expression, mode="eval"))


class _Remover(ast.NodeTransformer):
    def __init__(self, gone: dict[str, str]) -> None:
        self.gone = gone
        self.found: set[str] = set()

    def visit(self, node: ast.AST) -> Any:
        node = super().visit(node)
        if not isinstance(node, ast.expr):
            return node
        text = ast.unparse(node)
        if text not in self.gone:
            return node
        self.found.add(text)
        return ast.parse(self.gone[text], mode="eval").body
