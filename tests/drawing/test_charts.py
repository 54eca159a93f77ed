"""The standard charts: every word on them comes from attributes, every point from the arrays."""

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fracture import drawing
from fracture.certificates import Bracket, Certificate
from fracture.experiments._findings import Fit
from fracture.perturbation import Perturbation
from fracture.statistics import levels, proportion, summarise
from fracture.vocabulary import Quantity, quantity

DIMS = (8, 16, 32, 64, 128)
SEEDS = np.random.default_rng(0)


def axis(name, values, **changes):
    """A coordinate with what the vocabulary says of it, or with another quantity."""
    known = changes.pop("quantity", None) or quantity(name, **changes)
    return (name, list(values), known.attrs())


def summarised(names=("ratio", "ratio_pair"), first=None, second=None, law=True):
    """Medians that fall, with intervals; `ratio` has a law."""
    first = first or axis("dim", DIMS)
    coords = {first[0]: first} | ({second[0]: second} if second else {})
    dims, sizes = tuple(coords), tuple(len(coordinate[1]) for coordinate in coords.values())
    summary = xr.Dataset(coords=coords)
    for rank, name in enumerate(names):
        middle = np.geomspace(0.5, 0.05, sizes[0]) / (rank + 1)
        middle = middle.reshape(-1, *[1] * (len(sizes) - 1)) / np.arange(1, 1 + np.prod(sizes[1:]))
        for end, factor in {"": 1, "_lo": 0.9, "_hi": 1.2}.items():
            summary[name + end] = dims, factor * middle, quantity(name).attrs()
    if law:
        for end, factor in {"": 1.1, "_lo": 0.3, "_hi": 3}.items():
            values = factor * summary[names[0]]
            summary[f"predicted_{names[0]}{end}"] = values.assign_attrs(
                quantity("predicted").attrs()
            )
    return summary


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_medians_their_bars_law_and_slopes():
    summary = summarised()
    fits = (Fit("ratio", -0.497, -0.512, -0.483, -0.5), Fit("ratio_pair", -1, -np.inf, np.inf))
    made = drawing.against_axis(
        summary, ["ratio", "ratio_pair"], title="Fall", fits=fits, guide=True, note="The end."
    )
    (axes,) = made.draw().axes
    for container, name in zip(axes.containers, ("ratio", "ratio_pair"), strict=True):
        points, _, (bars,) = container.lines
        np.testing.assert_allclose(points.get_xdata(), DIMS)
        np.testing.assert_allclose(points.get_ydata(), summary[name])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(
            ends, np.stack([summary[f"{name}_{e}"] for e in ("lo", "hi")], 1)
        )
    labels = legend(made.draw())
    assert "$r_\\mathrm{nn}$/$r_\\mathrm{opt}$: slope −0.497 [−0.512, −0.483]" in labels
    assert "$r_\\mathrm{pair}$/$r_\\mathrm{half}$: slope −1.00" in labels
    assert {"0.67/√d", "law, $r_\\mathrm{nn}$/$r_\\mathrm{opt}$"} <= set(labels)
    low, high = axes.get_ylim()
    assert low < float(summary["predicted_ratio_lo"].min())
    assert high > float(summary["predicted_ratio_hi"].max())
    for words in ("fragility ratio", "r_half: half", "95 % confidence", "90 % interval", "0.67/√d"):
        assert words in made.caption
    assert made.caption.endswith("The end.")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("bound", "words"),
    [("upper", "an upper bound"), ("lower", "a lower bound"), ("exact", None), ("", None)],
)
def test_captions_say_of_what_a_value_is_a_bound(bound, words):
    """Of a ratio too, whose parts the summary explains."""
    summary = summarised(law=False)
    summary["r_opt"] = summary["ratio"].assign_attrs(quantity("r_opt", bound=bound).attrs())
    for names in (["r_opt"], ["ratio"]):
        caption = drawing.against_axis(summary, names, title="Radii").caption
        (said,) = (part for part in caption.split(". ") if part.startswith("r_opt: "))
        assert ("bound" in said) == (words is not None)
        assert words is None or words in said


