"""Reports on results whose every number was made up: nothing is lost, nothing depends on luck."""

import html.parser
import io
import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from fracture import report
from fracture.drawing._format import interval, number, pvalue
from fracture.experiments._result import Fit, Result, Verdict
from fracture.report._page import subscripts

NASTY = 'undecided: 3 < 4 & "quotes" <script>alert(1)</script>'


def summarise(dataset, names):
    summary = xr.Dataset(coords={"dim": dataset["dim"]})
    summary["seeds"] = ("dim", [dataset.sizes["seed"]] * dataset.sizes["dim"])
    for name in names:
        rows = np.asarray(dataset[name].transpose("dim", ...)).reshape(dataset.sizes["dim"], -1)
        for end, q in {"": 0.5, "_lo": 0.45, "_hi": 0.55}.items():
            kept = [row[np.isfinite(row)] for row in rows]
            middle = [np.quantile(row, q) if row.size else np.nan for row in kept]
            summary[name + end] = ("dim", middle, dataset[name].attrs)
    return summary


def linear(dims=(8, 16, 32, 64, 128, 256, 512), seeds=200, untargeted=True):
    """Family A as theory has it: the squared pairwise ratio is Beta(1/2, (d - 1)/2)."""
    rng = np.random.default_rng(0)
    size = (len(dims), seeds)
    d = np.array(dims)[:, None]
    ratio = np.sqrt(rng.beta(0.5, (d - 1) / 2, size))
    r_opt = np.sqrt(rng.chisquare(d, size) / 2)
    variables = {
        "r_opt": (r_opt, "optimal radius, given class", "input units"),
        "r_nn": (ratio * r_opt, "network radius, given class", "input units"),
        "ratio": (ratio, "fragility ratio, pairwise", ""),
        "rho": (ratio, "compression ratio of the displacement", ""),
    }
    if untargeted:
        least = ratio * 0.6 * d**-0.19 * rng.uniform(0.8, 1, size)
        variables["r_opt_untargeted"] = (
            0.8 * r_opt,
            "optimal radius, nearest class",
            "input units",
        )
        variables["r_nn_untargeted"] = (
            least * r_opt,
            "network radius, nearest boundary",
            "input units",
        )
        variables["ratio_untargeted"] = (least, "fragility ratio, untargeted", "")
    dataset = xr.Dataset(
        {
            name: (("dim", "seed"), values, {"long_name": long_name, "units": units})
            for name, (values, long_name, units) in variables.items()
        },
        {"dim": list(dims)},
        {
            "title": "Family A: one Gaussian point per class, linear interpolator",
            "description": "d classes, each a single point; r_opt is half a distance.",
            "experiment": "linear_points",
            "versions": "jax 0.10.2",
            "created": "2026-01-01",
        },
    )
    summary = summarise(dataset, list(variables))
    draws = np.sqrt(rng.beta(0.5, (d - 1) / 2, (len(dims), 4000)))
    for end, q in {"": 0.5, "_lo": 0.05, "_hi": 0.95}.items():
        points = np.quantile(draws, q, axis=1)
        summary["predicted" + end] = ("dim", points, {"long_name": "predicted fragility ratio"})
        if untargeted:
            named = {"long_name": "sampled fragility ratio, untargeted"}
            summary["predicted_untargeted" + end] = ("dim", 0.5 * points, named)
    summary["ks_statistic"] = ("dim", rng.uniform(0.01, 0.05, len(dims)))
    summary["ks_pvalue"] = ("dim", rng.uniform(0, 1, len(dims)))
    fits = (
        Fit("ratio", "pairwise ratio", -0.497, -0.512, -0.483, -0.493),
        Fit("ratio_untargeted", "untargeted ratio", -0.69, -0.71, -0.67, None),
    )
    verdicts = (
        Verdict("Law A", True, "Law A: holds.", "exponent −0.497 [−0.512, −0.483]"),
        Verdict("Law X", None, NASTY),
    )
    return Result(dataset, summary, fits, verdicts)


