"""Variables of the environment that a function names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.walker import MISSING

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Walker


def walk_environment(walker: Walker, name: str) -> None:
    """The variable of the environment that the function looks at."""
    variables = environment_variables()
    key = os.environ.encodekey(name)
    value = variables.get(key, MISSING)
    if walker.guards is not None:
        walker.guards.lookup(variables, key, value)
    walker.mark("environment", name, "absent" if value is MISSING else "set")
    if value is not MISSING:
        walker.atom(value)


def environment_variables() -> dict[Any, Any]:
    """The environment as ``os.environ`` keeps it: its values are the same objects as long as they are not set anew."""
    return os.environ._data  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001
