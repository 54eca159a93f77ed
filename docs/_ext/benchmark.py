"""The table of `benchmarks/minimal_perturbation.py`, and what it says, from the stored run."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RUN = Path(__file__).parents[1] / "results" / "benchmark.json"
COLUMNS = {"success": ".3f", "median norm": ".3f", "within 1 %": ".3f", "mean ratio": ".3f"}
OURS = "fracture"


class Benchmark(SphinxDirective):
    """What was run, sentences, and a row for each attack."""

    def run(self) -> list[nodes.Node]:
        run = json.loads(RUN.read_text())
        self.env.note_dependency(str(RUN))
        rows = sorted(run["rows"], key=lambda row: row["mean ratio"])
        head = ("attack", "library", *COLUMNS, "gradients")
        lines = [*_told(run, rows), "", ".. list-table::", "   :header-rows: 1", ""]
        for row in [head, *map(_cells, rows)]:
            lines += [f"   {'*' if i == 0 else ' '} - {text}" for i, text in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(lines))


def _told(run: dict, rows: list[dict]) -> list[str]:
    peers = [row for row in rows if row["library"] != OURS]
    best = lambda some: max(some, key=lambda row: (row["within 1 %"], -row["gradients"]))
    peer, ours = best(peers), best(row for row in rows if row["library"] == OURS)
    few = [row for row in peers if row["success"] < 0.9]
    libraries = ", ".join(f"{name} {version}" for name, version in run["libraries"].items())
    return [
        f"{run['images']} digits, ℓ2, a perceptron; {run['created']}, jax {run['jax']}, "
        f"torch {run['torch']}, {libraries}; a CPU ({run['machine']}), {run['threads']} thread; "
        f"``{run['command']}``.",
        "",
        f"- Of all attacks of other libraries, {_called(peer)} is most often within 1 % of the "
        f"smallest norm that anybody found: for {peer['within 1 %']:.0%} of the images, "
        f"with {peer['gradients']:.0f} gradients. {_called(ours)}: {ours['within 1 %']:.0%}, with "
        f"{ours['gradients']:.0f} gradients.",
        f"- {len(few)} of {len(peers)} attacks of other libraries, with their own defaults, have "
        "no answer that counts for more than a tenth of the images: "
        f"{', '.join(map(_called, few))}.",
    ]


def _called(row: dict) -> str:
    return f"{row['name']} ({row['library']})"


def _cells(row: dict) -> tuple[str, ...]:
    name = f"**{row['name']}**" if row["library"] == OURS else row["name"]
    numbers = [format(row[column], form) for column, form in COLUMNS.items()]
    return (name, row["library"], *numbers, f"{row['gradients']:.0f}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
