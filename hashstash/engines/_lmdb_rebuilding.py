"""Another file in place of a damaged one of LMDB, while other processes that have it open wait to write, as when it is compacted.

They find the mark then by which the library refuses every new transaction, and open what lies there. The mark stays in the file
that is kept aside. Nobody is kept out where the library cannot open the file: who has it open nevertheless sees a tenth of a
second later that another one is in place.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from hashstash.engines import _lmdb_replacing as replacing
from hashstash.engines._lmdb_check import check_metas
from hashstash.engines._lmdb_environment import OPTIONS, file_in, open_steadily
from hashstash.engines._lmdb_writer import Writer, wait_for
from hashstash.errors import CorruptEntry
from hashstash.paths import open_file

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def while_nobody_writes(
    folder: str, map_size: int, work: Callable[[Callable[[Callable[[], None]], None]], Result]
) -> Result:
    """What *work* gives, which is called with the function that it shall have exchange the files in *folder*.

    This process has no environment open there.
    """
    while True:
        replacing.finish(folder)
        identity = file_in(folder)
        with contextlib.closing(Writer(os.path.join(folder, replacing.LOCKS))) as writer:
            env = _opened(folder, map_size)
            if env is None:
                return work(_exchange_at_once)
            with contextlib.closing(env):
                transaction = _begun(folder, env, writer)
                if transaction is None:
                    continue
                try:
                    if identity == file_in(folder):
                        return work(lambda exchange: _exchange(folder, exchange))
                finally:
                    transaction.abort()


def _opened(folder: str, map_size: int) -> Any:
    """What can keep others from writing; nothing where no environment can be opened."""
    try:
        if check_metas(os.path.join(folder, replacing.DATA)):
            return None
        return replacing.in_turn(folder, lambda: open_steadily(folder, map_size=map_size, sync=False, **OPTIONS))
    except (CorruptEntry, lmdb.Error):
        return None


def _begun(folder: str, env: Any, writer: Writer) -> Any:
    """A write transaction; nothing where another file is put in place."""
    while True:
        wait_for(writer.thread(), folder)
        try:
            return env.begin(write=True)
        except lmdb.MapResizedError:
            if replacing.is_left(os.path.join(folder, replacing.DATA)):
                return None
            env.set_mapsize(0)


def _exchange_at_once(exchange: Callable[[], None]) -> None:
    exchange()


def _exchange(folder: str, exchange: Callable[[], None]) -> None:
    """Mark the file and have it exchanged, while nobody can open it."""

    def marked() -> bool:
        path = os.path.join(folder, replacing.DATA)
        # A killed process's would be taken for what belongs to the mark.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, replacing.NEW))
        descriptor = open_file(path, os.O_RDWR)
        try:
            replacing.leave(descriptor)
            exchange()
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    replacing.come_back(descriptor)
            raise
        finally:
            os.close(descriptor)
        return True

    if not replacing.in_turn(folder, marked, alone=True):
        exchange()  # on a file system that locks no folders
