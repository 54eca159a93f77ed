"""The tables of `benchmarks/minimal_perturbation.py`, and what they say, from stored runs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

STORED = Path(__file__).parents[1] / "results" / "benchmark.json"
NETWORKS = {"mlp": "perceptron", "cnn": "CNN"}
NORMS = {"1": "ℓ1", "2": "ℓ2", "inf": "ℓ∞"}
OURS = "fracture"
CLOSE = "within 1 %"
Row = dict[str, Any]


class Benchmark(SphinxDirective):
    """What was run; for each norm sentences, and a row for each attack."""

    def run(self) -> list[nodes.Node]:
        stored = json.loads(STORED.read_text())
        self.env.note_dependency(str(STORED))
        return self.parse_text_to_nodes("\n".join(_page(stored)), allow_section_headings=True)


def _page(stored: dict[str, Any]) -> Iterator[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in stored["libraries"].items())
    yield (
        f"{stored['images']} digits, two networks; {stored['created']}, jax {stored['jax']}, torch "
        f"{stored['torch']}, {libraries}; {stored['machine']}; ``{stored['command']}``."
    )
    yield ""
    norms = list(dict.fromkeys(run["norm"] for run in stored["runs"]))
    for norm in norms:
        runs = {run["network"]: run["rows"] for run in stored["runs"] if run["norm"] == norm}
        yield from (NORMS[norm], "-" * 8, "")
        for network, rows in runs.items():
            yield from _told(NETWORKS[network], rows)
        yield ""
        yield from _table(runs)
        yield ""


def _told(network: str, rows: Sequence[Row]) -> Iterator[str]:
    """Which attacks of others are best, and which of them fracture has nothing against."""
    ours = [row for row in rows if row["library"] == OURS]
    peers = [row for row in rows if row["library"] != OURS]
    peer, own = _closest(peers), _closest(ours)
    yield (
        f"- {network}: the closest of other libraries is {_called(peer)}, within 1 % of the "
        f"smallest norm that anybody found for {_share(peer)} of the images, with "
        f"{peer['gradients']:.0f} gradients; {_called(own)}: {_share(own)}, with "
        f"{own['gradients']:.0f}."
    )
    ahead = [row for row in peers if not any(_as_good(mine, row) for mine in ours)]
    if ahead:
        names = ", ".join(f"{_called(row)} with {row['gradients']:.0f}" for row in ahead)
        yield (
            "  With as few gradients, no solver of fracture is within 1 % at least as often and in "
            f"the mean at least as near as {names}."
        )
    else:
        yield (
            "  For each of theirs, fracture has a solver with as few gradients that is within 1 % "
            "at least as often, and in the mean at least as near."
        )
    few = [row for row in peers if row["success"] < 0.9]
    if few:
        names = ", ".join(
            f"{row['name']} ({row['library']}, which claims {row['claimed']:.0%})" for row in few
        ).replace("%", " %")
        yield f"  No answer that counts for more than a tenth of the images: {names}."


def _closest(rows: Sequence[Row]) -> Row:
    return max(rows, key=lambda row: (row[CLOSE], -row["gradients"]))


def _as_good(mine: Row, row: Row) -> bool:
    return bool(
        mine["gradients"] <= row["gradients"]
        and mine[CLOSE] >= row[CLOSE]
        and mine["mean ratio"] <= row["mean ratio"]
    )


def _called(row: Row) -> str:
    return f"{row['name']} ({row['library']})"


def _share(row: Row) -> str:
    return f"{100 * row[CLOSE]:.0f} %"


def _table(runs: dict[str, Sequence[Row]]) -> Iterator[str]:
    """A row for each attack, the nearest first, with the numbers of all networks in each cell."""
    by_attack: dict[tuple[str, str], dict[str, Row]] = {}
    for network, rows in runs.items():
        for row in rows:
            by_attack.setdefault((row["name"], row["library"]), {})[network] = row
    mean = lambda found: sum(row["mean ratio"] for row in found.values()) / len(found)
    kinds = {"success": ".2f", CLOSE: ".2f", "mean ratio": ".3f", "gradients": ".0f"}
    if len(runs) > 1:
        yield from (f"Numbers are those of {' / '.join(NETWORKS[name] for name in runs)}.", "")
    yield from (".. list-table::", "   :header-rows: 1", "")
    lines = [("attack", "library", *kinds)]
    for (name, library), found in sorted(by_attack.items(), key=lambda item: mean(item[1])):
        numbers = [
            " / ".join(format(found[at][kind], form) if at in found else "–" for at in runs)
            for kind, form in kinds.items()
        ]
        lines.append((f"**{name}**" if library == OURS else name, library, *numbers))
    for line in lines:
        yield from (f"   {'*' if i == 0 else ' '} - {text}" for i, text in enumerate(line))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
