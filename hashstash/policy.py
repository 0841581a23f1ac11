"""A policy is a rule that looks at entries: it may change what is written, hide what is read, and act around a write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hashstash.engine import Engine
    from hashstash.entry import Entry


class PolicyHost(Protocol):
    """What a policy may use of the stash that it belongs to."""

    engine: Engine
    append: bool

    def evict(self, address: bytes) -> int:
        """Remove an entry with everything that belongs to it; return how many bytes it took."""


class Policy:
    """The rule that allows everything; a policy overrides what it cares for.

    One object serves one stash object. What it remembers it must be able to lose: a process may end at any moment.
    """

    needs_head = False
    """Whether ``on_write`` must be given the entry that is there now; it costs a read per write."""

    may_hide = False
    """Whether entries that are stored may be missing for the reader, so that they must be looked at to be counted."""

    is_exclusive = False
    """Whether writes and removals of the stash must come one after the other, over all processes."""

    def attach(self, host: PolicyHost) -> None:
        """Called once, with the stash that the policy belongs to from now on."""

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        """The entry to store instead of *entry*; raise PolicyError to forbid the write. *head* is what it replaces."""
        return entry

    def before_write(self, host: PolicyHost, entry: Entry, head: Entry | None) -> None:
        """Called when *entry* is about to be stored in the place of *head*; other entries may be removed to make room."""

    def after_write(self, host: PolicyHost, address: bytes) -> None:
        """Called when the entry at *address* has been stored."""

    def on_read(self, entry: Entry) -> Entry | None:
        """The entry to answer with, or ``None`` to treat it as missing."""
        return entry

    def after_delete(self, host: PolicyHost, freed: int) -> None:
        """Called when an entry that took *freed* bytes has been removed, other than by this policy."""

    def publish(self, host: PolicyHost) -> None:
        """Let other processes know what they should; called when the stash is closed, too."""
