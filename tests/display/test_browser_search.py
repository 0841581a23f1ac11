"""What can be typed to find entries, and which ones it finds."""

import time

import pytest

from hashstash.display.search import BadSearch, Found, Search
from hashstash.entries import EntryInfo
from hashstash.errors import StashError


def entry(key="k", *, arguments=None, **fields):
    plain = {"size": 100, "raw_size": 200, "codec": "hashstash+lz4", "created_at": time.time() - 60, "expires_at": None}
    plain |= {"seconds": 2.0, "version": 1, "is_code": False, "signer": None}
    return Found(EntryInfo(key, **{**plain, **fields}), arguments or {})


def holds(text, *args, **fields):
    return Search(text).holds(entry(*args, **fields))


def test_nothing_typed_finds_everything():
    assert holds("")
    assert not Search("  ")


@pytest.mark.parametrize("text", ["model", "MODEL", "odel 3", "3 model", '"model 3"', "'model 3'", '"3"'])
def test_words_are_looked_for_in_a_text_key(text):
    assert holds(text, "Model 3")


@pytest.mark.parametrize("text", ["modell", "model 4", '"3 model"', "model model3"])
def test_all_words_must_be_there(text):
    assert not holds(text, "Model 3")


def test_words_are_looked_for_in_the_repr_of_other_keys():
    assert holds("3 alpha", ("Alpha", {"n": 3}))


def test_words_are_looked_for_in_tags_and_notes():
    assert holds("paper final", tags=("final", "paper"))
    assert holds("oslo", meta={"city": "Oslo"})
    assert holds("city=oslo", meta={"city": "Oslo"})


def test_words_are_looked_for_in_arguments():
    assert holds("alpha", ((), {}), arguments={"name": "alpha", "x": 3})


def test_only_the_beginning_of_a_huge_key_is_looked_at():
    assert holds("xxx", "x" * 1_000_000)
    assert not holds("end", "x" * 1_000_000 + "end")


@pytest.mark.parametrize(
    "text",
    [
        "size > 99",
        "size>99 B",
        "size = 100",
        "size >= 0.1 KB",
        "size < 1 MB",
        "SIZE != 5",
        "raw = 200",
        "raw_size <= 0.2kb",
    ],
)
def test_sizes(text):
    assert holds(text)
    assert not holds(
        text, size=100_000_000 if "<" in text else 5, raw_size=5 if "=" in text and "<" not in text else 10**9
    )


@pytest.mark.parametrize(
    "text", ["age < 1d", "age < 2 min", "age < 5 minutes", "age<1.5 hours", "age > 30 s", "age > 30", "age < 1w"]
)
def test_ages_and_their_units(text):
    assert holds(text)


@pytest.mark.parametrize("text", ["age > 1d", "age > 2 min", "age < 30 s", "age > 90 sec"])
def test_ages_that_are_not(text):
    assert not holds(text)


@pytest.mark.parametrize("text", ["took > 1 s", "took > 1999 ms", "seconds = 2", "took < 1 min"])
def test_how_long_it_took(text):
    assert holds(text)


def test_dates():
    assert holds("created > 2020-01-01 created > 2020-01-01 12:30")
    assert not holds("created < 2020-01-01")


def test_what_is_over_soon():
    soon = {"expires_at": time.time() + 3600}
    assert holds("expires < 2 h", **soon)
    assert not holds("expires < 30 min", **soon)
    assert not holds("expires < 2 h")
    assert holds("expires > 2020-01-01", **soon)


@pytest.mark.parametrize("text", ["tag: pap", "tags: PAPER", "tag = paper", "tags=final", "tag != pap"])
def test_tags(text):
    assert holds(text, tags=("paper", "final"))


@pytest.mark.parametrize("text", ["tag: papers", "tag = pap", "tag != paper"])
def test_tags_that_are_not(text):
    assert not holds(text, tags=("paper", "final"))


def test_kinds():
    assert holds("kind = data")
    assert holds("kind=code is_code=yes", is_code=True)
    assert holds("kind: foreign foreign = true", is_code=True, foreign=True)
    assert holds("foreign = no")
    assert not holds("kind = code")


