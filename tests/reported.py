"""Findings and an analysis whose every number was made up, and the figures of those findings."""

import numpy as np
import xarray as xr

from fracture import drawing
from fracture.experiments import Evidence, Findings, Fit, Verdict
from fracture.vocabulary import QUANTITIES, Quantity, quantity

NASTY = 'too few: 3 < 4 & "quotes" <script>alert(1)</script>'
FACTORS = ("law_e", "midpoint", "secant", "tangent", "box")
LAWS = ("exact", "drawn")
OF_PAIR = quantity("ratio_pair", symbol="r_pair/r_opt", meaning="ratio to the nearest other class")


def coordinate(name, values, known=None):
    """An axis as a sweep labels it."""
    return name, list(values), (known or quantity(name)).attrs()


def dataset_of(values, dims, coords, attrs):
    variables = {name: (dims, array, quantity(name).attrs()) for name, array in values.items()}
    return xr.Dataset(variables, coords, attrs)


def summarised(dataset, axes):
    """Medians over all but the axes, with narrow intervals, and how many seeds there were."""
    others = [dim for dim in dataset.dims if dim not in axes]
    kept = dataset.where(np.isfinite(dataset))
    summary = xr.Dataset()
    for name in dataset.data_vars:
        for end, q in {"": 0.5, "_lo": 0.45, "_hi": 0.55}.items():
            over = [dim for dim in others if dim in dataset[name].dims]
            middle = kept[name].quantile(q, over).drop_vars("quantile")
            summary[name + end] = middle.transpose(*axes, ...).assign_attrs(dataset[name].attrs)
    sizes = [dataset.sizes[axis] for axis in axes]
    seeds = np.full(sizes, dataset.sizes["seed"])
    summary["seeds"] = tuple(axes), seeds, quantity("seeds").attrs()
    for axis in axes:
        summary[axis].attrs = dataset[axis].attrs
    return summary


def linear(dims=(8, 16, 32, 64, 128, 256, 512), seeds=200):
    """Family A as theory has it: the squared pairwise ratio is Beta(1/2, (d - 1)/2)."""
    rng, size = np.random.default_rng(0), (len(dims), seeds)
    d = np.array(dims)[:, None]
    pair, r_half = np.sqrt(rng.beta(0.5, (d - 1) / 2, size)), np.sqrt(rng.chisquare(d, size) / 2)
    ratio = pair * 0.6 * d**-0.19 * rng.uniform(0.8, 1, size)
    values = {
        "r_half": r_half,
        "radius_pair": pair * r_half,
        "ratio_pair": pair,
        "r_opt": 0.8 * r_half,
        "radius": ratio * 0.8 * r_half,
        "ratio": ratio,
        "rho_net": pair,
    }
    attrs = {
        "title": "Family A: one Gaussian point per class, linear interpolator",
        "description": "d classes, each a single point.\n\nThe optimal classifier is the nearest.",
        "claim": "linear_points",
        "axes": ["dim"],
        "versions": "jax 0.10.2",
        "created": "2026-01-01",
    }
    made = dataset_of(values, ("dim", "seed"), {"dim": coordinate("dim", dims)}, attrs)
    summary = summarised(made, ["dim"])
    draws = np.sqrt(rng.beta(0.5, (d - 1) / 2, (len(dims), 4000)))
    for end, q in {"": 0.5, "_lo": 0.05, "_hi": 0.95}.items():
        exact, sampled = (
            quantity("predicted", symbol=f"{kind} law") for kind in ("exact", "drawn")
        )
        points = np.quantile(draws, q, axis=1)
        summary[f"predicted_ratio_pair{end}"] = "dim", points, exact.attrs()
        summary[f"predicted_ratio{end}"] = "dim", 0.5 * points, sampled.attrs()
    for name, high in {"ks_statistic": 0.05, "ks_pvalue": 1, "ks_largest": 0.1}.items():
        summary[name] = "dim", rng.uniform(0.01, high, len(dims)), quantity(name).attrs()
    fits = (
        Fit("ratio_pair", -0.497, -0.512, -0.483, -0.493),
        Fit("ratio", -0.69, -0.71, -0.67, None),
    )
    evidence = (Evidence("the exponent", -0.497, -0.512, -0.483), Evidence("KS", 0.04, at="d = 8"))
    verdicts = (
        Verdict("Law A", True, "medians 3 % above are excluded", evidence),
        Verdict("Law X", None, NASTY),
    )
    return Findings(made, summary, fits, verdicts)


