"""The face of a walk: give it values, get digests, the names that code reads, and why something cannot be hashed."""

from __future__ import annotations

import struct
import sys
import threading
from dataclasses import dataclass
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.errors import VolatileKey
from hashstash.fingerprint import memory
from hashstash.fingerprint.buffers import buffer_hasher, checked, default_buffer_hash
from hashstash.fingerprint.dispatch import handler_for
from hashstash.fingerprint.modules import walk_import
from hashstash.fingerprint.parts import Account, account_of
from hashstash.fingerprint.walker import Walker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hashstash.fingerprint.packages import Pin
    from hashstash.fingerprint.reads import Import
    from hashstash.fingerprint.walker import Handler

_CODE = (FunctionType, BuiltinFunctionType, ModuleType, type)
_DEEP = 100_000
_recursion = threading.Lock()


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk over one value found."""

    digest: bytes
    """16 bytes: the content, the types, and which containers are the same object."""
    containers: list[Any]
    """What can be aliased, in walk order: the n-th one here is the n-th one of every value of this digest."""
    names: frozenset[str]
    """Names of the namespace that functions inside the value read, also if they stand for a builtin or nothing."""
    volatile: tuple[str, ...]
    """Why the state cannot be hashed, such as ``"`x.lock` is a lock"``; empty if it can."""
    packages: Mapping[str, str]
    """Installed packages that were met, with their full versions."""
    is_dynamic: bool = False
    """Whether a function inside calls ``eval``, ``globals`` and the like, and may read any name of the namespace."""


class Fingerprinter:
    """Digests for ONE operation, such as one key or one look at a cell's inputs.

    Within it, large arrays and strings that are met again are not hashed again, since nothing runs between two walks
    that could change them. After user code ran, make a new one.
    """

    def __init__(
        self,
        *,
        pin: Pin = "minor",
        namespace: Mapping[str, Any] | None = None,
        buffer_hash: str | None = None,
        share_leaves: bool = True,
        paths: str = "path",
        check: Callable[[], None] | None = None,
        code: bool = True,
    ) -> None:
        """Without *code* functions, classes and modules are only named, and what they use is not walked: digests to compare
        within this process.

        *check* is called again and again while values are walked, and may raise to give up.
        """
        self.pin: Pin = pin
        self.namespace = namespace
        self.buffer_hash = buffer_hash or default_buffer_hash()
        self._hasher = buffer_hasher(self.buffer_hash)
        self._handler_for = handler_for if paths == "path" else _content_handlers(self.buffer_hash)
        if not code:
            self._handler_for = _without_code(self._handler_for)
        if check is not None:
            self._hasher = checked(self._hasher, check)
            self._handler_for = _checked_handlers(self._handler_for, check)
        self._leaves: dict[int, tuple[Any, bytes]] | None = {} if share_leaves else None

    def walk(self, value: Any, label: str = "value") -> Walk:
        """Walk over *value*; *label* names it in the reasons for being volatile."""
        return self.walk_all([(label, value)])

    def walk_all(self, labelled: Iterable[tuple[str, Any]]) -> Walk:
        """One walk over several values with their labels, so that what they share counts."""
        return self._walk(self._walker, labelled)

    def walk_among(self, known: Iterable[Any], value: Any) -> Walk:
        """Walk over *value*, in which the *known* objects are told by identity: their place among the known, and no content."""
        known = list(known)

        def make_walker() -> Walker:
            walker = self._walker()
            for one in known:
                walker.register(one)
            return walker

        return self._walk(make_walker, [("value", value)])

    @staticmethod
    def _walk(make_walker: Callable[[], Walker], labelled: Iterable[tuple[str, Any]]) -> Walk:
        walker = finished(make_walker, list(labelled))
        return Walk(
            digest=walker.finish(),
            containers=walker.containers,
            names=frozenset(walker.names),
            volatile=tuple(walker.volatile),
            packages=MappingProxyType(walker.packages),
            is_dynamic=walker.is_dynamic,
        )

    def hashed_arrays(self) -> dict[tuple[Any, ...], bytes]:
        """The digests of the large arrays whose bytes were hashed in this operation, by what :func:`address_of` says of them."""
        known = (self._leaves or {}).values()
        return {address: digest for owner, digest in known if (address := memory.address_of(owner)) is not None}

    def digest(self, value: Any, label: str = "value") -> bytes:
        """The digest of *value*; raises :class:`~hashstash.errors.VolatileKey` naming what cannot be hashed."""
        return stable_digest(finished(self._walker, [(label, value)]))

    def parts(self, function: Any) -> dict[str, bytes]:
        """The digests of all that a function's fingerprint is made of, by name, so that a change can be explained.

        Helpers stand beside the function: a helper's part is its own code, and what it reads are parts of their own.
        """
        return self.account(function).parts

    def account(self, function: Any) -> Account:
        """:meth:`parts` with the numbers among them and the versions of the packages that the function uses."""
        digests = _PartDigests(self._walker)
        return account_of(function, digests, digests.packages)

    def _walker(self) -> Walker:
        return Walker(
            self._handler_for, pin=self.pin, namespace=self.namespace, hasher=self._hasher, leaves=self._leaves
        )


class _PartDigests:
    """Each part of a function in a walk of its own."""

    def __init__(self, make_walker: Callable[[], Walker]) -> None:
        self._make_walker = make_walker
        self.packages: dict[str, str] = {}

    def of_value(self, value: Any) -> bytes:
        return self._finish(finished(self._make_walker, [("value", value)]))

    def of_import(self, statement: Import, namespace: Mapping[str, Any]) -> bytes | None:
        walker = self._make_walker()
        walk_import(walker, statement, namespace)
        digest = self._finish(walker)
        return None if digest == self._make_walker().finish() else digest

    def _finish(self, walker: Walker) -> bytes:
        self.packages.update(walker.packages)
        return walker.finish()


def _content_handlers(buffer_hash: str) -> Callable[[type], Handler]:
    from hashstash.fingerprint.contents import content_handlers  # few stashes look into files

    return content_handlers(buffer_hash)


def _without_code(handler_for: Callable[[type], Handler]) -> Callable[[type], Handler]:
    return lambda kind: _walk_name if issubclass(kind, _CODE) else handler_for(kind)


def _walk_name(walker: Walker, value: Any) -> None:
    code = hash(value.__code__) if isinstance(value, FunctionType) else 0
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__qualname__)
    walker.mark("named", str(getattr(value, "__module__", "")), str(name), code)


def _checked_handlers(handler_for: Callable[[type], Handler], check: Callable[[], None]) -> Callable[[type], Handler]:
    def find(kind: type) -> Handler:
        check()
        return handler_for(kind)

    return find


def finished(make_walker: Callable[[], Walker], labelled: Sequence[tuple[str, Any]]) -> Walker:
    """A walker that has walked over all values; values that nest deeper than Python's limit take a second attempt."""
    walker = make_walker()
    try:
        return _walk_each(walker, labelled)
    except RecursionError:
        return _walk_deeply(make_walker(), labelled)


