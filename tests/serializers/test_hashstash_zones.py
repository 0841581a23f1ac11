"""Moments with zones of zoneinfo, dateutil and pytz, in datetimes, in pandas' values, and as values of their own."""

import datetime as dt
import sys
from importlib.util import find_spec
from zoneinfo import ZoneInfo

import pytest
from together import each

from hashstash.errors import BadEntry, CorruptEntry, MissingDependency
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import NeedsGraph, read, write
from hashstash.serializers.hashstash.types import restore
from hashstash.testing.equality import assert_same


def dateutil(make):
    return make(pytest.importorskip("dateutil.tz"))


def pytz(make):
    return make(pytest.importorskip("pytz"))


SUMMER, WINTER = dt.datetime(2020, 7, 1, 12, 30, 15, 5), dt.datetime(2020, 1, 1, 12)
TWICE = dt.datetime(2020, 10, 25, 2, 30)
ZONES = {
    "timezone": lambda: dt.timezone(dt.timedelta(hours=5, minutes=30), "IST"),
    "zoneinfo": lambda: ZoneInfo("Europe/Paris"),
    "dateutil UTC": lambda: dateutil(lambda tz: tz.UTC),
    "dateutil local": lambda: dateutil(lambda tz: tz.tzlocal()),
    "dateutil offset": lambda: dateutil(lambda tz: tz.tzoffset("BRST", -10800)),
    "dateutil offset without name": lambda: dateutil(lambda tz: tz.tzoffset(None, dt.timedelta(hours=1, minutes=15))),
    "dateutil name": lambda: dateutil(lambda tz: tz.gettz("Europe/Paris")),
    "dateutil name of three": lambda: dateutil(lambda tz: tz.gettz("America/Argentina/Buenos_Aires")),
    "dateutil rule": lambda: dateutil(lambda tz: tz.tzstr("EST5EDT4,M3.2.0,M11.1.0")),
    "dateutil rule of POSIX": lambda: dateutil(lambda tz: tz.tzstr("UTC+3", posix_offset=True)),
    "pytz UTC": lambda: pytz(lambda pytz: pytz.utc),
    "pytz name": lambda: pytz(lambda pytz: pytz.timezone("Europe/Paris")),
    "pytz fixed name": lambda: pytz(lambda pytz: pytz.timezone("Etc/GMT+5")),
    "pytz offset": lambda: pytz(lambda pytz: pytz.FixedOffset(-90)),
    "pytz summer": lambda: pytz(lambda pytz: pytz.timezone("Europe/Paris").localize(SUMMER).tzinfo),
    "pytz winter": lambda: pytz(lambda pytz: pytz.timezone("Europe/Paris").localize(WINTER).tzinfo),
}


def again(value):
    encoded = write(value)
    assert not encoded.is_code
    return read(encoded.document, encoded.buffers)


@pytest.mark.parametrize("name", ZONES)
def test_zones_come_back_as_the_same_kind(name):
    zone = ZONES[name]()
    made = again(zone)
    assert type(made) is type(zone)
    assert made == zone


@pytest.mark.parametrize("name", [name for name in ZONES if name.startswith("pytz")])
def test_zones_of_pytz_are_the_same_objects(name):
    assert again(ZONES[name]()) is ZONES[name]()


@pytest.mark.parametrize("moment", [SUMMER, WINTER, TWICE, TWICE.replace(fold=1)], ids=str)
@each("name", ZONES)
def test_moments_come_back_in_their_zone(name, moment):
    value = moment.replace(tzinfo=ZONES[name]())
    made = again(value)
    assert_same(made, value)
    assert (made.utcoffset(), made.dst(), made.tzname()) == (value.utcoffset(), value.dst(), value.tzname())


@pytest.mark.parametrize("name", ZONES)
def test_times_of_day_come_back_in_their_zone(name):
    value = dt.time(12, 30, tzinfo=ZONES[name]())
    made = again(value)
    assert (made, made.tzinfo) == (value, value.tzinfo)


def test_a_localized_moment_of_pytz_comes_back():
    zone = ZONES["pytz name"]()
    values = [zone.localize(SUMMER), zone.localize(WINTER), zone.localize(TWICE, is_dst=True)]
    assert_same(again(values), values)


@pytest.mark.parametrize("name", ZONES)
def test_values_of_pandas_come_back_in_their_zone(name):
    pd = pytest.importorskip("pandas")
    zone = ZONES[name]()
    try:
        index = pd.date_range("2020-10-24 22:00", periods=8, freq="h", tz=zone, name="when")
    except AttributeError:
        pytest.skip("this pandas itself cannot use such a zone")
    values = [
        index,
        pd.Series(index),
        pd.DataFrame({"at": index}, index=index),
        index.dtype,
        index[0],
        index[4],
        index[5],
    ]
    made = again(values)
    assert_same(made, values)
    assert type(made[0].tz) is type(index.tz)
    assert [moment.utcoffset() for moment in made[1]] == [moment.utcoffset() for moment in index]


