"""``make torture``, or in ``tests``: ``python -m torture [--short] [--check concurrent] [--engine lmdb] [--seed 7]``."""

from __future__ import annotations

import argparse
import sys
import traceback

from torture import CHECKS
from torture.places import EVERY, place, why_not
from torture.report import Budget, Check, Finding, line


def main(arguments: list[str] | None = None) -> int:
    """Print a line per check and engine, then what failed; 1 if anything did."""
    options = _parse(arguments)
    budget = Budget(not options.short, options.seed)
    failed = 0
    for check in CHECKS:
        if options.check and check.name not in options.check:
            continue
        print(f"{check.name}: {check.promise}", flush=True)
        for engine in check.engines if options.engine else check.engines_for(budget):
            if options.engine and engine not in options.engine:
                continue
            if missing := why_not(engine):
                print(f"skip  {check.name:<24} {engine:<11} {missing}", flush=True)
                continue
            finding = attempt(check, engine, budget)
            print(line(check, engine, finding), flush=True)
            print("".join(f"      {failure}\n" for failure in finding.failures), end="", flush=True)
            failed += bool(finding.failures)
    print(f"\n{failed} failed" if failed else "\nall held")
    return 1 if failed else 0


def attempt(check: Check, engine: str, budget: Budget) -> Finding:
    """Run the check in a place of its own; that it broke off is what went wrong, and keeps none of the others from running."""
    try:
        with place(engine) as where:
            return check.run(where, budget)
    except Exception:  # whatever a check meets
        finding = Finding()
        finding.wrong(f"the check broke off: {traceback.format_exc()[-3000:]}", kind="broken off")
        return finding


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the bounded part that `make test` runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", nargs="+", choices=[check.name for check in CHECKS])
    parser.add_argument("--engine", nargs="+", choices=EVERY)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
