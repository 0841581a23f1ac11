"""After a run: what the cell depended on and what it did, as one record, or the reason why there is none.

What the cell did is found by comparing the variables and the objects that it could reach with how they were before,
never from its text alone: functions may bind names and change objects too.
"""

from __future__ import annotations

import ast
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from hashstash.cells import annotated, leftovers, objects, patches, settings
from hashstash.cells.automatic import CHANGES
from hashstash.cells.compare import Comparison
from hashstash.cells.facts import (
    WHOLE,
    Facts,
    environment_digest,
    installed_packages,
    module_fact,
    names_digest,
)
from hashstash.cells.journal import nothing_changes
from hashstash.cells.maps import what_is_missing
from hashstash.cells.modules import user_modules
from hashstash.cells.objects import CannotRestore
from hashstash.cells.registrations import newly_registered
from hashstash.cells.rows import Outputs, Record
from hashstash.cells.source_texts import summary_of_file
from hashstash.cells.surroundings import SEEDING, Surroundings, describes_terminal
from hashstash.cells.used_settings import used_settings
from hashstash.cells.views import window_of
from hashstash.cells.watch import answer, source_of, stat_of
from hashstash.errors import BadEntry, UnsupportedValue
from hashstash.fingerprint import FileFact, Fingerprinter, alias_signature
from hashstash.serializers.hashstash.graph import dump_roots, load_roots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.before import Before
    from hashstash.cells.capture import Recorder
    from hashstash.cells.inputs import Seen
    from hashstash.cells.settings import Settings
    from hashstash.cells.watch import Watch
    from hashstash.codec import Encoded
    from hashstash.fingerprint import Walk

logger = logging.getLogger(__name__)

RESULT = "the last value"
_MOST_MODULES = 8
"""Modules of the user's whose text is kept."""
_VERIFIED_BYTES = 1 << 20
"""Larger data is not decoded again to see that it comes back equal."""
_USES_DIRECTORY = frozenset(
    {"getcwd", "getcwdb", "cwd", "abspath", "absolute", "resolve", "realpath", "chdir", "pwd", "cd", "pushd", "popd"}
)


class NotStored(Exception):
    """The run cannot be recorded; the text says why, in words for the user."""


class NotEqual(NotStored):
    """A value does not come back as it was."""

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` would not come back equal (use -x {name})")
        self.name = name


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
        facts = _facts(self, effects, changed)
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
            size=len(encoded.document) + sum(memoryview(part).nbytes for part in encoded.buffers),
            imports=tuple(sorted(name for name in self.before.names.modules if "." in name and name in sys.modules)),
            expires_at=None if options.ttl is None else time.time() + options.ttl,
        )
        return Made(
            record,
            Outputs(self.recorder.recorded(is_value_kept=not shown), surroundings, shown, self._summaries(facts)),
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
        self.now = self.before.current_variables()
        options, names = self.before.options, list(self._touched_names())
        self.bound = {name: self.before.inputs.namespace[name] for name in names if options.keeps(name)}
        descriptions = {name: leftovers.describe(value) for name, value in self.bound.items()}
        self.leftovers = {name: description for name, description in descriptions.items() if description is not None}
        for name in self.leftovers:
            del self.bound[name]
        gone = sorted((self.before.variables.keys() | self.before.names.surely_unbound) - self.now.keys())
        self.deleted = tuple(name for name in gone if options.keeps(name))
        self.missing = tuple(name for name in (*names, *gone) if not options.keeps(name))
        self.changes: dict[str, Any] = {}
        self.walks: dict[str, Walk] = {}
        """The fingerprints of what was bound, when it was encoded."""
        self._find_changes()

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
        return sorted(name for name in kept if name not in self.bound and name not in self.missing)

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

    def _change_of(self, seen: Seen, moved: set[str]) -> dict[str, Any] | None:
        try:
            change = objects.change(seen.value, seen.state)
            if seen.digest is None or moved.isdisjoint(seen.roots):
                return change
            if self.fingerprinter.walk(seen.value).digest == seen.digest or change is not None:
                return change
            return objects.whole(seen.value)
        except CannotRestore as error:
            raise NotStored(f"`{seen.roots[0]}` {error}") from error

    def walk_bound(self) -> None:
        """Look at what was bound, as it is now."""
        self.walks = {name: self.fingerprinter.walk(value, name) for name, value in self.bound.items()}

    def dump(self, roots: dict[str, Any]) -> Encoded:
        """The roots as one graph, in which objects that existed before the run are tokens."""
        return dump_roots(roots, external=self._token_of, namespace=self.before.inputs.namespace)

    def _token_of(self, value: object) -> Any:
        token = self.tokens.get(id(value))
        return window_of(value, self.tokens) if token is None else list(token)


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


def _verify(encoded: Encoded, roots: dict[str, Any], effects: Effects, before: Before) -> set[str]:
    """Decode what was encoded and compare: that loading succeeds is not enough.

    Returns the names whose values come back only as well as the pickling of their own library promises.
    """
    size = len(encoded.document) + sum(memoryview(part).nbytes for part in encoded.buffers)
    if size > _VERIFIED_BYTES and not encoded.is_code:
        return set()
    try:
        with nothing_changes(seen.value for seen in before.seen if encoded.is_code):
            loaded = load_roots(encoded, resolve=before.inputs.resolve, namespace=before.inputs.namespace)
    except (BadEntry, UnsupportedValue) as error:
        raise NotStored(_advice(error)) from error
    comparison = Comparison(effects.fingerprinter)
    inexact = set()
    for name, value in loaded.items():
        if not comparison.is_same(roots[name], value, effects.walks.get(name)):
            inexact.add(name)
            if not comparison.is_as_promised(roots[name], value):
                raise NotEqual(name)
    return inexact


def _advice(error: Exception) -> str:
    """The error's text, with the flag that leaves the variable out."""
    text = str(error)
    _, quote, rest = text.partition("`")
    name = rest.partition("`")[0].partition(".")[0].partition("[")[0]
    return f"{text} (use -x {name})" if quote and name.isidentifier() and "-x" not in text else text