@pytest.mark.fast
def test_other_names_and_meanings_are_those_of_the_attributes():
    known = Quantity("θ_q", "angle between a and b", "degrees")
    summary = summarised(("ratio",), law=False).rename(ratio="weird", ratio_lo="weird_lo")
    summary["weird"].attrs = known.attrs()
    made = drawing.against_axis(summary, ["weird"], title="Angles")
    (axes,) = made.draw().axes
    assert axes.get_ylabel() == "$θ_\\mathrm{q}$ (degrees)"
    assert "θ_q: angle between a and b." in made.caption
    assert "weird" not in made.caption + made.alt


@pytest.mark.parametrize(
    ("first", "scale", "guide"),
    [
        (axis("dim", (50, 100)), "log", True),
        (axis("width", (8, 64, 512), quantity=Quantity("w", "hidden units")), "log", False),
        (axis("steps", (0, 1, 10, 100), quantity=Quantity("t", "steps")), "symlog", False),
        (axis("radius", (0.5, 0.75, 1.0)), "linear", False),
        (axis("model", ("linear", "mlp", "cnn"), quantity=Quantity("model", "")), "linear", False),
    ],
)
def test_the_axis_is_what_its_values_ask_for(first, scale, guide):
    made = drawing.against_axis(summarised(("ratio",), first), ["ratio"], title="Fall", guide=True)
    figure = made.draw()
    (axes,) = figure.axes
    assert axes.get_xscale() == scale
    ticks = [str(tick.get_text()) for tick in axes.get_xticklabels()]
    assert ticks == [value if isinstance(value, str) else f"{value:g}" for value in first[1]]
    assert axes.get_xlabel().startswith(drawing.tex(first[2]["symbol"]))
    assert ("0.67/√d" in made.caption) == ("0.67/√d" in legend(figure)) == guide
    if isinstance(first[1][0], str):
        assert axes.containers[0].lines[0].get_linestyle() == "None"  # no order, no line


def test_a_second_axis_has_a_style_a_level_and_its_own_slopes():
    second = axis("layers", (1, 2, 4), quantity=Quantity("L", "hidden layers", form="count"))
    summary = summarised(second=second, law=False)
    fits = (
        Fit("ratio", -0.5, -0.6, -0.4, None, "L = 2"),
        Fit("ratio", -1, -2, 0, None, "L = 4"),
    )
    made = drawing.against_axis(summary, ["ratio", "ratio_pair"], title="Fall", fits=fits)
    (axes,) = made.draw().axes
    drawn = [container.lines[0] for container in axes.containers]
    assert len(drawn) == 6
    assert [line.get_color() for line in drawn[:3]] == [drawn[0].get_color()] * 3
    assert len({line.get_marker() for line in drawn[:3]}) == 3
    assert drawn[0].get_marker() == drawn[3].get_marker()
    for line, at in zip(drawn[:3], range(3), strict=True):
        np.testing.assert_allclose(line.get_ydata(), summary["ratio"].isel(layers=at))
    labels = [container.get_label() for container in axes.containers]
    assert [label.partition(", ")[2] for label in labels[3:]] == ["L = 1", "L = 2", "L = 4"]
    assert labels[1].endswith("L = 2: slope −0.500 [−0.600, −0.400]")
    assert labels[2].endswith("L = 4: slope −1.00 [−2.00, 0]")
    assert "L: hidden layers" in made.caption


def test_lines_are_named_at_their_ends_and_no_name_hides_another():
    names = ["law_e", "midpoint", "secant", "tangent", "box"]
    summary = summarised(names, law=False)
    for name in names:
        summary[name] = 1 + summary[name] / 10
    made = drawing.against_axis(summary, names, title="Factors", reference=1.0)
    figure = made.draw()
    (axes,) = figure.axes
    assert not figure.legends
    assert "Dashed: 1.00." in made.caption
    FigureCanvasAgg(figure).draw()
    texts = sorted(axes.texts, key=lambda text: text.xy[1])
    last = {drawing.tex(quantity(name).symbol): float(summary[name][-1]) for name in names}
    values = [last[text.get_text()] for text in texts]
    assert values == sorted(values)
    assert len(texts) == 5
    boxes = [text.get_window_extent() for text in texts]
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))


