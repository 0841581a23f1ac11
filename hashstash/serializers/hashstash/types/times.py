"""Dates, times and zones. A zone is stored by its key, and needs the zone database of the machine that reads it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, named, plain_hook

ZONE_KEY = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")


def _pack_moment(value: Any) -> Any:
    """The text of a datetime or time as it stands on the clock, with fold and zone only where there are any."""
    zone, fold = value.tzinfo, value.fold
    if zone is None:
        return [value.isoformat(), fold, zone] if fold else value.isoformat()
    return [value.replace(tzinfo=None).isoformat(), fold, zone]


def _unpack_moment(kind: type[Any], meta: Any) -> Any:
    text, fold, zone = (meta, 0, None) if type(meta) is str else items(meta, 3)
    moment = kind.fromisoformat(text)
    if moment.tzinfo is not None:
        raise CorruptEntry("a stored time names its zone twice; delete the entry")
    return moment if type(meta) is str else moment.replace(fold=fold, tzinfo=zone)


def _unpack_datetime(meta: Any) -> dt.datetime:
    moment: dt.datetime = _unpack_moment(dt.datetime, meta)
    return moment


def _unpack_time(meta: Any) -> dt.time:
    moment: dt.time = _unpack_moment(dt.time, meta)
    return moment


def _unpack_timedelta(meta: Any) -> dt.timedelta:
    days, seconds, microseconds = (expect(int, part) for part in items(meta, 3))
    return dt.timedelta(days, seconds, microseconds)


def _pack_timezone(value: dt.timezone) -> Any:
    if value is dt.UTC:
        return None
    return list(value.__getinitargs__())  # type: ignore[attr-defined]  # the offset, and a name if it was given one


def _unpack_timezone(meta: Any) -> dt.timezone:
    return dt.UTC if meta is None else dt.timezone(*expect(list, meta))


def _pack_zone(value: Any) -> str:
    key = value.key
    if not isinstance(key, str) or type(value)(key) is not value:
        raise NeedsGraph(value, "is a time zone that its key does not name")
    return key


def _unpack_zone(meta: Any) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if not ZONE_KEY.fullmatch(expect(str, meta)):
        raise CorruptEntry(f"a stored time zone is named {meta!r:.80}, which is no name of a zone; delete the entry")
    try:
        return ZoneInfo(meta)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise MissingDependency(f"the stored value needs the time zone {meta!r}: pip install -U tzdata") from error


TIMES = [
    plain_hook("datetime", named("datetime.datetime"), _pack_moment, _unpack_datetime),
    plain_hook(
        "date",
        named("datetime.date"),
        dt.date.isoformat,
        lambda meta: dt.date.fromisoformat(expect(str, meta)),
    ),
    plain_hook("time", named("datetime.time"), _pack_moment, _unpack_time),
    plain_hook(
        "timedelta",
        named("datetime.timedelta"),
        lambda value: [value.days, value.seconds, value.microseconds],
        _unpack_timedelta,
    ),
    plain_hook("timezone", named("datetime.timezone"), _pack_timezone, _unpack_timezone),
    plain_hook("zone", named("zoneinfo.ZoneInfo"), _pack_zone, _unpack_zone),
]