def trained(dims=(8, 16, 32, 64), seeds=8, examples=16):
    """A trained network: several examples a seed, law E factors, half of one dimension missing."""
    rng = np.random.default_rng(1)
    d = np.array(dims)[:, None, None]
    size = (len(dims), seeds, examples)
    rho_theory = 0.67 * d**-0.5 * rng.uniform(0.7, 1.3, size)
    rho_net = np.minimum(rho_theory * (d / 8) ** 0.7, 1)
    law_e = rng.uniform(0.95, 1.3, size)
    r_opt = d**0.5 * rng.uniform(0.9, 1.1, size)
    values = {
        "r_opt": r_opt,
        "r_nn": rho_net * law_e * r_opt,
        "ratio": rho_net * law_e,
        "law_e": law_e,
        "midpoint": rng.uniform(0.9, 1.1, size),
        "secant": rng.uniform(0.8, 1.4, size),
        "tangent": rng.uniform(0.9, 1.2, size),
        "box": rng.uniform(1, 1.3, size),
        "rho_net": rho_net,
        "rho_theory": rho_theory,
        "accuracy": rng.uniform(0.97, 1, size),
    }
    values["r_nn"][1, ::2] = np.inf
    values["ratio"][1, ::2] = np.nan
    dataset = xr.Dataset(
        {name: (("dim", "seed", "example"), value) for name, value in values.items()},
        {"dim": list(dims)},
        {"title": "Trained ReLU networks: family B", "description": "Two layers."},
    )
    fits = (Fit("ratio", "ratio", 0.1, -np.inf, np.inf, -0.5),)
    verdicts = (
        Verdict("Law B", False, "does not hold here at d = 64."),
        Verdict("Law E", True, "Law E: holds within a factor of 1.5."),
    )
    return Result(dataset, summarise(dataset, list(values)), fits, verdicts)


def digits(dims=(49, 196, 784, 3136), references=(1000, 2000, 4000, 8000)):
    """Real images: the radius depends on the number of references."""
    base = trained(dims, seeds=3, examples=12)
    dataset, summary = base.dataset.drop_vars(["rho_theory", "ratio"]), base.summary
    fall = xr.DataArray(
        np.array(references) ** -0.08, {"references": list(references)}, "references"
    )
    dataset["r_opt"] = dataset["r_opt"] * fall
    dataset.attrs["title"] = "Digits: MNIST at four resolutions"
    summary = summary.drop_vars(["rho_theory", "rho_theory_lo", "rho_theory_hi"])
    for name in ("r_opt", "ratio"):
        for end in ("", "_lo", "_hi"):
            values = summary[name + end] * (fall if name == "r_opt" else 1 / fall)
            summary[f"{name}_by_references{end}"] = values
    summary["ratio"].attrs["long_name"] = "fragility ratio, class of the nearest digit"
    summary["ratio_untargeted"] = 0.9 * summary["ratio"]
    summary["ratio_untargeted"].attrs["long_name"] = "fragility ratio, nearest boundary"
    fits = (
        Fit("ratio", "class of the nearest digit", -0.246, -0.264, -0.227, -0.5),
        Fit("ratio_untargeted", "nearest boundary", -0.238, -0.248, -0.227, -0.5),
    )
    return Result(dataset, summary, fits, ())


