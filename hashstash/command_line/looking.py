"""``ls``, ``info``, ``get`` and ``check``: nothing is changed, and nothing is made."""

from __future__ import annotations

import contextlib
import json
import os
import pprint
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash.command_line.described import (
    ENTRY_COLUMNS,
    entry_data,
    entry_row,
    info_without_code,
    infos_of,
    stash_data,
)
from hashstash.command_line.keys import address_of
from hashstash.command_line.output import CommandFailed, Misused, say, say_json, say_json_with, say_table
from hashstash.command_line.places import (
    every_stash,
    is_url,
    looking_at,
    named,
    settled_namespace,
    stores_of,
    the_stash,
)
from hashstash.entry import unpack
from hashstash.errors import BadEntry, MissingDependency, StashError, TamperedEntry, UntrustedEntry
from hashstash.paths import shown
from hashstash.policies.versions import HISTORY, history_address
from hashstash.store import MISSING
from hashstash.tabular import filled
from hashstash.unfolded import is_folded
from hashstash.wording import counted, printable, shortened, size_text

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from hashstash.entry import Entry
    from hashstash.inventory import Found
    from hashstash.stash import HashStash
    from hashstash.store import Store

_MOST_FOR_A_LIST = 10_000
_BEGINNING = 200


def _ls(arguments: Namespace) -> int:
    if arguments.entries:
        return _ls_entries(arguments)
    found = every_stash(arguments)
    described = [_described(one) for one in found]
    listed = [data for data in described if arguments.all or "error" in data or data["entries"] or data["results"]]
    if arguments.json:
        say_json({"stashes": listed})
    elif listed:
        say_table(["stash", "engine", "entries", "results", "size"], [_row(data) for data in listed])
    else:
        say(
            "no stashes"
            if not found
            else f"no stashes that hold anything; --all lists {counted(len(found), 'empty one')}"
        )
    return int(any("error" in data for data in listed))


def _described(found: Found) -> dict[str, Any]:
    """What is known of a stash; an ``error`` where it cannot be looked into."""
    name = found.name or shown(found.config.root_dir)
    try:
        with looking_at(found.config) as stash, stores_of(stash) as stores:
            return stash_data(stash, name, stores)
    except (StashError, OSError) as error:
        return {"name": name, "engine": found.config.engine, "root_dir": found.config.root_dir, "error": str(error)}


def _row(data: dict[str, Any]) -> list[str]:
    if "error" in data:
        return [data["name"], data["engine"], "", "", f"cannot be read: {data['error']}"]
    results = f"{data['results']:,}" if data["results"] else ""
    return [data["name"], data["engine"], f"{data['entries']:,}", results, size_text(data["size"])]


def _ls_entries(arguments: Namespace) -> int:
    if not arguments.place:
        raise Misused("ls --entries needs a PLACE: whose entries are meant")
    with looking_at(the_stash(arguments, most=_MOST_FOR_A_LIST)) as stash:
        infos = islice(infos_of(stash.store), arguments.limit)
        if arguments.json:
            say_json_with({"path": stash.path, "engine": stash.engine}, "entries", map(entry_data, infos))
            return 0
        rows = list(map(entry_row, infos))
        say_table(*filled(ENTRY_COLUMNS, rows))
        if not rows:
            say("no entries")
        return 0


def _info(arguments: Namespace) -> int:
    with _opened_for(arguments) as stash:
        if arguments.key is not None:
            data = entry_data(info_without_code(stash.store, _entry(stash.store, arguments.key, arguments)))
        else:
            with stores_of(stash) as stores:
                data = _stash_info(stash, named(arguments.place), stores)
        if arguments.json:
            say_json(data)
        else:
            _say_facts(data)
    return 0


def _stash_info(stash: HashStash, name: str, stores: list[tuple[str, Store]]) -> dict[str, Any]:
    engine = stash.store.engine
    older = engine.section(HISTORY).count() if HISTORY in engine.section_names() else 0
    below = {name: store.count() for name, store in stores if name}
    return {**stash_data(stash, name, stores), "older_versions": older, "below": below}


def _say_facts(data: dict[str, Any]) -> None:
    width = max(map(len, data))
    for name, value in data.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key}: {item}" for key, item in value.items())
        elif isinstance(value, list):
            text = ", ".join(map(str, value))
        elif name.endswith("size"):
            text = f"{size_text(value)} ({value:,} bytes)"
        else:
            text = "" if value is None else str(value)
        if text and not (name == "key" and "repr" in data):
            say(f"{name:<{width}}  {' '.join(printable(text).split(chr(10)))}")


@contextlib.contextmanager
def _opened_for(arguments: Namespace) -> Iterator[HashStash]:
    """The stash whose entry is wanted; where the signature of that does not fit, under the namespace that its path allows."""
    config = the_stash(arguments, most=0)
    with looking_at(config) as stash:
        if arguments.key is None or not _is_tampered(stash.store, arguments):
            yield stash
            return
    with looking_at(the_stash(arguments)) as stash:
        yield stash


def _is_tampered(store: Store, arguments: Namespace) -> bool:
    row = store.engine.get(address_of(store, arguments.key, arguments))
    try:
        if row is not None:
            store.open_row(None, row)
    except TamperedEntry:
        return True
    except BadEntry:
        pass
    return False


