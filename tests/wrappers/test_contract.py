"""Every wrapper around three kinds of engines does what engines do."""

import pytest

from hashstash.registry import ENGINES
from hashstash.testing.engine import EngineContract

pytestmark = pytest.mark.once

WRAPPINGS = {
    "Prefix": "from hashstash.wrappers.prefix import PrefixWrapper\nwrap = lambda inner: PrefixWrapper(inner, 'one')",
    "FrontCache": "from hashstash.wrappers.front_cache import FrontCacheWrapper\nwrap = FrontCacheWrapper",
    "SmallFrontCache": "from hashstash.wrappers.front_cache import FrontCacheWrapper\n"
    "wrap = lambda inner: FrontCacheWrapper(inner, max_bytes=1000)",
    "Retry": "from hashstash.wrappers.retry import RetryWrapper\nwrap = RetryWrapper",
    "Counters": "from hashstash.wrappers.counters import CountersWrapper\nwrap = CountersWrapper",
}
INNER = ("pairtree", "lmdb", "memory")
QUICK = {(wrapper, "lmdb") for wrapper in WRAPPINGS} | {
    ("Prefix", "pairtree"),
    ("FrontCache", "memory"),
}
"""Each wrapper over the engine that promises most; over other kinds that which changes addresses, and that which keeps what it has
read."""


class WrapperContract(EngineContract):
    many = 20_000
    race = 0.15  # the engines themselves get longer
    wrapping: str
    inner: str

    def wrap(self, inner):
        names = {}
        exec(self.wrapping, names)
        return names["wrap"](inner)

    @pytest.fixture
    def make(self, tmp_path):
        kind = pytest.importorskip(f"hashstash.engines.{self.inner}", exc_type=ImportError).PLUGIN
        return lambda: self.wrap(kind(str(tmp_path / "stash")))

    def raw_get(self, engine, address):
        return engine.inner.get(getattr(engine, "_prefix", b"") + address if engine.name == "prefix" else address)

    def folder(self, engine):
        return super().folder(engine.inner)

    def source(self, engine):
        opened = (
            f"from hashstash.registry import ENGINES\ninner = ENGINES.load({self.inner!r})({engine.inner.location()!r})"
        )
        return f"{opened}\n{self.wrapping}\nengine = wrap(inner)\n"

    def neighbour(self, engine):
        if engine.name == "prefix":
            return type(engine)(engine.inner, engine.namespace + "b")
        return self.wrap(ENGINES.load(self.inner)(engine.inner.location() + "b"))

    def test_capabilities_are_forwarded(self, engine):
        assert engine.capabilities == engine.inner.capabilities


for wrapper, wrapping in WRAPPINGS.items():
    for inner in INNER if wrapper != "SmallFrontCache" else INNER[1:2]:
        attributes = {"wrapping": wrapping, "inner": inner}
        if wrapper == "Prefix":
            attributes["slow_count"] = "a namespace is counted row by row"
        if inner == "pairtree":
            attributes["many"] = 5_000  # each row is a file; that all are looked at in little memory is seen over lmdb
        name = f"Test{wrapper}Over{inner.title()}"
        kind = type(name, (WrapperContract,), attributes)
        globals()[name] = kind if (wrapper, inner) in QUICK else pytest.mark.heavy(kind)
del WrapperContract  # it is no test by itself
