"""Documents with something else at each place, one place after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2, 1.5, 1 << 62, 1 << 64, 10**400, float("nan"), float("inf"), [], {}, [[]], [None], {"a": 1}),
    *("", ".", "..", "../x", "/etc/passwd", "~/x", "a/../b", "a//b", "redis://host/x", "file:///x", "x" * 100_000),
    *("stashed_result/..", "stashed_result/a\0b", "stashed_result/a/b", "stashed_map/x", "elsewhere/x", "C:\\x"),
    *("\x1b]0;t\x07", "<img src=x onerror=zq()>", "\ud800", "\u202e", "evil.evil.evil", "os", "zq_canary_module"),
)
NOTHING = object()


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*above, name)
        yield from paths(inner, (*above, name))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of *document* with something else at *path*."""
    made = copy.deepcopy(document)
    place = made
    for name in path[:-1]:
        place = place[name]
    if value is NOTHING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made
