"""Which files a cell opens while it runs, heard through Python's audit events, and what else others tell of its doings.

An audit hook cannot be removed, so there is one for the whole process, and it does nothing while no cell is being
watched. Readers written in C++ (Arrow's parquet) open files without an event: for the known ones see
:mod:`~hashstash.cells.readers`; for others, paths named by the cell are facts too.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import site
import stat
import sys
import sysconfig
import urllib.parse
from typing import TYPE_CHECKING, Any, Self

from hashstash.fingerprint.files import LOG, is_empty_log

if TYPE_CHECKING:
    from types import CodeType, FrameType

_DEVICES = "/dev/"
_FILES_IN_MEMORY = "/dev/shm/"  # noqa: S108 - nothing of ours is made there
MOST_TEXTS = 1000
"""Different texts that one cell may run before nobody asks what each of them reads."""
_watching: list[Watch] = []
_is_installed = False

_CHILDREN = frozenset(
    {"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn", "os.spawn"}
)
_FOLDERS = frozenset({"os.listdir", "os.scandir"})
_OWN_READERS = (
    "importlib._bootstrap",
    "_frozen_importlib",
    "importlib.metadata",
    "linecache",
    "zipimport",
    "hashstash.",
)
"""Modules that open files for the interpreter or for us: imports are facts of another kind."""
_IMPORTERS = ("importlib._bootstrap", "_frozen_importlib")
_SOURCES = (".py", ".pyc")
_HELPERS = frozenset(
    {"io", "_pyio", "tokenize", "pathlib", "codecs", "os", "posixpath", "ntpath", "glob", "zipfile", "contextlib"}
)
_RUNS_CELLS = "hashstash.cells.cell"
_WORDS = re.compile(r"[^\s'\"`;|&<>()=,]+")
_MOST_WORDS = 1000
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_BOOKKEEPING = frozenset({".cache", ".config", ".local", ".ipynb_checkpoints", "__pycache__"})


class Watch:
    """What was opened between ``with`` and its end."""

    def __init__(self, ignored: tuple[str, ...] = ()) -> None:
        self.ignored = tuple(os.path.abspath(folder) + os.sep for folder in ignored) + _ignored_folders()
        self.read: dict[str, tuple[int, int] | None] = {}
        """Paths read before the cell wrote them -> size and time when they were first opened."""
        self.written: dict[str, None] = {}
        self.appended: dict[str, tuple[int, int] | None] = {}
        """Those of the written that the cell added to without writing what stood there before -> size and time before that."""
        self.listed: dict[str, tuple[str, ...]] = {}
        """Folders listed -> the names in them at that moment."""
        self.given: dict[str, tuple[int, int] | None] = {}
        """Files that are named to other programs -> size and time before these ran."""
        self.sources: set[str] = set()
        """Sources of modules, or what they were compiled to, that were loaded."""
        self.texts: set[CodeType] = set()
        """What the notebook's own code gave to ``eval`` and ``exec``; of more than :data:`MOST_TEXTS`, only so many and one."""
        self.asked: dict[str, str] = {}
        """Paths that the cell looked for without opening them -> what it was told (:func:`answer`)."""
        self.variables: set[str | None] = set()
        """The variables of the environment that it asked for; ``None``: for all there are."""
        self.own_variables: set[str] = set()
        """The variables that the cell set before it asked for them."""
        self.uses_working_directory = False
        self.own_folders: set[str] = set()

    def __enter__(self) -> Self:
        _install()
        _watching.append(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        _watching.remove(self)

    def counts(self, path: str) -> bool:
        """Whether a file there may be the cell's own, and not the interpreter's or a cache."""
        if path.startswith(_DEVICES) and not path.startswith(_FILES_IN_MEMORY):
            return False
        return not path.startswith(self.ignored)

    def _is_made(self, path: str) -> bool:
        return any(path == folder or path.startswith(folder + os.sep) for folder in self.own_folders)

    def hear_open(self, path: Any, flags: int) -> None:
        full = self.full_path(path)
        if full is None or not self.counts(full):
            return
        is_write = flags & (os.O_WRONLY | os.O_RDWR)
        if not flags & (os.O_WRONLY | os.O_TRUNC) and full not in self.written and not self._is_made(full):
            self.read.setdefault(full, stat_of(full))
        elif not flags & (os.O_WRONLY | os.O_TRUNC) and full in self.appended:
            self.read.setdefault(full, self.appended[full])  # behind which is what stood there before
        if is_write:
            if flags & os.O_APPEND and full not in self.written:
                self.appended[full] = stat_of(full)
            self.written[full] = None

    def hear_folder(self, path: Any) -> None:
        full = self.full_path("." if path is None else path)
        if full is not None and self.counts(full + os.sep) and full not in self.listed and not self._is_made(full):
            self.listed[full] = ()  # listing it here is heard as well
            self.listed[full] = folder_names(full)

    def hear_child(self) -> None:
        self.uses_working_directory = True

    def hear_command(self, command: Any, folder: Any = None) -> None:
        """Note the files and the variables of the environment that are named in what another program is told."""
        words = [command] if isinstance(command, str | bytes | os.PathLike) else command
        for text in (os.fsdecode(word) for word in words if isinstance(word, str | bytes | os.PathLike)):
            for name in _VARIABLE.findall(text):
                self.hear_variable(name)
            for word in (text, *_WORDS.findall(text)[:_MOST_WORDS]):
                path = os.path.abspath(os.path.join(os.fsdecode(folder or ""), word)) if "\0" not in word else ""
                if path and path not in self.written and self.counts(path) and os.path.isfile(path):
                    self.given.setdefault(path, stat_of(path))

    def hear_variable(self, name: str | None) -> None:
        if name not in self.own_variables:
            self.variables.add(name)

    def hear_setting(self, name: str) -> None:
        """What the cell itself has set is no input from then on."""
        if name not in self.variables:
            self.own_variables.add(name)

    def hear_making(self, folder: Any) -> None:
        """What lies in a folder that the cell has made is its own."""
        full = self.full_path(folder)
        if full is not None and not os.path.lexists(full):
            self.own_folders.add(full)

    def hear_question(self, path: Any, *, is_whole: bool) -> None:
        full = self.full_path(path)
        if full is not None and self.counts(full) and full not in self.written and not self._is_made(full):
            told = answer(full, is_whole=is_whole)
            if is_whole:
                self.asked[full] = told
            else:
                self.asked.setdefault(full, told)

    def full_path(self, path: Any) -> str | None:
        """The absolute path, or ``None`` for a file descriptor."""
        if isinstance(path, int) or not isinstance(path, str | bytes | os.PathLike):
            return None
        text = os.fsdecode(path)
        if not os.path.isabs(text):
            self.uses_working_directory = True
        return os.path.abspath(text)


def source_of(path: str) -> str:
    """The source of what may be compiled code."""
    try:
        return importlib.util.source_from_cache(path) if path.endswith(".pyc") else path
    except ValueError:
        return path


def stat_of(path: str) -> tuple[int, int] | None:
    """Size and time of the file, or ``None`` if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return None if is_empty_log(path, found) else (found.st_size, found.st_mtime_ns)


def answer(path: str, *, is_whole: bool) -> str:
    """What somebody is told who asks for *path*: ``absent``, ``file``, ``folder``, ``other``; or for all: size and time."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return "absent"
    if is_whole:
        return f"{found.st_size} {found.st_mtime_ns}"
    return "folder" if stat.S_ISDIR(found.st_mode) else "file" if stat.S_ISREG(found.st_mode) else "other"


def folder_names(path: str) -> tuple[str, ...]:
    """The sorted names in a folder, without the ones that tools keep for themselves; nothing if there is no such
    folder.
    """
    try:
        return tuple(sorted(set(os.listdir(path)) - _BOOKKEEPING))
    except OSError:
        return ()


def watching() -> tuple[Watch, ...]:
    """Those who listen now."""
    return tuple(_watching)


def tell(path: Any, flags: int) -> None:
    """Say that a file is about to be opened, or a folder listed, by a library that the audit events do not reach."""
    for watch in tuple(_watching):
        if os.path.isdir(path):
            watch.hear_folder(path)
        else:
            watch.hear_open(path, flags)


def _install() -> None:
    global _is_installed
    if not _is_installed:
        sys.addaudithook(_hear)
        _is_installed = True


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        _hear_opening(arguments[0], arguments[2], sys._getframe(1))  # noqa: SLF001 - who opens decides
    elif event == "exec":
        if sys._getframe(1).f_globals.get("__name__") == "__main__":  # noqa: SLF001
            for watch in tuple(_watching):
                if len(watch.texts) <= MOST_TEXTS:
                    watch.texts.add(arguments[0])
    elif event == "sqlite3.connect":
        for path in _database_files(arguments[0]):
            for watch in tuple(_watching):
                watch.hear_open(path, os.O_RDONLY)
    elif event in _FOLDERS:
        if not _is_for_the_interpreter(sys._getframe(1)):  # noqa: SLF001
            for watch in tuple(_watching):
                watch.hear_folder(arguments[0])
    elif event == "os.mkdir":
        for watch in tuple(_watching):
            watch.hear_making(arguments[0])
    elif event in _CHILDREN:
        for watch in tuple(_watching):
            watch.hear_child()
            if event == "subprocess.Popen":
                watch.hear_command(arguments[1], arguments[2])
            elif event == "os.system":
                watch.hear_command(arguments[0])


def _hear_opening(path: Any, flags: int, frame: FrameType) -> None:
    if not _is_for_the_interpreter(frame):
        for watch in tuple(_watching):
            watch.hear_open(path, flags)
    elif str(path).endswith(_SOURCES) and _is_import(frame):
        for watch in tuple(_watching):
            watch.sources.add(str(path))


def _database_files(database: Any) -> tuple[str, ...]:
    """The files that a connection of sqlite reads: the database, and its log of what was written but not yet brought into it.

    None for a database in memory.
    """
    text = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    if text.startswith("file:") and not os.path.exists(text):
        try:
            address = urllib.parse.urlsplit(text)
        except ValueError:  # a host that is none: sqlite will refuse it, if it is an address to it at all
            return ()
        is_in_memory = "memory" in urllib.parse.parse_qs(address.query).get("mode", ())
        text = "" if is_in_memory else urllib.parse.unquote(address.path)
    return (text, text + LOG) if text not in ("", ":memory:") else ()


def _is_import(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_IMPORTERS)


def _is_for_the_interpreter(frame: FrameType | None) -> bool:
    """Whether the code that opens is the interpreter's or ours; helpers of the library pass the question on to their
    caller.
    """
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_OWN_READERS):
            return module != _RUNS_CELLS
        if module.partition(".")[0] not in _HELPERS:
            return False
        frame = frame.f_back
    return False


@functools.cache
def _python_folders() -> tuple[str, ...]:
    paths = [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *site.getsitepackages(),
        site.getusersitepackages(),
    ]
    return tuple({os.path.abspath(path) + os.sep for path in paths if path})


def _ignored_folders() -> tuple[str, ...]:
    variables = ("IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    chosen = tuple(found for name in variables if (found := os.environ.get(name)))
    home = os.path.expanduser("~")
    return _folders_of_tools(home, chosen, "" if all(map(os.path.isabs, (home, *chosen))) else os.getcwd())


@functools.lru_cache(maxsize=8)
def _folders_of_tools(home: str, variables: tuple[str, ...], _relative_to: str) -> tuple[str, ...]:
    caches = [
        os.path.join(home, name) for name in (".cache", ".config", ".local", ".ipython", ".jupyter", ".matplotlib")
    ]
    prefixes = [prefix for prefix in (sys.prefix, sys.base_prefix) if not home.startswith(prefix)]
    chosen = [os.path.abspath(path) + os.sep for path in (*variables, *caches, *prefixes)]
    return (*chosen, *_python_folders(), "/proc/", "/sys/")
