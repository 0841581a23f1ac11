"""What is measured: every combination of engine, serializer, compressor and b64, each with every value.

What a user names has to be there: if it is not, that is said before anything is measured. Where all is wanted that there is, the
rest is left out, and the profile says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hashstash.codec import Codec
from hashstash.engine import Capability
from hashstash.errors import MissingDependency, StashError, UnsupportedValue
from hashstash.open import below, compressor_name
from hashstash.profiling.samples import made_samples, own_samples
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS

if TYPE_CHECKING:
    from hashstash.open import Config
    from hashstash.profiling.place import Place
    from hashstash.profiling.samples import Sample
    from hashstash.registry import Registry

ALL = "all"
_PROBE = ("probe", 1)


@dataclass(frozen=True)
class Wishes:
    """What a user has asked for, as it was given; ``None`` is all that is installed."""

    engine: Any = None
    serializer: Any = None
    compress: Any = None
    b64: Any = False
    size: Any = 10_000
    iterations: Any = 3
    values: Any = None


@dataclass(frozen=True)
class Setting:
    """One way to store values."""

    config: Config

    @property
    def encoding(self) -> str:
        """The compressor, and whether text was made of what it gives."""
        return self.config.compress + ("+b64" if self.config.b64 else "")

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"{self.config.engine} with {self.config.serializer} and {self.encoding}"


@dataclass(frozen=True)
class Grid:
    """All that is measured."""

    settings: list[Setting]
    samples: list[Sample]
    iterations: int
    has_own_values: bool
    left_out: tuple[str, ...]
    """What was not asked for by name and could not be measured, and why."""

    @property
    def total(self) -> int:
        """How often a value is stored and read back."""
        return len(self.settings) * len(self.samples) * self.iterations

    @property
    def label(self) -> str:
        """What is going on, for a progress bar."""
        counts = [
            ("engine", len({setting.config.engine for setting in self.settings})),
            ("serializer", len({setting.config.serializer for setting in self.settings})),
            ("encoding", len({setting.encoding for setting in self.settings})),
            ("value" if self.has_own_values else "size", len(self.samples)),
        ]
        return "Profiling " + " x ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts)


def grid_of(wishes: Wishes, place: Place) -> Grid:
    """The grid that is meant; raises for whatever in it is unknown, not installed, or does not answer."""
    left_out: list[str] = []
    iterations = _iterations(wishes.iterations)
    flags = list(dict.fromkeys(map(_flag, _listed(wishes.b64, "b64"))))
    compressors = _compressors(wishes.compress, left_out)
    serializers = _named(SERIALIZERS, wishes.serializer, left_out)
    engines = _engines(wishes.engine, place, left_out)
    samples = made_samples(wishes.size) if wishes.values is None else own_samples(wishes.values)
    serializers = _able(serializers, samples, wishes.serializer, left_out)
    settings = [
        Setting(replace(below(engine, str(number)), serializer=serializer, compress=compress, b64=b64))
        for number, (engine, serializer, compress, b64) in enumerate(
            itertools.product(engines, serializers, compressors, flags)
        )
    ]
    return Grid(settings, samples, iterations, wishes.values is not None, tuple(left_out))


def _listed(wish: Any, parameter: str) -> list[Any]:
    """One thing or several, as a list."""
    several = isinstance(wish, Iterable) and not isinstance(wish, (str, bytes))
    found = list(wish) if several else [wish]
    if not found:
        raise ValueError(f"{parameter}= is empty; name one, or leave it out")
    return found


def _iterations(count: Any) -> int:
    if type(count) is not int or count < 1:
        raise ValueError(f"iterations={count!r}; it is a positive whole number")
    return count


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"b64={value!r}; it is True, False, or both in a list")
    return value


def _wants_all(wish: Any) -> bool:
    return wish is None or (isinstance(wish, str) and wish == ALL)


def _installed(registry: Registry, left_out: list[str]) -> list[str]:
    """The plug-ins whose packages are there; what is needed for the others is noted."""
    found = []
    for name in registry.names():
        try:
            found.append(str(registry.load(name).name))
        except MissingDependency as error:
            left_out.append(str(error))
    return found


def _named(registry: Registry, wish: Any, left_out: list[str]) -> list[str]:
    if _wants_all(wish):
        return _installed(registry, left_out)
    return list(dict.fromkeys(str(registry.load(name).name) for name in _listed(wish, registry.kind)))


def _compressors(wish: Any, left_out: list[str]) -> list[str]:
    if _wants_all(wish):
        return _installed(COMPRESSORS, left_out)
    return list(dict.fromkeys(map(compressor_name, _listed(wish, "compress"))))


def _engines(wish: Any, place: Place, left_out: list[str]) -> list[Config]:
    """The configurations of engines that keep what they are given."""
    if _wants_all(wish):
        return [found for name in _installed(ENGINES, left_out) if (found := _if_it_works(name, place, left_out))]
    configs: list[Config] = []
    for name in _listed(wish, "engine"):
        config = place.engine(name)
        if config not in configs:
            configs.append(config)
    for config, next_one in itertools.combinations(configs, 2):
        if config.engine == next_one.engine:
            raise ValueError(f"engine={wish!r} names two places of {config.engine!r}; profile one after the other")
    for config in configs:
        if not _keeps(config, place):
            raise ValueError(f"the engine {config.engine!r} keeps nothing, so that there is nothing to be measured")
    return configs


def _if_it_works(name: str, place: Place, left_out: list[str]) -> Config | None:
    """The configuration of an engine that nobody has named; ``None``, with the reason noted, if it is not to be had."""
    if Capability.REMOTE in ENGINES.load(name).capabilities and name != place.own_engine:
        left_out.append(f"the engine {name!r} needs a server: name it, or give its URL, to have it measured")
        return None
    try:
        config = place.engine(name)
        if _keeps(config, place):
            return config
        left_out.append(f"the engine {name!r} keeps nothing")
    except StashError as error:
        left_out.append(f"the engine {name!r} does not work here: {error}")
    return None


def _keeps(config: Config, place: Place) -> bool:
    """Whether what is stored by an engine is there afterwards; raises what the engine raises if it cannot be reached."""
    with place.open(below(config, "probe")) as stash:
        stash[_PROBE] = _PROBE
        return bool(stash.get(_PROBE) == _PROBE)


def _able(serializers: list[str], samples: list[Sample], wish: Any, left_out: list[str]) -> list[str]:
    """Those of *serializers* that can store all *samples*."""
    able = []
    for name in serializers:
        try:
            for sample in samples:
                Codec(name, "raw").encode(sample.value)
        except UnsupportedValue as error:
            if not _wants_all(wish):
                raise UnsupportedValue(f"the serializer {name!r} cannot store {sample.title}: {error}") from error
            left_out.append(f"the serializer {name!r} cannot store {sample.title}: {error}")
        else:
            able.append(name)
    if not able:
        raise UnsupportedValue("no serializer that is installed can store the values: " + "; ".join(left_out))
    return able
