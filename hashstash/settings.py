"""What the user has set once for all stashes: environment variables over ``config.toml`` over the defaults of ``open.py``."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hashstash.errors import StashError
from hashstash.paths import cache_root, config_root, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "HASHSTASH_"


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
        return os.path.abspath(os.path.expanduser(self.root)) if self.root else cache_root()


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
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    import tomllib

    try:
        values = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StashError(f"{path} is not valid TOML ({error}); mend or remove it") from error
    unknown = sorted(values.keys() - _VARIABLES)
    if unknown:
        known = ", ".join(sorted(_VARIABLES))
        raise StashError(f"{path} sets {', '.join(unknown)}, which is not a setting; known: {known}")
    for name, value in values.items():
        if not isinstance(value, str) and not (name == "compress" and isinstance(value, bool)):
            raise StashError(f"{path} sets {name} to {value!r}; write it as text in quotes")
    return values
