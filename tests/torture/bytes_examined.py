"""In a child: does to a copy of the small store what may happen to files, and looks at it in every way in which users do."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import shutil
import sys
import traceback
import warnings
from dataclasses import replace
from typing import Any

from hashstash.errors import StashError
from torture import bytes_stores as stores
from torture.bytes_damages import REPLACED, Damage, do
from torture.children import say
from torture.places import Place

LIMIT = 2.0
"""Seconds within which everything about one damage has to be over."""
_MEMORY = 12 << 30  # of addresses: each environment of lmdb takes one GiB of them
_RUNNING = {"exec", "compile", "marshal.loads", "pickle.find_class", "code.__new__", "function.__new__", "os.system"}


class Wrong(Exception):
    """Something that no user may see."""


class Watch:
    """Whether code is run or made while data are read."""

    def __init__(self) -> None:
        self.is_on = self.is_ready = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _: tuple[Any, ...]) -> None:
        if self.is_on and self.is_ready and event in _RUNNING:
            self.seen.append(event)


def examine(place: str, damages: list[list[Any]], start: int, progress: str, separate: bool, limit: float) -> None:
    """Each of *damages* from *start* on, one after the other, its number in the file *progress* while it is tried."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    examined = Examined(Place.loads(place), separate=separate)
    examined.warm_up()
    say("ready")
    for number in range(start, len(damages)):
        with open(progress, "w") as file:
            file.write(str(number))
        damage = Damage(*damages[number])
        faulthandler.dump_traceback_later(limit, exit=True)
        try:
            say("counts", {examined.tried(damage, number): 1})
        except Wrong as error:
            say("wrong", number, f"{damage}: {error}")
        except Exception as error:  # noqa: BLE001 - what no user should see, whatever it is
            where_from = traceback.format_tb(error.__traceback__)[-1].splitlines()[0].strip()
            say("wrong", number, f"{damage}: {type(error).__name__}: {error} ({where_from})")
        finally:
            faulthandler.cancel_dump_traceback_later()
    say("done")


def _copied(source: str, target: str) -> None:
    """The file, or one of its size without content where nobody reads that."""
    if os.path.basename(source) != "reserve":
        shutil.copy(source, target)
        return
    with open(target, "wb") as file:
        file.truncate(os.path.getsize(source))


