"""Calls of the system that fail when they are told to: patched in Python, or beneath everything by a shim of a page of C.

Both count the calls that one thread makes on files below a folder, and let the n-th fail, or that one and all that follow.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import errno
import fcntl
import io
import mmap
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from enum import IntFlag, auto
from typing import Any, NamedTuple, Protocol

SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim.c")


class Call(IntFlag):
    """What is asked of the system; the numbers are those of ``shim.c``."""

    OPEN = auto()
    CREATE = auto()
    READ = auto()
    WRITE = auto()
    RENAME = auto()
    LINK = auto()
    UNLINK = auto()
    MKDIR = auto()
    CHMOD = auto()
    SYNC = auto()
    TRUNCATE = auto()
    ALLOCATE = auto()
    LOCK = auto()
    MAP = auto()
    STAT = auto()
    LIST = auto()


ALL = Call(0xFFFF)
_TAKES_ROOM = (
    Call.CREATE | Call.WRITE | Call.MKDIR | Call.LINK | Call.RENAME | Call.TRUNCATE | Call.ALLOCATE | Call.SYNC
)
_NEEDS_RIGHTS = Call.OPEN | Call.CREATE | Call.MKDIR | Call.RENAME | Call.LINK | Call.UNLINK | Call.CHMOD
_CHANGES = _TAKES_ROOM & ~Call.SYNC | Call.UNLINK | Call.CHMOD
_IS_INTERRUPTED = Call.OPEN | Call.CREATE | Call.READ | Call.WRITE | Call.SYNC | Call.ALLOCATE | Call.TRUNCATE


class Fault(NamedTuple):
    """How a call fails."""

    name: str
    error: int
    """The number of the error; 0: a write stores half of what it was given, and says so."""
    calls: Call
    lasts: bool = False
    """Whether all calls after the n-th fail too."""


BROKEN = Fault("EIO", errno.EIO, ALL)
FAULTS = (
    BROKEN,
    Fault("EIO for good", errno.EIO, ALL, lasts=True),
    Fault("ENOSPC", errno.ENOSPC, _TAKES_ROOM),
    Fault("ENOSPC for good", errno.ENOSPC, _TAKES_ROOM, lasts=True),
    Fault("EDQUOT for good", errno.EDQUOT, _TAKES_ROOM, lasts=True),
    Fault("EACCES", errno.EACCES, _NEEDS_RIGHTS),
    Fault("EROFS", errno.EROFS, _CHANGES),
    Fault("EROFS for good", errno.EROFS, _CHANGES, lasts=True),
    Fault("EMFILE", errno.EMFILE, Call.OPEN | Call.CREATE | Call.LIST),
    Fault("ENOMEM", errno.ENOMEM, Call.MAP),
    Fault("ENOLCK", errno.ENOLCK, Call.LOCK),
    Fault("EAGAIN", errno.EAGAIN, Call.LOCK),
    Fault("EINTR", errno.EINTR, _IS_INTERRUPTED),
    Fault("half a write", 0, Call.WRITE),
)


class Faults(Protocol):
    """A way to make calls fail."""

    def arm(self, folder: str, fault: Fault, number: int) -> None:
        """From now on the *number*-th call of this thread below *folder* fails; 0: none, they are only counted."""

    def disarm(self) -> int:
        """Let calls be; how many have failed."""

    def counted(self) -> int:
        """How many calls there were."""

    def last(self) -> str:
        """The first call that failed, and its path."""

    def kinds(self) -> list[int]:
        """The kinds of all calls since it was armed, one after the other."""

    def reached(self, fault: Fault, kinds: list[int]) -> int:
        """How many of the calls of these *kinds* could fail like that."""


class Preloaded:
    """The shim, in a process that was started with ``LD_PRELOAD``."""

    def __init__(self) -> None:
        self._shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._shim.torture_last.restype = ctypes.c_char_p
        self._shim.torture_counted.restype = self._shim.torture_disarm.restype = ctypes.c_long
        self._shim.torture_traced.restype = ctypes.c_long
        self._shim.torture_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]

    def arm(self, folder: str, fault: Fault, number: int) -> None:
        self._shim.torture_arm(folder.encode(), int(fault.calls), number, fault.error, int(fault.lasts))

    def disarm(self) -> int:
        return int(self._shim.torture_disarm())

    def counted(self) -> int:
        return int(self._shim.torture_counted())

    def last(self) -> str:
        return self._shim.torture_last().decode()

    def kinds(self) -> list[int]:
        many = int(self._shim.torture_traced())
        return list((ctypes.c_ushort * many).in_dll(self._shim, "torture_trace"))

    def reached(self, fault: Fault, kinds: list[int]) -> int:
        return sum(bool(kind & fault.calls) for kind in kinds)


def compiled(folder: str) -> tuple[str, str]:
    """The path of the shim, compiled into *folder*, and why there is none if there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return "", "no C compiler on a Linux: calls beneath Python are not reached"
    path = os.path.join(folder, "shim.so")
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", path, SHIM, "-ldl"], capture_output=True, text=True, timeout=60
    )
    return (path, "") if not made.returncode else ("", f"the shim is not compiled: {made.stderr[:200]}")


