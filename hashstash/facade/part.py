"""What each part of the facade knows of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashstash.key_codec import KeyCodec
    from hashstash.open import Config
    from hashstash.stash import HashStash
    from hashstash.store import Store


class Part:
    """A part of ``HashStash``: methods over its store and its configuration."""

    store: Store
    _config: Config
    _keys_codec: KeyCodec | None

    @property
    def _whole(self) -> HashStash:
        """The stash that this is a part of."""
        return self  # type: ignore[return-value]
