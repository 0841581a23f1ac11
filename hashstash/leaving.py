"""``with`` blocks that are left whatever interrupts them.

An interrupt (KeyboardInterrupt) is raised where the interpreter looks for it: at the first instruction of a Python function, and
after each call. The ``__enter__`` and ``__exit__`` of ``contextlib.contextmanager`` are such functions. Where one comes
there, the generator stays where it is for as long as somebody keeps the traceback, which notebooks do until the next error.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

Parameters = ParamSpec("Parameters")
Yielded = TypeVar("Yielded")

nothing: Any = bool
"""Does nothing when it is called, in C."""


class Closing(io.IOBase):
    """Its ``__exit__`` is C code that calls ``close``; if that is C code too, no interrupt comes before its first step."""

    close: Callable[[], None] = nothing
    """Of the class, it is there also where an interrupt comes before that of the instance: Python closes what it drops."""

    def __init__(self, close: Callable[[], None] = nothing) -> None:
        self.close = close


class _Enter:
    """``with`` asks the instance; those who ask the class, such as ExitStack, call what they are given with the instance."""

    def __get__(self, block: Block[Any] | None, kind: type) -> Callable[..., Any]:
        return _entered if block is None else functools.partial(next, block.generator)


class _Exit:
    def __get__(self, block: Block[Any] | None, kind: type) -> Callable[..., None]:
        return _left if block is None else block.closing.__exit__


class Block(Generic[Yielded]):
    """What is entered by going on to the ``yield`` of a generator, and left by closing it, each of them by C code alone."""

    __slots__ = ("closing", "generator")
    if TYPE_CHECKING:

        def __enter__(self) -> Yielded: ...
        def __exit__(self, *_exception: object) -> None: ...
    else:
        __enter__, __exit__ = _Enter(), _Exit()

    def __init__(self, generator: Generator[Yielded, None, None]) -> None:
        self.generator = generator
        self.closing = Closing(generator.close)


def _entered(block: Block[Yielded]) -> Yielded:
    return next(block.generator)


def _left(block: Block[Any], *_exception: object) -> None:
    block.generator.close()


def always_left(function: Callable[Parameters, Iterator[Yielded]]) -> Callable[Parameters, Block[Yielded]]:
    """Like ``contextlib.contextmanager``, for generators that undo in a ``finally`` what they have done in its ``try``.

    What the block raises is not thrown into them, so that they cannot handle it: they are closed.
    """

    @functools.wraps(function)
    def made(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Block[Yielded]:
        return Block(function(*args, **kwargs))  # type: ignore[arg-type]

    return made
