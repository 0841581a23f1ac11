"""What differs between two values, in a few lines whatever their size."""

import dataclasses

import pytest

from hashstash.difference import compare

CASES = {
    "numbers": (1, 2, ["- 1", "+ 2"]),
    "types": (1, 1.0, ["type int -> float", "- 1", "+ 1.0"]),
    "true and one": (True, 1, ["type bool -> int", "- True", "+ 1"]),
    "value in a dict": ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ["['b']: 2 -> 3"]),
    "keys of a dict": ({"a": 1}, {"b": 2}, ["- ['a']: 1", "+ ['b']: 2"]),
    "nested": ({"a": {"b": [1, {"c": 5}]}}, {"a": {"b": [1, {"c": 6}]}}, ["['a']['b'][1]['c']: 5 -> 6"]),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    "length": ([1, 2], [1, 2, 3], ["length 2 -> 3", "+ [2]: 3"]),
    "shorter": ((1, 2), (1,), ["length 2 -> 1", "- [1]: 2"]),
    "elements": ([1, 2, 3], [1, 5, 3], ["[1]: 2 -> 5"]),
    "sets": ({1, 2}, {2, 3}, ["- 1", "+ 3"]),
    "short text": ("abc", "abd", ["- 'abc'", "+ 'abd'"]),
    "lines": ("a\nb\nc\n", "a\nB\nc\n", ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]),
    "end of a line": ("a\nb", "a\nb\n", ["differs from character 3 on", "- ''", "+ '\\n'"]),
    "none": (None, None, []),
    "bytes": (b"a", b"b", ["- b'a'", "+ b'b'"]),
    "nan": (float("nan"), float("nan"), ["- nan", "+ nan"]),
}


@pytest.mark.parametrize("one, other, lines", CASES.values(), ids=CASES)
def test_what_is_said(one, other, lines):
    assert list(compare(one, other, "k")) == lines


def test_nothing_to_say_is_false_and_says_so():
    found = compare([1], [1], "'k', version 1 -> 2")
    assert not found
    assert repr(found) == "'k', version 1 -> 2: no difference"


def test_it_prints_and_is_escaped():
    found = compare("<b>", "<i>", "k")
    assert repr(found) == "k:\n- '<b>'\n+ '<i>'"
    assert "&lt;b&gt;" in found._repr_html_()


LARGE = {
    "dicts": ({number: number for number in range(50_000)}, {-number: number for number in range(50_000)}),
    "values": (dict.fromkeys(range(50000), 0), dict.fromkeys(range(50000), 1)),
    "lists": (list(range(100_000)), list(range(1, 100_001))),
    "sets": (set(range(50_000)), set(range(1000, 60_000))),
    "texts": ("a" * 500_000, "a" * 400_000 + "b" * 100_000),
    "long lines": ("x" * 100_000 + "\ny", "x" * 100_000 + "\nz"),
    "elements": ([["x" * 10_000] * 1000], [["y" * 10_000] * 1000]),
}


@pytest.mark.parametrize("one, other", LARGE.values(), ids=LARGE)
def test_it_is_short_for_large_values(one, other):
    text = repr(compare(one, other, "k"))
    assert len(text.splitlines()) <= 42
    assert len(text) < 8_000
    assert "k:" in text


def test_the_first_differing_character_of_a_long_text():
    found = compare("a" * 500_000, "a" * 400_000 + "b" * 100_000, "k")
    assert "differs from character 400,000 on" in list(found)


def test_more_than_is_listed_is_said():
    found = compare(list(range(100)), list(range(1, 101)), "k")
    assert found.unlisted
    assert repr(found).endswith("...")


def test_a_structure_that_holds_itself():
    one, other = [1], [2]
    one.append(one), other.append(other)
    assert list(compare(one, other, "k"))


@dataclasses.dataclass
class Model:
    name: str
    size: int


class Plain:
    def __init__(self, size):
        self.size = size


def test_objects():
    assert list(compare(Model("a", 1), Model("a", 2), "k"))[0].startswith("- Model")
    assert list(compare(Plain(1), Plain(2), "k")) == [".size: 1 -> 2"]


class Rude:
    def __eq__(self, other):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")

    __hash__ = None


def test_a_class_that_raises_is_shown_by_name():
    assert "<Rude>" in repr(compare(Rude(), Rude(), "k"))


def test_arrays():
    numpy = pytest.importorskip("numpy")
    one = numpy.arange(12).reshape(3, 4)
    other = one.copy()
    other[1, 2] = 60
    other[2, 0] = 0
    assert list(compare(one, other, "k")) == [
        "2 of 12 elements differ, the first at [1, 2]",
        "- np.int64(6)",
        "+ np.int64(60)",
    ]
    assert list(compare(one, one[:2], "k")) == ["shape (3, 4) -> (2, 4)"]
    assert list(compare({"w": one}, {"w": one.astype("f8")}, "k")) == ["['w']: dtype int64 -> float64"]
    holes = numpy.array([1.0, numpy.nan])
    assert not compare(holes, holes.copy(), "k")
    assert list(compare(holes, numpy.array([1.0, 2.0]), "k"))[0] == "1 of 2 elements differ, the first at [1]"
    assert list(compare(numpy.array(1), numpy.array(2), "k"))[0] == "1 of 1 elements differ, the first at []"
    assert list(compare(numpy.array([[1], 1], dtype=object), numpy.array([[2], 1], dtype=object), "k"))


def test_frames():
    pandas = pytest.importorskip("pandas")
    one = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "old": [0, 0, 0]})
    other = pandas.DataFrame({"a": [1, 5, 3], "b": ["x", "y", "z"], "new": [0, 0, 0]})
    assert list(compare(one, other, "k")) == ["- column 'old'", "+ column 'new'", "['a'], row 1: 2 -> 5"]
    assert list(compare(one, one[:2], "k"))[0] == "shape (3, 3) -> (2, 3)"
    assert list(compare(one, one.astype({"a": float}), "k")) == ["['a']: dtype int64 -> float64"]
    assert "the index differs" in list(compare(one, one.set_index(pandas.Index([5, 6, 7])), "k"))
    assert not compare(one, one.copy(), "k")
    assert list(compare(one["a"], other["a"], "k"))
    gaps = pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64")})
    assert list(compare(gaps, gaps.fillna(5), "k")) == ["['a'], row 1: <NA> -> np.int64(5)"]


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    one, other = polars.DataFrame({"a": [1, 2]}), polars.DataFrame({"a": [1, 3]})
    assert list(compare(one, other, "k")) == ["['a'], row 1: 2 -> 3"]
