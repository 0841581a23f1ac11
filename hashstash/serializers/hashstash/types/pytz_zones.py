"""The time zones of pytz: by their name, and the offset from UTC that one of their moments has."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytz  # type: ignore[import-untyped,unused-ignore]
from pytz.tzinfo import DstTzInfo, StaticTzInfo  # type: ignore[import-untyped,unused-ignore]

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.times import ZONE_KEY

FixedOffset: Any = type(pytz.FixedOffset(1))
MOST_MINUTES = 24 * 60


def _pack(value: Any) -> Any:
    """The minutes of a fixed offset, a name, or a name with an offset, whether it is daylight saving, and letters."""
    if type(value) is FixedOffset:
        return int(value.utcoffset(None).total_seconds()) // 60
    try:
        zone = pytz.timezone(value.zone)
    except (pytz.UnknownTimeZoneError, AttributeError) as error:
        raise NeedsGraph(value, "is a time zone that its name does not name") from error
    if zone is value:
        return value.zone
    for (offset, saving, letters), moment in getattr(zone, "_tzinfos", {}).items():
        if moment is value:
            return [value.zone, *(int(part.total_seconds()) for part in (offset, saving)), letters]
    raise NeedsGraph(value, "is a time zone that its name does not name")


def _unpack(meta: Any) -> Any:
    if type(meta) is int:
        if abs(meta) >= MOST_MINUTES:
            raise CorruptEntry("a stored time zone lies more than a day from UTC; delete the entry")
        return pytz.FixedOffset(meta)
    if type(meta) is str:
        return _named(meta)
    name, offset, saving, letters = items(meta, 4)
    zone = _named(expect(str, name))
    wanted = (dt.timedelta(seconds=expect(int, offset)), dt.timedelta(seconds=expect(int, saving)), letters)
    moments = getattr(zone, "_tzinfos", {})
    if wanted in moments:
        return moments[wanted]
    for (found, found_saving, _), moment in moments.items():  # another release may have other letters
        if (found, found_saving) == wanted[:2]:
            return moment
    raise MissingDependency(f"the time zone {name!r} has no offset of {wanted[0]} in this pytz: pip install -U pytz")


def _named(name: str) -> Any:
    if not ZONE_KEY.fullmatch(name):
        raise CorruptEntry(f"a stored time zone is named {name!r:.80}, which is no name of a zone; delete the entry")
    try:
        return pytz.timezone(name)
    except pytz.UnknownTimeZoneError as error:
        raise MissingDependency(f"the stored value needs the time zone {name!r}: pip install -U pytz") from error


def _matches(kind: type) -> bool:
    return kind in {FixedOffset, type(pytz.utc)} or (
        issubclass(kind, (DstTzInfo, StaticTzInfo)) and kind.__module__ == "pytz.tzfile"
    )


_HOOKS = [plain_hook("pytz.zone", _matches, _pack, _unpack)]
HOOKS = {hook.tag: hook for hook in _HOOKS}
