"""After a run: what the cell depended on and what it did, as one record, or the reason why there is none.

What the cell did is found by comparing the variables and the objects that it could reach with how they were before,
never from its text alone: functions may bind names and change objects too.
"""

from __future__ import annotations

import builtins
import logging
import sys
import time
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells import annotated, leftovers, objects, settings, versions
from hashstash.cells.compare import Comparison
from hashstash.cells.dependencies import facts_of
from hashstash.cells.journal import nothing_changes
from hashstash.cells.maps import what_is_missing
from hashstash.cells.module_state import BUILTINS, changes, kept_objects
from hashstash.cells.not_stored import NotStored
from hashstash.cells.objects import CannotRestore
from hashstash.cells.recorded import Outputs, Record
from hashstash.cells.source_texts import summary_of_file
from hashstash.cells.surroundings import SEEDING, Surroundings
from hashstash.cells.views import Memory
from hashstash.errors import BadEntry, UnsupportedValue
from hashstash.fingerprint import Fingerprinter, alias_signature
from hashstash.serializers.hashstash.graph import dump_roots, load_roots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.before import Before
    from hashstash.cells.capture import Recorder
    from hashstash.cells.facts import Facts
    from hashstash.cells.inputs import Seen
    from hashstash.cells.module_state import Parts
    from hashstash.cells.settings import Settings
    from hashstash.cells.watch import Watch
    from hashstash.codec import Encoded
    from hashstash.fingerprint import Walk

logger = logging.getLogger(__name__)

RESULT = "the last value"
_MOST_MODULES = 8
"""Modules of the user's whose text is kept."""
_VERIFIED_BYTES = 1 << 20
"""Larger data is not decoded again to see that it comes back equal, even where it refers to what was there before."""


@dataclass(frozen=True, slots=True)
class Made:
    """A record, ready to be stored."""

    record: Record
    outputs: Outputs
    variables: Encoded


@dataclass(slots=True)
class Run:
    """A run that is over: how things were before it, and what was heard while it ran."""

    before: Before
    recorder: Recorder
    watch: Watch
    fresh: dict[str, Parts]
    """Modules of the user's that the cell has loaded, as they were then."""
    value: Any
    seconds: float

    def make(self) -> Made:
        """The record of this run; raises :class:`NotStored`."""
        if self.recorder.unheard:
            raise NotStored(f"what goes through {self.recorder.unheard[0]} here cannot be recorded")
        effects = Effects(self)
        missing = what_is_missing({**effects.bound, RESULT: self.value})
        if missing is not None:
            raise NotStored(missing)
        changed = self._changed_settings()
        facts = facts_of(self, effects, changed)
        surroundings = Surroundings.look().changes_since(self.before.surroundings, is_seeded=self._is_seeded())
        if changed:
            surroundings["settings"] = changed
        noted = self._noted_annotations()
        if noted is not None:
            surroundings["annotations"] = noted
        result = _where(self.value, effects)
        encoded, inexact, shown = self._encode(effects, result)
        walks = effects.walks
        options = self.before.options
        record = Record(
            code=self.before.cell.text,
            facts=facts,
            seconds=self.seconds,
            variables=dict.fromkeys(effects.leftovers) | _digests(walks, inexact),
            leftovers=effects.leftovers,
            deleted=effects.deleted,
            missing=effects.missing,
            changes_objects=bool(effects.changes),
            sharing=joint_sharing({name: root.walk for name, root in self.before.roots.items()}, walks),
            roots=tuple(self.before.roots),
            result="shown" if shown else result,
            size=_size(encoded),
            imports=tuple(sorted(name for name in self.before.names.modules if "." in name and name in sys.modules)),
            expires_at=None if options.ttl is None else time.time() + options.ttl,
        )
        return Made(
            record,
            Outputs(
                self.recorder.recorded(is_value_kept=not shown),
                surroundings,
                shown,
                self._summaries(facts),
                versions.look(root.value for root in self.before.roots.values()),
            ),
            encoded,
        )

    def _summaries(self, facts: Facts) -> dict[str, dict[str, Any]]:
        files = {
            f"module {fact.name}": summary_of_file(fact.name, fact.file.path) for fact in facts.modules[:_MOST_MODULES]
        }
        return {**self.before.summaries, **{name: summary for name, summary in files.items() if summary}}

    def _noted_annotations(self) -> list[str] | None:
        try:
            return annotated.after_run(self.before.inputs.shell, self.before.cell.tree)
        except ValueError as error:
            raise NotStored(f"the annotation of `{error}` cannot be repeated on a hit (leave it out)") from error

    def _changed_settings(self) -> Settings:
        try:
            calls = self.before.names.attributes | self.before.callees.calls
            return settings.changes(self.before.settings, settings.look(calls))
        except settings.Unsettable as error:
            raise NotStored(f"it sets {error} to something that cannot be set again on a hit") from error

    def _is_seeded(self) -> bool:
        return not SEEDING.isdisjoint(self.before.names.attributes | self.before.callees.calls)

    def _encode(self, effects: Effects, result: str) -> tuple[Encoded, set[str], Any]:
        """Everything as one graph; a last value that cannot be stored is kept as it looks."""
        roots = {**effects.bound, **effects.changes}
        if result == "stored":
            try:
                encoded, inexact = self._encoded({**roots, RESULT: self.value}, effects)
                if RESULT not in inexact:
                    return encoded, inexact, None
            except (UnsupportedValue, NotStored) as error:
                logger.debug("the last value is kept as it looks: %s", error)
        try:
            return *self._encoded(roots, effects), self.before.looks(self.value) if result == "stored" else None
        except UnsupportedValue as error:
            raise NotStored(_advice(error)) from error

    def _encoded(self, roots: dict[str, Any], effects: Effects) -> tuple[Encoded, set[str]]:
        encoded = effects.dump(roots)
        effects.walk_bound()  # now, since pickling may change what it pickles
        return encoded, _verify(encoded, roots, effects, self.before)


