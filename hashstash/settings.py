"""What the user has set once for all stashes: environment variables over ``config.toml`` over the defaults of ``open.py``."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hashstash.errors import StashError
from hashstash.paths import cache_root, config_root, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "HASHSTASH_"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of this user. ``None`` leaves the choice to HashStash.

    ``HASHSTASH_ROOT`` and so on override ``~/.config/hashstash/config.toml``. Neither is ever read from the working directory.
    """

    root: str | None = None
    """The folder under which named stashes lie."""
    engine: str | None = None
    serializer: str | None = None
    compress: str | bool | None = None
    status: str | None = None
    """What ``%%stash`` shows: ``full``, ``line`` or ``none``."""

    @property
    def base(self) -> str:
        """The folder under which named stashes lie, as an absolute path."""
        if not self.root:
            return cache_root()
        # Of a URL there would be a folder called ``redis:`` in the current one.
        if "://" in self.root or "\0" in self.root:
            raise StashError(f"{source_of('root')} sets root to {self.root!r:.100}, which is no folder")
        return os.path.abspath(os.path.expanduser(self.root))


_VARIABLES = {field.name: _PREFIX + field.name.upper() for field in fields(Settings)}
"""Setting -> the environment variable for it."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings as they stand now; a broken file or an unknown setting in it raises StashError naming it."""
    environ = os.environ if environ is None else environ
    values = _from_file(_config_file())
    for name, variable in _VARIABLES.items():
        text = environ.get(variable)
        if text:
            values[name] = text
    return Settings(**values)


def source_of(name: str) -> str:
    """Where this user has set *name*, for people."""
    variable = _VARIABLES[name]
    return f"the environment variable {variable}" if os.environ.get(variable) else shown(_config_file())


def _config_file() -> str:
    return os.path.join(config_root(), "config.toml")


def _from_file(path: str) -> dict[str, Any]:
    data = _content_of(path)
    if not data:
        return {}
    import tomllib

    try:
        values = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise StashError(f"{path} is not valid TOML ({error}); mend or remove it") from error
    unknown = sorted(values.keys() - _VARIABLES)
    if unknown:
        known = ", ".join(sorted(_VARIABLES))
        raise StashError(f"{path} sets {', '.join(unknown):.100}, which is not a setting; known: {known}")
    for name, value in values.items():
        if not isinstance(value, str) and not (name == "compress" and isinstance(value, bool)):
            raise StashError(f"{path} sets {name} to {value!r:.100}; write it as text in quotes")
    return values


def _content_of(path: str) -> bytes:
    """What the file holds, nothing if there is none; a pipe is not waited for, nor is a device read to its end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise StashError(f"{path} is no file of a few settings; mend or remove it")
        return os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