def analysis(examples=60, rank=10, side=14):
    rng = np.random.default_rng(2)
    radius = rng.gamma(4, 0.3, examples)
    rho, midpoint, secant, tangent, box = rng.uniform(0.05, 0.4, (5, examples))
    status, status_pair = np.zeros((2, examples), int)
    radius[3], status[3] = np.inf, 2
    radius[4], status[4], status_pair[4] = 0, 1, 1
    status_pair[5] = 2
    layers = ["input", "hidden 1", "hidden 2", "logits"]
    images = rng.uniform(0, 1, (examples, side, side, 1))
    return xr.Dataset(
        {
            "radius": ("example", radius, {"units": "input units"}),
            "radius_relative": ("example", radius / 9),
            "r_opt": ("example", radius / rho),
            "ratio": ("example", rho * rng.uniform(0.9, 1.1, examples)),
            "radius_pair": ("example", 1.2 * radius),
            "ratio_pair": ("example", rho * midpoint * secant * tangent * box),
            "midpoint": ("example", midpoint),
            "secant": ("example", secant),
            "tangent": ("example", tangent),
            "box": ("example", box),
            "rho_net": ("example", rho),
            "rho_span": ("example", rho * 1.5),
            "null_ratio": ("example", np.full(examples, 0.1)),
            "null_pvalue": ("example", rng.uniform(size=examples)),
            "status": ("example", status),
            "status_pair": ("example", status_pair),
            "label": ("example", rng.integers(0, 10, examples)),
            "adversarial_label": ("example", rng.integers(0, 10, examples)),
            "effective_rank": ("example", rng.uniform(4, 9, examples)),
            "singular_values": (
                ("example", "rank"),
                np.append(np.geomspace(30, 1, rank - 1), 1e-15)
                * rng.uniform(0.8, 1.2, (examples, 1)),
            ),
            "layer_rho": (("example", "layer"), rng.uniform(0.1, 0.9, (examples, 4))),
            "layer_null": (("example", "layer"), np.full((examples, 4), 0.2)),
            "layer_pvalue": (("example", "layer"), rng.uniform(0, 1e-5, (examples, 4))),
            "layer_rank": (("example", "layer"), np.full((examples, 4), 9)),
            "layer_effective_rank": (("example", "layer"), rng.uniform(3, 8, (examples, 4))),
            "images": (("example", "h", "w", "c"), images),
            "adversarial_images": (
                ("example", "h", "w", "c"),
                images + 0.05 * rng.normal(size=images.shape),
            ),
        },
        {"layer": layers},
        {"title": "Digits <b>28</b>", "description": "An MLP.", "options": '{"ord": "inf"}'},
    )


RESULTS = {"linear_points": linear(), "trained": trained(), "digits": digits()}


