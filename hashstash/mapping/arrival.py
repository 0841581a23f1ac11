"""A function where it has arrived is the one that was sent, or its process starts anew, or its sender hears that it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.errors import VolatileKey
from hashstash.fingerprint import LiveFingerprint
from hashstash.mapping import cargo, modules

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.functions.function_stash import Memo
    from hashstash.mapping.worker import Job


class Differs(Exception):
    """Imported here, the function is not what its sender has; it may be if it comes by value."""


class NeedsFreshProcess(Exception):
    """The user's modules that are loaded here are older versions."""


def fingerprint_of(memo: Memo) -> bytes | None:
    """What the function's fingerprint must be where it arrives; ``None`` if it has none, or came from elsewhere itself."""
    if not isinstance(memo.live, LiveFingerprint):
        return None
    try:
        return memo.live.digest()
    except VolatileKey:
        return None


def function_of(job: Job, *, is_own: bool, is_fresh: bool) -> Callable[..., Any]:
    """The function of *job*; *is_own*: this process is ours and may end; *is_fresh*: it has not had another job before."""
    if job.modules is None or job.modules.are_here:
        return _unpickled(job)
    modules.watch()
    if job.modules.are_newer():
        _start_anew(is_own=is_own)
        is_fresh = True
    try:
        return _checked(job)
    except Differs as error:
        if is_fresh or isinstance(error.__cause__, ModuleNotFoundError):
            raise
    _start_anew(is_own=is_own)  # a module that it imports when it is called is known here and not to the sender
    return _checked(job)


def _start_anew(*, is_own: bool) -> None:
    if is_own:
        raise NeedsFreshProcess
    modules.forget()


def _checked(job: Job) -> Callable[..., Any]:
    function = _unpickled(job)
    if job.fingerprint is not None:
        try:
            found = LiveFingerprint(function).digest()
        except VolatileKey as error:
            raise Differs from error
        if found != job.fingerprint:
            raise Differs
    return function


def _unpickled(job: Job) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = cargo.loads(job.function)
    except (ImportError, AttributeError) as error:
        if job.is_final:
            raise
        raise Differs from error
    return function
