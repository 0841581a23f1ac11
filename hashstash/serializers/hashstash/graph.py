"""Graph mode: identity, cycles, instances, functions and classes. The format is described in nodes.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.codec import Encoded
from hashstash.errors import CorruptEntry, NewerFormat, UnsupportedValue
from hashstash.serializers.hashstash import classes, document, functions, names, revive, special
from hashstash.serializers.hashstash.bounds import Bounds
from hashstash.serializers.hashstash.build import DATA_ACTIONS, Action, Reader, malformed
from hashstash.serializers.hashstash.document import GRAPH_BYTE
from hashstash.serializers.hashstash.nodes import VERSION, Child, Step
from hashstash.serializers.hashstash.trees import plain_trees
from hashstash.serializers.hashstash.walk import CycleThroughHook, External, Walker, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

MAX_CYCLES_THROUGH_HOOKS = 100
ALL_ACTIONS: dict[int, Action] = {
    **DATA_ACTIONS,
    **names.ACTIONS,
    **revive.ACTIONS,
    **functions.ACTIONS,
    **classes.ACTIONS,
}


def dumps_graph(value: Any) -> Encoded:
    """*value* with all that it refers to, each object once; code only if reading it imports or calls something."""
    return _dump(lambda writer: writer.write(value))


def loads_graph(encoded: Encoded) -> Any:
    """The value that :func:`dumps_graph` was given."""
    return _load(encoded, lambda reader, root: reader.get(root))


def dump_roots(
    roots: Mapping[str, Any],
    *,
    external: External | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> Encoded:
    """Several names as one graph: what they share, they share again when they are read.

    *external* gives plain data that stands for an object which the reader will have, or ``None``; such an object is not
    written. *namespace* holds the live variables of a notebook: functions defined there are restored to use the
    reader's, and classes that live there under their own name are found by it, except those among the *roots*, which
    are written whole.
    """
    defined = [value for value in roots.values() if isinstance(value, type)]

    def write(writer: Writer) -> list[Any]:
        # Plain trees last: what they share with the other roots has its slot by then.
        plain = plain_trees(roots, external and (lambda value: external(value) is not None))
        children = {name: writer.write(value, Step("root", name)) for name, value in roots.items() if name not in plain}
        for name, containers in plain.items():
            is_own = not writer.has_any(containers) and roots[name] is not namespace
            children[name] = writer.plain(roots[name]) if is_own else writer.write(roots[name], Step("root", name))
        return [list(roots), [children[name] for name in roots]]

    return _dump(write, external=external, namespace=namespace, by_value=defined)


def load_roots(
    encoded: Encoded,
    *,
    resolve: Callable[[Any], object] | None = None,
    namespace: MutableMapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The roots that :func:`dump_roots` was given; *resolve* finds the object that a token stands for."""

    def read(reader: Reader, root: Any) -> dict[str, Any]:
        if type(root) is not list or len(root) != 2 or not all(type(name) is str for name in root[0]):
            raise malformed("it holds no names")
        return dict(zip(root[0], reader.get_all(root[1]), strict=True))

    loaded: dict[str, Any] = _load(encoded, read, resolve=resolve, namespace=namespace)
    return loaded


def is_graph(data: bytes | bytearray | memoryview) -> bool:
    """Whether a document is a graph rather than plain data."""
    return len(data) > 0 and data[0] == GRAPH_BYTE


def find_walker(value: Any) -> Walker:
    """How a value that is not data is written."""
    kind = type(value)
    if issubclass(kind, type):
        return classes.walk_class
    if issubclass(kind, type(names)):
        return names.walk_module
    return functions.WALKERS.get(kind) or special.find_object_walker(value)


def _dump(write: Callable[[Writer], Child], **options: Any) -> Encoded:
    not_hooked: list[object] = []
    while True:
        writer = Writer(find_walker, not_hooked=not_hooked, **options)
        try:
            root = write(writer)
            break
        except CycleThroughHook as cycle:
            if len(not_hooked) >= MAX_CYCLES_THROUGH_HOOKS:
                raise UnsupportedValue(
                    f"`{writer.path()}` holds too many containers that contain themselves"
                ) from cycle
            not_hooked.append(cycle.value)
    writer.finish()
    table = document.write([VERSION, writer.operations, root, len(writer.buffers)])
    return Encoded(bytes([GRAPH_BYTE]) + bytes(table.document), [*table.buffers, *writer.buffers], writer.is_code)


def _load(encoded: Encoded, read: Callable[[Reader, Any], Any], **options: Any) -> Any:
    if not is_graph(encoded.document):
        raise malformed("it does not begin as one")
    table = document.read(memoryview(encoded.document)[1:], encoded.buffers)
    if type(table) is not list or not table or type(table[0]) is not int:
        raise malformed("it has no version")
    if table[0] > VERSION:
        raise NewerFormat("a stored object graph was written by a newer version of hashstash: pip install -U hashstash")
    if len(table) != 4 or type(table[3]) is not int or not 0 <= table[3] <= len(encoded.buffers):
        raise malformed("its parts are not complete")
    _, operations, root, count = table
    own = encoded.buffers[len(encoded.buffers) - count :]
    if encoded.is_code:
        reader = Reader(own, ALL_ACTIONS, **options)
    else:
        size = sum(memoryview(part).nbytes for part in (encoded.document, *encoded.buffers))
        reader = Reader(own, DATA_ACTIONS, bounds=Bounds(size), **options)
    reader.run(operations)
    try:
        return read(reader, root)
    except (TypeError, ValueError) as error:
        raise CorruptEntry(f"a stored object graph has no value: {error}; delete the entry") from error
