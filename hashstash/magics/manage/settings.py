"""``%stash use`` and ``config``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from traitlets import TraitError

from hashstash.magics import status
from hashstash.paths import shown
from hashstash.tabular import Listing

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.magics.stash_cell import StashMagics

_FLAGS = ("engine", "serializer", "compress", "root")


def use(magics: StashMagics, parsed: Namespace) -> None:
    """Choose the default stash and how stashes are opened, and say what is in force."""
    values = {name: getattr(parsed, name) for name in _FLAGS if getattr(parsed, name) is not None}
    if parsed.name is not None:
        values["default_name"] = parsed.name
    if values:
        _choose(magics, "use", values)
    config = magics.stashes().config
    place = f"{shown(config.root_dir)} ({config.engine}, {config.serializer}, {config.compress})"
    said = "from now on used" if values else "used"
    text = f"stash {magics.default_name}: {said} by cells and maps that name none; stashes are in {place}"
    status.publish(magics.shell, [text], command="use")


def _choose(magics: StashMagics, command: str, values: dict[str, str]) -> None:
    try:
        magics.choose(**values)
    except TraitError as error:
        raise UsageError(f"%stash {command}: {error}") from None


def config(magics: StashMagics, parsed: Namespace) -> Listing | None:
    """All settings; or one; or set one."""
    if parsed.setting is None:
        found = magics.settings()
    else:
        known = list(magics.traits(config=True))
        name = parsed.setting.removeprefix("StashMagics.").replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"%stash config: no setting {parsed.setting!r}; {hint}known: {', '.join(sorted(known))}")
        if parsed.value is not None:
            try:
                magics.choose_text(name, parsed.value)
            except TraitError as error:
                raise UsageError(f"%stash config: {error}") from None
        found = [magics.setting(name)]
    rows = [[one.name, one.value, one.source, one.help] for one in found]
    return Listing("", ["setting", "value", "from", "meaning"], rows, items=[one._asdict() for one in found])
