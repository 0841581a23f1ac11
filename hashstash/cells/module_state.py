"""What the user's modules hold besides code, and how a cell leaves it.

A cell that calls ``registry.register(...)`` of a module that it imports changes that module. No variable holds the change, so
modules are looked at as they were when the cell began, or as they were when the cell had loaded them.
"""

from __future__ import annotations

import builtins
import importlib
import logging
import sys
import tokenize
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from hashstash.cells import objects
from hashstash.fingerprint import Fingerprinter
from hashstash.fingerprint.modules import is_user_module
from hashstash.fingerprint.written import content, is_as_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hashstash.cells.objects import State

logger = logging.getLogger(__name__)

MODULE = "module"
"""The first part of a token that means something in a module."""
BUILTINS = [MODULE, "builtins", "__dict__"]
"""The token of the dict that ``exec`` puts into every namespace."""
_CODE = (FunctionType, type, property, staticmethod, classmethod)
_IS_CODE = b"code"


class Part(NamedTuple):
    """What a module, or a class in it, has under one name."""

    value: Any
    digest: bytes | None
    """``None`` for what has no state that can be told, such as a lock; of code only which it is counts."""
    state: State


Parts = dict[tuple[str, str], Part]
"""Class, or nothing, and name -> what the module had there."""


def look(module: ModuleType) -> Parts:
    """The data that the module and its own classes hold now, and which functions and classes."""
    return dict(_parts(module))


def _parts(module: ModuleType) -> Iterator[tuple[tuple[str, str], Part]]:
    fingerprinter = Fingerprinter(code=False)
    for place, value in _data(module):
        if isinstance(value, _CODE):
            yield place, Part(value, _IS_CODE, objects.State())
        else:
            walk = fingerprinter.walk(value, ".".join(filter(None, place)))
            yield place, Part(value, None if walk.volatile else walk.digest, objects.look(value))


def _data(module: ModuleType) -> Iterator[tuple[tuple[str, str], Any]]:
    for name, value in content(vars(module)):
        if not isinstance(value, ModuleType):
            yield ("", name), value
    for cls in _own_classes(module):
        for name, value in objects.look(cls).attributes.items():
            if not name.startswith("__") or isinstance(value, FunctionType):
                yield (cls.__name__, name), value


def _own_classes(module: ModuleType) -> list[type]:
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and value.__name__ == name
    ]


def changes(module: ModuleType, before: Parts) -> Iterator[dict[str, Any]]:
    """What :func:`hashstash.cells.objects.apply` needs to bring the module to where it is now, from where it was *before*.

    What cannot be told apart, or has become so, is left as it is.
    """
    now = look(module)
    set_anew: dict[str, dict[str, Any]] = {}
    gone: dict[str, list[str]] = {}
    for (owner, name), part in now.items():
        then = before.get((owner, name))
        if part.digest is None or (then is not None and _is_same(part, then)):
            continue
        if then is None or then.value is not part.value or _is_set_anew(part.value, then):
            set_anew.setdefault(owner, {})[name] = part.value
        else:
            change = objects.change(part.value, then.state) or {}
            yield {"token": [MODULE, module.__name__, f"{owner}.{name}".strip(".")], **change}
    for owner, name in before.keys() - now.keys():
        gone.setdefault(owner, []).append(name)
    for owner in sorted(set_anew.keys() | gone.keys()):
        changed = {"set": set_anew.get(owner, {}), "delete": sorted(gone.get(owner, ()))}
        yield {"token": [MODULE, module.__name__, owner], **{kind: what for kind, what in changed.items() if what}}


def _is_same(part: Part, then: Part) -> bool:
    return part.digest == then.digest and (part.digest != _IS_CODE or part.value is then.value)


def _is_set_anew(value: Any, then: Part) -> bool:
    """Whether it is the same object, but changed where looking at it does not show it."""
    if isinstance(value, _CODE) or objects.change(value, then.state) is not None:
        return False
    return Fingerprinter(code=False).walk(value).digest != then.digest


