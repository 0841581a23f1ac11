"""Every error that HashStash raises on purpose.

StashError
├── MissingDependency (ImportError)   an optional package is not installed; the message holds the pip line
├── UnknownPlugin (ValueError)        no engine, serializer, compressor or filter of that name; lists the known ones
├── UnsafeName (ValueError)           a name that would leave the stash's root
├── VolatileKey (TypeError)           a key whose state cannot be hashed (a generator, a lock, an open file)
├── UnsupportedValue (TypeError)      a value that cannot be stored, or not without changing it
├── PolicyError (TypeError)           a write that a policy of the stash forbids
│   └── ReadOnlyStash                 a write to a stash that was opened read-only
├── NoSuchVersion (LookupError)       a version of a key that was never there, or is gone; names those that there are
├── Conflict                          a compare-and-set lost against another writer
├── StashLocked (TimeoutError)        another process has kept the storage locked for too long
├── StashFull (OSError)               the disk, the quota or the size limit leaves no room
├── ServerUnavailable (ConnectionError)   the server of the stash cannot be reached, or does not let us in
├── BadArchive (ValueError)           a file that is no archive of stashes, or one that is damaged
├── CannotTravel (TypeError)          a function, an argument or a result that no worker process can be sent
├── WorkerDied (RuntimeError)         the process that computed an item of a map ended before it had a result
├── NotComputed (RuntimeError)        an item of a map that was interrupted or cancelled before its turn came
└── BadEntry                          a stored entry that is not decoded
    ├── CorruptEntry                  bytes changed or cut off since they were written
    │   └── TamperedEntry             signed by a key of ours, but the signature does not fit
    ├── UntrustedEntry                needs code to be decoded, and nobody this user trusts signed it
    └── NewerFormat                   written by a newer version of hashstash

Bad entries are never KeyErrors, so that ``stash.get(key, default)`` cannot hide them.
"""

from __future__ import annotations

from hashstash.wording import printable


class StashError(Exception):
    """The root of all errors of HashStash.

    As text it steers no terminal: what it names may be a stranger's, such as a file in a folder that was downloaded.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class MissingDependency(StashError, ImportError):
    """An optional package is not installed; the message gives the pip line that installs it."""


class UnknownPlugin(StashError, ValueError):
    """No engine, serializer, compressor or filter has that name; the message lists the known ones."""


class UnsafeName(StashError, ValueError):
    """A name that would lead outside of the stash's root, or that no file system can hold."""


class VolatileKey(StashError, TypeError):
    """A key, or a part of it, whose state cannot be hashed, so that it could never be found again."""


class UnsupportedValue(StashError, TypeError):
    """A value, or a part of it, that cannot be stored and come back equal."""


class PolicyError(StashError, TypeError):
    """A policy of the stash forbids this write; nothing was changed."""


class ReadOnlyStash(PolicyError):
    """A write to a stash that was opened read-only; nothing was changed."""


class NoSuchVersion(StashError, LookupError):
    """A version of a key that was never there, or is over; the message names those that there are."""


class Conflict(StashError):
    """Another writer changed the row between reading and writing; nothing was changed."""


class StashLocked(StashError, TimeoutError):
    """Another process has kept the storage locked for longer than we wait; nothing was changed.

    Or this very thread is in the middle of a write, into which a signal handler or a finalizer came.
    """


class StashFull(StashError, OSError):
    """There is no room for the entry; what was stored before is intact."""


class ServerUnavailable(StashError, ConnectionError):
    """The server that keeps the rows cannot be reached, does not answer in time, or does not let this user in."""


class BadArchive(StashError, ValueError):
    """A file that is no archive of stashes, or is damaged, or claims more than anybody may; nothing was imported."""


class CannotTravel(StashError, TypeError):
    """A function, an argument or a result that cannot be sent between processes; the message names which."""


class WorkerDied(StashError, RuntimeError):
    """The process that computed an item of a map ended before it gave a result, twice."""


class NotComputed(StashError, RuntimeError):
    """An item of a map that was interrupted or cancelled before it was computed."""


class BadEntry(StashError):
    """A stored entry that exists but is not decoded. Reading never moves or deletes it."""


class CorruptEntry(BadEntry):
    """The stored bytes are not the bytes that were written."""


class TamperedEntry(CorruptEntry):
    """The entry names a signing key of this user, but its signature does not fit its content."""


class UntrustedEntry(BadEntry):
    """The entry needs code to be decoded, and was not signed by a key that this user trusts."""


class NewerFormat(BadEntry):
    """The entry was written in a format that this version of hashstash does not know."""
