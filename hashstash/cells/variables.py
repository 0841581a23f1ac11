"""One variable of one record, decoded without restoring the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hashstash.cells import leftovers
from hashstash.cells.views import WINDOW
from hashstash.errors import StashError, UnsupportedValue, UntrustedEntry
from hashstash.fingerprint import Fingerprinter
from hashstash.serializers.hashstash.graph import load_roots

if TYPE_CHECKING:
    from hashstash.cells.inputs import Inputs
    from hashstash.cells.recorded import Record
    from hashstash.cells.rows import Rows
    from hashstash.codec import Encoded

logger = logging.getLogger(__name__)


class NoValue(StashError, LookupError):
    """The record has no value of that name, or none that can be given without running the cell."""


class _Elsewhere:
    """Stands for an object of the notebook that is not, or no longer, as it was when the record was made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_met = False

    def __hashstash_fingerprint__(self) -> str:
        self.is_met = True
        return self.name


def value_in(rows: Rows, record: Record, variable: str, *, inputs: Inputs | None = None) -> Any:
    """The value that *record* holds of *variable*, under the rules of trust of a restored cell."""
    if variable in record.missing:
        raise NoValue(f"`{variable}` was left out when the cell was stored (-x or -o), so there is no value of it")
    if variable in record.leftovers:
        try:
            return leftovers.make(record.leftovers[variable], is_trusted=record.is_trusted)
        except leftovers.CannotMake as error:
            raise NoValue(f"`{variable}`: {error}") from error
    if variable not in record.variables:
        names = ", ".join(record.variables)
        raise NoValue(f"the record has no variable {variable!r}; " + (f"it has: {names}" if names else "it has none"))
    encoded = _trusted(rows, record, variable)
    absent: list[_Elsewhere] = []

    def resolve(token: Any) -> Any:
        name = str(token[1][0] if token[0] == WINDOW and len(token) > 2 else token[0])
        if (
            inputs is not None
            and inputs.digest(name) is not None
            and inputs.digest(name) == record.facts.names.get(name)
        ):
            return inputs.resolve(token)
        absent.append(_Elsewhere(name))
        return absent[-1]

    namespace = inputs.namespace if inputs is not None else {}
    try:
        value = load_roots(encoded, resolve=resolve, namespace=namespace)[variable]
    except (UnsupportedValue, LookupError, ValueError) as error:
        raise NoValue(f"`{variable}` cannot be decoded here: {error}") from error
    if absent:
        _refuse_absent(variable, value, absent)
    return value


def _trusted(rows: Rows, record: Record, variable: str) -> Encoded:
    """The variables of the record, still encoded; UntrustedEntry if decoding them would run the code of a stranger."""
    try:
        found = rows.variables(record)
        if found is None:
            raise NoValue("a part of the record is gone; run the cell again with --force")
        encoded, is_trusted = found
        if not encoded.is_code or (is_trusted and record.is_trusted):
            return encoded
    except UntrustedEntry as error:
        logger.debug("%s", error)
    raise UntrustedEntry(
        f"`{variable}` is stored with values that need code to be decoded, and nobody you trust signed them;"
        f" %stash trust {rows.stash.dbname} lists what others wrote, and says how to trust it"
    )


def _refuse_absent(variable: str, value: Any, absent: list[_Elsewhere]) -> None:
    Fingerprinter(namespace={}).walk(value)  # which asks each of them that it meets
    for one in absent:
        if value is one or one.is_met:
            raise NoValue(
                f"`{variable}` shares objects with the notebook's variable `{one.name}`, which is not as it was when the record"
                " was made; run the cell to get both"
            )
