"""Write README.md from README.ipynb: prose, code, and the outputs as text.

`--run` executes the notebook first, `--run-all` those of notebooks/ as well.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from run_notebook import ROOT, notebooks, own_cache, read, run

_LONGEST = 30
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def to_markdown(notebook: Any) -> str:
    """The notebook as Markdown that reads well without it."""
    parts = ["<!-- made from README.ipynb by scripts/export_readme.py; edit the notebook -->"]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            shown = _outputs(cell.outputs)
            if shown:
                parts.append(f"```text\n{shown}\n```")
            parts.extend(output.data["text/markdown"] for output in cell.outputs if _is_markdown(output))
    return "\n\n".join(parts) + "\n"


def _is_markdown(output: Any) -> bool:
    return "text/markdown" in output.get("data", {})


def _outputs(outputs: list[Any]) -> str:
    texts = []
    for output in outputs:
        if _is_markdown(output):
            continue
        text = output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
        if text.strip():
            texts.append(_ANSI.sub("", text).replace("\r\n", "\n").rstrip("\n"))  # a shell line ends its lines so
    lines = "\n".join(texts).split("\n")
    return "\n".join(lines if len(lines) <= _LONGEST else [*lines[:_LONGEST], "..."])


def execute(path: Path) -> None:
    """Run the notebook at *path* from an empty cache, and keep its outputs in it."""
    notebook = read(path)
    with own_cache() as folder:
        run(notebook, path.parent)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = _as_at_home(cell.outputs, folder)
    nbformat.write(notebook, path)


def _as_at_home(shown: Any, folder: str) -> Any:
    """What was *shown*, with the user's cache where readers have it in place of the one in *folder*."""
    if isinstance(shown, str):
        return shown.replace(os.path.join(folder, "cache"), "~/.cache")
    if isinstance(shown, list):
        return [_as_at_home(part, folder) for part in shown]
    if isinstance(shown, dict):
        return type(shown)({name: _as_at_home(part, folder) for name, part in shown.items()})
    return shown


def main() -> int:
    """Run the notebooks that are asked for, and export the first."""
    for path in notebooks() if "--run-all" in sys.argv else notebooks()[:1] if "--run" in sys.argv else ():
        execute(path)
    (ROOT / "README.md").write_text(to_markdown(read(ROOT / "README.ipynb")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
