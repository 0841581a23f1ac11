"""``export`` and ``import``: stashes in one file."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hashstash.archive import export_stashes, import_stash
from hashstash.archive.layout import HISTORY
from hashstash.archive.reader import Archive
from hashstash.command_line.output import CommandFailed, Misused, entries, say, say_json, say_table
from hashstash.command_line.places import every_stash, holds_cells, is_url, looking_at, named, settled_namespace, target
from hashstash.paths import is_there, resolve_root, shown
from hashstash.settings import load_settings
from hashstash.wording import counted, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.archive.layout import PackedStash
    from hashstash.open import Config
    from hashstash.stash import HashStash


# ---- export --------------------------------------------------------------------------------------------------------------


def _export(arguments: Namespace) -> int:
    if is_there(arguments.file) and not arguments.force:
        raise CommandFailed(f"{arguments.file} is there already; --force replaces it")
    chosen = _chosen(arguments)
    if not chosen:
        raise CommandFailed("there are no stashes to export")
    with ExitStack() as stack:
        stashes = {name: stack.enter_context(looking_at(config)) for name, config in chosen.items()}
        count = export_stashes(arguments.file, stashes)
    size = os.path.getsize(arguments.file)
    if arguments.json:
        say_json({"file": arguments.file, "stashes": list(chosen), "entries": count, "size": size})
    else:
        say(f"{arguments.file}: {entries(count)} of {counted(len(chosen), 'stash')}, {size_text(size)}")
    return 0


def _chosen(arguments: Namespace) -> dict[str, Config]:
    """By the names that they get in the file, the stashes that the line names."""
    chosen: dict[str, Config] = {}
    for place in arguments.places or [None]:
        line = Namespace(place=place, engine=arguments.engine, dbname=arguments.dbname)
        for found in every_stash(line):
            is_settled = bool(arguments.dbname) or (place is not None and is_url(place))
            config = found.config if is_settled else settled_namespace(found.config)
            name = "/".join(part for part in (_base_name(place, arguments.dbname), found.name) if part)
            if name in chosen:
                raise Misused(
                    f"two of these stashes would be called {name}; choose with --engine, or export them one by one"
                )
            chosen[name] = config
    return chosen


def _base_name(place: str | None, dbname: str | None) -> str:
    """What a place is called in a file: as ``ls`` shows it below the user's cache, by its last part elsewhere."""
    if place is None:
        return ""
    if is_url(place):
        base = named(place).partition("?")[0].rstrip("/").rpartition("/")[2]
    else:
        top = load_settings().base
        root = resolve_root(place, top)
        is_inside = root.startswith(top + os.sep)
        base = os.path.relpath(root, top).replace(os.sep, "/") if is_inside else os.path.basename(root)
    return "/".join(part for part in (base, (dbname or "").strip("/")) if part)


# ---- import --------------------------------------------------------------------------------------------------------------


def _import(arguments: Namespace) -> int:
    with Archive(arguments.file) as archive:
        packed = [one for one in archive.stashes if arguments.name in (None, one.name)]
        known = ", ".join(one.name for one in archive.stashes)
        if arguments.dry_run:
            archive.verify()
    if not packed:
        raise CommandFailed(f"{arguments.file} holds no stash {arguments.name}; it holds: {known}")
    if arguments.dry_run:
        return _say_contents(arguments, packed)
    counts: dict[str, int] = {}
    for one in packed:
        stash = _target(arguments, one, is_only=len(packed) == 1)
        with stash:
            counts[one.name] = _store(arguments, one.name, stash)
            where = shown(stash.path)
        if not arguments.json:
            left = one.content.entries - counts[one.name]
            rest = f"; {entries(left)} left out, as their keys were there already" if left else ""
            say(f"{one.name}: {entries(counts[one.name])} stored in {where}{rest}")
    if arguments.json:
        say_json({"stored": counts})
    return 0


def _store(arguments: Namespace, name: str, stash: HashStash) -> int:
    if arguments.overwrite != "never" or not holds_cells(stash):
        return import_stash(arguments.file, stash, name=name, overwrite=arguments.overwrite)
    from hashstash.cells.rows import Rows
    from hashstash.cells.sharing import import_stash as import_cells

    before = len(stash)
    import_cells(arguments.file, Rows(stash), name)  # which joins the records of cells that both have
    return len(stash) - before


def _target(arguments: Namespace, packed: PackedStash, *, is_only: bool) -> HashStash:
    keeps_versions = any(part.members[HISTORY] for part in packed.parts)
    if arguments.place is None:
        place, _, dbname = packed.name.partition("/")
    elif is_only:
        place, dbname = arguments.place, arguments.dbname or ""
    else:
        place = arguments.place
        dbname = "/".join(part for part in (arguments.dbname, packed.name) if part)
    return target(arguments, place=place, dbname=dbname or None, keeps_versions=keeps_versions)


def _say_contents(arguments: Namespace, packed: list[PackedStash]) -> int:
    contents = [one.content for one in packed]
    if arguments.json:
        say_json({"dry_run": True, "stashes": [one._asdict() for one in contents]})
    else:
        say_table(
            ["stash", "entries", "size"], [[one.name, f"{one.entries:,}", size_text(one.bytes)] for one in contents]
        )
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {"export": _export, "import": _import}
