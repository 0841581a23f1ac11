"""``HashStash``: a dict over any storage engine for any Python object. Each method names the function that does the work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hashstash import upkeep
from hashstash.credentials import carried_by
from hashstash.entries import EntryInfo, copy_entries, describe
from hashstash.loose import from_loose, key_from_loose, loose_key, to_loose
from hashstash.open import Config, below, configure, function_stashes, open_store, settled
from hashstash.paths import shown
from hashstash.policies.time_to_live import parse_duration
from hashstash.store import MISSING, Counts, Store, WriteOptions
from hashstash.views import StashItems, StashKeys, StashValues, same_items

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from hashstash.codec import Buffer, Encoded
    from hashstash.entry import Entry
    from hashstash.integrity import Repairs, Report
    from hashstash.key_codec import KeyCodec
    from hashstash.locks import KeyLock

Default = TypeVar("Default")
_TO_DICT = (
    "root_dir",
    "dbname",
    "engine",
    "serializer",
    "compress",
    "b64",
    "append_mode",
    "is_function_stash",
    "is_tmp",
)


class HashStash(MutableMapping[Any, Any]):
    """A dict that stays: keys and values may be anything, and other processes see what is written.

    ``HashStash("experiments")`` lies under the cache root; ``HashStash("~/data/stash")`` and URLs lie where they say. Entries
    describe themselves, so the same folder opened with another ``serializer`` or ``compress`` still reads all of them.

    *root_dir*, *dbname*: the folder, and a namespace in it (may hold ``/``). *engine*, *serializer*, *compress*, *b64*: how rows
    are stored; the defaults are the best that is installed. *append_mode* keeps every version of a key. *clear* empties the
    stash first. *ttl*: seconds, a timedelta or ``"7d"`` until entries are over. *max_size* (bytes), *max_entries*: what was
    written first is removed beyond them. *durability*: ``process`` survives a killed process, ``power`` also a power loss
    (slower), ``none`` promises nothing. *trust*: whose code entries are decoded, ``mine``, ``strict`` (and data only if signed)
    or ``all`` (everybody's: whoever can write here can then run code in this process). *paths*: whether a ``Path`` in a key, or
    among the arguments of a function, counts as the ``path`` that it is, or by the ``content`` of the file or folder there.

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
            engine_options=engine_options,
        )
        self._open(config)
        if clear:
            self.clear()

    def _open(self, config: Config, keys: KeyCodec | None = None) -> None:
        self._config = config
        self._keys_codec = keys
        carried_by(type(self), _server_of)
        self.store: Store = open_store(config, keys)

    @classmethod
    def from_config(cls, config: Config, keys: KeyCodec | None = None) -> Self:
        """The stash of a configuration that was checked before."""
        stash = cls.__new__(cls)
        stash._open(config, keys)  # noqa: SLF001
        return stash

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The stash that :meth:`to_dict` describes."""
        values = {name: value for name, value in settings.items() if name != "filename"}
        unknown = set(values) - {field.name for field in dataclasses.fields(Config)}
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))} does not describe a stash; see HashStash.to_dict()")
        return cls.from_config(settled(Config(**values)))

    def to_dict(self) -> dict[str, Any]:
        """The settings that rebuild this stash with :meth:`from_dict`; others than the first ten only where they were changed."""
        described = {name: getattr(self._config, name) for name in _TO_DICT}
        described["filename"] = "data.db"
        for field in dataclasses.fields(Config):
            value = getattr(self._config, field.name)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            if field.name not in described and value != default:
                described[field.name] = value
        return described

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)

    def __hashstash_fingerprint__(self) -> tuple[str, str | None]:
        """A function that uses a stash depends on which one it is, not on its locks and handles."""
        return self.path, self.dbname

    def __copy__(self) -> Self:
        return self.from_config(self._config, self._keys_codec)

    def __repr__(self) -> str:
        return f"{self.store.engine.title}HashStash({shown(self.store.engine.location())})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release handles; the stash opens again when it is used."""
        self.store.engine.close()

    def sync(self) -> None:
        """Make everything written so far survive a power loss."""
        self.store.engine.sync()

    # ---- settings ------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """How this stash was opened."""
        return self._config

    root_dir = property(lambda self: self._config.root_dir, doc="The absolute folder of the stash.")
    dbname = property(lambda self: self._config.dbname, doc="The namespace in the folder, or None.")
    engine = property(lambda self: self._config.engine, doc="The engine's name.")
    serializer = property(lambda self: self._config.serializer, doc="The name of the serializer of new entries.")
    compress = property(lambda self: self._config.compress, doc="The name of the compressor of new entries.")
    b64 = property(lambda self: self._config.b64, doc="Whether new payloads are base64 text.")
    append_mode = property(lambda self: self._config.append_mode, doc="Whether writes keep older versions.")
    is_function_stash = property(
        lambda self: self._config.is_function_stash, doc="Whether it holds a function's results."
    )
    path = property(lambda self: self.store.engine.location(), doc="Where the rows lie.")

    @property
    def stats(self) -> Counts:
        """Hits, misses, sets, deletes and bytes of this object in this process."""
        return self.store.counts

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
        value = self.store.load(key)
        if value is not MISSING:
            self.store.delete(key)
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return some ``(key, value)``; KeyError if the stash is empty."""
        for entry, key, value in self.store.items():
            if not self.store.is_foreign_key(entry):
                self.store.evict(entry.digest)
                self.store.counts.deletes += 1
                return key, value
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
        """Like :meth:`setdefault`; a callable *setter* is called for the value, by one caller at a time."""
        value = self.store.load(key)
        if value is MISSING:
            with self.lock(key):
                value = self.store.load(key)
                if value is MISSING:
                    value = self._stored(key, setter() if callable(setter) else setter)
        return value

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Store all items of a mapping, a stash, or an iterable of pairs, and the keywords."""
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
        """Store all pairs; each is stored whole or not at all."""
        self.store.save_many(_pairs(items))

    def put(self, key: Any, value: Any, *, ttl: Any = None, seconds: float = 0.0) -> None:
        """Store *value* with a time to live of its own, or with the *seconds* that it took to compute."""
        encoded = self.store.codec.serializer.dumps(value)
        self.put_encoded(key, encoded, ttl=ttl, seconds=seconds)

    def put_encoded(
        self, key: Any, encoded: Encoded, *, seconds: float = 0.0, ttl: Any = None, sign: bool = False
    ) -> Entry:
        """Store a value that this stash's serializer has encoded already; *sign* it even if it is data."""
        options = WriteOptions(seconds, None if ttl is None else parse_duration(ttl), sign)
        return self.store.save_encoded(key, encoded, options)

    def get_encoded(self, key: Any) -> tuple[Entry, Encoded] | None:
        """The checked entry at *key* and its value, still serialized; ``None`` if there is none."""
        entry = self.store.find(key)
        return None if entry is None else (entry, self.store.encoded_of(entry))

    def get_all(self, key: Any, default: Any = None, *, with_metadata: bool = False) -> list[Any] | Any:
        """All versions of *key*, oldest first, or *default*; with metadata as dicts of version, time and value."""
        entries = list(self.store.versions_of(key))
        if not entries:
            return [] if default is None else default
        values = [self.store.value_of(entry, key) for entry in entries]
        if not with_metadata:
            return values
        return [
            {"_version": entry.version, "_timestamp": entry.created_at / 1e9, "_value": value}
            for entry, value in zip(entries, values, strict=True)
        ]

    def entries(self) -> list[EntryInfo]:
        """What is stored, without decoding values: keys, sizes, codecs, ages."""
        return list(self.store.each(lambda entry: describe(self.store, entry)))

    def size_bytes(self) -> int:
        """Bytes that the entries take in the storage, blob files included."""
        return upkeep.size_bytes(self.store)

    def compact(self) -> Self:
        """Remove what is over and what nothing points at, give the room back to the system, and return the stash."""
        for store in self._stores():
            upkeep.compact(store)
        return self

    def check(self) -> Report:
        """What is wrong with what is stored, results of functions included: a list, empty if nothing is, that prints well.

        Every row and every blob file is read and held against its checksums; values are not decoded. Nothing is changed.
        """
        from hashstash import integrity

        reports = [integrity.check(store) for store in self._stores()]
        return sum(reports[1:], reports[0])

    def repair(self) -> Repairs:
        """Move bad rows aside so that they do not raise any more, and return what was done.

        They are kept, up to 100 of them and 64 MB; beyond that they stay where they are. In append mode the newest sound version
        takes the place of a bad one. Blob files that nothing has pointed at for an hour are removed.
        """
        from hashstash import integrity

        return sum((integrity.repair(store) for store in self._stores()), integrity.Repairs())

    def _stores(self) -> list[Store]:
        """The store of this stash, and those of the functions whose results are kept in it."""
        below = (HashStash.from_config(config).store for config in function_stashes(self._config))
        return [self.store, *below]

    def copy_to(self, other: HashStash) -> HashStash:
        """Store every entry of this stash in *other*, versions included, and return *other*."""
        copy_entries(self.store, other.store)
        return other

    def lock(self, key: Any) -> contextlib.AbstractContextManager[KeyLock]:
        """A lock for *key* that one thread of one process holds at a time; other keys are not affected."""
        return self.store.engine.lock(self.store.keys.address(key).hex())

    def trust(self) -> int:
        """Sign all foreign code in this stash with your key, so that it is decoded from now on; return how many entries."""
        return upkeep.trust_all(self.store)

    # ---- other stashes -------------------------------------------------------------------------------------------

    def sub(self, name: str) -> HashStash:
        """A separate stash of that name below this one, with the same settings."""
        return HashStash.from_config(below(self._config, name))

    @contextlib.contextmanager
    def tmp(self) -> Iterator[HashStash]:
        """An empty stash with the same settings that is removed at the end of the ``with`` block."""
        import shutil
        import tempfile

        folder = tempfile.mkdtemp(prefix="hashstash-")
        stash = HashStash.from_config(dataclasses.replace(self._config, root_dir=folder, is_tmp=True))
        try:
            yield stash
        finally:
            stash.clear()
            stash.close()
            shutil.rmtree(folder, ignore_errors=True)

    # ---- encoded forms -------------------------------------------------------------------------------------------

    def encode_key(self, key: Any) -> bytes:
        """*key* as it is stored in its row; in a signed frame if it needs code.

        Equal dicts in another order may encode differently; their address is the same.
        """
        return loose_key(self.store.keys.encode(key).data)

    def decode_key(self, data: Buffer) -> Any:
        """The key that was encoded; UntrustedEntry for a foreign one that only code could bring back."""
        return key_from_loose(data, self.store)

    def encode_value(self, value: Any) -> bytes:
        """*value* in a signed frame of its own, with this stash's codec; text with ``b64``."""
        return to_loose(self.store.codec.encode(value), b64=self._config.b64)

    def decode_value(self, data: Buffer) -> Any:
        """The value in a frame of :meth:`encode_value`, or in a row of :meth:`_values`."""
        return from_loose(data, self.store)

    def _keys(self) -> Iterator[bytes]:
        return (key for key, _ in self._items())

    def _values(self) -> Iterator[bytes]:
        return (row for _, row in self._items())

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        for entry in self.store.entries():
            yield (entry.key if self.store.is_foreign_key(entry) else loose_key(entry.key)), entry.pack()

    def get_func(self, /, *args: Any, **kwargs: Any) -> Any:
        """In a function's stash: the stored result of the call with these arguments, or ``None``."""
        return self.get((args, kwargs))

    # ---- functions -----------------------------------------------------------------------------------------------

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``, computed once for equal arguments and an unchanged function."""
        from hashstash.functions import memoized

        return memoized(function, self)(*args, **kwargs)

    def stashed_result(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """A decorator that keeps a function's results here; see :func:`hashstash.stashed_result` for the options."""
        from hashstash.functions import decorate

        return decorate(function, self, options)

    def options(self, **options: Any) -> Any:
        """The stash with options for the calls that follow, as in ``stash.options(force=True).run(f, 1)``."""
        from hashstash.functions import CallOptions

        return CallOptions(self, options)

    # ---- async ---------------------------------------------------------------------------------------------------

    async def aget(self, key: Any, default: Any = None) -> Any:
        """:meth:`get` in a thread, so that the event loop goes on."""
        return await _in_thread(self.get, key, default)

    async def aset(self, key: Any, value: Any) -> None:
        """``stash[key] = value`` in a thread."""
        await _in_thread(self.__setitem__, key, value)

    async def ahas(self, key: Any) -> bool:
        """``key in stash`` in a thread."""
        return bool(await _in_thread(self.__contains__, key))

    async def arun(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """:meth:`run` in a thread; an async function is awaited here and its result stored."""
        result = await _in_thread(self.run, function, *args, **kwargs)
        return await result if isinstance(result, Awaitable) else result


async def _in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    import asyncio  # by whoever runs an event loop it has been imported already; for everybody else it would be slow

    return await asyncio.to_thread(function, *args, **kwargs)


def _server_of(stash: HashStash) -> str | None:
    """The bare URL under which the password of the stash's server is remembered, if it has one."""
    return stash.config.engine_options.get("url")


def _pairs(source: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(source, Mapping):
        return source.items()
    if hasattr(source, "keys"):
        return ((key, source[key]) for key in source.keys())  # noqa: SIM118
    return source  # type: ignore[no-any-return]
