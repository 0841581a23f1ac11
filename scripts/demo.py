"""`make demo`: run README.ipynb from an empty cache, run it again in a new kernel, and print what that saved."""

from __future__ import annotations

import sys
import time

from run_notebook import ROOT, CellTime, own_cache, read, run


def main() -> int:
    """Both passes and the table."""
    with own_cache():
        print("first run of README.ipynb, from an empty cache ...", flush=True)
        started = time.perf_counter()
        first = run(read(ROOT / "README.ipynb"))
        between = time.perf_counter()
        print(f"  {between - started:.1f} s\nsecond run, in a new kernel ...", flush=True)
        second = run(read(ROOT / "README.ipynb"))
        print(f"  {time.perf_counter() - between:.1f} s\n")
    rows = [pair for pair in zip(first, second, strict=True) if pair[0].source.startswith("%%stash")]
    _print_table(rows)
    missed = [again for _, again in rows if "hit" not in again.status]
    for cell in missed:
        print(f"cell {cell.number} was not restored: {cell.status}", file=sys.stderr)
    return 1 if missed else 0


def _print_table(rows: list[tuple[CellTime, CellTime]]) -> None:
    print(f"{'cell':<32}{'first run':>12}{'restored in':>14}{'saved':>12}")
    for once, again in rows:
        title = once.source.splitlines()[0]
        print(
            f"[{once.number}] {title:<27.27}{once.seconds:>10.2f} s{1000 * again.seconds:>11.0f} ms"
            f"{once.seconds - again.seconds:>10.2f} s"
        )
    saved = sum(once.seconds - again.seconds for once, again in rows)
    print(f"\nThe second run saved {saved:.1f} s.")


if __name__ == "__main__":
    raise SystemExit(main())
