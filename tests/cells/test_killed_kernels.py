"""Kernels that are killed at any moment of a stashed cell: the next kernel restores what is right, or runs the cell."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
pytest.importorskip("numpy")

import driver  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


SETUP = """
import numpy as np
items, table = [0], {"k": [1]}
alias = items
vars().pop("made", None)
"""
CELL = """%%stash killed {flags}
items.append({number})
table["new"] = items
made = np.arange(400_000) + {number}
print("shown {number}")
len(items)
"""
CHECKS = {
    "items": "items == [0, {number}] and alias is items and table == {{'k': [1], 'new': items}} and table['new'] is items",
    "made": "made.shape == (400_000,) and int(made.sum()) == 400_000 * 399_999 // 2 + 400_000 * {number}",
}


def start(python, folder, nursery):
    kernel = driver.Kernel(python, folder, {}, nursery)
    assert kernel.run("%load_ext hashstash\nimport os").error is None
    return kernel


def problems_of(kernel, number, flags=""):
    """What is wrong with the cell when this kernel comes to it, and what it said."""
    kernel.run(SETUP)
    answer = kernel.run(CELL.format(number=number, flags=flags))
    told = " / ".join(text for _facts, text in answer.statuses)
    found = kernel.evaluate({name: check.format(number=number) for name, check in CHECKS.items()})
    expected = {
        "error": (answer.error, None),
        "stdout": (answer.text("stdout"), f"shown {number}\n"),
        "result": ([data["text/plain"] for data in answer.data()], ["2"]),
        "warnings": ("warning" in told, False),
        **{name: (found[name], "True") for name in CHECKS},
    }
    return [f"{number}: {name} is {is_} ({told})" for name, (is_, wanted) in expected.items() if is_ != wanted], told


def kill_in_rounds(rounds, folder, nursery):
    """Kill a kernel in each round, at a moment of its own; return what was wrong afterwards."""
    python, chosen = sys.executable, random.Random(7)
    checker = start(python, folder, nursery)
    problems_of(checker, -2)  # imports and so on
    began = time.monotonic()
    problems = problems_of(checker, -1)[0]
    usual = 3 * (time.monotonic() - began)  # a kernel's first cell takes longer
    try:
        for number in range(rounds):
            victim = start(python, folder, nursery)
            pid = int(victim.evaluate({"pid": "os.getpid()"})["pid"])
            victim.run(SETUP)
            content = {"code": CELL.format(number=number // 2, flags=""), "silent": False, "store_history": True,
                       "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}  # fmt: skip
            victim.client.shell_channel.send(victim.client.session.msg("execute_request", content))
            time.sleep(chosen.random() * usual)
            os.kill(pid, signal.SIGKILL)
            victim.stop()
            if number % 2:  # else the next one is killed where it may restore
                problems += problems_of(checker, number // 2)[0]
        for number in range(rounds // 2):
            found, told = problems_of(checker, number)
            problems += found + ([] if "hit" in told else [f"{number} is not stored: {told}"])
    finally:
        checker.stop()
    return problems


@pytest.mark.parametrize("rounds", [6, pytest.param(64, marks=pytest.mark.heavy)])
def test_after_a_kill_at_any_moment_the_next_kernel_is_right(rounds, tmp_path, nurseries):
    assert kill_in_rounds(rounds, tmp_path, nurseries(sys.executable)[0]) == []
