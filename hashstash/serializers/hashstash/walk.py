"""Write objects as a graph: a walk without recursion, in which every object is written once.

Each object on the way is a generator that yields its children and is sent what stands for them; the stack of generators
is a list, so that nesting is bounded by memory only, and it is at the same time the path that an error message shows.

What happens when a child is met again before its own children are all written? A list, dict or set is then made empty
at once, and filled later. Anything that needs its children first is walked a second time, up to the list, dict or set
on the cycle, which exists by now; without one on the cycle there is nothing to build it from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hashstash.errors import UnsupportedValue
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.arrays import SharedMemory, is_array
from hashstash.serializers.hashstash.kinds import describe
from hashstash.serializers.hashstash.nodes import ATOMS, TEXTUAL, Child, Operation, Step, Walk, is_atom
from hashstash.serializers.hashstash.types import TypeHook, find_hook
from hashstash.serializers.hashstash.unfinished import Unfinished

if TYPE_CHECKING:
    from hashstash.codec import Buffer

LARGE_BUFFER = 4096
"""Buffers from this size on stay outside of the document."""

ABSENT: Any = object()
Walker = Callable[["Writer", Any], Walk]
External = Callable[[object], Any]


class CycleThroughHook(Exception):
    """A value of a data type contains itself, so that it cannot be written as data."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Writer:
    """One document being written."""

    def __init__(
        self,
        find_walker: Callable[[Any], Walker],
        *,
        external: External | None = None,
        namespace: Mapping[str, Any] | None = None,
        by_value: Iterable[object] = (),
        not_hooked: Iterable[object] = (),
    ) -> None:
        self.operations: list[Operation] = []
        self.late: list[Operation] = []
        self.buffers: list[Buffer] = []
        self.namespace = namespace
        self.by_value = {id(value) for value in by_value}
        self.is_code = False
        self.notes: dict[str, dict[Any, Any]] = {}
        self._not_hooked = {id(value) for value in not_hooked}
        self._find_walker = find_walker
        self._external = external
        self._hooks: dict[type, TypeHook | None] = {}
        self._memory = SharedMemory()
        self._slots: dict[int, int] = {}
        self._slot_count = 0
        self._open: dict[int, int] = {}
        self._open_containers: dict[int, int] = {}
        self._unfinished = Unfinished()
        self._progress = 0
        self._alive: list[object] = []
        self._trail: list[tuple[Walk, Any, Step | None]] = []

    # The walk

    def write(self, value: Any, step: Step | None = None) -> Child:
        """Write *value* and all it refers to; return what stands for it."""
        answer = self.known(value)
        if answer is ABSENT:
            self._enter(value, step)
            answer = None
        while self._trail:
            try:
                child, step = self._trail[-1][0].send(answer)
            except StopIteration as done:
                self._leave()
                answer = done.value
                continue
            answer = self.known(child)
            if answer is ABSENT:
                self._enter(child, step)
                answer = None
        return answer

    def finish(self) -> None:
        """Complete what could only be decided with all objects at hand."""
        self.operations.extend(self.late)
        self._memory.finish(self.buffers, self.buffer)

    def known(self, value: Any) -> Child:
        """What stands for *value* without a walk, or :data:`ABSENT`."""
        if is_atom(value):
            return value
        number = id(value)
        if number in self._slots:
            if self._unfinished.groups:
                self._unfinished.refer(number, len(self._trail) - 1)
            return [self._slots[number]]
        if number in self._open_containers:
            operation = self._open_containers[number]
            return self.emit(value, operation, *([] for _ in range(_PARTS[operation])))
        operation = _FLAT.get(type(value), ABSENT)
        if operation is ABSENT or value is self.namespace or (self._external and self._external(value) is not None):
            return ABSENT
        return self._emit_flat(value, operation)

    def _emit_flat(self, value: Any, operation: int) -> Child:
        """The child for a container that holds atoms only: most are, and need no walk of their own."""
        parts = [list(value), list(value.values())] if operation == nodes.DICT else [list(value)]
        return self.emit(value, operation, *parts) if all(map(_is_flat, parts)) else ABSENT

    def _enter(self, value: Any, step: Step | None) -> None:
        # A walk that ends at once, so that an error raised while choosing the real one has its path.
        self._trail.append((_refused(), value, step))
        walk = self._choose(value)(self, value)
        self._alive.append(value)
        if id(value) in self._open:
            self._check_cycle(value)
        self._open[id(value)] = self._progress
        self._trail[-1] = (walk, value, step)

    def _leave(self) -> None:
        _, value, _ = self._trail.pop()
        self._open.pop(id(value), None)
        if self._unfinished.groups:
            for operation in self._unfinished.leave(value, len(self._trail)):
                self.add(*operation)

    def _choose(self, value: Any) -> Walker:
        kind = type(value)
        if self._external is not None and kind not in ATOMS:
            token = self._external(value)
            if token is not None:
                return lambda writer, value: writer.leaf(value, nodes.EXTERNAL, token)
        if value is self.namespace:
            return lambda writer, value: writer.leaf(value, nodes.NAMESPACE)
        walker = _CONTAINERS.get(kind)
        if walker is not None:
            return walker
        hook = self._hook(kind)
        if hook is not None and id(value) not in self._not_hooked:
            return _array if is_array(value) else _hooked
        return self._find_walker(value)

    def _hook(self, kind: type) -> TypeHook | None:
        try:
            return self._hooks[kind]
        except KeyError:
            return self._hooks.setdefault(kind, find_hook(kind))
        except TypeError:  # a class whose metaclass makes it unhashable
            return None

    def _check_cycle(self, value: Any) -> None:
        """Refuse a second walk of *value* that would meet no more than the first one did."""
        if type(value) not in _CONTAINERS and self._hook(type(value)) is not None and id(value) not in self._not_hooked:
            raise CycleThroughHook(value)
        if self._open[id(value)] < self._progress:
            return
        raise UnsupportedValue(
            f"`{self.path()}`, {describe(value)}, is among the arguments of its own constructor, so that it can never "
            "be built; keep the reference in its state instead"
        )

    # What walkers use

    def emit(self, value: object, *operation: Any) -> Child:
        """Add an operation that makes *value*, unless a walk inside this one has made it already."""
        slot = self._slots.get(id(value))
        if slot is None:
            slot = self._slots[id(value)] = self._slot_count
            self._slot_count += 1
            self._alive.append(value)
            self.add(*operation)
        return [slot]

    def add(self, *operation: Any) -> None:
        """Add an operation that makes nothing."""
        self.operations.append(list(operation))
        self._progress += 1
        self.is_code = self.is_code or operation[0] >= nodes.FIRST_CODE

    def leaf(self, value: object, *operation: Any) -> Walk:
        """The walk of a value without children."""
        return self.emit(value, *operation)
        yield

    def plain(self, value: Any) -> Child:
        """Write a plain tree (see trees.py) as it is."""
        return self.emit(value, nodes.PLAIN, value)

    def has_any(self, identities: set[int]) -> bool:
        """Whether an object of these identities has its slot."""
        return not identities.isdisjoint(self._slots)

    def is_made(self, value: object) -> bool:
        """Whether *value* has its slot."""
        return id(value) in self._slots

    def open_container(self, value: object, number: int) -> None:
        """Note that *value* can be made empty, should one of its children refer to it."""
        self._open_containers[id(value)] = number
        self._progress += 1

    def close_container(self, value: Any, number: int, *parts: Any) -> Child:
        """Make *value* with its parts, or fill it where it had to be made empty."""
        del self._open_containers[id(value)]
        keys = () if number == nodes.LIST or not self._unfinished.groups else value
        slot = self._slots.get(id(value))
        if slot is None:
            if not keys or self._unfinished.holding(keys) is None:
                return self.emit(value, number, *parts)
            (slot,) = self.emit(value, number, *([] for _ in parts))
        self.add_later(keys, _FILL[number], slot, *parts)
        return [slot]

    def begin_state(self, value: object, early: Callable[[], None] | None) -> None:
        """Note that *value* is made, but cannot be hashed before its state is written; see unfinished.py."""
        self._unfinished.begin(value, len(self._trail) - 1, early)

    def is_ready(self, value: Any) -> bool:
        """Whether *value* can be written without a walk, and then hashed."""
        if id(value) in self._slots:
            return value not in self._unfinished
        return is_atom(value) or (type(value) in {tuple, frozenset} and _is_flat(value))

    def add_later(self, keys: Iterable[object], *operation: Any) -> None:
        """Add an operation that makes nothing when all of *keys* can be hashed."""
        group = self._unfinished.holding(keys) if keys and self._unfinished.groups else None
        if group is None:
            self.add(*operation)
        else:
            self._unfinished.wait(group, list(operation))

    def fill_now(self, values: Iterable[object]) -> None:
        """Fill those of *values*, and of their items, that were to be filled later: code is about to look at them."""
        if self._unfinished.groups:
            for operation in self._unfinished.take(self._slots_near(values)):
                self.add(*operation)

    def is_empty_yet(self, values: Iterable[object]) -> bool:
        """Whether one of *values*, or of their items, is to be filled later."""
        return bool(self._unfinished.groups) and self._unfinished.waits(self._slots_near(values))

    def _slots_near(self, values: Iterable[object]) -> set[int]:
        near = list(values)
        near += [part for value in near if isinstance(value, (tuple, list)) for part in value]
        return {self._slots[id(part)] for part in near if id(part) in self._slots}

    def buffer(self, data: Buffer) -> bytes | int:
        """How operations refer to *data*: itself where it is small, else its position among the buffers."""
        view = memoryview(data)
        if view.nbytes < LARGE_BUFFER:
            return bytes(view)
        self.buffers.append(data)
        return len(self.buffers) - 1

    def array(self, value: Any) -> Child:
        """A numpy array; how it is written is decided when all arrays that may share its memory are known."""
        child = self.emit(value, nodes.HOOK)
        self._memory.note(value, self.operations[-1])
        return child

    def unhooked(self, value: Any) -> Walk:
        """The walk of *value* as an object, although its type has a hook."""
        self._not_hooked.add(id(value))
        return self._find_walker(value)(self, value)

    def note(self, topic: str) -> dict[Any, Any]:
        """What the walkers of one topic remember within this document."""
        return self.notes.setdefault(topic, {})

    def keep(self, value: object) -> None:
        """Keep *value* alive until the document is written, so that its identity stays its own."""
        self._alive.append(value)

    def path(self) -> str:
        """Where the walk is, as a user would write it."""
        steps = [step for _, _, step in self._trail if step is not None]
        text = "".join(map(str, steps[1:]))
        first = steps[0].name if steps and steps[0].kind == "root" else "value" + "".join(map(str, steps[:1]))
        return f"{first}{text}"

    def refuse(self, value: object, reason: str = "") -> UnsupportedValue:
        """The error that says where *value* is and what it is."""
        because = f" ({reason})" if reason else ""
        return UnsupportedValue(
            f"`{self.path()}` is {describe(value)}, which cannot be stored{because}; "
            "leave it out, or store what it is made from instead"
        )


