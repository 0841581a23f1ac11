"""Why a call would be computed: what the stash holds at its address, else how it differs from the nearest call that is stored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashstash.entry import Entry, unpack
from hashstash.errors import (
    BadEntry,
    CorruptEntry,
    NewerFormat,
    TamperedEntry,
    UntrustedEntry,
    VolatileKey,
)
from hashstash.functions.contexts import Context, context_of, read_contexts
from hashstash.functions.differences import Change, brief
from hashstash.functions.kinds import name_of
from hashstash.functions.nearest import NearCall, changed_arguments, nearest_call
from hashstash.wording import ago, duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.functions.memo import Memo

_PART_NAMES = {"code of": "code of", "helper": "function", "default": "default of"}
_MOST_SHOWN = 12
_LONGEST_CALL = 100
_LONGEST_LINE = 1000

STORED = "stored"
ERROR_STORED = "exception stored"
FORCED = "forced"
NEVER = "nothing stored"
ARGUMENTS = "other arguments"
FUNCTION = "function changed"
VERSION = "version changed"
EXPIRED = "expired"
FOREIGN = "foreign"
CORRUPT = "corrupt"
NEWER = "newer format"
VOLATILE = "volatile"


@dataclass(frozen=True)
class Explanation:
    """Whether a call would be answered from the stash, and if not, why. True if it would; printing it tells all."""

    call: str
    """The call as text, such as ``predict(3, scale=2)``."""
    hit: bool
    reason: str
    """``stored``, ``exception stored``; or ``nothing stored``, ``other arguments``, ``function changed``,
    ``version changed``, ``expired``, ``foreign``, ``corrupt``, ``newer format``, ``volatile``, ``forced``."""
    changes: tuple[Change, ...] = ()
    """What is not as it was for the nearest stored call: ``(name, old, new)``."""
    detail: str = ""
    """What there is to say besides."""
    stored_at: float | None = None
    """When the result was stored that is or would have been the answer, in seconds since the epoch."""
    seconds: float = 0.0
    """How long computing that result took."""

    def __bool__(self) -> bool:
        return self.hit

    def __repr__(self) -> str:
        lines = [f"{self.call} {self.in_words()}", *(f"  {change}" for change in self.changes[:_MOST_SHOWN])]
        if len(self.changes) > _MOST_SHOWN:
            lines.append(f"  and {len(self.changes) - _MOST_SHOWN} more")
        return printable(
            "\n".join(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines)
        )

    def _repr_html_(self) -> str:
        from hashstash.display.functions import html_of_explanation

        return html_of_explanation(self)

    def in_words(self) -> str:
        """What the call would do, and why."""
        return _WORDS[self.reason] + (f": {self.detail}" if self.detail else "")


_WORDS = {
    STORED: "is answered from the stash",
    ERROR_STORED: "raises an exception from the stash",
    FORCED: "is computed, since force=True",
    NEVER: "is computed: nothing is stored yet",
    ARGUMENTS: "is computed, since no call with these arguments is stored; against the nearest one",
    FUNCTION: "is computed, since the function or what it uses has changed",
    VERSION: "is computed, since its version has changed",
    EXPIRED: "is computed, since its result is over",
    FOREIGN: "is computed, since its result was stored by somebody whom you do not trust",
    CORRUPT: "is computed, since its result cannot be read",
    NEWER: "is computed, since its result was stored by a newer hashstash",
    VOLATILE: "is computed each time",
}


def explain(memo: Memo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation:
    """What calling the function of *memo* would do; TypeError if the arguments do not fit it."""
    call = _text_of(memo, args, kwargs)
    try:
        bound = memo.keys.binder.bind(args, kwargs)
        address = memo.keys.address_of_call(bound)
    except VolatileKey as error:
        return Explanation(call, hit=False, reason=VOLATILE, detail=str(error))
    if memo.options.force:
        return Explanation(call, hit=False, reason=FORCED)
    found = _at_address(memo, call, address)
    return _elsewhere(memo, call, (args, kwargs), bound) if found is None else found


def _text_of(memo: Memo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    parts = [*map(brief, args), *(f"{name}={brief(value)}" for name, value in kwargs.items())]
    text = f"{name_of(memo.function).rpartition('.')[2]}({', '.join(parts)})"
    return text if len(text) <= _LONGEST_CALL else f"{text[: _LONGEST_CALL - 2]}…)"


# ---- the row of the call itself --------------------------------------------------------------------------------------


def _at_address(memo: Memo, call: str, address: bytes) -> Explanation | None:
    """What the row of the call says; ``None`` if there is none."""
    row = memo.store.engine.get(address)
    entry = None
    if row is not None:
        try:
            entry = unpack(row, address)
            if not entry.is_expired():
                memo.store.load_row(address, row)
                return _stored(call, entry)
        except BadEntry as error:
            return _unreadable(call, error, entry)
    failure = None
    try:
        failure = memo.kept_error(address)
    except BadEntry as error:
        return _unreadable(call, error, entry)
    if failure is not None:
        detail = f"{type(failure.error).__name__}({failure.error}), stored {ago(failure.created_at)}"
        return Explanation(call, True, ERROR_STORED, detail=detail, stored_at=failure.created_at)
    if entry is None:
        return None
    ended = entry.expires_at / 1e9
    return Explanation(
        call, False, EXPIRED, (), f"for {duration(time.time() - ended)}", entry.created_at / 1e9, entry.seconds
    )


def _stored(call: str, entry: Entry) -> Explanation:
    stored_at = entry.created_at / 1e9
    detail = f"stored {ago(stored_at)}, computed in {duration(entry.seconds)}"
    if entry.expires_at:
        detail += f", over in {duration(entry.expires_at / 1e9 - time.time())}"
    return Explanation(call, True, STORED, detail=detail, stored_at=stored_at, seconds=entry.seconds)


def _unreadable(call: str, error: BadEntry, entry: Entry | None) -> Explanation:
    reason = CORRUPT
    if isinstance(error, UntrustedEntry):
        reason = FOREIGN
    elif isinstance(error, NewerFormat):
        reason = NEWER
    elif not isinstance(error, (CorruptEntry, TamperedEntry)):
        raise error
    stored_at = None if entry is None else entry.created_at / 1e9
    return Explanation(call, False, reason, detail=str(error), stored_at=stored_at)


# ---- other rows ------------------------------------------------------------------------------------------------------


def _elsewhere(memo: Memo, call: str, given: tuple[Any, Any], bound: tuple[Any, ...]) -> Explanation:
    """How the call differs from the nearest one that is stored."""
    near = nearest_call(memo, given, bound)
    if near is None:
        return Explanation(call, hit=False, reason=NEVER)
    changes: list[Change] = []
    reason = ARGUMENTS
    if near.context != memo.keys.context():
        found = _changes_since(memo, near.context)
        changes += found
        reason = VERSION if found and all(change.name == "version" for change in found) else FUNCTION
    if not near.has_same_arguments:
        changes += changed_arguments(memo, near, given)
    return Explanation(
        *(call, False, reason, tuple(changes), _detail(reason, near, changes), near.stored_at, near.seconds)
    )


def _detail(reason: str, near: NearCall, changes: list[Change]) -> str:
    words = f"stored {ago(near.stored_at)}"
    if reason != ARGUMENTS and not near.has_same_arguments:
        words += " for other arguments"
    if not changes:
        words += "; what exactly has changed was not recorded"
    return words


def _changes_since(memo: Memo, digest: bytes) -> list[Change]:
    """What the function is made of now, against the state of it that *digest* stands for."""
    old = read_contexts(memo.store.engine).get(digest)
    if old is None:
        return []
    new = context_of(memo.live, memo.options.version)
    changes = [] if old.version == new.version else [Change("version", str(old.version), str(new.version))]
    return changes + list(_changed_packages(old, new)) + list(_changed_parts(old, new))


def _changed_packages(old: Context, new: Context) -> Iterator[Change]:
    for name in sorted({*old.packages, *new.packages}):
        before, after = old.packages.get(name), new.packages.get(name)
        if before and after and before != after:
            yield Change(f"package {name}", before, after)


def _changed_parts(old: Context, new: Context) -> Iterator[Change]:
    for name in dict.fromkeys((*new.parts, *old.parts)):
        before, after = old.parts.get(name), new.parts.get(name)
        if before == after:
            continue
        words = _readable(name)
        if before is None or after is None:
            yield Change(words, "not used" if before is None else "used", "not used" if after is None else "used")
        else:
            numbers = old.numbers.get(name), new.numbers.get(name)
            yield Change(words, *(number or "something else" for number in numbers)) if any(numbers) else Change(words)


def _readable(part: str) -> str:
    """``helper g`` as ``function g``, and the like."""
    for kind, words in _PART_NAMES.items():
        if part.startswith(kind + " "):
            return words + part[len(kind) :]
    return part
