"""``%stash check``, ``repair`` and ``aside``: is what is stored still what was written, and what was damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.magics import status
from hashstash.magics.words import quoted
from hashstash.wording import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.integrity import Aside, Repairs, Report
    from hashstash.magics.stash_cell import StashMagics


def check(magics: StashMagics, parsed: Namespace) -> Report:
    """What is wrong with one stash, or with all."""
    report = magics.stashes(parsed).check(parsed.name)
    if report:
        lines = [f"%stash repair {quoted(parsed.name or 'NAME')} moves what is damaged aside, and tells what is left"]
        status.publish(magics.shell, lines, command="check")
    return report


def repair(magics: StashMagics, parsed: Namespace) -> Repairs:
    """Mend a stash, and say what was done."""
    done = magics.stashes(parsed).repair(parsed.name)
    if done.moved or done.rebuilt or done.unmoved:
        lines = [f"%stash aside {quoted(parsed.name)} shows what is kept aside"]
        status.publish(magics.shell, lines, command="repair")
    return done


def aside(magics: StashMagics, parsed: Namespace) -> Aside | None:
    """Show what is kept aside, or delete it."""
    stashes = magics.stashes(parsed)
    kept = stashes.kept_aside(parsed.name)
    if not parsed.remove:
        if len(kept):
            lines = [f"%stash aside {quoted(parsed.name)} --remove deletes it for good"]
            status.publish(magics.shell, lines, command="aside")
        return kept
    removed = stashes.remove_aside(parsed.name)
    told = f"{counted(removed, 'thing')} deleted" if removed else "nothing is kept aside"
    status.publish(magics.shell, [f"stash {parsed.name}: {told}"], command="aside")
    return None
