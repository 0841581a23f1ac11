"""Everything that is listened to while a cell runs: what it shows, what it opens and asks for, which maps it starts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hashstash.cells.capture import Recorder
from hashstash.cells.figures import OpenFigures
from hashstash.cells.interrupts import HeldBack
from hashstash.cells.maps import StartedMaps
from hashstash.cells.module_state import FreshModules
from hashstash.cells.questions import hearing_questions
from hashstash.cells.readers import hearing_readers
from hashstash.cells.watch import Watch

if TYPE_CHECKING:
    from hashstash.cells.shell import Shell


class Listening:
    """Begins with :meth:`start`, and ends with :meth:`stop`, whatever happens in between."""

    def __init__(self, shell: Shell, own_folders: tuple[str, ...], *, max_output: int) -> None:
        self.recorder = Recorder(shell, max_output)
        self.watch = Watch(own_folders)
        self.fresh = FreshModules()
        self.figures = OpenFigures()
        self._readers = hearing_readers(shell.user_ns)
        self._questions = hearing_questions(shell)
        self._maps = StartedMaps()
        self._stack = ExitStack()
        self._is_stopped = False

    def start(self) -> None:
        """Whoever calls this calls :meth:`stop` too, even if it is interrupted."""
        with HeldBack():
            for part in (self.recorder, self.watch, self.fresh, self.figures, self._readers, self._questions):
                self._stack.enter_context(part)

    def finish(self, *, is_value_shown: bool) -> None:
        """Wait for what belongs to the cell and has not appeared yet."""
        self._maps.wait()  # their bars belong to what the cell showed
        self.recorder.finish(is_value_shown=is_value_shown)

    def stop(self) -> None:
        """Leave streams, displays and libraries as they were. May be called again."""
        if not self._is_stopped:
            with HeldBack():
                self._stack.close()
                self._is_stopped = True
