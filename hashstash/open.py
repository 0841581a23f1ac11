"""From what the user asked for to the parts of a stash: the only place that knows the defaults."""

from __future__ import annotations

import difflib
import errno
import os
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hashstash.codec import Codec
from hashstash.engine import Capability, Engine
from hashstash.errors import UnknownPlugin
from hashstash.imports import is_installed
from hashstash.key_codec import KeyCodec, PlainKeyCodec, StashFacts
from hashstash.paths import is_foreign, make_folder, original_name, resolve_root, safe_parts, shared_mount, shown
from hashstash.policies.size_limit import SizeLimit
from hashstash.policies.time_to_live import TimeToLive, parse_duration
from hashstash.policies.value_type import TypedSerializer, ValueType, parse_value_type
from hashstash.policies.versions import Versions
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS
from hashstash.settings import load_settings
from hashstash.store import Store
from hashstash.trust import Trust
from hashstash.upkeep import sweep_daily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashstash.policy import Policy

DEFAULT_NAME = "default_stash"
FILENAME = "data.db"
FUNCTIONS = "stashed_result"
"""The namespace below a stash in which the results of functions lie."""
MAPS = "stashed_map"
"""The namespace below a stash in which whole maps lie."""
PARAMETERS = (
    *(
        "root_dir",
        "dbname",
        "engine",
        "serializer",
        "compress",
        "b64",
        "append_mode",
        "clear",
        "name",
        "ttl",
        "max_size",
    ),
    *("max_entries", "durability", "trust", "read_only", "paths", "value_type"),
)
_PATHS = ("path", "content")
_DURABILITIES = ("process", "power", "none")


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
    ttl: Any,
    durability: str,
    trust: str,
    value_type: Any = None,
    engine_options: Mapping[str, Any],
    **rest: Any,
) -> Config:
    """The configuration that these arguments of HashStash mean; every mistake in them raises here."""
    settings = load_settings()
    if isinstance(root_dir, str) and "://" in root_dir:
        engine, root_dir, found = _from_url(root_dir, engine)
        engine_options = {**found, **engine_options}
    root = _root(DEFAULT_NAME if root_dir is None else root_dir, engine or settings.engine, settings.base)
    name = _engine_name(engine or settings.engine, root)
    _check_options(name, engine_options)
    engine_options = ENGINES.load(name).settle(engine_options)
    if durability not in _DURABILITIES:
        raise ValueError(f"durability={durability!r}; it is one of {', '.join(map(repr, _DURABILITIES))}")
    return Config(
        root_dir=root,
        dbname=None if dbname is None else namespace(dbname),
        engine=name,
        serializer=_serializer_name(serializer or settings.serializer),
        compress=compressor_name(compress if compress is not None else settings.compress),
        ttl=None if ttl is None else parse_duration(ttl),
        durability=durability,
        trust=_trust(trust).value,
        value_type=parse_value_type(value_type),
        engine_options=engine_options,
        **{name: value for name, value in rest.items() if _is_valid(name, value)},
    )


def settled(config: Config) -> Config:
    """*config* as it may be kept and shown, whoever has written it: without passwords."""
    options = ENGINES.load(config.engine).settle(config.engine_options)
    return replace(config, engine_options=options, value_type=parse_value_type(config.value_type))


def namespace(name: str, parameter: str = "dbname") -> str:
    """*name* with one ``/`` between its parts: what names one folder must be one namespace, which signatures cover."""
    if not isinstance(name, str):
        raise TypeError(f"{parameter}={name!r}; it is text, such as 'experiments/first'")
    safe_parts(name)
    return "/".join(part for part in name.split("/") if part)


def below(config: Config, name: str, **changes: Any) -> Config:
    """The configuration of the stash called *name* below the one of *config*."""
    inner = namespace(name)
    return replace(config, dbname=f"{config.dbname}/{inner}" if config.dbname else inner, **changes)