def test_negative_values_have_a_linear_axis():
    summary = summarised(("ratio",), law=False)
    for end in ("", "_lo", "_hi"):
        summary[f"ratio{end}"] = summary[f"ratio{end}"] - 0.2
    (axes,) = drawing.against_axis(summary, ["ratio"], title="Fall", log=False).draw().axes
    np.testing.assert_allclose(axes.containers[0].lines[0].get_ydata(), summary["ratio"])
    assert axes.get_yscale() == "linear"
    (axes,) = drawing.against_axis(summary, ["ratio"], title="Fall").draw().axes
    assert len(axes.containers[0].lines[0].get_ydata()) == int((summary["ratio"] > 0).sum()) < 5


@pytest.mark.fast
def test_another_coordinate_has_a_line_a_level():
    first, second = axis("dim", (49, 196)), axis("references", (1000, 2000, 4000))
    summary = summarised(("r_opt",), first, second, law=False)
    made = drawing.against_coordinate(summary, "r_opt", "references", title="Distance")
    (axes,) = made.draw().axes
    assert [container.get_label() for container in axes.containers] == ["d = 49", "d = 196"]
    for at, container in enumerate(axes.containers):
        np.testing.assert_allclose(container.lines[0].get_xdata(), (1000, 2000, 4000))
        np.testing.assert_allclose(container.lines[0].get_ydata(), summary["r_opt"][at])
    assert axes.get_ylabel() == "$r_\\mathrm{opt}$ (input units)"
    assert "N: references" in made.caption


def measurements(first=None, name="ratio"):
    first = first or axis("dim", (8, 32))
    values = np.random.default_rng(1).uniform(0.1, 1, (len(first[1]), 40))
    values[0, 3], values[1, 5] = np.nan, np.inf
    return xr.DataArray(
        values, {first[0]: first}, (first[0], "seed"), name=name, attrs=quantity(name).attrs()
    )


def test_distributions_are_scaled_by_the_root_of_the_dimension_alone():
    values = measurements()
    summary = summarised(("ratio",), axis("dim", (8, 32)))
    made = drawing.distribution(values, summary, title="Spread", half_normal=True)
    (axes,) = made.draw().axes
    curves = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    for at, dim in enumerate((8, 32)):
        kept = np.sort(values[at].values[np.isfinite(values[at])]) * dim**0.5
        np.testing.assert_allclose(curves[at].get_xdata()[1:], kept)
        points = [float(summary[f"predicted_ratio{e}"][at]) * dim**0.5 for e in ("_lo", "", "_hi")]
        np.testing.assert_allclose(rings[at].get_xdata(), points)
    assert "Rings" in made.caption
    assert "√d" in made.caption
    other = axis("width", (8, 32), quantity=Quantity("w", "hidden units"))
    made = drawing.distribution(measurements(other), title="Spread")
    (axes,) = made.draw().axes
    assert np.nanmax(axes.lines[1].get_xdata()) <= 1
    assert "√d" not in made.caption
    assert "Rings" not in made.caption


def test_scatter_draws_positive_pairs_by_level_or_by_what_explains():
    up = measurements()
    across = measurements(name="rho_net").drop_attrs().assign_attrs(quantity("rho_net").attrs())
    (axes,) = drawing.scatter(across, up, by="dim", title="Law E").draw().axes
    for at, label in enumerate(("d = 8", "d = 32")):
        kept = np.isfinite(up[at].values)
        assert axes.lines[at].get_label() == label
        np.testing.assert_allclose(axes.lines[at].get_xdata(), across[at].values[kept])
        np.testing.assert_allclose(axes.lines[at].get_ydata(), up[at].values[kept])
    span = across.assign_attrs(quantity("rho_span").attrs())
    made = drawing.scatter([across, span], up, title="Law E")
    labels = [line.get_label() for line in made.draw().axes[0].lines]
    assert labels == ["$ρ_\\mathrm{net}$", "$ρ_\\mathrm{span}$", "equal"]
    assert "ρ_net: cosine" in made.caption
    many = drawing.scatter(xr.concat([across] * 50, "example"), up, by="dim", title="Law E")
    assert all(len(line.get_xdata()) <= 600 for line in many.draw().axes[0].lines)


