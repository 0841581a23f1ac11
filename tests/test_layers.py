"""The order of the layers, as a check of every import statement in the package."""

import ast
import functools
import graphlib
import pathlib
import sys
from typing import NamedTuple

import pytest

import hashstash

pytestmark = pytest.mark.once

ROOT = pathlib.Path(hashstash.__file__).parent

LAYERS = {
    0: [
        "imports",
        "leaving",
        "forks",
        "errors",
        "registry",
        "paths",
        "settings",
        "checksum",
        "credentials",
        "wording",
        "tabular",
        "unfolded",
        "hollow",
        "refusals",
        "processes",
        "closed",
        "small_json",
    ],
    1: [
        "keys",
        "entry",
        "codec",
        "decoding",
        "engine",
        "trust",
        "blobs",
        "mapped",
        "folders",
        "locks",
        "leases",
        "single_flight",
        "policy",
    ],
    2: ["engines", "wrappers", "serializers", "compressors", "filters", "policies", "fingerprint"],
    3: [
        "stash",
        "facade",
        "open",
        "choices",
        "store",
        "reading",
        "foreign",
        "key_codec",
        "views",
        "loose",
        "entries",
        "frames",
        "conditions",
        "in_use",
        "upkeep",
        "integrity",
        *(
            "listing",
            "writing",
            "quarantine",
            "history",
            "metadata",
            "statistics",
            "difference",
            "archive",
            "inventory",
        ),
    ],
    4: ["functions", "mapping", "cells", "tables"],
    5: ["display", "profiling", "command_line"],
    6: ["magics", "testing", "compat"],
    7: ["__init__", "__main__"],
}
LEVEL = {name: level for level, names in LAYERS.items() for name in names}
UPWARD_INSIDE_FUNCTIONS = ("stash.py", "__init__.py", "facade/")
SHOWING = {"__repr__", "_repr_html_", "_repr_mimebundle_"}
NOTEBOOK = {"IPython", "ipywidgets", "tqdm", "traitlets", "ipykernel", "matplotlib_inline", "comm"}
MAY_IMPORT_NOTEBOOK = ("display/", "magics/", "cells/capture.py", "cells/shell.py")
MAY_IMPORT_PYTEST = ("testing/",)
BRINGS = {
    "pymongo": {"pymongo", "gridfs"},
    "pandas": {"pandas", "numpy"},
    "pyarrow": {"pyarrow", "numpy"},
    "polars": {"polars", "numpy"},
    "scipy": {"scipy", "numpy"},
}


class Import(NamedTuple):
    file: str
    line: int
    module: str
    is_inside_function: bool
    shows_itself: bool
    """Whether the function is one of those by which an object shows itself."""
    is_for_types: bool
    is_tried: bool


def imports_of(path):
    """Every import of a file: what it names, and whether it stands in a function, under TYPE_CHECKING or under ``try``."""
    file = path.relative_to(ROOT).as_posix()
    found = []

    def visit(node, inside, shows, types, tried):
        if isinstance(node, ast.Import):
            found.extend(Import(file, node.lineno, alias.name, inside, shows, types, tried) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} is a relative import"
            found.extend(Import(file, node.lineno, name, inside, shows, types, tried) for name in _named(node))
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        shows = shows or (isinstance(node, ast.FunctionDef) and node.name in SHOWING)
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, inside, shows, types or (is_guard and child in node.body), tried or _survives(node, child))

    visit(ast.parse(path.read_text()), False, False, False, False)
    return found


def _survives(node, child):
    """Whether *child* is tried in *node*, which goes on where it cannot be imported."""
    if not isinstance(node, ast.Try) or child not in node.body:
        return False
    handlers = [
        handler for handler in node.handlers if handler.type is not None and ast.unparse(handler.type) == "ImportError"
    ]
    return bool(handlers) and not any(isinstance(step, ast.Raise) for handler in handlers for step in handler.body)


def _named(node):
    """``from hashstash import paths`` names the module ``hashstash.paths``, ``from hashstash.paths import x`` that one too."""
    for alias in node.names:
        below = (
            ROOT.joinpath(*node.module.split(".")[1:], alias.name) if node.module.split(".")[0] == "hashstash" else None
        )
        is_module = below is not None and (below.with_suffix(".py").exists() or below.is_dir())
        yield f"{node.module}.{alias.name}" if is_module else node.module


FILES = sorted(ROOT.rglob("*.py"))


@functools.cache
def imports():
    """Of all files; not read while the tests are collected, which each worker does."""
    return [found for path in FILES for found in imports_of(path)]


