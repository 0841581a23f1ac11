"""A function with a memory: look up by call key, compute once, store, return."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import BadEntry, MissingDependency, NewerFormat, StashError, VolatileKey
from hashstash.fingerprint import LiveFingerprint
from hashstash.functions.call_key import CallBinder, CallKeyCodec
from hashstash.functions.contexts import context_of, write_context
from hashstash.functions.explain import Explanation, explain
from hashstash.functions.flights import alone_among_tasks
from hashstash.functions.kept_errors import Failure, KeptErrors
from hashstash.functions.kinds import name_of
from hashstash.functions.travel import ArrivedFingerprint
from hashstash.key_codec import EncodedKey, StashFacts
from hashstash.open import FUNCTIONS, below, open_engine
from hashstash.registry import SERIALIZERS
from hashstash.single_flight import alone, warn_of_wait, warn_user
from hashstash.stash import HashStash
from hashstash.store import MISSING, Store, WriteOptions
from hashstash.writing import CANNOT_STORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.functions.options import MemoOptions

_MOST_CONTEXTS = 1000


class CacheInfo(NamedTuple):
    """What a memoized function has done in this process, and how many results are stored for it as it is now.

    An exception that was kept and is raised again counts as a hit; it is no result.
    """

    hits: int
    misses: int
    size: int

    def _repr_html_(self) -> str:
        from hashstash.display.functions import html_of_cache_info

        return html_of_cache_info(self)


class _Call(NamedTuple):
    """A call that is about to be computed."""

    address: bytes
    context: bytes
    key: EncodedKey | StashError
    """As the row will list it; or why no row can."""
    started: float


class Memo:
    """The memory of one function in one stash."""

    function: Callable[..., Any]
    options: MemoOptions
    keys: CallKeyCodec
    store: Store
    stash: HashStash
    live: LiveFingerprint | ArrivedFingerprint

    def __init__(self, function: Callable[..., Any], parent: HashStash, options: MemoOptions) -> None:
        self._hold(function, parent, options, None)
        self._open()

    def _hold(
        self, function: Callable[..., Any], parent: HashStash, options: MemoOptions, arrived_as: bytes | None
    ) -> None:
        self.function = function
        self.options = options
        self._parent = parent
        self._arrived_as = arrived_as

    def _open(self) -> None:
        function, options = self.function, self.options
        live = LiveFingerprint(function)
        self.live = live if self._arrived_as is None else ArrivedFingerprint(live, self._arrived_as)
        folder = f"{FUNCTIONS}/{name_of(function).replace('/', '%2F')}"
        config = below(self._parent.config, folder, is_function_stash=True)
        facts = StashFacts(open_engine(config))
        binder = CallBinder(function, ignore=options.ignore, key=options.key)
        serializer = SERIALIZERS.load("hashstash")
        self.keys = CallKeyCodec(binder, self.live, options.version, serializer, facts.buffer_hash, paths=config.paths)
        self.stash = HashStash.from_config(config, self.keys)
        kept_for = options.cache_exceptions
        self._errors = None if kept_for is None else KeptErrors(self.stash.store, name_of(function), kept_for)
        self._minds_errors = self._errors is not None or options.on_error is not None
        self._plain_count = binder.plain_count
        self._known_contexts: set[bytes] = set()
        self._has_warned = False
        self._hits = 0
        self._misses = 0
        self.store = self.stash.store

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            digest = self.live.digest()
        except VolatileKey:
            digest = None
        return _arriving, (), (self.function, self._parent, self.options, digest)

    def __setstate__(self, state: tuple[Callable[..., Any], HashStash, MemoOptions, bytes | None]) -> None:
        self._hold(*state)

    # ---- one call ------------------------------------------------------------------------------------------------

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of the call, from the stash if it is there."""
        bound = None
        try:
            bound = args if not kwargs and len(args) == self._plain_count else self.keys.binder.bind(args, kwargs)
            address = self.keys.address_of_call(bound)
        except (TypeError, StashError, OSError) as error:
            return self._call_plainly(args, kwargs, error, is_bound=bound is not None)
        if not self.options.force:
            found = self._look_up(address)
            if found is not MISSING:
                self._hits += 1
                return found
        # In one piece from here on: each frame more would take from the depth that a recursive function can reach.
        with alone(self.store.engine, address, self._tell_of_wait):
            found = MISSING if self.options.force else self._outcome(address)
            if found is MISSING:
                call = self._begin(address, args, kwargs)
                try:
                    result = self.function(*args, **kwargs)
                except Exception as error:
                    if not self._minds_errors:
                        raise
                    found = self._keep_error(call, error)
                else:
                    self._keep(call, result)
                    return result
        return self._fail(found) if type(found) is Failure else found

    async def call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Like :meth:`call` for an async function; who waits for another task or process lets the event loop go on."""
        bound = None
        try:
            bound = self.keys.binder.bind(args, kwargs)
            address = self.keys.address_of_call(bound)
        except (TypeError, StashError, OSError) as error:
            return await self._call_plainly(args, kwargs, error, is_bound=bound is not None)
        if not self.options.force:
            found = self._look_up(address)
            if found is not MISSING:
                self._hits += 1
                return found
        async with alone_among_tasks(self.store.engine, address, self._tell_of_wait):
            found = MISSING if self.options.force else self._outcome(address)
            if found is MISSING:
                call = self._begin(address, args, kwargs)
                try:
                    result = await self.function(*args, **kwargs)
                except Exception as error:
                    if not self._minds_errors:
                        raise
                    found = self._keep_error(call, error)
                else:
                    self._keep(call, result)
                    return result
        if type(found) is not Failure:
            return found
        answer = self._fail(found)
        return await answer if inspect.isawaitable(answer) else answer

    def _call_plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception, *, is_bound: bool) -> Any:
        """Run without the stash: the arguments do not fit, which the call itself says best, or cannot be hashed.

        Or the stash cannot be asked how it hashes large ones, for whatever *error*.
        """
        is_ours = isinstance(error, VolatileKey) or (is_bound and isinstance(error, (StashError, OSError)))
        if is_ours and not isinstance(error, MissingDependency):
            self._warn(f"is not stashed, since {error}")
        elif not isinstance(error, TypeError) or self.keys.binder.accepts(args, kwargs):
            raise error  # from a key function, or a package is missing
        return self.function(*args, **kwargs)

    def _look_up(self, address: bytes) -> Any:
        """The stored result or ``MISSING``; one that cannot be read is computed anew, with one warning."""
        try:
            return self.store.load_at(address)
        except MissingDependency:
            raise
        except (BadEntry, OSError) as error:
            self._warn(computed_anew(error))
            return MISSING

    def _outcome(self, address: bytes) -> Any:
        """The stored result, a :class:`Failure` where an exception is kept, or ``MISSING``."""
        found = self._look_up(address)
        if found is MISSING and self._errors is not None:
            try:
                found = self._errors.find(address) or MISSING
            except MissingDependency:
                raise
            except (BadEntry, OSError) as error:
                self._warn(computed_anew(error))
        if found is not MISSING:
            self._hits += 1
        return found

    def _begin(self, address: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """Note what the call is before it runs: the function may change its arguments, and what it rests on."""
        self._misses += 1
        key: EncodedKey | StashError
        try:
            key = EncodedKey(address, *self.keys.listed(args, kwargs))
        except StashError as error:
            key = error
        return _Call(address, self.keys.context(), key, time.perf_counter())

    def _keep(self, call: _Call, result: Any) -> None:
        """Store *result*; whatever goes wrong, the caller has the result and is told once."""
        seconds = time.perf_counter() - call.started
        if self.options.if_ is not None and not self.options.if_(result):
            return
        try:
            payload = self.store.payload_of(self.store.codec.serializer.dumps(result))
            options = WriteOptions(seconds, self.options.ttl, metadata=call.context)
            if self._is_newer(call.address):
                self._warn("returned its result, which was not stored, since that of a newer hashstash stays")
                return
            self.store.write(_key_of(call), payload, options)
            self.note_context(call.context)
            if self._errors is not None:
                self._errors.forget(call.address)
        except MissingDependency:
            raise
        except CANNOT_STORE as error:
            self._warn(f"returned its result, which could not be stored: {error}")

    def _keep_error(self, call: _Call, error: Exception) -> Failure:
        """Store the exception that the function has raised, if it was asked for."""
        if self._errors is not None:
            try:
                seconds = time.perf_counter() - call.started
                self._errors.keep(_key_of(call), error, seconds=seconds, context=call.context)
                self.note_context(call.context)
            except CANNOT_STORE as reason:
                self._warn(f"raised an exception that could not be stored: {reason}")
        return Failure(error)

    def _fail(self, failure: Failure) -> Any:
        """Raise the exception, or return what the user's handler makes of it."""
        if self.options.on_error is None:
            raise failure.error
        return self.options.on_error(failure.error)

    def note_context(self, context: bytes) -> None:
        """Store once what the function is made of, so that later misses can be explained."""
        if context in self._known_contexts or self.keys.context() != context:
            return
        if len(self._known_contexts) >= _MOST_CONTEXTS:
            self._known_contexts.clear()
        self._known_contexts.add(context)
        write_context(self.store.engine, context, lambda: context_of(self.live, self.options.version))

    def _is_newer(self, address: bytes) -> bool:
        """Whether a newer hashstash has stored the result: it is left to those who can read it."""
        try:
            self.store.load_at(address)
        except NewerFormat:
            return True
        except (BadEntry, MissingDependency):  # it was to be computed anew, whatever is there
            pass
        return False

    def _warn(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warn_user(f"{name_of(self.function)} {what}")

    def _tell_of_wait(self, holder: str) -> None:
        warn_of_wait(name_of(self.function), holder)

    # ---- for maps ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``module.qualname`` of the function."""
        return name_of(self.function)

    def keep_error(self, key: EncodedKey, error: Exception, *, seconds: float, context: bytes) -> None:
        """Store the exception that a call of a map has raised, if the function's exceptions are kept."""
        if self._errors is not None:
            self._keep_error(_Call(key.address, context, key, time.perf_counter() - seconds), error)

    # ---- what users may ask ----------------------------------------------------------------------------------------

    def key(self, /, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call as it is listed in the stash."""
        self.keys.binder.named(args, kwargs)
        return args, kwargs

    def invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of that call, or the exception that is kept for it; return whether there was one."""
        had_error = self._errors is not None and self._errors.forget(self.keys.address((args, kwargs)))
        return self.stash.discard((args, kwargs)) or had_error

    def cache_info(self) -> CacheInfo:
        """Hits and misses in this process, and the number of stored results."""
        return CacheInfo(self._hits, self._misses, len(self.stash))

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Whether that call would be answered from the stash, and if not, what has changed; nothing is called or stored."""
        return explain(self, args, kwargs)

    def kept_error(self, address: bytes) -> Failure | None:
        """The exception that would be raised instead of calling the function; ``None`` if none is kept."""
        return None if self._errors is None else self._errors.find(address)


def computed_anew(error: Exception, *, of: str = "") -> str:
    """What is said of a function whose stored result cannot be read; *of*: for which of its calls that holds."""
    stays = ", and what a newer hashstash has stored stays" if isinstance(error, NewerFormat) else ""
    return f"is computed anew{of}{stays}: {error}"


def _key_of(call: _Call) -> EncodedKey:
    if isinstance(call.key, StashError):
        raise call.key
    return call.key


class _ArrivedMemo(Memo):
    """A memo from another process, which opens what it needs at its first use: only then is its function sure to be whole.

    From then on it is a plain one, as looking up attributes costs more where a class has a ``__getattr__``.
    """

    def __getattr__(self, name: str) -> Any:
        if "_parent" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._open()
        self.__class__ = Memo  # type: ignore[assignment]
        return getattr(self, name)


def _arriving() -> Memo:
    return _ArrivedMemo.__new__(_ArrivedMemo)
