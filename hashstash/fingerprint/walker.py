"""One walk over a value: a typed, length-delimited encoding into a hash, with back-references for what can be aliased.

The encoding of a value can be told from that of every other value, whatever follows it. Containers, instances,
arrays, functions and classes are numbered when they are met; meeting one again writes its number, so that cycles end
and ``[a, a]`` differs from ``[a, copy of a]``. Strings, numbers and tuples of them have no number: whether two equal
strings are one object is nobody's business.

How a type is encoded is a *handler*: a function of the walker and the value. :mod:`~hashstash.fingerprint.dispatch`
finds it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from operator import ne
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import VolatileKey
from hashstash.fingerprint.buffers import LARGE, BufferHasher
from hashstash.fingerprint.packages import Pin, package_version, pinned, public_module
from hashstash.keys import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.fingerprint.live import Guards

Handler = Callable[["Walker", Any], None]

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "missing"})()
"""What a name stands for when it stands for nothing."""

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented)})
BATCHED = frozenset({type(None), bool, int, float, complex, str, bytes})
_WITH_NAN = frozenset({float, complex})
_SINGLETONS = {type(Ellipsis): b"..", type(NotImplemented): b".!"}
_NAN = struct.unpack("<d", b"\0\0\0\0\0\0\xf8\x7f")[0]
_FLUSH = 1 << 20
_PERSON = b"hashstash value1"
_REASONS_KEPT = 20
_NESTED = 3
_MOST_NESTED = 30_000
"""Members of sets deeper than so many sets whose order is looked for: each level walks twice over those inside it."""


Step = str | int | tuple[Any] | tuple[str, None]
"""A step from a value to a part of it: text as it is, an index, ``(key,)``, or ``(attribute, None)``."""

_PACK_COUNT = struct.Struct("<cQ").pack


class _Pure(NamedTuple):
    """What was written for an immutable container in which nothing has a number."""

    value: Any
    """Kept, so that its identity stays its own."""
    short: bytes
    highest: int
    """The highest number that it refers back to; -1 if to none."""
    is_volatile: bool


class _Mark(NamedTuple):
    """A point of a walk to which it can go back."""

    written: int
    containers: int
    volatile: int
    pure: int


class Walker:
    """The state of one walk. Handlers call its methods to write; nobody else holds on to it."""

    def __init__(
        self,
        handler_for: Callable[[type], Handler],
        *,
        pin: Pin,
        namespace: Mapping[str, Any] | None,
        hasher: Callable[[], BufferHasher],
        leaves: dict[int, tuple[Any, bytes]] | None,
        guards: Guards | None = None,
    ) -> None:
        self._handler_for = handler_for
        self.pin = pin
        self.namespace = namespace
        self._new_hasher = hasher
        self._leaves = leaves
        self.guards = guards
        self.containers: list[Any] = []
        self.names: set[str] = set()
        self.is_dynamic = False
        self.volatile: list[str] = []
        self.packages: dict[str, str] = {}
        self.path: list[Step] = []
        self.modules: dict[tuple[str, str], Any] = {}
        self.volatile_state: dict[int, Any] = {}
        self.memory: dict[int, list[int]] = {}
        self._out = bytearray()
        self._digest = blake2b(digest_size=16, person=_PERSON)
        self._seen: dict[int, int] = {}
        self._pure: dict[int, _Pure] = {}
        self._highest = -1
        self._open_sections = 0
        self._refusals = 0
        self._rehearsals = 0
        self._nested_rehearsals = 0

    # --- walking

    def walk(self, value: Any) -> None:
        """Write any value."""
        kind = type(value)
        if kind in ATOMS:
            self.atom(value)
            return
        known = self._seen.get(id(value))
        if known is not None:
            self._highest = max(self._highest, known)
            self._out += _PACK_COUNT(b"R", known)
            return
        self._handler_for(kind)(self, value)
        if len(self._out) > _FLUSH and not self._open_sections:
            self._digest.update(self._out)
            self._out.clear()

    def step(self, step: Step, value: Any) -> None:
        """Write a part of a value; *step* leads there, such as ``.lock`` or ``['lock']``."""
        self.path.append(step)
        self.walk(value)
        self.path.pop()

    def bound(self, step: str, value: Any) -> None:
        """Write what a name in live code stands for; under guards, what can change in place is left for every call."""
        if self.guards is None or not self.guards.defer(value, self.place(step)):
            self.step(step, value)
        else:
            self.mark("deferred", self.guards.number_of(value))

    def register(self, value: Any) -> None:
        """Give *value* the next number; from now on it is written as a back-reference."""
        self._seen[id(value)] = len(self.containers)
        self.containers.append(value)

    def refuse(self, reason: str, value: Any) -> None:
        """Note that the value here is volatile: *reason* completes ``"`x.lock` is ..."``."""
        self.mark("volatile", type(value).__name__)
        self._refusals += 1
        message = f"`{self.place()}` is {reason}"
        if len(self.volatile) < _REASONS_KEPT and message not in self.volatile:
            self.volatile.append(message)

    def place(self, step: Step = "") -> str:
        """Where the walk is, as the user would write it."""
        return "".join(map(_shown, (*self.path, step)))

    def finish(self) -> bytes:
        """The digest of everything written."""
        self._digest.update(self._out)
        self._out.clear()
        return self._digest.digest()

    # --- writing

    def raw(self, digest: bytes) -> None:
        """Write a digest that was made elsewhere."""
        self._out += struct.pack("<cI", b"D", len(digest)) + digest

    def head(self, tag: bytes, size: int) -> None:
        """Write the one-byte *tag* of a common container and its size: a short :meth:`mark`."""
        self._out += _PACK_COUNT(tag, size)

    def mark(self, kind: str, *details: str | int | None) -> None:
        """Write what kind of thing follows, with plain details such as its length."""
        data = write([kind, *details])
        self._out += struct.pack("<cI", b"#", len(data)) + data

    def atom(self, value: Any) -> None:
        """Write one value of a type in :data:`ATOMS`."""
        kind = type(value)
        if kind in _SINGLETONS:
            self._out += _SINGLETONS[kind]
        elif (kind is str or kind is bytes) and len(value) >= LARGE // 4:
            self.large_text(value)
        else:
            self._out += b"a" + atom_bytes(value)

    def large_text(self, value: str | bytes) -> None:
        """Write a str or bytes that may be worth remembering."""
        self._out += b"t" if type(value) is str else b"b"
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        self.buffer(data, owner=value)

    def atoms(self, values: Collection[Any]) -> bool:
        """Write all *values* at once if they are plain; return whether that was done."""
        kinds = set(map(type, values))
        if not BATCHED.issuperset(kinds):
            return False
        plain = list(values)
        if not _WITH_NAN.isdisjoint(kinds) and any(map(ne, plain, plain)):
            plain = [_canonical_number(value) if type(value) in _WITH_NAN else value for value in plain]
        self._out += b"A"
        self.buffer(write(plain))
        return True

    def all(self, values: Collection[Any]) -> None:
        """Write *values* in their order, without steps of their own."""
        if not self.atoms(values):
            self._out += _PACK_COUNT(b"E", len(values))
            for value in values:
                self.walk(value)

    def items(self, values: Collection[Any], steps: Iterable[Step]) -> None:
        """Write the parts of a container in their order; *steps* lead to them."""
        if self.atoms(values):
            return
        self._out += _PACK_COUNT(b"E", len(values))
        path = self.path
        for step, value in zip(steps, values, strict=True):
            if type(value) in ATOMS:
                self.atom(value)
            else:
                path.append(step)
                self.walk(value)
                path.pop()

    def pairs(self, mapping: Mapping[Any, Any]) -> None:
        """Write the keys and values of a mapping in its order."""
        keys = list(mapping.keys())
        self.all(keys)
        self.items(list(mapping.values()), zip(keys))

    def buffer(self, data: Any, owner: Any = None) -> None:
        """Write raw contiguous bytes; large ones by their own hash, which *owner* remembers within one operation."""
        size = len(data) if isinstance(data, (bytes, bytearray)) else data.nbytes
        if size < LARGE:
            self._out += _PACK_COUNT(b"B", size) + bytes(data)
            return
        self._out += _PACK_COUNT(b"H", size) + self._hash((data,), owner)

    def pieces(self, size: int, pieces: Iterable[Any], owner: Any = None) -> None:
        """Write what :meth:`buffer` would write of *pieces* in one, which are *size* bytes together and large."""
        self._out += _PACK_COUNT(b"H", size) + self._hash(pieces, owner)

    def _hash(self, pieces: Iterable[Any], owner: Any) -> bytes:
        known = self._leaves.get(id(owner)) if self._leaves is not None else None
        if known is not None:
            return known[1]
        hasher = self._new_hasher()
        for piece in pieces:
            hasher.update(piece)
        digest = hasher.digest()
        if self._leaves is not None and owner is not None:
            self._leaves[id(owner)] = (owner, digest)
        return digest

    def installed(self, kind: str, module: str, name: str, *, is_stdlib: bool) -> None:
        """Write something of a package by name and version, or of Python's library by name."""
        root = module.partition(".")[0]
        if is_stdlib:
            self.mark(kind, public_module(module), name)
            return
        self.mark(kind, module, name, self.pinned_version(root))

    def pinned_version(self, root: str) -> str:
        """The part that counts of a package's version; the full version goes into ``packages``."""
        if root not in self.packages:
            self.packages[root] = package_version(root)
        return pinned(self.packages[root], self.pin)

    # --- sections

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """What is written inside is not told by guards, and is therefore walked at every call."""
        guards = self.guards
        if guards is not None:
            guards.is_complete = False
        self.guards = None
        yield
        self.guards = guards

    def value_section(self, value: Any, write_content: Callable[[], None]) -> None:
        """Write an immutable container that has no number of its own.

        If nothing inside got a number, its digest is written instead of its content, and known when the same object
        is met again: a tuple of tuples of tuples takes as long as it is deep, not as it is wide.
        """
        known = self._pure.get(id(value))
        if known is not None:
            self._out += known.short
            self._highest = max(self._highest, known.highest)
            return
        start, met, refusals, highest = len(self._out), len(self.containers), self._refusals, self._highest
        self._highest = -1
        self._open_sections += 1
        try:
            write_content()
        finally:
            self._open_sections -= 1
        if len(self.containers) == met:
            short = b"P" + blake2b(self._out[start:], digest_size=16).digest()
            self._out[start:] = short
            is_volatile = self._refusals > refusals or self.guards is not None
            self._pure[id(value)] = _Pure(value, short, self._highest, is_volatile)
        self._highest = max(self._highest, highest)

    @contextmanager
    def rehearsal(self) -> Iterator[Callable[[], bytes]]:
        """Whatever is written inside is taken back at the end, until then the given function tells what it was."""
        mark = self._mark()
        self._open_sections += 1
        self._rehearsals += 1
        self._nested_rehearsals += self._rehearsals > _NESTED
        if self._nested_rehearsals > _MOST_NESTED:
            raise VolatileKey(
                f"`{self.path[0]}` holds sets in sets in sets, of which the order takes too long to find; use a part of it,"
                " or tuples"
            )
        try:
            yield lambda: bytes(self._out[mark.written :])
        finally:
            self._open_sections -= 1
            self._rehearsals -= 1
            self._go_back(mark)

    def attempt(self, write_content: Callable[[], None]) -> bool:
        """Write something that may turn out volatile, and take it back if so; return whether it stayed."""
        mark, refusals = self._mark(), self._refusals
        self._open_sections += 1
        try:
            write_content()
        finally:
            self._open_sections -= 1
        if self._refusals == refusals:
            return True
        self._refusals = refusals
        self._go_back(mark)
        return False

    def _mark(self) -> _Mark:
        return _Mark(len(self._out), len(self.containers), len(self.volatile), len(self._pure))

    def _go_back(self, mark: _Mark) -> None:
        del self._out[mark.written :]
        for value in self.containers[mark.containers :]:
            del self._seen[id(value)]
        del self.containers[mark.containers :]
        del self.volatile[mark.volatile :]
        later = [self._pure.popitem() for _ in range(len(self._pure) - mark.pure)]
        # What refers to nothing of that has the same bytes when it is met again: else sets in sets would be walked over
        # twice on each level, for their order and for themselves.
        self._pure.update(
            (one, pure) for one, pure in reversed(later) if pure.highest < mark.containers and not pure.is_volatile
        )


def atom_bytes(value: Any) -> bytes:
    """The bytes of one value of a type in :data:`BATCHED`."""
    return write(_canonical_number(value) if type(value) in _WITH_NAN else value)


def _canonical_number(value: complex) -> float | complex:
    """Every nan is the same nan."""
    if isinstance(value, complex):
        parts = (_NAN if math.isnan(part) else part for part in (value.real, value.imag))
        return complex(*parts)
    return _NAN if math.isnan(value) else value


def _shown(step: Step) -> str:
    if isinstance(step, str):
        return step
    if isinstance(step, int):
        return f"[{step}]"
    key = step[0]
    if len(step) == 2:
        return f".{key}"
    return f"[{repr(key)[:40] if type(key) in ATOMS else type(key).__name__}]"