def _is_valid(name: str, value: Any) -> bool:
    if name in ("max_size", "max_entries") and value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{name}={value!r}; it is a positive whole number, or None for no limit")
    if name == "paths" and value not in _PATHS:
        raise ValueError(f"paths={value!r}; it is one of {', '.join(map(repr, _PATHS))}")
    return True


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


def _engine_name(name: str | None, root: str) -> str:
    if name is None:
        best = "lmdb" if _is_importable("lmdb") else "pairtree"
        if best == "pairtree" or not _warn_of_mount(
            root, "the engine is 'pairtree' there; give engine='lmdb' to read an older stash"
        ):
            return best
        return "pairtree"
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
        warnings.warn(
            f"{shown(root)} lies on {mount}, where memory maps and file locks cannot be relied on: {advice}",
            RuntimeWarning,
            stacklevel=5,
        )
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


def _trust(name: str) -> Trust:
    try:
        return Trust(name)
    except ValueError as error:
        raise ValueError(f"trust={name!r}; it is one of 'mine', 'strict', 'all'") from error


def _check_options(engine: str, options: Mapping[str, Any]) -> None:
    known = ENGINES.load(engine).options
    for name in options:
        if name not in known:
            raise TypeError(_unknown_option(name, engine, known))


def _unknown_option(name: str, engine: str, known: tuple[str, ...]) -> str:
    names = [*PARAMETERS, *known]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
    return f"HashStash() and its engine {engine!r} have no parameter {name!r}; {hint}"


def folder_of(config: Config) -> str:
    """The folder of the stash's data: an existing one of the same engine under any codec label, else the one to be made."""
    parent = os.path.join(config.root_dir, *(safe_parts(config.dbname) if config.dbname else ()))
    if not ENGINES.load(config.engine).keeps_files:
        return os.path.join(parent, config.engine)
    try:
        siblings = [entry.name for entry in os.scandir(parent) if entry.name.startswith(config.engine + ".")]
    except (FileNotFoundError, NotADirectoryError):
        siblings = []
    found = sorted(name for name in siblings if os.path.exists(os.path.join(parent, name, FILENAME)))
    return os.path.join(parent, found[0] if found else config.label, FILENAME)


def function_stashes(config: Config) -> list[Config]:
    """The configurations of the stashes below the one of *config* in which functions and maps keep their results."""
    results = [below(config, name, is_function_stash=True) for name in _names_below(config, FUNCTIONS)]
    return results + [below(config, name) for name in _names_below(config, MAPS)]


def _names_below(config: Config, kind: str) -> list[str]:
    parent = os.path.join(config.root_dir, *(safe_parts(config.dbname) if config.dbname else ()), kind)
    names = ENGINES.load(config.engine).stashes_below(parent, config.engine_options)
    return [f"{kind}/{original_name(name)}" for name in names]


def open_engine(config: Config) -> Engine:
    """The engine that the configuration names, on its folder, wrapped as the configuration asks."""
    folder = folder_of(config)
    if ENGINES.load(config.engine).keeps_files and is_foreign(config.root_dir):
        warnings.warn(
            f"{shown(config.root_dir)} belongs to or can be written by other users: their code entries are not decoded",
            RuntimeWarning,
            stacklevel=5,
        )
    options = dict(config.engine_options)
    if "durable" in ENGINES.load(config.engine).settings:
        options["durable"] = config.durability == "power"
    engine: Engine = ENGINES.load(config.engine)(folder, **options)
    if config.read_only:
        from hashstash.wrappers.read_only import ReadOnlyWrapper

        engine = ReadOnlyWrapper(engine)
    elif engine.keeps_files and Capability.LOCAL_FILES in engine.capabilities:
        # Now and not at the first write: whoever opens the same place under another label must find this one.
        _make_if_writable(folder)
    return engine


def _make_if_writable(folder: str) -> None:
    try:
        make_folder(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise  # else nothing is stored there, and whoever writes will be told


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
