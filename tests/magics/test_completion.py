"""What the shell offers in ``%stash`` and ``%%stash`` lines."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from together import cases

from hashstash.magics.words import Unfinished, begun_words, quoted, words_of
from hashstash.paths import cache_root


@pytest.fixture
def filled(session, home):
    session.run("%%stash first_name\nalpha = 1\nbeta = 2")
    session.run('%%stash "my runs"\ngamma = 1')
    (home / "data.stash").write_bytes(b"")
    (home / "data files").mkdir()
    (home / "folder").mkdir()
    return session


def completions(session, line: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # IPython's own name for the synchronous way
        return session.shell.complete(None, line, len(line))[1]


OFFERED = [
    ("%stash cl", ["clear"]),
    ("%stash ls fi", ["first_name"]),
    ("%stash trust fi", ["first_name"]),
    ("%stash ls --d", ["--df"]),
    ("%stash che", ["check"]),
    ("%stash repair fi", ["first_name"]),
    ("%stash aside first_name --re", ["--remove"]),
    ("%stash get first_name al", ["alpha"]),
    ("%stash get 'my runs' ga", ["gamma"]),
    ("value = %stash get first_name be", ["beta"]),
    ('%stash ls "my r', ['runs"']),
    ("%stash ls --engine sqlited", ["sqlitedict"]),
    ("%stash ls --engine=sqlited", ["sqlitedict"]),
    ("%stash export data.", ["data.stash"]),
    ("%stash import data.", ["data.stash"]),
    ("%stash export data.stash fi", ["first_name"]),
    ("%stash use fi", ["first_name"]),
    ("%stash use x --root fo", ["folder/"]),
    ("%stash config en", ["engine"]),
    ("%stash config status f", ["full"]),
    ("%stash config engine sqlited", ["sqlitedict"]),
    ("%stash auto --of", ["--off"]),
    ("%%stash fi", ["first_name"]),
    ("%%stash first_name --for", ["--force"]),
    ("%%stash --compress zli", ["zlib"]),
    ("%stash_map -n fi", ["first_name"]),
]
"""A line, and what fits its end; one shell is asked for all of them, since an old one takes half a second for its first answer."""


def test_what_fits_is_offered(filled):
    with cases() as case:
        for line, expected in OFFERED:
            with case(line):
                assert completions(filled, line) == expected


def test_all_commands_are_offered_behind_a_space(filled):
    assert {"ls", "get", "export", "config", "auto"} <= set(completions(filled, "%stash "))


def test_names_with_a_space_are_offered_only_in_quotes(filled):
    assert "my runs" not in completions(filled, "%stash ls ")


@pytest.mark.parametrize(
    "line", ["%stash nosuch fi", "%stash get nosuch al", "%stash import nosuch.stash fi", "%stash import data.stash fi"]
)
def test_nothing_is_offered_and_nothing_raised_where_there_is_nothing(filled, line, caplog):
    assert "first_name" not in completions(filled, line)
    assert caplog.text == ""


def test_completing_makes_no_stash(session, home):
    completions(session, "%stash get nosuch al")
    completions(session, "%%stash nosuch --for")
    assert session.run("%stash").rows == []
    assert not list(home.rglob("data.db"))


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, words",
    [
        ("", []),
        ("  a  b ", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("--root='a b'", ["--root=a b"]),
        ("'it' \"it's\"", ["it", "it's"]),
        (r"C:\new\table", [r"C:\new\table"]),
        ("$x {y} %z", ["$x", "{y}", "%z"]),
        ("a # b c", ["a"]),
        ("a#b", ["a#b"]),
        ("'' a", ["", "a"]),
        ("a''", ["a"]),
    ],
)
def test_words_of_a_line(line, words):
    assert words_of(line) == words


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "#1", "", 'say "x"', "a#b"])
def test_a_quoted_word_is_read_as_it_was(word):
    assert words_of(f"x {quoted(word)} y") == ["x", word, "y"]


@pytest.mark.parametrize(
    "text, words, begun",
    [
        ("", [], ("", "")),
        ("a", [], ("a", "")),
        ("a ", ["a"], ("", "")),
        ("a 'b c", ["a"], ("b c", "'")),
        ('a "b" c', ["a", "b"], ("c", "")),
    ],
)
def test_the_word_that_is_being_written(text, words, begun):
    assert begun_words(text) == (words, Unfinished(*begun))


def test_names_that_cannot_be_printed_are_not_offered(filled, home):
    """A stranger's folder among the stashes may be called like a command to the terminal."""
    there = Path(cache_root()) / "cells"
    shutil.copytree(next(one for one in there.iterdir() if one.is_dir()), there / "\x1b]0;title\x07")
    offered = completions(filled, "%stash ls ")
    assert offered
    assert all(word.isprintable() for word in offered)
