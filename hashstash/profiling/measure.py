"""The clock: each value through each setting, in rounds, and what came back held against what was stored.

A round goes through the whole grid once, so that a moment in which the machine is busy spoils one measurement of many settings
and not all of one, and so that an interrupt leaves whole settings with fewer iterations. ``Write`` and ``Read`` are the whole of
``stash[key] = value`` and ``stash[key]``; the other operations are the parts of them that have nothing to do with the engine.
"""

from __future__ import annotations

import gc
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.leaving import always_left
from hashstash.mapping.progress import Tally
from hashstash.profiling.grid import Setting, grid_of
from hashstash.profiling.place import beside
from hashstash.store import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.mapping.progress import Progress
    from hashstash.profiling.grid import Grid, Wishes
    from hashstash.profiling.pandas import Profile
    from hashstash.profiling.place import Place
    from hashstash.profiling.samples import Sample
    from hashstash.stash import HashStash
    from hashstash.store import Store

OPERATIONS = ("Encode Key", "Decode Key", "Encode Value", "Decode Value", "Write", "Read")
_WARM_UP = ("warm up", 0)
_MEGABYTE = 1e6
_TICK = 1e-9
"""Seconds: the least that a clock can tell apart."""


class Measured(NamedTuple):
    """One value, once through one setting."""

    seconds: dict[str, float]
    raw_size: int
    stored_size: int


def profile(stash: HashStash, wishes: Wishes, progress: Progress) -> Profile:
    """The ``Profile`` of what *wishes* ask for, measured beside *stash*; interrupted, of what was measured until then."""
    from hashstash.profiling.pandas import frame_of  # before anything is measured: pandas may be missing

    rows: list[dict[str, Any]] = []
    was_interrupted = False
    with beside(stash.config) as place:
        grid = grid_of(wishes, place)
        progress.start(grid.label, Tally(grid.total))
        try:
            for row in _rounds(grid, place, progress):
                rows.extend(row)
        except KeyboardInterrupt:
            was_interrupted = True
            if not rows:
                raise
        finally:
            done = Tally(grid.total, computed=len(rows) // len(OPERATIONS))
            progress.close(done, interrupted=done.computed < grid.total)
    if was_interrupted:
        text = f"the profile was interrupted: it has {done.computed:,} of {done.total:,} measurements"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    return frame_of(rows, own=_names(Setting(stash.config)), left_out=grid.left_out, counts=(done.computed, grid.total))


def _rounds(grid: Grid, place: Place, progress: Progress) -> Iterator[list[dict[str, Any]]]:
    """The rows of each measurement as it is made."""
    count = 0
    for iteration in range(1, grid.iterations + 1):
        for setting in grid.settings:
            with place.open(setting.config) as stash:
                for number, sample in enumerate(grid.samples):
                    warm_up(stash, sample)
                    found = measure(stash, (f"iteration {iteration}", number), sample, setting.title)
                    yield list(_rows(setting, sample, iteration, found))
                    count += 1
                    progress.update(Tally(grid.total, computed=count))


def _names(setting: Setting) -> dict[str, str]:
    config = setting.config
    return {"Engine": config.engine, "Serializer": config.serializer, "Encoding": setting.encoding}


def _rows(setting: Setting, sample: Sample, iteration: int, found: Measured) -> Iterator[dict[str, Any]]:
    for operation in OPERATIONS:
        seconds = found.seconds[operation]
        yield {
            **_names(setting),
            **({} if sample.name is None else {"Value": sample.name}),
            "Size (B)": sample.size,
            "Raw Size (B)": found.raw_size,
            "Cached Size (B)": found.stored_size,
            "Compression Ratio (%)": 100 * found.stored_size / found.raw_size,
            "Iteration": iteration,
            "Operation": operation,
            "Time (s)": seconds,
            "Rate (it/s)": 1 / seconds,
            "Speed (MB/s)": found.raw_size / seconds / _MEGABYTE,
        }


def warm_up(stash: HashStash, sample: Sample) -> None:
    """Have files opened, modules imported, and the processor's caches filled by what is about to be measured."""
    stash[_WARM_UP] = sample.value
    stash[_WARM_UP]
    stash.discard(_WARM_UP)


def measure(stash: HashStash, key: Any, sample: Sample, setting: str = "the stash") -> Measured:
    """*sample* stored at *key* and read back, once; UnsupportedValue if it is not the same any more. *key* is free afterwards."""
    store, value = stash.store, sample.value
    seconds = {}
    with _undisturbed():
        # The whole before its parts: what the first of them brings into the processor's caches is a part of it.
        seconds["Write"], _ = _timed(stash.__setitem__, key, value)
        seconds["Read"], found = _timed(stash.__getitem__, key)
        seconds["Encode Key"], encoded = _timed(store.keys.encode, key)
        seconds["Decode Key"], _ = _timed(store.keys.decode, encoded.data)
        seconds["Encode Value"], _ = _timed(partial(store.codec.encode, mapped=store.blobs is not None), value)
        row = store.engine.get(encoded.address)
        seconds["Decode Value"], _ = _timed(_decoded, store, encoded.address, row)
    info = stash.info(key)
    sample.verify(found, setting)
    stash.discard(key)
    return Measured(seconds, info.raw_size, info.size)


def _decoded(store: Store, address: bytes, row: bytes) -> Any:
    """What a read does with a row once the engine has given it."""
    value = store.load_plain(address, row)
    return store.load_row(address, row) if value is MISSING else value


def _timed(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function(*args)
    return max(time.perf_counter() - started, _TICK), result


@always_left
def _undisturbed() -> Iterator[None]:
    """Without a collection of garbage, which would fall upon whatever is measured just then."""
    was_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()
