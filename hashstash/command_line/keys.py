"""From a KEY on the command line to the row that it means."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from hashstash.command_line.output import CommandFailed, Misused
from hashstash.wording import shortened

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.store import Store

_SHORTEST_ADDRESS = 4
_ADDRESS_DIGITS = 32
_SHOWN = 60
_MOST_NAMED = 5


def address_of(store: Store, text: str, arguments: Namespace) -> bytes:
    """The address of the entry that *text* means; CommandFailed if it is not there."""
    if arguments.address:
        return _by_prefix(store, text)
    key = _key(text, arguments)
    address = store.keys.address(key)
    if not store.engine.has(address):
        hint = (
            ""
            if arguments.literal or arguments.key_json
            else "; keys other than text are given with --literal or --address"
        )
        raise CommandFailed(f"there is no entry of {shortened(key, _SHOWN)} in {store.engine.location()}{hint}")
    return address


def _key(text: str, arguments: Namespace) -> Any:
    if arguments.literal:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise Misused(f"{text!r:.80} is no Python literal; write one such as 42, ('a', 1) or \"'text'\"") from error
    if arguments.key_json:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Misused(f"{text!r:.80} is no JSON; write it as in '[\"a\", 1]'") from error
    return text


def _by_prefix(store: Store, text: str) -> bytes:
    digits = text.lower()
    if not _SHORTEST_ADDRESS <= len(digits) <= _ADDRESS_DIGITS or set(digits) - set("0123456789abcdef"):
        raise Misused(
            f"{text!r:.80} is no address: {_SHORTEST_ADDRESS} to {_ADDRESS_DIGITS} digits, as `hashstash ls --entries` shows"
        )
    whole = bytes.fromhex(digits[: len(digits) // 2 * 2])
    found = [address for address in store.engine.scan(whole) if address.hex().startswith(digits)]
    if not found:
        raise CommandFailed(f"no entry in {store.engine.location()} has an address that begins with {digits}")
    if len(found) > 1:
        names = ", ".join(sorted(address.hex() for address in found)[:_MOST_NAMED])
        raise Misused(f"{len(found)} entries have an address that begins with {digits}; give more digits: {names}")
    return found[0]
