"""The product, broken by hand where it looks at bytes: what the checks must find. Named like what they start in their children."""

from __future__ import annotations

from typing import Any

from torture import bytes_flips


def unchecked(*arguments: Any) -> None:
    """Checksums are not looked at."""
    from hashstash import entry

    entry.crc32 = lambda *_: entry._RESIDUE  # type: ignore[attr-defined]
    bytes_flips.examined(*arguments)


def trusting(*arguments: Any) -> None:
    """Pages are believed, as the library believes them."""
    from hashstash.engines import _lmdb_environment

    _lmdb_environment.check_pages = lambda *_, **__: None
    _lmdb_environment.check_metas = lambda _: None
    bytes_flips.examined(*arguments)


def blind(*arguments: Any) -> None:
    """Checking finds nothing, whatever there is."""
    from hashstash import integrity

    integrity.check = lambda store: integrity.Report(store.engine.location(), 0)
    bytes_flips.examined(*arguments)
