"""One hostile thing at a time, met within bounds: seconds, memory, errors of ours, and text that steers no terminal."""

from __future__ import annotations

import contextlib
import io
import os
import time
import traceback
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hashstash.errors import StashError
from torture.hostile.canary import Canary
from torture.hostile.used import Hang, in_time

SECONDS = 2.0
"""Of the processor: what anything hostile may take."""
MOST = 64 << 20
LONGEST = 3000
"""Characters that an error may have."""
_WALL = 60
REFUSED = object()


class Trials:
    """What was tried, by family, and what went wrong."""

    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        self.counts: Counter[str] = Counter()
        self.refused = 0
        self.wrong: list[str] = []
        self.most = 0
        self._where = ""

    def count(self, family: str, name: str) -> None:
        """One payload more."""
        self.counts[family] += 1
        self._where = f"{family}, {name}"

    def fail(self, what: str) -> None:
        self.wrong.append(f"{self._where!r:.120}: {what}")

    def met(self, name: str, action: Callable[[], Any], *, errors: tuple[type[Exception], ...] = ()) -> Any:
        """What one thing that a user does gives, or REFUSED; *errors* are right beside ours."""
        out = io.StringIO()
        result: Any = REFUSED
        heard = len(self.canary.found)
        began = time.process_time()
        try:
            with self.canary, in_time(_WALL), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                result = action()
        except (StashError, KeyError) as error:
            self._refuse(name, error)
        except errors:
            self.refused += 1
        except OSError as error:
            self._refuse(name, error)
            if error.errno is None:
                self.fail(f"{name} raises {error!r:.200}")
        except Hang:
            self.fail(f"{name} hangs")
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.fail(f"{name} raises {error!r:.150} at {os.path.basename(last.filename)}:{last.lineno}")
        self.canary.found[heard:] = [f"{self._where!r:.120}: {what}" for what in self.canary.found[heard:]]
        took = time.process_time() - began
        if took > SECONDS:
            self.fail(f"{name} takes {took:.1f} s")
        self.look(name, out.getvalue())
        return result

    def _refuse(self, name: str, error: Exception) -> None:
        self.refused += 1
        self.look(f"the error of {name}", str(error))
        if len(str(error)) > LONGEST:
            self.fail(f"the error of {name} has {len(str(error)):,} characters")

    def look(self, name: str, text: str) -> None:
        """Text for a terminal."""
        if text.isprintable():
            return
        for char in sorted(set(text) - {"\n", "\t"}):
            if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                at = text.index(char)
                self.fail(f"{name} shows {char!r}: {text[max(0, at - 40) : at + 40]!r}")
                return

    def look_at_html(self, name: str, html: str) -> None:
        if "<img" in html or "<script" in html or "zq()>" in html:
            self.fail(f"{name} shows tags: {html[max(0, html.find('zq') - 60) :][:120]!r}")

    @contextlib.contextmanager
    def weighed(self, what: str) -> Iterator[None]:
        """Within it, no more memory than that is taken."""
        forget_peak()
        before = peak()
        yield
        extra = peak() - before
        self.most = max(self.most, extra)
        if extra > MOST:
            self.fail(f"{what} takes {extra >> 20} MB")


def peak() -> int:
    """The most bytes that this process has had in memory since :func:`forget_peak`."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def quietly() -> None:
    """Warnings are not what is tried here."""
    warnings.simplefilter("ignore")
