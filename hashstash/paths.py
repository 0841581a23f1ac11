"""Where stashes lie: roots, names that cannot leave them, and files that only their owner can read."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import stat
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from hashstash.errors import UnsafeName
from hashstash.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
_LONGEST_NAME = 120
_MOST_TRIES = 20
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_TYPED = ("/", "~", "./", "../")
_MOUNTS = "/proc/self/mountinfo"
_SHARED_KINDS = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncp", "ncpfs", "afs", "auristorfs", "coda"),
        *("9p", "drvfs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "davfs", "ceph", "lustre", "beegfs", "gpfs"),
        *("glusterfs", "pvfs2", "orangefs", "panfs", "wekafs", "ocfs2", "gfs2", "acfs"),
    }
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.snapfuse", "fusectl"})


def cache_root() -> str:
    """``$XDG_CACHE_HOME/hashstash``, by default ``~/.cache/hashstash``."""
    return _own_root("XDG_CACHE_HOME", ".cache")


def state_root() -> str:
    """``$XDG_STATE_HOME/hashstash``, by default ``~/.local/state/hashstash``: the home of the signing key."""
    return _own_root("XDG_STATE_HOME", ".local", "state")


def config_root() -> str:
    """``$XDG_CONFIG_HOME/hashstash``, by default ``~/.config/hashstash``."""
    return _own_root("XDG_CONFIG_HOME", ".config")


def _own_root(variable: str, *below_home: str) -> str:
    """As the XDG Base Directory Specification has it, which ignores relative paths: they would lead beside the notebook."""
    base = os.environ.get(variable, "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), *below_home)
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
    for _ in range(_MOST_TRIES):
        with contextlib.suppress(FileNotFoundError):  # another process has removed one that was empty
            return _make_folder(path)
    return _make_folder(path)


def _make_folder(path: str) -> None:
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
        except FileExistsError as error:
            if not os.path.isdir(folder):
                text = "a file lies where a folder is needed; move it away, or choose another place"
                raise NotADirectoryError(errno.ENOTDIR, text, folder) from error
        except (PermissionError, NotADirectoryError) as error:
            raise OSError(
                error.errno, f"{error.strerror}: no folder can be made here; choose another place", folder
            ) from error
        else:
            os.chmod(folder, PRIVATE_FOLDER)


def open_file(path: str, flags: int, mode: int = PRIVATE_FILE) -> int:
    """The descriptor of what lies at *path*, which is no link; an interrupt comes before it is open, or when the caller has it.

    After a call there is a place for interrupts, where its answer has no name yet and would be lost. What a ``map`` calls while
    it is unpacked has none, nor has the return of a function.
    """
    (descriptor,) = map(os.open, (path,), (flags | getattr(os, "O_NOFOLLOW", 0),), (mode,))
    return descriptor


def create_file(path: str) -> int:
    """The descriptor of a new file for writing, readable by its owner only; FileExistsError if there is one."""
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        os.fchmod(descriptor, PRIVATE_FILE)  # the umask may have taken the owner's own rights
    except BaseException as error:
        os.close(descriptor)
        os.unlink(path)
        if isinstance(error, OSError):
            error.filename = path
        raise
    return descriptor


def remove_abandoned(folder: str, is_draft: Callable[[str], bool], *, older_than: float) -> None:
    """Remove the files of *folder* whose name says that they are drafts, and that nobody has written to for so many seconds.

    What cannot be looked at or removed stays for the next time.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if is_draft(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > older_than:
                    os.unlink(entry.path)


def refuse_links(folder: str) -> None:
    """Raise UnsafeName if *folder* is a link, or holds one, or a pipe, a socket or a device: they may lead anywhere.

    Whoever made the folder chose what lies in it; what is opened, swept or written there must be that and nothing else.
    """
    if os.path.islink(folder):
        raise _leads_away(folder)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
                    raise _leads_away(entry.path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # nothing is there yet, or whoever reads it will be told


def _leads_away(path: str) -> UnsafeName:
    what = "a symbolic link" if os.path.islink(path) else "neither a file nor a folder"
    return UnsafeName(
        f"{path} is {what}, and may lead anywhere; remove it, or put what belongs there itself in its place"
    )


def is_there(path: str) -> bool:
    """Whether there is something at *path*; PermissionError where that must not be known, which is not the same as no."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def shown(path: str) -> str:
    """*path* with ``~`` for the home folder, as it may be printed."""
    home = os.path.expanduser("~")
    return printable("~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path)


def is_foreign(folder: str) -> bool:
    """Whether others than this user own *folder* or may replace what lies in it: not in a sticky one, as ``/tmp`` is."""
    try:
        status = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if status.st_uid != os.getuid():
        return True
    if status.st_mode & stat.S_ISVTX:
        return False
    return bool(status.st_mode & stat.S_IWOTH) or bool(
        status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
    )


@functools.lru_cache(maxsize=64)
def _is_own_group(group: int) -> bool:
    """Whether it is the group that many systems make for each user, with nobody else in it."""
    try:
        import grp
        import pwd

        user, found = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
    except (ImportError, KeyError):  # nobody has given them names, as in a container
        return group == os.getuid()
    return group == user.pw_gid and found.gr_name == user.pw_name and {*found.gr_mem} <= {user.pw_name}


def is_shared_mount(path: str) -> bool:
    """Whether *path*, which need not exist yet, lies on a network, FUSE or drive mount.

    There memory maps and file locks cannot be relied on, and other machines may change files under our hands.
    """
    return shared_mount(path) is not None


def shared_mount(path: str) -> str | None:
    """What network, FUSE or drive mount *path* lies on, such as ``the nfs4 mount /data``; ``None``: it is a local one."""
    if path.startswith("\\\\"):
        return f"the network share {path}"
    real = os.path.realpath(path)
    mount = _mount_of(real, _device_of(real), _mount_table())
    if mount is None or not (mount.kind in _SHARED_KINDS or mount.kind.startswith("fuse")) or mount.kind in _LOCAL_FUSE:
        return None
    return f"the {mount.kind} mount {mount.point}"


class Mount(NamedTuple):
    """One line of the system's table of mounts."""

    point: str
    kind: str
    device: str
    """``major:minor``, as in ``st_dev`` of what lies there."""


def _mount_table() -> str:
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:  # only Linux has one
        return ""


def _device_of(path: str) -> str:
    """The device of *path* or of what exists above it; empty if that cannot be asked."""
    while True:
        try:
            device = os.stat(path).st_dev
        except (FileNotFoundError, NotADirectoryError):
            parent = os.path.dirname(path)
            if parent == path:
                return ""
            path = parent
        except OSError:  # a mount whose server is gone, or a folder that we may not enter
            return ""
        else:
            return f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""


def _mount_of(path: str, device: str, table: str) -> Mount | None:
    """The mount in *table* that *path* lies on.

    Of the mounts above it, the one of its device: others may be hidden under one that was mounted over them later. Where none has
    that device, as with subvolumes of btrfs, the deepest, and of several on one point the last.
    """
    above = [mount for mount in map(_mount, table.splitlines()) if mount is not None and _is_below(path, mount.point)]
    candidates = [mount for mount in above if mount.device == device] or above
    return max(reversed(candidates), key=lambda mount: len(mount.point), default=None)


@functools.lru_cache(maxsize=512)  # of lines, which say all: the table itself is read each time
def _mount(line: str) -> Mount | None:
    head, separator, tail = line.partition(" - ")
    fields, kind = head.split(" "), tail.split(" ", 1)[0]
    return Mount(_unescaped(fields[4]), kind, fields[2]) if separator and len(fields) > 4 else None


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    """The table writes spaces, tabs, newlines, backslashes and hashes as backslash and three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