def trained(dims=(8, 16, 32, 64), seeds=8, examples=16):
    """A trained network: several examples a seed, law E factors, half of one dimension missing."""
    rng, size = np.random.default_rng(1), (len(dims), seeds, examples)
    d = np.array(dims)[:, None, None]
    rho_theory = 0.67 * d**-0.5 * rng.uniform(0.7, 1.3, size)
    rho_net, law_e = np.minimum(rho_theory * (d / 8) ** 0.7, 1), rng.uniform(0.95, 1.3, size)
    r_half = d**0.5 * rng.uniform(0.9, 1.1, size)
    values = {
        "r_half": r_half,
        "radius_pair": rho_net * law_e * r_half,
        "ratio_pair": rho_net * law_e,
        "law_e": law_e,
        "midpoint": rng.uniform(0.9, 1.1, size),
        "secant": rng.uniform(0.8, 1.4, size),
        "tangent": rng.uniform(0.9, 1.2, size),
        "box": rng.uniform(1, 1.3, size),
        "rho_net": rho_net,
        "rho_theory": rho_theory,
        "accuracy": rng.uniform(0.97, 1, size),
    }
    values["radius_pair"][1, ::2], values["ratio_pair"][1, ::2] = np.inf, np.nan
    attrs = {"title": "Trained networks: family B", "claim": "trained", "axes": ["dim"]}
    coords = {"dim": coordinate("dim", dims)}
    made = dataset_of(values, ("dim", "seed", "example"), coords, attrs)
    fits = (Fit("ratio_pair", 0.1, -np.inf, np.inf, -0.5),)
    verdicts = (
        Verdict("Law B", False, "the ratio is 3.2 times the law's at d = 64"),
        Verdict("Law E", True, "within a factor of 1.5"),
    )
    return Findings(made, summarised(made, ["dim"]), fits, verdicts)


def digits(dims=(49, 196, 784, 3136), references=(1000, 2000, 4000, 8000)):
    """Real images: the radius depends on the number of references."""
    base = trained(dims, seeds=3, examples=12)
    summary = base.summary.drop_vars([n for n in base.summary if str(n).startswith("rho_theory")])
    known = {"references": coordinate("references", references)}
    fall = xr.DataArray(np.array(references) ** -0.08, known, "references")
    upper = quantity("r_opt", bound="upper").attrs()
    for end in ("", "_lo", "_hi"):
        summary[f"r_opt{end}"] = summary[f"r_half{end}"].assign_attrs(upper)
        many = (summary[f"r_opt{end}"] * fall).assign_attrs(upper)
        summary[f"r_opt_by_references{end}"] = many
        summary[f"ratio{end}"] = 0.9 * summary[f"ratio_pair{end}"]
        summary[f"ratio{end}"].attrs = quantity("ratio").attrs()
    attrs = {"title": "Digits: four resolutions", "claim": "digits", "axes": ["dim"]}
    fits = (Fit("ratio", -0.246, -0.264, -0.227, -0.5),)
    return Findings(base.dataset.assign_attrs(attrs), summary, fits, ())


def training(steps=(0, 1, 10, 100), layers=(1, 2, 4)):
    """Two axes, neither of which is the dimension."""
    rng = np.random.default_rng(3)
    fall = np.linspace(1, 0.3, len(steps))[:, None, None] / np.array(layers)[:, None]
    values = {"ratio": fall * rng.uniform(0.9, 1.1, (len(steps), len(layers), 20))}
    coords = {
        "steps": coordinate("steps", steps, Quantity("t", "training steps", form="count")),
        "layers": coordinate("layers", layers, Quantity("L", "hidden layers", form="count")),
    }
    attrs = {"title": "While training", "claim": "training", "axes": ["steps", "layers"]}
    made = dataset_of(values, ("steps", "layers", "seed"), coords, attrs)
    fits = (Fit("ratio", -0.1, -0.12, -0.08, None, "L = 2"),)
    summary = summarised(made, ["steps", "layers"])
    return Findings(made, summary, fits, (Verdict("Training", True, "makes fragile"),))


