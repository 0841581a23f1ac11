"""Many small cases in one test: where thousands take less time than pytest takes to call them.

    with cases() as case:
        for name in NAMES:
            with case(name):
                assert ...

All cases are tried; those that fail are raised together, each with its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager


@contextlib.contextmanager
def cases() -> Iterator[Callable[[object], AbstractContextManager[None]]]:
    """A context that gives a context for each case; at least one has to be tried."""
    failed: dict[str, Exception] = {}
    tried = 0

    @contextlib.contextmanager
    def case(name: object) -> Iterator[None]:
        nonlocal tried
        tried += 1
        try:
            yield
        except Exception as error:
            error.add_note(f"in the case {name!r}")
            failed[repr(name)] = error

    yield case
    assert tried, "there was no case"
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {tried} cases: {', '.join(failed)}", list(failed.values()))
