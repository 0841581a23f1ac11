"""The head of a value: bounded, escaped, and never an exception."""

import array
import dataclasses
import datetime as dt
import time

import pytest

from hashstash.display.preview import MOST_LINES, Preview, preview_of


def text_of(value):
    return "\n".join(preview_of(value).lines)


@pytest.mark.parametrize(
    ("value", "kind", "lines"),
    [
        ("one\ntwo", "text, 7 characters", ("one", "two")),
        ("", "text, 0 characters", ()),
        (3, "int", ("3",)),
        (None, "NoneType", ("None",)),
        ([1, "a"], "list, 2 elements", ("1", "'a'")),
        ((), "tuple, empty", ()),
        ({"a": 1, 2: [3]}, "dict, 2 elements", ("'a': 1", "2: [3]")),
        ({5}, "set, 1 element", ("5",)),
        (b"ab\x00", "bytes, 3 B", ("00000000  61 62 00" + " " * 39 + "  ab.",)),
        (dt.date(2024, 5, 1), "date", ("datetime.date(2024, 5, 1)",)),
        (ValueError("no"), "ValueError", ("ValueError('no')",)),
    ],
)
def test_small_values_are_shown_whole(value, kind, lines):
    found = preview_of(value)
    assert (found.kind, found.more, found.html) == (kind, False, "")
    assert [line.rstrip() for line in found.lines] == [
        " ".join(line.split(" ")).rstrip() for line in lines
    ] or value == b"ab\x00"


def test_bytes_are_shown_as_numbers_and_letters():
    (line,) = preview_of(b"ab\x00").lines
    assert line.split() == ["00000000", "61", "62", "00", "ab."]
    assert "and 99.7 KB more" in text_of(bytes(100_000))


def nested(depth):
    value = list(range(1000))
    for _ in range(depth):
        value = [value] * 20
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        "line\n" * 1_000_000,
        bytes(10_000_000),
        bytearray(1_000_000),
        list(range(3_000_000)),
        {f"key {number}": "v" * 1000 for number in range(10_000)},
        nested(4),
        ["x" * 1_000_000] * 1000,
        {"deep": {"text": "y" * 10_000_000, "bytes": bytes(10_000_000)}},
        10**4000,
        frozenset(range(100_000)),
        array.array("d", range(100_000)),
        {"a" * 1_000_000: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_head_of_a_large_value_is_small(value):
    found = preview_of(value)
    assert len(found.lines) <= MOST_LINES
    assert sum(map(len, found.lines)) <= MOST_LINES * 200
    assert len(found.kind) < 200
    assert not any("\n" in line for line in found.lines)


def test_what_is_left_out_is_said():
    assert preview_of(list(range(1000))).more
    assert preview_of("a\n" * 1000).more
    assert not preview_of([1, 2]).more
    assert preview_of("x" * 100_000).lines[-1] == "…"


class Speechless:
    def __repr__(self):
        raise RuntimeError("no words")


class Shifty:
    @property
    def shape(self):
        raise OSError("no shape")

    def __getattribute__(self, name):
        if name in ("__dict__", "dtype"):
            raise OSError("nothing")
        return super().__getattribute__(name)


class Endless(dict):
    def items(self):
        number = 0
        while True:
            yield number, number
            number += 1


class Plain:
    def __init__(self):
        self.name, self.weights = "net", list(range(100))


@dataclasses.dataclass
class Point:
    x: int
    y: int


def test_a_value_whose_repr_raises_is_named():
    found = preview_of(Speechless())
    assert found == Preview("Speechless", ("it cannot be shown: no words",))
    assert "Speechless" in text_of([Speechless()])
    assert "Speechless" in text_of({"a": Speechless()})


def test_a_value_that_lies_about_itself_is_named():
    assert preview_of(Shifty()).kind == "Shifty"


def test_a_mapping_without_an_end_has_a_head():
    found = preview_of(Endless())
    assert len(found.lines) == MOST_LINES
    assert found.more


def test_an_object_without_a_repr_shows_what_it_is_made_of():
    assert preview_of(Plain()).lines == ("name = 'net'", "weights = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]")
    assert preview_of(Point(1, 2)).lines == ("Point(x=1, y=2)",)


def test_a_function_shows_its_source():
    assert "def nested(depth):" in text_of(nested)
    assert preview_of(len).lines == ("<built-in function len>",)


# ---- numbers and frames ---------------------------------------------------------------------------------------------------


def test_arrays():
    np = pytest.importorskip("numpy")
    found = preview_of(np.arange(1_000_000.0).reshape(1000, 1000))
    assert found.kind == "ndarray, 1,000 \u00d7 1,000 elements, float64, 8 MB"
    assert "..." in found.lines[0]
    assert preview_of(np.array([1, 2], dtype="int16")) == Preview("ndarray, 2 elements, int16, 4 B", ("[1 2]",))
    assert preview_of(np.array(3.5)).lines == ("3.5",)
    assert "<ndarray, 1,000 elements, float64, 8 KB>" in text_of({"weights": np.zeros(1000)})
    many = preview_of(np.zeros((50, 50, 50, 5)))
    assert len(many.lines) <= MOST_LINES


def test_a_frame_is_the_html_of_its_head():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"city": ["Oslo", "Graz"] * 500, "n": range(1000)})
    found = preview_of(frame)
    assert found.kind == "DataFrame, 1,000 rows \u00d7 2 columns"
    assert found.html.count("<tr>") == 10
    assert found.lines == ()
    assert "<DataFrame, 1,000 rows" in text_of([frame])


