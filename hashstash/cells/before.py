"""How things are before a cell runs: which names it will read, their values, files, environment, modules."""

from __future__ import annotations

import ast
import os
import re
import sys
import tokenize
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells import lately, settings
from hashstash.cells.facts import EXISTS, environment_digest
from hashstash.cells.inputs import callees_of
from hashstash.cells.looks import mime_bundle
from hashstash.cells.module_state import look_at_all
from hashstash.cells.modules import user_modules
from hashstash.cells.names import CellNames, Read, analyse
from hashstash.cells.patches import Patches
from hashstash.cells.registrations import Registrations, registrations
from hashstash.cells.scopes import identifiers
from hashstash.cells.shell import own_variables
from hashstash.cells.summaries import Looked, summarise_all
from hashstash.cells.surroundings import Surroundings
from hashstash.cells.watch import stat_of
from hashstash.fingerprint.packages import Origin, origin_of_globals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.cells.cell import Cell
    from hashstash.cells.inputs import Callees, Inputs, Seen
    from hashstash.cells.module_state import Parts
    from hashstash.cells.options import CellOptions
    from hashstash.cells.settings import Settings
    from hashstash.fingerprint import Walk

_TEXT_READERS = frozenset({"query", "eval", "sql", "evaluate", "execute"})
"""Calls that may take variables by the names in a string, wherever the string comes from."""
_ASK_FOR_FILES = frozenset({"exists", "lexists", "isfile", "is_file", "isdir", "is_dir", "stat", "getsize", "access"})
_MOST_PATHS = 2000
_MOST_WORDS = 50
_MOST_KEPT = 12
"""Inputs of one cell of which copies are kept."""
_LONGEST_PATH = 4096
_QUOTED_NAME = re.compile(r"""["']([A-Za-z_]\w*)["']""", re.ASCII)


class Root(NamedTuple):
    """An input by value."""

    value: Any
    walk: Walk


