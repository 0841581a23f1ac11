"""``%stash rm``, ``clear`` and ``trust``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from hashstash.cells.looking import head_of
from hashstash.magics import arguments, status
from hashstash.magics.words import quoted
from hashstash.wording import ago, counted

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.cells.stashes import CellStashes, Counts
    from hashstash.cells.trusting import Untrusted
    from hashstash.magics.stash_cell import StashMagics

_MOST_NAMED = 5


def rm(magics: StashMagics, parsed: Namespace) -> None:
    """Remove records, and say which; or everything, and say how much."""
    stashes = magics.stashes(parsed)
    if not parsed.record:
        cleared = _told(parsed.name, stashes.clear(parsed.name))
        status.publish(magics.shell, [cleared, *_aside(stashes, parsed.name)], command="rm")
        return
    found = [stashes.record(parsed.name, which) for which in parsed.record]
    gone = list({record.id: record for record in found}.values())
    removed = stashes.rm(parsed.name, *(record.id for record in gone))
    told = [f"  {head_of(record.code)} (stored {ago(record.created_at)})" for record in gone[:_MOST_NAMED]]
    lines = [f"stash {parsed.name}: {counted(removed.records, 'record')} removed:", *told]
    status.publish(magics.shell, lines + ["  ..."] * (len(gone) > _MOST_NAMED), command="rm")


def clear(magics: StashMagics, parsed: Namespace) -> None:
    """Remove what one stash holds, or all do, and say how much."""
    if bool(parsed.name) == parsed.all:
        raise UsageError("%stash clear takes the name of one stash, or --all" + (", not both" if parsed.all else ""))
    older = arguments.duration(parsed.older, "--older")
    stashes = magics.stashes(parsed)
    found = stashes.clear_all(older=older) if parsed.all else {parsed.name: stashes.clear(parsed.name, older=older)}
    lines = [line for name, removed in found.items() for line in (_told(name, removed), *_aside(stashes, name))]
    status.publish(magics.shell, lines or ["there was nothing to remove"], command="clear")


def _aside(stashes: CellStashes, name: str) -> list[str]:
    """How to see what is kept aside, which is not cleared with the rest, if there is anything."""
    return [f"%stash aside {quoted(name)} shows what is kept aside"] if len(stashes.kept_aside(name)) else []


def _told(name: str, removed: Counts) -> str:
    text = f"stash {name}: {counted(removed.records, 'record')} removed"
    return text + (f", and {counted(removed.results, 'result')} of maps" if removed.results else "")


def trust(magics: StashMagics, parsed: Namespace) -> Untrusted | None:
    """List what others wrote. With ``--yes`` sign it, if it is what was listed: in this session, or under the code given.

    A notebook that is run again must not come to trust what a stranger has added since: the code stands for what was seen.
    """
    stashes = magics.stashes(parsed)
    found = stashes.untrusted(parsed.name)
    place = f"{stashes.config.root_dir}/{parsed.name}"
    seen = magics.seen_untrusted.get(place)
    magics.seen_untrusted[place] = found.code
    if not found.code:
        status.publish(magics.shell, [found.title], command="trust")
        return None
    again = f"%stash trust {quoted(parsed.name)} --yes"
    start = f"stash {parsed.name}: nothing was signed; "
    if parsed.yes is None:
        lines = [f"{start}what others wrote is listed below. If you trust them: {again}"]
        lines += [f"or, in a notebook that is to run by itself, for exactly this: {again} {found.code}"]
    elif (parsed.yes or seen) != found.code:
        lines = [f"{start}{_mismatch(parsed.yes, seen)}. What is there is listed below; if you trust it: {again}"]
    else:
        lines = []
    if lines:
        status.publish(magics.shell, lines, command="trust")
        return found
    records, rows = stashes.trust(parsed.name, found)
    counts = counted(records + rows, "row") + (f", {counted(records, 'record')} among them" if records else "")
    status.publish(magics.shell, [f"stash {parsed.name}: signed, and trusted from now on: {counts}"], command="trust")
    return None


def _mismatch(code: str, seen: str | None) -> str:
    if code:
        return f"{code} does not stand for what is there"
    return "it has not been listed in this session" if seen is None else "it is no longer what was listed"
