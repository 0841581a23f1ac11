"""Opening, closing, clearing: what belongs to an engine, what belongs to its neighbours, and what stays after it."""

from __future__ import annotations

import gc
import os
import signal
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hashstash.engine import Capability
from hashstash.testing.engine.base import ContractBase, run_alone
from hashstash.testing.rows import ADDRESS, OTHER, is_whole, numbered, row, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.engine import Engine

USES: dict[str, Callable[[Engine], object]] = {
    "get": lambda engine: engine.get(ADDRESS),
    "has": lambda engine: engine.has(ADDRESS),
    "peek": lambda engine: engine.peek(ADDRESS, 20),
    "get_many": lambda engine: list(engine.get_many([ADDRESS])),
    "scan": lambda engine: list(engine.scan()),
    "rows": lambda engine: list(engine.rows()),
    "count": lambda engine: engine.count(),
    "size_bytes": lambda engine: engine.size_bytes(),
    "sections": lambda engine: engine.section("history").get(ADDRESS),
    "check": lambda engine: engine.check(),
    "put": lambda engine: engine.put(OTHER, row("b")),
    "put_many": lambda engine: engine.put_many([(OTHER, row("b"))]),
    "delete": lambda engine: engine.delete(OTHER),
    "sync": lambda engine: engine.sync(),
    "compact": lambda engine: engine.compact(),
    "expire": lambda engine: engine.expire(OTHER, time.time_ns() + 10**12),
}
READS = ("get", "has", "peek", "get_many", "scan", "rows", "count", "size_bytes", "sections", "check")
AS_ORDINARY_USER = """
import ctypes, os
def drop_rights():
    '''Root may write anywhere; without its capabilities it may not.'''
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) != 0:
            raise SystemExit("capset failed")
"""


