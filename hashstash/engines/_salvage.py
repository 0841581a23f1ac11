"""Storages that are damaged as a whole: their rows, as far as any can be found, in new files; the damaged files beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from hashstash.paths import make_folder
from hashstash.processes import is_gone, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hashstash.engine import Engine

NEXT_STEP = (
    "close it everywhere and call stash.repair() (in a shell: hashstash repair, in a notebook: %stash repair), which saves what"
    " can be read"
)
ASIDE = "damaged"
"""The folder, in that of an engine, which keeps files that were replaced."""
_DRAFT = "draft."


def gathered(
    found: Iterable[tuple[bytes | None, bytes]], place_of: Callable[[bytes], bytes | None]
) -> dict[bytes, bytes]:
    """One row for each address: of those *found* the first that is sound and lies where it belongs, if there is one."""
    rows: dict[bytes, bytes] = {}
    elsewhere: dict[bytes, bytes] = {}
    unsound: dict[bytes, bytes] = {}
    for address, blob in found:
        place = place_of(blob)
        if place is not None:
            (rows if place == address else elsewhere).setdefault(place, blob)
        elif address:
            unsound.setdefault(address, blob)
    return {**unsound, **elsewhere, **rows}


def replace_files(
    folder: str,
    names: Sequence[str],
    rows: dict[bytes, bytes],
    make: Callable[[str], Engine],
    *,
    new: Sequence[str] | None = None,
    ending: str = "",
    take_turn: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Put *rows* into files that the engine which *make* gives has written, in place of those called *names* in *folder*.

    *new*: those that are taken from what was written, the first of *names* where nothing else is said. The first of them is
    what makes the difference: it is replaced in one step, before which the storage is the old one and after which it is the new
    one, and the others of *names*, which belong to the old one, are removed before that step.

    *ending*: where several belong together, those of *new* first come beside the old ones under names that end so, and whoever
    opens the storage knows what to make of them; else nothing.

    *take_turn*: is given the step that exchanges the files, and does it where others have to be kept out.
    """
    remove_drafts(folder)
    draft = os.path.join(folder, f"{_DRAFT}{mark()}.{os.urandom(4).hex()}")
    try:
        make_folder(draft)
        engine = make(draft)
        try:
            engine.put_many(rows.items())
            engine.sync()
        finally:
            engine.close()
        if names:
            new = names[:1] if new is None else new
            if rows:  # else somebody has removed it, and nothing would replace the old one
                os.stat(os.path.join(draft, new[0]))
            exchange = partial(_exchange, folder, draft, names, new, ending)
            exchange() if take_turn is None else take_turn(exchange)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(folder: str) -> None:
    """Remove what processes have left in *folder* that were killed while they were writing its rows anew."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            maker = entry.name.removeprefix(_DRAFT).partition(".")[0]
            if entry.name.startswith(_DRAFT) and entry.is_dir(follow_symlinks=False) and is_gone(maker):
                shutil.rmtree(entry.path, ignore_errors=True)


def _exchange(folder: str, draft: str, names: Sequence[str], new: Sequence[str], ending: str) -> None:
    """Keep the files of *folder* aside and move those of *draft* there; if that fails before it makes a difference, undo it.

    The old files are linked, not moved, so that at no moment the storage looks as if there had never been one.
    """
    main = new[0]
    waits = os.path.join(draft, main) if os.path.lexists(os.path.join(draft, main)) else ""
    old = [name for name in names if os.path.lexists(os.path.join(folder, name))]
    kept, aside = os.path.join(draft, ASIDE), _next_aside(folder)
    try:
        make_folder(kept)
        for name in old:
            _keep(os.path.join(folder, name), os.path.join(kept, name))
        os.rename(kept, aside)
        for name in old:
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                os.rename(path, os.path.join(aside, name))
            elif name not in new:
                os.unlink(path)
        _put_in_place(folder, draft, new, ending)
    except BaseException:
        beside = os.path.join(folder, main + ending)
        if os.path.lexists(waits or os.path.join(folder, main)) or (ending and os.path.lexists(beside)):
            _undo(folder, kept if os.path.isdir(kept) else aside, old)
            for name in reversed(new if ending else ()):  # the first says what the others are worth, and so goes last
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name + ending))
        raise


def _put_in_place(folder: str, draft: str, names: Sequence[str], ending: str) -> None:
    made = [name for name in names if os.path.lexists(os.path.join(draft, name))]
    if ending:
        for name in made:
            os.replace(os.path.join(draft, name), os.path.join(folder, name + ending))
    for name in made:
        os.replace(
            os.path.join(folder, name + ending) if ending else os.path.join(draft, name), os.path.join(folder, name)
        )
    for name in names:
        if name not in made:  # there is nothing to be in it
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def _next_aside(folder: str) -> str:
    number = 1
    while os.path.lexists(path := os.path.join(folder, ASIDE, str(number))):
        number += 1
    make_folder(os.path.dirname(path))
    return path


def _keep(path: str, target: str) -> None:
    """Have the file at *path* also at *target*; not a folder, which is moved when its place is needed."""
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
    elif not os.path.isdir(path):
        try:
            os.link(path, target)
        except (OSError, AttributeError):  # not in this file system
            # To close a file, as this does, gives the locks back that this process has on it: others may write from then on.
            shutil.copy2(path, target)


def _undo(folder: str, kept: str, names: Sequence[str]) -> None:
    for name in reversed(names):
        path, source = os.path.join(folder, name), os.path.join(kept, name)
        if not os.path.lexists(path) and os.path.lexists(source):
            os.rename(source, path)
    shutil.rmtree(kept, ignore_errors=True)
