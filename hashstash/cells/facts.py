"""Everything a record depends on besides the cell's code, as facts that can be checked one by one.

A record is a hit if all of its facts hold now. Asked for all differences, the same check explains a miss.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import astuple, dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells import patches, settings
from hashstash.cells.surroundings import Surroundings, digest_text, environment_text, working_directory
from hashstash.cells.watch import answer, folder_names
from hashstash.fingerprint import FileFact
from hashstash.fingerprint.modules import find_file
from hashstash.fingerprint.packages import Origin, origin_of_module, package_version, pinned
from hashstash.wording import ago, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.cells.inputs import Inputs
    from hashstash.cells.options import CellOptions

EXISTS = b""
ANY = b"*"
"""Stands for the digest of a variable that a cell which may read any is known not to read, since it binds it."""
WHOLE = "*"
"""Stands for the name of a variable if a cell asks for all of the environment."""
_SAID = {"absent": "it was not there", "file": "it was a file", "folder": "it was a folder"}
_NOW = {"absent": ", and is gone", "file": ", and is a file now", "folder": ", and is a folder now"}


@dataclass(frozen=True, slots=True)
class ModuleFact:
    """A module of the user's that the cell imports: its source file, and what of it is loaded."""

    name: str
    file: FileFact
    loaded: bytes
    """Nothing if it must not be loaded yet, since the cell loads it and changes it then."""
    is_as_loaded: bool = True
    """Whether loading its file leads to what the cell found."""

    def still_holds(self, inputs: Inputs) -> bool:
        """Whether importing the module means the same code: the loaded one if it is loaded, else its file."""
        module = sys.modules.get(self.name)
        if isinstance(module, ModuleType):
            return inputs.module_digest(module) == self.loaded
        return self.is_as_loaded and self._is_found() and self.file.still_holds()

    def _is_found(self) -> bool:
        """Whether importing the name now would lead to that file, as far as one can tell without importing."""
        found = find_file(self.name)
        return found is None or os.path.abspath(found) == os.path.abspath(self.file.path)

    def told(self) -> str:
        """Why it no longer holds, in words."""
        if not self.loaded and self.name in sys.modules:
            return f"module {self.name} is loaded already; the cell had loaded and changed it"
        if self.name not in sys.modules and not self._is_found():
            return f"module {self.name} is now another file, {find_file(self.name)}"
        if self.name not in sys.modules and self.file.still_holds():
            return f"module {self.name} is not loaded; when the cell was stored it was, and was not as its file says"
        return f"module {self.name} changed{file_change(self.file)}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What held when a record was made."""

    names: dict[str, bytes | None] = field(default_factory=dict)
    """Name -> digest of its value; ``None`` if there was none, ``EXISTS`` if only that counts."""
    sharing: bytes = b""
    """Which objects the variables in ``names`` share with one another."""
    everything: bool = False
    """The cell may read any variable, so that a further one is a difference too."""
    environment: dict[str, bytes | None] = field(default_factory=dict)
    files: tuple[FileFact, ...] = ()
    folders: dict[str, bytes] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    """Paths that the cell looked for without reading them -> what it was told."""
    written: tuple[str, ...] = ()
    """Files that the cell added to; only that they exist counts."""
    made: tuple[FileFact, ...] = ()
    """Files that the cell wrote, as it left them."""
    working_directory: str | None = None
    modules: tuple[ModuleFact, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    random: dict[str, bytes] | None = None
    settings: dict[str, dict[str, settings.Then]] = field(default_factory=dict)
    """Library that the cell uses -> setting -> value, as text, of what was not as it is by default; ``None`` if that does not
    matter.
    """
    replaced: dict[str, str] = field(default_factory=dict)
    """Module or class of others -> what the cell may take from it; with a digest, what the user has put there."""

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["files"] = [list(astuple(fact)) for fact in self.files]
        data["made"] = [list(astuple(fact)) for fact in self.made]
        data["modules"] = [[fact.name, list(astuple(fact.file)), *astuple(fact)[2:]] for fact in self.modules]
        return data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Facts:
        """From what :meth:`to_data` gave."""
        files, made = (tuple(FileFact(*fact) for fact in data[kind]) for kind in ("files", "made"))
        modules = tuple(ModuleFact(name, FileFact(*file), *rest) for name, file, *rest in data["modules"])
        return cls(**{**data, "files": files, "made": made, "modules": modules, "written": tuple(data["written"])})

    def differences(self, inputs: Inputs, options: CellOptions) -> Iterator[str]:
        """What no longer holds, in words, the likely and cheap things first."""
        yield from self._option_differences(options)
        names = self._names_that_count(options)
        yield from self._name_differences(inputs, names)
        if self.everything and options.inputs is None:
            known = {name for name, digest in self.names.items() if digest is not None}
            yield from (
                f"`{name}` is new, and the cell may read any variable" for name in sorted(inputs.names() - known)
            )
        yield from self._process_differences()
        for library, then in self.settings.items():
            yield from settings.differences(library, then)
        yield from patches.differences(self.replaced)
        yield from self._file_differences()
        yield from (fact.told() for fact in self.modules if not fact.still_holds(inputs))
        by_value = {name for name, digest in self.names.items() if digest and digest != ANY}
        if by_value.issubset(names) and self.sharing != inputs.sharing(frozenset(by_value)):
            yield "the variables share their objects differently"

    def _option_differences(self, options: CellOptions) -> Iterator[str]:
        for name in sorted((options.also | (options.inputs or frozenset())) - self.names.keys()):
            yield f"`{name}` was not an input when the cell was stored"
        for name in sorted(options.environment - self.environment.keys()):
            yield f"the environment variable {name} was not an input when the cell was stored"
        if options.rng:
            now = Surroundings.look().random_digests
            if self.random is None or any(now.get(name, digest) != digest for name, digest in self.random.items()):
                yield f"the random state differs{self._generators(now)}"

    def _generators(self, now: dict[str, bytes]) -> str:
        if self.random is None:
            return ", which did not count when the cell was stored"
        return " of " + ", ".join(name for name, digest in self.random.items() if now.get(name, digest) != digest)

    def _names_that_count(self, options: CellOptions) -> list[str]:
        chosen = self.names if options.inputs is None else self.names.keys() & options.inputs
        return sorted(name for name in chosen if name not in options.ignore)

    def _name_differences(self, inputs: Inputs, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            then = self.names[name]
            if then == ANY:
                continue
            if then is None or not inputs.has(name):
                if inputs.has(name):
                    yield f"`{name}` exists now"
                elif then is not None:
                    yield f"`{name}` no longer exists"
            elif then != EXISTS and inputs.digest(name) != then:
                yield changed(name)

    def _process_differences(self) -> Iterator[str]:
        for name, then in self.environment.items():
            if environment_digest(name) != then:
                what = "the environment" if name == WHOLE else f"the environment variable {name}"
                yield f"{what} {_since(then, WHOLE if name == WHOLE else os.environ.get(name))}"
        if self.working_directory is not None and self.working_directory != working_directory():
            yield f"the working directory is no longer {self.working_directory}, but {working_directory()}"
        for package, version in self.packages.items():
            now = pinned(package_version(package), "minor")
            if now != version:
                yield f"the package {package} is no longer {version}, but {now or 'not installed'}"

    def _file_differences(self) -> Iterator[str]:
        for fact in self.files:
            if not fact.still_holds():
                yield f"the file {fact.path} changed{file_change(fact)}"
        for folder, then in self.folders.items():
            if names_digest(folder_names(folder)) != then:
                yield f"the folder {folder} holds other files"
        for path, told in self.asked.items():
            now = answer(path, is_whole=told[:1].isdigit())
            if now != told:
                yield f"the path {path} was looked for: {_SAID.get(told, 'it changed')}{_NOW.get(now, '')}"
        for path in self.written:
            if not os.path.exists(path):
                yield f"the file {path}, which the cell wrote, is gone"
        for fact in self.made:
            if not fact.still_holds():
                yield f"the file {fact.path} is no longer as the cell wrote it{file_change(fact)}"


def surely_differ(data: dict[str, Any], inputs: Inputs, options: CellOptions) -> bool:
    """Whether an input has another value than in these facts, which are plain data; ``False`` may mean anything."""
    for name, then in data["names"].items():
        counts = name not in options.ignore and (options.inputs is None or name in options.inputs)
        if then and then != ANY and counts and inputs.has(name) and inputs.digest(name) != then:
            return True
    return False


def changed(name: str) -> str:
    """What is said of an input that has another value."""
    return f"`{name}` changed"


def file_change(fact: FileFact) -> str:
    """What can be told of a file that is not as it was, from its size and time."""
    if fact.size == -1:
        return ": it was not there"
    try:
        now = os.stat(fact.path)
    except OSError:
        return ": it is gone"
    if stat.S_ISDIR(now.st_mode) or type(fact.size) is not int:  # others may have written the fact
        return ""
    when = f"written {ago(now.st_mtime)}"
    if now.st_size != fact.size:
        return f": {_size_change(fact.size, now.st_size)}, {when}"
    if now.st_mtime_ns != fact.mtime_ns:
        return f": of the same size, {when}"
    return ""


def _size_change(before: int, now: int) -> str:
    texts = size_text(before), size_text(now)
    return f"{texts[0]} -> {texts[1]}" if texts[0] != texts[1] else f"{before:,} -> {now:,} bytes"


def _since(then: bytes | None, now: str | None) -> str:
    if then is None:
        return "changed: it was not set"
    return "changed: it is no longer set" if now is None else "changed"


def environment_digest(name: str, variables: dict[str, str] | None = None) -> bytes | None:
    """A digest of the variable's value, now or in *variables*: it may be a secret. :data:`WHOLE` stands for all of them."""
    if name == WHOLE:
        return digest_text(environment_text(Surroundings.look().variables if variables is None else variables))
    value = (os.environ if variables is None else variables).get(name)
    return None if value is None else digest_text(value)


def names_digest(names: Iterable[str]) -> bytes:
    """A digest of file names."""
    return digest_text("\0".join(names))


def installed_packages(names: Iterable[str]) -> dict[str, str]:
    """The installed packages among the loaded modules, with the part of their version that counts."""
    roots = {name.partition(".")[0] for name in names}
    modules = {root: sys.modules.get(root) for root in roots}
    return {
        root: pinned(package_version(root), "minor")
        for root, module in sorted(modules.items())
        if isinstance(module, ModuleType) and origin_of_module(module) is Origin.INSTALLED
    }


def module_fact(name: str, module: ModuleType, loaded: bytes, *, is_as_loaded: bool) -> ModuleFact:
    """The fact for a user's module."""
    return ModuleFact(name, FileFact.record(str(module.__file__)), loaded, is_as_loaded)
