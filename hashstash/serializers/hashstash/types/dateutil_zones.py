"""The time zones of dateutil: UTC, fixed offsets, named zones, rules as text, and the local zone of whoever reads."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dateutil import tz  # type: ignore[import-untyped,unused-ignore]

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.times import ZONE_KEY

KINDS: dict[Any, str] = {
    tz.tzutc: "utc",
    tz.tzlocal: "local",
    tz.tzoffset: "offset",
    tz.tzfile: "file",
    tz.tzstr: "rule",
}
LONGEST_RULE = 200
UNNAMED = dt.datetime(2000, 1, 1)  # noqa: DTZ001  any moment: a fixed offset is the same at all of them


def _pack(value: Any) -> list[Any]:
    kind = KINDS[type(value)]
    if kind == "offset":
        return [kind, value.tzname(UNNAMED), value.utcoffset(UNNAMED)]
    if kind == "file":
        return [kind, _key_of(value)]
    if kind == "rule":
        return [kind, *_rule_of(value)]
    return [kind]


def _key_of(zone: Any) -> str:
    """The name under which dateutil finds *zone* again, which it keeps as the path of a file."""
    path = str(getattr(zone, "_key", None) or getattr(zone, "_filename", None) or "")
    key = path.rpartition("zoneinfo/")[2]
    if not ZONE_KEY.fullmatch(key) or tz.gettz(key) != zone:
        raise NeedsGraph(zone, "is a time zone that its name does not name")
    return key


def _rule_of(zone: Any) -> tuple[str, bool]:
    """The text of a rule, and whether its signs are those of POSIX."""
    text = getattr(zone, "_s", None)
    for is_posix in (False, True):
        if type(text) is str and len(text) <= LONGEST_RULE and tz.tzstr(text, posix_offset=is_posix) == zone:
            return text, is_posix
    raise NeedsGraph(zone, "is a time zone that its text does not describe")


def _unpack(meta: Any) -> Any:
    kind, *parts = expect(list, meta)
    if kind == "offset":
        name, offset = items(parts, 2)
        return tz.tzoffset(expect((str, type(None)), name), expect(dt.timedelta, offset))
    if kind == "file":
        return _named(*items(parts, 1))
    if kind == "rule":
        text, is_posix = items(parts, 2)
        if len(expect(str, text)) > LONGEST_RULE:
            raise CorruptEntry("a stored time zone has a rule that is none; delete the entry")
        return tz.tzstr(text, posix_offset=expect(bool, is_posix))
    items(parts, 0)
    return {"utc": tz.tzutc, "local": tz.tzlocal}[kind]()


def _named(key: Any) -> Any:
    if not ZONE_KEY.fullmatch(expect(str, key)):
        raise CorruptEntry(f"a stored time zone is named {key!r:.80}, which is no name of a zone; delete the entry")
    zone = tz.gettz(key)
    if not isinstance(zone, (tz.tzfile, tz.tzutc)):
        raise MissingDependency(f"the stored value needs the time zone {key!r}: pip install -U tzdata python-dateutil")
    return zone


_HOOKS = [plain_hook("dateutil.zone", lambda kind: kind in KINDS, _pack, _unpack)]
HOOKS = {hook.tag: hook for hook in _HOOKS}
