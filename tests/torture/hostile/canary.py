"""Whether anything ran that should not have: an audit hook in this process, and a file that whatever runs would touch."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any, Self

WORD = "zq_canary"
"""In whatever text or module the payloads want to be run."""
GADGETS = (
    *("zq_canary_module", "numpy_", "collections_", "pandas_", "hashstash_plugin", "helpers", "utils", "my_model"),
    *("antigravity", "this", "idlelib", "turtledemo", "pydoc_data", "lib2to3"),
)
"""Modules that nothing here imports unless an entry asks for it: some beside the notebook, some of the standard library."""
BESIDE = tuple(name for name in GADGETS if name not in sys.stdlib_module_names) + (
    *("sitecustomize", "usercustomize", "blosc", "blosc2", "zstandard", "xxhash", "pytz", "dill", "torch", "sklearn"),
)
_ALWAYS = frozenset(
    {
        *(
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "os.spawn",
            "os.forkpty",
            "os.kill",
            "subprocess.Popen",
            "pty.spawn",
        ),
        *("webbrowser.open", "urllib.Request", "ctypes.dlopen", "smtplib.connect"),
        *("sqlite3.enable_load_extension", "sqlite3.load_extension", "ftplib.connect", "os.putenv"),
    }
)
_PATHS = frozenset(
    {
        *(
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.chmod",
            "os.chown",
            "os.truncate",
        ),
        *("shutil.move", "shutil.copyfile", "shutil.rmtree", "os.utime", "os.setxattr"),
    }
)
_TEXT = frozenset({"exec", "compile", "pickle.find_class", "marshal.loads", "import"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def make_gadgets(folder: str, mark: str) -> None:
    """Modules beside the notebook that leave a mark when they are imported, and a plug-in that is listed as installed."""
    os.makedirs(folder, exist_ok=True)
    code = f"open({mark!r}, 'a').write(__name__ + ' was imported\\n')\n"
    code += f"def fire(*a, **k):\n    open({mark!r}, 'a').write('called\\n')\nPLUGIN = fire\nclass Thing:\n    __new__ = fire\n"
    for name in BESIDE:
        with open(os.path.join(folder, f"{name}.py"), "w") as file:
            file.write(code)
    about = os.path.join(folder, "hashstash_plugin-1.0.dist-info")
    os.makedirs(about, exist_ok=True)
    with open(os.path.join(about, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: hashstash-plugin\nVersion: 1.0\n")
    with open(os.path.join(about, "entry_points.txt"), "w") as file:
        file.writelines(
            f"[hashstash.{kind}]\nevil = hashstash_plugin:PLUGIN\nplugged = helpers:PLUGIN\n"
            for kind in ("engines", "serializers", "compressors", "filters")
        )


class Canary:
    """While it is armed, what happens in this process that only a payload could want, or anywhere that is not *allowed*."""

    def __init__(self, mark: str, allowed: list[str], ports: tuple[int, ...] = ()) -> None:
        self.mark = mark
        self.found: list[str] = []
        shared = ["/dev/shm", "/dev/null", "/proc/self", *((tempfile.gettempdir(),) if not allowed else ())]
        self._allowed = tuple(os.path.realpath(path) for path in allowed) + tuple(shared)
        self._ports = ports
        self._is_armed = False
        sys.addaudithook(self._hear)

    def __enter__(self) -> Self:
        self._is_armed = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_armed = False

    def seen(self) -> list[str]:
        """Everything so far, the marks of other processes included."""
        if os.path.exists(self.mark):
            with open(self.mark) as file:
                self.found += [f"mark: {line.strip()}" for line in file]
            os.unlink(self.mark)
        found, self.found = self.found, []
        return found

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_armed:
            return
        self._is_armed = False
        try:
            if self._is_bad(event, arguments):
                self.found.append(f"{event} {arguments!r:.150}{_origin()}")
        finally:
            self._is_armed = True

    def _is_bad(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in _ALWAYS:
            return True
        if event == "open":
            path, mode, flags = (*arguments, None, None)[:3]
            writes = bool(isinstance(flags, int) and flags & _WRITING) or (
                isinstance(mode, str) and set(mode) & set("wax+")
            )
            return bool(writes) and not self._may(path)
        if event in _PATHS:
            base = next((f"/proc/self/fd/{one}" for one in reversed(arguments) if type(one) is int and one > 2), ".")
            paths = [os.fsdecode(path) for path in arguments if isinstance(path, (str, bytes, os.PathLike))]
            return not all(self._may(os.path.join(base, path)) for path in paths)
        if event == "socket.connect":
            address = arguments[1]
            return not (isinstance(address, (str, bytes)) or (address and address[1] in self._ports))
        if event == "import":
            return str(arguments[0]).partition(".")[0] in GADGETS
        return event in _TEXT and WORD in _text(arguments)

    def _may(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        real = os.path.realpath(os.fsdecode(path))
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in self._allowed)


def _text(arguments: tuple[Any, ...]) -> str:
    parts = []
    for argument in arguments:
        if hasattr(argument, "co_consts"):
            parts += [argument.co_filename, repr(argument.co_names), repr(argument.co_consts)]
        else:
            parts.append(repr(argument))
    return " ".join(parts)


def _origin() -> str:
    """Who was asking, for whoever has to find out."""
    frame = sys._getframe()
    names = []
    while frame is not None and len(names) < 6:
        module = frame.f_globals.get("__name__", "?")
        if not str(module).startswith(("importlib", "torture", "_frozen")):
            names.append(f"{module}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " <- " + " <- ".join(names)