class Effects:
    """What a run did to the variables, and to the objects that it could reach through them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.before = run.before
        self.fingerprinter = Fingerprinter(namespace=run.before.inputs.namespace)
        self.tokens = {id(seen.value): seen.token for seen in self.before.seen}
        self.memory = Memory((seen.value, seen.token) for seen in self.before.seen)
        self.now = self.before.current_variables()
        options, names = self.before.options, list(self._touched_names())
        self.bound = {name: self.before.inputs.namespace[name] for name in names if options.keeps(name)}
        descriptions = {name: leftovers.describe(value) for name, value in self.bound.items()}
        self.leftovers = {name: description for name, description in descriptions.items() if description is not None}
        for name, description in self.leftovers.items():
            if leftovers.is_notebook(description) and not self.before.names.reads_everything:
                raise NotStored(f"`{name}` is the notebook's own module, through which the cell may read any variable")
            del self.bound[name]
        gone = sorted((self.before.variables.keys() | self.before.names.surely_unbound) - self.now.keys())
        self.deleted = tuple(name for name in gone if options.keeps(name))
        self.missing = tuple(name for name in (*names, *gone) if not options.keeps(name))
        self.changes: dict[str, Any] = {}
        self.walks: dict[str, Walk] = {}
        """The fingerprints of what was bound, when it was encoded."""
        self.module_tokens: dict[int, list[str]] = {}
        """What the user's modules hold, by identity; to read such a token may load the module."""
        self.refers_to_modules = False
        self.refers_to_objects = False
        """Whether a token was asked for, of an object that was there before the run."""
        self.changed_modules: set[str] = set()
        """Modules of the user's that are no variables, and that the cell left otherwise than it found or loaded them."""
        self._find_changes()
        self._find_module_changes()

    def _touched_names(self) -> Iterator[str]:
        """Names that the cell bound: to something new, or surely to what they were bound to before."""
        for name, value in self.now.items():
            is_new = name not in self.before.variables or self.before.variables[name] is not value
            if is_new or name in self.before.names.surely_bound:
                yield name

    def perhaps_bound(self) -> list[str]:
        """Names that the cell may have bound to what they were bound to before: nobody can tell, so they are inputs."""
        names = self.before.names.touched | self.before.callees.binds
        kept = (name for name in names & self.before.variables.keys() & self.now.keys())
        known = {*self.bound, *self.leftovers, *self.missing}
        return sorted(name for name in kept if name not in known)

    def _find_changes(self) -> None:
        after = {name: self.fingerprinter.walk(walk.value, name) for name, walk in self.before.roots.items()}
        moved = {name for name, walk in after.items() if walk.digest != self.before.roots[name].walk.digest}
        explained: set[str] = set()
        for position, seen in enumerate(self.before.seen):
            change = self._change_of(seen, moved)
            if change is None:
                continue
            explained.update(seen.roots)
            if any(map(self.before.options.keeps, seen.roots)):
                self.changes[f"{seen.roots[0]} (changed in place, {position})"] = {"token": list(seen.token), **change}
            else:
                self.missing = (*self.missing, *seen.roots)
        for name in sorted(moved - explained):
            raise NotStored(f"`{name}` was changed in place in a way that cannot be repeated on a hit")

    def _find_module_changes(self) -> None:
        for name, parts in sorted({**self.before.modules, **self.run.fresh}.items()):
            module = sys.modules.get(name)
            if not isinstance(module, ModuleType):
                continue
            try:
                found, kept = list(changes(module, parts)), kept_objects(module, parts)
            except CannotRestore as error:
                raise NotStored(f"module {name} holds what {error}") from error
            self.module_tokens.update((known, token) for known, token in kept.items() if known not in self.tokens)
            self.changes.update((f"module {name} (changed, {number})", change) for number, change in enumerate(found))
            if found:
                self.changed_modules.add(name)

    def reachable(self) -> Iterator[Any]:
        """Every object of before the run that decoding what was encoded might change."""
        yield from (seen.value for seen in self.before.seen)
        for parts in (*self.before.modules.values(), *self.run.fresh.values()):
            yield from (part.value for part in parts.values() if objects.content_of(part.value) is not None)

    def _change_of(self, seen: Seen, moved: set[str]) -> dict[str, Any] | None:
        try:
            change = objects.change(seen.value, seen.state)
            if seen.digest is None or moved.isdisjoint(seen.roots):
                return change
            if self.fingerprinter.walk(seen.value).digest == seen.digest:
                return change
            return objects.merged(change or {}, objects.whole(seen.value))
        except CannotRestore as error:
            raise NotStored(f"`{seen.roots[0]}` {error}") from error

    def walk_bound(self) -> None:
        """Look at what was bound, as it is now."""
        self.walks = {name: self.fingerprinter.walk(value, name) for name, value in self.bound.items()}

    def dump(self, roots: dict[str, Any]) -> Encoded:
        """The roots as one graph, in which objects that existed before the run are tokens."""
        encoded = dump_roots(roots, external=self._token_of, namespace=self.before.inputs.namespace)
        return encoded._replace(is_code=True) if self.refers_to_modules else encoded

    def _token_of(self, value: object) -> Any:
        if value is vars(builtins):
            return BUILTINS
        if id(value) in self.module_tokens:
            self.refers_to_modules = True
            return self.module_tokens[id(value)]
        token = self.tokens.get(id(value)) or self.memory.window_of(value)
        self.refers_to_objects = self.refers_to_objects or token is not None
        return None if token is None else list(token)


