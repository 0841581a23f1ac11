"""Which rows and which columns somebody wants, asked while a stash is read, so that nothing else is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hashstash.conditions import field_of, fields_of, matches
from hashstash.frames.flat import Block, Row, taken

Where = Mapping[str, Any] | Callable[[Row], Any]
_KEY_FIELD = "_key."


class Choice:
    """The columns and rows that are wanted; by default all of them."""

    def __init__(self, columns: str | Iterable[str] | None = None, where: Where | None = None) -> None:
        self.columns = None if columns is None else _names_of(columns)
        self._where = where
        self._test = _test_of(where)
        self._fields = fields_of(where) if isinstance(where, Mapping) else None
        self._ranks: dict[str, int] = {}
        sees_all = self.columns is None or (where is not None and self._fields is None)
        self._heads = None if sees_all else self._outer_names()

    def divided(self, is_of_key: Callable[[str], bool]) -> tuple[Callable[[Row], bool] | None, Choice]:
        """The conditions on fields for which *is_of_key* holds, as one test; and the choice without them."""
        if not isinstance(self._where, Mapping):
            return None, self
        of_key = {name: operand for name, operand in self._where.items() if is_of_key(field_of(name))}
        others = {name: operand for name, operand in self._where.items() if name not in of_key}
        return (_test_of(of_key), Choice(self.columns, others or None)) if of_key else (None, self)

    def needs(self, name: str) -> bool:
        """Whether an outer field of that name has to be looked into."""
        return self._heads is None or name in self._heads or self.takes(name)

    def takes(self, name: str) -> bool:
        """Whether a column of that name is wanted: by itself, or with all that is nested in a field."""
        return self.columns is None or self.rank(name) < len(self.columns)

    def rank(self, name: str) -> int:
        """Where among the columns that were asked for this one stands; their number, if it is none of them."""
        found = self._ranks.get(name)
        if found is None:
            columns = self.columns or ()
            around = (number for number, column in enumerate(columns) if _is_in(name, column))
            found = columns.index(name) if name in columns else next(around, len(columns))
            self._ranks[name] = found
        return found

    def of_row(self, row: Row, kept: Iterable[str]) -> Row | None:
        """What is wanted of *row*, with all that is *kept* anyhow; ``None`` if it is not wanted."""
        if self._test is not None and not self._test(row):
            return None
        if self.columns is None:
            return row
        first = list(kept)
        rest = [name for name in row if name not in first and self.takes(name)]
        return {name: row[name] for name in (*first, *sorted(rest, key=self.rank))}

    def of_block(self, block: Block, kept: Container[str]) -> Block:
        """What is wanted of a block."""
        columns, length = block
        if self._test is not None:
            positions = self._positions(block, self._test)
            if len(positions) < length:
                columns = {name: taken(column, positions) for name, column in columns.items()}
                length = len(positions)
        if self.columns is None:
            return Block(columns, length)
        first = [name for name in columns if name in kept]
        rest = [name for name in columns if name not in kept and self.takes(name)]
        return Block({name: columns[name] for name in (*first, *sorted(rest, key=self.rank))}, length)

    def _positions(self, block: Block, test: Callable[[Row], bool]) -> list[int]:
        names = block.columns if self._fields is None else self._fields & block.columns.keys()
        part = Block({name: block.columns[name] for name in names}, block.length)
        return [number for number, row in enumerate(part.rows()) if test(row)]

    def arranged(self, names: Iterable[str]) -> list[str]:
        """*names* in the order in which they were asked for, and in their place what was asked for and is not there."""
        there = [name for name in names if self.takes(name)]
        return sorted(there + self.unknown(there), key=self.rank)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """The columns that were asked for and that are none of *names*, nor around any of them."""
        there = list(names)
        return [column for column in self.columns or () if not any(_is_in(name, column) for name in there)]

    def _outer_names(self) -> frozenset[str]:
        """The outer fields whose names may become those that are asked for."""
        wanted = {*(self.columns or ()), *(self._fields or ())}
        wanted |= {name.removeprefix(_KEY_FIELD) for name in wanted}
        wanted |= {_without_number(name) for name in wanted}
        return frozenset(name[:end] for name in wanted for end in _ends(name))


def _names_of(columns: str | Iterable[str]) -> tuple[str, ...]:
    names = [columns] if isinstance(columns, str) or not isinstance(columns, Iterable) else list(columns)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column is named by text, not by {name!r}")
    return tuple(dict.fromkeys(names))


def _is_in(name: str, column: str) -> bool:
    return name == column or name.startswith(f"{column}.")


def _ends(name: str) -> list[int]:
    return [*(position for position, letter in enumerate(name) if letter == "."), len(name)]


def _without_number(name: str) -> str:
    stem, separator, number = name.rpartition("_")
    return stem if separator and number.isdecimal() else name


def _test_of(where: Where | None) -> Callable[[Row], bool] | None:
    if where is None:
        return None
    if isinstance(where, Mapping):
        holds = matches(where)
        return lambda row: holds(row.get)
    if not callable(where):
        raise TypeError(
            f"where is a dict of conditions such as {{'age__gt': 3}}, or a function of the row, not {where!r}"
        )
    test = where
    return lambda row: bool(test(dict(row)))


def no_such_field(name: str, known: Iterable[str]) -> KeyError:
    """The error for a column that nothing has."""
    names = list(known)
    close = get_close_matches(name, names, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return KeyError(f"no entry has a field {name!r}{hint}; there are: {', '.join(names)}")