def figures(findings):
    """What a claim would draw of made-up findings."""
    summary, dataset = findings.summary, findings.dataset
    names = [name for name in ("ratio", "ratio_pair") if name in summary]
    made = {
        "scaling": drawing.against_axis(
            summary, names, title="Ratio", fits=findings.fits, guide=True
        )
    }
    if "rho_net" in dataset:
        made["law-e"] = drawing.scatter(
            dataset["rho_net"], dataset["ratio_pair"], title="Law E", by="dim", within=summary
        )
        made["distribution"] = drawing.distribution(
            dataset["ratio_pair"], summary, title="Spread", half_normal=True
        )
    if "law_e" in summary:
        made["factors"] = drawing.against_axis(summary, FACTORS, title="Law E", reference=1.0)
    if "r_opt_by_references" in summary:
        made["references"] = drawing.against_coordinate(
            summary, "r_opt_by_references", "references", title="Distance"
        )
    return made


def analysis(examples=60, rank=10, side=14):
    """A labelled analysis of images; input 3 withstood the search, input 4 is misclassified."""
    rng = np.random.default_rng(2)
    radius = rng.gamma(4, 0.3, examples)
    rho, midpoint, secant, tangent, box = rng.uniform(0.05, 0.4, (5, examples))
    status, status_pair = np.zeros((2, examples), int)
    radius[3], status[3] = np.inf, 2
    radius[4], status[4], status_pair[4] = 0, 1, 1
    status_pair[5] = 2
    images = rng.uniform(0, 1, (examples, side, side, 1))
    spectrum = np.append(np.geomspace(30, 1, rank - 1), 1e-15)
    one = {
        "radius": radius,
        "radius_relative": radius / 9,
        "r_opt": radius / rho,
        "ratio": rho * rng.uniform(0.9, 1.1, examples),
        "radius_pair": 1.2 * radius,
        "ratio_pair": rho * midpoint * secant * tangent * box,
        "midpoint": midpoint,
        "secant": secant,
        "tangent": tangent,
        "box": box,
        "rho_net": rho,
        "rho_span": rho * 1.5,
        "null_ratio": np.full(examples, 0.1),
        "null_pvalue": rng.uniform(size=examples),
        "status": status,
        "status_pair": status_pair,
        "label": rng.integers(0, 10, examples),
        "adversarial_label": rng.integers(0, 10, examples),
        "effective_rank": rng.uniform(4, 9, examples),
    }
    layers = {
        "layer_rho": rng.uniform(0.1, 0.9, (examples, 4)),
        "layer_null": np.full((examples, 4), 0.2),
        "layer_pvalue": rng.uniform(0, 1e-5, (examples, 4)),
        "layer_rank": np.full((examples, 4), 9),
        "layer_effective_rank": rng.uniform(3, 8, (examples, 4)),
    }
    attrs = {name: known.attrs() for name, known in QUANTITIES.items()}
    attrs["ratio_pair"] = OF_PAIR.attrs()
    dims = ("example", "h", "w", "c")
    return xr.Dataset(
        {name: ("example", values, attrs.get(name, {})) for name, values in one.items()}
        | {name: (("example", "layer"), values, attrs[name]) for name, values in layers.items()}
        | {
            "singular_values": (
                ("example", "rank"),
                spectrum * rng.uniform(0.8, 1.2, (examples, 1)),
                attrs["singular_values"],
            ),
            "images": (dims, images),
            "adversarial_images": (dims, images + 0.05 * rng.normal(size=images.shape)),
        },
        {"layer": ["input", "hidden 1", "hidden 2", "logits"]},
        {"title": "Digits <b>28</b>", "description": "An MLP.", "options": '{"ord": "inf"}'},
    )


def own_sweep(dims=(8, 16, 32), seeds=30):
    """A sweep that no claim judges, as `sweeps.run` leaves it."""
    rng = np.random.default_rng(4)
    ratio = np.array(dims)[:, None] ** -0.5 * np.exp(0.1 * rng.normal(size=(len(dims), seeds)))
    coords = {"dim": coordinate("dim", dims), "seed": np.arange(seeds)}
    attrs = {"experiment": "random_networks", "axes": ["dim"], "seeds": [seeds] * len(dims)}
    values = {"ratio": ratio, "radius": 3 * ratio}
    return dataset_of(values, ("dim", "seed"), coords, attrs | {"options": "{}"})
