"""Whether a stash keeps its promises while it is killed, interrupted, filled up, raced for, damaged and attacked.

It knows nothing of how anything is stored: it uses what users use, and holds what it reads against what it has itself noted.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CHECKS"]


def __getattr__(name: str) -> Any:
    """All checks, for whoever runs them; the processes that a check starts import only their own module."""
    if name != "CHECKS":
        raise AttributeError(name)
    from torture.registered import CHECKS

    return CHECKS
