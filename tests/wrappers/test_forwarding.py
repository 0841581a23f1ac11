"""What the base of all wrappers hands on."""

import inspect

import pytest

from hashstash.engine import Engine, EngineWrapper
from hashstash.engines.memory import MemoryEngine
from hashstash.testing.engine import ADDRESS, row
from hashstash.wrappers.counters import CountersWrapper
from hashstash.wrappers.front_cache import FrontCacheWrapper
from hashstash.wrappers.prefix import PrefixWrapper
from hashstash.wrappers.read_only import ReadOnlyWrapper
from hashstash.wrappers.retry import RetryWrapper

pytestmark = pytest.mark.once

METHODS = [
    name
    for name, member in inspect.getmembers(Engine, inspect.isfunction)
    if not name.startswith("_") and not isinstance(inspect.getattr_static(Engine, name), classmethod)
]
ARGUMENTS = {
    "address": ADDRESS,
    "blob": row("a"),
    "expected": None,
    "prefix": b"",
    "size": 20,
    "addresses": [ADDRESS],
    "rows": [(ADDRESS, row("a"))],
    "changes": [(ADDRESS, None, row("a"))],
    "name": "history",
    "moment": 1 << 62,
    "place_of": lambda blob: None,
}
WRAPPERS = [
    lambda inner: PrefixWrapper(inner, "one"),
    ReadOnlyWrapper,
    FrontCacheWrapper,
    lambda inner: FrontCacheWrapper(inner, max_age=5),
    RetryWrapper,
    CountersWrapper,
]


class Plain(EngineWrapper):
    name = "plain"

    def _wrap(self, name):
        return Plain(self.inner.section(name))


class Recorder(MemoryEngine):
    """Remembers which of its public methods were called from outside."""

    def __init__(self, folder):
        self.called = []
        super().__init__(folder)

    def __getattribute__(self, name):
        if name in METHODS:
            object.__getattribute__(self, "called").append(name)
        return object.__getattribute__(self, name)


def call(engine, name):
    method = getattr(engine, name)
    result = method(
        *(
            ARGUMENTS[parameter]
            for parameter in inspect.signature(getattr(Engine, name)).parameters
            if parameter != "self"
        )
    )
    return list(result) if inspect.isgenerator(result) else result


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_engines_is_forwarded(tmp_path, name):
    inner = Recorder(str(tmp_path))
    call(Plain(inner), name)
    assert name in inner.called


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("name", ["title", "keeps_files"])
def test_what_a_wrapper_says_of_itself_is_what_the_engine_inside_says(tmp_path, wrap, name):
    inner = MemoryEngine(str(tmp_path))
    assert getattr(wrap(inner), name) == getattr(inner, name)


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_no_wrapper_promises_more_than_the_engine_inside(tmp_path, wrap):
    inner = MemoryEngine(str(tmp_path))
    assert wrap(inner).capabilities & ~inner.capabilities == type(inner.capabilities).NONE


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_sections_are_wrapped_and_always_the_same(tmp_path, wrap):
    wrapper = wrap(MemoryEngine(str(tmp_path)))
    assert type(wrapper.section("history")) is type(wrapper)
    assert wrapper.section("history") is wrapper.section("history")
    assert wrapper.section("history").capabilities == wrapper.capabilities


def test_wrappers_may_be_stacked(tmp_path):
    engine = MemoryEngine(str(tmp_path))
    stack = CountersWrapper(FrontCacheWrapper(RetryWrapper(PrefixWrapper(engine, "one"))))
    stack.put(ADDRESS, row("a"))
    stack.section("history").put(ADDRESS, row("old"))
    assert (stack.get(ADDRESS), stack.get(ADDRESS), stack.count()) == (row("a"), row("a"), 1)
    assert stack.section("history").get(ADDRESS) == row("old")
    assert stack.operations()["history.put"].calls == 1
    stack.clear()
    assert (engine.count(), engine.section("history").count()) == (0, 0)