class Patched:
    """Python's own functions, wrapped for as long as they are armed; what libraries in C do is not reached."""

    def __init__(self) -> None:
        self._folder, self._fault, self._number, self._thread = "", BROKEN, 0, 0
        self._counted = self._failed = 0
        self._last = ""
        self._kinds: list[int] = []
        self._undo = contextlib.ExitStack()

    def arm(self, folder: str, fault: Fault, number: int) -> None:
        self._folder, self._fault, self._number = folder + os.sep, fault, number
        self._counted = self._failed = 0
        self._last, self._kinds, self._thread = "", [], threading.get_ident()
        for module, name, kind in _PATCHED:
            real = getattr(module, name)
            setattr(module, name, self._wrapped(real, name, kind))
            self._undo.callback(setattr, module, name, real)

    def disarm(self) -> int:
        self._undo.close()
        return self._failed

    def counted(self) -> int:
        return self._counted

    def last(self) -> str:
        return self._last

    def kinds(self) -> list[int]:
        return self._kinds

    def reached(self, fault: Fault, kinds: list[int]) -> int:
        # Python itself tries again where a call was interrupted: what is patched here never sees that.
        return 0 if fault.error == errno.EINTR else sum(bool(kind & fault.calls) for kind in kinds)

    def _wrapped(self, real: Callable[..., Any], name: str, kind: Call | None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() == self._thread and self._is_hit(
                kind or _opening(name, arguments), name, arguments
            ):
                if self._fault.error:
                    # Where a descriptor was given, the system's own error names no path.
                    path = () if isinstance(arguments[0], int) else (os.fsdecode(arguments[0]),)
                    raise OSError(self._fault.error, os.strerror(self._fault.error), *path)
                return _half(real, arguments)
            return real(*arguments, **named)

        return call

    def _is_hit(self, kind: Call, name: str, arguments: tuple[Any, ...]) -> bool:
        path = _path_of(arguments)
        if name == "open" and isinstance(
            arguments[0], int
        ):  # a file of a descriptor: the system is asked to open nothing
            return False
        if not path.startswith(self._folder):
            return False
        self._kinds.append(int(kind))
        if not kind & self._fault.calls:
            return False
        self._counted += 1
        is_hit = self._counted == self._number or (self._fault.lasts and 0 < self._number < self._counted)
        if is_hit and not self._failed:
            self._last = f"{name} {path[len(self._folder) :]}"
        self._failed += is_hit
        return is_hit


_readlink = os.readlink
_PATCHED: tuple[tuple[Any, str, Call | None], ...] = (
    (os, "open", None),
    (builtins, "open", None),
    (io, "open", None),
    *((os, name, Call.READ) for name in ("read", "readv", "pread")),
    *((os, name, Call.WRITE) for name in ("write", "writev", "pwrite")),
    *((os, name, Call.RENAME) for name in ("rename", "replace")),
    (os, "link", Call.LINK),
    *((os, name, Call.UNLINK) for name in ("unlink", "remove", "rmdir")),
    (os, "mkdir", Call.MKDIR),
    *((os, name, Call.CHMOD) for name in ("chmod", "fchmod", "utime")),
    (os, "fsync", Call.SYNC),
    *((os, name, Call.TRUNCATE) for name in ("truncate", "ftruncate")),
    (os, "posix_fallocate", Call.ALLOCATE),
    (fcntl, "flock", Call.LOCK),
    (mmap, "mmap", Call.MAP),
    *((os, name, Call.STAT) for name in ("stat", "lstat", "fstat")),
    *((os, name, Call.LIST) for name in ("scandir", "listdir")),
)


def _opening(name: str, arguments: tuple[Any, ...]) -> Call:
    mode = arguments[1] if len(arguments) > 1 else 0
    creates = mode & os.O_CREAT if isinstance(mode, int) else bool(set(mode) & set("wxa"))
    return Call.CREATE if creates else Call.OPEN


def _path_of(arguments: tuple[Any, ...]) -> str:
    first = arguments[0] if arguments else ""
    if isinstance(first, int):
        try:
            return _readlink(f"/proc/self/fd/{first}")
        except OSError:
            return ""
    return os.fsdecode(first) if isinstance(first, (str, bytes, os.PathLike)) else ""


def _half(real: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    descriptor, content, *rest = arguments
    content = content[0] if isinstance(content, list) else content
    return (
        real(descriptor, [part] if isinstance(arguments[1], list) else part, *rest)
        if (part := _first_half(content))
        else 0
    )


def _first_half(content: Any) -> memoryview:
    view = memoryview(content).cast("B")
    return view[: (len(view) + 1) // 2]


@contextlib.contextmanager
def armed(faults: Faults, folder: str, fault: Fault, number: int) -> Iterator[None]:
    """Within, the call fails."""
    faults.arm(folder, fault, number)
    try:
        yield
    finally:
        faults.disarm()
