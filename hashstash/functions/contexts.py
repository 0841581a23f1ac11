"""What a function was made of when its results were stored: one small row for each state of it, so that a miss can be explained.

The rows lie in the stash's ``meta`` section. They hold digests, and the text of numbers only: a constant may be a password.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hashstash.errors import StashError
from hashstash.small_json import read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hashstash.engine import Engine
    from hashstash.fingerprint.parts import Account

logger = logging.getLogger(__name__)

_PREFIX = b"context "
_HEAD = 16
"""Rows carry their write id in bytes 8 to 16; a context is written once, under the write id zero."""
_SHORT = 8
_LONGEST_VERSION = 200
_MOST_PARTS = 5000


@dataclass(frozen=True)
class Context:
    """One state of a function."""

    function: str
    """The digest of the function, without the user's own version."""
    version: str | None
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the function is made of: a short digest for each name."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    """The text of the parts that are numbers."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed packages with their versions."""


class Accountable(Protocol):
    """A fingerprint that can say what it is made of."""

    def digest(self) -> bytes:
        """The digest of the function as it is now."""

    def account(self) -> Account:
        """What the function is made of now."""


def context_of(live: Accountable, version: object) -> Context:
    """The state of a function as it is now."""
    account = live.account()
    parts = {name: digest[:_SHORT].hex() for name, digest in account.parts.items()}
    return Context(
        function=live.digest().hex(),
        version=None if version is None else repr(version)[:_LONGEST_VERSION],
        parts=dict(list(parts.items())[:_MOST_PARTS]),
        numbers=account.numbers,
        packages=account.packages,
    )


def write_context(engine: Engine, digest: bytes, make: Callable[[], Context]) -> None:
    """Store the context unless it is known; where nothing can be written, a miss is explained less well."""
    try:
        section = engine.section("meta")
        if not section.has(_PREFIX + digest):
            section.put(_PREFIX + digest, bytes(_HEAD) + json.dumps(vars(make())).encode())
    except (StashError, OSError) as error:
        logger.debug("%s: a context was not stored: %s", engine.location(), error)


def read_contexts(engine: Engine) -> dict[bytes, Context]:
    """All stored contexts of a function by their digests."""
    return dict(_read(engine.section("meta")))


def _read(section: Engine) -> Iterator[tuple[bytes, Context]]:
    for address in section.scan(_PREFIX):
        row = section.get(address)
        context = None if row is None else _parsed(row)
        if context is not None:
            yield address[len(_PREFIX) :], context


def _parsed(row: bytes) -> Context | None:
    """The context in a row; ``None`` for one that cannot be read, or that is of a later form."""
    try:
        context = Context(**read_object(row[_HEAD:]))
    except (ValueError, TypeError) as error:
        logger.debug("a context cannot be read: %s", error)
        return None
    texts = context.function, "" if context.version is None else context.version
    named = context.parts, context.numbers, context.packages
    is_ours = all(type(text) is str for text in texts) and all(map(_holds_texts, named))
    return context if is_ours else None


def _holds_texts(named: Any) -> bool:
    return type(named) is dict and all(type(text) is str for text in named.values())
