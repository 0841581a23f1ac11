"""One process that encodes and decodes with one serializer, as often as it is asked.

It reads lines of JSON from its standard input, ``[kind, divisor]``, and answers each with one line: the seconds and the
size of a round trip that came back as it was, or what was wrong with it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.encoders import ENCODERS, Encoder, Unsupported
from benchmarks.values import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 20
"""Seconds that encoding or decoding one value may take."""
_LONGEST_REASON = 150
_BLOCK = 0.02
_MOST_REPEATED = 2000


class TooLong(BaseException):
    """Not an Exception, which a serializer might catch."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TooLong within the block once the time is over, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(encoder: Encoder, value: Any, check: Callable[[Any, Any], None]) -> dict[str, Any]:
    """One round trip: ``{"size": bytes}`` if the value came back as it was, else a verdict and the reason for it."""
    try:
        with limited(LONGEST):
            data = encoder.encode(value)
            size = encoder.size(data)
            back = encoder.decode(encoder.store(data))
    except Unsupported:
        return {"verdict": "-"}
    except TooLong:
        return {"verdict": f"over {LONGEST} s"}
    except Exception as error:
        return {"verdict": f"fails: {type(error).__name__}", "reason": _short(error)}
    try:
        check(value, back)
    except Exception as error:  # what came back may be anything, and refuse to be looked at
        return {"verdict": "wrong", "reason": _short(error)}
    return {"size": size}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__


def measure(encoder: Encoder, value: Any) -> dict[str, float]:
    """The seconds of encoding *value* once, and of decoding it once."""
    data = encoder.store(encoder.encode(value))
    return {"encode": _seconds(lambda: encoder.encode(value)), "decode": _seconds(lambda: encoder.decode(data))}


def _seconds(work: Callable[[], Any]) -> float:
    """The processor's time, of all threads: nothing here waits for anything, and other programs disturb it less."""
    started = time.process_time()
    work()
    once = time.process_time() - started
    times = max(1, min(_MOST_REPEATED, int(_BLOCK / max(once, 1e-9))))
    gc.collect()
    started = time.process_time()
    kept = [work() for _ in range(times)]  # each result lives on until the clock has stopped, as those of a user do
    seconds = time.process_time() - started
    del kept
    return seconds / times


@cache
def _value(kind: str, divisor: int) -> Any:
    return KINDS[kind].make(divisor)


@cache
def _verdict(encoder: Encoder, kind: str, divisor: int) -> dict[str, Any]:
    return judge(encoder, _value(kind, divisor), KINDS[kind].check)


def answer(encoder: Encoder, kind: str, divisor: int) -> dict[str, Any]:
    """The verdict on *kind*, and one measurement if it came back as it was."""
    if not KINDS[kind].is_usable():
        return {"verdict": "not installed"}
    found = _verdict(encoder, kind, divisor)
    return found if "verdict" in found else found | measure(encoder, _value(kind, divisor))


def main(name: str) -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a serializer prints is no answer
    encoder = ENCODERS[name]()
    for line in sys.stdin:
        kind, divisor = json.loads(line)
        answers.write(json.dumps(answer(encoder, kind, divisor)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
