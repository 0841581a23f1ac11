"""From a PLACE on the command line to the stash that is there. Looking never makes one."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import trust as trusting
from hashstash.closed import closed_at, why_closed
from hashstash.codec import key_is_code
from hashstash.command_line.output import CommandFailed, Misused, complain
from hashstash.credentials import parse_url
from hashstash.entry import Flag, unpack
from hashstash.errors import BadEntry, TamperedEntry
from hashstash.inventory import Found, stashes_below, stashes_in
from hashstash.open import (
    FUNCTIONS,
    MAPS,
    Config,
    below,
    configure,
    function_stashes,
    is_namespace,
    namespace,
    open_store,
)
from hashstash.paths import original_name, resolve_root, safe_parts, shown
from hashstash.policies.versions import HISTORY
from hashstash.registry import ENGINES
from hashstash.settings import load_settings
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from hashstash.engine import Engine
    from hashstash.store import Store

_MOST_SPLITS = 8
_MOST_SIGNED = 20
_HEAD = 4096
_FLAGS = 4
_MOST_NAMED = 12
_MOST_BELOW = 1000
_CELLS = ("code", "outputs", "variables")


def is_url(place: str) -> bool:
    """Whether a place is a URL rather than a folder or a name."""
    return "://" in place


def named(place: str) -> str:
    """A place as it may be shown: a URL without its password."""
    return parse_url(place).bare() if is_url(place) else place


def every_stash(arguments: Namespace) -> list[Found]:
    """The stashes at the place that the line names and below it; all of the user's if it names none."""
    if arguments.place and is_url(arguments.place):
        config = _config_of_url(arguments.place, arguments)
        if not config_is_folder(config):
            return list(_on_server(config))
        top = config.root_dir
    else:
        base = load_settings().base
        top = resolve_root(arguments.place, base) if arguments.place else base
        if not os.path.isdir(top):
            if not arguments.place:
                return []
            why = why_closed(*closed_at(top))
            raise CommandFailed(why or f"there is no folder {shown(top)}; `hashstash ls` lists your stashes")
    closed: list[str] = []
    below_top = stashes_below(top, dbname=arguments.dbname, closed=closed)
    found = [one for one in below_top if _fits(one.config, arguments)]
    if arguments.place and not found:
        raise CommandFailed(
            why_closed(*closed) or f"there is no stash in {shown(top)} or below it; `hashstash ls` lists your stashes"
        )
    if closed:
        complain(f"note: {why_closed(*closed)}")
    return found


def config_is_folder(config: Config) -> bool:
    """Whether a stash lies in a folder, where it can be seen without being opened."""
    return bool(ENGINES.load(config.engine).keeps_files)


def the_stash(arguments: Namespace, *, most: int | None = None) -> Config:
    """The one stash at the place that the line names; CommandFailed if there is none, or more than one.

    *most*: how many of its rows are looked at to find out what of its path is the namespace (:func:`settled_namespace`).
    """
    place: str = arguments.place
    if is_url(place):
        config = _config_of_url(place, arguments)
        if not config_is_folder(config):
            return config
        root, engine = config.root_dir, config.engine
    else:
        root, engine = resolve_root(place, load_settings().base), ""
    folder = os.path.join(root, *(safe_parts(arguments.dbname) if arguments.dbname else ()))
    found = [one for one in _in_folder(folder, root, arguments) if not engine or one.engine == engine]
    if not found:
        raise CommandFailed(_nothing_at(folder, arguments))
    if len(found) > 1:
        raise Misused(
            f"{shown(folder)} holds one stash for each of these engines: {_engines(found)}; choose one with --engine"
        )
    return found[0] if arguments.dbname else settled_namespace(found[0], most=most)


def _in_folder(folder: str, root: str, arguments: Namespace) -> list[Config]:
    found = stashes_in(folder, root)
    if arguments.dbname:  # the user has said what is root and what is namespace
        found = [replace(config, root_dir=root, dbname=namespace(arguments.dbname)) for config in found]
    return [config for config in found if _fits(config, arguments)]


def _fits(config: Config, arguments: Namespace) -> bool:
    wanted = arguments.engine
    return wanted is None or config.engine == ENGINES.load(wanted).name


def _engines(configs: list[Config]) -> str:
    return ", ".join(config.engine for config in configs)


def _nothing_at(folder: str, arguments: Namespace) -> str:
    if closed := closed_at(folder):
        return why_closed(*closed)
    what = f"there is no {arguments.engine + ' ' if arguments.engine else ''}stash at {shown(folder)}"
    if not os.path.isdir(folder):
        return f"{what}; `hashstash ls` lists those that there are"
    names = [one.name for one in stashes_below(folder, closed=closed) if one.name and _fits(one.config, arguments)]
    if not names:
        return f"{what}; {why_closed(*closed) or '`hashstash ls` lists those that there are'}"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{what} itself, but below it: {', '.join(names[:_MOST_NAMED])}{more}"


def target(arguments: Namespace, *, place: str | None, dbname: str | None, keeps_versions: bool) -> HashStash:
    """The stash to import into, which is made if it is not there."""
    options: dict[str, Any] = {"engine": arguments.engine, "dbname": dbname}
    if place is not None and not is_url(place):
        root = resolve_root(place, load_settings().base)
        folder = os.path.join(root, *(safe_parts(dbname) if dbname else ()))
        found = [one for one in stashes_in(folder, root) if _fits(one, arguments)]
        if len(found) > 1:
            raise Misused(
                f"{shown(folder)} holds one stash for each of these engines: {_engines(found)}; choose one with --engine"
            )
        if found:
            chosen = found[0] if dbname is None else replace(found[0], root_dir=root, dbname=namespace(dbname))
            return opened(settled_namespace(chosen) if dbname is None else chosen, keeps_versions=keeps_versions)
    return HashStash(place, append_mode=keeps_versions, **options)


