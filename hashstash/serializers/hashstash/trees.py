"""Plain trees: lists, dicts, tuples and sets of atoms in which no container occurs twice.

Nothing can tell the objects of such a tree from equal ones, so that a graph need not name each of them: it holds the
tree as plain MessagePack. Whether a value is one is found out level by level, in C.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from hashstash.serializers.hashstash.nodes import ATOMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
PLAIN = ATOMS | CONTAINERS
MAX_DEPTH = 100


def plain_trees(roots: Mapping[str, Any], is_outside: Callable[[object], bool] | None) -> dict[str, set[int]]:
    """The roots that are plain trees and share nothing with each other: for each the identities of its containers.

    *is_outside* says whether the reader will have an object, which is then no part of a plain tree.
    """
    trees: dict[str, set[int]] = {}
    owners: dict[int, str] = {}
    shared: set[str] = set()
    for name, value in roots.items():
        identities = _containers(value, is_outside) if type(value) in CONTAINERS else None
        if identities is not None:
            trees[name] = identities
            shared.update(owners[one] for one in identities & owners.keys())
            if not identities.isdisjoint(owners):
                shared.add(name)
            owners.update(dict.fromkeys(identities, name))
    return {name: identities for name, identities in trees.items() if name not in shared}


def _containers(value: Any, is_outside: Callable[[object], bool] | None) -> set[int] | None:
    """The identities of all containers in a plain tree; ``None`` for anything else."""
    known: set[int] = set()
    level = [value]
    for _ in range(MAX_DEPTH):
        if not PLAIN.issuperset(map(type, level)):
            return None
        level = [part for part in level if type(part) in CONTAINERS]
        told_apart = [part for part in level if type(part) is not tuple or gc.is_tracked(part)]
        identities = set(map(id, told_apart))
        if len(identities) < len(told_apart) or not identities.isdisjoint(known):
            return None
        if is_outside is not None and any(map(is_outside, told_apart)):
            return None
        if not level:
            return known
        known |= identities
        # The garbage collector does not track tuples of atoms, such as the one empty tuple: they may occur anywhere. Nor
        # does it track tuples of arrays, for example, so that what is in them counts as well.
        level = gc.get_referents(*level)
    return None
