"""One process at a time may write: a storage is looked at under a shared lock, and changed under an exclusive one.

What was read stays in memory as long as the lock file says that nothing has changed since.
"""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hashstash.engines._embedded import EmbeddedEngine, others_of_this_thread
from hashstash.engines._guard import Guard
from hashstash.engines._nested import in_the_midst
from hashstash.engines._salvage import NEXT_STEP
from hashstash.errors import CorruptEntry
from hashstash.refusals import explain

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class GuardedTurns(EmbeddedEngine):
    """Looking at a storage under a shared lock, and changing it under an exclusive one."""

    _may_vanish: ClassVar[bool] = False
    """Whether rows may be gone without anybody having done anything wrong, as with a restart of the machine."""

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._guard = Guard(os.path.join(folder, "rows.lock"))
        self._seen: object = None
        self._turns = 0
        """How often the storage was looked at or changed."""
        self._is_changing = False

    # What a storage has to do. A handle is whatever it needs for that.

    @abstractmethod
    def _stamp(self) -> object:
        """What changes with the storage where there is no lock file to say so; ``None`` if there is nothing."""

    @abstractmethod
    def _load(self, handle: Any, *, write: bool) -> Any:
        """A handle that shows what is stored now, made from an older one or from nothing; ``None`` if there is nothing."""

    @abstractmethod
    def _save(self, handle: Any) -> None:
        """Make everybody see what was changed through the handle."""

    @abstractmethod
    def _count_rows(self, handle: Any) -> int:
        """How many rows there are."""

    def _seal_of(self, handle: Any) -> int | None:
        """How the storage looks after a change, as a number; ``None`` if nobody could hold it against that."""
        return None

    def _hold_against(self, handle: Any, guard: Guard) -> None:
        """Raise CorruptEntry if what was just read is not what was written last, or make the handle say so later."""

    def _meaning(self, error: Exception, needed: int | None) -> Exception | None:
        """What an error of the library means for the user, or ``None`` if it is none of the library's.

        *needed*: how many bytes were to be stored, if any.
        """
        return None

    # ---- turns ---------------------------------------------------------------------------------------------------

    def _release(self, handle: Any) -> None:
        """Nothing but the lock file, for storages that keep nothing open."""

    def _let_go(self) -> None:
        with self._turn:
            if self._is_changing:
                return  # by this thread, in the midst of which a signal handler or a finalizer came
            self._turns += 1
            try:
                super()._let_go()
            finally:
                self._guard.close()

    def _abandon(self) -> None:
        super()._abandon()
        self._is_changing = False
        self._guard.close()  # the parent keeps the lock that it holds through the same open file, which is not given back here

    def __del__(self) -> None:
        super().__del__()
        guard = getattr(self, "_guard", None)
        if guard is not None:
            guard.close()

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for the handle; ``None`` if nothing was ever written."""
        with self._turn:
            if self._is_changing:
                raise in_the_midst(self._folder)
            handle = self._handle
            if handle is not None and self._is_in_memory(handle) and self._guard.is_still(self._seen):
                with contextlib.suppress(OSError):  # which the careful way meets again
                    result = read(handle)
                    if not self._has_file(handle) or self._guard.is_still(self._seen):
                        return result  # else somebody may have emptied the file under the read
            return self._read_undisturbed(read)

    def _read_undisturbed(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives under the lock; again where a signal handler or a finalizer has taken the lock, and given it back."""
        while True:
            turn = self._turns = self._turns + 1
            try:
                result = self._guarded(lambda: self._read_now(read))
            except Exception:
                if turn == self._turns:
                    raise
            else:
                if turn == self._turns:
                    return result

    def _read_now(self, read: Callable[[Any], Result]) -> Result | None:
        is_guarded = self._guard.enter(alone=False, before_waiting=self._refuse_to_wait)
        self._refuse_half_mended()
        seen = self._guard.change if is_guarded else self._stamp()
        if seen is not None and (self._handle is None or seen != self._seen):
            self._handle = self._load(self._handle, write=False)
            self._seen = seen
            if is_guarded:
                self._hold_what_was_read()
        return None if seen is None or self._handle is None else read(self._handle)

    def _refuse_half_mended(self) -> None:
        if self._guard.is_half_mended:
            raise CorruptEntry(f"{self._folder} is damaged: writing its rows anew has not come to its end; {NEXT_STEP}")

    def _hold_what_was_read(self) -> None:
        """Raise CorruptEntry if there is nothing where there were rows, or something else than what was written."""
        if self._handle is not None:
            self._hold_against(self._handle, self._guard)
        elif self._guard.is_known and self._guard.rows and not self._may_vanish:
            what = f"the file with its {self._guard.rows} rows is gone or empty"
            raise CorruptEntry(f"{self._folder} is damaged: {what}; {NEXT_STEP}")

    def _write(self, write: Callable[[Any], Result], *, added: int | None = None, needed: int | None = None) -> Result:
        """What *write* gives for the handle; it returns how many rows were added, unless *added* says so.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        with self._turn:
            if not self._guard.for_writing() and self.is_read_only():
                self._refuse()
            return self._change(lambda: self._write_now(write, added), needed)

    def _change(self, work: Callable[[], Result], needed: int | None = None) -> Result:
        """:meth:`_guarded`, for what changes the storage; who comes in the midst of it in the same thread is refused."""
        if self._is_changing:
            raise in_the_midst(self._folder)
        try:
            self._is_changing = True
            self._turns += 1
            return self._guarded(work, needed)
        finally:
            self._is_changing = False

    def _write_now(self, write: Callable[[Any], Result], added: int | None) -> Result:
        self._guard.enter(alone=True, before_waiting=self._refuse_to_wait)
        self._refuse_half_mended()
        was_killed = bool(self._guard.change % 2)
        if self._handle is None or self._guard.change != self._seen or not self._is_for_writing(self._handle):
            self._handle = self._load(self._handle, write=True)
            self._hold_against(self._handle, self._guard)
        self._make_reserve()
        before = self._count_rows(self._handle) if was_killed else self._guard.rows
        self._guard.begin()
        result = write(self._handle)
        self._save(self._handle)
        difference: Any = result if added is None else added
        self._guard.finish(max(0, before + difference), self._seal_of(self._handle))
        self._seen = self._guard.change
        return result

    def _guarded(self, work: Callable[[], Result], needed: int | None = None) -> Result:
        """What *work* gives, which takes the lock by :meth:`Guard.enter`; the lock is free afterwards, whatever happens.

        The first step of a function is a place for an interrupt, and so the one that ends the turn may do nothing: then it is
        called again. All that it does may be done twice.
        """
        is_done = is_over = False
        try:
            try:
                self._note_open()
                result = work()
                is_done = True
                return result
            except Exception as error:
                self._explain(error, needed)
                raise
            finally:
                self._end_turn(is_done=is_done)
                is_over = True
        finally:
            if not is_over:
                self._end_turn(is_done=is_done)

    def _refuse_to_wait(self) -> None:
        """Raise StashLocked where the lock may be this thread's own, taken by another engine on the same folder."""
        if others_of_this_thread(self, GuardedTurns):
            raise in_the_midst(self._folder)

    def _end_turn(self, *, is_done: bool) -> None:
        """Give the lock back, whatever fails; what was read may not have been held against the seal where it was interrupted."""
        try:
            if not is_done:
                self._forget()
        finally:
            self._guard.leave()

    def _is_for_writing(self, handle: Any) -> bool:
        return True

    def _is_in_memory(self, handle: Any) -> bool:
        """Whether what a handle answers is right as long as nothing was changed before and after, without the lock."""
        return True

    def _has_file(self, handle: Any) -> bool:
        """Whether a handle looks into a file for its answers."""
        return False

    def _forget(self) -> None:
        """Take nothing that is in memory for what is stored."""
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                self._release(handle)
            except BaseException:  # an interrupt, perhaps before its first step; what is closed already stays so
                self._release(handle)
                raise

    def _explain(self, error: Exception, needed: int | None = None) -> None:
        better = self._meaning(error, needed)
        if better is not None:
            raise better from error
        if isinstance(error, OSError):
            explain(error, self._folder, self._folder, needed)
        if isinstance(error, IsADirectoryError):
            raise CorruptEntry(f"in {self._folder} there is a folder in the place of a file; move it aside") from error