@pytest.mark.parametrize("text", ["key = 3", "key=3 key<4", "key: 3"])
def test_keys_by_their_value(text):
    assert holds(text, 3)
    assert not holds(text, 5)


def test_a_number_may_be_meant_as_text():
    assert holds("key = 3", "3")
    assert not holds('key = "3"', 3)
    assert not holds("key != 3", "3")


@pytest.mark.parametrize(
    "text", ["x > 2", "x = 3", "arg.x <= 3", "x != 4", "x: 3", "name = alpha", "name: alp", "flag = true"]
)
def test_arguments(text):
    assert holds(text, ((3,), {}), arguments={"x": 3, "name": "alpha", "flag": True})


@pytest.mark.parametrize(
    "text", ["x > 3", "x = 4", "arg.x < 3", "x != 3", "x: 4", "name = alp", "y = 3", "flag = false"]
)
def test_arguments_that_are_not(text):
    assert not holds(text, ((3,), {}), arguments={"x": 3, "name": "alpha", "flag": True})


def test_an_argument_named_like_a_field_is_asked_for_with_a_prefix():
    call = {"arguments": {"size": 3}}
    assert holds("arg.size = 3 size = 100", **call)


@pytest.mark.parametrize(
    "text", ["accuracy >= 0.9", "meta.accuracy > .8", "accuracy = 0.93", "city = Oslo", "city: osl"]
)
def test_notes(text):
    assert holds(text, meta={"accuracy": 0.93, "city": "Oslo"})


@pytest.mark.parametrize("text", ["accuracy > 0.95", "meta.accuracy < .8", "city = oslo", "meta.size > 1"])
def test_notes_that_are_not(text):
    assert not holds(text, meta={"accuracy": 0.93, "city": "Oslo"})


@pytest.mark.parametrize("text", ["user:1", "http://host/a?b=c", "lr=0.1", "12:30", "a=b"])
def test_what_looks_like_a_condition_may_be_text(text):
    assert holds(text, f"key of {text} here")
    assert not holds(text, "another key")


@pytest.mark.parametrize("text", ["size >", "size", "age <= ", "tag:", "size > 1 MB age <"])
def test_a_condition_that_is_being_typed_finds_what_was_found(text):
    assert holds(text, "size", size=2_000_000)


@pytest.mark.parametrize(
    "text", ["size > big", "age < yesterday", "created > soon", "expired = perhaps", "took > 1parsec", "x" * 2000]
)
def test_what_cannot_be_understood_says_so(text):
    with pytest.raises(BadSearch) as caught:
        Search(text)
    assert isinstance(caught.value, StashError)
    assert len(str(caught.value)) > 10


def test_what_is_over_is_only_asked_for_by_name():
    assert Search("expired = yes").with_expired
    assert not Search("size > 1").with_expired


def test_advice_names_what_no_entry_has():
    search = Search("acuracy > 0.9 size > 1")
    assert search.advice({"accuracy"}) == "No entry has 'acuracy'; did you mean 'accuracy'?"
    assert search.advice({"acuracy"}) == ""
    assert Search("zzz > 1").advice(set()) == "No entry has 'zzz'."
    assert "'size'" in Search("sise > 1").advice(set())


@pytest.mark.parametrize(
    "text",
    [
        "(",
        '"',
        "'",
        "[",
        "\\",
        "a = (((",
        "x = [1",
        "= 3",
        "> 3",
        "size = = 3",
        "\x00",
        "%",
        "x = " + "(" * 500,
        "é = ü",
    ],
)
def test_odd_text_does_no_harm(text):
    try:
        search = Search(text)
    except BadSearch:
        return
    search.holds(entry())


class Hostile:
    def __repr__(self):
        raise RuntimeError("no repr")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


@pytest.mark.parametrize("text", ["word", "key = 3", "key > 3", "key: x", "key != 3"])
def test_a_key_that_cannot_be_compared_does_no_harm(text):
    holds(text, Hostile())
