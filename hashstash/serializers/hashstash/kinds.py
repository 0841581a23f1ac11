"""What a value is, in the words of its user: ``a generator``, ``an open file``, ``a sqlite3.Connection``."""

from __future__ import annotations

import _thread
import contextvars
import io
import sys
import threading
import types
import weakref

NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (types.GeneratorType, "a generator"),
    (types.AsyncGeneratorType, "an async generator"),
    (types.CoroutineType, "a coroutine"),
    (types.FrameType, "a stack frame"),
    (types.TracebackType, "a traceback"),
    ((type(_thread.allocate_lock()), type(threading.RLock())), "a lock"),
    (threading.Thread, "a thread"),
    (threading.local, "a thread-local"),
    ((contextvars.ContextVar, contextvars.Token), "a context variable"),
    (contextvars.Context, "a context"),
    (weakref.ReferenceType, "a weak reference"),
    (types.ModuleType, "a module that was made at run time"),
)


def describe(value: object) -> str:
    """The kind of *value* with its article."""
    for kinds, name in NAMES:
        if isinstance(value, kinds):
            return name
    if "socket" in sys.modules and isinstance(value, sys.modules["socket"].socket):
        return "a socket"
    if isinstance(value, io.IOBase) and not isinstance(value, (io.BytesIO, io.StringIO)):
        return "an open file"
    return with_article(type_name(type(value)))


def type_name(kind: type) -> str:
    """The name of *kind* with its module, without it for what everyone has at hand."""
    module = getattr(kind, "__module__", None)
    hidden = module in {"builtins", "__main__", None} or module not in sys.modules
    return kind.__qualname__ if hidden else f"{module}.{kind.__qualname__}"


def with_article(name: str) -> str:
    """*name* after "a" or "an"."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def never_stored(value: object) -> bool:
    """Whether *value* is tied to this process, however willingly its class would describe it."""
    return isinstance(value, _TIED)


_TIED = (
    types.GeneratorType,
    types.AsyncGeneratorType,
    types.CoroutineType,
    types.FrameType,
    types.TracebackType,
    threading.Thread,
    threading.local,
    contextvars.ContextVar,
    contextvars.Token,
    contextvars.Context,
    weakref.ReferenceType,
)
