"""By which Python, and with which packages, a record was written: what made a value there may make another one here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint.packages import Origin, origin_of_name, package_version, pinned

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 8


def look(values: Iterable[Any]) -> dict[str, str]:
    """Python's version, and those of the packages from which the *values* are."""
    packages = {type(value).__module__.partition(".")[0] for value in values}
    installed = sorted(name for name in packages if origin_of_name(name) is Origin.INSTALLED)[:_MOST]
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{name: pinned(package_version(name), "minor") for name in installed},
    }


def differences(then: Any) -> list[str]:
    """In a line, what is of another version than *then*, if anything is; *then* may be anybody's."""
    if not isinstance(then, dict):
        return []
    now = {"Python": look(())["Python"]}
    for name in [name for name in then if isinstance(name, str) and name != "Python"][:_MOST]:
        now[name] = pinned(package_version(name), "minor") if name in sys.modules else str(then[name])
    other = [name for name in now if name in then and then[name] != now[name]]
    if not other:
        return []
    texts = [", ".join(f"{name} {versions[name]}" for name in other) for versions in (then, now)]
    return [f"stored with {texts[0]}; here is {texts[1]}"]
