"""`make demo`: run two notebooks from an empty cache, run each again in a new kernel, and print what that saved.

README.ipynb shows `%%stash` and all the rest; notebooks/analysis.ipynb is an ordinary analysis with one line, `%stash auto`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from run_notebook import ROOT, CellTime, own_cache, read, run

README = ROOT / "README.ipynb"
ANALYSIS = ROOT / "notebooks" / "analysis.ipynb"
_MOST_OF_FIRST = 0.05
"""What the second run of the analysis is to take, of the first; told, since a busy machine is no failure."""


def main() -> int:
    """Both notebooks, each twice, and what was saved."""
    # As in anybody's second session, the modules of the first one are compiled already.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with own_cache():
        failures = _show_readme()
        print()
        return failures + _show_analysis()


def _show_readme() -> int:
    first, second = _twice(README)
    rows = [pair for pair in zip(first, second, strict=True) if pair[0].source.startswith("%%stash")]
    _print_table(rows)
    return _report_missed([again for _, again in rows])


def _show_analysis() -> int:
    first, second = _twice(ANALYSIS)
    rows = [(once, again) for once, again in zip(first, second, strict=True) if "stored" in once.status]
    _print_table(rows)
    once, again = (sum(cell.seconds for cell in cells) for cells in (first, second))
    print(f"All {len(first)} cells: {once:.1f} s, then {again:.1f} s, {again / once:.1%} of it.")
    failures = _report_missed([again for _, again in rows])
    for before, after in zip(first, second, strict=True):
        if before.shown != after.shown:
            print(f"cell {after.number} shows something else when it is run again", file=sys.stderr)
            failures = 1
    if again > _MOST_OF_FIRST * once:
        print(
            f"That is more than the {_MOST_OF_FIRST:.0%} that we aim at: most of it are imports, which no cache can save."
        )
    return failures


def _twice(path: Path) -> tuple[list[CellTime], list[CellTime]]:
    """Both runs, cell by cell."""
    name = path.relative_to(ROOT)
    print(f"first run of {name}, from an empty cache ...", flush=True)
    started = time.perf_counter()
    first = run(read(path))
    between = time.perf_counter()
    print(f"  {between - started:.1f} s\nsecond run, in a new kernel ...", flush=True)
    second = run(read(path))
    print(f"  {time.perf_counter() - between:.1f} s\n")
    return first, second


def _report_missed(cells: list[CellTime]) -> int:
    missed = [cell for cell in cells if "hit" not in cell.status]
    for cell in missed:
        print(f"cell {cell.number} was not restored: {cell.status}", file=sys.stderr)
    return 1 if missed else 0


def _print_table(rows: list[tuple[CellTime, CellTime]]) -> None:
    print(f"{'cell':<32}{'first run':>12}{'restored in':>14}{'saved':>12}")
    for once, again in rows:
        print(
            f"[{once.number}] {_title(once.source):<27.27}{once.seconds:>10.2f} s{1000 * again.seconds:>11.0f} ms"
            f"{once.seconds - again.seconds:>10.2f} s"
        )
    saved = sum(once.seconds - again.seconds for once, again in rows)
    print(f"\nThe second run saved {saved:.1f} s.")


def _title(source: str) -> str:
    """The cell's first line, or its first one that is not part of a definition."""
    lines = source.splitlines()
    plain = (line for line in lines if line and not line.startswith((" ", "def ", "import ", "from ", "@", ")", "#")))
    return lines[0] if lines[0].startswith("%%") else next(plain, lines[0])


if __name__ == "__main__":
    raise SystemExit(main())
