"""The promises that are about places: files of this machine, or a network in between."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashstash.engine import Capability
from hashstash.testing.engine.base import ContractBase
from hashstash.testing.rows import ADDRESS, row

if TYPE_CHECKING:
    from hashstash.engine import Engine


class PromiseContract(ContractBase):
    """What is promised is kept, and what is not promised is not pretended."""

    def test_blob_files_have_a_folder_of_their_own(self, engine: Engine) -> None:
        self.needs(engine, Capability.LOCAL_FILES)
        folder = engine.blob_folder()
        assert folder is not None
        assert os.path.isabs(folder)
        assert folder != self.neighbour(engine).blob_folder()
        os.makedirs(folder)
        path = os.path.join(folder, "a file")
        with open(path, "wb") as file:
            file.write(b"content")
        engine.put(ADDRESS, row("a"))
        assert (list(engine.scan()), engine.count(), os.path.getsize(path)) == ([ADDRESS], 1, 7)

    def test_without_local_files_there_is_no_folder_for_them(self, engine: Engine) -> None:
        if Capability.LOCAL_FILES not in engine.capabilities:
            assert engine.blob_folder() is None

    def test_what_lies_behind_a_network_makes_no_files_here(self, engine: Engine) -> None:
        self.needs(engine, Capability.REMOTE)
        engine.put(ADDRESS, row("a"))
        assert not engine.keeps_files
        assert engine.lock_folder() is None
        assert not os.path.exists(engine.location())

    def test_several_writers_need_a_storage_that_several_processes_see(self, engine: Engine) -> None:
        if Capability.SHARED_WRITERS in engine.capabilities:
            assert Capability.CROSS_PROCESS in engine.capabilities
