"""A stash that takes values of certain types only: what has to be seen is the value, so this wraps the stash's serializer.

Whatever way a value takes into the stash, it is serialized first: nothing of a wrong type is ever stored, and nothing is lost.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from hashstash.codec import Encoded, plain_writer
from hashstash.errors import PolicyError, StashError
from hashstash.wording import shortened

if TYPE_CHECKING:
    from hashstash.codec import Serializer

ValueType: TypeAlias = "tuple[type, ...] | Callable[[Any], Any]"

_SHOWN = 60
_NONE = "None"


class TypedSerializer:
    """*inner* for values of *wanted*: types, or a function that is false or raises for what is not wanted."""

    def __init__(self, inner: Serializer, wanted: ValueType) -> None:
        self.name = inner.name
        self.inner = inner
        self.wanted = wanted
        self.loads = inner.loads
        self._dumps = inner.dumps
        self._dumps_plain = plain_writer(inner)

    def dumps(self, value: Any) -> Encoded:
        """The value, serialized; PolicyError if it is not of the wanted type."""
        self.check(value)
        return self._dumps(value)

    def dumps_plain(self, value: Any) -> bytes | None:
        """The same by the quick way of *inner*, if it has one for this value."""
        self.check(value)
        return self._dumps_plain(value)

    def check(self, value: Any) -> None:
        """Raise PolicyError if the stash does not take *value*."""
        if isinstance(self.wanted, tuple):
            if not isinstance(value, self.wanted):
                names = " or ".join(_NONE if kind is type(None) else kind.__qualname__ for kind in self.wanted)
                raise PolicyError(
                    f"this stash takes values of the type {names}, not {_described(value)}; nothing was stored"
                )
            return
        try:
            is_wanted = self.wanted(value)
        except StashError:
            raise
        except Exception as error:
            raise PolicyError(f"value_type={_name(self.wanted)} refuses {_described(value)}: {error}") from error
        if not is_wanted:
            raise PolicyError(f"value_type={_name(self.wanted)} refuses {_described(value)}; nothing was stored")


def _described(value: Any) -> str:
    return f"the {type(value).__qualname__} {shortened(value, _SHOWN)}"


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or shortened(function, _SHOWN)


def parse_value_type(value: Any) -> ValueType | None:
    """What ``value_type=`` means: a type, a union or several of them, a function, or names as :func:`described` gives them."""
    if value is None or (isinstance(value, tuple) and value and all(isinstance(kind, type) for kind in value)):
        return value
    if isinstance(value, str):
        value = _found(value)
    if isinstance(value, type) and not isinstance(value, types.GenericAlias):
        return (value,)
    if isinstance(value, types.UnionType):
        return parse_value_type([type(None) if kind is None else kind for kind in value.__args__])
    if isinstance(value, Iterable) and not callable(value):
        kinds = [_found(kind) if isinstance(kind, str) else kind for kind in value]
        if kinds and all(isinstance(kind, type) and not isinstance(kind, types.GenericAlias) for kind in kinds):
            return tuple(kinds)
    elif callable(value) and not isinstance(value, types.GenericAlias):
        return value  # type: ignore[no-any-return]
    raise TypeError(
        f"value_type={shortened(value, _SHOWN)}; it is a type, several types, or a function that says yes or no"
    )


def described(value: ValueType | None) -> Any:
    """*value* as names, from which another process finds it again; as it is where it has none."""
    if value is None:
        return None
    parts = value if isinstance(value, tuple) else (value,)
    names = [_name_of(part) for part in parts]
    if not all(_is(name, part) for name, part in zip(names, parts, strict=True)):
        return value
    return names if isinstance(value, tuple) else names[0]


def _name_of(part: Any) -> str:
    return _NONE if part is type(None) else f"{getattr(part, '__module__', '')}:{getattr(part, '__qualname__', '')}"


def _is(name: str, part: Any) -> bool:
    try:
        return _found(name) is part
    except ValueError:
        return False


def _found(name: str) -> Any:
    if name == _NONE:
        return type(None)
    module, _, path = name.partition(":")
    if not path and name:
        module, path = "builtins", name
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f"value_type={name!r} cannot be found: {error}; it is written as in 'package.module:Class'"
        ) from error
    return found
