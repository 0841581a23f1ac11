"""Folders that this user may not look into: that nothing was found there does not mean that nothing is there."""

from __future__ import annotations

import os

from hashstash.paths import shown
from hashstash.wording import counted

try:
    import pwd
except ImportError:  # Windows
    pwd = None  # type: ignore[assignment]


def closed_at(path: str) -> list[str]:
    """The first folder on the way to *path* that does not let this user on; none if he comes there and may list it."""
    way = [path]
    while (above := os.path.dirname(way[-1])) != way[-1]:
        way.append(above)
    for folder in reversed(way):
        needed = os.X_OK | (os.R_OK if folder == path else 0)
        if os.path.isdir(folder) and not os.access(folder, needed):
            return [folder]
    return []


def why_closed(*folders: str) -> str:
    """That these folders are closed, and whom to ask; empty for none."""
    if not folders:
        return ""
    (folder,) = closed_at(folders[0]) or folders[:1]
    more = f" ({counted(len(folders), 'folder')} in all)" if len(folders) > 1 else ""
    owner = owner_of(folder)
    remedy = "; ask for access (chmod), or for a file of it (hashstash export)" if owner else "; chmod can let you in"
    return f"you may not look into {shown(folder)}{more}, which belongs to {owner or 'you'}{remedy}"


def owner_of(path: str) -> str:
    """The name of somebody else who owns a file or a folder; empty if this user does, or nobody can tell."""
    try:
        number = os.stat(path).st_uid
        return pwd.getpwuid(number).pw_name if pwd is not None and number != os.getuid() else ""
    except KeyError:
        return f"user {number}"
    except OSError:
        return ""
