"""Interrupt a stashed cell at chosen moments, in a process of its own, and tell what was not as it must be.

An interrupt takes effect where the interpreter looks for signals: when a function is entered, and when one written in C has
returned. All of these moments are counted in one run; then the cell runs anew for each chosen one, and is interrupted there.

    python tests/cells/interrupted.py {miss|hit|miss+await|hit+await} POINTS SEED [FIRST LAST]     prints a JSON object
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import signal
import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from hashstash.cells import readers, turns, watch

SETUP = """
import os, random
import numpy as np
items, table, gone, array = [0], {"k": 1}, "there", np.zeros(3)
alias = items
os.environ.pop("CHANGED", None)
random.seed(0)
vars().pop("made", None); vars().pop("done", None)
"""
CELL = """%%stash t
'{mark}'{wait}
items.append(1)
table["new"] = items
array += 2
del gone
print("shown")
os.environ["CHANGED"] = "{mark}"
random.seed(5)
random.random()
made = [items, array]
done = {{"value": 1}}
done
"""
STATE = """(
    items, table, "gone" in globals(), array.tolist(), alias is items, os.environ.get("CHANGED"), random.getstate()[1][:5],
    globals().get("made") and (made[0] is items, made[1] is array, made[0], made[1].tolist()), globals().get("done"),
)"""


class Tripwire:
    """Counts the moments at which an interrupt could come while ``%%stash`` is at work, and sends one at the chosen moment."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.count = 0
        self.is_over = False
        """Whether the cell had run to its end when the interrupt came."""
        self.place = ""
        self._depth = 0
        self._has_run = False

    def __call__(self, frame: Any, event: str, _argument: object) -> None:
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if name == "_run" and event in ("call", "return") and file.endswith("/run_hook.py"):
            self._depth += 1 if event == "call" else -1  # a coroutine returns whenever it waits
        if name == "finish" and event == "call" and file.endswith("/cells/run.py"):
            self._has_run = True
        if not self._depth or event not in ("call", "c_return"):
            return
        self.count += 1
        if self.count == self.at:
            self.is_over = self._has_run
            self.place = f"{event} in {frame.f_code.co_filename}:{frame.f_lineno} {name}"
            signal.raise_signal(signal.SIGINT)


class Session:
    """A shell, and what must hold whatever happens in it."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=config)
        self.shell.run_line_magic("load_ext", "hashstash")
        self.statuses: list[str] = []
        self.shell.display_pub.publish = self._publish
        self.problems: list[str] = []
        self.run("pass")
        self.rest = self.at_rest()

    def _publish(self, data: dict[str, Any], metadata: Any = None, *_others: object, **_more: object) -> None:
        if (metadata or {}).get("hashstash"):
            self.statuses.append(data["text/plain"])

    def run(self, code: str) -> Any:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            result = self.shell.run_cell(code, store_history=True)
        self.shown = shown.getvalue()
        return result

    def state(self) -> Any:
        return eval(STATE, self.shell.user_ns)

    def at_rest(self) -> tuple[Any, ...]:
        """What must be the same before and after every cell."""
        return (
            "write" in vars(sys.stdout),
            "write" in vars(sys.stderr),
            sorted(vars(self.shell.display_pub)),
            [type(finder).__name__ for finder in sys.meta_path],
            len(watch._watching),
            (readers._listeners, len(readers._replaced)),
            len(turns._held),
            signal.getsignal(signal.SIGINT),
            sys.displayhook.__qualname__,
        )

    def clean_run(self, mark: str) -> Any:
        """The state after a whole run, and whether it was restored."""
        self.run(SETUP)
        self.statuses.clear()
        result = self.run(CELL.format(mark=mark, wait=WAIT))
        if not result.success or result.result != {"value": 1} or "shown" not in self.shown:
            self.problems.append(f"{mark}: {result!r} {self.shown!r} {self.statuses}")
        return self.state(), any(": hit" in text for text in self.statuses)

    def interrupted_run(self, mark: str, at: int) -> None:
        self.run(SETUP)
        self.shell.user_ns["Out"].clear()
        before, wire = self.state(), Tripwire(at)
        sys.setprofile(wire)
        try:
            result = self.run(CELL.format(mark=mark, wait=WAIT))
        finally:
            sys.setprofile(None)
        self.check(mark, wire, before, result)

    def count(self, mark: str) -> int:
        self.run(SETUP)
        wire = Tripwire()
        sys.setprofile(wire)
        try:
            self.run(CELL.format(mark=mark, wait=WAIT))
        finally:
            sys.setprofile(None)
        return wire.count

    def check(self, mark: str, wire: Tripwire, before: Any, result: Any) -> None:
        said = f"{mark} ({wire.place})"
        error = result.error_in_exec
        if error is not None and not isinstance(error, KeyboardInterrupt):
            self.problems.append(f"{said}: {error!r}")
        if self.at_rest() != self.rest:
            self.problems.append(f"{said}: left {self.at_rest()}, not {self.rest}")
            self.rest = self.at_rest()
        state = self.state()
        is_whole = state[-1] == {"value": 1}
        if wire.is_over and error is not None and {"value": 1} not in self.shell.user_ns["Out"].values():
            self.problems.append(f"{said}: the value was lost")
        after, was_hit = self.clean_run(mark)
        if KIND == "hit" and (state not in (before, after) or not was_hit):
            self.problems.append(f"{said}: half restored: {state}" if was_hit else f"{said}: not restored any more")
        if wire.is_over and (not is_whole or state != after):
            self.problems.append(f"{said}: the results are {state}, not {after}")
        again, is_hit = self.clean_run(mark)
        if again != after or not is_hit:
            self.problems.append(f"{said}: then {self.statuses} {again}, not {after}")


def main() -> None:
    session = Session()
    # The first of two, since much is imported and looked up only once.
    session.count("first")
    total = session.count("first" if KIND == "hit" else "second")
    points = int(sys.argv[2])
    chosen = random.Random(int(sys.argv[3]))
    # Every other one near the end, where things are put in place.
    moments = sorted({1 + int(total * chosen.uniform(0 if number % 2 else 0.9, 1)) for number in range(points)})
    if len(sys.argv) > 4:
        moments = [*range(int(sys.argv[4]), int(sys.argv[5]))]
    for at in moments:
        mark = f"at {at}"
        if KIND == "hit":
            session.clean_run(mark)
        session.interrupted_run(mark, at)
    print(json.dumps({"moments": total, "problems": session.problems}))


if __name__ == "__main__":
    KIND, _, WAIT = sys.argv[1].partition("+")
    WAIT = WAIT and "; import asyncio; await asyncio.sleep(0)"
    main()