def kept_objects(module: ModuleType, before: Parts) -> dict[int, list[str]]:
    """The identities of containers and objects that are where they were, with the tokens that mean them."""
    found = {}
    for place, value in _data(module):
        then = before.get(place)
        if isinstance(value, _CODE) or then is None or then.value is not value or _is_set_anew(value, then):
            continue
        if objects.content_of(value) is not None or hasattr(value, "__dict__"):
            found[id(value)] = [MODULE, module.__name__, ".".join(filter(None, place))]
    return found


def resolve(token: Iterable[str], *, may_import: bool) -> Any:
    """What a token of a module means: the module, or something in it.

    Without *may_import* only the dict of the builtins is found: a stranger may have written the token.
    """
    _kind, module, path = token
    if list(token) == BUILTINS:
        return vars(builtins)
    if not may_import:
        raise LookupError(f"it refers to the module {module}, and is not signed by a key that you trust")
    found: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        found = getattr(found, name)
    return found


def is_as_loaded(module: ModuleType, parts: Parts | None) -> bool:
    """Whether loading the module anew would lead to these *parts*, or to what it holds now, as far as one can tell."""
    loaded = _loaded.get(module.__name__)
    if loaded is not None:
        now = parts or look(module)
        return loaded.keys() == now.keys() and all(_is_same(now[place], part) for place, part in loaded.items())
    try:
        with tokenize.open(str(module.__file__)) as source:
            return is_as_written(module, str(module.__file__), source.read())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return False


_loaded: dict[str, Parts] = {}
"""What modules held when cells had loaded them, without the data itself."""


def _without_data(parts: Parts) -> Parts:
    nothing = objects.State()
    return {
        place: Part(part.value if part.digest == _IS_CODE else None, part.digest, nothing)
        for place, part in parts.items()
    }


class FreshModules:
    """Looks at the user's modules as soon as they are loaded, between ``with`` and its end."""

    def __init__(self) -> None:
        self.looked: dict[str, Parts] = {}
        self._waiting: list[str] = []
        self._depth = 0

    def __enter__(self) -> Self:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None, /) -> ModuleSpec | None:
        """What the other finders find; the module is looked at when it has been loaded."""
        for finder in list(sys.meta_path):
            find: Callable[..., ModuleSpec | None] | None = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if type(spec) is ModuleSpec:
                    _Heard.begin(spec, self)
                return spec
        return None

    def begin(self) -> None:
        """A module begins to be loaded."""
        self._depth += 1

    def end(self, name: str) -> None:
        """It is loaded, or was not to be loaded. Modules that load one another may change one another meanwhile."""
        self._depth -= 1
        self._waiting.append(name)
        if self._depth == 0:
            waiting, self._waiting = self._waiting, []
            for module in filter(is_user_module, map(sys.modules.get, waiting)):
                parts = self.looked[module.__name__] = look(module)
                _loaded[module.__name__] = _without_data(parts)


class _Heard(ModuleSpec):
    """A module's spec that says when the module is loaded: unlike a loader around the loader, it is in no traceback."""

    _listener: FreshModules

    @classmethod
    def begin(cls, spec: ModuleSpec, listener: FreshModules) -> None:
        vars(spec)["_listener"] = listener
        spec.__class__ = cls

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_initializing" and value:
            self._listener.begin()
        elif name == "_initializing":
            object.__setattr__(self, "__class__", ModuleSpec)  # a plain one again
            listener = vars(self).pop("_listener")
            try:
                listener.end(self.name)
            except Exception:  # what the module holds is foreign code, and it is loaded all the same
                logger.debug("module %s could not be looked at", self.name, exc_info=True)


def look_at_all(modules: Mapping[str, ModuleType], known: Iterable[Any]) -> dict[str, Parts]:
    """The modules that are not among what is *known*, as they are now."""
    ids = set(map(id, known))
    return {name: look(module) for name, module in modules.items() if id(module) not in ids}
