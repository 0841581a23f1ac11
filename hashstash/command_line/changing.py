"""``rm``, ``prune``, ``repair``, ``aside`` and ``trust``. Each says with ``--dry-run`` what it would do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hashstash import trust as trusting
from hashstash.command_line.described import entry_data, info_without_code
from hashstash.command_line.keys import address_of
from hashstash.command_line.looking import COMMANDS as LOOKING
from hashstash.command_line.output import CommandFailed, Misused, complain, confirm, entries, say, say_json, say_table
from hashstash.command_line.places import changing, holds_cells, looking_at, named, stores_of, the_stash
from hashstash.entries import prune
from hashstash.entry import unpack
from hashstash.errors import BadEntry, CorruptEntry, TamperedEntry
from hashstash.integrity import Repairs, kept_aside, rebuild, repair
from hashstash.integrity.storage import rows_of
from hashstash.paths import shown
from hashstash.store import Store
from hashstash.upkeep import content_digest, trust_all, untrusted
from hashstash.wording import counted, size_text
from hashstash.wrappers.read_only import ReadOnlyWrapper

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from hashstash.open import Config
    from hashstash.stash import HashStash

_MOST_LISTED = 50


def _say_removed(arguments: Namespace, count: int) -> int:
    """Say how many entries were removed, or would be."""
    if arguments.json:
        say_json({"dry_run": arguments.dry_run, "removed": count})
    else:
        say(f"would remove {entries(count)}" if arguments.dry_run else f"removed {entries(count)}")
    return 0


# ---- rm ------------------------------------------------------------------------------------------------------------------


def _rm(arguments: Namespace) -> int:
    if bool(arguments.keys) == arguments.all:
        raise Misused("rm needs either KEYs, or --all for everything in the stash")
    return _rm_all(arguments) if arguments.all else _rm_keys(arguments)


def _rm_all(arguments: Namespace) -> int:
    config = the_stash(arguments, most=0)
    with looking_at(config) as stash, stores_of(stash) as stores:
        where = shown(stash.path)
        try:
            count = _count(stores)
            question = f"remove all {entries(count)} of {where}"
        except CorruptEntry as error:
            if arguments.dry_run:
                raise
            question = f"{error}: remove all of it, whatever it holds"
    if not arguments.dry_run:
        confirm(question, yes=arguments.yes)
        try:
            count = _clear(config)
        except CorruptEntry:  # a storage that cannot be read cannot be emptied
            _say_rebuilt(_rebuild(config))
            count = _clear(config)
    return _say_removed(arguments, count)


def _count(stores: list[tuple[str, Store]]) -> int:
    return sum(store.count() for _, store in stores)


def _clear(config: Config) -> int:
    """Remove everything, and return how many entries that was."""
    with changing(config) as stash, stores_of(stash) as stores:
        count = _count(stores)
        stash.clear()
    return count


def _rm_keys(arguments: Namespace) -> int:
    config = the_stash(arguments, most=0)
    with looking_at(config) as stash:
        addresses = list(dict.fromkeys(address_of(stash.store, key, arguments) for key in arguments.keys))
    count = len(addresses)
    if not arguments.dry_run:
        with changing(config) as stash:
            count = sum(stash.store.remove(address) for address in addresses)
    return _say_removed(arguments, count)


# ---- prune ---------------------------------------------------------------------------------------------------------------


class _Rehearsal(Store):
    """A store that only counts what would be removed from it."""

    def remove(self, address: bytes, *, only: bytes | None = None) -> bool:
        return True


class _Untouched(ReadOnlyWrapper):
    """An engine that refuses changes, and says so only when it comes to one."""

    def ensure_writable(self) -> None:
        pass


def _prune(arguments: Namespace) -> int:
    conditions: dict[str, Any] = {
        "older_than": arguments.older_than,
        "larger_than": arguments.larger_than,
        "max_size": arguments.max_size,
        "max_entries": arguments.max_entries,
    }
    if arguments.tag is not None:
        conditions["tags__contains"] = arguments.tag
    config = the_stash(arguments)
    with (looking_at if arguments.dry_run else changing)(config) as stash, stores_of(stash) as stores:
        chosen = [store for below, store in stores if arguments.functions or not below]
        count = sum(prune(_rehearsed(store) if arguments.dry_run else store, **conditions) for store in chosen)
    return _say_removed(arguments, count)


def _rehearsed(store: Store) -> Store:
    return _Rehearsal(_Untouched(store.engine), store.codec, store.keys, namespace=store.namespace)


# ---- repair --------------------------------------------------------------------------------------------------------------


def _repair(arguments: Namespace) -> int:
    if arguments.dry_run:
        return LOOKING["check"](arguments)
    rebuilt = _rebuild(the_stash(arguments, most=0))  # before the rows are asked what of the path is the namespace
    with changing(the_stash(arguments)) as stash:
        tampered = sum(_tampered(stash))
        if tampered and not arguments.tampered:
            _say_rebuilt(rebuilt)
            raise CommandFailed(
                f"{counted(tampered, 'signed row')} in {shown(stash.path)} would be moved aside, being changed, or signed for"
                " another place: if the stash was opened with dbname=..., say --dbname; else --tampered moves them"
            )
        with stores_of(stash) as stores:
            done = sum((repair(store, is_rebuilt=True) for _, store in stores), rebuilt)
    if arguments.json:
        say_json(
            {
                "moved": [str(problem) for problem in done.moved],
                "restored": done.restored,
                "swept": done.swept,
                "left": [str(problem) for problem in done.left],
                "unmoved": done.unmoved,
                "rebuilt": list(done.rebuilt),
            }
        )
    else:
        say(repr(done))
    return int(bool(done.left))


def _rebuild(config: Config) -> Repairs:
    """Write anew what is damaged as a whole."""
    with changing(config) as stash, stores_of(stash) as stores:
        return Repairs(rebuilt=tuple(place for _, store in stores for place in rebuild(store)))


def _say_rebuilt(done: Repairs) -> None:
    for place in done.rebuilt:
        complain(f"note: {place} was damaged and has been written anew; the damaged files lie in {place}/damaged")


def _tampered(stash: HashStash) -> Iterator[bool]:
    """For each row, whether it has the signature of a known key, which does not fit."""
    with stores_of(stash) as stores:
        for _, store in stores:
            for address, row in rows_of("", store.engine, []):
                with contextlib.suppress(BadEntry):
                    entry = unpack(row, address)
                    try:
                        trusting.keyring().verifies(entry, store.namespace)
                    except TamperedEntry:
                        yield True


# ---- aside ---------------------------------------------------------------------------------------------------------------


def _aside(arguments: Namespace) -> int:
    config = the_stash(arguments)
    with looking_at(config) as stash, stores_of(stash) as stores:
        kept = kept_aside(store for _, store in stores)
        where = shown(stash.path)
    is_removing = arguments.remove and not arguments.dry_run and len(kept) > 0
    removed = 0
    if not arguments.json:
        say(repr(kept))
    if is_removing:
        what = f"delete {counted(len(kept), 'thing')} kept aside in {where}, {size_text(kept.size)}, for good"
        confirm(what, yes=arguments.yes)
        with changing(config) as stash:
            removed = stash.remove_aside()
    if arguments.json:
        say_json({"dry_run": arguments.dry_run, "aside": [dict(item) for item in kept.items], "removed": removed})
    elif is_removing:
        say(f"deleted {counted(removed, 'thing')}")
    return 0


# ---- trust ---------------------------------------------------------------------------------------------------------------


def _trust(arguments: Namespace) -> int:
    with changing(the_stash(arguments)) as stash:
        if holds_cells(stash):
            return _trust_cells(arguments, stash)
        with stores_of(stash) as stores:
            return _trust_entries(arguments, stores)


def _trust_entries(arguments: Namespace, stores: list[tuple[str, Store]]) -> int:
    found = [
        ({"below": below, **entry_data(info_without_code(store, entry))}, store, address, content_digest(entry))
        for below, store in stores
        for _, address, entry in untrusted(store)
    ]
    listed = [data for data, *_ in found]
    if not arguments.json:
        _say_untrusted(listed)
    signed = 0
    if listed and not arguments.dry_run:
        _confirm_trust(arguments, len(listed))
        for _, store in stores:
            seen = {address: digest for _, place, address, digest in found if place is store}
            signed += trust_all(store, only=seen)
    return _say_signed(arguments, listed, signed)


def _trust_cells(arguments: Namespace, stash: HashStash) -> int:
    """Records of cells say for themselves whom they are from, and are signed as a whole."""
    from hashstash.cells.rows import Rows
    from hashstash.cells.trusting import trust, untrusted_in

    listed = untrusted_in(named(arguments.place), Rows(stash))
    if not arguments.json:
        say(repr(listed))
    signed = 0
    if listed.items and not arguments.dry_run:
        _confirm_trust(arguments, len(listed.items))
        signed = sum(trust(Rows(stash), listed))
    return _say_signed(arguments, [dict(item) for item in listed.items], signed)


def _confirm_trust(arguments: Namespace, count: int) -> None:
    confirm(f"sign {counted(count, 'row')} with your key, so that they may run code here", yes=arguments.yes)


def _say_signed(arguments: Namespace, listed: list[dict[str, Any]], signed: int) -> int:
    if arguments.json:
        say_json({"dry_run": arguments.dry_run, "untrusted": listed, "signed": signed})
    elif signed:
        say(f"signed {counted(signed, 'row')}")
    return 0


def _say_untrusted(listed: list[dict[str, Any]]) -> None:
    if not listed:
        say("nothing to sign: all code here is yours, or of somebody you trust")
        return
    rows = [
        [
            data["below"],
            data["address"][:8],
            data["repr"][:60],
            size_text(data["size"]),
            (data["signer"] or "nobody")[:8],
        ]
        for data in listed[:_MOST_LISTED]
    ]
    say_table(["in", "address", "key", "size", "signed by"], rows)
    if len(listed) > _MOST_LISTED:
        say(f"and {len(listed) - _MOST_LISTED:,} more")


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "rm": _rm,
    "prune": _prune,
    "repair": _repair,
    "aside": _aside,
    "trust": _trust,
}
