"""The settings of the magics: traits that ``%config StashMagics`` and ``%stash config`` show and change."""

from __future__ import annotations

import copy
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics
from traitlets import Enum, TraitError, Unicode, validate
from traitlets.config import Config

from hashstash.cells.stashes import CellStashes
from hashstash.credentials import without_secrets
from hashstash.errors import StashError
from hashstash.magics import status
from hashstash.magics.arguments import DEFAULT_NAME
from hashstash.open import compressor_name, namespace
from hashstash.paths import shown
from hashstash.policies.time_to_live import parse_duration
from hashstash.registry import ENGINES, SERIALIZERS
from hashstash.settings import load_settings, source_of
from hashstash.wording import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKS: dict[str, Callable[[str], Any]] = {
    "engine": ENGINES.load,
    "serializer": SERIALIZERS.load,
    "compress": compressor_name,
}
_LEAST_OUTPUT = 1000
_LEFT_TO_STASHES = frozenset({"root", "engine", "serializer", "compress"})
"""Settings that, where they are empty, the stash decides."""


def seconds_of(text: str) -> float:
    """Seconds; in addition to what is a duration everywhere, ``0`` is none. ValueError if the text is no duration."""
    return 0.0 if re.fullmatch(r"0+s?", text) else parse_duration(text) or 0.0


class Setting(NamedTuple):
    """One setting as it stands."""

    name: str
    value: str
    """What is in force, a default too."""
    source: str
    """Where it was chosen."""
    help: str


