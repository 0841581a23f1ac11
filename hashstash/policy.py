"""A policy is a rule that looks at entries: it may change what is written, hide what is read, and act after a write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hashstash.engine import Engine
    from hashstash.entry import Entry


class PolicyHost(Protocol):
    """What a policy may use of the stash that it belongs to."""

    engine: Engine

    def evict(self, address: bytes) -> None:
        """Remove an entry with everything that belongs to it."""


class Policy:
    """The rule that allows everything; a policy overrides what it cares for. Policies keep no state of their own."""

    needs_head = False
    """Whether ``on_write`` must be given the entry that is there now; it costs a read per write."""

    may_hide = False
    """Whether entries that are stored may be missing for the reader, so that they must be looked at to be counted."""

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        """The entry to store instead of *entry*; raise PolicyError to forbid the write. *head* is what it replaces."""
        return entry

    def on_read(self, entry: Entry) -> Entry | None:
        """The entry to answer with, or ``None`` to treat it as missing."""
        return entry

    def after_write(self, host: PolicyHost, address: bytes) -> None:
        """Called when the entry at *address* has been stored."""
