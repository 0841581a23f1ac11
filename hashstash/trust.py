"""Who wrote an entry: a signing key per user, and a tag on whatever needs code to be decoded.

Data entries need no trust, since decoding them neither imports nor calls anything. Code entries carry a keyed BLAKE2b tag
(RFC 7693) over header, key, metadata, payload and the stash's namespace, and are decoded only if it verifies under the user's
own key or one that the user listed. The key never lies in a cache folder, and is never read from the working directory.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import stat
import time
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash.entry import Entry, Flag
from hashstash.errors import StashError, TamperedEntry, UntrustedEntry
from hashstash.paths import create_file, make_folder, remove_abandoned, state_root
from hashstash.refusals import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_SIZE = 32
SIGNER_SIZE = 8
TAG_SIZE = 16
_KEY_FILE = "key"
_MOST_TRIES = 10
_SIGNED_BIT = int(Flag.SIGNED)
_LONGEST_LIST = 1 << 20
_ABANDONED = 3600.0
_PASSING = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
"""Why a key that is there may not be read just now: no reason to take what it has signed for a stranger's."""


class Trust(Enum):
    """Which entries a stash decodes.

    ``MINE``: all data, and code signed by a trusted key. ``STRICT``: only what a trusted key signed. ``ALL``: everything,
    which lets whoever can write to the stash run code here.
    """

    MINE = "mine"
    STRICT = "strict"
    ALL = "all"


@dataclass(frozen=True)
class Keyring:
    """The keys of one user: the first signs, each of them verifies."""

    keys: tuple[bytes, ...]

    @cached_property
    def by_signer(self) -> Mapping[bytes, bytes]:
        """The keys by the short id that entries carry."""
        return {signer_of(key): key for key in self.keys}

    def sign(self, entry: Entry, namespace: str) -> None:
        """Put signer and tag into *entry*; nothing in it may change afterwards."""
        entry.flags |= Flag.SIGNED
        entry.signer = signer_of(self.keys[0])
        entry.tag = _tag(self.keys[0], entry, namespace)

    def verifies(self, entry: Entry, namespace: str) -> bool:
        """Whether a key of this ring signed *entry*; raises TamperedEntry if it claims so and the tag does not fit."""
        if not entry.flags.value & _SIGNED_BIT:
            return False
        key = self.by_signer.get(entry.signer)
        if key is None:
            return False
        if not hmac.compare_digest(_tag(key, entry, namespace), entry.tag):
            raise TamperedEntry(
                f"the entry says that {entry.signer.hex()} signed it, but its signature does not fit: it was changed or moved"
                " here from another stash"
            )
        return True


def check(entry: Entry, namespace: str, trust: Trust, *, row: bytes | None = None) -> None:
    """Set ``entry.is_trusted``; raise UntrustedEntry if a stash of this *trust* must not decode it.

    *row* is what *entry* was just unpacked from: a signature over the very same bytes is verified once per process.
    """
    is_signed = bool(
        entry.flags.value & _SIGNED_BIT
    )  # only then is a key needed: reading data must work without a home
    entry.is_trusted = trust is Trust.ALL or (is_signed and _is_by_trusted(entry, namespace, row))
    if entry.is_trusted or (trust is Trust.MINE and not entry.is_code):
        return
    raise UntrustedEntry(why_untrusted(entry, is_strict=trust is Trust.STRICT))


def said_by(entry: Entry) -> str:
    """Who has signed *entry*, as far as it says so."""
    return f"signed by {entry.signer.hex()}" if entry.signer else "not signed"


def why_untrusted(entry: Entry, *, is_strict: bool = False) -> str:
    """Why *entry*, whose key or value needs trust, is not decoded, and what lets it be."""
    signer = (
        f"{said_by(entry)}, which is no key that you trust" if entry.signer else "not signed by a key that you trust"
    )
    if is_strict and not entry.is_code:
        return (
            f"the entry is {signer}, and a stash with trust='strict' decodes nothing else;"
            " if you trust whoever wrote it, call stash.trust(), or open the stash without trust='strict' to read data"
        )
    return (
        f"the entry needs code to be decoded and is {signer};"
        " if you trust whoever wrote it, call stash.trust(), or %stash trust in a notebook"
    )


def _is_by_trusted(entry: Entry, namespace: str, row: bytes | None) -> bool:
    ring = _verifying_keyring()
    proof = (ring.by_signer.get(entry.signer), namespace, row)
    if row is not None and _verified.get(entry.tag) == proof:  # bytes are compared ten times as fast as they are hashed
        return True
    is_verified = ring.verifies(entry, namespace)
    if is_verified and row is not None and len(row) <= _LARGEST_KEPT:
        _remember(entry.tag, proof, len(row))
    return is_verified


_verified: dict[bytes, tuple[bytes | None, str, bytes | None]] = {}
"""By tag, the key, the namespace and the row for which it was verified."""
_kept = [0]
_LARGEST_KEPT = 1 << 20
_MOST_KEPT = 8 << 20


def _remember(tag: bytes, proof: tuple[bytes | None, str, bytes | None], size: int) -> None:
    _kept[0] += size
    if _kept[0] > _MOST_KEPT:
        _verified.clear()
        _kept[0] = size
    _verified[tag] = proof


def signer_of(key: bytes) -> bytes:
    """The public short id of *key*."""
    return blake2b(key, digest_size=SIGNER_SIZE, person=b"hashstash-signer").digest()