class LifeContract(ContractBase):
    """Sections, clear, close and open again, two at once, folders."""

    # ---- sections and neighbours ---------------------------------------------------------------------------------

    def test_sections_are_separate(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("main"))
        engine.section("history").put(ADDRESS, row("old"))
        assert engine.get(ADDRESS) == row("main")
        assert engine.section("history").get(ADDRESS) == row("old")
        assert engine.section("meta").get(ADDRESS) is None
        assert (engine.count(), list(engine.scan()), list(engine.rows())) == (1, [ADDRESS], [(ADDRESS, row("main"))])
        assert engine.section("history").delete(ADDRESS)
        assert engine.get(ADDRESS) == row("main")

    def test_sections_do_all_that_engines_do(self, engine: Engine) -> None:
        section = engine.section("history")
        section.put_many([numbered(number) for number in range(50)])
        assert list(section.get_many([numbered(7)[0], ADDRESS])) == [numbered(7)[1], None]
        assert (section.count(), len(list(section.scan())), section.has(numbered(3)[0])) == (50, 50, True)
        assert section.capabilities == engine.capabilities
        assert section.size_bytes() > 0

    def test_a_section_of_any_name_is_listed_once_it_holds_rows(self, engine: Engine) -> None:
        engine.section("bad").put(ADDRESS, row("kept aside"))
        engine.section("history").put(ADDRESS, row("old"))
        assert {"bad", "history"} <= set(engine.section_names())

    def test_a_section_is_swapped_in_by_itself(self, engine: Engine) -> None:
        self.needs(engine, Capability.SWAP)
        engine.put(ADDRESS, row("main"))
        assert engine.section("history").swap(ADDRESS, None, row("old"))
        assert engine.get(ADDRESS) == row("main")

    def test_clear_removes_rows_and_sections(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("main"))
        engine.section("history").put(ADDRESS, row("old"))
        engine.clear()
        assert engine.count() == 0
        assert self.raw_get(engine, ADDRESS) is None
        assert engine.section("history").count() == 0
        engine.clear()
        engine.put(ADDRESS, row("again"))
        assert (engine.get(ADDRESS), engine.count()) == (row("again"), 1)

    def test_clear_reaches_sections_that_another_engine_has_made(self, make: Any, engine: Engine) -> None:
        other = make()
        other.section("bad").put(ADDRESS, row("kept aside"))
        engine.clear()
        assert other.section("bad").count() == 0
        other.close()

    def test_clear_leaves_a_neighbour_in_the_same_storage_alone(self, engine: Engine) -> None:
        neighbour = self.neighbour(engine)
        try:
            neighbour.put(ADDRESS, row("stays"))
            neighbour.section("history").put(ADDRESS, row("stays too"))
            engine.put(ADDRESS, row("goes"))
            engine.section("history").put(ADDRESS, row("goes too"))
            assert (engine.count(), list(engine.scan()), neighbour.get(ADDRESS)) == (1, [ADDRESS], row("stays"))
            engine.clear()
            assert (neighbour.get(ADDRESS), neighbour.count()) == (row("stays"), 1)
            assert neighbour.section("history").get(ADDRESS) == row("stays too")
        finally:
            neighbour.clear()
            neighbour.close()

    def test_compacting_keeps_every_row(self, engine: Engine) -> None:
        rows = dict(numbered(number, "x" * 300) for number in range(400))
        engine.put_many(rows.items())
        engine.section("history").put(ADDRESS, row("old"))
        for number in range(200):
            engine.delete(numbered(number)[0])
        engine.compact()
        assert dict(engine.rows()) == dict(list(rows.items())[200:])
        assert (engine.count(), engine.section("history").get(ADDRESS)) == (200, row("old"))
        engine.put(ADDRESS, row("after"))
        assert engine.get(ADDRESS) == row("after")

    def test_a_sound_storage_checks_clean(self, engine: Engine) -> None:
        engine.put_many(numbered(number) for number in range(100))
        engine.section("history").put(ADDRESS, row("old"))
        assert [found for found in engine.check() if not any(words in found for words in self.advice)] == []

    def test_writing_is_allowed(self, engine: Engine) -> None:
        engine.ensure_writable()
        engine.put(ADDRESS, row("a"))
        engine.ensure_writable()

    def test_the_location_names_the_place(self, engine: Engine) -> None:
        assert engine.location()
        assert self.neighbour(engine).location() != engine.location()

    def test_sync_keeps_what_is_there(self, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        engine.sync()
        assert engine.get(ADDRESS) == row("a")

    # ---- close and open ------------------------------------------------------------------------------------------

    def test_closing_twice_and_using_it_again(self, make: Any) -> None:
        engine = make()
        engine.put(ADDRESS, row("a"))
        engine.close()
        engine.close()
        assert engine.get(ADDRESS) == row("a")
        engine.put(OTHER, row("b"))
        engine.close()

    def test_an_engine_may_be_closed_before_it_was_used(self, make: Any) -> None:
        engine = make()
        engine.close()
        engine.put(ADDRESS, row("a"))
        assert engine.get(ADDRESS) == row("a")
        engine.close()

    @pytest.mark.parametrize("name", USES)
    def test_a_closed_engine_opens_again_for(self, engine: Engine, name: str) -> None:
        engine.put(ADDRESS, row("a"))
        engine.section("history").put(ADDRESS, row("old"))
        before = USES[name](engine) if name in READS else None
        engine.close()
        after = USES[name](engine)
        assert before in (None, after)
        assert engine.get(ADDRESS) == row("a")

    def test_what_was_closed_is_there_when_it_is_opened_again(self, make: Any) -> None:
        first = make()
        first.put_many(numbered(number) for number in range(100))
        first.section("history").put(ADDRESS, row("old"))
        first.close()
        second = make()
        assert dict(second.rows()) == dict(numbered(number) for number in range(100))
        assert (second.count(), second.section("history").get(ADDRESS)) == (100, row("old"))
        second.close()

    def test_a_second_engine_on_the_place_sees_the_rows(self, make: Any, engine: Engine) -> None:
        engine.put(ADDRESS, row("a"))
        second = make()
        assert second.get(ADDRESS) == row("a")
        second.close()
        assert engine.get(ADDRESS) == row("a")

    def test_two_engines_on_one_place_write_in_turn(self, make: Any, engine: Engine) -> None:
        second = make()
        for turn, (writer, reader) in enumerate([(engine, second), (second, engine)] * 5):
            writer.put(ADDRESS, row(str(turn)))
            assert reader.get(ADDRESS) == row(str(turn))
            writer.put(turn.to_bytes(16, "big"), row("own"))
            assert reader.has(turn.to_bytes(16, "big"))
            assert reader.count() == writer.count() == turn + 2
            assert reader.delete(ADDRESS)
            assert writer.get(ADDRESS) is None
            writer.put(ADDRESS, row("again"))
        second.close()

    def test_an_engine_that_is_dropped_leaves_nothing_open(self, make: Any) -> None:
        engine = make()
        engine.put(ADDRESS, row("a"))
        thread = threading.Thread(target=engine.get, args=(ADDRESS,))
        thread.start()
        thread.join()
        del engine
        gc.collect()  # a handle that nobody closed would warn now
        again = make()
        assert again.get(ADDRESS) == row("a")
        again.close()

    # ---- folders -------------------------------------------------------------------------------------------------

    def test_reading_makes_nothing(self, engine: Engine) -> None:
        folder = self.folder(engine)
        for name in READS:
            USES[name](engine)
        engine.delete(ADDRESS)
        engine.close()
        assert not os.path.exists(folder)

    def test_only_the_owner_can_read_what_is_written_under_any_umask(self, engine: Engine) -> None:
        folder = self.folder(engine)
        before = os.umask(0)
        try:
            engine.put_many(numbered(number) for number in range(20))
            engine.put(ADDRESS, row("secret"))
            engine.section("history").put(ADDRESS, row("secret"))
            with engine.lock("name"):
                pass
            engine.close()
        finally:
            os.umask(before)
        assert _readable_by_others(folder) == []

    def test_a_folder_that_must_not_be_written_is_read(self, engine: Engine) -> None:
        self.needs(engine, Capability.CROSS_PROCESS)
        folder = self.folder(engine)
        engine.put_many([(ADDRESS, row("a")), *(numbered(number) for number in range(30))])
        engine.section("history").put(ADDRESS, row("old"))
        engine.close()
        _change_modes(folder, 0o500, 0o400)
        try:
            assert run_alone(AS_ORDINARY_USER + "drop_rights()\n" + self.source(engine), READ_ONLY) == "refused\n"
        finally:
            _change_modes(folder, 0o700, 0o600)
        assert engine.get(ADDRESS) == row("a")

    # ---- interrupts ----------------------------------------------------------------------------------------------

    # What an interrupt has made somebody forget is closed when it is forgotten.
    @pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
    @pytest.mark.parametrize("way", ["put", "swap", "put_many", "get"])
    def test_an_interrupt_leaves_whole_rows_and_a_usable_engine(self, engine: Engine, way: str) -> None:
        rows = [(bytes([number]) * 16, whole(2000, number)) for number in range(20)]
        uses: dict[str, Callable[[], object]] = {
            "put": lambda: [engine.put(*pair) for pair in rows],
            "swap": lambda: [engine.swap(address, None, blob) and engine.delete(address) for address, blob in rows],
            "put_many": lambda: engine.put_many(rows),
            "get": lambda: [engine.get(address) for address, _ in rows],
        }
        engine.put_many(rows)
        for turn in range(12):
            _interrupted(uses[way], after=0.0005 + 0.0007 * turn)
            assert all(is_whole(blob) for address, blob in engine.rows() if address != OTHER)
            engine.put(OTHER, row(str(turn)))
            assert engine.get(OTHER) == row(str(turn))
        thread = threading.Thread(target=engine.put, args=(OTHER, row("thread")), daemon=True)
        thread.start()
        thread.join(60)
        assert engine.get(OTHER) == row("thread")


READ_ONLY = """
from hashstash.errors import StashError
assert engine.get(ADDRESS) == row("a")
assert engine.has(ADDRESS) and engine.peek(ADDRESS, 20)
assert list(engine.get_many([ADDRESS, OTHER])) == [row("a"), None]
assert len(list(engine.scan())) == len(list(engine.rows())) == engine.count() == 31
assert engine.section("history").get(ADDRESS) == row("old")
assert engine.section("meta").get(ADDRESS) is None
engine.size_bytes(); engine.check(); engine.close()
try:
    engine.put(OTHER, row("b"))
except (OSError, StashError):
    print("refused")
assert engine.get(ADDRESS) == row("a")
"""


def _readable_by_others(folder: str) -> list[str]:
    paths = [folder]
    for parent, folders, files in os.walk(folder):
        paths += [os.path.join(parent, name) for name in (*folders, *files)]
    return [path for path in paths if stat.S_IMODE(os.lstat(path).st_mode) & 0o077]


def _change_modes(folder: str, for_folders: int, for_files: int) -> None:
    for parent, _, files in os.walk(folder, topdown=for_folders & 0o200 != 0):
        os.chmod(parent, for_folders)
        for name in files:
            os.chmod(os.path.join(parent, name), for_files)


def _interrupted(work: Callable[[], object], *, after: float) -> None:
    """Repeat *work* until Ctrl-C comes in the middle of it, *after* seconds from now."""
    is_armed = is_over = False

    def interrupt(*_: object) -> None:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            raise KeyboardInterrupt

    def note(dropped: Any) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            note_before(dropped)

    note_before, sys.unraisablehook = sys.unraisablehook, note
    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()

    def ring() -> None:
        while not is_over:
            time.sleep(after)
            signal.pthread_kill(main, signal.SIGUSR1)

    def repeat() -> None:
        nonlocal is_armed
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            is_armed = True  # anew: Python drops what is raised while an object is finalized
            work()
        pytest.fail("no interrupt came")

    bell = threading.Thread(target=ring)
    bell.start()
    try:
        repeat()  # a call of its own: Python 3.13 does not count the jump at a loop's end to the ``try`` around it
    except KeyboardInterrupt:
        pass
    finally:
        is_armed, is_over = False, True
        bell.join()
        signal.signal(signal.SIGUSR1, before)
        sys.unraisablehook = note_before
