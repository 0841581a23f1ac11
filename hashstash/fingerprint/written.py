"""Whether a loaded module still holds what its file says.

Every attribute must be accounted for by a statement of the file: a function by its code and its defaults, a class by what its
body holds, data by a literal, anything else by the import that brought it in. What cannot be accounted for counts as changed.
"""

from __future__ import annotations

import ast
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.classes import written_attributes
from hashstash.fingerprint.source import SourceIndex, source_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MACHINERY = frozenset(
    f"__{name}__"
    for name in [
        "name",
        "doc",
        "package",
        "loader",
        "spec",
        "path",
        "file",
        "cached",
        "builtins",
        "warningregistry",
        "annotations",
        "getattr",
        "dir",
        "all",
    ]
)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def content(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a module holds besides what the import system put there."""
    return ((name, value) for name, value in list(namespace.items()) if name not in _MACHINERY)


def is_as_written(module: ModuleType, file: str, text: str | None) -> bool:
    """Whether a loaded module holds what the *text* of its file says."""
    index = source_index(file, text) if text is not None else None
    if text is None or index is None:
        return False
    written = _Written(module, index, ast.parse(text))
    return all(written.says(name, value) for name, value in content(vars(module)))


class _Written:
    """The statements of a module's file."""

    def __init__(self, module: ModuleType, index: SourceIndex, tree: ast.Module) -> None:
        self._module = module
        self._index = index
        self._functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS)}
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._literals = literals(tree.body)
        self._imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]

    def says(self, name: str, value: Any) -> bool:
        """Whether a statement gives *name* this *value*."""
        if name in self._functions:
            return self._is_function(value, self._functions[name], "")
        if name in self._classes:
            return self._is_class(value, self._classes[name])
        if name in self._literals:
            return _same_data(self._literals[name], value)
        return self._is_imported(name, value)

    def _is_function(self, value: Any, node: ast.FunctionDef | ast.AsyncFunctionDef, decorator: str) -> bool:
        """Whether *value* is what *node* defines, below the *decorator* of that name and no other."""
        decorators = [getattr(one, "id", None) for one in node.decorator_list]
        if type(value) is not FunctionType or decorators != ([decorator] if decorator else []) or vars(value):
            return False
        found = self._index.node_of(value.__code__)
        if not isinstance(found, _FUNCTIONS) or found.name != node.name:
            return False
        named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        keywords = {argument.arg: default for argument, default in named if default is not None}
        live = value.__kwdefaults__ or {}
        return (
            _are_literals(node.args.defaults, value.__defaults__ or ())
            and keywords.keys() == live.keys()
            and _are_literals(list(keywords.values()), tuple(live[key] for key in keywords))
        )

    def _is_class(self, value: Any, node: ast.ClassDef) -> bool:
        if not isinstance(value, type) or value.__module__ != self._module.__name__ or node.decorator_list:
            return False
        methods = {inner.name: inner for inner in node.body if isinstance(inner, _FUNCTIONS)}
        data = literals(node.body)
        for name, attribute in written_attributes(value):
            if name in methods:
                decorator = type(attribute).__name__ if isinstance(attribute, (staticmethod, classmethod)) else ""
                if not self._is_function(getattr(attribute, "__func__", attribute), methods[name], decorator):
                    return False
            elif name == "__doc__":
                if attribute != ast.get_docstring(node, clean=False):
                    return False
            elif not (name in data and _same_data(data[name], attribute)):
                return False
        return True

    def _is_imported(self, name: str, value: Any) -> bool:
        """Whether an import statement binds *name* to this *value*, or the import system a module to its package."""
        if isinstance(value, ModuleType) and sys.modules.get(f"{self._module.__name__}.{name}") is value:
            return True
        return any(self._binds(node, name, value) for node in self._imports)

    def _binds(self, node: ast.Import | ast.ImportFrom, name: str, value: Any) -> bool:
        for alias in node.names:
            if isinstance(node, ast.Import):
                bound, place = alias.asname or alias.name.partition(".")[0], alias.name
                if bound == name and sys.modules.get(place if alias.asname else bound) is value:
                    return True
                continue
            source = sys.modules.get(self._absolute(node))
            wanted = name if alias.name == "*" else alias.name
            if alias.name == "*" or (alias.asname or alias.name) == name:
                submodule = sys.modules.get(f"{self._absolute(node)}.{wanted}")
                if source is not None and (vars(source).get(wanted) is value or submodule is value):
                    return True
        return False

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = str(vars(self._module).get("__package__") or "").split(".")
        base = above[: len(above) - node.level + 1]
        return ".".join([*base, node.module] if node.module else base)


def _are_literals(nodes: list[ast.expr], values: tuple[Any, ...]) -> bool:
    if len(nodes) != len(values):
        return False
    try:
        return all(_same_data(ast.literal_eval(node), value) for node, value in zip(nodes, values, strict=True))
    except ValueError:
        return False


def literals(body: list[ast.stmt]) -> dict[str, Any]:
    """What the simple assignments among *body* assign, where it is a literal; of several to a name, the last."""
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name, value = node.target.id, node.value
        else:
            continue
        found.pop(name, None)
        try:
            found[name] = ast.literal_eval(value)
        except ValueError:
            continue
    return found


def _same_data(written: Any, value: Any) -> bool:
    return type(written) is type(value) and repr(written) == repr(value)
