"""The variables as they are before a cell runs: their fingerprints, and every object that is reached through them.

Each name is walked once, when it is first asked for. Objects that the walks met have a *token*, the root's name and a
number: any variables with the same fingerprints have the same objects at the same tokens, so that a record can point
at "the list in ``x``" and mean the live one.
"""

from __future__ import annotations

import builtins
import dis
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from hashstash.cells import objects
from hashstash.cells.scopes import constant_names
from hashstash.cells.shell import SYSTEM_NAMES, is_users_own
from hashstash.cells.views import WINDOW, open_window
from hashstash.fingerprint import Fingerprinter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashstash.cells.objects import State
    from hashstash.cells.shell import Shell
    from hashstash.fingerprint import Walk

Token = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it was before the run."""

    value: Any
    token: Token
    roots: list[str]
    state: State
    digest: bytes | None
    """Its own fingerprint, where looking at it does not show all of its state."""


@dataclass(slots=True)
class Callees:
    """What the functions reached from one name do besides reading names."""

    environment: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)


class Inputs:
    """The variables of a shell, looked at before a cell runs."""

    def __init__(self, shell: Shell, *, check: Callable[[], None] | None = None) -> None:
        self.shell = shell
        self.namespace = shell.user_ns
        self.fingerprinter = Fingerprinter(namespace=shell.user_ns, check=check)
        self._walks: dict[str, Walk | None] = {}

    def names(self) -> frozenset[str]:
        """The user's own variables."""
        return frozenset(name for name in list(self.namespace) if is_users_own(self.shell, name))

    def has(self, name: str) -> bool:
        """Whether the name has a value of the user's; what the shell put there counts as built in."""
        if name not in self.namespace:
            return False
        hidden = self.shell.user_ns_hidden
        return name in SYSTEM_NAMES or name not in hidden or self.namespace[name] is not hidden[name]

    def is_builtin(self, name: str) -> bool:
        """Whether the name means something without being the user's."""
        return hasattr(builtins, name) or name in self.namespace

    def walk(self, name: str) -> Walk | None:
        """The fingerprint of the variable, or ``None`` if there is none of that name."""
        if name not in self._walks:
            self._walks[name] = self.fingerprinter.walk(self.namespace[name], name) if self.has(name) else None
        return self._walks[name]

    def digest(self, name: str) -> bytes | None:
        """The digest of the variable, or ``None`` if there is none of that name."""
        walk = self.walk(name)
        return None if walk is None else walk.digest

    def reached(self, name: str) -> frozenset[str]:
        """Further names that the present value of *name* reads when it is used."""
        walk = self.walk(name)
        if walk is None:
            return frozenset()
        return walk.names | (self.names() if walk.is_dynamic else frozenset())

    def callees(self, names: Iterable[str]) -> Callees:
        """What the user's functions do that can be reached through these names."""
        found = Callees()
        for function in self._functions(names):
            for code in _nested(function.__code__):
                _look_into(code, found)
        return found

    def _functions(self, names: Iterable[str]) -> Iterator[FunctionType]:
        for name in names:
            walk = self.walk(name)
            for value in walk.containers if walk is not None else ():
                if isinstance(value, FunctionType) and value.__globals__ is self.namespace:
                    yield value

    def objects(self, names: Iterable[str]) -> list[Seen]:
        """Every object that can be reached through these names, each once, as it is now."""
        found: dict[int, Seen] = {}
        for name in sorted(names):
            walk = self.walk(name)
            for position, value in enumerate(walk.containers if walk is not None else ()):
                known = found.get(id(value))
                if known is not None:
                    known.roots.append(name)
                    continue
                digest = self.fingerprinter.walk(value).digest if objects.is_opaque(value) else None
                found[id(value)] = Seen(value, (name, position), [name], objects.look(value), digest)
        return list(found.values())

    def resolve(self, token: Any) -> Any:
        """The live object that a token means, or a window into it."""
        if token[0] == WINDOW and len(token) > 2:
            return open_window(self.resolve(token[1]), token)
        name, position = token
        walk = self.walk(name)
        if walk is None:
            raise LookupError(f"`{name}` no longer exists")
        return walk.containers[position]


_ENVIRONMENT = frozenset({"environ", "getenv", "environb"})


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _look_into(code: CodeType, found: Callees) -> None:
    found.calls.update(code.co_names)
    found.strings.update(constant for constant in code.co_consts if isinstance(constant, str))
    if not _ENVIRONMENT.isdisjoint(code.co_names):
        found.environment |= constant_names(code.co_consts)
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_GLOBAL":
            found.binds.add(instruction.argval)