# -- the facts


def _facts(run: Run, effects: Effects, changed: Settings) -> Facts:
    before, options = run.before, run.before.options
    names, walks = dict(before.facts), {name: root.walk for name, root in before.roots.items()}
    for name in effects.perhaps_bound() if options.inputs is None else ():
        if not names.get(name) and name not in options.ignore:
            walks[name] = effects.fingerprinter.walk(before.variables[name], name)
            names[name] = walks[name].digest
    files = _Files(run) if options.watches_files else None
    is_placed = run.watch.uses_working_directory or not _USES_DIRECTORY.isdisjoint(before.names.attributes)
    return Facts(
        names=names,
        sharing=alias_signature(walks),
        everything=before.names.reads_everything,
        environment=_environment_facts(run),
        files=files.facts() if files else (),
        asked=files.asked() if files else {},
        folders=files.folders() if files else {},
        written=files.written() if files else (),
        made=files.made() if files else (),
        working_directory=before.surroundings.working_directory if is_placed else None,
        modules=tuple(_module_facts(before)),
        packages=installed_packages(before.names.modules),
        random=before.surroundings.random_digests if options.rng else None,
        settings={**used_settings(run, effects.bound.values(), changed), patches.NAME: _patches(before)},
    )


def _patches(before: Before) -> dict[str, str | None]:
    new = before.patches.new()
    if new is not None:
        raise NotStored(f"it replaces `{new}`, which no record would bring back")
    registered = newly_registered(before.inputs.shell, before.registrations)
    if registered is not None:
        raise NotStored(f"it registers {registered} with the shell, which no record would bring back")
    for place in _set_in_modules(before):
        raise NotStored(f"it changes `{place}` in a module that it imports, which no record would bring back")
    return dict(before.patches.facts(before.names.modules - before.loaded_modules))


def _set_in_modules(before: Before) -> Iterator[str]:
    """What the cell's text sets in modules of the user's that it imports: what it does not read first is not looked at."""
    looked_at = {id(root.value) for root in before.roots.values()}
    modules = {name for name, module in user_modules(before.names.modules).items() if id(module) not in looked_at}
    for node in ast.walk(before.cell.tree) if modules else ():
        place: Any = node.func.value if _changes(node) else node
        root = place
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        is_set = place is not node or isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        module = before.inputs.namespace.get(root.id) if isinstance(root, ast.Name) and root is not place else None
        if is_set and getattr(module, "__name__", None) in modules:
            yield ast.unparse(place)