@pytest.mark.parametrize("name", ZONES)
def test_zones_of_a_graph_come_back(name):
    value = [ZONES[name]()]
    value.append(value)
    encoded = PLUGIN.dumps(value)
    assert not encoded.is_code
    assert PLUGIN.loads(encoded)[0] == value[0]


def test_a_zone_that_its_name_does_not_name_is_no_data():
    pytest.importorskip("dateutil")
    from dateutil import relativedelta, tz

    for zone in (tz.tzrange("EST", -18000, "EDT"), tz.tzrange("A", 0, "B", 3600, relativedelta.relativedelta(hours=1))):
        with pytest.raises(NeedsGraph):
            write([dt.datetime(2020, 1, 1, tzinfo=zone)])


class Own(dt.tzinfo):
    def utcoffset(self, moment):
        return dt.timedelta(0)


def test_a_zone_of_the_user_is_no_data():
    with pytest.raises(NeedsGraph):
        write(dt.datetime(2020, 1, 1, tzinfo=Own()))


MALFORMED = {
    "pytz path": ("pytz.zone", "../../etc/passwd"),
    "pytz absolute path": ("pytz.zone", "/etc/passwd"),
    "pytz minutes": ("pytz.zone", 10**6),
    "pytz text": ("pytz.zone", 1.5),
    "pytz parts": ("pytz.zone", ["Europe/Paris", "x", 0, "CET"]),
    "dateutil kind": ("dateutil.zone", ["win", "x"]),
    "dateutil nothing": ("dateutil.zone", []),
    "dateutil path": ("dateutil.zone", ["file", "../../../etc/passwd"]),
    "dateutil absolute path": ("dateutil.zone", ["file", "/etc/localtime"]),
    "dateutil rule": ("dateutil.zone", ["rule", "5", False]),
    "dateutil long rule": ("dateutil.zone", ["rule", "A" * 10**6, False]),
    "dateutil offset": ("dateutil.zone", ["offset", None, 5]),
    "dateutil more": ("dateutil.zone", ["utc", 5]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_zone_is_corrupt(name):
    tag, meta = MALFORMED[name]
    pytest.importorskip(tag.partition(".")[0])
    with pytest.raises(CorruptEntry):
        restore(tag, meta, [])


@pytest.mark.parametrize(
    ("tag", "meta"),
    [
        ("pytz.zone", "No/Where"),
        ("pytz.zone", ["Europe/Paris", 1, 0, "CET"]),
        ("dateutil.zone", ["file", "No/Where"]),
        ("zone", "No/Where"),
    ],
)
def test_a_zone_that_this_machine_lacks_gives_the_pip_line(tag, meta):
    package = tag.partition(".")[0]
    if package != "zone":
        pytest.importorskip(package)
    with pytest.raises(MissingDependency, match="pip install"):
        restore(tag, meta, [])


@pytest.mark.parametrize(
    ("package", "tag", "meta", "line"),
    [
        ("pytz", "pytz.zone", "UTC", "pip install pytz"),
        ("dateutil", "dateutil.zone", ["utc"], "pip install python-dateutil"),
    ],
)
def test_a_missing_package_gives_the_pip_line(monkeypatch, package, tag, meta, line):
    from hashstash.serializers.hashstash import types

    monkeypatch.setattr(types, "_found_by_tag", {})
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=line):
        restore(tag, meta, [])


@pytest.mark.skipif(find_spec("pytz") is not None, reason="pytz is installed")
@pytest.mark.parametrize(
    ("packed", "expected"), [("Europe/Paris", ZoneInfo("Europe/Paris")), (90, dt.timezone(dt.timedelta(minutes=90)))]
)
def test_zones_that_pandas_2_chose_are_read_without_pytz(packed, expected):
    pd = pytest.importorskip("pandas")
    assert restore("pd.timestamp", [0, "ns", ["pytz", packed], 0], []) == pd.Timestamp(0, tz=expected)


def test_another_release_of_pytz_may_have_other_letters():
    zone = ZONES["pytz summer"]()
    assert restore("pytz.zone", ["Europe/Paris", 7200, 3600, "???"], []) is not None
    assert restore("pytz.zone", ["Europe/Paris", 7200, 3600, "???"], []).utcoffset(None) == zone.utcoffset(None)


@pytest.mark.parametrize("meta", [["pytz", "../x"], ["pytz", 1.5], ["other", "UTC"], ["pytz", []], 5])
def test_a_malformed_zone_of_pandas_is_refused(meta):
    pytest.importorskip("pandas")
    with pytest.raises(BadEntry):
        restore("pd.timestamp", [0, "ns", meta, 0], [])
