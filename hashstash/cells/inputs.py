"""The variables as they are before a cell runs: their fingerprints, and every object that is reached through them.

Each name is walked once, when it is first asked for. Objects that the walks met have a *token*, the root's name and a
number: any variables with the same fingerprints have the same objects at the same tokens, so that a record can point
at "the list in ``x``" and mean the live one.
"""

from __future__ import annotations

import builtins
import dis
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells import module_state, objects
from hashstash.cells.copies import Copies
from hashstash.cells.scopes import constant_names
from hashstash.cells.shell import SYSTEM_NAMES, own_variables
from hashstash.cells.views import WINDOW, open_window
from hashstash.fingerprint import Fingerprinter, alias_signature
from hashstash.fingerprint.source import PerCode

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

    def add(self, other: Callees) -> None:
        """Take in what others do."""
        self.environment |= other.environment
        self.binds |= other.binds
        self.calls |= other.calls
        self.strings |= other.strings


class Inputs:
    """The variables of a shell, looked at before a cell runs."""

    def __init__(self, shell: Shell, *, check: Callable[[], None] | None = None) -> None:
        self.shell = shell
        self.namespace = shell.user_ns
        self.fingerprinter = Fingerprinter(namespace=shell.user_ns, check=check)
        self._walks: dict[str, Walk | None] = {}
        self._names: frozenset[str] | None = None
        self._modules: dict[int, bytes] = {}
        self._sharing: dict[frozenset[str], bytes] = {}

    def names(self) -> frozenset[str]:
        """The user's own variables."""
        if self._names is None:
            self._names = frozenset(own_variables(self.shell))
        return self._names

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
            value = self.namespace[name] if self.has(name) else None
            walk = self._walks[name] = self.fingerprinter.walk(value, name) if self.has(name) else None
            if isinstance(value, ModuleType) and walk is not None:
                self._modules[id(value)] = walk.digest
        return self._walks[name]

    def module_digest(self, module: ModuleType) -> bytes:
        """The digest of a loaded module, which is looked at once, also if a variable is bound to it."""
        known = self._modules.get(id(module))
        if known is None:
            known = self._modules[id(module)] = self.fingerprinter.walk(module, module.__name__).digest
        return known

    def digest(self, name: str) -> bytes | None:
        """The digest of the variable, or ``None`` if there is none of that name."""
        walk = self.walk(name)
        return None if walk is None else walk.digest

    def sharing(self, names: frozenset[str]) -> bytes:
        """Which objects these variables share with one another; told once of the same names, however many records ask."""
        if names not in self._sharing:
            walks = {name: walk for name in names if (walk := self.walk(name)) is not None}
            self._sharing[names] = alias_signature(walks)
        return self._sharing[names]

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
            found.add(callees_of(function.__code__))
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
            copies = Copies(walk.containers if walk is not None else ())
            for position, value in enumerate(walk.containers if walk is not None else ()):
                known = found.get(id(value))
                if known is not None:
                    known.roots.append(name)
                    continue
                state = objects.look(value)
                is_hidden = objects.is_opaque(value) or copies.are_of_parts_of(value, state)
                digest = self._digest_of(value, name) if is_hidden else None
                found[id(value)] = Seen(value, (name, position), [name], state, digest)
        return list(found.values())

    def _digest_of(self, value: Any, root: str) -> bytes | None:
        """The object's own fingerprint, which is known if it is what the variable that leads to it is bound to."""
        is_bound = value is self.namespace.get(root)
        return self.digest(root) if is_bound else self.fingerprinter.walk(value).digest

    def resolve(self, token: Any) -> Any:
        """The live object that a token of anybody's means, or a window into it."""
        return self._resolved(token, may_import=False)

    def resolve_any(self, token: Any) -> Any:
        """The same for tokens of a record that is trusted: they may load modules."""
        return self._resolved(token, may_import=True)

    def _resolved(self, token: Any, *, may_import: bool) -> Any:
        if token[0] == WINDOW and len(token) > 2:
            return open_window(self._resolved(token[1], may_import=may_import), token)
        if token[0] == module_state.MODULE and len(token) > 2:
            return module_state.resolve(token, may_import=may_import)
        name, position = token
        walk = self.walk(name)
        if walk is None:
            raise LookupError(f"`{name}` no longer exists")
        return walk.containers[position]


_ENVIRONMENT = frozenset({"environ", "getenv", "environb"})
_known_callees = PerCode[Callees]()


def callees_of(code: CodeType) -> Callees:
    """What this code, and the code inside it, does besides reading names; it is looked at once."""
    known = _known_callees.get(code)
    if known is None:
        known = Callees()
        for inner in _nested(code):
            _look_into(inner, known)
        _known_callees.put(code, known)
    return known


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