class StashTraits(Magics):  # type: ignore[misc]
    """The traits of :class:`~hashstash.magics.stash_cell.StashMagics`."""

    status = Enum(status.LEVELS, default_value="line", help="What is shown below a cell: full, line or none.").tag(
        config=True
    )
    default_name = Unicode(
        DEFAULT_NAME, help="The stash of cells and maps that name none; %stash use NAME sets it."
    ).tag(config=True)
    root = Unicode("", help="The folder that holds the stashes; empty for the user's cache.").tag(config=True)
    engine = Unicode("", help="The storage engine; empty for the best that is installed.").tag(config=True)
    serializer = Unicode("", help="The serializer; empty for hashstash.").tag(config=True)
    compress = Unicode("", help="The compressor; empty for the best that is installed.").tag(config=True)

    max_output = Unicode(
        "64 MB", help="How much is kept of what one cell shows; of more, its beginning and its end."
    ).tag(config=True)
    auto_min = Unicode("1s", help="%stash auto records cells that take longer than this: 0, 0.5s, 1s, 2m.").tag(
        config=True
    )
    auto_max_size = Unicode("500 MB", help="Of how many bytes of variables %stash auto records a cell at most.").tag(
        config=True
    )
    auto_skip = Unicode("", help="Tags of cells that %stash auto leaves alone (a,b).").tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._from_files = copy.deepcopy(self._configured(shell.config))  # %config changes the shell's own, too
        chosen = load_settings().status
        if chosen and chosen not in status.LEVELS:
            raise StashError(f"the setting status is {chosen!r}; known: {', '.join(status.LEVELS)}")
        if chosen and "status" not in self._configured(shell.config):
            self.status = chosen

    @validate("engine", "serializer", "compress")  # type: ignore[untyped-decorator]
    def _is_plugin(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, str(proposal["value"])
        try:
            if value:
                _CHECKS[name](value)
        except StashError as error:
            raise TraitError(f"{name}: {error}") from error
        return value

    @validate("default_name")  # type: ignore[untyped-decorator]
    def _is_name(self, proposal: Any) -> str:
        try:
            return namespace(proposal["value"], "default_name")
        except StashError as error:
            raise TraitError(f"default_name: {error}") from error

    @validate("max_output")  # type: ignore[untyped-decorator]
    def _is_size(self, proposal: Any) -> str:
        try:
            if parse_size(proposal["value"]) < _LEAST_OUTPUT:
                raise ValueError(f"{proposal['value']!r} is too little; 1 KB is the least")
        except ValueError as error:
            raise TraitError(f"max_output: {error}") from error
        return str(proposal["value"])

    @property
    def most_output(self) -> int:
        """``max_output`` as a number."""
        return int(parse_size(self.max_output))

    @validate("auto_min", "auto_max_size")  # type: ignore[untyped-decorator]
    def _is_amount(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, str(proposal["value"])
        try:
            (seconds_of if name == "auto_min" else parse_size)(value)
        except (ValueError, TypeError) as error:
            raise TraitError(f"{name}: {error}") from error
        return value

    @property
    def auto_tags(self) -> frozenset[str]:
        """``auto_skip`` as the tags that it names."""
        return frozenset(filter(None, re.split(r"[,\s]+", self.auto_skip)))

    @validate("root")  # type: ignore[untyped-decorator]
    def _is_folder(self, proposal: Any) -> str:
        value = str(proposal["value"])
        wrong = _why_no_path(value)
        if wrong or os.path.isfile(os.path.expanduser(value)):
            raise TraitError(f"root: {wrong or f'{value!r} is no folder'}")
        return value

    # ---- reading and setting -------------------------------------------------------------------------------------

    def update_config(self, config: Any) -> None:
        """Set what ``%config`` says. A wrong value changes nothing; else it would be tried again with every later change."""
        before: Any = copy.deepcopy(self.config)  # type: ignore[has-type]
        try:
            super().update_config(config)
        except TraitError:
            self.config = before
            raise

    def choose(self, **values: Any) -> None:
        """Set traits for this session; TraitError, naming what is wrong, and then none of them is changed."""
        self.update_config(Config({type(self).__name__: values}))

    def choose_text(self, name: str, text: str) -> None:
        """Set one trait to what *text* means; TraitError if it is nothing for it."""
        trait = self.traits(config=True)[name]
        known = getattr(trait, "values", None)
        if known and text not in known:
            raise TraitError(f"{name}: {text!r}; known: {', '.join(map(str, known))}")
        try:
            value = trait.from_string(text)
        except (ValueError, TraitError) as error:
            raise TraitError(f"{name}: {error}") from error
        self.choose(**{name: value})

    def settings(self) -> list[Setting]:
        """All settings with their values, and where each was chosen: the session, a configuration file, the environment."""
        return [self.setting(name) for name in sorted(self.traits(config=True), key=_rank)]

    def setting(self, name: str) -> Setting:
        """One setting."""
        trait = self.traits(config=True)[name]
        source = self._source(name, trait)
        value = getattr(self, name)
        has_default = value == "" and name in _LEFT_TO_STASHES
        return Setting(name, str(self._effective(name) if has_default else value), source, trait.help)

    def stashes(self, parsed: Any = None) -> CellStashes:
        """All stashes, as the flags of a line and these settings choose."""
        root, chosen = self.chosen(parsed)
        return CellStashes(root, **chosen, only_engine=bool(getattr(parsed, "engine", None)))

    def chosen(self, parsed: Any = None) -> tuple[str, dict[str, str | None]]:
        """The root that the flags of a line and these settings choose (empty: the user's own), and how stashes are kept."""
        names = ("engine", "serializer", "compress")
        root = getattr(parsed, "root", None) or self.root
        wrong = _why_no_path(root)
        if wrong:  # while a file, or a folder that cannot be made, only means that cells run without a stash
            raise UsageError(f"--root: {wrong}")
        return root, {name: getattr(parsed, name, None) or getattr(self, name) or None for name in names}

    def _effective(self, name: str) -> Any:
        config = self.stashes().config
        return shown(config.root_dir) if name == "root" else getattr(config, name)

    def _configured(self, config: Any) -> Any:
        return config[type(self).__name__] if type(self).__name__ in config else {}  # noqa: SIM401 - a Config makes what get() asks for

    def _source(self, name: str, trait: Any) -> str:
        value = getattr(self, name)
        of_file = self._from_files
        if name in of_file and of_file[name] == value:
            return "IPython's configuration"
        settings = load_settings()
        given = getattr(settings, name, None)
        is_default = value == trait.default_value
        if given and (is_default or value == given) and name not in self._configured(self.config):
            return source_of(name)
        return "default" if is_default else "this session"


_FIRST = ("status", "default_name", "root", "engine", "serializer", "compress")


def _why_no_path(root: str) -> str:
    """Why no folder can have the path that somebody has given; empty if one can."""
    if "://" in root:
        return f"{without_secrets(root)!r} is no folder; for a server set engine, such as redis"
    return f"{root!r} is no folder" if "\0" in root else ""


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name), "") if name in _FIRST else (len(_FIRST), name)