class Page(html.parser.HTMLParser):
    """Every tag closed, every attribute that loads something, every text."""

    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.ids, self.alts, self.text = [], [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.loads += [values[n] for n in ("src", "srcset", "href", "data") if n in values]
        self.ids += [values["id"]] if "id" in values else []
        self.alts += [values.get("alt")] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    path = report.render(RESULTS, out)
    return SimpleNamespace(out=out, path=path, html=path.read_text(), page=Page(path.read_text()))


def shown(tables, width=240):
    console = Console(file=io.StringIO(), width=width)
    for table in tables:
        console.print(table)
    return console.file.getvalue()


def test_page_stands_alone(rendered):
    assert rendered.path == rendered.out / "index.html"
    assert all(target.startswith(("data:", "#")) for target in rendered.page.loads)
    anchors = {target[1:] for target in rendered.page.loads if target.startswith("#")}
    assert anchors <= set(rendered.page.ids)
    assert len(rendered.page.ids) == len(set(rendered.page.ids))
    assert not re.search(r"https?://|@import|url\(|<script", rendered.html)


def test_page_says_every_verdict_and_escapes_it(rendered):
    for result in RESULTS.values():
        for verdict in result.verdicts:
            assert verdict.sentence in rendered.page.text
            assert verdict.evidence in rendered.page.text
        assert result.dataset.attrs["title"] in rendered.page.text
    assert "does not hold" in rendered.page.text
    assert "&lt;script&gt;" in rendered.html
    assert rendered.page.text.count("an estimate") == 2  # the digits' own figure and overview
    assert "lower bound" not in rendered.page.text


def test_every_picture_has_both_themes_and_words(rendered):
    count = 1 + sum(len(report.figures(result)) for result in RESULTS.values())
    assert len(rendered.page.alts) == count
    assert all(rendered.page.alts)
    data = [target for target in rendered.page.loads if target.startswith("data:image/svg+xml")]
    assert len(set(data)) == 2 * count
    names = {path.stem for path in (rendered.out / "figures").glob("*.svg")}
    assert names == {path.stem for path in (rendered.out / "figures").glob("*.png")}
    assert {"overview", "linear_points-scaling", "digits-references", "trained-law-e"} <= names
    assert len(names) == count


def test_rerendering_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path):
    results = {"few": linear(dims=(8, 16), untargeted=False)}
    report.render(results, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report.render(results, tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after
    assert not [path for path in after if path.name.startswith(".")]


@pytest.mark.fast
def test_figures_are_those_that_the_variables_allow():
    assert set(report.figures(RESULTS["linear_points"])) == {
        "scaling",
        "radii",
        "distribution",
        "distribution-untargeted",
    }
    law = {"law-e", "compression", "factors"}
    assert set(report.figures(RESULTS["trained"])) == {"scaling", "radii", "distribution"} | law
    extra = {"references", "references-ratio"}
    assert (
        set(report.figures(RESULTS["digits"])) == {"scaling", "radii", "distribution"} | law | extra
    )


@pytest.mark.fast
def test_scaling_draws_the_medians_and_names_the_slope():
    result = RESULTS["linear_points"]
    figure = report.figures(result)["scaling"].draw()
    (axes,) = figure.axes
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "pairwise: slope −0.497 [−0.512, −0.483]" in labels
    assert {"exact law, pairwise", "sampled law, untargeted"} <= set(labels)
    drawn = [container.lines[0].get_xydata() for container in axes.containers]
    for points, name in zip(drawn, ("ratio", "ratio_untargeted"), strict=True):
        np.testing.assert_allclose(points[:, 0], result.summary["dim"])
        np.testing.assert_allclose(points[:, 1], result.summary[name])
    low, high = axes.get_ylim()
    assert low < float(result.summary["predicted_untargeted_lo"].min())
    assert high > float(result.summary["predicted_hi"].max())


def test_lines_are_named_at_their_ends_and_no_name_hides_another():
    result = RESULTS["digits"]
    figure = report.figures(result)["factors"].draw()
    (axes,) = figure.axes
    assert not figure.legends
    last = {
        "law E": "law_e",
        "midpoint $\\mu$": "midpoint",
        "secant $\\kappa$": "secant",
        "tangent $\\tau$": "tangent",
        "box $\\beta$": "box",
    }
    FigureCanvasAgg(figure).draw()
    names = sorted(axes.texts, key=lambda text: text.xy[1])
    values = [float(result.summary[last[text.get_text()]][-1]) for text in names]
    assert values == sorted(values)
    boxes = [text.get_window_extent() for text in names]
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
    assert len(names) == 5
    crowded = report.figures(RESULTS["linear_points"])["radii"].draw()
    assert crowded.legends  # names too long for the margin


def test_nothing_sticks_out_of_a_figure():
    drawings = [report.overview(RESULTS), *report.analysis_figures(analysis()).values()]
    for result in RESULTS.values():
        drawings.extend(report.figures(result).values())
    for drawing in drawings:
        figure = drawing.draw()
        FigureCanvasAgg(figure).draw()
        edges = figure.get_tightbbox().extents * figure.dpi
        assert (edges[:2] >= -1).all(), drawing.title
        assert (edges[2:] <= figure.bbox.extents[2:] + 1).all(), drawing.title
        for legend in figure.legends:
            axes = figure.axes[0].get_tightbbox()
            assert not legend.get_window_extent().overlaps(axes), drawing.title


def test_tables_hold_every_number_of_the_summary(rendered):
    text = shown(report.tables({"linear_points": RESULTS["linear_points"]}))
    summary = RESULTS["linear_points"].summary
    for name in set(summary.data_vars) - {"seeds"}:
        show = pvalue if name == "ks_pvalue" else number
        for value in summary[name].values:
            assert show(value) in rendered.page.text
            if not name.endswith(("_lo", "_hi")):
                assert show(value) in text
    assert "pairwise ratio: −0.497, 95 % CI [−0.512, −0.483]; expected −0.493" in text
    assert NASTY in text
    assert len(report.tables(RESULTS)) == 1 + (1 + 2 + 1) + (1 + 3 + 1) + (1 + 6 + 1)
    assert text.index(NASTY) < text.index("Radii and ratio")  # verdicts come first


def test_tables_fit_a_narrow_terminal():
    text = shown([*report.tables(RESULTS), *report.analysis_tables(analysis())], width=80)
    assert max(map(len, text.splitlines())) <= 80
    summary = RESULTS["linear_points"].summary
    for name in ("ratio_lo", "predicted_hi", "ks_statistic", "ks_pvalue"):
        for value in summary[name].values:
            assert (pvalue if name == "ks_pvalue" else number)(value) in text


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda r: linear(dims=(8,)), id="one dimension"),
        pytest.param(lambda r: linear(seeds=1, untargeted=False), id="one seed, one comparison"),
        pytest.param(lambda r: r._replace(dataset=r.dataset * np.nan), id="dataset all NaN"),
        pytest.param(lambda r: r._replace(summary=r.summary * np.nan), id="summary all NaN"),
        pytest.param(lambda r: r._replace(summary=r.summary * np.inf), id="summary all infinite"),
        pytest.param(
            lambda r: r._replace(dataset=r.dataset.where(r.dataset["dim"] < 100)), id="padded"
        ),
        pytest.param(lambda r: r._replace(summary=r.summary[["seeds"]]), id="nothing but seeds"),
        pytest.param(lambda r: r._replace(summary=r.summary * 0), id="all zero"),
    ],
)
def test_odd_results_are_reported_too(spoil):
    result = spoil(RESULTS["linear_points"])
    for drawing in [*report.figures(result).values(), report.overview({"odd": result})]:
        assert drawing.encode("svg").startswith(b"<?xml")
    text = shown(report.tables({"odd": result}))
    assert "Law A: holds" in text
    if any(result.summary[name].isnull().all() for name in result.summary):
        assert "n/a" in text


