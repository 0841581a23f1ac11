"""What is measured: each workload prepares its data and offers operations that the harness times.

An operation is a function that does its work *number* times. Those in ``fresh`` are timed once, in a process of their
own.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from benchmarks.systems import System
from benchmarks.values import mixed_frame, nested_value, small_value

ELEMENTS = 1 << 20
"""Elements of an array of 8 MB."""


class Operation(NamedTuple):
    """One row of the table."""

    run: Callable[[], Any]
    number: int = 1
    """How many units of work one call of *run* does."""


class Target(NamedTuple):
    """What DESIGN asks of an operation: a ratio to the yardstick, and perhaps seconds; for lmdb, and for pairtree."""

    ratio: float | None = None
    seconds: float | None = None
    pairtree: float | None = None


class Workload(ABC):
    """One kind of use of a store."""

    name: ClassVar[str]
    title: ClassVar[str]
    targets: ClassVar[dict[str, Target]]
    blocks: ClassVar[int] = 3
    """How often an operation runs in one round."""
    most_rounds: ClassVar[int] = 1000
    """How many rounds of it are enough."""
    is_fresh: ClassVar[bool] = False
    """Whether there are operations for a new process."""

    def __init__(self, system: System, *, quick: bool) -> None:
        self.system = system
        self.quick = quick

    @abstractmethod
    def operations(self) -> dict[str, Operation]:
        """The operations, after the data that they need was stored."""

    def fresh(self) -> dict[str, Operation]:
        """The operations for a new process on data that :meth:`operations` has stored."""
        return {}


def random_array(seed: int = 1) -> Any:
    """8 MB of float64 that nothing compresses."""
    import numpy as np

    return np.random.default_rng(seed).random(ELEMENTS)


def ramp_array() -> Any:
    """8 MB of float64 in even steps."""
    import numpy as np

    return np.arange(ELEMENTS, dtype="f8")


def _each(work: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Operation:
    """*work* done once with each of *arguments*."""
    given = list(arguments)

    def run() -> None:
        for one in given:
            work(*one)

    return Operation(run, len(given))


def _repeat(work: Callable[[], Any], times: int) -> Operation:
    """*work* done *times* times; the results live on until the clock has stopped, as those of a user have names."""

    def run() -> list[Any]:
        return [work() for _ in range(times)]

    return Operation(run, times)


class Small(Workload):
    name = "W1"
    title = "small dict, str key"
    targets = {
        "get": Target(1.5, pairtree=4),
        "miss": Target(2),
        "set again": Target(2),
        "set new": Target(2),
    }
    count = 500

    def operations(self) -> dict[str, Operation]:
        system, count = self.system, self.count
        keys = [f"experiment/sample {number:06d}" for number in range(count)]
        absent = [f"no {key}" for key in keys]
        values = [small_value(number) for number in range(count)]
        fresh = itertools.count()
        for key, value in zip(keys, values, strict=True):
            system.set(key, value)
        assert system.get(keys[7]) == values[7]
        assert system.miss(absent[7]) is None
        return {
            "get": _each(system.get, [(key,) for key in keys]),
            "miss": _each(system.miss, [(key,) for key in absent]),
            "set again": _each(system.set, zip(keys, values, strict=True)),
            "set new": _each(lambda value: system.set(f"new {next(fresh)}", value), [(value,) for value in values]),
        }


class Nested(Workload):
    name = "W2"
    title = "100 KB nested"
    targets = {"get": Target(0.8), "set": Target(0.8)}

    def operations(self) -> dict[str, Operation]:
        system, value = self.system, nested_value()
        system.set("nested", value)
        assert system.get("nested") == value
        return {
            "get": _repeat(lambda: system.get("nested"), 20),
            "set": _repeat(lambda: system.set("nested", value), 20),
        }


class Array(Workload):
    name = "W3"
    title = "8 MB float64, random"
    is_fresh = True
    targets = {
        "get": Target(0.05),
        "get and sum": Target(0.5),
        "open, get": Target(None),
        "first get": Target(0.5),
        "set": Target(0.5),
    }

    def make(self) -> Any:
        return random_array()

    def operations(self) -> dict[str, Operation]:
        import numpy as np

        system, value = self.system, self.make()
        system.set("array", value)
        system.set("little", value[:1000].copy())
        assert np.array_equal(system.get("array"), value)
        return {
            "get": _repeat(lambda: system.get("array"), 5),
            "get and sum": _repeat(lambda: system.get("array").sum(), 5),
            "set": Operation(lambda: system.set("array", value)),
        }

    def fresh(self) -> dict[str, Operation]:
        system = self.system
        return {
            "open, get": Operation(lambda: system.get("little")),
            "first get": Operation(lambda: system.get("array")),
        }


class Ramp(Array):
    name = "W3r"
    title = "8 MB float64, ramp"

    def make(self) -> Any:
        return ramp_array()


class Frame(Workload):
    name = "W4"
    title = "frame of 1e5 rows"
    targets = {"get": Target(0.35), "set": Target(0.25)}

    def operations(self) -> dict[str, Operation]:
        system, value = self.system, mixed_frame()
        system.set("frame", value)
        assert system.get("frame").equals(value)
        return {
            "get": _repeat(lambda: system.get("frame"), 5),
            "set": Operation(lambda: system.set("frame", value)),
        }


def summarise(number: int, text: str) -> dict[str, Any]:
    """The function that is memoized: its result is small and its body would be slow."""
    return {"number": number, "text": text, "length": len(text), "ok": True}


def describe(data: Any) -> dict[str, Any]:
    """The function that is memoized for large args."""
    return {"shape": list(data.shape), "ok": True}


class Memo(Workload):
    name = "W5"
    title = "memo hit, (int, str)"
    targets = {"hit": Target(2.5, 4e-6)}
    count = 200

    def operations(self) -> dict[str, Operation]:
        function = self.system.memoize(summarise)
        calls = [(number, f"text {number}") for number in range(self.count)]
        for number, text in calls:
            assert function(number, text) == summarise(number, text)
        return {"hit": _each(function, calls)}


class LargeMemo(Workload):
    name = "W6"
    title = "memo hit, large arg"
    targets = {"8 MB array": Target(0.03), "frame of 1e5 rows": Target(0.1)}

    def operations(self) -> dict[str, Operation]:
        function = self.system.memoize(describe)
        array, frame = random_array(), mixed_frame()
        try:
            assert function(array) == describe(array)
            assert function(frame) == describe(frame)
        except TypeError:  # lru_cache: an array cannot be hashed
            return {}
        return {
            "8 MB array": Operation(lambda: function(array)),
            "frame of 1e5 rows": Operation(lambda: function(frame)),
        }


class NestedKey(Workload):
    name = "W7"
    title = "nested key"
    targets = {"get": Target(3), "set": Target(None)}
    count = 200

    def operations(self) -> dict[str, Operation]:
        system = self.system
        keys = [
            {
                "model": "tree",
                "params": {"depth": number, "rate": 0.1},
                "features": ["a", "b", ("c", number)],
                "folds": (1, 2, 3),
            }
            for number in range(self.count)
        ]
        value = small_value(1)
        for key in keys:
            system.set(key, value)
        assert system.get(keys[7]) == value
        return {
            "get": _each(system.get, [(key,) for key in keys]),
            "set": _each(system.set, [(key, value) for key in keys]),
        }


class Many(Workload):
    name = "W8"
    title = "many small entries"
    targets = {"bulk set": Target(1.5), "len": Target(1), "items": Target(1), "data frame": Target(1.1)}
    blocks = 1
    most_rounds = 2

    def operations(self) -> dict[str, Operation]:
        system, count = self.system, 20_000 if self.quick else 100_000
        pairs = [(f"experiment/sample {number:06d}", small_value(number)) for number in range(count)]
        system.set_many(pairs)
        assert system.count() == count
        assert sum(1 for _ in system.items()) == count
        frame = system.frame()
        assert frame.loc[pairs[7][0]].to_dict() == pairs[7][1]
        assert len(frame) == count
        del frame
        return {
            "bulk set": Operation(lambda: system.set_many(pairs), count),
            "len": _repeat(system.count, 20),
            "items": Operation(lambda: sum(1 for _ in system.items()), count),
            "data frame": Operation(system.frame, count),
        }


WORKLOADS: dict[str, type[Workload]] = {
    workload.name: workload for workload in (Small, Nested, Array, Ramp, Frame, Memo, LargeMemo, NestedKey, Many)
}