def _walk_each(walker: Walker, labelled: Sequence[tuple[str, Any]]) -> Walker:
    for label, value in labelled:
        walker.path[:] = [label]
        walker.bound("", value)
    return walker


def _walk_deeply(walker: Walker, labelled: Sequence[tuple[str, Any]]) -> Walker:
    """Walk with a higher limit: all our recursion is in Python, none in C."""
    with _recursion:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _DEEP))
        try:
            return _walk_each(walker, labelled)
        except RecursionError as error:
            message = f"`{walker.path[0]}` nests too deeply to be hashed; use a part of it, or a flatter form"
            raise VolatileKey(message) from error
        finally:
            sys.setrecursionlimit(limit)


def stable_digest(walker: Walker) -> bytes:
    """The digest of a finished walk that met nothing volatile."""
    if walker.volatile:
        raise VolatileKey(f"{walker.volatile[0]}, so its state cannot be hashed; use a part of it that can")
    return walker.finish()


def alias_signature(walks: Mapping[str, Walk]) -> bytes:
    """The digest of which containers the roots share with one another, by their place in each walk.

    It looks at identity only: any subset of roots can be signed at any time, also after their values were changed.
    """
    first: dict[int, tuple[str, int]] = {}
    arrays_by_owner: dict[int, list[tuple[str, int, Any]]] = {}
    shared = bytearray()
    for root in sorted(walks):
        met: list[tuple[int, tuple[str, int, Any]]] = []
        for index, value in enumerate(walks[root].containers):
            earlier = first.setdefault(id(value), (root, index))
            if earlier[0] != root:
                shared += _place(root, index) + _place(*earlier)
            owner = memory.memory_owner(value)
            if owner is not None:
                for other_root, other_index, other in arrays_by_owner.get(owner, ()):
                    distance = memory.overlap(value, other)
                    if distance is not None and other is not value:
                        shared += _place(root, index) + _place(other_root, other_index) + struct.pack("<q", distance)
                met.append((owner, (root, index, value)))
        for owner, place in met:
            arrays_by_owner.setdefault(owner, []).append(place)
    return blake2b(shared, digest_size=16, person=b"hashstash alias1").digest()


def _place(root: str, index: int) -> bytes:
    name = root.encode("utf-8", "surrogatepass")
    return struct.pack("<I", len(name)) + name + struct.pack("<Q", index)
