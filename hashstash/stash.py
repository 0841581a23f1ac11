"""``HashStash``: a dict over any storage engine for any Python object. Each method names the function that does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hashstash import upkeep
from hashstash.choices import checked
from hashstash.entries import pairs_to_copy
from hashstash.errors import MissingDependency, PolicyError, ReadOnlyStash
from hashstash.facade import Computing, Configured, Encodes, Keeping, Looking
from hashstash.foreign import Foreign
from hashstash.metadata import pack_notes
from hashstash.open import configure, function_stashes
from hashstash.paths import shown
from hashstash.policies.time_to_live import parse_duration
from hashstash.single_flight import alone, warn_of_wait, warn_user
from hashstash.statistics import Stats
from hashstash.store import MISSING, WriteOptions
from hashstash.views import StashItems, StashKeys, StashValues, same_items
from hashstash.wording import counted, printable
from hashstash.writing import CANNOT_STORE

if TYPE_CHECKING:
    import contextlib
    import os
    from types import TracebackType

    from hashstash.locks import KeyLock

Default = TypeVar("Default")


class HashStash(Configured, Looking, Keeping, Computing, Encodes, MutableMapping[Any, Any]):
    """A dict that stays: keys and values may be anything, and other processes see what is written.

    ``HashStash("experiments")`` lies under the cache root; ``HashStash("~/data/stash")`` and URLs lie where they say. Entries
    describe themselves, so the same folder opened with another ``serializer`` or ``compress`` still reads all of them.

    *root_dir*, *dbname*: the folder, and a namespace in it (may hold ``/``). *engine*, *serializer*, *compress*, *b64*: how rows
    are stored; the defaults are the best that is installed. *append_mode* keeps every version of a key. *clear* empties the
    stash first. *ttl*: seconds, a timedelta or ``"7d"`` until entries are over. *max_size* (bytes), *max_entries*: what was
    used longest ago is removed before a write goes beyond them. *value_type*: a type, several of them, or a function that says
    whether a value may be stored; PolicyError for others. *durability*: ``process`` survives a killed process, ``power`` also a
    power loss (slower), ``none`` promises nothing. *trust*: whose code entries are decoded, ``mine``, ``strict`` (and data only
    if signed) or ``all`` (everybody's: whoever can write here can then run code in this process). *paths*: whether a ``Path`` in
    a key, or among the arguments of a function, counts as the ``path`` that it is, or by the ``content`` of what is there.

    Keys are type-strict: ``1``, ``1.0`` and ``True`` are three keys; equal dicts in any order are one.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(  # noqa: PLR0917
        self,
        root_dir: str | os.PathLike[str] | None = None,
        dbname: str | None = None,
        engine: str | None = None,
        serializer: str | None = None,
        compress: str | bool | None = None,
        b64: bool = False,
        append_mode: bool = False,
        clear: bool = False,
        *,
        name: str | os.PathLike[str] | None = None,
        ttl: Any = None,
        max_size: int | None = None,
        max_entries: int | None = None,
        durability: str = "process",
        trust: str = "mine",
        read_only: bool = False,
        paths: str = "path",
        value_type: Any = None,
        **engine_options: Any,
    ) -> None:
        if name is not None and root_dir is not None:
            raise TypeError(f"root_dir={root_dir!r} and name={name!r} mean the same; give one of them")
        config = configure(
            root_dir=name if root_dir is None else root_dir,
            dbname=dbname,
            engine=engine,
            serializer=serializer,
            compress=compress,
            b64=b64,
            append_mode=append_mode,
            ttl=ttl,
            max_size=max_size,
            max_entries=max_entries,
            durability=durability,
            trust=trust,
            read_only=read_only,
            paths=paths,
            value_type=value_type,
            engine_options=engine_options,
        )
        is_cleared = checked("clear", clear)
        self._open(config)
        if is_cleared:
            self.clear()

    def __repr__(self) -> str:
        place = printable(shown(self.store.engine.location())).replace("\n", "\\n")
        return f"{self.store.engine.title}HashStash({place})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release handles; the stash opens again when it is used."""
        try:
            self.store.settle()
        finally:
            self.store.engine.close()

    def sync(self) -> None:
        """Make everything written so far survive a power loss."""
        self.store.engine.sync()

    @property
    def stats(self) -> Stats:
        """Hits, misses, sets, deletes, bytes and seconds saved by this object; ``stats.total`` has those of all processes."""
        return Stats(self.store)

    # ---- mapping -------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        store = self.store
        value = store.load_at(store.keys.address(key), key)  # one call less than load() on the hottest path
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.store.save(key, value)

    def __delitem__(self, key: Any) -> None:
        if not self.store.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self.store.find(key) is not None

    def __len__(self) -> int:
        return self.store.count()

    def __bool__(self) -> bool:
        return next(self.store.entries(), None) is not None

    def __iter__(self) -> Iterator[Any]:
        return self.store.all_keys()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, HashStash) and other.path == self.path:
            return True
        return same_items(self, other) if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def keys(self) -> StashKeys:
        """A lazy view of the keys as they were given."""
        return StashKeys(self)

    def values(self) -> StashValues:
        """A lazy view of the values; each is decoded when it is reached."""
        return StashValues(self)

    def items(self) -> StashItems:
        """A lazy view of ``(key, value)``."""
        return StashItems(self)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value at *key*, or *default*; an entry that cannot be read raises and is never taken for missing."""
        store = self.store
        value = store.load_at(store.keys.address(key), key)
        return default if value is MISSING else value

    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove *key* and return its value; *default*, or KeyError without one, if it is missing."""
        value = self.store.take(key)
        if value is MISSING and default is MISSING:
            raise KeyError(key)
        return default if value is MISSING else value

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return some ``(key, value)``; KeyError if the stash is empty, or has nothing that can be read here."""
        is_overtaken = True
        while is_overtaken:
            is_overtaken = False
            for entry, key, value in self.store.items():
                if type(key) is Foreign or type(value) is Foreign:
                    continue
                if self.store.remove(entry.digest, only=entry.write_id):
                    self.store.counts.deletes += 1
                    return key, value
                is_overtaken = True
        left = len(self)
        if left:
            raise KeyError(
                f"popitem(): none of what is left can be read here, {counted(left, 'entry')}; stash.trust() lets foreign"
                " code be decoded, and stash.check() says what is damaged"
            )
        raise KeyError("popitem(): the stash is empty")

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value at *key*; if it is missing, *default* is stored and returned as it comes back."""
        value = self.store.load(key)
        if value is MISSING:
            value = self._stored(key, default)
        return value

    def _stored(self, key: Any, value: Any) -> Any:
        """Store *value*; returns it as it comes back, or as it is if it is over already."""
        self.store.save(key, value)
        found = self.store.load(key)
        return value if found is MISSING else found

    def get_set(self, key: Any, setter: Any) -> Any:
        """Like :meth:`setdefault`; a callable *setter* is called for the value, by one caller at a time.

        What it gives is returned with a warning where it cannot be stored, on a full or read-only disk; PolicyError where the
        stash forbids it.
        """
        value = self.store.load(key)
        if value is MISSING:
            with alone(self.store.engine, self.store.keys.address(key), self._tell_of_wait):
                value = self.store.load(key)
                if value is MISSING:
                    value = self._computed(key, setter) if callable(setter) else self._stored(key, setter)
        return value

    def _computed(self, key: Any, setter: Callable[[], Any]) -> Any:
        value = setter()
        try:
            return self._stored(key, value)
        except CANNOT_STORE as error:
            is_forbidden = isinstance(error, PolicyError) and not isinstance(error, ReadOnlyStash)
            if is_forbidden or isinstance(error, MissingDependency):
                raise
            warn_user(f"get_set() returns what it has computed, which could not be stored: {error}")
            return value

    def _tell_of_wait(self, holder: str) -> None:
        warn_of_wait("get_set()", holder)

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Store all items of a mapping, a stash, or an iterable of pairs, and the keywords.

        If an entry of a stash cannot be read, reading it raises, and nothing was stored; :meth:`copy_to` leaves such ones out.
        """
        self.set_many(_pairs(other))
        self.set_many(named.items())

    def discard(self, key: Any) -> bool:
        """Remove *key* if it is there; return whether it was."""
        return self.store.delete(key)

    def clear(self) -> Self:  # type: ignore[override]
        """Remove every entry of this stash, the results of functions that are kept in it too, and return it."""
        upkeep.clear(self.store)
        for config in function_stashes(self._config):
            upkeep.clear(HashStash.from_config(config).store)
        return self

    def get_many(self, keys: Iterable[Any], default: Any = None) -> list[Any]:
        """The values at *keys* in their order, *default* where there is none, in as few round trips as the engine can."""
        wanted = list(keys)
        addresses = [self.store.keys.address(key) for key in wanted]
        found = self.store.engine.get_many(addresses)
        return [
            self._decode_row(key, address, blob, default)
            for key, address, blob in zip(wanted, addresses, found, strict=True)
        ]

    def _decode_row(self, key: Any, address: bytes, blob: bytes | None, default: Any) -> Any:
        value = self.store.load_row(address, blob, key)
        return default if value is MISSING else value

    def set_many(self, items: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Store all pairs; each is stored whole or not at all. A stash, or its ``items()``, is read as :meth:`update` does."""
        self.store.save_many(_pairs(items))

    def put(
        self,
        key: Any,
        value: Any,
        *,
        ttl: Any = None,
        seconds: float = 0.0,
        meta: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        """Store *value* with what belongs to it: a time to live of its own, the *seconds* that it took to compute, notes, tags.

        *meta* is a dict of plain data and *tags* are texts; ``entries()`` shows them and finds entries by them. They belong to
        this one write: storing the key again without them drops them (in append mode the older version keeps its own).
        """
        metadata = self.store.keys.context() + pack_notes(meta, tags)
        options = WriteOptions(seconds, None if ttl is None else parse_duration(ttl), metadata=metadata)
        self.store.save_encoded(key, self.store.codec.serializer.dumps(value), options)

    def lock(self, key: Any) -> contextlib.AbstractContextManager[KeyLock]:
        """A lock for *key* that one thread of one process holds at a time; other keys are not affected."""
        return self.store.engine.lock(self.store.keys.address(key).hex())


def _pairs(source: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(source, StashItems):
        return pairs_to_copy(source.stash.store)
    if isinstance(source, HashStash):
        return pairs_to_copy(source.store)
    if isinstance(source, Mapping):
        return source.items()
    if hasattr(source, "keys"):
        return ((key, source[key]) for key in source.keys())  # noqa: SIM118
    return source  # type: ignore[no-any-return]
