"""Whether what was decoded is what was encoded: equal by fingerprint, or at least as its own library promises."""

from __future__ import annotations

from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.packages import Origin, origin_of_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.fingerprint import Fingerprinter, Walk

_CODE = (type, FunctionType, ModuleType, partial)
_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__")


class Comparison:
    """Compares originals with their decoded counterparts."""

    def __init__(self, fingerprinter: Fingerprinter, live: Sequence[Any] = ()) -> None:
        """*live*: objects which both sides hold, and which hold the originals already."""
        self.fingerprinter = fingerprinter
        self.live = live
        self._met: dict[tuple[int, int], tuple[Any, Any]] = {}

    def is_same(self, original: Any, again: Any, known: Walk | None = None) -> bool:
        """Whether both have the same fingerprint; what has none cannot be told apart. *known*: that of the original."""
        walk = known or self.fingerprinter.walk(original)
        if walk.volatile or walk.digest == self.fingerprinter.walk(again).digest:
            return True
        among = partial(self.fingerprinter.walk_among, self.live)
        return bool(self.live) and among(original).digest == among(again).digest

    def is_as_promised(self, original: Any, again: Any) -> bool:
        """Whether they differ only inside objects of installed libraries which say themselves how they are pickled.

        A figure, for example, leaves out its canvas and its callbacks, and makes new ones.
        """
        if original is again or (id(original), id(again)) in self._met:
            return True
        if type(original) is not type(again):
            return False
        self._met[id(original), id(again)] = original, again  # kept, so that their identities stay their own
        if _pickles_itself(type(original)):
            return True
        parts, others = _parts(original), _parts(again)
        if parts is None or others is None or len(parts) != len(others):
            return self.is_same(original, again)
        return all(map(self.is_as_promised, parts, others))


def _pickles_itself(kind: type) -> bool:
    if origin_of_name(kind.__module__) is not Origin.INSTALLED:
        return False
    return any(_has_own(kind, name) for name in _PICKLING)


def _has_own(kind: type, name: str) -> bool:
    return getattr(kind, name, None) is not getattr(object, name, None)


def _parts(value: Any) -> list[Any] | None:
    """The parts of a container or instance, in order, or of a method; ``None`` for anything else."""
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, BuiltinMethodType) and not isinstance(value.__self__, ModuleType | None):
        return [value.__name__, value.__self__]
    content = _content(value)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and not isinstance(value, _CODE) and not _has_own(type(value), "__reduce_ex__"):
        return [*(content or ()), *attributes.keys(), *attributes.values()]
    return content


def _content(value: Any) -> list[Any] | None:
    if isinstance(value, list):
        return list(list.__iter__(value))
    if isinstance(value, tuple):
        return list(tuple.__iter__(value))
    return [*dict.keys(value), *dict.values(value)] if isinstance(value, dict) else None
