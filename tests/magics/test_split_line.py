"""Where FUNC ends and ITERABLE begins, and what is a flag."""

from __future__ import annotations

import pytest

pytest.importorskip("IPython")

from hashstash.magics.split_line import begun_line, split_line, words_of
from hashstash.magics.stash_map_line import FLAGS


@pytest.mark.parametrize(
    "line, function, iterable",
    [
        ("f range(10)", "f", "range(10)"),
        ("f   xs  ", "f", "xs"),
        ("f [1, 2] [0]", "f", "[1, 2] [0]"),
        ("f (1, 2)", "f", "(1, 2)"),
        ("f 1, 2, 3", "f", "1, 2, 3"),
        ("f a + b", "f", "a + b"),
        ("f x if a else b", "f", "x if a else b"),
        ("f {1: 'a', 2: 'b'}", "f", "{1: 'a', 2: 'b'}"),
        ("f 'a b c'", "f", "'a b c'"),
        ("f '''it's a \"b c\"'''", "f", "'''it's a \"b c\"'''"),
        ('obj.method df["a col"]', "obj.method", 'df["a col"]'),
        ("partial(f, b=2) (i for i in range(3))", "partial(f, b=2)", "(i for i in range(3))"),
        ("f.g().h [x for x in y if x > 1]", "f.g().h", "[x for x in y if x > 1]"),
        ("f (y := [1])", "f", "(y := [1])"),
        ("f not_there", "f", "not_there"),
    ],
)
def test_the_first_space_between_two_expressions_counts(line, function, iterable):
    assert split_line(line, FLAGS) == ([], function, iterable)


@pytest.mark.parametrize(
    "line, function, iterable",
    [
        ("lambda x: x + 1 [1, 2]", "lambda x: x + 1", "[1, 2]"),
        ("lambda x: x -1 [1, 2]", "lambda x: x -1", "[1, 2]"),
        ("lambda x: x * 2 xs", "lambda x: x * 2", "xs"),
        ("lambda x: x if x else 0 xs", "lambda x: x if x else 0", "xs"),
        ("lambda x, y=2: (x, y) zip(a, b)", "lambda x, y=2: (x, y)", "zip(a, b)"),
        ("lambda j: 3 -j xs", "lambda j: 3 -j", "xs"),
        ("lambda: 0 [()]", "lambda: 0", "[()]"),
        ("(lambda x: x) -xs", "(lambda x: x)", "-xs"),
    ],
)
def test_a_lambda_goes_on_while_what_follows_is_no_collection(line, function, iterable):
    assert split_line(line, FLAGS) == ([], function, iterable)


@pytest.mark.parametrize("iterable", ["-xs", "- xs", "-1", "3 * [0]", "+1"])
def test_operators_and_numbers_are_taken_where_nothing_else_fits(iterable):
    assert split_line(f"f {iterable}", FLAGS) == ([], "f", iterable)


@pytest.mark.parametrize(
    "line",
    ["", "   ", "# f xs", "f", "f(xs)", "f[1, 2]", "f xs; g ys", "f [1, 2", "f xs)", "f *xs", "f it's", "f await xs", "f yield xs",
     "f x for x in xs", "def f xs", "f\nxs = 1"],
)  # fmt: skip
def test_a_line_without_two_expressions_has_none(line):
    assert split_line(line, FLAGS)[1:] == ("", "")


@pytest.mark.parametrize("end", [" # all of them", "  #", ";", " ;", ";  # quietly", " ; # ; "])
def test_a_comment_and_a_semicolon_at_the_end_belong_to_nothing(end):
    assert split_line("f xs" + end, FLAGS) == ([], "f", "xs")


@pytest.mark.parametrize("text", ["'#'", "';'", "[';'] # ;", "'a # b';"])
def test_a_comment_sign_or_semicolon_in_a_string_is_text(text):
    assert split_line(f"f {text}", FLAGS).iterable == text.removesuffix(" # ;").removesuffix(";")


@pytest.mark.parametrize(
    "flags, words",
    [
        ("-n my-project/x.y", ["-nmy-project/x.y"]),
        ("-j4 --serial", ["-j4", "--serial"]),
        ("--kw a=1,b=[1, 2]", ["--kw=a=1,b=[1, 2]"]),
        ("--kw a=1, b='x y'", ["--kw=a=1,b='x y'"]),
        ("--kw='a=1'", ["--kw='a=1'"]),
        ("--executor client.get_executor('a b')", ["--executor=client.get_executor('a b')"]),
        ("--errors skip --df", ["--errors=skip", "--df"]),
    ],
)
def test_flags_stand_before_the_function_or_behind_the_collection(flags, words):
    assert split_line(f"{flags} f xs", FLAGS) == split_line(f"f xs {flags}", FLAGS) == (words, "f", "xs")


def test_flags_may_stand_at_both_ends():
    assert split_line("-j 4 f [1, 2] -n demo --force", FLAGS) == (["-j4", "-ndemo", "--force"], "f", "[1, 2]")


def test_a_letter_after_a_minus_is_a_variable_where_no_value_follows():
    assert split_line("f -j", FLAGS) == ([], "f", "-j")


def test_what_looks_like_a_long_flag_is_one_even_if_nobody_knows_it():
    assert split_line("f xs --nonsense", FLAGS).flags == ["--nonsense"]


def test_a_long_list_without_spaces_around_is_split_quickly():
    numbers = ", ".join(map(str, range(20_000)))
    assert split_line(f"f [{numbers}]", FLAGS).iterable == f"[{numbers}]"


def test_words_keep_strings_and_brackets_together():
    assert [word.text for word in words_of("a 'b c' (d e)[f g] h # i")] == ["a", "'b c'", "(d e)[f g]", "h"]


@pytest.mark.parametrize(
    "text, open_flag, has_function",
    [
        ("", None, False),
        ("-j 4 ", None, False),
        ("-n ", "-n", False),
        ("f", None, False),
        ("f ", None, True),
        ("partial(f, ", None, False),
        ("partial(f) ", None, True),
        ("f xs -n ", "-n", True),
        ("--errors ", "--errors", False),
    ],
)
def test_how_far_a_line_has_come(text, open_flag, has_function):
    assert begun_line(text, FLAGS) == (open_flag, has_function)
