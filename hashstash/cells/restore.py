"""A hit: everything is decoded first, then applied, so that a record that turns out bad leaves nothing half done.

A record that nobody this user trusts signed is data and nothing else: it may bind names that the cell's own text binds,
and show text. It imports nothing, and touches no object that is there.
"""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hashstash.cells import annotated, leftovers, objects, settings, surroundings
from hashstash.cells.capture import StoredResult, is_recorded_elsewhere
from hashstash.cells.interrupts import HeldBack
from hashstash.cells.journal import Journal
from hashstash.cells.names import analyse
from hashstash.cells.objects import CannotRestore
from hashstash.cells.record import RESULT, joint_sharing
from hashstash.cells.replay import parted, replay, showable
from hashstash.cells.shell import when_cell_is_over
from hashstash.errors import BadEntry, StashError, UnsupportedValue
from hashstash.leaving import always_left
from hashstash.serializers.hashstash.graph import load_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.cells.cell import Cell
    from hashstash.cells.inputs import Inputs
    from hashstash.cells.options import CellOptions
    from hashstash.cells.recorded import Outputs, Record
    from hashstash.cells.rows import Rows


_NOT_SIGNED = "and nobody you trust signed it (%stash trust)"
_NOT_IN_CELL = f"which this cell's text does not, {_NOT_SIGNED}"


class Unusable(StashError):
    """A record whose facts hold cannot be used; the text says why. The cell runs instead."""


@dataclass(slots=True)
class Restored:
    """What a hit brought back."""

    value: Any
    names: list[str]
    hidden_displays: int = 0
    """Displays that were left out because nobody this user trusts made them."""
    warning: str = ""