def test_the_overview_has_one_hue_a_claim_and_names_what_it_leaves_out():
    steps = axis("steps", (1, 10, 100), quantity=Quantity("t", "steps"))
    one, other = summarised(), summarised(("ratio",), axis("dim", (16, 512)), law=False)
    lines = [
        ("A", one, "ratio"),
        ("A", one, "ratio_pair"),
        ("B", other, "ratio"),
        ("C", summarised(("ratio",), steps), "ratio"),
    ]
    made = drawing.overview(lines)
    (axes,) = made.draw().axes
    first, second, third = axes.containers
    assert first.lines[0].get_color() == second.lines[0].get_color() != third.lines[0].get_color()
    assert third.get_label() == "B"
    np.testing.assert_allclose(third.lines[0].get_xdata(), (16, 512))
    assert "not shown: C." in made.caption
    assert drawing.overview([]).encode("svg").startswith(b"<?xml")


@pytest.mark.fast
def test_the_overview_says_what_means_two_things():
    one, other = summarised(("r_opt",), law=False), summarised(("r_opt",), law=False)
    one["r_opt"].attrs = quantity("r_opt", meaning="exact optimum").attrs()
    other["r_opt"].attrs = quantity("r_opt", meaning="half a distance").attrs()
    made = drawing.overview([("A", one, "r_opt"), ("B", other, "r_opt")])
    assert "r_opt: exact optimum [A]; half a distance [B]." in made.caption
    other["r_opt"].attrs = quantity("r_opt", meaning="exact optimum", bound="lower").attrs()
    made = drawing.overview([("A", one, "r_opt"), ("B", other, "r_opt")])
    assert "r_opt: exact optimum (a lower bound of the true one in B)." in made.caption


@pytest.mark.parametrize("spoil", [np.nan, np.inf, 0.0])
def test_what_is_not_there_is_said(spoil):
    summary = summarised(second=axis("layers", (1, 2), quantity=Quantity("L", "layers"))) * spoil
    values = measurements() * spoil
    for made in (
        drawing.against_axis(summary, ["ratio", "ratio_pair"], title="Fall", guide=True),
        drawing.against_coordinate(summary, "ratio", "layers", title="Fall"),
        drawing.distribution(values, title="Spread"),
        drawing.scatter(values, values, by="dim", title="Equal"),
        drawing.overview([("A", summary, "ratio")]),
    ):
        (axes,) = made.draw("dark").axes
        texts = [text.get_text() for text in axes.texts]
        assert [text for text in texts if text != "0.67/√d"] == ["n/a: no finite value"], made.title
        assert made.encode("png").startswith(b"\x89PNG")


@pytest.mark.fast
def test_a_line_that_was_not_measured_is_left_out():
    summary = summarised(law=False)
    for end in ("", "_lo", "_hi"):
        summary[f"ratio_pair{end}"] = np.nan * summary[f"ratio_pair{end}"]
    made = drawing.against_axis(summary, ["ratio", "ratio_pair"], title="Fall")
    assert len(made.draw().axes[0].containers) == 1
    assert "r_pair" not in made.caption
    with pytest.raises(KeyError, match="ratoi"):
        drawing.against_axis(summary, ["ratoi"], title="Fall")


@pytest.mark.fast
def test_one_seed_has_no_bars():
    summary = summarised(("ratio",), axis("dim", (8,)), law=False)
    summary["ratio_lo"], summary["ratio_hi"] = -np.inf * summary["ratio"], np.inf * summary["ratio"]
    made = drawing.against_axis(summary, ["ratio"], title="Fall")
    assert "too few seeds for intervals" in made.caption
    made.draw()
    with pytest.raises(ValueError, match="theme must be"):
        made.draw("sepia")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("d", "$d$"),
        ("r_nn/r_opt", "$r_\\mathrm{nn}$/$r_\\mathrm{opt}$"),
        ("ρ_net · β", "$ρ_\\mathrm{net}$ · β"),
        ("effective rank", "effective rank"),
    ],
)
def test_symbols_become_mathematics(text, wanted):
    assert drawing.tex(text) == wanted