def _refused() -> Walk:
    return None
    yield


def _is_flat(values: Iterable[Any]) -> bool:
    kinds = set(map(type, values))
    if not kinds <= ATOMS:
        return False
    return kinds.isdisjoint(TEXTUAL) or all(map(is_atom, values))


def _sequence(number: int, *, is_mutable: bool) -> Walker:
    def walk(writer: Writer, value: Any) -> Walk:
        if is_mutable:
            writer.open_container(value, number)
        children = []
        for index, part in enumerate(list(value)):
            child = writer.known(part)
            children.append((yield part, nodes.item(index)) if child is ABSENT else child)
        return writer.close_container(value, number, children) if is_mutable else writer.emit(value, number, children)

    return walk


def _dict(writer: Writer, value: dict[Any, Any]) -> Walk:
    writer.open_container(value, nodes.DICT)
    keys, children = [], []
    for key, part in list(value.items()):
        keys.append(key if type(key) in ATOMS else (yield key, Step("key", nodes.describe_key(key))))
        child = writer.known(part)
        children.append((yield part, nodes.item(key)) if child is ABSENT else child)
    return writer.close_container(value, nodes.DICT, keys, children)


def _text(writer: Writer, value: str) -> Walk:
    return writer.leaf(value, nodes.TEXT, value)


