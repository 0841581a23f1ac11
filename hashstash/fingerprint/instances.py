"""The handler for everything that has no handler of its own: an instance is its class and its state.

A user's instance is its ``__dict__`` and slots, even where its class would pickle less; only if these hold something
volatile does the class's own pickling decide what the state is. Types in C and of packages are what they pickle.
"""

from __future__ import annotations

import contextvars
import copyreg
import enum
import io
import logging
import sys
import threading
import types
import typing
import weakref
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint.classes import origin_of_class
from hashstash.fingerprint.functions import is_memoized
from hashstash.fingerprint.packages import Origin, origin_of_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.fingerprint.walker import Walker

HOOK: Final = "__hashstash_fingerprint__"
"""A method of this name returns what stands for an instance in a fingerprint, in place of its state."""

_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(zip(dict.keys(value), dict.values(value), strict=True))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, lambda value: bytearray(bytearray.__getitem__(value, slice(None)))),
    (int, int.__int__),
    (float, float.__float__),
    (complex, complex.__complex__),
    (BaseException, lambda value: value.args),
)
_PYTHON_LEVEL_MODULES: Final = frozenset({"abc", "typing", "collections.abc", "enum", "dataclasses", "contextlib"})


def describe_volatile(value: Any) -> str | None:
    """What kind of volatile thing *value* is, for ``"`g` is ..."``; ``None`` if it is not known to be one."""
    for kinds, words in _VOLATILE:
        if isinstance(value, kinds):
            return words
    for module, name, words in _VOLATILE_IF_LOADED:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(value, kind):
            return words
    return None


_VOLATILE: Final[tuple[tuple[Any, str], ...]] = (
    (types.GeneratorType, "a generator"),
    (types.AsyncGeneratorType, "an asynchronous generator"),
    (types.CoroutineType, "a coroutine"),
    (_LOCKS, "a lock"),
    ((threading.Condition, threading.Semaphore, threading.Event, threading.Barrier), "a lock"),
    (threading.Thread, "a thread"),
    (threading.local, "thread-local data"),
    (types.FrameType, "a frame"),
    (types.TracebackType, "a traceback"),
    (weakref.ReferenceType, "a weak reference"),
    ((weakref.WeakValueDictionary, weakref.WeakKeyDictionary, weakref.WeakSet), "a weak container"),
    ((contextvars.ContextVar, contextvars.Token, contextvars.Context), "a context variable"),
)
_VOLATILE_IF_LOADED: Final = (
    ("socket", "socket", "a socket"),
    ("sqlite3", "Connection", "a database connection"),
    ("sqlite3", "Cursor", "a database cursor"),
    ("subprocess", "Popen", "a process"),
    ("multiprocessing.process", "BaseProcess", "a process"),
    ("concurrent.futures", "Executor", "an executor"),
    ("concurrent.futures", "Future", "a future"),
    ("asyncio", "Future", "a future"),
    ("asyncio", "AbstractEventLoop", "an event loop"),
    ("ssl", "SSLContext", "an SSL context"),
    ("mmap", "mmap", "a memory map"),
)
_PICKLING: Final = ("__reduce_ex__", "__reduce__", "__getstate__")
_TEXT_BUFFERS: Final = (io.BytesIO, io.StringIO)


def walk_instance(walker: Walker, value: Any) -> None:
    cls = type(value)
    if is_memoized(value):
        walker.mark("memoized")
        walker.bound("", value.__wrapped__)
        return
    hook = getattr(cls, HOOK, None)
    if hook is not None:
        walker.register(value)
        walker.walk(cls)
        walker.step("", hook(value))
        return
    words = describe_volatile(value)
    if words is not None:
        walker.refuse(words, value)
    elif cls in _TEXT_BUFFERS:
        _walk_reduced(walker, value)
    elif (stream := _standard_stream(value)) is not None:
        walker.mark("stream", stream)
    elif isinstance(value, io.IOBase):
        walker.refuse("an open file" if not value.closed else "a closed file", value)
    elif isinstance(value, enum.Enum):
        walker.walk(cls)
        walker.mark("member", value._name_)
        walker.step(".value", value._value_)
    elif _is_plain_user_class(cls):
        _walk_user_instance(walker, value)
    elif hasattr(cls, "__next__") and origin_of_name(cls.__module__) is Origin.STDLIB:
        walker.refuse("an iterator", value)
    else:
        _walk_reduced(walker, value)


def _standard_stream(value: Any) -> str | None:
    """The name under which ``sys`` has a stream now: what is written to it is no state."""
    return next((name for name in ("stdout", "stderr") if value is getattr(sys, name, None)), None)


def _is_plain_user_class(cls: type) -> bool:
    """Whether ``__dict__``, slots and the content of a built-in base are all the state that an instance has."""
    known = {kind for kind, _ in _BASES}
    is_user = origin_of_class(cls) is Origin.USER
    return is_user and all(
        base is object
        or base in known
        or base.__module__ in _PYTHON_LEVEL_MODULES
        or issubclass(base, BaseException)
        or origin_of_class(base) is Origin.USER
        for base in cls.__mro__
    )


def _walk_user_instance(walker: Walker, value: Any) -> None:
    cls = type(value)
    if all(getattr(cls, name) is getattr(object, name) for name in _PICKLING):
        _walk_state_of(walker, value)
    elif id(value) in walker.volatile_state or not walker.attempt(lambda: _walk_state_of(walker, value)):
        # Noted, so that an attempt around this one does not try again: nested attempts would take exponential time.
        walker.volatile_state[id(value)] = value
        _walk_reduced(walker, value)