@pytest.mark.fast
def test_what_a_variable_is():
    known = xr.DataArray([1.0], dims="dim", name="radius")
    assert drawing.quantity_of(known) == quantity("radius")
    labelled = known.assign_attrs(quantity("found", bound="lower").attrs())
    assert drawing.quantity_of(labelled) == quantity("found", bound="lower")
    assert drawing.formatter(labelled)(0.5) == "50.0 %"
    assert drawing.quantity_of(known.rename("a_b").assign_attrs(units="1")).symbol == "a b"


@pytest.mark.fast
def test_texts_stand_at_their_place_in_an_overview():
    model = Quantity("model", "kind of network")
    one = summarised(("ratio",), axis("model", ("vit", "mlp", "cnn"), quantity=model), law=False)
    other = summarised(("ratio",), axis("model", ("mlp", "cnn"), quantity=model), law=False)
    (axes,) = drawing.overview([("A", one, "ratio"), ("B", other, "ratio")]).draw().axes
    first, second = (container.lines[0].get_xdata() for container in axes.containers)
    assert (first.tolist(), second.tolist()) == ([0, 1, 2], [1, 2])


@pytest.mark.fast
@pytest.mark.parametrize(
    "second",
    [
        axis("loss", ("mse", "mae")),
        axis("layers", (1, 2)),
        axis("layers", (1, 2), symbol="depth"),
        axis("own_axis", (0.5, 2.0), quantity=Quantity("own_axis", "own axis")),
        ("own_axis", [1, 2]),
        ("loss", np.array(["mse", "mae"], object)),
    ],
)
def test_slopes_reach_the_lines_of_their_levels(second):
    """Levels as a claim calls them, in its fits."""
    summary = summarised(("ratio",), second=second, law=False)
    named = summary.assign_attrs(axes=["dim", second[0]])
    fits = [Fit("ratio", -k, -2 - k, -0.1, level=at) for k, (at, _) in enumerate(levels(named), 1)]
    figure = drawing.against_axis(summary, ["ratio"], title="Fall", fits=fits).draw()
    said = legend(figure) + [text.get_text() for text in figure.axes[0].texts]
    for fit in fits:
        assert any(words.startswith(f"{fit.level}: slope") for words in said), said


@pytest.mark.fast
def test_medians_without_intervals_are_not_said_to_have_too_few_seeds():
    summary = summarised(("ratio",), law=False).drop_vars(["ratio_lo", "ratio_hi"])
    caption = drawing.against_axis(summary, ["ratio"], title="Fall").caption
    assert "Markers: medians over seeds." in caption


def test_a_map_has_every_value_written_into_its_cell():
    values = xr.DataArray(
        [[0.5, 1.25, 20.0], [np.nan, -1.0, 3.0]],
        coords={"dim": axis("dim", (8, 16)), "width": axis("width", (2, 4, 6))},
        dims=("dim", "width"),
        attrs=quantity("ratio").attrs(),
    )
    made = drawing.heat_map(values, title="Map", note="So it is.")
    for theme in ("light", "dark"):
        axes, _ = made.draw(theme).axes
        written = {text.get_position(): text.get_text() for text in axes.texts}
        assert written == {(0, 0): "0.500", (0, 1): "1.25", (0, 2): "20.0", (1, 2): "3.00"}
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8", "16"]
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["2", "4", "6"]
    assert "r_opt: smallest" in made.caption
    assert made.caption.endswith("So it is.")
    assert "2 by 3 cells" in made.alt
    nothing = drawing.heat_map(values * np.nan, title="Map").draw("light").axes[0]
    assert "n/a" in nothing.texts[0].get_text()
    with pytest.raises(ValueError, match="two axes"):
        drawing.heat_map(values[0], title="Map")


def searched(norm, status):
    missing = [None] * 3
    return Perturbation(None, np.array(norm), np.isfinite(norm), *missing, np.array(status))


