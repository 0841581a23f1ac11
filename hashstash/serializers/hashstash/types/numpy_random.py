"""Numpy's random generators: a generator from a fixed table, its state, and the seed that it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook

SeedSequence: Any = np.random.SeedSequence
BIT_GENERATORS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}
LARGEST_POOL = 1024


def _pack_bits(value: Any) -> list[Any]:
    seed = getattr(value, "seed_seq", None)
    if seed is not None and type(seed) is not SeedSequence:
        raise NeedsGraph(value, "was seeded by an object of its own")
    return [type(value).__name__, seed, value.state]


def _unpack_bits(meta: Any) -> Any:
    name, seed, state = items(meta, 3)
    if seed is not None and type(seed) is not SeedSequence:
        raise CorruptEntry("a stored random generator has a malformed seed; delete the entry")
    generator = BIT_GENERATORS[name](0 if seed is None else seed)
    generator.state = _checked(expect(dict, state))
    return generator


POSITIONS = {"pos": 624, "buffer_pos": 4}
"""The largest position in a generator's buffer: numpy believes what it is told, and would read behind the buffer's end."""


def _checked(state: dict[str, Any]) -> dict[str, Any]:
    for part in (state, state.get("state")):
        for name, largest in POSITIONS.items():
            position = part.get(name, 0) if type(part) is dict else 0
            if not 0 <= int(position) <= largest:
                raise CorruptEntry("a stored random generator points outside of its buffer; delete the entry")
    return state


def _unpack_generator(meta: Any) -> Any:
    return np.random.Generator(expect(tuple(BIT_GENERATORS.values()), meta))


def _pack_seed(value: Any) -> list[Any]:
    return [value.entropy, list(value.spawn_key), value.pool_size, value.n_children_spawned]


def _unpack_seed(meta: Any) -> Any:
    entropy, spawn_key, pool_size, spawned = items(meta, 4)
    if not 0 <= expect(int, pool_size) <= LARGEST_POOL:
        raise CorruptEntry("a stored seed has a malformed pool; delete the entry")
    return SeedSequence(
        entropy, spawn_key=tuple(expect(list, spawn_key)), pool_size=pool_size, n_children_spawned=spawned
    )


def _pack_legacy(value: Any) -> dict[str, Any]:
    state: dict[str, Any] = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise NeedsGraph(value, "is a RandomState over a generator of its own")
    return state


def _unpack_legacy(meta: Any) -> Any:
    generator = np.random.RandomState(0)
    generator.set_state(_checked(expect(dict, meta)))
    return generator


RANDOM = [
    plain_hook("np.bits", lambda kind: kind in BIT_GENERATORS.values(), _pack_bits, _unpack_bits),
    plain_hook(
        "np.generator",
        lambda kind: kind is np.random.Generator,
        lambda value: value.bit_generator,
        _unpack_generator,
    ),
    plain_hook("np.seed", lambda kind: kind is SeedSequence, _pack_seed, _unpack_seed),
    plain_hook("np.legacy", lambda kind: kind is np.random.RandomState, _pack_legacy, _unpack_legacy),
]
