"""Functions that fail in every way, for maps; in a module of their own, so that worker processes can import them."""

import os
import signal
import sys
import threading


class Odd(Exception):
    """Wants other arguments than it keeps."""

    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class Holding(Exception):
    """Holds what cannot travel."""

    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()
        self.kept = "kept"


def odd(x):
    raise Odd(x, hint="try again")


def holding(x):
    raise Holding("with a lock")


def holding_a_frame(x):
    error = ValueError("with a frame", sys._getframe())
    error.frame = sys._getframe()
    raise error


def noted(x):
    error = KeyError("k")
    error.add_note("a note")
    error.extra = [1, 2]
    raise error


def caused(x):
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("no value") from error


def grouped(x):
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [KeyError("k")])])


def grouped_with_a_lock(x):
    raise ExceptionGroup("several", [ValueError(1), Holding("inner")])


def leaving(x):
    sys.exit(3)


def interrupting(x):
    raise KeyboardInterrupt("by itself")


def missing(x):
    open("/nowhere/at/all")


def undecodable(x):
    b"\xff".decode("utf-8")


def picky(x):
    if x == 2:
        raise ValueError("not two")
    return x * 10


def dying(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 10


def dying_or_where(x):
    """Dies when it is called with 2; else says in which process it runs."""
    dying(x)
    return os.getpid()


def dying_once(x, marker):
    """Dies the first time that it is called with 2."""
    if x == 2 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 10


class Unwilling:
    def __reduce__(self):
        raise ValueError("not me")


def unwilling(x):
    return Unwilling()
