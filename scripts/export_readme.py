"""Write README.md from README.ipynb: prose, code, and the outputs as text. `--run` executes the notebook first."""

from __future__ import annotations

import re
import sys
from typing import Any

import nbformat
from run_notebook import ROOT, own_cache, read, run

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
    return "\n\n".join(parts) + "\n"


def _outputs(outputs: list[Any]) -> str:
    texts = []
    for output in outputs:
        text = output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
        if text.strip():
            texts.append(_ANSI.sub("", text).rstrip("\n"))
    lines = "\n".join(texts).split("\n")
    return "\n".join(lines if len(lines) <= _LONGEST else [*lines[:_LONGEST], "..."])


def main() -> int:
    """Run the notebook if asked to, and export it."""
    path = ROOT / "README.ipynb"
    notebook = read(path)
    if "--run" in sys.argv:
        with own_cache():
            run(notebook)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        nbformat.write(notebook, path)
    (ROOT / "README.md").write_text(to_markdown(notebook), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
