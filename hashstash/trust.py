"""Who wrote an entry: a signing key per user, and a tag on whatever needs code to be decoded.

Data entries need no trust, since decoding them neither imports nor calls anything. Code entries carry a keyed BLAKE2b tag
(RFC 7693) over header, key, metadata, payload and the stash's namespace, and are decoded only if it verifies under the user's
own key or one that the user listed. The key never lies in a cache folder, and is never read from the working directory.
"""

from __future__ import annotations

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
from hashstash.paths import create_file, make_folder, state_root

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_SIZE = 32
SIGNER_SIZE = 8
TAG_SIZE = 16
_KEY_FILE = "key"
_LONGEST_LIST = 1 << 20


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
        if not entry.flags & Flag.SIGNED:
            return False
        key = self.by_signer.get(entry.signer)
        if key is None:
            return False
        if not hmac.compare_digest(_tag(key, entry, namespace), entry.tag):
            raise TamperedEntry(
                f"the entry says that {entry.signer.hex()} signed it, but its signature does not fit: it was changed or moved"
                " here from another stash; delete it or compute it anew"
            )
        return True


def check(entry: Entry, namespace: str, trust: Trust) -> None:
    """Set ``entry.is_trusted``; raise UntrustedEntry if a stash of this *trust* must not decode it."""
    is_signed = bool(entry.flags & Flag.SIGNED)  # only then is a key needed: reading data must work without a home
    entry.is_trusted = trust is Trust.ALL or (is_signed and _verifying_keyring().verifies(entry, namespace))
    if entry.is_trusted or (trust is Trust.MINE and not entry.is_code):
        return
    signer = f"signed by {entry.signer.hex()}" if entry.signer else "not signed"
    raise UntrustedEntry(
        f"the entry needs code to be decoded and is {signer}, which is no key that you trust;"
        " if you trust whoever wrote it, call stash.trust(), or %stash trust in a notebook"
    )


def signer_of(key: bytes) -> bytes:
    """The public short id of *key*."""
    return blake2b(key, digest_size=SIGNER_SIZE, person=b"hashstash-signer").digest()


def _tag(key: bytes, entry: Entry, namespace: str) -> bytes:
    state = blake2b(key=key, digest_size=TAG_SIZE, person=b"hashstash-entry")
    place = namespace.encode("utf-8", "surrogatepass")
    state.update(len(place).to_bytes(4, "little") + place)
    state.update(entry.body())
    return state.digest()


_keyrings: dict[tuple[str, str, str], Keyring] = {}


def keyring() -> Keyring:
    """The keys of this user: ``HASHSTASH_KEY`` or the key file, which is made at need, then ``HASHSTASH_TRUSTED_KEYS``.

    Keys in the environment are 64 hexadecimal digits; several trusted ones are separated by commas.
    """
    folder = state_root()
    source = (folder, os.environ.get("HASHSTASH_KEY", ""), os.environ.get("HASHSTASH_TRUSTED_KEYS", ""))
    if source not in _keyrings:
        own = _parse(source[1], "HASHSTASH_KEY") if source[1] else own_key(folder)
        _keyrings[source] = Keyring((own, *_others(source[2], folder)))
    return _keyrings[source]


def _verifying_keyring() -> Keyring:
    """The keys that verify: without one of this user's own where his home cannot be written, so that none was ever made."""
    try:
        return keyring()
    except OSError:
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
    for _ in range(100):
        try:
            return _read_key(path)
        except FileNotFoundError:
            _make_key(folder, path)
        except _BeingWritten:
            time.sleep(0.01)
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
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StashError(f"{path} is a symbolic link, which may lead anywhere; put the file itself there") from error
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & forbidden:
            raise StashError(f"{path} can be read or replaced by others; remove it, or run: chmod 600 {path}")
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _make_key(folder: str, path: str) -> None:
    make_folder(folder)
    if stat.S_IMODE(os.stat(folder).st_mode) & 0o022:
        raise StashError(f"{folder} can be written by others, so no signing key is kept there; run: chmod 700 {folder}")
    draft = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = create_file(draft)
    try:
        os.write(descriptor, os.urandom(KEY_SIZE))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)  # fails where another process was first: then its key is the key
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


def _listed(folder: str) -> list[bytes]:
    path = os.path.join(folder, "trusted")
    try:
        text = _read_own_file(path, _LONGEST_LIST, forbidden=0o022).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [_parse(line, path) for line in text.splitlines() if line.strip() and not line.startswith("#")]
