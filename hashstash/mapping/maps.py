"""``stash.map`` and ``@stash_mapped``: from arguments to a running map."""

from __future__ import annotations

import functools
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hashstash.engine import Capability
from hashstash.functions.function_stash import memo_for
from hashstash.functions.kinds import name_of, refuse_generators
from hashstash.mapping.calls import Call, keywords_for_all, parameters_of
from hashstash.mapping.computation import Computation, MapOptions
from hashstash.mapping.executors import check
from hashstash.mapping.plan import Plan
from hashstash.mapping.stash_map import StashMap
from hashstash.mapping.whole import WholeMap
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hashstash.mapping.progress import Progress

_ERRORS = {"raise": "raise", "return": "return", "store": "return", "skip": "skip"}
_CHOSEN = frozenset(field.name for field in fields(MapOptions))
_WRITERS = ("parent", "workers")


def map_over(
    stash: HashStash,
    function: Callable[..., Any],
    *,
    calls: list[Call],
    options: MapOptions,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> StashMap:
    """The map of *function* over *calls*, its results kept in the function's stash below *stash*.

    *changes* are options about the function, such as ``ttl``, that differ from those it was decorated with.
    """
    _check(options, stash)
    if not callable(function):
        raise TypeError(f"{function!r:.80} is not callable; give a function, then the objects: stash.map(f, [1, 2, 3])")
    refuse_generators(function)
    memo, bound = memo_for(function, stash, changes)
    if bound:
        calls = [Call((*bound, *call.args), call.kwargs) for call in calls]
    plan = Plan(memo, name_of(memo.function), calls)
    whole = WholeMap(plan, stash) if options.stash_map and not options.stash_runs else None
    computation = Computation(plan, options, progress, whole=whole)
    if options.precompute:
        computation.start()
    elif options.preload:
        computation.look_up()
    return StashMap(computation, parameters=parameters_of(memo.function), bound=len(bound))


def map_options(**values: Any) -> MapOptions:
    """The options of a map; every mistake in them raises here."""
    errors, chunksize = values.get("errors", "raise"), values.get("chunksize")
    if not isinstance(errors, str) or errors not in _ERRORS:
        raise ValueError(f"errors={errors!r}; it is one of 'raise', 'return', 'skip'")
    values["errors"] = _ERRORS[errors]
    if chunksize in ("auto", None):
        values["chunksize"] = None
    elif type(chunksize) is not int or chunksize < 1:
        raise ValueError(f"chunksize={chunksize!r}; it is 'auto' or a whole number from 1 on")
    check(values.get("executor"), values.get("num_proc"))
    return MapOptions(**values)


def _check(options: MapOptions, stash: HashStash) -> None:
    if options.write not in _WRITERS:
        raise ValueError(f"write={options.write!r}; it is 'parent' or 'workers'")
    needed = Capability.CROSS_PROCESS | Capability.SHARED_WRITERS
    if options.write == "workers" and needed not in stash.store.engine.capabilities:
        raise ValueError(
            f"write='workers': other processes cannot write to the engine {stash.engine!r}; leave the writing to the parent"
        )


def stash_mapped(target: Any = None, /, **options: Any) -> Any:
    """A decorator that turns a function of one item into one of many: ``decorated(objects)`` is a :class:`StashMap`.

    ``@stash_mapped`` uses the default stash, ``@stash_mapped("name", num_proc=4)`` the one of that name. The options of
    :meth:`HashStash.map` and of ``HashStash`` itself may be given; they never reach the function, whose own keywords are
    given with the objects: ``decorated(objects, scale=2)``. ``.uncached`` is the function itself, ``.stash`` the stash.
    """
    chosen = {name: options.pop(name) for name in list(options) if name in MAP_PARAMETERS}
    if target is None or isinstance(target, str):
        place = () if target is None else (target,)
        return lambda function: Mapped(function, HashStash(*place, **options), chosen)
    return Mapped(target, HashStash(**options), chosen)


def mapped_in(stash: HashStash, function: Any, options: Mapping[str, Any]) -> Any:
    """What ``stash.stash_mapped`` does, with or without a function to decorate yet."""
    unknown = sorted(set(options) - MAP_PARAMETERS)
    if unknown:
        raise TypeError(f"a map has no option {unknown[0]!r}; known: {', '.join(sorted(MAP_PARAMETERS))}")
    if function is None:
        return lambda function: Mapped(function, stash, options)
    return Mapped(function, stash, options)


MAP_PARAMETERS = frozenset(
    {
        *("num_proc", "total", "desc", "progress", "ordered", "preload", "precompute", "stash_runs", "stash_map"),
        *("executor", "chunksize", "errors", "force", "write", "star"),
    }
)


class Mapped:
    """A function of one item, decorated: called with many, it gives a :class:`StashMap`. Works on methods of all kinds, too."""

    def __init__(self, function: Any, stash: HashStash, options: Mapping[str, Any]) -> None:
        plain = getattr(function, "__func__", function)
        if not callable(plain):
            raise TypeError(f"{function!r:.80} is not callable; write @stash_mapped above a function")
        refuse_generators(plain)
        map_options(**{name: value for name, value in options.items() if name in _CHOSEN})
        # What stands on the function belongs to it; what an instance holds is its own business.
        functools.update_wrapper(self, plain, updated=("__dict__",) if inspect.isfunction(plain) else ())
        self.uncached = function
        self.stash = stash
        self._options = dict(options)

    def __call__(
        self,
        objects: Iterable[Any] | None = None,
        options: Iterable[Mapping[str, Any]] | None = None,
        *,
        kwargs: Mapping[str, Any] | None = None,
        **common: Any,
    ) -> StashMap:
        """The map over *objects*; *options* for each of them, *common* and *kwargs* for all, as in :meth:`HashStash.map`."""
        return self.stash.map(self.uncached, objects, options, kwargs=keywords_for_all(common, kwargs), **self._options)

    def __get__(self, instance: Any, owner: type | None = None) -> Mapped:
        """As an attribute of a class or an instance: the method, which is given many inputs."""
        bind = getattr(type(self.uncached), "__get__", None)
        return self if bind is None else Mapped(bind(self.uncached, instance, owner), self.stash, self._options)

    def __repr__(self) -> str:
        return f"<{name_of(self.uncached)}, mapped in {self.stash!r}>"

    def __hashstash_fingerprint__(self) -> Any:
        """A function that uses this one depends on the function in it, and on the stash as little as on a result."""
        return self.uncached
