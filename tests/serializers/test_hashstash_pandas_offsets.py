"""Pandas' offsets, one by one, as values and as frequencies of indexes."""

import datetime as dt

import pytest
from together import each

from hashstash.errors import CorruptEntry, NewerFormat
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import read, write
from hashstash.serializers.hashstash.types import restore

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
USFederalHolidayCalendar = pytest.importorskip("pandas.tseries.holiday").USFederalHolidayCalendar


def again(value):
    encoded = write(value)
    assert not encoded.is_code
    return read(encoded.document, encoded.buffers)


ABSTRACT = {"BaseOffset", "Tick"}
NAMES = sorted(
    {
        kind.__name__
        for kind in vars(pd.offsets).values()
        if isinstance(kind, type) and issubclass(kind, pd.offsets.BaseOffset)
    }
    - ABSTRACT
)
HOLIDAYS = ["2020-01-01", "2020-01-06"]
OFFSETS = {
    **{name: (lambda name=name: getattr(pd.offsets, name)()) for name in NAMES},
    **{f"several {name}": (lambda name=name: getattr(pd.offsets, name)(-3)) for name in NAMES},
    **{
        f"normalizing {name}": (lambda name=name: getattr(pd.offsets, name)(normalize=True))
        for name in NAMES
        if name not in {"Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano"}
    },
    "months and days": lambda: pd.DateOffset(months=1, days=-2, hours=3),
    "replaced parts": lambda: pd.DateOffset(2, normalize=True, month=3, day=31),
    "nanoseconds": lambda: pd.DateOffset(nanoseconds=5),
    "week day": lambda: pd.DateOffset(weekday=3),
    "weeks": lambda: pd.offsets.Week(2, weekday=4),
    "week of month": lambda: pd.offsets.WeekOfMonth(week=2, weekday=3),
    "last week": lambda: pd.offsets.LastWeekOfMonth(weekday=5),
    "half month": lambda: pd.offsets.SemiMonthEnd(day_of_month=20),
    "quarter": lambda: pd.offsets.BQuarterEnd(startingMonth=2),
    "year": lambda: pd.offsets.YearEnd(month=6),
    "fiscal year": lambda: pd.offsets.FY5253(weekday=4, startingMonth=12, variation="last"),
    "fiscal quarter": lambda: pd.offsets.FY5253Quarter(
        weekday=5, startingMonth=8, qtr_with_extra_week=4, variation="last"
    ),
    "business day later": lambda: pd.offsets.BusinessDay(offset=dt.timedelta(hours=2)),
    "business hours": lambda: pd.offsets.BusinessHour(start="08:00", end="12:30"),
    "two parts of a day": lambda: pd.offsets.BusinessHour(start=["08:00", "14:00"], end=["12:00", "18:00"]),
    "own week": lambda: pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu"),
    "own holidays": lambda: pd.offsets.CustomBusinessDay(holidays=HOLIDAYS),
    "calendar": lambda: pd.offsets.CustomBusinessDay(calendar=USFederalHolidayCalendar()),
    "own hours": lambda: pd.offsets.CustomBusinessHour(holidays=HOLIDAYS, weekmask="Mon Wed", start="10:00"),
    "own month": lambda: pd.offsets.CBMonthEnd(holidays=HOLIDAYS),
}
if "method" in pd.offsets.Easter._attributes:
    OFFSETS["orthodox"] = lambda: pd.offsets.Easter(method=2)
DAYS = [pd.Timestamp("2019-12-31 08:15"), pd.Timestamp("2020-01-01"), pd.Timestamp("2020-02-29 23:59:59.5")]


@each("name", OFFSETS)
def test_offsets_come_back_the_same(name):
    offset = OFFSETS[name]()
    made = again(offset)
    assert (type(made), repr(made), made.n, made.normalize) == (type(offset), repr(offset), offset.n, offset.normalize)
    assert [day + made for day in DAYS] == [day + offset for day in DAYS]
    assert [day - made for day in DAYS] == [day - offset for day in DAYS]


@pytest.mark.parametrize("name", ["own holidays", "months and days", "Easter", "weeks", "business hours", "calendar"])
def test_an_index_keeps_its_frequency(name):
    index = pd.date_range("2020-01-02 10:00", periods=6, freq=OFFSETS[name]())
    made = again(pd.Series(range(6), index=index)).index
    assert made.equals(index)
    assert repr(made.freq) == repr(index.freq)
    assert made[-1] + made.freq == index[-1] + index.freq


def test_a_calendar_of_numpy_keeps_its_days():
    calendar = np.busdaycalendar("1111000", HOLIDAYS)
    offset = pd.offsets.CustomBusinessDay(calendar=calendar)
    made = PLUGIN.loads(PLUGIN.dumps(offset))
    assert [day + made for day in DAYS] == [day + offset for day in DAYS]


def test_a_calendar_of_holidays_is_code():
    """Its rules are objects with functions."""
    encoded = PLUGIN.dumps(USFederalHolidayCalendar())
    made = PLUGIN.loads(encoded)
    assert encoded.is_code
    assert made.holidays("2020", "2021").equals(USFederalHolidayCalendar().holidays("2020", "2021"))


@pytest.mark.parametrize(
    "meta",
    [
        "no frequency",
        ["os.system", 1, False, [], []],
        [5, 1, False, [], []],
        ["Week", 1, False, ["weekday"], [99]],
        ["Week", 1, False, ["weekday"], []],
        ["Week", "1", False, [], []],
        ["CustomBusinessDay", 1, False, ["weekmask"], ["Mon Nonday"]],
        ["CustomBusinessDay", 1, False, ["weekmask"], ["0000000"]],
        ["CustomBusinessDay", 1, False, ["calendar"], [{}]],
        ["DateOffset", 1, False, ["months"], [[1]]],
        ["BusinessHour", 1, False, ["start"], ["25:00"]],
    ],
)
def test_a_malformed_offset_is_corrupt(meta):
    with pytest.raises(CorruptEntry):
        restore("pd.freq", meta, [])


@pytest.mark.parametrize(
    "meta", ["XYZ-JAN", "2Q-XYZ", ["eval", 1, False, [], []], ["Week", 1, False, ["unknown"], [1]]]
)
def test_an_offset_that_this_pandas_lacks_is_newer(meta):
    with pytest.raises(NewerFormat, match="pip install -U pandas"):
        restore("pd.freq", meta, [])