def test_robust_accuracy_falls_with_the_radius_and_says_what_counts_as_robust():
    found = searched([1.0, 2.0, 0.0, np.inf, np.inf], [0, 0, 1, 2, 3])
    other = searched([4.0, 1.0], [0, 0])
    radii = (0.0, 1.0, 1.5, 3.0)
    made = drawing.robustness_curve({"CNN": found, "MLP": other}, radii=radii, unit="pixels")
    (axes,) = made.draw().axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.6, 0.4, 0.4, 0.2])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [1, 0.5, 0.5, 0.5])
    low, high = (proportion(2, 5)[at] for at in (1, 2))
    edges = axes.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(edges[edges[:, 0] == 1.5][:, 1])), [low, high])
    assert axes.get_xlabel() == "ε (pixels)"
    assert legend(made.draw()) == ["CNN", "MLP"]
    assert "an upper bound of the true one" in made.caption
    assert "of CNN: nothing was found for 1 of 5 inputs, which count as robust" in made.caption
    assert "1 of 5 inputs have no finite answer and count as wrong" in made.caption
    assert "of MLP" not in made.caption
    assert "CNN 60.0 % to 20.0 %" in made.alt


def test_brackets_are_a_band_that_the_truth_is_in():
    found = searched([1.0, 2.0, 0.0, np.inf, np.inf], [0, 0, 1, 2, 3])
    radius, status = np.array([0.9, 1.6, 0.0, 0.0, 0.0]), np.array([0, 0, 2, 3, 4])
    both = Bracket(Certificate(radius, None, None, status, None), found)
    made = drawing.robustness_curve(both, radii=(0.0, 0.9, 1.5, 3.0))
    (axes,) = made.draw().axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.6, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.6, 0.2, 0.2, 0])
    wanted = (0.2, 0.4), (proportion(1, 5)[1], proportion(2, 5)[2])  # the band, its interval
    for drawn, ends in zip(axes.collections, wanted, strict=True):
        edges = drawn.get_paths()[0].vertices
        np.testing.assert_allclose(sorted(set(edges[edges[:, 0] == 1.5][:, 1])), ends)
    assert "Thin lines, where there are any: the same share by certified radii" in made.caption
    assert "Thin lines" not in drawing.robustness_curve(found).caption


def test_one_network_has_a_curve_without_a_name():
    made = drawing.robustness_curve(searched([1.0, 2.0], [0, 0]))
    figure = made.draw()
    assert not figure.legends
    reached = figure.axes[0].lines[0].get_xdata()
    assert reached[0] == 0
    assert reached[-1] > 2
    drawing.robustness_curve(searched([0.0, np.inf], [1, 3])).encode("png")  # nothing withstands
    with pytest.raises(ValueError, match="at least one result"):
        drawing.robustness_curve({})


def swept():
    """What a sweep over dimension and depth might have measured, in three units and forms."""
    dims, rng = ("dim", "layers", "seed"), np.random.default_rng(1)
    values = np.array(DIMS)[:, None, None] ** -0.5 * np.exp(0.1 * rng.normal(size=(5, 2, 9)))
    made = {"ratio": values, "radius": 3 * values, "accuracy": 1 - values / 9, "rho_net": values}
    coords = {"dim": axis("dim", DIMS), "layers": axis("layers", (1, 2))}
    variables = {name: (dims, made[name], quantity(name).attrs()) for name in made}
    return xr.Dataset(variables, coords, {"axes": ["dim", "layers"], "experiment": "own"})


def test_a_sweep_of_ones_own_is_drawn_by_unit_and_form():
    dataset, summary = swept(), summarise(swept())
    made = drawing.plots(dataset)
    assert list(made) == ["ratio", "radius", "accuracy"]
    figure = made["ratio"].draw()
    lines = [points.get_ydata() for points, *_ in (c.lines for c in figure.axes[0].containers)]
    wanted = [summary[name][:, at] for name in ("ratio", "rho_net") for at in (0, 1)]
    np.testing.assert_allclose(lines, wanted)
    assert sum("slope −0." in text for text in legend(figure)) == 4
    assert figure.axes[0].get_yscale() == "log"
    assert made["accuracy"].draw().axes[0].get_yscale() == "linear"
    one = drawing.plot(dataset, ["radius"], title="Mine", guide=True)
    assert one.title == "Mine"
    assert "0.67/√d" in one.caption
    assert one._repr_png_() == one.encode("png")
    assert drawing.plot(dataset).caption == made["ratio"].caption
    with pytest.raises(ValueError, match="no variables"):
        drawing.plot(dataset[[]])
