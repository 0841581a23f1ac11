"""What a code object reads from outside: global names, attributes taken from them, imports, names in strings."""

from __future__ import annotations

import dis
import re
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING

from hashstash.fingerprint.source import PerCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_CONSTANT_LOADS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
_DYNAMIC_NAMES = frozenset({"eval", "exec", "globals", "get_ipython"})
NAMESPACES = frozenset({"f_globals", "f_locals", "__globals__", "user_ns", "user_global_ns", "__main__"})
"""Attributes and modules that are the namespace of somebody's code."""
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})
_MODULE_CALLS = frozenset({"import_module", "__import__", "run_module", "resolve_name"})
_MODULE_NAME = re.compile(r"(\.*)([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::[\w.]*)?")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_QUERY_VARIABLE = re.compile(r"@([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement inside a function: ``from {'.' * level}module import names``."""

    module: str
    level: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeReads:
    """What one code object, with the code nested in it, reads from outside of itself."""

    chains: frozenset[tuple[str, ...]]
    """``("helper", "limits", "K")`` for ``helper.limits.K``; a name that is used by itself is a chain of one."""
    imports: frozenset[Import]
    tokens: frozenset[str]
    """Identifiers inside string constants that may be evaluated; most of them name nothing."""
    environment: frozenset[str]
    """Words in strings beside a look at the environment: names of its variables, perhaps."""
    finds_modules: bool
    """Whether it looks modules up by names that are values: ``import_module(...)``, ``sys.modules[...]``."""
    is_dynamic: bool
    """Whether it calls ``eval``, ``globals`` and the like, and may read any global."""
    names: tuple[str, ...]
    """The global names that are loaded, sorted."""


_known = PerCode[CodeReads]()


def code_reads(code: CodeType) -> CodeReads:
    """What *code* reads; kept as long as the code lives."""
    known = _known.get(code)
    return known if known is not None else _known.put(code, _read(code))


def _read(code: CodeType) -> CodeReads:
    nested = [code_reads(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    chains = frozenset(_chains(code)).union(*(inner.chains for inner in nested))
    finds_modules = _finds_modules(code)
    is_dynamic = (
        any(chain[0] in _DYNAMIC_NAMES for chain in chains)
        or not NAMESPACES.isdisjoint(code.co_names)
        or (finds_modules and ("__name__" in code.co_names or "__main__" in code.co_consts))
    )
    imports = set(_imports(code))
    if finds_modules:
        imports.update(modules_named(text for inner in _with_nested(code) for text in _strings(inner.co_consts)))
    return CodeReads(
        chains=chains,
        imports=frozenset(imports).union(*(inner.imports for inner in nested)),
        environment=frozenset(_variables(code)).union(*(inner.environment for inner in nested)),
        tokens=frozenset(_tokens(code, is_dynamic)).union(*(inner.tokens for inner in nested)),
        finds_modules=finds_modules,
        is_dynamic=is_dynamic,
        names=tuple(sorted({chain[0] for chain in chains})),
    )


def _chains(code: CodeType) -> Iterator[tuple[str, ...]]:
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        if chain and instruction.opname in _ATTRIBUTE_LOADS:
            chain.append(instruction.argval)
            continue
        if instruction.opname == "EXTENDED_ARG":
            continue
        if chain:
            yield tuple(chain)
        chain = [instruction.argval] if instruction.opname in _GLOBAL_LOADS else []


def _imports(code: CodeType) -> Iterator[Import]:
    constants: list[object] = [0, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname in _CONSTANT_LOADS:
            constants = [constants[-1], instruction.argval]
        elif instruction.opname == "IMPORT_NAME":
            level, names = constants
            yield Import(
                instruction.argval, level if isinstance(level, int) else 0, names if isinstance(names, tuple) else ()
            )


def _finds_modules(code: CodeType) -> bool:
    names = {name for inner in _with_nested(code) for name in inner.co_names}
    return not _MODULE_CALLS.isdisjoint(names) or {"sys", "modules"} <= names


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def modules_named(texts: Iterable[str]) -> Iterator[Import]:
    """What these texts may name as modules: relative ones in the package of the function, and in each that is named.

    Most texts name no module of the user's, and then say nothing. A name that is put together while the function runs
    is not known.
    """
    found = [match.groups() for match in map(_MODULE_NAME.fullmatch, texts) if match]
    packages = [name.split(".") for dots, name in found if not dots]
    for dots, name in found:
        yield Import(name, len(dots), ())
        if dots:
            above = len(dots) - 1
            bases = [parts[: len(parts) - above] for parts in packages if len(parts) > above]
            yield from (Import(".".join([*base, name]), 0, ()) for base in bases)


def _tokens(code: CodeType, is_dynamic: bool) -> Iterator[str]:
    """All identifiers where strings may be evaluated; elsewhere those after ``@``, as in a pandas query."""
    pattern = _IDENTIFIER if is_dynamic else _QUERY_VARIABLE
    for text in _strings(code.co_consts):
        yield from pattern.findall(text)


def _variables(code: CodeType) -> Iterator[str]:
    """Words that may name environment variables, in code that looks at the environment."""
    if not _ENVIRONMENT.isdisjoint(code.co_names):
        for constant in code.co_consts:
            text = constant.decode("ascii", "replace") if isinstance(constant, bytes) else constant
            if isinstance(text, str) and _IDENTIFIER.fullmatch(text):
                yield text


def _strings(constants: tuple[object, ...]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from _strings(constant)