@dataclass(slots=True)
class Restorer:
    """One record on its way back into the namespace."""

    rows: Rows
    cell: Cell
    record: Record
    inputs: Inputs
    options: CellOptions

    def restore(self) -> Restored:
        """Bring variables, objects, surroundings and outputs back; raises :class:`Unusable` before it changes
        anything, and MissingDependency where a package is needed that is not installed.
        """
        if not self.record.is_trusted:
            self._check_foreign()
        outputs, is_trusted = self._outputs()
        if self.record.result != "stored" and self._is_all_there():
            values: dict[str, Any] = {}
        else:
            values = self._values(outputs)
            if self.record.result == "stored" and self._is_plain(values[RESULT]) and self._is_all_there():
                values = {RESULT: values[RESULT]}
        changes = [
            self._checked(value)
            for name, value in values.items()
            if name not in self.record.variables and name != RESULT
        ]
        names = [name for name in self.record.variables if self.options.keeps(name)]
        restored = Restored(self._result(values, outputs, is_trusted=is_trusted), names)
        self._apply(values, names, [change for change in changes if self.options.keeps(change["token"][0])], outputs)
        if self.options.replays:
            self._show(restored, outputs.events, is_trusted=is_trusted)
        return restored

    def _show(self, restored: Restored, events: list[Any], *, is_trusted: bool) -> None:
        try:
            shell = self.inputs.shell
            is_later = not self.options.shows_value and is_trusted and not is_recorded_elsewhere()
            now, behind = parted(events) if is_later else (events, [])
            shower = self._shower(restored.value)
            restored.hidden_displays = replay(shell, now, is_trusted=is_trusted, show_value=shower)
            if behind:
                when_cell_is_over(shell, [partial(replay, shell, behind, is_trusted=is_trusted)])
        except Exception as error:  # noqa: BLE001 - streams and displays are the user's; the variables are back already
            restored.warning = f"not all outputs could be shown again: {type(error).__name__}: {error}"

    def _shower(self, value: Any) -> Callable[[bool], None] | None:
        """What displays the last value at its place, unless the magic gives it to the shell."""
        if value is None or not self.options.shows_value:
            return None

        def show(is_shown: bool, /) -> None:
            with value.hidden() if is_shown and isinstance(value, StoredResult) else nullcontext():
                sys.displayhook(value)

        return show

    def _outputs(self) -> tuple[Outputs, bool]:
        found = self._read(self.rows.outputs)
        outputs, is_trusted = found[0], found[1] and self.record.is_trusted
        if outputs.surroundings and not is_trusted:
            raise Unusable(f"the record changes environment, import path, settings or random state, {_NOT_SIGNED}")
        return outputs, is_trusted

    def _check_foreign(self) -> None:
        """Refuse a stranger's record that does more than bind what the cell's text binds, or delete what it deletes."""
        record = self.record
        names = analyse(self.cell.tree, existing=self.inputs.names(), reached=self.inputs.reached)
        surprises = sorted(record.variables.keys() - names.touched)
        surprises += sorted(set(record.deleted) - names.surely_unbound)
        if surprises:
            raise Unusable(f"the record binds or deletes {', '.join(map(repr, surprises))}, {_NOT_IN_CELL}")
        if record.changes_objects:
            raise Unusable(f"the record changes objects in place, {_NOT_SIGNED}")
        where, _, name = record.result.partition(" ")
        if where == "variable" and name not in record.variables:
            raise Unusable(f"the record shows {name!r}, {_NOT_IN_CELL}")

    def _values(self, outputs: Outputs) -> dict[str, Any]:
        encoded, is_trusted = self._read(self.rows.variables)
        is_trusted = is_trusted and self.record.is_trusted
        if encoded.is_code and not is_trusted:
            raise Unusable(f"the record's values need code, {_NOT_SIGNED}")
        try:
            resolve = self.inputs.resolve_any if is_trusted else self.inputs.resolve
            with _uncollected(), surroundings.importing_as_after(outputs.surroundings):
                values = load_roots(encoded, resolve=resolve, namespace=self.inputs.namespace)
        except (BadEntry, UnsupportedValue, LookupError, ValueError) as error:
            raise Unusable(str(error)) from error
        if not is_trusted and not values.keys() <= {*self.record.variables, RESULT}:
            raise Unusable(f"the record changes objects in place, {_NOT_SIGNED}")
        return values

    def _read(self, read: Any) -> Any:
        try:
            found = read(self.record)
        except BadEntry as error:
            raise Unusable(str(error)) from error
        if found is None:
            raise Unusable("a part of the record is gone")
        return found

    def _checked(self, change: dict[str, Any]) -> dict[str, Any]:
        try:
            objects.check(self.inputs.resolve_any(change["token"]), change)
        except CannotRestore as error:
            raise Unusable(f"an object {error}") from error
        return change

    def _is_all_there(self) -> bool:
        """Whether every variable is already what the record holds, shared among one another as they were then."""
        record, inputs = self.record, self.inputs
        if record.changes_objects or not all(map(self.options.keeps, record.variables)):
            return False
        if any(name in inputs.namespace for name in record.deleted):
            return False
        for name, digest in record.variables.items():
            if digest is None or inputs.digest(name) != digest:
                return False
        walks = {name: walk for name in record.variables if (walk := inputs.walk(name)) is not None}
        roots = {name: walk for name in record.roots if (walk := inputs.walk(name)) is not None}
        return joint_sharing(roots, walks) == record.sharing

    def _is_plain(self, value: Any) -> bool:
        return not self.inputs.fingerprinter.walk(value).containers

    def _apply(self, values: dict[str, Any], names: list[str], changes: list[dict[str, Any]], outputs: Outputs) -> None:
        """Bring everything back, or nothing: interrupts wait until it is over, and an error undoes what was done."""
        with surroundings.importing_as_after(outputs.surroundings):
            for name in self.record.imports if self.record.is_trusted else ():
                importlib.import_module(name)
        targets = [(self.inputs.resolve_any(change["token"]), change) for change in changes]
        bindings = dict(self._bindings(values, names))
        deleted = list(filter(self.options.keeps, self.record.deleted))
        namespace, journal = self.inputs.namespace, Journal()
        noted = self._annotations(bindings, outputs)
        with HeldBack():
            try:
                journal.keep_surroundings(outputs.surroundings)
                surroundings.repeat(outputs.surroundings)
                settings.repeat(outputs.surroundings.get("settings", {}))
                for target, change in targets:
                    journal.keep(target, change)
                    objects.apply(target, change)
            except Exception as error:
                journal.undo()
                raise Unusable(f"it could not be brought back: {type(error).__name__}: {error}") from error
            for name in deleted:
                namespace.pop(name, None)
            namespace.update(bindings)
            annotated.note(namespace, noted)

    def _annotations(self, bindings: dict[str, Any], outputs: Outputs) -> dict[str, Any]:
        if not annotated.annotations_of(self.cell.tree):
            return {}
        shell, names = self.inputs.shell, outputs.surroundings.get("annotations")
        try:
            return annotated.given(shell, self.cell.tree, {**shell.user_ns, **bindings}, names)
        except Exception as error:
            raise Unusable(f"the annotations could not be evaluated: {type(error).__name__}: {error}") from error

    def _bindings(self, values: dict[str, Any], names: list[str]) -> Iterator[tuple[str, Any]]:
        for name in names:
            if name in self.record.leftovers:
                try:
                    yield name, leftovers.make(self.record.leftovers[name], is_trusted=self.record.is_trusted)
                except leftovers.CannotMake as error:
                    raise Unusable(str(error)) from error
            elif name in values:
                yield name, values[name]

    def _result(self, values: dict[str, Any], outputs: Outputs, *, is_trusted: bool) -> Any:
        where, _, name = self.record.result.partition(" ")
        if where == "variable":
            return values[name] if name in values else self.inputs.namespace[name]
        if where == "stored":
            return values[RESULT]
        if where == "shown" and outputs.result is not None:
            data, metadata = outputs.result
            return StoredResult(showable(data, is_trusted=is_trusted), metadata)
        return None


@always_left
def _uncollected() -> Iterator[None]:
    """Decoding makes objects and drops few: to search all that large libraries hold for garbage would take longer than that."""
    is_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if is_enabled:
            gc.enable()
