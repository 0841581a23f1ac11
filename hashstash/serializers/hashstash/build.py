"""Read a graph document: carry out its operations one after the other.

A document of data is carried out by the operations in this file, which import nothing but the packages of type hooks
and call nothing but constructors of data. Those that import or call are handed in, and only for a document that is
code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from hashstash.errors import BadEntry, CorruptEntry, StashError
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.arrays import make_view
from hashstash.serializers.hashstash.nodes import ATOMS
from hashstash.serializers.hashstash.types import restore

if TYPE_CHECKING:
    from hashstash.codec import Buffer
    from hashstash.serializers.hashstash.bounds import Bounds
    from hashstash.serializers.hashstash.nodes import Child

Action = Callable[..., None]


class Reader:
    """One document being read: its slots fill up while the operations are carried out."""

    def __init__(
        self,
        buffers: Sequence[Buffer],
        actions: Mapping[int, Action],
        *,
        resolve: Callable[[Any], object] | None = None,
        namespace: MutableMapping[str, Any] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.slots: list[Any] = []
        self.namespace = namespace
        self.bounds = bounds
        self.notes: dict[str, dict[Any, Any]] = {}
        self._buffers = buffers
        self._is_code = any(number >= nodes.FIRST_CODE for number in actions)
        self._actions = actions
        self._resolve = resolve
        self._memory: dict[int, Buffer] = {}
        self._used: set[int] = set()

    def run(self, operations: object) -> None:
        """Carry out all *operations*."""
        if type(operations) is not list:
            raise malformed("its operations are not a list")
        for operation in operations:
            self._carry_out(operation)

    def _carry_out(self, operation: Any) -> None:
        if type(operation) is not list or not operation or type(operation[0]) is not int:
            raise malformed("an operation is not a list that begins with a number")
        action = self._actions.get(operation[0])
        if action is None:
            raise _refused(operation[0])
        try:
            action(self, *operation[1:])
        except (StashError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # in code, hashing and comparing run methods of the user; data may come from a stranger
            raise self._failed(operation[0], error) from error

    def _failed(self, number: int, error: Exception) -> BadEntry:
        if self._is_code:
            return BadEntry(f"a stored value cannot be restored: {error!r}; store it again")
        return malformed(f"operation {number} cannot be carried out: {error!s:.200}")

    # What actions use

    def make(self, value: Any) -> None:
        """Give *value* the next slot."""
        self.slots.append(value)

    def get(self, child: Child) -> Any:
        """The value that *child* stands for."""
        if type(child) is list:
            (slot,) = child
            return self.slot(slot)
        if type(child) not in ATOMS:
            raise malformed("a child is neither an atom nor a slot")
        return child

    def get_all(self, children: object) -> list[Any]:
        """The values that *children* stand for."""
        if type(children) is not list:
            raise malformed("children are not a list")
        return [child if type(child) in ATOMS else self.get(child) for child in children]

    def keys(self, children: object) -> list[Any]:
        """The values that *children* stand for, which are about to be hashed."""
        values = self.get_all(children)
        if self.bounds is not None:
            self.bounds.check_keys(values)
        return values

    def slot(self, number: object, kind: type | None = None) -> Any:
        """The value in a slot, which must be of exactly the type *kind*, if that is given."""
        if type(number) is not int or not 0 <= number < len(self.slots):
            raise malformed("it refers to an object that was not made yet")
        value = self.slots[number]
        if kind is not None and type(value) is not kind:
            raise malformed(f"it fills a {type(value).__name__} as if it were a {kind.__name__}")
        return value

    def buffer(self, place: object) -> Buffer:
        """The bytes that an operation refers to, which no other operation does."""
        data = self._find_buffer(place)
        if type(place) is int:
            if place in self._used:  # else a few bytes for each use would ask for a copy of the whole buffer
                raise malformed("two values refer to one buffer")
            self._used.add(place)
        return data

    def memory(self, place: object) -> Buffer:
        """The buffer as writable memory, which is the same one whenever it is asked for."""
        data = self._find_buffer(place)
        if not memoryview(data).readonly:
            return data
        if id(data) not in self._memory:
            self._memory[id(data)] = bytearray(data)
        return self._memory[id(data)]

    def _find_buffer(self, place: object) -> Buffer:
        if type(place) is bytes:
            return place
        if type(place) is not int or not 0 <= place < len(self._buffers):
            raise malformed("it refers to a buffer that is not there")
        return self._buffers[place]

    def resolve(self, token: Any) -> object:
        """The live object that *token* stands for."""
        if self._resolve is None:
            raise BadEntry("the stored value refers to objects outside of it; read it with `resolve=`")
        return self._resolve(token)


def malformed(what: str) -> CorruptEntry:
    """The error for a document that no writer makes."""
    return CorruptEntry(f"a stored object graph is malformed: {what}; delete the entry")


def _refused(number: int) -> CorruptEntry:
    if number >= nodes.FIRST_CODE:
        return CorruptEntry("a stored object graph is marked as data, but imports or calls something; delete the entry")
    return malformed(f"there is no operation {number}")


def _pairs(reader: Reader, keys: Any, values: Any) -> zip[tuple[Any, Any]]:
    return zip(reader.keys(keys), reader.get_all(values), strict=True)


def _list(reader: Reader, items: Any) -> None:
    reader.make(reader.get_all(items))


def _dict(reader: Reader, keys: Any, values: Any) -> None:
    reader.make(dict(_pairs(reader, keys, values)))


def _set(reader: Reader, items: Any) -> None:
    reader.make(set(reader.keys(items)))


def _tuple(reader: Reader, items: Any) -> None:
    reader.make(tuple(reader.get_all(items)))


def _frozenset(reader: Reader, items: Any) -> None:
    reader.make(frozenset(reader.keys(items)))


def _fill_list(reader: Reader, slot: Any, items: Any) -> None:
    reader.slot(slot, list).extend(reader.get_all(items))


def _fill_dict(reader: Reader, slot: Any, keys: Any, values: Any) -> None:
    reader.slot(slot, dict).update(_pairs(reader, keys, values))


def _fill_set(reader: Reader, slot: Any, items: Any) -> None:
    reader.slot(slot, set).update(reader.keys(items))


def _bytes(reader: Reader, place: Any) -> None:
    reader.make(bytes(reader.buffer(place)))


def _text(reader: Reader, text: Any) -> None:
    if type(text) is not str:
        raise malformed("a text is not a text")
    reader.make(text)


def _hook(reader: Reader, tag: Any, meta: Any, buffers: Any) -> None:
    if type(buffers) is not list:
        raise malformed("the buffers of a value are not a list")
    reader.make(restore(tag, meta, [reader.buffer(place) for place in buffers]))


def _walked_hook(reader: Reader, tag: Any, meta: Child, buffers: Any) -> None:
    value = reader.get(meta)
    if reader.bounds is not None:
        reader.bounds.check_copies(tag, value)
    _hook(reader, tag, value, buffers)


def _view(reader: Reader, memory: Any, *description: Any) -> None:
    *description, is_writable = description  # type: ignore[assignment]
    reader.make(make_view(reader.memory(memory), *description, is_writable=bool(is_writable)))


def _plain(reader: Reader, value: Any) -> None:
    reader.make(value)


def _external(reader: Reader, token: Any) -> None:
    reader.make(reader.resolve(token))


DATA_ACTIONS: dict[int, Action] = {
    nodes.LIST: _list,
    nodes.DICT: _dict,
    nodes.SET: _set,
    nodes.TUPLE: _tuple,
    nodes.FROZENSET: _frozenset,
    nodes.FILL_LIST: _fill_list,
    nodes.FILL_DICT: _fill_dict,
    nodes.FILL_SET: _fill_set,
    nodes.BYTES: _bytes,
    nodes.TEXT: _text,
    nodes.HOOK: _hook,
    nodes.WALKED_HOOK: _walked_hook,
    nodes.VIEW: _view,
    nodes.PLAIN: _plain,
    nodes.EXTERNAL: _external,
}