def test_all_missing_figures_say_so():
    result = trained()
    hollow = result._replace(dataset=result.dataset * np.nan, summary=result.summary * np.nan)
    for drawing in report.figures(hollow).values():
        (axes,) = drawing.draw().axes
        texts = [text.get_text() for text in axes.texts]
        assert [text for text in texts if text != "0.67/√d"] == ["n/a: no finite value"]  # a guide


@pytest.mark.fast
def test_misuse(tmp_path):
    with pytest.raises(ValueError, match="at least one experiment"):
        report.render({}, tmp_path)
    with pytest.raises(ValueError, match=r"got '\.\./up'"):
        report.render({"../up": RESULTS["trained"]}, tmp_path)
    with pytest.raises(ValueError, match="'example'"):
        report.analysis_page(RESULTS["linear_points"].dataset, tmp_path)
    with pytest.raises(ValueError, match="theme must be"):
        report.overview(RESULTS).draw("sepia")
    assert not list(tmp_path.iterdir())


@pytest.mark.fast
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "n/a"),
        (-np.inf, "−∞"),
        (0, "0"),
        (0.0843217, "0.0843"),
        (-0.5, "−0.500"),
        (0.00099996, "0.00100"),
        (1.2e-7, "1.20e−7"),
        (999.6, "1000"),
        (12345, "12345"),
        (4.5e8, "4.50e8"),
        (np.float32(8), "8.00"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.fast
def test_small_formats():
    assert (pvalue(1e-9), pvalue(0.25), pvalue(np.nan)) == ("<0.001", "0.250", "n/a")
    assert (interval(0.1, 0.2), interval(np.nan, np.nan)) == ("[0.100, 0.200]", "")
    assert subscripts("r_nn<ρ_net") == "<i>r</i><sub>nn</sub>&lt;<i>ρ</i><sub>net</sub>"


def test_analysis(tmp_path):
    dataset = analysis()
    assert set(report.analysis_figures(dataset)) == {
        "radii",
        "compression",
        "spectrum",
        "layers",
        "layer-ranks",
        "gallery",
    }
    page = Page(report.analysis_page(dataset, tmp_path).read_text())
    assert "Digits <b>28</b>" in page.text
    assert "60 inputs: 58 found, 1 misclassified, 1 not found." in page.text
    assert "First 20 inputs: radii" in page.text
    assert all(target.startswith("data:") for target in page.loads)
    text = shown(report.analysis_tables(dataset))
    assert "∞" in text
    assert "Radii and distances are l∞ norms" in page.text


@pytest.mark.fast
def test_summary_counts_only_inputs_whose_perturbation_was_found():
    dataset = analysis()
    text = shown(report.analysis_tables(dataset))
    (summary, *_) = (line for line in text.split("Layer by layer"))
    kept = {"radius": [3, 4], "ratio": [3, 4], "ratio_pair": [3, 4, 5], "midpoint": [3, 4, 5]}
    for name, out in kept.items():
        values = np.delete(dataset[name].values, out)
        points = [number(np.quantile(values, q)) for q in (0.5, 0.25, 0.75, 0.05, 0.95)]
        line = r"\s+{}\s+{}\s+\[{}, {}\]\s+\[{}, {}\]"
        assert re.search(line.format(values.size, *map(re.escape, points)), summary), name
    assert re.search(rf"ρ_net\s+60\s+{number(dataset['rho_net'].median())}", summary)


@pytest.mark.fast
def test_compression_is_compared_with_the_pairwise_ratio():
    dataset = analysis()
    for name, label in (("ratio_pair", "pair"), ("ratio", "nn")):
        drawing = report.analysis_figures(dataset)["compression"]
        assert f"r_{label}/r_opt" in drawing.caption
        (axes,) = drawing.draw().axes
        assert f"{{{label}}}" in axes.get_ylabel()
        drawn = axes.lines[0].get_xydata()
        out = [3, 4, 5] if name == "ratio_pair" else [3, 4]
        explains = dataset["rho_net"] * (dataset["box"] if label == "pair" else 1)
        np.testing.assert_allclose(drawn[:, 0], np.delete(explains.values, out))
        np.testing.assert_allclose(drawn[:, 1], np.delete(dataset[name].values, out))
        dataset = dataset.drop_vars("ratio_pair", errors="ignore")


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spectrum_leaves_out_rounding(dtype):
    floor = 3 * np.finfo(dtype).eps
    values = np.tile(np.array([1, 1e-3, floor, floor], dtype), (5, 1))
    dataset = xr.Dataset({"singular_values": (("example", "rank"), values)})
    (axes,) = report.analysis_figures(dataset)["spectrum"].draw().axes
    assert np.isfinite(axes.lines[0].get_ydata()).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda a: a[["radius"]], id="radius alone"),
        pytest.param(lambda a: a.isel(example=[0]), id="one input"),
        pytest.param(lambda a: a.isel(example=[3]), id="nothing found"),
        pytest.param(lambda a: a.isel(example=[]), id="no input"),
        pytest.param(
            lambda a: a.assign(status=("example", ["found"] * a.sizes["example"])), id="words"
        ),
        pytest.param(
            lambda a: xr.merge(
                [a.drop_dims("c"), a[["images", "adversarial_images"]].isel(c=[0] * 3)]
            ),
            id="colour",
        ),
    ],
)
def test_odd_analyses_are_reported_too(spoil):
    dataset = spoil(analysis())
    for drawing in report.analysis_figures(dataset).values():
        assert drawing.encode("svg").startswith(b"<?xml")
    assert f"{dataset.sizes['example']} inputs" in shown(report.analysis_tables(dataset))


