"""Computing by a stash: functions and maps, each of whose calls is made once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from hashstash.facade.part import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hashstash.mapping.stash_map import StashMap


class Computing(Part):
    """Results of functions, one at a time and in maps."""

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``, computed once for equal arguments and an unchanged function."""
        from hashstash.functions import memoized

        return memoized(function, self._whole)(*args, **kwargs)

    def stashed_result(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """A decorator that keeps a function's results here; see :func:`hashstash.stashed_result` for the options."""
        from hashstash.functions import decorate

        return decorate(function, self._whole, options)

    def options(self, **options: Any) -> Any:
        """The stash with options for the calls that follow, as in ``stash.options(force=True).run(f, 1)``."""
        from hashstash.functions import CallOptions

        return CallOptions(self._whole, options)

    def map(
        self,
        function: Callable[..., Any],
        /,
        objects: Iterable[Any] | None = None,
        options: Iterable[Mapping[str, Any]] | None = None,
        *,
        num_proc: int | None = None,
        total: int | None = None,
        desc: str | None = None,
        progress: Any = True,
        ordered: bool = True,
        preload: bool = True,
        precompute: bool = True,
        stash_runs: bool = True,
        stash_map: bool = True,
        executor: Any = None,
        chunksize: int | str = "auto",
        errors: str = "raise",
        force: bool = False,
        write: str = "parent",
        star: bool = True,
        kwargs: Mapping[str, Any] | None = None,
        **common_kwargs: Any,
    ) -> StashMap:
        """``function`` of each of *objects*, each computed once: a :class:`StashMap`, which reads like a list of results.

        A tuple is spread over the positional arguments unless ``star=False`` (a named tuple is one argument); *options* are
        keywords for each item (without *objects*, each dict is a call), and *common_kwargs* (or ``kwargs={...}``, where names
        would clash) for all. Results that are stored are looked up in one pass, equal items are computed once, and each
        result is stored as it comes, where ``run`` finds it too. A decorated function keeps its decorator's options, and its
        results are kept here, as with ``run``.

        *num_proc*: worker processes; default all cores but two. With more than one the map computes in the background and
        is returned at once; with one it computes before it returns. *executor*: ``"threads"``, ``"processes"``, ``"serial"``,
        ``"loky"``, or anything with a ``submit``, such as an executor of concurrent.futures or a Dask or ipyparallel client.
        *chunksize*: items sent at once; ``"auto"`` aims at 15 ms of work. *errors*: an exception of *function* is raised when its
        item is read (``"raise"``), stands in its place (``"return"``), or is left out (``"skip"``). *force* computes all anew.
        *write*: ``"workers"`` lets them store the results themselves, in engines that they can reach.

        *total*: at most so many items, for an iterator that has no end. *desc*, *progress*: the text of the bar, and whether or
        which one to show. *ordered*: whether ``results_iter()`` keeps the order of the inputs. ``precompute=False`` computes
        an item when it is read, ``preload=False`` does not even look before. ``stash_runs=False`` keeps no single results;
        then ``stash_map=True`` keeps the whole list as one entry when nothing failed, and ``False`` nothing.
        """
        from hashstash.display.progress import progress_for
        from hashstash.mapping import calls as given
        from hashstash.mapping import maps

        force = common_kwargs.pop("_force", force)
        common = given.keywords_for_all(common_kwargs, kwargs)
        calls = given.calls_of(objects, options, common, star=star, total=total)
        chosen = maps.map_options(
            num_proc=num_proc,
            desc=desc,
            ordered=ordered,
            preload=preload,
            precompute=precompute,
            stash_runs=stash_runs,
            stash_map=stash_map,
            executor=executor,
            chunksize=chunksize,
            errors=errors,
            force=force,
            write=write,
        )
        return maps.map_over(self._whole, function, calls=calls, options=chosen, progress=progress_for(progress))

    def stash_mapped(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """A decorator: the function takes a list of inputs and gives a :class:`StashMap`; *options* as in :meth:`map`."""
        from hashstash.mapping.maps import mapped_in

        return mapped_in(self._whole, function, options)

    def get_func(self, /, *args: Any, **kwargs: Any) -> Any:
        """In a function's stash: the stored result of the call with these arguments, or ``None``."""
        return self._whole.get((args, kwargs))

    async def aget(self, key: Any, default: Any = None) -> Any:
        """:meth:`get` in a thread, so that the event loop goes on."""
        return await _in_thread(self._whole.get, key, default)

    async def aset(self, key: Any, value: Any) -> None:
        """``stash[key] = value`` in a thread."""
        await _in_thread(self._whole.__setitem__, key, value)

    async def ahas(self, key: Any) -> bool:
        """``key in stash`` in a thread."""
        return bool(await _in_thread(self._whole.__contains__, key))

    async def arun(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """:meth:`run` in a thread; an async function is awaited here and its result stored."""
        result = await _in_thread(self.run, function, *args, **kwargs)
        return await result if isinstance(result, Awaitable) else result


async def _in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    import asyncio  # by whoever runs an event loop it has been imported already; for everybody else it would be slow

    return await asyncio.to_thread(function, *args, **kwargs)
