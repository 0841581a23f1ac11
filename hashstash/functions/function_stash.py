"""A function with a memory: look up by call key, compute once, store, return."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
import warnings
import weakref
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import BadEntry, MissingDependency, NewerFormat, StashError, VolatileKey
from hashstash.fingerprint import LiveFingerprint
from hashstash.functions.call_key import CallBinder, CallKeyCodec
from hashstash.key_codec import EncodedKey, StashFacts
from hashstash.open import FUNCTIONS, below, open_engine
from hashstash.registry import SERIALIZERS
from hashstash.stash import HashStash
from hashstash.store import MISSING, Store, WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoOptions:
    """What a decorator says about its function.

    *ttl*: seconds until a result is over. *ignore*: parameters that do not matter. *key*: a function of the arguments whose
    result stands for them. *version*: a token of yours; another one computes anew. *if_*: results it is false for are not
    stored. *force*: compute and store even where there is a result.
    """

    ttl: float | None = None
    ignore: tuple[str, ...] = ()
    key: Callable[..., Any] | None = None
    version: object = None
    if_: Callable[[Any], Any] | None = None
    force: bool = False


class CacheInfo(NamedTuple):
    """What a memoized function has done in this process, and how many results are stored for it as it is now."""

    hits: int
    misses: int
    size: int


class Memo:
    """The memory of one function in one stash."""

    def __init__(self, function: Callable[..., Any], parent: HashStash, options: MemoOptions) -> None:
        self.function = function
        self.options = options
        self.live = LiveFingerprint(function)
        config = below(parent.config, f"{FUNCTIONS}/{_name_of(function).replace('/', '%2F')}", is_function_stash=True)
        facts = StashFacts(open_engine(config))
        binder = CallBinder(function, ignore=options.ignore, key=options.key)
        serializer = SERIALIZERS.load("hashstash")
        self.keys = CallKeyCodec(binder, self.live, options.version, serializer, facts.buffer_hash, paths=config.paths)
        self.stash = HashStash.from_config(config, self.keys)
        self.store: Store = self.stash.store
        self._plain_count = binder.plain_count
        self._has_warned = False
        self._hits = 0
        self._misses = 0
        self._running: dict[bytes, asyncio.Future[None]] = {}

    # ---- one call ------------------------------------------------------------------------------------------------

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of the call, from the stash if it is there."""
        try:
            bound = args if not kwargs and len(args) == self._plain_count else self.keys.binder.bind(args, kwargs)
            address = self.keys.address_of_call(bound)
        except (VolatileKey, TypeError) as error:
            return self._call_plainly(args, kwargs, error)
        if not self.options.force:
            found = self._look_up(address)
            if found is not MISSING:
                self._hits += 1
                return found
        with self._single_flight(address):
            found = MISSING if self.options.force else self._look_up(address)
            if found is not MISSING:
                self._hits += 1
                return found
            self._misses += 1
            started = time.perf_counter()
            result = self.function(*args, **kwargs)
            self._keep(address, args, kwargs, result, time.perf_counter() - started)
            return result

    async def call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Like :meth:`call` for an async function; tasks of one event loop that ask for the same wait for the first."""
        try:
            address = self.keys.address_of_call(self.keys.binder.bind(args, kwargs))
        except (VolatileKey, TypeError) as error:
            return await self._call_plainly(args, kwargs, error)
        while (running := self._running.get(address)) is not None:
            await asyncio.wait([running])
        found = MISSING if self.options.force else self._look_up(address)
        if found is not MISSING:
            self._hits += 1
            return found
        self._misses += 1
        done = self._running[address] = asyncio.get_running_loop().create_future()
        try:
            started = time.perf_counter()
            result = await self.function(*args, **kwargs)
            self._keep(address, args, kwargs, result, time.perf_counter() - started)
            return result
        finally:
            del self._running[address]
            done.set_result(None)

    @contextmanager
    def _single_flight(self, address: bytes) -> Iterator[None]:
        """Hold the lock of this result; where none can be had, computing twice is better than not at all."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self.store.engine.lock(address.hex()))
            except (
                StashError,
                OSError,
            ) as error:  # read-only, full, no server, too many open files in a deep recursion
                logger.debug("no lock for %s: %s", address.hex(), error)
            yield

    def _call_plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Any:
        """Run without the stash: the arguments do not fit, which the call itself says best, or cannot be hashed."""
        if isinstance(error, VolatileKey):
            self._warn(f"is not stashed, since {error}")
        return self.function(*args, **kwargs)

    def _look_up(self, address: bytes) -> Any:
        """The stored result or ``MISSING``; one that cannot be read is computed anew, with one warning."""
        try:
            return self.store.load_at(address)
        except MissingDependency:
            raise
        except (BadEntry, OSError) as error:
            self._warn(f"is computed anew: {error}")
            return MISSING

    def _keep(self, address: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, seconds: float) -> None:
        """Store *result*; whatever goes wrong, the caller has the result and is told once."""
        if self.options.if_ is not None and not self.options.if_(result):
            return
        try:
            data, is_code = self.keys.listed(args, kwargs)
            payload = self.store.payload_of(self.store.codec.serializer.dumps(result))
            options = WriteOptions(seconds, self.options.ttl, metadata=self.keys.context())
            if not self._is_newer(address):
                self.store.write(EncodedKey(address, data, is_code), payload, options)
        except MissingDependency:
            raise
        except (StashError, OSError) as error:
            self._warn(f"returned its result, which could not be stored: {error}")

    def _is_newer(self, address: bytes) -> bool:
        """Whether a newer hashstash has stored the result: it is left to those who can read it."""
        try:
            self.store.load_at(address)
        except NewerFormat:
            return True
        except BadEntry:
            pass
        return False

    def _warn(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{_name_of(self.function)} {what}", RuntimeWarning, stacklevel=5)

    # ---- what users may ask ----------------------------------------------------------------------------------------

    def key(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call as it is listed in the stash."""
        self.keys.binder.bind(args, kwargs)
        return args, kwargs

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of that call; return whether there was one."""
        return self.stash.discard((args, kwargs))

    def cache_info(self) -> CacheInfo:
        """Hits and misses in this process, and the number of stored results."""
        return CacheInfo(self._hits, self._misses, len(self.stash))


def _name_of(function: Callable[..., Any]) -> str:
    plain = function.func if isinstance(function, functools.partial) else function
    owner = plain if hasattr(plain, "__qualname__") else type(plain)
    return f"{getattr(owner, '__module__', None) or 'builtins'}.{owner.__qualname__}"


_memos: weakref.WeakKeyDictionary[Callable[..., Any], dict[Any, Memo]] = weakref.WeakKeyDictionary()


def memo_of(function: Callable[..., Any], parent: HashStash, options: MemoOptions) -> Memo:
    """The one memory of *function* in *parent* with these options, kept as long as the function lives."""
    place = (parent.path, parent.dbname, parent.config.paths, repr(options), options.key, options.if_)
    try:
        known = _memos.setdefault(function, {})
    except TypeError:
        return Memo(function, parent, options)  # a builtin that cannot be referred to weakly
    if place not in known:
        known[place] = Memo(function, parent, options)
    return known[place]


def memoized(function: Callable[..., Any], parent: HashStash, options: MemoOptions | None = None) -> Callable[..., Any]:
    """*function* as ``stash.run`` calls it; the plain function gets the attribute ``stash`` and is otherwise left alone."""
    if inspect.ismethod(function):
        owner, function = function.__self__, function.__func__
        return functools.partial(memoized(function, parent, options), owner)
    own = getattr(function, "__hashstash_memo__", None)
    plain = own.function if own is not None else function
    refuse_generators(plain)
    memo = memo_of(plain, parent, options or MemoOptions())
    try:
        function.stash = memo.stash  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        pass  # builtins take no attributes
    if inspect.iscoroutinefunction(plain):
        return lambda *args, **kwargs: memo.call_async(args, kwargs)
    return lambda *args, **kwargs: memo.call(args, kwargs)


def refuse_generators(function: Callable[..., Any]) -> None:
    """Raise TypeError for a generator function: its result can be consumed once, so it cannot be kept."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{_name_of(function)} is a generator function, whose result can be read only once; return a list instead"
        )


def with_options(options: MemoOptions, **changes: Any) -> MemoOptions:
    """*options* with some changed; TypeError names what is no option."""
    unknown = set(changes) - set(MemoOptions.__dataclass_fields__)
    if unknown:
        raise TypeError(
            f"no option named {', '.join(sorted(unknown))}; known: {', '.join(MemoOptions.__dataclass_fields__)}"
        )
    return replace(options, **changes)
