"""Plain trees: lists, dicts, tuples and sets of atoms in which no container occurs twice.

Nothing can tell the objects of such a tree from equal ones, so that a graph need not name each of them: it holds the
tree as plain MessagePack. Whether a value is one is found out level by level, in C.
"""

from __future__ import annotations

import gc
from collections import Counter
from itertools import filterfalse
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
    of_atoms: set[int] = set()
    level = [value]
    for _ in range(MAX_DEPTH):
        if not PLAIN.issuperset(map(type, level)):
            return None
        level = [part for part in level if type(part) in CONTAINERS]
        # The garbage collector does not track tuples of atoms, such as the one empty tuple: they may occur anywhere. Nor does
        # it track tuples of arrays, for example, or of such tuples: what is in them counts as well.
        untracked = [*filterfalse(gc.is_tracked, [part for part in level if type(part) is tuple])]
        anywhere = dict(zip(map(id, untracked), untracked, strict=True))
        if anywhere:
            if _are_folded(untracked, anywhere, of_atoms):
                return None
            level = [part for part in level if id(part) not in anywhere]
        identities = set(map(id, level))
        if len(identities) < len(level) or not identities.isdisjoint(known):
            return None
        if is_outside is not None and any(map(is_outside, level)):
            return None
        if not (level or anywhere):
            return known
        known |= identities
        level = gc.get_referents(*level, *(part for identity, part in anywhere.items() if identity not in of_atoms))
        of_atoms.update(anywhere)
    return None


def _are_folded(tuples: list[tuple[Any, ...]], by_identity: Mapping[int, tuple[Any, ...]], met: set[int]) -> bool:
    """Whether one of the *tuples* that holds tuples occurs twice, or was *met* before: written out, they may double each time."""
    if len(by_identity) == len(tuples) and met.isdisjoint(by_identity):
        return False
    times = Counter(map(id, tuples))
    return any((times[one] > 1 or one in met) and tuple in map(type, by_identity[one]) for one in by_identity)
