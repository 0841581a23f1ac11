"""``%stash export`` and ``import``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from hashstash import archive
from hashstash.errors import StashError
from hashstash.magics import status
from hashstash.magics.words import quoted
from hashstash.paths import shown
from hashstash.wording import counted, size_text

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.cells.stashes import CellStashes
    from hashstash.magics.stash_cell import StashMagics


def export(magics: StashMagics, parsed: Namespace) -> None:
    """Write the file, and say what is in it."""
    stashes = magics.stashes(parsed)
    if parsed.all and parsed.name:
        raise UsageError("%stash export takes names or --all, not both")
    path = os.path.abspath(os.path.expanduser(parsed.file))
    names = parsed.name or _chosen(magics, stashes, every=parsed.all)
    _check_target(path)
    stashes.export_to(path, names)
    held = [one.name for one in archive.contents(path)]
    told = f"{parsed.file}, {size_text(os.path.getsize(path))}: {counted(len(held), 'stash')} ({', '.join(held)})"
    status.publish(magics.shell, [f"exported to {told}"], command="export")


def _chosen(magics: StashMagics, stashes: CellStashes, *, every: bool) -> list[str]:
    """All stashes that hold anything, or those of them that this session has used."""
    listing = stashes.ls()
    there = [item["stash"] for item in listing.items]
    used = {magics.default_name, *magics.reports}
    damaged = [name for name in listing.facts.get("damaged", ()) if every or name in used]
    if damaged:
        raise UsageError(
            f"%stash export: what cannot be read is not exported: {', '.join(damaged)}; %stash repair NAME mends it, or name the"
            " stashes to be exported"
        )
    names = list(dict.fromkeys(name for name in there if every or name in used))
    if not names:
        known = f"; say which: {', '.join(there)}, or --all" if there else "; there is none yet"
        raise UsageError(f"%stash export: this session has used no stash that holds anything{known}")
    return names


def _check_target(path: str) -> None:
    """Refuse to write over what is no archive of ours."""
    if os.path.isdir(path):
        raise UsageError(f"%stash export: {shown(path)} is a folder; give the name of a file in it")
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError(f"%stash export: there is no folder {shown(os.path.dirname(path))}; make it first")
    if not os.path.lexists(path):
        return
    try:
        archive.contents(path)
    except StashError:
        raise UsageError(
            f"%stash export: {shown(path)} is there and holds no stashes; give another name, or remove it"
        ) from None


def import_file(magics: StashMagics, parsed: Namespace) -> None:
    """Add what the file holds, and say what came."""
    held = [one.name for one in archive.contents(parsed.file)]
    names = _wanted(parsed, held)
    stashes = magics.stashes(parsed)
    found = stashes.import_from(parsed.file, names=names)
    lines = []
    for target, new in found.items():
        what = [counted(new.records, "record")] * (new.records > 0)
        what += [f"{counted(new.results, 'result')} of maps"] * (new.results > 0)
        lines.append(f"stash {target}: " + (f"{' and '.join(what)} added" if what else "nothing new"))
        if stashes.untrusted(target).code:
            lines.append(
                f"  some of it is of others: what needs code is not restored; %stash trust {quoted(target)} lists it"
            )
    status.publish(magics.shell, lines or [f"{parsed.file} holds no stashes"], command="import")


def _wanted(parsed: Namespace, held: list[str]) -> dict[str, str]:
    if parsed.name is None and parsed.target is None:
        return {name: name for name in held}
    if parsed.name is None and len(held) != 1:
        raise UsageError(f"%stash import: --as needs the name of one stash; {parsed.file} holds: {', '.join(held)}")
    name = parsed.name or held[0]
    if name not in held:
        hint = f"; to give it another name: %stash import {parsed.file} {held[0]} --as {name}" if len(held) == 1 else ""
        raise UsageError(
            f"%stash import: {parsed.file} holds no stash named {name!r}; it holds: {', '.join(held)}{hint}"
        )
    return {name: parsed.target or name}