@pytest.mark.parametrize(
    ("axes", "count", "note"),
    [("cyx", 1, ""), ("yxc", 1, ""), ("cyx", 3, ""), ("yxc", 2, "2 channels"), ("cyx", 8, "8 ch")],
)
def test_images_of_any_channels_are_drawn(axes, count, note):
    """Grey, colours, or the mean of the channels, wherever they are."""
    rng = np.random.default_rng(0)
    clean, change = rng.uniform(0, 1, (2, 2, 8, 6, count))  # the last axis holds the channels
    names = {"y": "height", "x": "width", "c": "channel"}
    moved = lambda values: (
        ("example", *(names[axis] for axis in axes)),
        np.moveaxis(values, -1, 1 + axes.index("c")),
    )
    dataset = xr.Dataset({"images": moved(clean), "adversarial_images": moved(clean + change)})
    gallery = report.analysis_figures(dataset)["gallery"]
    assert ("the mean is shown" in gallery.caption) == bool(note)
    assert note in gallery.caption
    wanted = clean if count == 3 else clean.mean(axis=-1)
    scaled = (wanted - wanted.min()) / (wanted.max() - wanted.min())
    grid = gallery.draw().axes
    for column in range(2):
        np.testing.assert_allclose(grid[column].images[0].get_array(), scaled[column])