@dataclass(slots=True)
class Before:
    """Everything that is looked at before the cell runs, so that afterwards it can be said what changed."""

    cell: Cell
    options: CellOptions
    inputs: Inputs
    names: CellNames
    facts: dict[str, bytes | None]
    """What each name that may be read was, without those that cannot have been read because there was nothing."""
    roots: dict[str, Root]
    callees: Callees
    seen: list[Seen]
    variables: dict[str, Any]
    environment: dict[str, bytes | None]
    mentioned_files: dict[str, tuple[int, int] | None]
    surroundings: Surroundings
    settings: Settings
    patches: Patches
    registrations: Registrations
    module_digests: dict[str, bytes]
    modules: dict[str, Parts]
    """What the user's modules hold that the cell imports, and that are no inputs by themselves."""
    loaded_modules: set[str] = field(default_factory=lambda: set(sys.modules))
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is kept of each input, so that it can be told later what differs."""

    @classmethod
    def look(cls, cell: Cell, options: CellOptions, inputs: Inputs) -> Before:
        """Look at everything that the cell may read."""
        names = _names_of(cell, options, inputs)
        roots = dict(_roots(names, options, inputs))
        callees = inputs.callees(roots)
        imported, seen = user_modules(names.modules), inputs.objects(roots)
        wanted = (names.environment | callees.environment | options.environment) | _named_variables(names.strings)
        return cls(
            cell=cell,
            options=options,
            inputs=inputs,
            names=names,
            facts=dict(_name_facts(names, roots, inputs)),
            roots=roots,
            callees=callees,
            seen=seen,
            variables=own_variables(inputs.shell),
            environment={name: environment_digest(name) for name in sorted(wanted)},
            mentioned_files=_mentioned_files(names, callees, roots) if options.watches_files else {},
            surroundings=Surroundings.look(),
            settings=settings.look(names.attributes | callees.calls),
            patches=_patches(names, callees, roots, inputs),
            registrations=registrations(inputs.shell),
            module_digests={name: inputs.module_digest(module) for name, module in imported.items()},
            modules=look_at_all(imported, (one.value for one in seen)),
        )

    def summarise(self) -> None:
        """Keep a few words' worth of each input, as long as it is what it is."""
        looked = {name: Looked(root.value, root.walk.digest, root.walk.containers) for name, root in self.roots.items()}
        self.summaries = summarise_all(looked, self.inputs.fingerprinter, frozenset(self.names.attributes))
        for one in list(looked.values())[:_MOST_KEPT]:
            lately.keep(one.value, one.digest)

    def volatile(self) -> tuple[str, ...]:
        """Why the inputs cannot be told apart from others, if so."""
        return tuple(reason for root in self.roots.values() for reason in root.walk.volatile)

    def current_variables(self) -> dict[str, Any]:
        """The user's variables now."""
        return own_variables(self.inputs.shell)

    def looks(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """How the shell shows the value."""
        return mime_bundle(self.inputs.shell, value)


def _names_of(cell: Cell, options: CellOptions, inputs: Inputs) -> CellNames:
    existing = inputs.names()
    names = _analysed(cell, existing, inputs)
    for script, is_inside in sorted(names.scripts):
        _add_script(names, inputs, script, is_inside=is_inside)
    if options.inputs is not None:
        names.reads = {name: Read() for name in options.inputs}
        names.reads_everything = False
    elif _may_read_everything(names, inputs):
        names.reads_everything = True
        names.reads.update((name, Read(is_guarded=True)) for name in existing)
    elif not _TEXT_READERS.isdisjoint(names.attributes):
        _read_named_in_texts(names, inputs, existing)
    names.reads.update((name, Read(is_guarded=True)) for name in options.also)
    for name in options.ignore:
        names.reads.pop(name, None)
    return names


class _Analysis(NamedTuple):
    """What the syntax of a cell said, and all that was asked besides it."""

    existing: frozenset[str]
    reached: dict[str, frozenset[str]]
    names: CellNames


_analyses: dict[bytes, _Analysis] = {}
_MOST_ANALYSES = 256


def _analysed(cell: Cell, existing: frozenset[str], inputs: Inputs) -> CellNames:
    """What the cell reads and binds; of a cell that is run again among the same names, what was found the time before."""
    known = _analyses.pop(cell.digest, None)
    is_same = known is not None and known.existing == existing
    if known is None or not is_same or any(inputs.reached(name) != then for name, then in known.reached.items()):
        asked: dict[str, frozenset[str]] = {}

        def reached(name: str) -> frozenset[str]:
            asked[name] = inputs.reached(name)
            return asked[name]

        known = _Analysis(existing, asked, analyse(cell.tree, existing=existing, reached=reached))
    while len(_analyses) >= _MOST_ANALYSES:
        _analyses.pop(next(iter(_analyses)), None)
    _analyses[cell.digest] = known
    return replace(known.names, reads=dict(known.names.reads))


def _add_script(names: CellNames, inputs: Inputs, script: str, *, is_inside: bool) -> None:
    """Add what a script that the cell runs with ``%run`` names; *is_inside*: among the notebook's variables."""
    place = next(filter(os.path.isfile, (os.path.expanduser(script), os.path.expanduser(f"{script}.py"))), None)
    if place is None:  # it fails, and nothing is stored, unless the cell writes the script first, or goes where it is
        names.reads_everything |= is_inside
        return
    try:
        with tokenize.open(place) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        names.reads_everything |= is_inside
        return
    found = analyse(tree, existing=inputs.names() if is_inside else (), reached=inputs.reached if is_inside else None)
    names.attributes = names.attributes | found.attributes
    names.modules = names.modules | found.modules
    if is_inside:
        names.reads_everything |= found.reads_everything
        names.reads = {**{name: Read(is_guarded=True) for name in found.reads}, **names.reads}
        names.touched = names.touched | found.touched


def _may_read_everything(names: CellNames, inputs: Inputs) -> bool:
    is_dynamic = any(_is_dynamic(inputs, name) for name, read in names.reads.items() if read.by_value)
    if names.runs_texts and not (is_dynamic or names.reads_everything):
        names.named = frozenset(names.reads)
    return names.reads_everything or names.runs_texts or is_dynamic


def _is_dynamic(inputs: Inputs, name: str) -> bool:
    walk = inputs.walk(name)
    return walk is not None and walk.is_dynamic


def _read_named_in_texts(names: CellNames, inputs: Inputs, existing: frozenset[str]) -> None:
    """Take the variables that are named in string inputs: ``df.query(expression)`` reads them."""
    texts = [inputs.namespace[name] for name in names.reads if inputs.has(name)]
    for text in texts:
        if isinstance(text, str):
            for name in identifiers(text) & existing:
                names.reads.setdefault(name, Read(is_guarded=True))


def _roots(names: CellNames, options: CellOptions, inputs: Inputs) -> Iterator[tuple[str, Root]]:
    for name, read in sorted(names.reads.items()):
        if inputs.namespace.get(name) is os.environ:
            continue  # what is asked of it is heard
        walk = inputs.walk(name) if read.by_value and name not in options.ignore else None
        if walk is not None:
            yield name, Root(inputs.namespace[name], walk)


def _name_facts(names: CellNames, roots: dict[str, Root], inputs: Inputs) -> Iterator[tuple[str, bytes | None]]:
    for name, read in sorted(names.reads.items()):
        if name in roots:
            yield name, roots[name].walk.digest
        elif inputs.has(name):
            yield name, EXISTS
        elif read.is_guarded or inputs.is_builtin(name):
            yield name, None


def _named_variables(texts: Iterable[str]) -> set[str]:
    """The environment variables that are named in the strings, and those that code in the strings asks for."""
    named = {word for text in texts for word in identifiers(text) if word in os.environ and word != "_"}
    return named.union(*(_QUOTED_NAME.findall(text) for text in texts if "environ" in text or "getenv" in text))


def _mentioned_files(names: CellNames, callees: Callees, roots: dict[str, Root]) -> dict[str, tuple[int, int] | None]:
    """Files that are named in the cell, its functions, its inputs, with size and time: some readers cannot be heard.

    Files that do not exist count if the code asks whether files exist.
    """
    asks = not _ASK_FOR_FILES.isdisjoint(names.attributes | callees.calls)
    paths: dict[str, tuple[int, int] | None] = {}
    for text in _path_texts([*_path_inputs(roots), *names.strings, *callees.strings]):
        is_there = os.path.isfile(text)
        if is_there or (asks and _looks_like_path(text) and not os.path.isdir(text)):
            paths[os.path.abspath(text)] = stat_of(text) if is_there else None
    return paths


def _path_texts(texts: list[str]) -> Iterator[str]:
    """The texts that may be paths, and the words of those that may be commands with paths in them."""
    for text in texts[:_MOST_PATHS]:
        if 0 < len(text) < _LONGEST_PATH and "\0" not in text and "\n" not in text:
            yield text
            if " " in text:
                yield from filter(_looks_like_path, text.split()[:_MOST_WORDS])


def _looks_like_path(text: str) -> bool:
    return " " not in text and (os.sep in text or "." in text.strip("."))


def _patches(names: CellNames, callees: Callees, roots: dict[str, Root], inputs: Inputs) -> Patches:
    attributes = names.attributes | callees.calls | {text for text in names.strings if text.isidentifier()}
    modules = [sys.modules.get(name) for name in names.modules]
    reached = {type(part): part for root in roots.values() for part in root.walk.containers}
    called, used = _taken_by_modules(names, roots, inputs)
    values = [*(root.value for root in roots.values()), *reached.values(), *modules, *used]
    return Patches.look(attributes | called, values, builtin_names={*names.reads, *callees.calls} - inputs.names())


def _taken_by_modules(names: CellNames, roots: dict[str, Root], inputs: Inputs) -> tuple[set[str], list[Any]]:
    """The names that functions of the user's own modules use, and the modules of others that these names mean there."""
    functions = [part for root in roots.values() for part in root.walk.containers if isinstance(part, FunctionType)]
    for module in user_modules(names.modules).values():
        functions += [part for part in list(vars(module).values()) if isinstance(part, FunctionType)]
    used: dict[int, ModuleType] = {}
    called: set[str] = set()
    for function in functions:
        space = function.__globals__
        if space is not inputs.namespace and origin_of_globals(space) is Origin.USER:
            calls = callees_of(function.__code__).calls
            called |= calls
            used.update((id(part), part) for name in calls if isinstance(part := space.get(name), ModuleType))
    return called, list(used.values())


def _path_inputs(roots: dict[str, Root]) -> Iterator[str]:
    for root in roots.values():
        for value in (root.value, *_children(root.value)):
            if isinstance(value, PurePath):
                yield str(value)
            elif isinstance(value, str) and ("." in value or os.sep in value):
                yield value


def _children(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value[:_MOST_PATHS])
    if isinstance(value, dict):
        return list(value.values())[:_MOST_PATHS]
    return list(vars(value).values()) if type(value).__module__ == "__main__" and hasattr(value, "__dict__") else []
