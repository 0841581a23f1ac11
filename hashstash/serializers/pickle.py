"""Pickle, protocol 5, with large buffers out of band. Always code: only entries that this user trusts are decoded.

What lives in ``__main__`` only, such as the functions of a notebook, is pickled by value where cloudpickle is
installed, so that another process can read it. Without cloudpickle it is pickled by name, if it has one.
"""

from __future__ import annotations

import functools
import io
import pickle
import types
from typing import TYPE_CHECKING, Any

from hashstash.codec import Buffer, Encoded
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = 5
LARGE_BUFFER = 4096
"""Buffers from this size on stay outside of the document."""
MAIN = frozenset({"__main__", "__mp_main__"})
REFUSALS = (pickle.PicklingError, AttributeError, TypeError, RecursionError)
"""What plain pickle raises for what it cannot store, such as a lambda."""
BROKEN = (pickle.UnpicklingError, EOFError, MemoryError, UnicodeDecodeError, IndexError, OverflowError)
"""What reading bytes raises that no pickler wrote."""


class _InMain(Exception):
    """A function or class that other processes do not have."""


class _Pickler(pickle.Pickler):
    """Plain pickle, which stops at what only cloudpickle stores by value."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, types.FunctionType)) and getattr(obj, "__module__", None) in MAIN:
            raise _InMain
        return NotImplemented


class PickleSerializer:
    """Any object that pickle or cloudpickle can store. Arrays come back writable."""

    name = "pickle"

    def dumps(self, value: Any) -> Encoded:
        """*value* as a pickle; :class:`UnsupportedValue` if neither pickle nor cloudpickle can store it."""
        cloud = _cloudpickle()
        try:
            return _encode(_Pickler if cloud else pickle.Pickler, value)
        except (*REFUSALS, _InMain) as refusal:
            if cloud is None:
                raise UnsupportedValue(
                    f"pickle cannot store this {_name(value)}: {refusal}; functions and classes that no module has "
                    "need cloudpickle: pip install cloudpickle"
                ) from refusal
        try:
            return _encode(cloud.Pickler, value)
        except Exception as error:  # code of the user's classes
            raise UnsupportedValue(
                f"neither pickle nor cloudpickle can store this {_name(value)}: {error}; leave out the part that is "
                "named, or store what it is made from"
            ) from error

    def loads(self, encoded: Encoded) -> Any:
        """The value; :class:`BadEntry` if its classes are not what they were."""
        if not encoded.is_code:
            raise CorruptEntry("a stored pickle is marked as data, but a pickle is code; delete the entry")
        try:
            return pickle.loads(encoded.document, buffers=[_writable(buffer) for buffer in encoded.buffers])
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"the stored value needs the module {error.name!r}, which cannot be imported here; "
                "install the package that has it, or put its folder on sys.path"
            ) from error
        except BROKEN as error:
            raise CorruptEntry(f"a stored pickle is malformed ({error}); delete the entry") from error
        except Exception as error:  # code of the user's classes
            raise BadEntry(f"a stored pickle cannot be restored: {error!r}; store the value again") from error


def _encode(make: Callable[..., Any], value: Any) -> Encoded:
    document = io.BytesIO()
    buffers: list[Buffer] = []
    pickler = make(document, protocol=PROTOCOL, buffer_callback=functools.partial(_stays_inside, buffers))
    try:
        pickler.dump(value)
    except (*REFUSALS, _InMain):
        raise
    except Exception as error:  # code of the user's classes
        raise UnsupportedValue(f"this {_name(value)} cannot be pickled: {error!r}") from error
    return Encoded(document.getvalue(), buffers, is_code=True)


def _stays_inside(buffers: list[Buffer], buffer: pickle.PickleBuffer) -> bool:
    """Take a large buffer out of the pickle; say whether this one stays."""
    try:
        raw = buffer.raw()
    except BufferError:  # its memory is not contiguous
        return True
    if raw.nbytes < LARGE_BUFFER:
        return True
    buffers.append(raw)
    return False


def _writable(buffer: Buffer) -> Buffer:
    return bytearray(buffer) if memoryview(buffer).readonly else buffer


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError:
        return None
    return cloudpickle


def _name(value: object) -> str:
    return type(value).__qualname__


PLUGIN = PickleSerializer()
