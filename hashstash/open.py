"""From what the user asked for to the parts of a stash: the only place that knows the defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hashstash import choices
from hashstash.codec import Codec
from hashstash.engine import Capability, Engine
from hashstash.errors import MissingDependency, UnknownPlugin, UnsafeName
from hashstash.folders import engines_in, folder_in, made_folder_in
from hashstash.imports import is_installed
from hashstash.key_codec import KeyCodec, PlainKeyCodec, StashFacts
from hashstash.paths import is_foreign, original_name, resolve_root, safe_parts, shared_mount, shown
from hashstash.policies.size_limit import SizeLimit
from hashstash.policies.time_to_live import TimeToLive
from hashstash.policies.value_type import TypedSerializer, ValueType
from hashstash.policies.versions import Versions
from hashstash.refusals import forbidden
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS
from hashstash.settings import load_settings, source_of
from hashstash.single_flight import warn_user
from hashstash.store import Store
from hashstash.trust import Trust
from hashstash.upkeep import sweep_daily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashstash.policy import Policy
    from hashstash.registry import Registry
    from hashstash.settings import Settings

DEFAULT_NAME = "default_stash"
FUNCTIONS = "stashed_result"
"""The namespace below a stash in which the results of functions lie."""
MAPS = "stashed_map"
"""The namespace below a stash in which whole maps lie."""


@dataclass(frozen=True)
class Config:
    """Everything that says which stash it is and how it writes; a stash is rebuilt from it in another process."""

    root_dir: str
    dbname: str | None = None
    engine: str = ""
    serializer: str = "hashstash"
    compress: str = "raw"
    b64: bool = False
    append_mode: bool = False
    ttl: float | None = None
    max_size: int | None = None
    max_entries: int | None = None
    durability: str = "process"
    trust: str = "mine"
    read_only: bool = False
    paths: str = "path"
    value_type: ValueType | None = None
    is_function_stash: bool = False
    is_tmp: bool = False
    engine_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name of the folder that the stash is made in."""
        return f"{self.engine}.{self.serializer}.{self.compress}" + ("+b64" if self.b64 else "")


def configure(
    *,
    root_dir: Any,
    dbname: str | None,
    engine: str | None,
    serializer: str | None,
    compress: str | bool | None,
    engine_options: Mapping[str, Any],
    **rest: Any,
) -> Config:
    """The configuration that these arguments of HashStash mean; every mistake in them raises here."""
    settings = load_settings()
    if isinstance(root_dir, str) and "://" in root_dir:
        engine, root_dir, found = _from_url(root_dir, engine)
        engine_options = {**found, **engine_options}
    engine = engine or _set_once(settings, "engine", ENGINES)
    root = _root(DEFAULT_NAME if root_dir is None else root_dir, engine, settings.base)
    inner = None if dbname is None else namespace(dbname)
    name = default_engine(root, inner) if engine is None else _engine_name(engine, root)
    return Config(
        root_dir=root,
        dbname=inner,
        engine=name,
        serializer=_serializer_name(serializer or _set_once(settings, "serializer", SERIALIZERS)),
        compress=compressor_name(compress if compress is not None else _set_once(settings, "compress", COMPRESSORS)),
        engine_options=choices.engine_options(name, engine_options),
        **{name: choices.checked(name, value) for name, value in rest.items()},
    )


def _set_once(settings: Settings, name: str, plugins: Registry) -> Any:
    """What the user has set as *name* for all stashes; UnknownPlugin says where, if there is no such thing."""
    value = getattr(settings, name)
    try:
        if isinstance(value, str):
            plugins.load(value)
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{source_of(name)}: {error}") from error
    return value


def settled(config: Config) -> Config:
    """*config* as it may be kept and shown, whoever has written it: checked as HashStash's arguments are, without passwords."""
    values = {field.name: choices.checked(field.name, getattr(config, field.name)) for field in fields(config)}
    values["engine_options"] = choices.engine_options(config.engine, config.engine_options)
    if config.dbname is not None:
        values["dbname"] = namespace(config.dbname)
    if ENGINES.load(config.engine).keeps_files:
        root = config.root_dir
        is_whole = isinstance(root, str) and os.path.isabs(
            root
        )  # as in all that a stash has written: no settings are read
        values["root_dir"] = resolve_root(root, None if is_whole else load_settings().base)
    return Config(**values)


def namespace(name: str, parameter: str = "dbname") -> str:
    """*name* with one ``/`` between its parts: what names one folder must be one namespace, which signatures cover."""
    if not isinstance(name, str):
        raise TypeError(f"{parameter}={name!r}; it is text, such as 'experiments/first'")
    safe_parts(name)
    return "/".join(part for part in name.split("/") if part)