def _tag(key: bytes, entry: Entry, namespace: str) -> bytes:
    state = blake2b(key=key, digest_size=TAG_SIZE, person=b"hashstash-entry")
    place = namespace.encode("utf-8", "surrogatepass")
    state.update(len(place).to_bytes(4, "little") + place)
    for part in entry.body_parts():
        state.update(part)
    return state.digest()


_HOME = "HOME" if os.name == "posix" else "USERPROFILE"
_SOURCES = ("HASHSTASH_KEY", "HASHSTASH_TRUSTED_KEYS", "XDG_STATE_HOME", _HOME)
"""What a keyring depends on. To find the folder of the keys takes longer than to see that these are as before."""
_keyrings: dict[tuple[str, ...], Keyring] = {}


def keyring() -> Keyring:
    """The keys of this user: ``HASHSTASH_KEY`` or the key file, which is made at need, then ``HASHSTASH_TRUSTED_KEYS``.

    Keys in the environment are 64 hexadecimal digits; several trusted ones are separated by commas.
    """
    look_up = os.environ.get
    sources = tuple([look_up(name, "") for name in _SOURCES])
    ring = _keyrings.get(sources)
    if ring is None:
        folder = state_root()
        own = _parse(sources[0], "HASHSTASH_KEY") if sources[0] else _kept_key(folder)
        ring = _keyrings[sources] = Keyring((own, *_others(sources[1], folder)))
    return ring


def _kept_key(folder: str) -> bytes:
    try:
        return own_key(folder)
    except OSError as error:
        if error.errno in _PASSING or isinstance(error, StashError):
            raise
        text = (
            f"{os.strerror(error.errno or 0)}: the key that signs what needs code cannot be kept in {folder};"
            " set XDG_STATE_HOME to a folder that you may write to, or HASHSTASH_KEY to a key of yours"
        )
        raise OSError(error.errno, text, error.filename) from error


def _verifying_keyring() -> Keyring:
    """The keys that verify: without one of this user's own where his home cannot be written, so that none was ever made."""
    try:
        return keyring()
    except OSError as error:
        if error.errno in _PASSING:
            raise
        return Keyring(tuple(_others(os.environ.get("HASHSTASH_TRUSTED_KEYS", ""), state_root())))


def _others(trusted: str, folder: str) -> list[bytes]:
    return [_parse(text, "HASHSTASH_TRUSTED_KEYS") for text in trusted.split(",") if text.strip()] + _listed(folder)


def _parse(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise StashError(
            f"{where} must hold {2 * KEY_SIZE} hexadecimal digits; make one with:"
            " python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return key


def own_key(folder: str) -> bytes:
    """The 32 bytes in *folder*/key, made at first use; processes that race for it get the same one."""
    path = os.path.join(folder, _KEY_FILE)
    for _ in range(_MOST_TRIES):
        try:
            key = _read_key(path)
        except FileNotFoundError:
            _make_key(folder, path)
        except _BeingWritten:
            time.sleep(0.01)
        else:
            _remove_drafts(folder)  # once per process: where there is a key, nobody makes one any more
            return key
    raise StashError(
        f"{path} does not hold {KEY_SIZE} bytes; remove it, and entries signed before must be trusted anew"
    )


class _BeingWritten(Exception):
    pass


def _read_key(path: str) -> bytes:
    key = _read_own_file(path, KEY_SIZE + 1, forbidden=0o077)
    if len(key) != KEY_SIZE:
        raise _BeingWritten
    return key


def _read_own_file(path: str, size: int, *, forbidden: int) -> bytes:
    """At most *size* bytes of a file that belongs to this user and has none of the *forbidden* permissions."""
    try:
        # Opening a pipe that somebody has put there would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StashError(f"{path} is a symbolic link, which may lead anywhere; put the file itself there") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StashError(f"{path} is no file with a key; remove it, and a new key is made")
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & forbidden:
            raise StashError(f"{path} can be read or replaced by others; remove it, or run: chmod 600 {path}")
        _refuse_if_shared(os.path.dirname(path))
        return os.read(descriptor, size)
    except OSError as error:
        locate(error, path)
        raise
    finally:
        os.close(descriptor)


def _refuse_if_shared(folder: str) -> None:
    """Whoever may write to the folder may replace the files in it."""
    status = os.stat(folder)
    if stat.S_IMODE(status.st_mode) & 0o022 or status.st_uid not in (os.getuid(), 0):
        raise StashError(
            f"{folder} can be written by others, so no signing key is kept there or taken from there;"
            f" if nobody has done so, run: chmod 700 {folder}"
        )


def _make_key(folder: str, path: str) -> None:
    make_folder(folder)
    _refuse_if_shared(folder)
    draft = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = create_file(draft)
    try:
        try:
            key = os.urandom(KEY_SIZE)
            rest = key
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError as error:
            locate(error, draft)
            raise
        finally:
            os.close(descriptor)
        os.link(draft, path)  # fails where another process was first: then its key is the key
    except FileExistsError:
        pass
    finally:
        with contextlib.suppress(OSError):  # what is left is removed by whoever uses the key later
            os.unlink(draft)


def _remove_drafts(folder: str) -> None:
    """Remove what is left of processes that could not finish making a key: an hour is longer than that takes."""
    remove_abandoned(folder, lambda name: name.startswith(f"{_KEY_FILE}."), older_than=_ABANDONED)


def _listed(folder: str) -> list[bytes]:
    path = os.path.join(folder, "trusted")
    try:
        text = _read_own_file(path, _LONGEST_LIST, forbidden=0o022).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [_parse(line, path) for line in text.splitlines() if line.strip() and not line.startswith("#")]
