"""The format of a graph document: a short program whose operations each make or fill one object.

A document is the byte ``0xC1``, which MessagePack never uses, and then the plain document of ``[version, operations,
root, number of buffers]``. An operation is a list that begins with its number. One that *makes* an object gives it the
next slot; one that *fills* an object names its slot. A child is written either as itself (an atom: none, a bool, a
number, a short string, short bytes) or as ``[slot]``. Every slot is made before it is used, so that a reader walks the
list once, and needs neither recursion nor a search for cycles: a list that contains itself is made empty, and filled
when its items exist.

Numbers below :data:`FIRST_CODE` are data. The others import or call something, and a document that holds one is code.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1

Child: TypeAlias = Any
"""An atom, or a list of one slot."""
Operation: TypeAlias = list[Any]
Walk: TypeAlias = Generator[tuple[Any, "Step | None"], Child, Child]
"""Yields the children of one object, each with its step; is sent what stands for them; returns what stands for it."""

# Data. The comment shows what follows the number.
LIST = 0  # items
DICT = 1  # keys, values
SET = 2  # items
TUPLE = 3  # items
FROZENSET = 4  # items
FILL_LIST = 5  # slot, items
FILL_DICT = 6  # slot, keys, values
FILL_SET = 7  # slot, items
BYTES = 8  # buffer
TEXT = 9  # text, written once however often it is used
HOOK = 10  # tag, plain meta, buffers
WALKED_HOOK = 11  # tag, meta as a child, buffers
VIEW = 12  # memory, offset, shape, strides, dtype as a child, is writable
PLAIN = 13  # a plain tree, as it is (see trees.py)
EXTERNAL = 14  # token: an object that the reader has

FIRST_CODE = 32
MODULE = 32  # name
GLOBAL = 33  # module, qualified name
NAMED = 34  # qualified name in the reader's namespace
CALL = 35  # callable, arguments (children), names and values of keywords
NEW = 36  # class, arguments, names and values of keywords: cls.__new__(cls, ...)
ATTRIBUTES = 37  # slot, names and values for __dict__, names and values for slots
STATE = 38  # slot, state, callable or none
EXTEND = 39  # slot, items
UPDATE = 40  # slot, keys, values
BUFFER = 41  # buffer, is read-only
NAMESPACE = 42  # the reader's namespace itself
EXCEPTION = 43  # class, arguments
LINKS = 44  # slot, cause, context, whether the context is suppressed
MEMBER = 45  # enum class, name
NAMED_OBJECT = 46  # name, class: the object of that name in the notebook or ``__main__``, else cls.__new__(cls)
CODE = 48  # see functions.py: magic number, marshalled, name, qualified name, flags, Python version, source
CELL = 49
FILL_CELL = 50  # slot, content
GLOBALS = 51  # module name, whether the module itself is imported
FUNCTION = 52  # code, globals, names and cells of the closure
FUNCTION_STATE = 53  # slot, names, values
CLASS = 56  # metaclass, names (own, qualified, module), bases, names of slots, original bases, identity
CLASS_STATE = 57  # slot, names, values
REGISTER = 58  # slot of an abstract base class, class
NAMED_TUPLE = 59  # names, fields, defaults of the last fields, identity, whether it is generic (may be absent)
ENUM = 60  # metaclass, names, bases, members (name, content, value), boundary, identity
DATA_CLASS = 61  # slot, parameters, own fields (name, kind, names and values of options)
PROTOCOL = 62  # slot of a class that inherits from Protocol, whether it is checked at run time


ATOMS = frozenset({type(None), bool, int, float, str, bytes})
TEXTUAL = frozenset({str, bytes})
LARGE_ATOM = 1024
"""Longer text and bytes are written once, since copying them to each place where they are used would cost more."""


class Step(NamedTuple):
    """One step on the way to a part of a value: an index, an attribute, or a phrase such as ``<global x>``."""

    kind: str
    name: Any

    def __str__(self) -> str:
        if self.kind == "item":
            return f"[{describe_key(self.name)}]"
        return f".{self.name}" if self.kind == "attribute" else f".<{self.kind} {self.name}>"


def describe_key(key: object) -> str:
    """*key* as a user would type it; only a short name for keys whose ``repr`` is code of the user or long."""
    if type(key) in {str, int, float, bool, bytes, type(None)}:
        text = repr(key)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"<{type(key).__name__}>"


def item(key: object) -> Step:
    """The step ``[key]``."""
    return Step("item", key)


def attribute(name: str) -> Step:
    """The step ``.name``."""
    return Step("attribute", name)


def walk_each(parts: Iterable[tuple[Any, Step | None]]) -> Generator[tuple[Any, Step | None], Child, list[Child]]:
    """Walk several parts; return their children."""
    children = []
    for part in parts:
        children.append(part[0] if is_atom(part[0]) else (yield part))  # noqa: PERF401 (a comprehension cannot yield)
    return children


def is_atom(value: Any) -> bool:
    """Whether *value* stands for itself among the children of an operation."""
    kind = type(value)
    return kind in ATOMS and (kind not in TEXTUAL or len(value) <= LARGE_ATOM)