def _bytes(writer: Writer, value: bytes) -> Walk:
    return writer.leaf(value, nodes.BYTES, writer.buffer(value))


def _array(writer: Writer, value: Any) -> Walk:
    return writer.array(value)
    yield


def _hooked(writer: Writer, value: Any) -> Walk:
    hook = find_hook(type(value))
    assert hook is not None
    try:
        meta, buffers = hook.pack(value)
    except UnsupportedValue:  # of this type, but with a part that is not data, such as a factory of the user
        return (yield from writer.unhooked(value))
    if _is_plain_meta(meta):
        return writer.emit(value, nodes.HOOK, hook.tag, meta, [writer.buffer(buffer) for buffer in buffers])
    writer.keep(meta)
    child = yield meta, Step("inside", hook.tag)
    if writer.is_made(value):
        return writer.emit(value)
    if writer.is_empty_yet([meta]):
        raise CycleThroughHook(value)
    return writer.emit(value, nodes.WALKED_HOOK, hook.tag, child, [writer.buffer(buffer) for buffer in buffers])


def _is_plain_meta(meta: Any) -> bool:
    """Whether *meta* holds no container that could be the user's own, whose identity counts."""
    if type(meta) not in {list, tuple}:
        return type(meta) in ATOMS
    return all(_is_flat(part) if type(part) is tuple else type(part) in ATOMS for part in meta)


_CONTAINERS: dict[type, Walker] = {
    list: _sequence(nodes.LIST, is_mutable=True),
    set: _sequence(nodes.SET, is_mutable=True),
    tuple: _sequence(nodes.TUPLE, is_mutable=False),
    frozenset: _sequence(nodes.FROZENSET, is_mutable=False),
    dict: _dict,
    str: _text,
    bytes: _bytes,
}
_FLAT: dict[type, int] = {
    list: nodes.LIST,
    dict: nodes.DICT,
    tuple: nodes.TUPLE,
    set: nodes.SET,
    frozenset: nodes.FROZENSET,
}
_PARTS = {nodes.LIST: 1, nodes.SET: 1, nodes.DICT: 2}
_FILL = {nodes.LIST: nodes.FILL_LIST, nodes.SET: nodes.FILL_SET, nodes.DICT: nodes.FILL_DICT}
