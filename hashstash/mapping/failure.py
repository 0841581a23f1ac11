"""Exceptions on their way from a worker: type, arguments, attributes, notes and cause are kept, the traceback comes as text."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any, NamedTuple

from hashstash.mapping.cargo import dumps, loads_back

_MOST_CAUSES = 20


class RemoteTraceback(Exception):
    """Where a worker was when its item failed; the first cause of the exception that the reader gets."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text.rstrip()}"


class Failure(NamedTuple):
    """An exception as bytes."""

    pickled: bytes | None
    """The exception itself, or ``None`` if it cannot travel."""
    parts: bytes | None
    """Its class, arguments, attributes and notes, for a class that cannot be called with its own arguments."""
    summary: str
    traceback: str
    cause: Failure | None = None
    """What it was raised from."""
    members: tuple[Failure, ...] = ()
    """What is in a group of exceptions that cannot travel as a whole."""

    def error(self, *, is_remote: bool = True) -> BaseException:
        """The exception; what its first cause was is caused by the worker's traceback, unless it is not *is_remote*."""
        error = first = _rebuilt(self)
        packed = self.cause
        while packed is not None:
            cause = _rebuilt(packed)
            _set(first, "__cause__", cause)
            first, packed = cause, packed.cause
        if is_remote:
            _set(first, "__cause__", RemoteTraceback(self.traceback))
        return error


def pack(error: BaseException) -> Failure:
    """*error* as it leaves the worker."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _MOST_CAUSES:
        if any(cause is known for known in causes):
            break
        causes.append(cause)
    packed = None
    for each in reversed(causes):
        packed = _packed(each, packed, with_traceback=each is error)
    assert packed is not None
    return packed


def add_note(error: BaseException, note: str) -> None:
    """Add *note*, even to an exception whose class does not let itself be changed."""
    with contextlib.suppress(AttributeError):  # notes that somebody has replaced by something else than a list
        error.__dict__.setdefault("__notes__", []).append(note)


def _packed(error: BaseException, cause: Failure | None, *, with_traceback: bool) -> Failure:
    text = "".join(traceback.format_exception(error)) if with_traceback else ""
    summary = "".join(traceback.format_exception_only(error)).strip()
    pickled = _pickled(error)
    if pickled is not None:
        return Failure(pickled, None, summary, text, cause)
    members = tuple(map(pack, error.exceptions)) if isinstance(error, BaseExceptionGroup) else ()
    return Failure(None, _parts(error), summary, text, cause, members)


def _pickled(error: BaseException) -> bytes | None:
    """*error* pickled, if what comes back has the same type and arguments."""
    try:
        data = dumps(error)
        again = loads_back(data)
    except Exception:  # noqa: BLE001 - whatever a user's exception class does when it is pickled or called
        return None
    return data if type(again) is type(error) and _same(again.args, error.args) else None


def _same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001 - arrays among the arguments, for one, have no truth value
        return True


def _parts(error: BaseException) -> bytes | None:
    state = {name: value for name, value in error.__dict__.items() if _can_travel(value)}
    args: tuple[Any, ...] = tuple(value if _can_travel(value) else repr(value) for value in error.args)
    if isinstance(error, BaseExceptionGroup):
        args = (error.message,)
    try:
        return dumps((type(error), args, state))
    except Exception:  # noqa: BLE001 - a class that cannot travel either
        return None


def _can_travel(value: Any) -> bool:
    try:
        loads_back(dumps(value))
    except Exception:  # noqa: BLE001
        return False
    return True


def _rebuilt(failure: Failure) -> BaseException:
    with contextlib.suppress(
        Exception
    ):  # a class that only the worker can import or make: its text is what can be told
        if failure.pickled is not None:
            error: BaseException = loads_back(failure.pickled)
            return error
        if failure.parts is not None:
            kind, args, state = loads_back(failure.parts)
            return _made(kind, args, state, [member.error(is_remote=False) for member in failure.members])
    return RuntimeError(failure.summary)


def _made(kind: Any, args: tuple[Any, ...], state: dict[str, Any], members: list[BaseException]) -> BaseException:
    """An exception of class *kind*, which is not called: it may want other arguments than it keeps."""
    error: BaseException = kind.__new__(kind, *args, members) if members else kind.__new__(kind, *args)
    if not members:
        _set(error, "args", args)
    error.__dict__.update(state)
    return error


def _set(error: BaseException, name: str, value: Any) -> None:
    object.__setattr__(
        error, name, value
    )  # past a class that does not let itself be changed, such as a frozen dataclass