def _config_of_url(url: str, arguments: Namespace) -> Config:
    return configure(
        root_dir=url,
        dbname=arguments.dbname,
        engine=arguments.engine,
        serializer=None,
        compress=None,
        ttl=None,
        durability="process",
        trust="mine",
        engine_options={},
    )


def _on_server(config: Config) -> Iterator[Found]:
    """The stashes at a place on a server, and those in namespaces below it."""
    kind = ENGINES.load(config.engine)
    waiting, seen = [(config, "")], 0
    while waiting and seen < _MOST_BELOW:
        one, name = waiting.pop(0)
        seen += 1
        parts = [one.root_dir, *(safe_parts(one.dbname) if one.dbname else ())]
        children = kind.stashes_below(os.path.join(*parts), one.engine_options)
        store = open_store(replace(one, read_only=True))
        if store.count() or function_stashes(one) or not name:
            yield Found(name, one)
        for child in children:
            original = original_name(child)
            if original not in (FUNCTIONS, MAPS) and original != one.engine:
                waiting.append((below(one, original), f"{name}/{original}" if name else original))


# ---- opening -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def looking_at(config: Config) -> Iterator[HashStash]:
    """The stash, opened so that nothing in it can change."""
    stash = HashStash.from_config(replace(config, read_only=True))
    try:
        yield stash
    finally:
        stash.close()


@contextlib.contextmanager
def changing(config: Config) -> Iterator[HashStash]:
    """The stash, opened so that removals take the older versions with them."""
    stash = opened(config)
    try:
        yield stash
    finally:
        stash.close()


def opened(config: Config, *, keeps_versions: bool = False) -> HashStash:
    """The stash as whoever made it has opened it, as far as that can be seen."""
    stash = HashStash.from_config(config)
    if not (keeps_versions or _has_versions(stash.store.engine)):
        return stash
    stash.close()
    return HashStash.from_config(replace(config, append_mode=True))


def _has_versions(engine: Engine) -> bool:
    try:
        return HISTORY in engine.section_names() and next(iter(engine.section(HISTORY).scan()), None) is not None
    except BadEntry:
        return True  # there was something in what is damaged


@contextlib.contextmanager
def stores_of(stash: HashStash) -> Iterator[list[tuple[str, Store]]]:
    """The store of a stash, and by their names those of the functions and maps whose results it keeps."""
    base = stash.config.dbname
    inner = [
        ((config.dbname or "").removeprefix(f"{base}/"), open_store(config))
        for config in function_stashes(stash.config)
    ]
    try:
        yield [("", stash.store), *inner]
    finally:
        for _, store in inner:
            store.settle()
            store.engine.close()


def holds_cells(stash: HashStash) -> bool:
    """Whether the stash keeps the cells of a notebook."""
    for entry in stash.store.entries():
        with contextlib.suppress(BadEntry):
            key = None if key_is_code(entry.key) else stash.store.keys.decode(entry.key)
            return type(key) is tuple and len(key) == 2 and key[0] in _CELLS
    return False


# ---- which part of a path is the namespace -----------------------------------------------------------------------------


def settled_namespace(config: Config, *, most: int | None = None) -> Config:
    """*config* with that part of its path as ``dbname`` under which its signed entries were signed.

    A path does not say where the root ends, and only what was signed depends on it: of the first signatures of known keys that
    fit some way of splitting the path, most decide. Where they are equal, those with the longer namespace do: what was signed
    for a shorter one may have been put there from elsewhere. Where nothing is signed, nothing is changed. *most*: rows that are
    looked at.
    """
    if most == 0:
        return config
    splits = _splits(config)
    with looking_at(config) as stash, stores_of(stash) as stores:
        for below_it, store in stores:
            suffix = f"/{below_it}" if below_it else ""
            votes = Counter(_fitting(store, splits, suffix, most))
            if votes:
                return splits[max(votes, key=lambda number: (votes[number], len(splits[number].dbname or "")))]
    return config


def _splits(config: Config) -> list[Config]:
    parts = safe_parts(config.dbname) if config.dbname else []
    folder = os.path.join(config.root_dir, *parts)
    splits = [config]
    names: list[str] = []
    root = folder
    for _ in range(_MOST_SPLITS):
        splits.append(replace(config, root_dir=root, dbname="/".join(names) or None))
        root, last = os.path.split(root)
        if not last or not is_namespace(original_name(last)) or safe_parts(original_name(last)) != [last]:
            break
        names.insert(0, original_name(last))
    return splits


def _heads(engine: Engine) -> Iterator[tuple[bytes, bytes]]:
    """The beginnings of all rows that the storage can give: that it is damaged is for the command to say, or to mend."""
    with contextlib.suppress(BadEntry):
        yield from engine.heads(_HEAD)


def _fitting(store: Store, splits: list[Config], suffix: str, most: int | None) -> Iterator[int]:
    """For each row that a known key has signed, which of *splits* that was for."""
    looked_at = 0
    for address, head in islice(_heads(store.engine), most):
        if len(head) <= _FLAGS or not head[_FLAGS] & Flag.SIGNED or looked_at >= _MOST_SIGNED:
            continue
        with contextlib.suppress(BadEntry):
            entry = unpack(store.engine.get(address) or b"", address)
            looked_at += 1
            for number, split in enumerate(splits):
                with contextlib.suppress(TamperedEntry):
                    if trusting.keyring().verifies(entry, f"{split.dbname or ''}{suffix}".strip("/")):
                        yield number
                    break  # or nobody's whom we know
