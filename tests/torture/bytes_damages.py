"""What can happen to a file: a byte flipped, the end cut off or zeroed, a hole, garbage behind, another thing in its place."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

PAGE = 4096
MASKS = (0x01, 0x80, 0xFF)
_IGNORED = ("reserve", "swept")
"""Files without content that anybody reads."""


class Damage(NamedTuple):
    """One thing done to one file."""

    kind: str
    file: str
    """Relative to the folder of the store."""
    at: int = 0
    more: int = 0
    other: str = ""

    def __str__(self) -> str:
        where = f"{self.kind} {self.file}"
        return f"{where} at {self.at} ({self.more:#x})" if self.kind == "flip" else f"{where} {self.at} {self.other}"


def files_in(root: str) -> dict[str, int]:
    """The files below *root* that hold something, with their sizes."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name not in _IGNORED and os.path.getsize(path):
                found[os.path.relpath(path, root)] = os.path.getsize(path)
    return dict(sorted(found.items()))


def flips(root: str, most: int, seed: int) -> list[Damage]:
    """Flips of up to about *most* bytes: all that hold something if there is room for that, some of the others, evenly."""
    every: list[Damage] = []
    some: list[Damage] = []
    for file, size in files_in(root).items():
        with open(os.path.join(root, file), "rb") as opened:
            content = opened.read()
        for at in range(size):
            mask = MASKS[(at + seed) % len(MASKS)]
            is_bulk = size > 2 * PAGE and "blobs" in file and 64 < at < size - 64
            (some if is_bulk or not content[at] else every).append(Damage("flip", file, at, mask))
    every += [other for damage in every for other in _other_masks(damage)] if 3 * len(every) <= most else []
    chosen = _spread(every, most, seed) + _spread(some, max(most // 5, most - len(every)), seed)
    random.Random(seed).shuffle(chosen)
    return chosen


def _other_masks(damage: Damage) -> Iterator[Damage]:
    return (damage._replace(more=mask) for mask in MASKS if mask != damage.more)


def _spread(damages: list[Damage], most: int, seed: int = 0) -> list[Damage]:
    """*most* of them, evenly; which, is up to *seed*."""
    if len(damages) <= most:
        return damages
    start = seed % (len(damages) // most)
    return [damages[number * len(damages) // most + start] for number in range(most)]


def cuts(root: str, most: int, seed: int) -> list[Damage]:
    """Files cut off, or with their end zeroed as after a power loss, at every length for which there is room."""
    found = []
    for file, size in files_in(root).items():
        found += [Damage(kind, file, length) for length in range(size) for kind in ("cut", "zero the end of")]
    chosen = [*_spread(found, most, seed), *_whole(root)]
    random.Random(seed).shuffle(chosen)
    return chosen


def _whole(root: str) -> list[Damage]:
    files = files_in(root)
    found = []
    for file, size in files.items():
        found += [Damage("append to", file, more) for more in (1, 16, PAGE)]
        found += [Damage("hole in", file, start) for start in range(0, size, PAGE)]
        found += [Damage(kind, file) for kind in REPLACED]
    names = list(files)
    found += [Damage("swap", one, other=other) for one, other in zip(names, names[1:], strict=False)]
    return found


def _replaced_by_folder(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def _replaced_by_link(path: str) -> None:
    os.unlink(path)
    os.symlink("/dev/zero", path)


def _replaced_by_loop(path: str) -> None:
    os.unlink(path)
    os.symlink(os.path.basename(path), path)


def _replaced_by_fifo(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def _emptied(path: str) -> None:
    os.truncate(path, 0)


REPLACED: dict[str, Callable[[str], None]] = {
    "empty": _emptied,
    "folder instead of": _replaced_by_folder,
    "link to /dev/zero instead of": _replaced_by_link,
    "link to itself instead of": _replaced_by_loop,
    "FIFO instead of": _replaced_by_fifo,
}


def do(root: str, damage: Damage) -> None:
    """Let it happen to the store in *root*."""
    path = os.path.join(root, damage.file)
    if damage.kind in REPLACED:
        REPLACED[damage.kind](path)
    elif damage.kind == "cut":
        os.truncate(path, damage.at)
    elif damage.kind == "swap":
        other = os.path.join(root, damage.other)
        os.rename(path, path + ".swapped")
        os.rename(other, path)
        os.rename(path + ".swapped", other)
    else:
        with open(path, "r+b") as file:
            content = bytearray(file.read())
            file.seek(0)
            file.write(_changed(content, damage))


def _changed(content: bytearray, damage: Damage) -> bytes:
    if damage.kind == "flip":
        content[damage.at] ^= damage.more
    elif damage.kind == "append to":
        content += random.Random(damage.at).randbytes(damage.at)
    elif damage.kind == "hole in":
        end = min(len(content), damage.at + PAGE)
        content[damage.at : end] = bytes(end - damage.at)
    else:
        assert damage.kind == "zero the end of"
        content[damage.at :] = bytes(len(content) - damage.at)
    return bytes(content)