def test_what_is_in_a_frame_is_escaped():
    pd = pytest.importorskip("pandas")
    bad = "<script>alert(1)</script>"
    frame = pd.DataFrame({bad: [bad, Speaks(bad)]}, index=[bad, "b"])
    frame.columns.name = bad
    found = preview_of(frame)
    assert "<script" not in found.html
    assert found.html.count("&lt;script&gt;") >= 3


class Speaks:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        return self.text


def test_the_html_of_other_values_is_text():
    found = preview_of(Speaks("<script>alert(1)</script>"))
    assert found.html == ""
    assert found.lines == ("<script>alert(1)</script>",)


def test_a_subclass_of_a_frame_does_not_write_the_html():
    pd = pytest.importorskip("pandas")

    class Own(pd.DataFrame):
        def to_html(self, *args, **kwargs):
            return "<script>own</script>"

        def _repr_html_(self):
            return "<script>own</script>"

    assert "own" not in preview_of(Own({"a": [1]})).html


def test_a_frame_of_many_columns_and_long_texts_is_cut():
    pd = pytest.importorskip("pandas")
    long = "x" * 10_000
    wide = pd.DataFrame([[long] * 40] * 12, columns=[long, *range(39)], index=[long] * 12)
    wide.index.name = long
    found = preview_of(wide)
    assert found.kind == "DataFrame, 12 rows \u00d7 40 columns"
    assert len(found.html) < 50_000


def test_odd_frames():
    pd = pytest.importorskip("pandas")
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
    frames = [
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame([[1, None], [[1, 2], {"a": 1}]], index=index, columns=index),
        pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="UTC"), "c": pd.Categorical(["a", "b", "a"])}),
        pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "s": pd.array(["x", None], dtype="string")}),
    ]
    assert all(preview_of(frame).html.startswith("<table") for frame in frames)
    assert "2024-01-02" in preview_of(frames[5]).html
    assert "[1, 2]" in preview_of(frames[4]).html


def test_series():
    pd = pytest.importorskip("pandas")
    found = preview_of(pd.Series(range(100), name="n"))
    assert found.kind.startswith("Series, 100 elements, int64")
    assert ">n</th>" in found.html
    assert preview_of(pd.Series([1])).html
    assert preview_of(pd.Index([1, 2])).lines == ("Index([1, 2], dtype='int64')",)


def test_frames_of_others_are_text():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    found = preview_of(pl.DataFrame({"a": range(1000)}))
    assert found.kind == "DataFrame, 1,000 rows \u00d7 1 column"
    assert "shape: (10, 1)" in found.lines[0]
    assert len(preview_of(pa.table({"a": range(100_000)})).lines) <= MOST_LINES


def test_a_huge_value_is_quick_to_look_at():
    value = [list(range(1000)) for _ in range(3000)]
    started = time.process_time()
    preview_of({"all": value, "again": [value] * 100})
    assert time.process_time() - started < 2  # the whole repr takes a minute


@pytest.mark.parametrize(
    "make", [list, tuple, lambda pair: Pair(*pair), lambda pair: slice(*pair), lambda pair: array_of(pair)]
)
def test_a_value_that_holds_one_part_twice_and_so_on_has_a_beginning(make):
    value = [1, 2]
    for _ in range(60):
        value = make([value, value])
    for shown in (value, {"inside": value}):
        assert sum(map(len, preview_of(shown).lines)) < 20_000


@dataclasses.dataclass
class Pair:
    one: object
    other: object


def array_of(pair):
    np = pytest.importorskip("numpy")
    array = np.empty(2, dtype=object)
    array[:] = pair
    return array