# ---- values ------------------------------------------------------------------------------------------------------------


def _entry(store: Store, text: str, arguments: Namespace, number: int | None = None) -> Entry:
    """The entry of a key, or one of its versions; CommandFailed if it is not there."""
    address = address_of(store, text, arguments)
    row = store.engine.get(address)
    if row is not None and number is not None and unpack(row, address).version != number:
        row = store.engine.section(HISTORY).get(history_address(address, number))
        if row is None:
            raise CommandFailed(f"there is no version {number} of {text}")
    if row is None or (entry := unpack(row, address)).is_expired():
        raise CommandFailed(f"the entry of {text} is over, or was just removed")
    try:
        return store.open_row(address, row, text if not arguments.address else MISSING) or entry
    except UntrustedEntry:
        return entry


def _get(arguments: Namespace) -> int:
    with _opened_for(arguments) as stash:
        entry = _entry(stash.store, arguments.key, arguments, arguments.number)
        _refuse_code(stash.store, entry, arguments)
        if arguments.code:
            sys.path.insert(0, os.getcwd())  # where the user's own modules are looked for in a session of his, too
        data = _bytes_of(stash.store.value_of(entry), arguments)
        _write(data, arguments)
    return 0


def _refuse_code(store: Store, entry: Entry, arguments: Namespace) -> None:
    if store.is_foreign(entry):
        signer = f"signed by {entry.signer.hex()}" if entry.signer else "not signed"
        raise CommandFailed(
            f"{arguments.key} needs code to be decoded and is {signer}, which is nobody whom you trust;"
            f" if you trust whoever wrote it: hashstash trust {named(arguments.place)}"
        )
    if entry.is_code and not arguments.code:
        raise CommandFailed(
            f"{arguments.key} needs code to be decoded, which you or somebody you trust has signed; --code decodes it"
        )


def _bytes_of(value: Any, arguments: Namespace) -> bytes:
    if arguments.raw:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise Misused(
            f"--raw is for bytes and text, and {arguments.key} is a {type(value).__name__}; leave it out, or try --json"
        )
    if is_folded(value):
        raise CommandFailed(
            f"{arguments.key} holds the same parts over and over, and written out has no end; it begins:"
            f" {shortened(value, _BEGINNING)}"
        )
    if arguments.json:
        return _json_of(value, arguments.key).encode() + b"\n"
    if isinstance(value, str):
        return printable(value).encode("utf-8", "backslashreplace") + b"\n"
    try:
        is_plain = type(value) in (dict, list, tuple, set)
        text = pprint.pformat(value, width=100, sort_dicts=False) if is_plain else repr(value)
    except Exception as error:  # whatever the class of a value raises; Python itself, where an integer is too long
        raise CommandFailed(f"{arguments.key} cannot be shown: {error}; --json or --raw may write it") from error
    return printable(text).encode("utf-8", "backslashreplace") + b"\n"


def _json_of(value: Any, key: str) -> str:
    def as_plain(part: Any) -> Any:
        if hasattr(part, "tolist"):  # arrays and their scalars
            return part.tolist()
        if hasattr(part, "isoformat"):
            return part.isoformat()
        raise TypeError(f"a {type(part).__name__} has no form in JSON")

    try:
        return json.dumps(value, indent=2, allow_nan=False, default=as_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandFailed(f"{key} cannot be written as JSON: {error}; leave out --json") from error


def _write(data: bytes, arguments: Namespace) -> None:
    if arguments.output:
        with open(arguments.output, "wb") as file:
            file.write(data)
        return
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))


# ---- health --------------------------------------------------------------------------------------------------------------


def _check(arguments: Namespace) -> int:
    reports = []
    for found in every_stash(arguments):
        name = found.name or shown(found.config.root_dir)
        try:
            settled = (
                found.config if arguments.dbname or is_url(arguments.place or "") else settled_namespace(found.config)
            )
            with looking_at(settled) as stash:
                report = stash.check()
        except (BadEntry, OSError, MissingDependency) as error:
            reports.append({"name": name, "rows": 0, "problems": [str(error)], "unlisted": 0, "aside": 0})
            continue
        problems = [str(problem) for problem in report]
        unlisted = report.unlisted
        reports.append(
            {"name": name, "rows": report.rows, "problems": problems, "unlisted": unlisted, "aside": report.aside}
        )
    if arguments.json:
        say_json({"stashes": reports})
    else:
        for one in reports:
            _say_report(one)
    return int(any(one["problems"] for one in reports))


def _say_report(one: dict[str, Any]) -> None:
    count = len(one["problems"]) + one["unlisted"]
    say(f"{one['name']}: {counted(one['rows'], 'row')}, {counted(count, 'problem') if count else 'nothing wrong'}")
    for problem in one["problems"]:
        say("- " + problem.replace("\n", " "))
    if one["unlisted"]:
        say(f"- and {one['unlisted']:,} more")
    if one["aside"]:
        say(f"({counted(one['aside'], 'bad row')} kept aside earlier, which `hashstash aside` lists)")


COMMANDS = {"ls": _ls, "info": _info, "get": _get, "check": _check}
