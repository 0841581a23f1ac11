"""Run cell scenarios in real kernels.

A scenario starts a kernel in a folder of its own, runs ``setup`` cells, then ``%%stash`` cells step by step, and compares what
the kernel answered with what was expected. The format is described in ``scenarios/README.md``.

    python tests/cells/driver.py tests/cells/scenarios/own.json [--python PATH] [--jobs 2] [ID-PART ...]
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient, write_connection_file
from jupyter_client.manager import KernelManager

PROJECT = Path(__file__).resolve().parents[2]
COLAB = Path(os.environ.get("HASHSTASH_COLAB_PYTHON", PROJECT / ".venv-colab" / "bin" / "python"))
PYTHONS = {"here": Path(sys.executable), "colab": COLAB}
"""The interpreters whose kernels are tried."""
sys.path.append(str(Path(__file__).parent))

from nursery import Nursery  # noqa: E402

COUNT = "__import__('pathlib').Path(__import__('os').environ['COUNTER_FILE']).open('ab', 0).write(b'1\\n')\n"
_CELL_SECONDS = 60.0


def common_environment() -> dict[str, str]:
    """What the kernels of all scenarios have in common."""
    private = ("XDG_", "HASHSTASH", "PYTEST", "PYTHONHASHSEED", "COV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    return {**kept, "PYTHONPATH": str(PROJECT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


@dataclass
class Answer:
    """What one cell showed."""

    events: list[tuple[str, Any]] = field(default_factory=list)  # ("stdout", text), ("data", mime bundle)
    statuses: list[tuple[dict[str, Any], str]] = field(default_factory=list)  # our own displays: facts, text
    error: str | None = None
    traceback: str = ""
    expressions: dict[str, Any] = field(default_factory=dict)

    def text(self, stream: str) -> str:
        return "".join(content for kind, content in self.events if kind == stream)

    def data(self) -> list[dict[str, Any]]:
        return [content for kind, content in self.events if kind == "data"]

    def add(self, kind: str, content: Any) -> None:
        if self.events and self.events[-1][0] == kind != "data":
            content = self.events.pop()[1] + content
        self.events.append((kind, content))


class Kernel:
    """One kernel process, started as Jupyter does or by *nursery*, and a client to it."""

    def __init__(self, python: str, folder: Path, variables: dict[str, str], nursery: Nursery | None = None) -> None:
        own = {"COUNTER_FILE": folder / "count.txt", "HOME": folder, "IPYTHONDIR": folder / ".ipython",
               "MPLCONFIGDIR": folder / ".mpl"}  # fmt: skip
        self._place: tempfile.TemporaryDirectory[str] | None = None
        environment = {**common_environment(), **{name: str(value) for name, value in own.items()}, **variables}
        if nursery is None or any(name.startswith("PYTHON") for name in variables):
            self._start(python, folder, environment)
        else:
            self._fork(nursery, folder, environment)
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=_CELL_SECONDS)
        except RuntimeError as error:
            self.stop()
            raise queue.Empty from error  # it did not answer
        except BaseException:
            self.stop()
            raise

    def _start(self, python: str, folder: Path, environment: dict[str, str]) -> None:
        manager = KernelManager(kernel_name="python3")
        manager.kernel_spec.argv[0] = python
        with open(folder.with_name(f"{folder.name}.log"), "ab") as log:
            manager.start_kernel(env=environment, cwd=str(folder), stdout=log, stderr=log)
        self.client = manager.client()
        self._kill = partial(manager.shutdown_kernel, now=True)

    def _fork(self, nursery: Nursery, folder: Path, environment: dict[str, str]) -> None:
        # Sockets in the file system: nobody else can take their names, as he can a port that was found free.
        self._place = tempfile.TemporaryDirectory(prefix="kernel_")
        file, key = os.path.join(self._place.name, "connection.json"), os.urandom(16).hex().encode()
        write_connection_file(file, transport="ipc", ip=os.path.join(self._place.name, "socket"), key=key)
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        self._kill = nursery.kernel(file, folder, environment).kill

    def stop(self) -> None:
        self.client.stop_channels()
        self._kill()
        if self._place is not None:
            self._place.cleanup()

    def run(self, code: str, *, expressions: dict[str, str] | None = None) -> Answer:
        content = {"code": code, "silent": expressions is not None, "store_history": expressions is None,
                   "user_expressions": expressions or {}, "allow_stdin": False, "stop_on_error": False}  # fmt: skip
        message = self.client.session.msg("execute_request", content)
        self.client.shell_channel.send(message)
        answer, request, end = Answer(), message["header"]["msg_id"], time.monotonic() + _CELL_SECONDS
        for kind, content in self._messages(request, end):
            if kind == "stream":
                answer.add(content["name"], content["text"].replace("\r\n", "\n"))
            elif kind in ("display_data", "execute_result"):
                ours = content.get("metadata", {}).get("hashstash")
                if ours:
                    answer.statuses.append((ours, content["data"]["text/plain"]))
                else:
                    answer.add("data", content["data"])
            elif kind == "error":
                answer.error, answer.traceback = content["ename"], "\n".join(content["traceback"])
        reply = self._reply(request, end)
        if reply["status"] == "error":
            answer.error = reply["ename"]
        elif answer.error is not None:
            answer.error += ", but the reply says ok"
        answer.expressions = reply.get("user_expressions", {})
        return answer

    def _messages(self, request: str, end: float) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message["msg_type"], message["content"]

    def _reply(self, request: str, end: float) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def evaluate(self, expressions: dict[str, str]) -> dict[str, str]:
        found = self.run("", expressions=expressions).expressions
        return {
            name: value["data"]["text/plain"] if value["status"] == "ok" else f"{value['ename']}: {value['evalue']}"
            for name, value in found.items()
        }


class SetupFailed(Exception):
    """A setup cell raised, so that the scenario says nothing about the stashed cell."""


class Scenario:
    """One scenario while it runs; ``problems`` says what was not as expected."""

    def __init__(self, data: dict[str, Any], python: str, nurseries: Iterable[Nursery | None]) -> None:
        self.data = data
        self.python = python
        self.nurseries = itertools.cycle(nurseries)
        self.problems: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="cells_"))
        self.counter = self.folder / "count.txt"
        self.counter.touch()
        self.text = data["cell"]
        self.kernel: Kernel | None = None

    def run(self) -> list[str]:
        try:
            self.kernel = self._start(self.data.get("env"))
            self._step("first", self.data["first"], self.data)
            for position, step in enumerate(self.data["then"]):
                self._then(f"step {position + 1}", step)
        except SetupFailed as error:
            self.problems.append(str(error))
        except queue.Empty:
            self.problems.append("the kernel did not answer in time")
        finally:
            if self.kernel is not None:
                self.kernel.stop()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.with_name(f"{self.folder.name}.log").unlink(missing_ok=True)
        return self.problems

    def _start(self, variables: dict[str, str] | None) -> Kernel:
        kernel = Kernel(self.python, self.folder, variables or {}, next(self.nurseries))
        auto = [f"%stash auto {self.data['auto']}"] if "auto" in self.data else []
        for code in ("%load_ext hashstash", *auto, *self.data["setup"]):
            answer = kernel.run(code)
            if answer.error:
                kernel.stop()
                raise SetupFailed(f"setup failed: {answer.error}\n{answer.traceback}")
        return kernel

    def _then(self, label: str, step: dict[str, Any]) -> None:
        action, _, argument = step["action"].partition(":")
        expected = step.get("expect") or {}
        label = f"{label} ({action})"
        if action == "run":
            self._plain(label, argument, {**step, **expected})
            return
        if action == "restart_kernel":
            self.kernel.stop()
            self.kernel = None
            self.kernel = self._start(step.get("env"))
        elif action == "edit":
            self.text = argument
        self._step(label, expected, step)

    def _plain(self, label: str, code: str, step: dict[str, Any]) -> None:
        answer = self.kernel.run(code)
        self._expect(label, "error", answer.error, step.get("raises"))
        if "stdout" in step:
            self._expect(label, "stdout", answer.text("stdout"), step["stdout"])
        for part in _list(step.get("shows")):
            if not any(part in text for _facts, text in answer.statuses):
                self.problems.append(f"{label}: no {part!r} in {answer.statuses}")
        for expression, wanted in (step.get("vars_after") or {}).items():
            self._expect(label, expression, _literal(self.kernel.evaluate({"x": f"repr({expression})"})["x"]), wanted)

    def _step(self, label: str, expected: dict[str, Any], step: dict[str, Any]) -> None:
        before = self.counter.stat().st_size
        flags = step.get("magic_args", self.data.get("magic_args", ""))
        is_plain = "auto" in self.data
        answer = self.kernel.run(self.text if is_plain else f"%%stash t1 {flags}\n{self.text}")
        was_run = self.counter.stat().st_size > before
        self._check_outcome(label, expected, answer, was_run)
        self._check_outputs(label, expected, answer)
        self._check_variables(label, expected)

    def _expect(self, label: str, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.problems.append(f"{label}: {what} is {found!r}, not {wanted!r}")

    def _check_outcome(self, label: str, expected: dict[str, Any], answer: Answer, was_run: bool) -> None:
        self._expect(label, "error", answer.error, expected.get("raises"))
        told = " / ".join(text for _facts, text in answer.statuses)
        if expected.get("executed") not in (None, was_run):
            self.problems.append(f"{label}: the cell was {'run' if was_run else 'not run'}: {told}\n{answer.traceback}")
        for part in _list(expected.get("status")):
            if part not in told:
                self.problems.append(f"{label}: status {told!r} lacks {part!r}")
        if expected.get("no_status") and told:
            self.problems.append(f"{label}: the status says {told!r}")
        if "warning" in told and "warning" not in "".join(_list(expected.get("status"))):
            self.problems.append(f"{label}: unexpected {told!r}")
        for part in _list(expected.get("traceback_lacks")):
            if part in answer.traceback:
                self.problems.append(f"{label}: traceback holds {part!r}:\n{answer.traceback}")

    def _check_outputs(self, label: str, expected: dict[str, Any], answer: Answer) -> None:
        for stream in ("stdout", "stderr"):
            if stream in expected:
                self._expect(label, stream, answer.text(stream), expected[stream])
            if expected.get(f"{stream}_contains", "") not in answer.text(stream):
                self.problems.append(f"{label}: {stream} is {answer.text(stream)!r}")
        if "outputs" in expected:
            self._expect(label, "outputs", [_richest(data) for data in answer.data()], expected["outputs"])
        for mime in expected.get("mimes", ()):
            if not any(mime in data for data in answer.data()):
                self.problems.append(f"{label}: nothing of type {mime}")
        if "order_kinds" in expected:
            kinds = [_kind(kind, content) for kind, content in answer.events]
            self._expect(label, "kinds of outputs in order", kinds, expected["order_kinds"])
        if "order" in expected:
            shown = [
                f"{kind}:{content['text/plain'] if kind == 'data' else content}" for kind, content in answer.events
            ]
            self._expect(label, "order", shown, expected["order"])

    def _check_variables(self, label: str, expected: dict[str, Any]) -> None:
        questions = {f"value of {name}": f"repr({name})" for name in expected.get("vars") or {}}
        questions |= {f"absent {name}": f"{name!r} in globals()" for name in expected.get("absent", ())}
        questions |= {f"check {check}": f"bool({check})" for check in expected.get("checks", ())}
        if not questions:
            return
        found = self.kernel.evaluate(questions)
        for name, wanted in (expected.get("vars") or {}).items():
            self._expect(label, name, _literal(found[f"value of {name}"]), wanted)
        for name in expected.get("absent", ()):
            self._expect(label, f"{name!r} in globals()", found[f"absent {name}"], "False")
        for check in expected.get("checks", ()):
            self._expect(label, check, found[f"check {check}"], "True")


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _kind(kind: str, content: Any) -> str:
    return kind if kind != "data" else "image/png" if "image/png" in content else "text/plain"


def _richest(data: dict[str, Any]) -> str:
    return next((f"{mime}:{data[mime]}" for mime in ("text/html", "text/plain") if mime in data), "?")


def load(path: Path) -> list[dict[str, Any]]:
    """The scenarios of a file; ``<C>`` in a cell stands for the line that counts runs."""
    scenarios = json.loads(path.read_text(encoding="utf-8"))["scenarios"]
    text = json.dumps(scenarios).replace("<C>", json.dumps(COUNT)[1:-1])
    return json.loads(text)


def reason_to_skip(scenario: dict[str, Any], ipython: tuple[int, ...]) -> str | None:
    """Why a plain cell of this scenario cannot run on that version of IPython, if so."""
    needed = scenario.get("min_ipython", 0)
    return f"needs IPython {needed}" if ipython < (needed,) else None


def ipython_version(python: str | Path) -> tuple[int, ...]:
    """The version of IPython that this interpreter has."""
    code = "import IPython; print(*IPython.version_info[:2])"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(int, answer.stdout.split()))


def run(scenario: dict[str, Any], python: str, nurseries: Iterable[Nursery | None] = (None,)) -> list[str]:
    """What was not as expected; a kernel that did not answer is tried a second time, for the sake of busy machines."""
    problems = Scenario(scenario, python, nurseries).run()
    if any("did not answer" in problem for problem in problems):
        problems = Scenario(scenario, python, (None,)).run()
    return problems


@contextmanager
def two_nurseries(python: str, *, are_wanted: bool) -> Iterator[tuple[Nursery | None, ...]]:
    """A kernel that is restarted comes from the other one: what is stored must not depend on the seed of ``hash``.

    Nor on what was imported before: in kernels of the first, ``%load_ext`` finds all that it needs in memory, which saves half
    their time; those of the second import it as in a notebook.
    """
    if not are_wanted or not hasattr(os, "fork"):
        yield (None,)
        return
    with (
        Nursery(python, common_environment(), "hashstash.magics") as one,
        Nursery(python, common_environment()) as other,
    ):
        yield one, other


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("ids", nargs="*", help="parts of ids; all scenarios without any")
    parser.add_argument("--python", default=sys.executable, help="whose kernels to use")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--fresh", action="store_true", help="start each kernel as Jupyter does: half a second more each"
    )
    parser.add_argument("--json", action="store_true", help="one line [id, problems] per scenario, as it ends")
    chosen = parser.parse_args()
    version = ipython_version(chosen.python)
    scenarios = [s for s in load(chosen.file) if not chosen.ids or any(part in s["id"] for part in chosen.ids)]
    scenarios = [scenario for scenario in scenarios if not reason_to_skip(scenario, version)]
    with (
        two_nurseries(chosen.python, are_wanted=not chosen.fresh) as nurseries,
        ThreadPoolExecutor(chosen.jobs) as pool,
    ):
        futures = {pool.submit(run, scenario, chosen.python, nurseries): scenario["id"] for scenario in scenarios}
        results = {
            futures[future]: _report(futures[future], future.result(), chosen.json) for future in as_completed(futures)
        }
    if not chosen.json:
        print(f"{sum(not problems for problems in results.values())} of {len(scenarios)} as expected")
    return int(any(results.values()))


def _report(scenario_id: str, problems: list[str], as_json: bool) -> list[str]:
    lines = [json.dumps([scenario_id, problems])] if as_json else [f"{scenario_id}: {problem}" for problem in problems]
    for line in lines:
        print(line, flush=True)
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
