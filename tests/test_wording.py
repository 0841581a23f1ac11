import collections
import types
from typing import NamedTuple

import pytest

from hashstash.wording import duration, parse_size, shortened, size_text, without_commands


@pytest.mark.parametrize(
    "count, text",
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1536, "1.54 KB"),
        (999_499, "999 KB"),
        (999_999, "1 MB"),
        (5e9, "5 GB"),
        (2.5e13, "25 TB"),
    ],
)
def test_sizes_are_written(count, text):
    assert size_text(count) == text


@pytest.mark.parametrize(
    "text, size",
    [
        (5, 5),
        (2.5, 2.5),
        ("5", 5),
        ("5B", 5),
        ("1.5 KB", 1500),
        ("2mb", 2e6),
        (" 3 GiB ", 3 * 2**30),
        (".5 MB", 5e5),
        (0, 0),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "5 XB", "-5", "5 5", "1e3"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("size", [None, True, [5], b"5"])
def test_a_size_of_another_type_is_named(size):
    with pytest.raises(TypeError, match="a size is"):
        parse_size(size)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 s"),
        (0.0015, "1.5 ms"),
        (0.5, "0.5 s"),
        (59, "59 s"),
        (0.0000013, "1.3 \u00b5s"),
        (0.00021, "0.21 ms"),
        (59.96, "1 min"),
        (99, "1 min 39 s"),
        (120, "2 min"),
        (320, "5 min 20 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (7 * 86400 - 0.3, "7 d"),
        (86_399, "1 d"),
        (7199, "2 h"),
        (9.99 * 86400, "10 d"),
        (-90, "-1 min 30 s"),
        (float("inf"), "for ever"),
        (float("nan"), "?"),
        (1e300, "1.16e+295 d"),
        (7200, "2 h"),
        (86400 * 3, "3 d"),
        (86400 * 400, "400 d"),
    ],
)
def test_durations_are_written(seconds, text):
    assert duration(seconds) == text


class Rude:
    def __repr__(self):
        raise RuntimeError("no")


class Poem:
    def __repr__(self):
        return "one\n\t  two \x1b[31m\n"


class Liar:
    def __repr__(self):
        return 5


@pytest.mark.parametrize(
    "value, text",
    [
        ("abc", "'abc'"),
        ("a\nb", "'a\\nb'"),
        ("x" * 100, "'" + "x" * 18 + "…"),
        (Rude(), "<Rude>"),
        (Liar(), "<Liar>"),
        ("\ud800", "'\\ud800'"),
        ({"b": 1, "a": 2}, "{'b': 1, 'a': 2}"),
        ("a  b", "'a  b'"),
        (Poem(), "one two [31m"),
    ],
)
def test_values_are_shown_shortly(value, text):
    assert shortened(value, 20) == text


def test_arrays_and_frames_are_shown_by_their_shapes_unless_they_are_short():
    numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")
    assert shortened(numpy.zeros((1000, 3)), 40) == "<ndarray 1000 x 3>"
    assert shortened(numpy.array([1, 2]), 40) == "array([1, 2])"
    assert shortened(numpy.array([0.123456789] * 8), 40) == "<ndarray 8>"
    assert shortened(numpy.float64(1.5), 40) == repr(numpy.float64(1.5))
    pandas = pytest.importorskip("pandas", reason="the package pandas is not installed")
    assert shortened(pandas.DataFrame({"a": [1, 2]}), 40) == "<DataFrame 2 x 1>"


def test_a_large_value_is_not_looked_at_as_a_whole():
    class Counted(str):
        seen = 0

        def __repr__(self):
            Counted.seen += 1
            return "c"

    assert len(shortened([Counted()] * 100_000, 40)) <= 40
    assert Counted.seen < 100


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m and 5%\r\x1b[K6%\n\x1b[A\t\b", "\x1b[31mred\x1b[0m and 5%\r\x1b[K6%\n\x1b[A\t\b"),
        ("a\x1b]52;c;enEK\x07b\x1b]0;title\x1b\\c", "abc"),
        ("a\x1b[2Jb\x1b[6nc\x1b[?1049hd", "abcd"),
        ("a\x1bP+q544e\x1b\\b\x1b_x\x1b\\c\x1bcd", "abccd"),
        ("a\x07\x00\x9b5n\x7fb", "a5nb"),
        ("a\x1b", "a"),
        ("\x1b]52;c;never ended", ""),
    ],
)
def test_a_strangers_text_keeps_its_colours_and_gives_a_terminal_no_orders(text, kept):
    assert without_commands(text) == kept


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize(
    ("doubled", "begins"),
    [
        (lambda part: [part, part], "[["),
        (lambda part: (part, part), "(("),
        (lambda part: {"a": part, "b": part}, "{'a': {"),
        (lambda part: Pair(part, part), "<Pair"),
        (lambda part: collections.OrderedDict(a=part, b=part), "<OrderedDict"),
        (lambda part: types.SimpleNamespace(a=part, b=part), "<SimpleNamespace"),
        (lambda part: types.MappingProxyType({"a": part, "b": part}), "<mappingproxy"),
        (lambda part: ValueError(part, part), "<ValueError"),
        (lambda part: [part] * 20, "[["),
    ],
)
def test_what_holds_one_thing_twice_and_so_on_is_not_written_out(doubled, begins):
    """Sixty levels of that are a few hundred bytes, and a text without end."""
    value = doubled(1)
    for _ in range(60):
        value = doubled(value)
    text = shortened(value, 100)
    assert len(text) <= 100
    assert text.startswith(begins)


def test_a_value_that_holds_itself_is_shown():
    value = [1]
    value.append(value)
    assert shortened(value, 100).startswith("[1, [1, [")