class Examined:
    """Copies of the store at a place, each damaged once."""

    def __init__(self, where: Place, *, separate: bool) -> None:
        self.where, self.separate = where, separate
        self.expected = stores.expected()
        self.usual: set[str] = set()
        self.is_repaired = False
        """What was deleted may be found again in a storage of which nothing is sure any more."""
        self.watch = Watch()

    def warm_up(self) -> None:
        """Everything that is imported lazily, imported: afterwards reading data runs no code."""
        self.watch.is_ready = False
        self.tried(None, 0)
        self.watch.is_ready = True

    def warm_up_in_place(self) -> None:
        """:meth:`warm_up` without a copy."""
        self.tried_in_place(None)
        self.watch.is_ready = True

    def tried_in_place(self, damage: Damage | None) -> str:
        """:meth:`tried`, for a store that was damaged already and is put right again by the caller."""
        self.is_repaired = False
        return self._looked_at(self.where, damage)

    def tried(self, damage: Damage | None, number: int) -> str:
        """What became of it, in a word; Wrong if that is not what should."""
        copy = replace(self.where, root=f"{self.where.root}-copy-{os.getpid()}-{number}")
        self.is_repaired = False
        shutil.copytree(self.where.root, copy.root, copy_function=_copied)
        try:
            if damage is not None:
                do(copy.root, damage)
            return self._looked_at(copy, damage)
        except StashError as error:
            if damage is None or damage.kind not in REPLACED or copy.root not in str(error):
                raise
            return "refused"
        finally:
            shutil.rmtree(copy.root, ignore_errors=True)

    def _looked_at(self, copy: Place, damage: Damage | None) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.closing(copy.open()) as stash:
                seen = self._read(stash)
                problems = self._problems(stash)
                affected = [key for key, what in seen.items() if what != "exact"]
                if affected and not problems:
                    raise Wrong(f"check finds nothing, and reading {affected}: {[seen[key] for key in affected]}")
                most = 1 + (damage is not None and damage.kind == "swap")
                if self.separate and len([key for key in affected if key in self.expected]) > most:
                    raise Wrong(f"more than {most} entries are affected: {affected}")
                if not affected and not problems:
                    return "without effect"
                self._repaired(stash, copy, damage)
        return "found by reading" if affected else "found by check only"

    def _read(self, stash: Any) -> dict[Any, str]:
        """For each key what reading it came to; Wrong for values and keys that nobody stored."""
        seen = {key: self._one(stash, key) for key in self.expected}
        seen |= {"items": self._items(stash), "versions": self._versions(stash), "len": self._length(stash)}
        self._default(stash, seen)
        with contextlib.suppress(StashError):
            repr(stash.stats), repr(stash.entries())
        return seen

    def _problems(self, stash: Any) -> list[str]:
        """What check says, but for what it says of the storage as it is, such as a server that writes nothing to a disk."""
        found = [str(problem) for problem in stash.check()]
        if not self.watch.is_ready:
            self.usual = set(found)
        return [problem for problem in found if problem not in self.usual]

    def _one(self, stash: Any, key: Any) -> str:
        self.watch.is_on, self.watch.seen = key != stores.CODE, []
        try:
            value = stash[key]
        except KeyError:
            return "missing"
        except StashError as error:
            if len(str(error)) < 20:
                raise Wrong(f"{key!r}: an error that says nothing: {error!r}") from error
            return f"raises {type(error).__name__}"
        finally:
            self.watch.is_on = False
            if self.watch.seen:
                raise Wrong(f"reading {key!r} runs {self.watch.seen}")
        if stores.told(value) != self.expected[key]:
            raise Wrong(f"{key!r} is {stores.told(value)[:80]}")
        return "exact"

    def _default(self, stash: Any, seen: dict[Any, str]) -> None:
        default = object()
        for key in ("tiny", "large"):
            with contextlib.suppress(StashError):
                is_default = stash.get(key, default) is default
                if is_default != (seen[key] == "missing"):
                    raise Wrong(
                        f"get({key!r}, default) is {'the default' if is_default else 'a value'}, [] {seen[key]}"
                    )

    def _items(self, stash: Any) -> str:
        try:
            found = dict(stash.items())
        except StashError as error:
            return f"raises {type(error).__name__}"
        for key, value in found.items():
            if key in stores.DELETED and self.is_repaired:
                continue
            if key not in self.expected:
                raise Wrong(f"items() has the key {key!r}")
            if stores.told(value) != self.expected[key]:
                raise Wrong(f"items() has {key!r} as {stores.told(value)[:80]}")
        return "exact" if len(found) == len(self.expected) else "not all"

    def _versions(self, stash: Any) -> str:
        try:
            found = stash.get_all(stores.VERSIONED)
        except (StashError, KeyError) as error:
            return f"raises {type(error).__name__}"
        if found is None or list(found) == list(stores.VERSIONS):
            return "exact" if found else "missing"
        if [value for value in stores.VERSIONS if value in found] != list(found):
            raise Wrong(f"the versions are {found}")
        return "not all"

    def _length(self, stash: Any) -> str:
        try:
            length = len(stash)
        except StashError as error:
            return f"raises {type(error).__name__}"
        return "exact" if length == len(self.expected) else f"{length}"

    def _repaired(self, stash: Any, copy: Place, damage: Damage | None) -> None:
        before = {key: self._one(stash, key) for key in self.expected}
        repairs = stash.repair()
        self.is_repaired = True
        # A storage that has lost its last root has lost its last transaction, which is the newest version.
        may_be_older = repairs.restored or (repairs.rebuilt and damage is not None and damage.kind != "flip")
        older = stores.VERSIONS if may_be_older else ()
        with contextlib.closing(copy.open()) as again:
            for which in (stash, again):
                self._after_repair(which, before, repairs, older)

    def _after_repair(self, stash: Any, before: dict[Any, str], repairs: Any, older: tuple[str, ...]) -> None:
        for key, was in before.items():
            if key == stores.VERSIONED and older:
                if stash.get(key) not in (*older, None):
                    raise Wrong(f"after repair {key!r} is {stash.get(key)!r}")
                continue
            found = self._one(stash, key)
            if found not in ("exact", "missing"):
                raise Wrong(f"after repair {key!r} {found}; {repairs!r}")
            if was == "exact" and found != "exact":
                raise Wrong(f"after repair {key!r}, which could be read, {found}; {repairs!r}")
        report = self._problems(stash)
        if report:
            raise Wrong(f"after repair check says {report!r}; {repairs!r}")
        for key in ("new", "tiny"):
            stash[key] = {"written": ["after", key]}
            if stash[key] != {"written": ["after", key]}:
                raise Wrong(f"after repair, what is written as {key!r} is not read")
        length, found = len(stash), len(dict(stash.items()))
        if length != found:
            raise Wrong(f"after repair len is {length}, and there are {found} items; {repairs!r}")
        del stash["new"]
        stash["tiny"] = 1
