"""How a stash was opened: its settings, and the stashes that are made of them: the same one elsewhere, and others like it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from hashstash.credentials import carried_by
from hashstash.facade.part import Part
from hashstash.open import Config, below, open_store, settled
from hashstash.policies.value_type import described as described_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from hashstash.key_codec import KeyCodec
    from hashstash.stash import HashStash

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


class Configured(Part):
    """What a stash says of itself, and how it is made again."""

    def _open(self, config: Config, keys: KeyCodec | None = None) -> None:
        self._config = config
        self._keys_codec = keys
        carried_by(type(self), _server_of)
        self.store = open_store(config, keys)

    @classmethod
    def from_config(cls, config: Config, keys: KeyCodec | None = None) -> Self:
        """The stash of a configuration that was checked before."""
        stash = cls.__new__(cls)
        stash._open(config, keys)  # noqa: SLF001
        return stash

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

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The stash that :meth:`to_dict` describes; what is no such description raises as wrong arguments of HashStash do."""
        return cls._rebuilt(settings, None)

    @classmethod
    def _rebuilt(cls, settings: Mapping[str, Any], keys: KeyCodec | None) -> Self:
        values = {name: value for name, value in settings.items() if name != "filename"}
        unknown = set(values) - {field.name for field in dataclasses.fields(Config)}
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))} does not describe a stash; see HashStash.to_dict()")
        missing = [name for name in ("root_dir", "engine") if not values.get(name)]
        if missing:
            raise TypeError(f"{' and '.join(missing)} must be among what describes a stash; see HashStash.to_dict()")
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

    def sub(self, name: str) -> HashStash:
        """A separate stash of that name below this one, with the same settings."""
        from hashstash.stash import HashStash

        return HashStash.from_config(below(self._config, name))

    @contextlib.contextmanager
    def tmp(self) -> Iterator[HashStash]:
        """An empty stash with the same settings that is removed at the end of the ``with`` block."""
        import shutil
        import tempfile

        from hashstash.stash import HashStash

        folder = tempfile.mkdtemp(prefix="hashstash-")
        stash = HashStash.from_config(dataclasses.replace(self._config, root_dir=folder, is_tmp=True))
        try:
            yield stash
        finally:
            stash.clear()
            stash.close()
            shutil.rmtree(folder, ignore_errors=True)


def _server_of(stash: HashStash) -> str | None:
    """The bare URL under which the password of the stash's server is remembered, if it has one."""
    return stash.config.engine_options.get("url")
