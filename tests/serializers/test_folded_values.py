"""Values that hold one part twice, and so on for sixty levels: written as a graph, in which each part stands once."""

from collections import ChainMap, OrderedDict, deque
from types import MappingProxyType, SimpleNamespace

import pytest

from hashstash import HashStash
from hashstash.errors import VolatileKey

LEVELS = 60
KINDS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "OrderedDict": lambda pair: OrderedDict(enumerate(pair)),
    "mappingproxy": lambda pair: MappingProxyType(dict(enumerate(pair))),
    "ChainMap": lambda pair: ChainMap(*({1: part} for part in pair)),
    "namespace": lambda pair: SimpleNamespace(a=pair[0], b=pair[1]),
    "slice": lambda pair: slice(*pair),
    "exception": lambda pair: ValueError(*pair),
}


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "stash", engine="memory")


@pytest.fixture(params=KINDS)
def value(request):
    value = KINDS[request.param]([1, 2])
    for _ in range(LEVELS):
        value = KINDS[request.param]([value, value])
    return value


def test_it_is_stored_and_read(stash, value):
    stash["key"] = value
    assert type(stash["key"]) is type(value)


def test_it_is_shown(stash, value):
    stash["key"] = value
    assert len(repr(stash.values())) + len(repr(stash.items())) + len(stash._repr_html_()) < 100_000


@pytest.mark.parametrize(
    "make", [list, tuple, lambda pair: {"a": pair[0], "b": pair[1]}], ids=["list", "tuple", "dict"]
)
def test_as_a_key_it_is_refused_and_as_an_argument_not_stashed(stash, make):
    value = make([1, 2])
    for _ in range(LEVELS):
        value = make([value, value])
    with pytest.raises(VolatileKey, match="the same parts over and over"):
        stash[value] = 1
    with pytest.warns(RuntimeWarning, match="is not stashed, since a key holds the same parts over and over"):
        assert stash.run(len, value) == 2
