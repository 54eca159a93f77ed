"""Keep the runs of `benchmarks/minimal_perturbation.py` in a folder, for the page on benchmarks.

python docs/results/keep_benchmark.py bench
"""

import json
import sys
from pathlib import Path

KEPT = Path(__file__).with_name("benchmark.json")
COLUMNS = ("name", "library", "success", "claimed", "within 1 %", "mean ratio", "gradients")


def keep(folder: Path) -> None:
    """Put what all runs share in front, and of each the columns that the page shows."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*_*.json"))]
    rows = [
        {
            "network": run.pop("network"),
            "norm": run.pop("norm"),
            "rows": [{name: row[name] for name in COLUMNS} for row in run.pop("rows")],
        }
        for run in runs
    ]
    if any(run != runs[0] for run in runs):
        raise ValueError(f"the runs in {folder} are of different images, machines or versions.")
    order = {"mlp": 0, "cnn": 1}
    rows.sort(key=lambda run: (run["norm"], order[run["network"]]))
    KEPT.write_text(json.dumps(runs[0] | {"runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