def is_namespace(name: str) -> bool:
    """Whether a stash can have that namespace."""
    try:
        namespace(name)
    except UnsafeName:
        return False
    return True


def below(config: Config, name: str, **changes: Any) -> Config:
    """The configuration of the stash called *name* below the one of *config*."""
    inner = namespace(name)
    return replace(config, dbname=f"{config.dbname}/{inner}" if config.dbname else inner, **changes)


def _from_url(url: str, engine: str | None) -> tuple[str, str, dict[str, Any]]:
    scheme = url.partition("://")[0]
    try:
        chosen = ENGINES.load(ENGINES.schemes.get(scheme, scheme))
    except UnknownPlugin as error:
        known = sorted({*ENGINES.schemes, *ENGINES.names()})
        raise UnknownPlugin(f"no engine for URLs of {scheme}://; known: {', '.join(known)}") from error
    if engine is not None and ENGINES.load(engine) is not chosen:
        raise ValueError(f"the URL {scheme}:// selects the engine {chosen.name!r}, but engine={engine!r} was given too")
    name, options = chosen.from_url(url)
    return chosen.name, name or DEFAULT_NAME, options


def _root(name: Any, engine: str | None, base: str | None) -> str:
    """The absolute folder of a stash, or its name where the storage is no folder of this machine."""
    if engine is not None and Capability.REMOTE in ENGINES.load(engine).capabilities:
        return "/".join(safe_parts(namespace(name, "root_dir")))
    return resolve_root(name, base)


def default_engine(root: str, dbname: str | None) -> str:
    """The engine of a stash for which none was named: the one that it was given before, or the best."""
    place = _folder_of_parts(root, dbname)
    best = "lmdb" if _is_importable("lmdb") else "pairtree"
    if best == "lmdb" and _warn_of_mount(
        root, "the engine is 'pairtree' there; give engine='lmdb' to read an older stash"
    ):
        return "pairtree"
    found = engines_in(place)
    others = [name for name in found if name != best]
    if best in found or not others:
        _warn_of_engines(place, others, best)
        return best
    if "lmdb" in found:
        raise MissingDependency(
            f"the stash in {shown(place)} was stored by the engine 'lmdb', which needs the package 'lmdb':"
            " pip install 'hashstash[lmdb]'; engine='pairtree' (of cells: --engine pairtree) begins a new one beside it"
        )
    if "pairtree" in found:  # it was the best when the stash was made
        return "pairtree"
    _warn_of_engines(place, others, best)
    return best


_places_warned_of: set[str] = set()


def _warn_of_engines(place: str, found: list[str], chosen: str) -> None:
    """Say it, once for each *place*, if what is stored there by the engines *found* is not read by the one that is *chosen*."""
    found = [name for name in found if name in ENGINES.names()]
    if found and place not in _places_warned_of:
        _places_warned_of.add(place)
        names = " and ".join(map(repr, found))
        warn_user(
            f"what the engine {names} has stored in {shown(place)} is not read by this stash of the engine {chosen!r};"
            f" give engine={found[0]!r} to read it"
        )


def _engine_name(name: str, root: str) -> str:
    engine = ENGINES.load(name)
    if engine.needs_local_disk:
        _warn_of_mount(
            root, f"the engine {engine.name!r} can lose or damage what it stores there; use engine='pairtree'"
        )
    return str(engine.name)


_roots_warned_of: set[tuple[str, str]] = set()


def _warn_of_mount(root: str, advice: str) -> bool:
    """Whether *root* lies on a network, FUSE or drive mount, which is said once for each root and advice."""
    mount = shared_mount(root)
    if mount is None:
        return False
    if (root, advice) not in _roots_warned_of:
        _roots_warned_of.add((root, advice))
        warn_user(f"{shown(root)} lies on {mount}, where memory maps and file locks cannot be relied on: {advice}")
    return True


def _serializer_name(name: str | None) -> str:
    return str(SERIALIZERS.load(name or "hashstash").name)


def compressor_name(name: str | bool | None) -> str:
    """The compressor that *name* stands for: ``True`` and ``None`` are the best that is installed, ``False`` is none."""
    if name is None or name is True:
        return "lz4" if _is_importable("lz4") else "zlib"
    return str(COMPRESSORS.load("raw" if name is False else name).name)


def _is_importable(package: str) -> bool:
    return is_installed(package)


