"""Many small cases in one test: where thousands take less time than pytest takes to call them.

    with cases() as case:
        for name in NAMES:
            with case(name):
                assert ...

All cases are tried; those that fail are raised together, each with its name. `each` makes such a test of one with parameters::

    @each("name", VALUES)
    def test_it_comes_back(name):
        ...
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest


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


def each(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like ``pytest.mark.parametrize``, but one test with a case per value; all cases share what its fixtures made.

    A case may skip itself; where all do, the test is skipped.
    """
    parameters = names.replace(",", " ").split()
    given = [_case_of(parameters, value) for value in values]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        fixtures = [one for one in signature.parameters.values() if one.name not in parameters]
        assert len(fixtures) + len(parameters) == len(signature.parameters), f"{names}: no such parameters"

        @functools.wraps(function)
        def test(**made: Any) -> None:
            skipped = []
            with cases() as case:
                for label, arguments in given:
                    with case(label):
                        try:
                            function(**arguments, **made)
                        except pytest.skip.Exception as reason:
                            skipped.append(reason)
            if len(skipped) == len(given):
                raise skipped[0]

        test.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return test

    return decorate


def _case_of(parameters: list[str], value: Any) -> tuple[object, dict[str, Any]]:
    """What a case is called, and its arguments."""
    label = value
    if isinstance(value, type(pytest.param())):
        label, value = value.id, value.values
    elif len(parameters) == 1:
        value = (value,)
    return label, dict(zip(parameters, value, strict=True))
