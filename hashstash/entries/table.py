"""Entries as a table: the cells of it, as text, as a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.entries.info import META
from hashstash.store import Foreign
from hashstash.tabular import filled, text_lines
from hashstash.wording import duration, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hashstash.entries.info import EntryInfo

_WIDTH = 40
_FRAME = [
    *("key", "size", "raw_size", "codec", "created", "age", "expires", "seconds", "is_code", "signer", "trusted"),
    *("foreign", "tags", "version"),
]


def shown_key(info: EntryInfo, most: int = _WIDTH) -> str:
    """The key on one line of at most *most* characters; a placeholder where it is foreign code."""
    return f"<foreign {info.address.hex()[:8]}>" if isinstance(info.key, Foreign) else shortened(info.key, most)


def expiry_of(info: EntryInfo) -> str:
    """When the entry is over: ``in 3 d``, ``over``, or empty for one that stays."""
    if info.expires_at is None:
        return ""
    return "over" if info.expired else "in " + duration(max(0.001, info.expires_at - info.created_at - info.age))


def kind_of(info: EntryInfo) -> str:
    """``data``, ``code``, or ``foreign`` for code of others."""
    return "foreign" if info.foreign else "code" if info.is_code else "data"


def tags_of(info: EntryInfo, most: int) -> str:
    """The tags on one line of at most *most* characters."""
    return ", ".join(shortened(tag, most)[1:-1] for tag in info.tags)[:most]


_COLUMNS: dict[str, Callable[[EntryInfo], str]] = {
    "key": shown_key,
    "size": lambda info: size_text(info.size),
    "raw": lambda info: size_text(info.raw_size),
    "codec": lambda info: info.codec,
    "kind": kind_of,
    "age": lambda info: duration(max(0.001, info.age)),
    "expires": expiry_of,
    "took": lambda info: duration(info.seconds) if info.seconds else "",
    "version": lambda info: str(info.version) if info.version > 1 else "",
    "signer": lambda info: (info.signer or "")[:8],
    "tags": lambda info: tags_of(info, _WIDTH),
    "meta": lambda info: shortened(dict(info.meta), _WIDTH) if info.meta else "",
}


def cells(shown: Sequence[EntryInfo]) -> tuple[list[str], list[list[str]]]:
    """The columns that have anything in them, and the rows."""
    return filled(list(_COLUMNS), [[cell(info) for cell in _COLUMNS.values()] for info in shown])


def text_table(shown: Sequence[EntryInfo], about: str) -> str:
    """The sentence *about* all, and a line for each of those *shown*."""
    if not shown:
        return about
    count = int(about.partition(" ")[0].replace(",", ""))
    title = f"{about}; the first {len(shown)}:" if count > len(shown) else about
    return "\n".join([title, *text_lines(*cells(shown))])


def to_frame(entries: Iterable[EntryInfo]) -> Any:
    """A pandas data frame with a row for each."""
    from hashstash.frames import to_frame as assembled

    frame = assembled(map(_row, entries))
    return frame if len(frame.columns) else frame.reindex(columns=_FRAME)


def _row(info: EntryInfo) -> dict[str, Any]:
    return {
        **{name: getattr(info, name) for name in _FRAME},
        **{META + name: value for name, value in info.meta.items()},
    }
