"""``HashStash``: a dict over any storage engine for any Python object. Each method names the function that does the work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hashstash import history, upkeep
from hashstash.credentials import carried_by
from hashstash.entries import Entries, EntryInfo, copy_entries, info_of, prune, touch
from hashstash.loose import from_loose, key_from_loose, loose_key, to_loose
from hashstash.metadata import pack_notes
from hashstash.open import Config, below, configure, function_stashes, open_store, settled
from hashstash.paths import shown
from hashstash.policies.time_to_live import parse_duration
from hashstash.policies.value_type import described as described_type
from hashstash.statistics import Stats
from hashstash.store import MISSING, Store, WriteOptions
from hashstash.views import StashItems, StashKeys, StashValues, same_items

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from hashstash.codec import Buffer, Encoded
    from hashstash.difference import Difference
    from hashstash.entry import Entry
    from hashstash.frames import Scan, Where
    from hashstash.history import VersionInfo
    from hashstash.integrity import Repairs, Report
    from hashstash.key_codec import KeyCodec
    from hashstash.locks import KeyLock
    from hashstash.mapping.stash_map import StashMap

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
        return cls._rebuilt(settings, None)

    @classmethod
    def _rebuilt(cls, settings: Mapping[str, Any], keys: KeyCodec | None) -> Self:
        values = {name: value for name, value in settings.items() if name != "filename"}
        unknown = set(values) - {field.name for field in dataclasses.fields(Config)}
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))} does not describe a stash; see HashStash.to_dict()")
        return cls.from_config(settled(Config(**values)), keys)

    def to_dict(self) -> dict[str, Any]:
        """The settings that rebuild this stash with :meth:`from_dict`; others than the first ten only where they were changed."""
        described = {name: getattr(self._config, name) for name in _TO_DICT}
        described["filename"] = "data.db"
        for field in dataclasses.fields(Config):
            value = getattr(self._config, field.name)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            if field.name not in described and value != default:
                described[field.name] = described_type(value) if field.name == "value_type" else value
        return described

    def __reduce__(self) -> tuple[Any, ...]:
        if self._keys_codec is None:
            return type(self).from_dict, (self.to_dict(),)
        return type(self)._rebuilt, (self.to_dict(), self._keys_codec)  # noqa: SLF001

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
        self.store.settle()
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
                self.store.remove(entry.digest)
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

    def put_encoded(
        self, key: Any, encoded: Encoded, *, seconds: float = 0.0, ttl: Any = None, sign: bool = False
    ) -> Entry:
        """Store a value that this stash's serializer has encoded already; *sign* it even if it is data."""
        lasts = None if ttl is None else parse_duration(ttl)
        options = WriteOptions(seconds, lasts, sign, metadata=self.store.keys.context())
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

    def versions(self, key: Any) -> list[VersionInfo]:
        """What is known of the versions of *key*, oldest first: number, time, size, notes; KeyError if there is none."""
        return history.infos(self.store, key)

    def at(self, key: Any, version: int | None = None, *, time: Any = None) -> Any:
        """The value that *key* had as that *version* (``-2``: the one before the latest), or at a *time*.

        *time*: a datetime or ISO text (local time, if it has no zone), or seconds since the epoch. NoSuchVersion names the
        versions that there are; KeyError if the key is missing.
        """
        return self.store.value_of(history.find(self.store, key, version=version, time=time), key)

    def diff(self, key: Any, a: int = -2, b: int = -1) -> Difference:
        """What changed in the value of *key* from version *a* to version *b*: a list of lines, empty if nothing did."""
        from hashstash.difference import diff

        return diff(self.store, key, a, b)

    def revert(self, key: Any, version: int) -> None:
        """Append the value that *key* had as that *version* as its newest one. Nothing is removed. Needs ``append_mode=True``."""
        history.revert(self.store, key, version)

    def entries(self, **filters: Any) -> Entries:
        """What is stored, without decoding values: a list, read when it is looked at, that prints as a table.

        ``stash.entries(size__gt="1 MB", age__lt="1d", tags__contains="x", accuracy__ge=0.9)``: fields of :class:`EntryInfo`, or
        names in the entries' notes, with the operators ``ne gt ge lt le in contains startswith`` or none for equality. Entries
        that are over are left out unless ``expired`` is asked for.
        """
        return Entries(self.store, [filters])

    def info(self, key: Any) -> EntryInfo:
        """What is known of the entry at *key* without decoding its value; KeyError if there is none."""
        return info_of(self.store, key)

    def meta(self, key: Any) -> dict[str, Any]:
        """The notes that *key* was stored with (:meth:`put`), empty if there are none; KeyError if the key is missing."""
        return dict(info_of(self.store, key).meta)

    def touch(self, key: Any, *, ttl: Any = None) -> bool:
        """Let the time of *key* begin anew, without reading or writing its value; return whether it was there.

        *ttl*: its time to live from now on; else the stash's, if it has one, or else the entry keeps the end that it has. In a
        stash with limits it counts as used just now.
        """
        return touch(self.store, key, ttl=ttl)

    def prune(
        self,
        *,
        older_than: Any = None,
        larger_than: Any = None,
        max_size: Any = None,
        max_entries: int | None = None,
        **filters: Any,
    ) -> int:
        """Remove entries that are over, and those that fulfil all conditions; return how many went.

        *older_than* (seconds, ``"7d"``), *larger_than* (bytes, ``"1 MB"``) and *filters* as in :meth:`entries` choose. With
        *max_size* or *max_entries* only as many of those chosen go, the ones used longest ago first, as it takes for the stash to
        fit. The results of functions are pruned by their own stashes, ``f.stash.prune()``.
        """
        chosen = {
            "older_than": older_than,
            "larger_than": larger_than,
            "max_size": max_size,
            "max_entries": max_entries,
        }
        return prune(self.store, **chosen, **filters)

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

    # ---- frames --------------------------------------------------------------------------------------------------

    @property
    def ld(self) -> list[dict[str, Any]]:
        """Everything that is stored, as a list of flat dicts: :meth:`assemble_ld`."""
        return self.assemble_ld()

    @property
    def df(self) -> Any:
        """Everything that is stored, as a pandas DataFrame; :meth:`assemble_df` also takes columns and conditions."""
        return self.assemble_df()

    def assemble_ld(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> list[dict[str, Any]]:
        """The entries as flat dicts, nested keys joined by ``.``; elements of lists and rows of frames are rows each.

        A value without fields is ``_value``. A key that is a dict contributes its fields, any other is ``_key``; a field of it
        that the value has too is called ``_key.name``. With metadata there is a row for each version, with ``_version`` and
        ``_timestamp`` (seconds), and in the stash of a function ``_arg1``, ``_kw.name``, ... for the arguments. An empty value is
        a row with nothing but its key.

        *columns*: the fields that are wanted, in this order; ``"a"`` is also all that is nested in ``a``. KeyError if no entry
        has one. *where*: conditions on fields, ``{"age__gt": 3, "name__startswith": "A"}`` (see :mod:`hashstash.conditions`), or
        a function of the row. Both are applied while the stash is read: what is not wanted is not taken apart, nor kept.
        """
        return self._scan(columns, where, with_metadata=with_metadata).rows()

    def assemble_df(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a pandas DataFrame with index ``_key``.

        There is no index level for keys that are dicts, nor for a function's stash. With metadata ``_version`` and
        ``_timestamp`` are levels, and so are a function's arguments. Missing fields are NA in the type that suits the others:
        ``Int64``, ``boolean``, ``NaT``. In the index, lists stand as tuples, and what has no hash as text.
        """
        from hashstash.frames import to_pandas

        return to_pandas(self._scan(columns, where, with_metadata=with_metadata))

    def to_polars(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a polars DataFrame, ``_key`` as its first column; mixed types become text."""
        from hashstash.frames import to_polars

        return to_polars(self._scan(columns, where, with_metadata=with_metadata))

    def to_arrow(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a pyarrow Table, ``_key`` as its first column; mixed types become text."""
        from hashstash.frames import to_arrow

        return to_arrow(self._scan(columns, where, with_metadata=with_metadata))

    def _scan(self, columns: str | Iterable[str] | None, where: Where | None, *, with_metadata: bool) -> Scan:
        from hashstash.frames import Choice, Scan

        choice = Choice(columns, where)
        return Scan(self.store, choice, is_function_stash=self.is_function_stash, with_metadata=with_metadata)

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

    # ---- maps ----------------------------------------------------------------------------------------------------

    def map(
        self,
        function: Callable[..., Any],
        /,
        objects: Iterable[Any] = (),
        options: Iterable[Mapping[str, Any]] = (),
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
        keywords for each item, and *common_kwargs* (or ``kwargs={...}``, where names would clash) for all. Results that are
        stored are looked up in one pass, equal items are computed once, and each result is stored as it comes, where ``run``
        finds it too. A decorated function keeps its decorator's options, and its results are kept here, as with ``run``.

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
        return maps.map_over(self, function, calls=calls, options=chosen, progress=progress_for(progress))

    def stash_mapped(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """A decorator: the function takes a list of inputs and gives a :class:`StashMap`; *options* as in :meth:`map`."""
        from hashstash.mapping.maps import mapped_in

        return mapped_in(self, function, options)

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
