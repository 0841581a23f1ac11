"""Objects on a cycle that cannot be hashed yet, since they get what their hash depends on only later.

An object whose class has a ``__hash__`` of its own is *unfinished* from when it is made until its state is written, and
so is all that refers to it from inside of it. A set or dict with such a key is made empty, and filled when the object
is complete. Whether something refers to an unfinished object is found out as strongly connected parts of a graph are:
each level of the walk knows the outermost object that it has met again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashstash.serializers.hashstash.nodes import Operation


class Group:
    """Objects that are complete together: when the walk leaves a level."""

    __slots__ = ("joined", "own_level")

    def __init__(self, level: int) -> None:
        self.own_level = level
        self.joined: Group | None = None

    def join(self, other: Group) -> None:
        """Be complete when *other* is."""
        self.joined = other

    def last(self) -> Group:
        """The group that this one has joined, at last."""
        group = self
        while group.joined is not None:
            if group.joined.joined is not None:
                group.joined = group.joined.joined
            group = group.joined
        return group

    @property
    def level(self) -> int:
        """The level of the walk with which the objects are complete."""
        return self.last().own_level


class Unfinished:
    """The unfinished objects of a walk, by identity, in the order in which the walk met them."""

    def __init__(self) -> None:
        self.groups: dict[int, Group] = {}
        """The group of each unfinished object; empty for most of the time, which is the first thing to ask."""
        self._begun: dict[int, Group] = {}
        self._outermost: dict[int, Group] = {}
        self._early: dict[int, Callable[[], None]] = {}
        self._waiting: list[tuple[Group, Operation]] = []
        self._unfilled: set[int] = set()

    def __contains__(self, value: object) -> bool:
        return id(value) in self.groups

    def begin(self, value: object, level: int, early: Callable[[], None] | None) -> None:
        """Note that *value*, at that level, is made; *early* writes what can be written of it at once."""
        self.groups[id(value)] = self._begun[level] = Group(level)
        if early is not None:
            self._early[id(value)] = early

    def refer(self, number: int, level: int) -> None:
        """Note that what is written at that level refers to the object of that identity, if it is unfinished."""
        group = self.groups.get(number)
        if group is not None:
            early = self._early.pop(number, None)
            if early is not None:
                early()
            self._meet(group, level)

    def leave(self, value: object, level: int) -> list[Operation]:
        """Note that *value*, at that level, is written; return the operations that have waited for it."""
        met, begun = self._outermost.pop(level, None), self._begun.pop(level, None)
        if met is not None and met.level < level:
            if begun is not None:
                begun.join(met.last())
            self.groups.setdefault(id(value), met)
            self._meet(met, level - 1)
            return []
        while self.groups and self.groups[number := next(reversed(self.groups))].level >= level:
            del self.groups[number]
            self._early.pop(number, None)
        count = len(self._waiting)
        while count and self._waiting[count - 1][0].level >= level:
            count -= 1
        ready = [operation for _, operation in self._waiting[count:]]
        del self._waiting[count:]
        self._unfilled.difference_update(operation[1] for operation in ready)
        return ready

    def _meet(self, group: Group, level: int) -> None:
        known = self._outermost.get(level)
        if known is None or group.level < known.level:
            self._outermost[level] = group

    def holding(self, keys: Iterable[object]) -> Group | None:
        """What must be complete before *keys* can be hashed, if anything."""
        groups = [self.groups[id(key)] for key in keys if id(key) in self.groups and has_own_hash(key)]
        return min(groups, key=lambda group: group.level, default=None)

    def wait(self, group: Group, operation: Operation) -> None:
        """Keep *operation* until *group* is complete."""
        self._waiting.append((group, operation))
        self._unfilled.add(operation[1])

    def waits(self, slots: set[int]) -> bool:
        """Whether a container in one of *slots* is still to be filled."""
        return not self._unfilled.isdisjoint(slots)

    def take(self, slots: set[int]) -> list[Operation]:
        """The operations that fill the containers in *slots*, which shall wait no longer."""
        if not self.waits(slots):
            return []
        self._unfilled -= slots
        taken = [operation for _, operation in self._waiting if operation[1] in slots]
        self._waiting = [(group, operation) for group, operation in self._waiting if operation[1] not in slots]
        return taken


def has_own_hash(value: object) -> bool:
    """Whether the hash of *value* may depend on what it holds."""
    return type(value).__hash__ is not object.__hash__ and type(value).__hash__ is not None