def own():
    return [found for found in imports() if found.module.partition(".")[0] == "hashstash"]


def other():
    return [
        found for found in imports() if found.module.partition(".")[0] not in {"hashstash", *sys.stdlib_module_names}
    ]


def at_top():
    return [found for found in other() if not (found.is_inside_function or found.is_for_types or found.is_tried)]


def unit_of(file):
    return file.removesuffix(".py").split("/")[0]


def target_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def show(wrong):
    return [f"{found.file}:{found.line} imports {found.module}" for found in wrong]


def test_every_file_has_a_layer():
    assert sorted({unit_of(path.relative_to(ROOT).as_posix()) for path in FILES} - set(LEVEL)) == []


def test_module_level_imports_point_down():
    wrong = [
        found
        for found in own()
        if not found.is_inside_function
        and not found.is_for_types
        and LEVEL[target_of(found.module)] > LEVEL[unit_of(found.file)]
    ]
    assert show(wrong) == []


def test_only_the_facade_imports_upwards_inside_functions():
    """And objects that show themselves, what they are shown with."""
    wrong = [
        found
        for found in own()
        if found.is_inside_function
        and LEVEL[target_of(found.module)] > LEVEL[unit_of(found.file)]
        and not found.file.startswith(UPWARD_INSIDE_FUNCTIONS)
        and not (found.shows_itself and target_of(found.module) == "display")
    ]
    assert show(wrong) == []


def test_imports_for_types_only_point_up_within_a_layer():
    wrong = [
        found
        for found in own()
        if found.is_for_types
        and LEVEL[target_of(found.module)] > LEVEL[unit_of(found.file)]
        and not found.file.startswith(UPWARD_INSIDE_FUNCTIONS)
    ]
    assert show(wrong) == []


def _module_of(file):
    return "hashstash." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def test_files_do_not_import_each_other_in_a_circle():
    modules = {_module_of(path.relative_to(ROOT).as_posix()) for path in FILES}
    graph = {module: set() for module in modules}
    for found in own():
        if not found.is_inside_function and not found.is_for_types and found.module in modules:
            graph[_module_of(found.file)].add(found.module)
    for module in modules:
        graph[module].discard(module)
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_packages_of_one_layer_do_not_import_each_other_in_a_circle():
    """Two packages, such as serializers and fingerprint, may know each other in one direction only."""
    graph = {}
    for found in own():
        if not found.is_inside_function and not found.is_for_types and target_of(found.module) != unit_of(found.file):
            graph.setdefault(unit_of(found.file), set()).add(target_of(found.module))
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_only_what_is_shown_imports_the_notebook():
    wrong = [
        found
        for found in other()
        if found.module.partition(".")[0] in NOTEBOOK and not found.file.startswith(MAY_IMPORT_NOTEBOOK)
    ]
    assert show(wrong) == []


def test_optional_packages_are_imported_at_the_top_only_in_the_file_of_their_name():
    """Or under ``try``, or in a helper that only such files import."""
    wrong = [
        found
        for found in at_top()
        if not found.file.startswith((*MAY_IMPORT_NOTEBOOK, *MAY_IMPORT_PYTEST))
        and not _may_need(found.file, found.module.partition(".")[0])
    ]
    assert show(wrong) == []


def _may_need(file, package):
    stem = file.rpartition("/")[2].removesuffix(".py")
    names = {stem, stem.partition("_")[0], "py" + stem}
    if any(package.lower() in BRINGS.get(name, {name}) for name in names):
        return True
    users = {
        found.file
        for found in own()
        if found.module == _module_of(file) and not found.is_inside_function and not found.is_for_types
    }
    return bool(users) and all(_may_need(user, package) for user in users)


def test_only_the_contracts_import_pytest():
    wrong = [
        found
        for found in other()
        if found.module.partition(".")[0] in {"pytest", "hypothesis"} and not found.file.startswith(MAY_IMPORT_PYTEST)
    ]
    assert show(wrong) == []


def test_nothing_outside_of_an_engine_names_its_package():
    """The engine is the file of that name, with its parts, whose names begin with it."""
    engines = {path.stem for path in (ROOT / "engines").glob("*.py")} - {"__init__", "memory", "pairtree"}
    wrong = [
        found
        for found in other()
        if (package := found.module.partition(".")[0]) in engines
        and not found.file.startswith((f"engines/{package}.py", f"engines/_{package}_"))
    ]
    assert show(wrong) == []
