"""What a cell may change around its variables: random state, environment variables, working directory, import path."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_OURS = frozenset({"COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "_", "PYTEST_CURRENT_TEST"})
_OF_A_SESSION = frozenset(
    {"MPLBACKEND", "TMUX", "STY", "WINDOWID", "SESSION_MANAGER", "INVOCATION_ID", "JOURNAL_STREAM"}
)
_BEGIN_OF_A_SESSION = (
    "JPY_", "KERNEL_", "COLAB_", "VSCODE_", "PYDEVD_", "HASHSTASH_", "SSH_", "DBUS_", "XDG_SESSION_", "GNOME_", "TERM_", "TMUX_",
    "SYSTEMD_", "IPYKERNEL_",
)  # fmt: skip
"""What variables are called, or how they begin, that are others in each session: they say nothing of what a cell computes."""
SEEDING = frozenset({"seed", "set_state", "setstate", "manual_seed", "default_rng", "set_seed", "seed_everything"})
"""Calls after which random state no longer depends on what it was."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A look at the process."""

    random: dict[str, Any]
    environment: dict[Any, Any]
    """As the process keeps it, most of it to be compared only: :func:`_decoded` makes text of it."""
    working_directory: str
    import_path: tuple[str, ...]

    @classmethod
    def look(cls) -> Surroundings:
        """The state now."""
        return cls(_random_states(), _environment(), working_directory(), tuple(sys.path))

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the environment that a cell may depend on: not those that describe the terminal."""
        return {name: value for name, value in _decoded(self.environment).items() if name not in _NOT_OURS}

    @property
    def random_digests(self) -> dict[str, bytes]:
        """A digest per random generator."""
        return {name: digest_text(repr(state)) for name, state in self.random.items()}

    def changes_since(self, before: Surroundings, *, is_seeded: bool) -> dict[str, Any]:
        """What changed, as plain data that :func:`repeat` takes; empty if nothing did."""
        changes: dict[str, Any] = {}
        moved = self._moved(before, is_seeded=is_seeded)
        if moved:
            changes["random"] = {"before": before.random_digests, "after": moved, "is_seeded": is_seeded}
        if self.environment != before.environment:
            variables = _changed(_decoded(before.environment), _decoded(self.environment))
            if variables:
                changes["environment"] = variables
        if self.working_directory != before.working_directory:
            changes["working_directory"] = self.working_directory
        if self.import_path != before.import_path:
            changes["import_path"] = _moves(before.import_path, self.import_path)
        return changes

    def _moved(self, before: Surroundings, *, is_seeded: bool) -> dict[str, Any]:
        """The states of the random generators that are not as they were, or that were made since and seeded."""
        if self.random == before.random:
            return {}
        old, new = before.random_digests, self.random_digests
        return {
            name: state
            for name, state in self.random.items()
            if old.get(name, None if is_seeded else new[name]) != new[name]
        }


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
    _repeat_import_path(changes)


@always_left
def importing_as_after(changes: dict[str, Any]) -> Iterator[None]:
    """Within: modules are looked for where the changes lead. What others do to the import path meanwhile is kept."""
    if changes.keys().isdisjoint(("import_path", "working_directory")):
        yield
        return
    before, within = sys.path[:], None
    try:
        _repeat_import_path(changes)
        if "working_directory" in changes:
            sys.path[:] = [os.path.join(changes["working_directory"], path) for path in sys.path]
        within = tuple(sys.path)
        yield
    finally:
        now = sys.path[:]
        sys.path[:] = before  # first of all, and without a call: an interrupt may come into what follows
        front, back, gone = _moves(within or tuple(now), tuple(now))
        sys.path[:] = [*front, *(path for path in before if path not in gone), *back]


def _repeat_import_path(changes: dict[str, Any]) -> None:
    front, back, gone = changes.get("import_path", ((), (), ()))
    kept = [path for path in sys.path if path not in gone]
    sys.path[:] = [*(path for path in front if path not in kept), *kept, *(path for path in back if path not in kept)]


def describes_terminal(name: str) -> bool:
    """Whether the variable says how wide a window is and the like."""
    return name in _NOT_OURS


def describes_session(name: str) -> bool:
    """Whether the variable is another in each session, and says nothing of what a cell computes."""
    return name in _OF_A_SESSION or name.startswith(_BEGIN_OF_A_SESSION)


def environment_text(variables: dict[str, str]) -> str:
    """All of these variables that are more than traits of one session, as one text."""
    return "\0".join(f"{name}={variables[name]}" for name in sorted(variables) if not describes_session(name))


def working_directory() -> str:
    """The working directory, or nothing if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def digest_text(text: str) -> bytes:
    """A short digest of a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _environment() -> dict[Any, Any]:
    # Through its methods each variable would be decoded, each time; while a cell runs, something stands before the mapping.
    data = getattr(os.environ, "_data", None)
    data = getattr(data, "inside", data)
    return dict(data if isinstance(data, dict) else os.environ)


def _decoded(environment: dict[Any, Any]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}


def _changed(before: dict[str, str], now: dict[str, str]) -> dict[str, str | None]:
    names = (before.keys() | now.keys()) - _NOT_OURS
    return {name: now.get(name) for name in sorted(names) if before.get(name) != now.get(name)}


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
