"""Whether what was decoded is what was encoded: equal by fingerprint, or at least as its own library promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.packages import Origin, origin_of_name

if TYPE_CHECKING:
    from hashstash.fingerprint import Fingerprinter, Walk

_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__")


class Comparison:
    """Compares originals with their decoded counterparts."""

    def __init__(self, fingerprinter: Fingerprinter) -> None:
        self.fingerprinter = fingerprinter
        self._met: set[tuple[int, int]] = set()

    def is_same(self, original: Any, again: Any, known: Walk | None = None) -> bool:
        """Whether both have the same fingerprint; what has none cannot be told apart. *known*: that of the original."""
        walk = known or self.fingerprinter.walk(original)
        return bool(walk.volatile) or walk.digest == self.fingerprinter.walk(again).digest

    def is_as_promised(self, original: Any, again: Any) -> bool:
        """Whether they differ only inside objects of installed libraries which say themselves how they are pickled.

        A figure, for example, leaves out its canvas and its callbacks, and makes new ones.
        """
        if original is again or (id(original), id(again)) in self._met:
            return True
        if type(original) is not type(again):
            return False
        self._met.add((id(original), id(again)))
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
    """The parts of a plain container or instance, in order; ``None`` for anything else."""
    if type(value) in (list, tuple):
        return list(value)
    if type(value) is dict:
        return [*value.keys(), *value.values()]
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and not callable(value) and not _has_own(type(value), "__reduce_ex__"):
        return [*attributes.keys(), *attributes.values()]
    return None