def _walk_state_of(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("instance")
    walker.walk(type(value))
    for base, content in _BASES:
        if isinstance(value, base):
            walker.walk(content(value))
    walk_state(walker, object.__getstate__(value))
    _walk_chain(walker, value)


def walk_state(walker: Walker, state: Any) -> None:
    """Write the state that pickle would set: a ``__dict__``, a pair of that and the slots, or anything else."""
    if isinstance(state, tuple) and len(state) == 2 and type(state[1]) is dict:
        walker.mark("state with slots")
        walk_state(walker, state[0])
        walk_state(walker, state[1])
    elif type(state) is dict and all(type(name) is str for name in state):
        walker.register(state)
        walker.mark("state", len(state))
        walker.atoms(list(state))
        walker.items(state.values(), zip(state, repeat(None)))
    else:
        walker.walk(state)


def _walk_reduced(walker: Walker, value: Any) -> None:
    try:
        reduced = _reduce(value)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001  __reduce_ex__ is foreign code
        walker.refuse(
            f"an object of type {type(value).__module__}.{type(value).__qualname__} without a state: {error}", value
        )
        return
    if isinstance(reduced, str):
        _walk_global(walker, value, reduced)
        return
    if _holds_address(value, reduced[1]):
        walker.refuse("an object whose pickled form holds its address", value)
        return
    walker.register(value)
    walker.mark("reduced")
    walker.walk(type(value))
    walker.walk(reduced[0])
    walker.all(reduced[1])
    rest = [*reduced[2:], None, None, None]
    if isinstance(value, BaseException) and not rest[0]:
        rest[0] = None  # looking at an exception's attributes gives it an empty dict
    walk_state(walker, rest[0])
    if isinstance(value, logging.Logger):
        _walk_logger(walker, value)
    walker.all([] if rest[1] is None else list(rest[1]))
    walker.all([] if rest[2] is None else [part for pair in rest[2] for part in pair])
    _walk_chain(walker, value)


def _walk_logger(walker: Walker, value: logging.Logger) -> None:
    """Write what a logger lets through and how it is formatted; one that nobody has set up is its name."""
    set_up = (value.level, value.disabled, value.propagate, len(value.filters))
    if set_up == (logging.NOTSET, False, True, 0) and not value.handlers:
        return
    walker.mark("logger", *map(int, set_up))
    for handler in value.handlers:
        formatter = handler.formatter
        layout = (None, None) if formatter is None else (getattr(formatter, "_fmt", None), formatter.datefmt)
        walker.mark("handler", type(handler).__name__, handler.level, *map(str, layout))


def _walk_chain(walker: Walker, value: Any) -> None:
    """Write what an exception came from, which is no part of its state."""
    if isinstance(value, BaseException):
        for name in ("__cause__", "__context__"):
            if getattr(value, name) is not None:
                walker.step(f".{name}", getattr(value, name))


def registered_reducer(value: Any) -> Any:
    """What ``copyreg`` has for the type of *value*.

    Except for what tblib, and Dask with it, puts there for all exceptions: it would add the traceback to what they are.
    """
    reducer = copyreg.dispatch_table.get(type(value))
    module = getattr(getattr(reducer, "func", reducer), "__module__", None) or ""
    return None if isinstance(value, BaseException) and module.partition(".")[0] == "tblib" else reducer


def _reduce(value: Any) -> Any:
    reducer = registered_reducer(value)
    reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    if not isinstance(reduced, str) and not (isinstance(reduced, tuple) and len(reduced) >= 2):
        raise TypeError("__reduce__ must return a string or a tuple of at least two")
    return reduced


def _holds_address(value: Any, arguments: tuple[Any, ...]) -> bool:
    address = id(value)
    return any(
        (type(part) is int and part == address) or (type(part) is str and f"{address:x}" in part) for part in arguments
    )


_DEFINED_BY = (
    *("__value__", "__type_params__", "__supertype__", "__bound__", "__constraints__", "__default__"),
    *("__covariant__", "__contravariant__"),
)
"""Of type aliases, new types and type variables."""
_NOTHING: Final = (None, False, (), getattr(typing, "NoDefault", None))
"""Parts that say nothing."""


def _walk_global(walker: Walker, value: Any, name: str) -> None:
    """What pickles as a name: it is found again by its module. If that is the user's, what it stands for counts too.

    A bare sentinel or type variable is its name alone, on every Python: newer ones have more parts that say nothing.
    """
    module = str(getattr(value, "__module__", None) or type(value).__module__)
    origin = origin_of_name(module)
    walker.installed("global", module, name, is_stdlib=origin is not Origin.INSTALLED)
    if origin is not Origin.USER:
        return
    parts = _definition_of(value)
    state = {} if type(value).__module__ == "typing" else dict(getattr(value, "__dict__", {}))
    if parts or state:
        walker.register(value)
    for part, content in parts.items():
        walker.mark("defined by", part)
        walker.bound(f".{part}", content)
    if state:
        walk_state(walker, state)


def _definition_of(value: Any) -> dict[str, Any]:
    """The parts that say something of what *value* stands for."""
    parts = {}
    for part in _DEFINED_BY:
        try:
            content = getattr(value, part)
        except Exception:  # noqa: BLE001 - some are evaluated now, by code of the user's
            continue
        if not any(content is nothing for nothing in _NOTHING):
            parts[part] = content
    return parts
