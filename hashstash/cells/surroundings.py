"""What a cell may change around its variables: random state, environment variables, working directory, import path."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

_NOT_OURS = frozenset({"COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "_", "PYTEST_CURRENT_TEST"})
SEEDING = frozenset({"seed", "set_state", "setstate", "manual_seed", "default_rng", "set_seed", "seed_everything"})
"""Calls after which random state no longer depends on what it was."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A look at the process."""

    random: dict[str, Any]
    environment: dict[str, str]
    working_directory: str
    import_path: tuple[str, ...]

    @classmethod
    def look(cls) -> Surroundings:
        """The state now."""
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        return cls(_random_states(), environment, working_directory(), tuple(sys.path))

    @property
    def random_digests(self) -> dict[str, bytes]:
        """A digest per random generator."""
        return {name: digest_text(repr(state)) for name, state in self.random.items()}

    def changes_since(self, before: Surroundings, *, is_seeded: bool) -> dict[str, Any]:
        """What changed, as plain data that :func:`repeat` takes; empty if nothing did."""
        changes: dict[str, Any] = {}
        old, new = before.random_digests, self.random_digests
        moved = {
            name: state
            for name, state in self.random.items()
            if old.get(name, None if is_seeded else new[name]) != new[name]
        }
        if moved:
            changes["random"] = {"before": old, "after": moved, "is_seeded": is_seeded}
        names = before.environment.keys() | self.environment.keys()
        variables = {
            name: self.environment.get(name)
            for name in sorted(names)
            if before.environment.get(name) != self.environment.get(name)
        }
        if variables:
            changes["environment"] = variables
        if self.working_directory != before.working_directory:
            changes["working_directory"] = self.working_directory
        if self.import_path != before.import_path:
            changes["import_path"] = _moves(before.import_path, self.import_path)
        return changes


def repeat(changes: dict[str, Any]) -> None:
    """Make the same changes again. Random state is set if it is what it was before the run, or if the cell had seeded
    it.
    """
    random_changes = changes.get("random")
    if random_changes:
        _repeat_random(random_changes)
    for name, value in changes.get("environment", {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if "working_directory" in changes:
        os.chdir(changes["working_directory"])
    front, back, gone = changes.get("import_path", ((), (), ()))
    kept = [path for path in sys.path if path not in gone]
    sys.path[:] = [*(path for path in front if path not in kept), *kept, *(path for path in back if path not in kept)]


def working_directory() -> str:
    """The working directory, or nothing if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def digest_text(text: str) -> bytes:
    """A short digest of a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {}
    random, numpy_random = sys.modules.get("random"), sys.modules.get("numpy.random")
    if random is not None:
        states["random"] = random.getstate()
    if numpy_random is not None:
        kind, keys, *rest = numpy_random.get_state()
        states["numpy"] = (kind, keys.tobytes(), *rest)
    return states


def _repeat_random(changes: dict[str, Any]) -> None:
    import random

    now = {name: digest_text(repr(state)) for name, state in _random_states().items()}
    for name, state in changes["after"].items():
        if not changes["is_seeded"] and changes["before"].get(name) != now.get(name):
            continue
        if name == "random":
            version, internal, gauss = state
            random.setstate((version, tuple(internal), gauss))
        else:
            import numpy as np

            kind, keys, position, *gauss_state = state
            np.random.set_state((kind, np.frombuffer(keys, "uint32"), position, *gauss_state))  # noqa: NPY002


def _moves(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """What was put in front of the import path, what behind, and what was taken out."""
    kept = [position for position, path in enumerate(now) if path in before]
    first = kept[0] if kept else len(now)
    added = [(position, path) for position, path in enumerate(now) if path not in before]
    front = [path for position, path in added if position < first]
    return front, [path for position, path in added if position >= first], [path for path in before if path not in now]
