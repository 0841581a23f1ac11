"""HashStash: the caching toolkit that makes notebooks remember.

``%load_ext hashstash`` and ``%%stash name`` in a notebook; ``HashStash`` and ``stashed_result`` in any program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash import errors
    from hashstash.functions import stashed_result
    from hashstash.loose import Decoder, Deserializer, Encoder, Serializer, decode, deserialize, encode, serialize
    from hashstash.mapping.maps import stash_mapped
    from hashstash.mapping.stash_map import StashMap
    from hashstash.stash import HashStash

__version__ = "2.0.0.dev0"

__all__ = [
    "Decoder",
    "Deserializer",
    "Encoder",
    "HashStash",
    "Serializer",
    "StashMap",
    "__version__",
    "decode",
    "deserialize",
    "encode",
    "errors",
    "serialize",
    "stash_mapped",
    "stashed_result",
]

_HOMES = {
    "Decoder": "hashstash.loose",
    "Deserializer": "hashstash.loose",
    "Encoder": "hashstash.loose",
    "Serializer": "hashstash.loose",
    "HashStash": "hashstash.stash",
    "StashMap": "hashstash.mapping.stash_map",
    "decode": "hashstash.loose",
    "deserialize": "hashstash.loose",
    "encode": "hashstash.loose",
    "serialize": "hashstash.loose",
    "stash_mapped": "hashstash.mapping.maps",
    "stashed_result": "hashstash.functions",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        value: Any = import_module("hashstash.errors")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'hashstash' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext hashstash``: add the magics to the shell."""
    from hashstash.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext hashstash``: take them away again."""
    from hashstash.magics import unload

    unload(shell)