def joint_sharing(inputs: dict[str, Walk], bound: dict[str, Walk]) -> bytes:
    """Which objects the bound variables share with one another and with the inputs."""
    before = {"before " + name: walk for name, walk in inputs.items()}
    return alias_signature({**before, **{"after " + name: walk for name, walk in bound.items()}})


def _digests(walks: dict[str, Walk], inexact: set[str]) -> dict[str, bytes | None]:
    return {name: None if walk.volatile or name in inexact else walk.digest for name, walk in walks.items()}


def _where(value: Any, effects: Effects) -> str:
    """Where the last value is found again on a hit."""
    if value is None:
        return ""
    names = [name for name, bound in effects.bound.items() if bound is value]
    return f"variable {names[0]}" if names else "stored"


def _size(encoded: Encoded) -> int:
    return len(encoded.document) + sum(memoryview(part).nbytes for part in encoded.buffers)


def _verify(encoded: Encoded, roots: dict[str, Any], effects: Effects, before: Before) -> set[str]:
    """Decode what was encoded and compare: that loading succeeds is not enough.

    Data that refers to nothing outside of it needs no look, since no code of the user's takes part in encoding or decoding it.
    Returns the names whose values come back only as well as the pickling of their own library promises.
    """
    is_small = _size(encoded) <= _VERIFIED_BYTES
    if not encoded.is_code and not (effects.refers_to_objects and is_small):
        return set()
    try:
        with nothing_changes(effects.reachable() if encoded.is_code else ()):
            loaded = load_roots(encoded, resolve=before.inputs.resolve_any, namespace=before.inputs.namespace)
    except (BadEntry, UnsupportedValue) as error:
        raise NotStored(_advice(error)) from error
    comparison = Comparison(effects.fingerprinter, [seen.value for seen in before.seen])
    inexact = set()
    for name, value in loaded.items():
        if not comparison.is_same(roots[name], value, effects.walks.get(name)):
            inexact.add(name)
            if not comparison.is_as_promised(roots[name], value):
                raise NotStored(_not_equal(name, effects.changes.get(name)))
    return inexact


def _not_equal(name: str, change: dict[str, Any] | None) -> str:
    """That a value does not come back as it was: that of a variable, or that of what was changed in one."""
    variable = name if change is None else str(change["token"][0])
    what = f"`{name}`" if change is None else f"what was changed in `{variable}`"
    return f"{what} would not come back equal" + (f" (use -x {variable})" if variable.isidentifier() else "")


def _advice(error: Exception) -> str:
    """The error's text, with the flag that leaves the variable out."""
    text = str(error)
    _, quote, rest = text.partition("`")
    name = rest.partition("`")[0].partition(".")[0].partition("[")[0]
    return f"{text} (use -x {name})" if quote and name.isidentifier() and "-x" not in text else text
