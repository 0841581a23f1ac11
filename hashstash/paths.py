"""Where stashes lie: roots, names that cannot leave them, and files that only their owner can read."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b

from hashstash.errors import UnsafeName

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
_LONGEST_NAME = 120
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_TYPED = ("/", "~", "./", "../")
_SLOW_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "drvfs", "afs", "ceph", "lustre", "beegfs", "glusterfs"}
)


def cache_root() -> str:
    """``$XDG_CACHE_HOME/hashstash``, by default ``~/.cache/hashstash``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(os.path.abspath(base), "hashstash")


def state_root() -> str:
    """``$XDG_STATE_HOME/hashstash``, by default ``~/.local/state/hashstash``: the home of the signing key."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(os.path.abspath(base), "hashstash")


def config_root() -> str:
    """``$XDG_CONFIG_HOME/hashstash``, by default ``~/.config/hashstash``."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(os.path.abspath(base), "hashstash")


def resolve_root(root: str | os.PathLike[str], base: str | None = None) -> str:
    """The absolute folder of *root*: a path as the user typed it, or a name (``a/b`` allowed) under the cache root."""
    if not isinstance(root, (str, os.PathLike)):
        raise TypeError(f"the folder of a stash is a name or a path, not {root!r}")
    text = os.fspath(root)
    if not isinstance(text, str) or not text or "\0" in text:
        raise UnsafeName(f"{root!r} cannot be the folder of a stash; give a name or a path without NUL")
    if text in (".", "..", "~") or text.startswith(_TYPED) or os.path.isabs(text):
        return os.path.abspath(os.path.expanduser(text))
    return os.path.join(base or cache_root(), *safe_parts(text))


def safe_parts(name: str) -> list[str]:
    """The folder names that stand for *name*, one for each of its ``/``-separated parts; none can leave its parent."""
    parts = [part for part in str(name).split("/") if part]
    if not parts:
        raise UnsafeName(f"{name!r} names nothing; give at least one letter or digit")
    return [safe_name(part) for part in parts]


def safe_name(part: str) -> str:
    """One folder name for *part*: other characters percent-encoded, long ones cut and told apart by a digest."""
    if part in (".", "..") or "\0" in part or "/" in part:
        raise UnsafeName(f"{part!r} would lead outside of the stash's root; use a plain name")
    encoded = "".join(char if char in _PLAIN else _percent(char) for char in part)
    if len(encoded) <= _LONGEST_NAME:
        return encoded
    digest = blake2b(part.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{encoded[: _LONGEST_NAME - 17]}-{digest}"


def original_name(encoded: str) -> str:
    """What :func:`safe_name` encoded, for people to read."""
    from urllib.parse import unquote

    return unquote(encoded)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def make_folder(path: str) -> None:
    """Create *path* and what is missing above it, each readable by its owner only, under any umask."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    for folder in reversed(missing):
        try:
            os.mkdir(folder, PRIVATE_FOLDER)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
        else:
            os.chmod(folder, PRIVATE_FOLDER)


def create_file(path: str) -> int:
    """The descriptor of a new file for writing, readable by its owner only; FileExistsError if there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)
    os.fchmod(descriptor, PRIVATE_FILE)  # the umask may have taken the owner's own rights
    return descriptor


def shown(path: str) -> str:
    """*path* with ``~`` for the home folder."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path


def is_foreign(folder: str) -> bool:
    """Whether others than this user own *folder* or may replace what lies in it."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return False
    if status.st_uid != os.getuid():
        return True
    return bool(status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX


def is_shared_mount(path: str) -> bool:
    """Whether *path* lies on a network, FUSE or drive mount, where memory maps and file locks cannot be relied on."""
    kind = _mount_type(os.path.realpath(path))
    return kind in _SLOW_FILE_SYSTEMS or kind.startswith("fuse")


def _mount_type(path: str) -> str:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            rows = [line.split() for line in mounts]
    except OSError:
        return ""
    best = ("", "")
    for row in rows:
        point = row[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, row[2])
    return best[1]
