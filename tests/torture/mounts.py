"""File systems of a check's own, in a space of mounts that only its child sees: what is mounted there is gone with it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

_SPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
NOBODY = 65_534


@functools.cache
def _space() -> tuple[str, ...]:
    """What begins a command line that may mount; empty where that is not permitted."""
    if shutil.which("unshare") is None:
        return ()
    for space in _SPACES:
        tried = subprocess.run([*space, "sh", "-c", "mount -t tmpfs none /tmp"], capture_output=True, timeout=30)
        if tried.returncode == 0:
            return tuple(space)
    return ()


def why_no_mounts() -> str:
    """Why nothing can be mounted here; empty if it can."""
    return "" if _space() else "this user may not mount anything here (unshare --mount)"


def with_small_disk(folder: str, size: int) -> list[str]:
    """What runs a command that has a disk of *size* bytes in *folder*."""
    return [*_space(), "sh", "-ec", f'mount -t tmpfs -o size={size},mode=700 none "{folder}"; exec "$@"', "sh"]


def read_only(folder: str) -> list[str]:
    """What runs a command that sees *folder* on a read-only mount."""
    bind = f'mount --bind "{folder}" "{folder}"; mount -o remount,bind,ro "{folder}"; exec "$@"'
    return [*_space(), "sh", "-ec", bind, "sh"]


def as_nobody() -> list[str]:
    """What runs a command as a user without rights; empty where only root could do so, and this is not root."""
    setpriv = shutil.which("setpriv")
    if os.getuid() or setpriv is None:
        return []
    return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
