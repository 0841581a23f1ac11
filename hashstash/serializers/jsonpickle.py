"""JSON that people can read, by jsonpickle. Always code: only entries that this user trusts are decoded.

jsonpickle changes many values without a word: it empties a bytearray, drops the cause of an exception, leaves a dict where a
class cannot be imported. So each value is read again before it is stored, and what is not the same is refused. What a
document names is looked up before it is read, because jsonpickle goes on without what it does not find. The document::

    {"handlers": ["numpy.ndarray"], "value": what jsonpickle makes of the value}

``handlers`` are the classes for which the user had registered handlers of his own; reading needs the same ones.
"""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

from hashstash.codec import Encoded
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UnsupportedValue, VolatileKey
from hashstash.serializers._difference import first_difference

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import jsonpickle.errors
    import jsonpickle.handlers
    import jsonpickle.pickler
    import jsonpickle.tags
    import jsonpickle.unpickler
except ImportError as missing:
    raise MissingDependency(
        "the jsonpickle serializer needs the package 'jsonpickle': pip install 'hashstash[jsonpickle]'"
    ) from missing

LOOKED_UP = (
    jsonpickle.tags.OBJECT,
    jsonpickle.tags.TYPE,
    jsonpickle.tags.FUNCTION,
)
OWN_HANDLERS = dict(jsonpickle.handlers.registry._handlers)  # noqa: SLF001 - there is no public way to list them
"""The handlers that jsonpickle itself has, unless somebody registered more before this module was imported."""


class JsonpickleSerializer:
    """Values that jsonpickle keeps exactly; any other value is refused, with the part that would change."""

    name = "jsonpickle"

    def dumps(self, value: Any) -> Encoded:
        """*value* as JSON; :class:`UnsupportedValue` naming the part that would not come back as it is."""
        try:
            text = json.dumps(jsonpickle.pickler.Pickler(keys=True).flatten(value))
            flat, again = json.loads(text), json.loads(text)
        except Exception as error:  # code of the user's classes, and whatever jsonpickle stumbles over
            raise UnsupportedValue(f"jsonpickle cannot store this {_name(value)}: {error!r}; {_REMEDY}") from error
        _verify(value, again)  # which takes it apart
        handlers = json.dumps(sorted(name for name in set(_names(flat)) if _has_users_handler(name)))
        return Encoded(f'{{"handlers": {handlers}, "value": {text}}}'.encode(), (), is_code=True)

    def loads(self, encoded: Encoded) -> Any:
        """The value; :class:`BadEntry` if a class, function or handler that it needs is not there."""
        if not encoded.is_code or encoded.buffers:
            raise CorruptEntry("a stored jsonpickle is marked as data, but a jsonpickle is code; delete the entry")
        handlers, flat = _parse(bytes(encoded.document))
        for name in set(_names(flat)):
            _look_up(name, needs_handler=name in handlers)
        try:
            return _restore(flat)
        except Exception as error:  # code of the user's classes
            raise BadEntry(f"a stored jsonpickle cannot be restored: {error!r}; store the value again") from error


_REMEDY = "leave out that part, or use serializer='hashstash' or 'pickle'"


def _verify(value: Any, flat: Any) -> None:
    """Raise UnsupportedValue if *flat* does not stand for *value*."""
    try:
        different = first_difference(value, _restore(flat))
    except VolatileKey as error:
        raise UnsupportedValue(f"whether jsonpickle would keep it cannot be verified: {error}; {_REMEDY}") from error
    except Exception as error:  # code of the user's classes
        raise UnsupportedValue(
            f"jsonpickle can write this {_name(value)}, but not read it: {error!r}; {_REMEDY}"
        ) from error
    if different is not None:
        raise UnsupportedValue(f"jsonpickle would change {different} of this {_name(value)}; {_REMEDY}")


def _restore(flat: Any) -> Any:
    unpickler = jsonpickle.unpickler.Unpickler(keys=True, on_missing="error")
    try:
        return unpickler.restore(flat)
    except jsonpickle.errors.ClassNotFoundError as error:  # which is no Exception
        raise LookupError("jsonpickle cannot make an instance of a class that it names") from error


def _parse(document: bytes) -> tuple[list[str], Any]:
    try:
        parts = json.loads(document)
        handlers, flat = parts["handlers"], parts["value"]
        if len(parts) != 2 or type(handlers) is not list:
            raise TypeError("something is where nothing belongs")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptEntry(f"a stored jsonpickle is malformed ({error!r}); delete the entry") from error
    return handlers, flat


def _names(flat: Any) -> Iterator[str]:
    """All classes and functions that jsonpickle looks up when it restores *flat*."""
    pending = [flat]
    while pending:
        part = pending.pop()
        if type(part) is list:
            pending.extend(part)
        elif type(part) is dict:
            yield from (part[tag] for tag in LOOKED_UP if type(part.get(tag)) is str)
            pending.extend(part.values())
            start = jsonpickle.tags.JSON_KEY
            pending.extend(json.loads(key[len(start) :]) for key in part if key.startswith(start))


def _handler(name: str) -> Any:
    found = jsonpickle.unpickler.loadclass(name)
    return jsonpickle.handlers.get(found, jsonpickle.handlers.get(name))


def _has_users_handler(name: str) -> bool:
    handler = _handler(name)
    return handler is not None and handler not in OWN_HANDLERS.values()


def _look_up(name: str, *, needs_handler: bool) -> None:
    """Raise if what *name* stands for is not there, or not handled as it was when it was written."""
    if jsonpickle.unpickler.loadclass(name) is None and _handler(name) is None:
        package = name.partition(".")[0]
        if package != "__main__" and importlib.util.find_spec(package) is None:
            raise MissingDependency(
                f"the stored value needs {name!r}, and there is no module {package!r} here; install the package that has it"
            )
        raise BadEntry(
            f"the stored value needs {name!r}, which is not there; define it first, or store the value again"
        )
    if needs_handler != _has_users_handler(name):
        verb = "register" if needs_handler else "unregister"
        raise BadEntry(
            f"the stored value was written {'with' if needs_handler else 'without'} a handler for {name!r}; "
            f"{verb} it with jsonpickle.handlers, or store the value again"
        )


def _name(value: object) -> str:
    return type(value).__qualname__


PLUGIN = JsonpickleSerializer()
