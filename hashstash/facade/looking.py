"""Looking into a stash: entries, versions, frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash import history
from hashstash.entries import Entries, EntryInfo, info_of
from hashstash.facade.part import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.difference import Difference
    from hashstash.display.browser import Browser
    from hashstash.frames import Scan, Where
    from hashstash.history import VersionInfo


class Looking(Part):
    """What is stored, as entries, as versions, as frames."""

    def _repr_html_(self) -> str:
        from hashstash.display.stashes import html_of_stash

        return html_of_stash(self._whole)

    def info(self, key: Any) -> EntryInfo:
        """What is known of the entry at *key* without decoding its value; KeyError if there is none."""
        return info_of(self.store, key)

    def meta(self, key: Any) -> dict[str, Any]:
        """The notes that *key* was stored with (:meth:`put`), empty if there are none; KeyError if the key is missing."""
        return dict(info_of(self.store, key).meta)

    def entries(self, **filters: Any) -> Entries:
        """What is stored, without decoding values: a list, read when it is looked at, that prints as a table.

        ``stash.entries(size__gt="1 MB", age__lt="1d", tags__contains="x", accuracy__ge=0.9)``: fields of :class:`EntryInfo`, or
        names in the entries' notes, with the operators ``ne gt ge lt le in contains startswith`` or none for equality. Entries
        that are over are left out unless ``expired`` is asked for.
        """
        return Entries(self.store, [filters])

    def browse(self, *, page_size: int = 15) -> Browser:
        """A widget to search, page through, look into and delete what is stored; it needs ipywidgets."""
        from hashstash.display.browser import Browser

        return Browser(self._whole, page_size=page_size)

    def get_all(self, key: Any, default: Any = None, *, with_metadata: bool = False) -> list[Any] | Any:
        """All versions of *key*, oldest first, or *default*; with metadata as dicts of version, time and value."""
        entries, values = history.values_of(self.store, key)
        if not entries:
            return [] if default is None else default
        if not with_metadata:
            return values
        return [
            {"_version": entry.version, "_timestamp": entry.created_at / 1e9, "_value": value}
            for entry, value in zip(entries, values, strict=True)
        ]

    def versions(self, key: Any) -> list[VersionInfo]:
        """What is known of the versions of *key*, oldest first: number, time, size, notes; KeyError if there is none."""
        return history.infos(self.store, key)

    def at(self, key: Any, version: int | None = None, *, time: Any = None) -> Any:
        """The value that *key* had as that *version* (``-2``: the one before the latest), or at a *time*.

        *time*: a datetime or ISO text (local time, if it has no zone), or seconds since the epoch. NoSuchVersion names the
        versions that there are; KeyError if the key is missing.
        """
        return history.read(self.store, key, version=version, time=time)[1]

    def diff(self, key: Any, a: int = -2, b: int = -1) -> Difference:
        """What changed in the value of *key* from version *a* to version *b*: a list of lines, empty if nothing did."""
        from hashstash.difference import diff

        return diff(self.store, key, a, b)

    @property
    def ld(self) -> list[dict[str, Any]]:
        """Everything that is stored, as a list of flat dicts: :meth:`assemble_ld`."""
        return self.assemble_ld()

    @property
    def df(self) -> Any:
        """Everything that is stored, as a pandas DataFrame; :meth:`assemble_df` also takes columns and conditions."""
        return self.assemble_df()

    def assemble_ld(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> list[dict[str, Any]]:
        """The entries as flat dicts, nested keys joined by ``.``; elements of lists and rows of frames are rows each.

        A value without fields is ``_value``. A key that is a dict contributes its fields, any other is ``_key``; a field of it
        that the value has too is called ``_key.name``. With metadata there is a row for each version, with ``_version`` and
        ``_timestamp`` (seconds), and in the stash of a function ``_arg1``, ``_kw.name``, ... for the arguments. An empty value is
        a row with nothing but its key.

        *columns*: the fields that are wanted, in this order; ``"a"`` is also all that is nested in ``a``. KeyError if no entry
        has one. *where*: conditions on fields, ``{"age__gt": 3, "name__startswith": "A"}`` (see :mod:`hashstash.conditions`), or
        a function of the row. Both are applied while the stash is read: what is not wanted is not taken apart, nor kept.
        """
        return self._scan(columns, where, with_metadata=with_metadata).rows()

    def assemble_df(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a pandas DataFrame with index ``_key``.

        There is no index level for keys that are dicts, nor for a function's stash. With metadata ``_version`` and
        ``_timestamp`` are levels, and so are a function's arguments. Missing fields are NA in the type that suits the others:
        ``Int64``, ``boolean``, ``NaT``. In the index, lists stand as tuples, and what has no hash as text.
        """
        from hashstash.frames import to_pandas

        return to_pandas(self._scan(columns, where, with_metadata=with_metadata))

    def to_polars(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a polars DataFrame, ``_key`` as its first column; mixed types become text."""
        from hashstash.frames import to_polars

        return to_polars(self._scan(columns, where, with_metadata=with_metadata))

    def to_arrow(
        self, *, with_metadata: bool = False, columns: str | Iterable[str] | None = None, where: Where | None = None
    ) -> Any:
        """The rows of :meth:`assemble_ld` as a pyarrow Table, ``_key`` as its first column; mixed types become text."""
        from hashstash.frames import to_arrow

        return to_arrow(self._scan(columns, where, with_metadata=with_metadata))

    def _scan(self, columns: str | Iterable[str] | None, where: Where | None, *, with_metadata: bool) -> Scan:
        from hashstash.frames import Choice, Scan

        choice = Choice(columns, where)
        return Scan(self.store, choice, is_function_stash=self._config.is_function_stash, with_metadata=with_metadata)