def _changes(node: ast.AST) -> TypeGuard[Any]:
    """Whether it is a call such as ``settings.update(...)``."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES


def _environment_facts(run: Run) -> dict[str, bytes | None]:
    """The variables of the environment that the cell names or has asked for, as they were before it ran."""
    heard = {WHOLE if name is None else name for name in run.watch.variables}
    then = run.before.surroundings.variables if heard else {}
    facts = {name: environment_digest(name, then) for name in sorted(heard) if not describes_terminal(name)}
    own = run.watch.own_variables - run.before.options.environment
    return {**facts, **{name: digest for name, digest in run.before.environment.items() if name not in own}}


def _module_facts(before: Before) -> Iterator[Any]:
    fresh = sys.modules.keys() - before.loaded_modules
    fingerprinter = Fingerprinter(namespace=before.inputs.namespace)
    for name, module in sorted(user_modules(before.names.modules | fresh).items()):
        known = before.module_digests.get(name)
        try:
            yield module_fact(name, module, known or fingerprinter.walk(module, name).digest)
        except OSError as error:
            raise NotStored(f"the source of module {name} cannot be read: {error}") from error


class _Files:
    """The files of one run, as facts."""

    def __init__(self, run: Run) -> None:
        self.watch = run.watch
        self.loaded = run.before.loaded_modules
        self.mentioned = {path: found for path, found in run.before.mentioned_files.items() if self.watch.counts(path)}

    def facts(self) -> tuple[FileFact, ...]:
        given = {path: seen for path, seen in self.watch.given.items() if seen == stat_of(path)}
        mentioned = {path: seen for path, seen in self.mentioned.items() if self._is_input(path)}
        paths = {**given, **self.watch.read, **mentioned, **self._reloaded()}
        return tuple(self._fact(path, seen) for path, seen in sorted(paths.items()))

    def _reloaded(self) -> dict[str, tuple[int, int] | None]:
        """Sources of modules that were loaded before the cell and that it loaded anew: it depends on what they say."""
        sources = {os.path.abspath(source_of(path)) for path in self.watch.sources}
        sources = set(filter(self.watch.counts, sources))
        ends = {os.path.basename(path) for path in sources}
        files = (getattr(sys.modules.get(name), "__file__", None) or "" for name in (self.loaded if sources else ()))
        known = {os.path.abspath(file) for file in files if os.path.basename(file) in ends}
        return {path: stat_of(path) for path in sources & known}

    def asked(self) -> dict[str, str]:
        """What the cell was told of paths that it neither read nor made afterwards."""
        known = {*self.watch.read, *self.watch.written}
        asked = {path: told for path, told in sorted(self.watch.asked.items()) if path not in known}
        return {path: told for path, told in asked.items() if answer(path, is_whole=told[0].isdigit()) == told}

    def _is_input(self, path: str) -> bool:
        return path not in self.watch.written or path in self.watch.read

    def _fact(self, path: str, seen: tuple[int, int] | None) -> FileFact:
        if stat_of(path) != seen:
            raise NotStored(f"the file {path} was read and changed while the cell ran")
        try:
            return FileFact.record(path)
        except OSError as error:
            raise NotStored(f"the file {path} cannot be read again: {error}") from error

    def folders(self) -> dict[str, bytes]:
        return {path: names_digest(names) for path, names in self.watch.listed.items()}

    def written(self) -> tuple[str, ...]:
        """Those that the cell added to: others may add too; and the folders that it made."""
        folders = sorted(filter(os.path.isdir, self.watch.own_folders))
        return (*(path for path in self._there() if path in self.watch.appended), *folders)

    def made(self) -> tuple[FileFact, ...]:
        """Those whose content is the cell's own; what was read as well is a fact already."""
        kept = {*self.watch.appended, *self.watch.read}
        return tuple(self._fact(path, stat_of(path)) for path in self._there() if path not in kept)

    def _there(self) -> list[str]:
        return sorted(path for path in self.watch.written if os.path.isfile(path))
