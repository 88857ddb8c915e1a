"""One table of all benchmarks: what each wrote beside its own, in `bench.csv`; see `make bench`.

python benchmarks/bench.py [results/benchmarks]
"""

import csv
import sys
from pathlib import Path

from common import table
from hessian_rmt.storage import write_csv

SHOWN = ("what", "size", "figure", "value", "at_least", "at_most", "peer", "our_accuracy",
         "peer_accuracy", "outcome")  # fmt: skip


def main(folder: Path) -> None:
    rows = []
    for path in sorted(folder.glob("*-comparisons.csv")):
        with open(path, newline="") as file:
            rows += [{"benchmark": path.stem.removesuffix("-comparisons"), **row}
                     for row in csv.DictReader(file)]  # fmt: skip
    if not rows:
        sys.exit(f"error: {folder} has no comparisons; run the benchmarks first (make bench)")
    if any(row.keys() != rows[0].keys() for row in rows):
        sys.exit(f"error: {folder} has comparisons of several versions; delete them and run again")
    write_csv(folder / "bench.csv", list(rows[0]), [list(row.values()) for row in rows])
    table([[_shown(row[name]) for name in SHOWN] for row in rows], SHOWN)


def _shown(text: str) -> str | float:
    try:
        number = float(text)
    except ValueError:
        return text
    return "" if number != number else number


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/benchmarks"))
