"""What a run depended on, as the facts of its record: variables, files, environment, modules, settings, and what was replaced.

Each is as it was before the run. What changed while the cell ran, and what no record brings back, keeps it from being stored.
"""

from __future__ import annotations

import dis
import itertools
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from hashstash.cells import patches
from hashstash.cells.facts import ANY, WHOLE, Facts, environment_digest, installed_packages, module_fact, names_digest
from hashstash.cells.module_state import is_as_loaded
from hashstash.cells.modules import user_modules
from hashstash.cells.not_stored import NotStored
from hashstash.cells.registrations import newly_registered
from hashstash.cells.surroundings import describes_session, describes_terminal
from hashstash.cells.used_settings import used_settings
from hashstash.cells.watch import MOST_TEXTS, answer, source_of, stat_of
from hashstash.fingerprint import FileFact, Fingerprinter, alias_signature
from hashstash.fingerprint.reads import code_reads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.before import Before
    from hashstash.cells.record import Effects, Run
    from hashstash.cells.settings import Settings

_USES_DIRECTORY: Final = frozenset(
    {"getcwd", "getcwdb", "cwd", "abspath", "absolute", "resolve", "realpath", "chdir", "pwd", "cd", "pushd", "popd"}
)

_OF_ENTRIES: Final = frozenset({"stat", "st_size", "st_mtime", "st_mtime_ns"})
_MOST_ENTRIES: Final = 10_000


def facts_of(run: Run, effects: Effects, changed: Settings) -> Facts:
    """The facts; *changed*: the settings that the cell has set. Raises :class:`NotStored`."""
    before, options = run.before, run.before.options
    names, walks = dict(before.facts), {name: root.walk for name, root in before.roots.items()}
    for name in effects.perhaps_bound() if options.inputs is None else ():
        if not names.get(name) and name not in options.ignore:
            walks[name] = effects.fingerprinter.walk(before.variables[name], name)
            names[name] = walks[name].digest
    for name in _unread(run, effects):
        names[name] = ANY
        walks.pop(name, None)
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
        modules=tuple(_module_facts(run, effects.changed_modules)),
        packages=installed_packages(before.names.modules),
        random=before.surroundings.random_digests if options.rng else None,
        settings=used_settings(run, effects.bound.values(), changed),
        replaced=_replaced(before),
    )


def _unread(run: Run, effects: Effects) -> set[str]:
    """Of a cell that may read any variable through ``eval`` or ``exec``: what it binds, and what no text names that it ran.

    Nothing that refers to objects, since the record may point at them.
    """
    before = run.before
    if before.names.named is None or len(run.watch.texts) > MOST_TEXTS:
        return set()
    waiting = {name for name in before.names.named if name in before.facts}  # others were not there
    for code in run.watch.texts:
        reads = code_reads(code)
        if reads.is_dynamic:
            return set()
        deleted = {step.argval for step in dis.get_instructions(code) if step.opname.startswith("DELETE_")}
        waiting |= {*reads.names, *deleted}
    read: set[str] = set()
    while waiting:
        name = waiting.pop()
        read.add(name)
        waiting |= before.inputs.reached(name) - read
    roots = before.roots
    bound = effects.bound.keys() | effects.leftovers.keys()
    return {name for name in bound - read if name not in roots or not roots[name].walk.containers}


def _replaced(before: Before) -> dict[str, str]:
    try:
        facts = before.patches.facts(before.names.modules - before.loaded_modules)
    except patches.Patched as error:
        raise NotStored(f"it replaces `{error}`, which no record would bring back") from None
    registered = newly_registered(before.inputs.shell, before.registrations)
    if registered is not None:
        raise NotStored(f"it registers {registered}, which no record would bring back")
    return facts


def _environment_facts(run: Run) -> dict[str, bytes | None]:
    """The variables of the environment that the cell names or has asked for, as they were before it ran."""
    heard = {WHOLE if name is None else name for name in run.watch.variables}
    then = run.before.surroundings.variables if heard else {}
    if WHOLE in heard:  # whoever copies all of it asks for one after the other, and means none of these
        heard = {name for name in heard if not describes_session(name)}
    facts = {name: environment_digest(name, then) for name in sorted(heard) if not describes_terminal(name)}
    own = run.watch.own_variables - run.before.options.environment
    return {**facts, **{name: digest for name, digest in run.before.environment.items() if name not in own}}


def _module_facts(run: Run, changed: set[str]) -> Iterator[Any]:
    """*changed*: the modules that the cell left otherwise than it found or loaded them."""
    before = run.before
    fresh = sys.modules.keys() - before.loaded_modules
    fingerprinter = Fingerprinter(namespace=before.inputs.namespace)
    for name, module in sorted(user_modules(before.names.modules | fresh).items()):
        loaded = before.module_digests.get(name) or fingerprinter.walk(module, name).digest
        try:
            if name in fresh:
                yield module_fact(name, module, b"" if name in changed else loaded, is_as_loaded=True)
            else:
                yield module_fact(name, module, loaded, is_as_loaded=is_as_loaded(module, before.modules.get(name)))
        except OSError as error:
            raise NotStored(f"the source of module {name} cannot be read: {error}") from error


class _Files:
    """The files of one run, as facts."""

    def __init__(self, run: Run) -> None:
        self.watch = run.watch
        self.loaded = run.before.loaded_modules
        uses = run.before.names.attributes | run.before.callees.calls
        self.asks_entries = "scandir" in uses and not _OF_ENTRIES.isdisjoint(uses)
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
        told_of_all = {**self._entries(), **self.watch.asked}
        asked = {path: told for path, told in sorted(told_of_all.items()) if path not in known}
        return {path: told for path, told in asked.items() if answer(path, is_whole=told[0].isdigit()) == told}

    def _entries(self) -> dict[str, str]:
        """What is in the folders that were listed, if the code asks for sizes or times: the entries of a scan tell unheard."""
        if not self.asks_entries:
            return {}
        paths = (os.path.join(folder, name) for folder, names in self.watch.listed.items() for name in names)
        return {path: answer(path, is_whole=True) for path in itertools.islice(paths, _MOST_ENTRIES)}

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