def folder_of(config: Config) -> str:
    """The folder of the stash's data: an existing one of the same engine under any codec label, else the one to be made."""
    parent = _parent_of(config)
    if not ENGINES.load(config.engine).keeps_files:
        return os.path.join(parent, config.engine)
    return folder_in(parent, config.engine, config.label)


def _parent_of(config: Config) -> str:
    return _folder_of_parts(config.root_dir, config.dbname)


def _folder_of_parts(root: str, dbname: str | None) -> str:
    return os.path.join(root, *(safe_parts(dbname) if dbname else ()))


def function_stashes(config: Config) -> list[Config]:
    """The configurations of the stashes below the one of *config* in which functions and maps keep their results."""
    results = [below(config, name, is_function_stash=True) for name in _names_below(config, FUNCTIONS)]
    return results + [below(config, name) for name in _names_below(config, MAPS)]


def _names_below(config: Config, kind: str) -> list[str]:
    parent = os.path.join(_parent_of(config), kind)
    names = map(original_name, ENGINES.load(config.engine).stashes_below(parent, config.engine_options))
    # Others may have made folders there that no function has: one called ``%2E%2E``, say.
    return [f"{kind}/{name}" for name in names if "/" not in name and is_namespace(name)]


def open_engine(config: Config) -> Engine:
    """The engine that the configuration names, on its folder, wrapped as the configuration asks."""
    chosen = ENGINES.load(config.engine)
    options = dict(config.engine_options)
    if "durable" in chosen.settings:
        options["durable"] = config.durability == "power"
    if "read_only" in chosen.settings:
        options["read_only"] = config.read_only
    # A folder is made now and not at the first write: whoever opens the same place under another label must find this one.
    is_made_now = chosen.keeps_files and Capability.LOCAL_FILES in chosen.capabilities and not config.read_only
    folder = folder_of(config)
    if chosen.keeps_files:
        _refuse_if_closed(folder)
        _warn_of_others(config.root_dir, folder)
    engine: Engine = chosen(folder, **options)  # before that, so that options which it refuses leave nothing behind
    if is_made_now and (made := made_folder_in(_parent_of(config), config.engine, config.label)) != folder:
        engine = chosen(made, **options)  # somebody else has been quicker
    if config.read_only:
        from hashstash.wrappers.read_only import ReadOnlyWrapper

        engine = ReadOnlyWrapper(engine)
    return engine


def _refuse_if_closed(folder: str) -> None:
    """Raise PermissionError for a folder into which this user may not look, and which must not be taken for an empty one."""
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise forbidden(os.path.dirname(folder)) from error
    if not os.access(folder, os.R_OK | os.X_OK):
        raise forbidden(folder)


_shared_roots: set[str] = set()


def _warn_of_others(root: str, folder: str) -> None:
    """Say it, once for each *root*, if others may replace what lies in it, or in what lies between it and *folder*."""
    if root in _shared_roots:
        return
    places = [root]
    for name in os.path.relpath(folder, root).split(os.sep):
        places.append(os.path.join(places[-1], name))
    place = next(filter(is_foreign, places), None)
    if place is not None:
        _shared_roots.add(root)
        warn_user(f"{shown(place)} belongs to or can be written by other users: their code entries are not decoded")


def codec_of(config: Config) -> Codec:
    """The codec of new values, which refuses those that the configuration does not allow."""
    codec = Codec(config.serializer, config.compress, b64=config.b64)
    if config.value_type is not None:
        codec.write_by(TypedSerializer(codec.serializer, config.value_type))
    return codec


def open_store(config: Config, keys: KeyCodec | None = None) -> Store:
    """The store of that configuration; *keys* replaces the plain key codec, as function stashes do."""
    engine = open_engine(config)
    codec = codec_of(config)
    if keys is None:
        keys = PlainKeyCodec(SERIALIZERS.load("hashstash"), StashFacts(engine).buffer_hash, paths=config.paths)
    store = Store(
        engine=engine,
        codec=codec,
        keys=keys,
        policies=_policies(config),
        namespace=config.dbname or "",
        trust=Trust(config.trust),
        append=config.append_mode,
        durable=config.durability == "power",
        reopen=None if config.is_tmp or config.read_only else partial(open_engine, config),
    )
    if not config.read_only:
        sweep_daily(store)
    return store


def _policies(config: Config) -> tuple[Policy, ...]:
    policies: list[Policy] = []
    if config.append_mode:
        policies.append(Versions())
    if config.ttl is not None:
        policies.append(TimeToLive(config.ttl))
    if config.max_size is not None or config.max_entries is not None:
        policies.append(SizeLimit(max_size=config.max_size, max_entries=config.max_entries))
    return tuple(policies)
