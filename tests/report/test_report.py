"""Reports on results whose every number was made up: nothing is lost, nothing depends on luck."""

import base64
import csv
import html.parser
import io
import re
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jaxtyping import TypeCheckError
from matplotlib.backends.backend_agg import FigureCanvasAgg
from reported import NASTY, analysis, digits, figures, linear, own_sweep, trained, training
from rich.console import Console

from fracture import drawing, experiments, report
from fracture.analysis import Images, analyze
from fracture.drawing import formatter, interval, number, pvalue
from fracture.experiments import Findings
from fracture.report._analysis import analysis_grids
from fracture.report._grids import Cell, Column, Grid
from fracture.report._page import subscripts
from fracture.report._summaries import summary_grids
from fracture.vocabulary import Quantity

FINDINGS = {
    "linear_points": linear(),
    "trained": trained(),
    "digits": digits(),
    "training": training(),
}
DRAWINGS = {name: figures(found) for name, found in FINDINGS.items()}


class Page(html.parser.HTMLParser):
    """Every tag closed, every attribute that loads something, every text, every table to save."""

    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.ids, self.alts, self.text = [], [], [], [], ""
        self.tables = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.loads += [values[n] for n in ("src", "srcset", "href", "data") if n in values]
        self.ids += [values["id"]] if "id" in values else []
        self.alts += [values.get("alt")] if tag == "img" else []
        if "download" in values:
            content = base64.b64decode(values["href"].partition(",")[2]).decode("utf-8-sig")
            assert values["download"] not in self.tables
            self.tables[values["download"]] = list(csv.reader(io.StringIO(content)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """One page for claims and an analysis alike."""
    out = tmp_path_factory.mktemp("report")
    analyses = {"digits_mlp": analysis()}
    path = report.page(FINDINGS, out, drawings=DRAWINGS, analyses=analyses)
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
    text = rendered.page.text
    for found in FINDINGS.values():
        for verdict in found.verdicts:
            said = f"{verdict.law}: {verdict.finding}."
            assert text.count(said) == 2  # above, and in the section
            assert text.index(said) < text.index("Overview")
            for evidence in verdict.evidence:
                assert evidence.what in text
                assert number(evidence.value) in text
                assert interval(evidence.low, evidence.high) in text
        assert found.dataset.attrs["title"] in text
    for word in ("holds", "does not hold", "undecided"):
        assert f'<span class="badge {word.replace(" ", "-")}">{word}</span>' in rendered.html
    assert "&lt;script&gt;" in rendered.html
    assert "an upper bound of the true one" in text
    assert "lower bound" not in text
    assert "The optimal classifier is the nearest." in text


def test_every_picture_has_both_themes_and_words(rendered):
    own = report.analysis_figures(analysis())
    count = 1 + sum(map(len, DRAWINGS.values())) + len(own)
    assert len(rendered.page.alts) == count
    assert all(rendered.page.alts)
    data = [target for target in rendered.page.loads if target.startswith("data:image/svg+xml")]
    assert len(set(data)) == 2 * count
    names = {path.stem for path in (rendered.out / "figures").glob("*.svg")}
    assert names == {path.stem for path in (rendered.out / "figures").glob("*.png")}
    assert {"overview", "linear_points-scaling", "digits-references", "trained-law-e"} <= names
    assert {"digits_mlp-radii", "digits_mlp-gallery"} <= names
    assert len(names) == count


def test_every_symbol_is_in_the_glossary(rendered):
    printed = {
        drawing.quantity_of(data[name]).symbol
        for data in (*(found.summary for found in FINDINGS.values()), analysis())
        for name in data.data_vars
        if drawing.quantity_of(data[name]).meaning
    }
    entries = re.findall(r"<dt>(.*?)</dt>", rendered.html)
    assert len(entries) == len(set(entries))
    assert {str(subscripts(symbol)) for symbol in printed} <= set(entries)


def test_rerendering_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path):
    few = {"few": linear(dims=(8, 16))}
    drawings = {"few": figures(few["few"])}
    report.page(few, tmp_path, drawings=drawings)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report.page(few, tmp_path, drawings=drawings)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after
    assert not [path for path in after if path.name.startswith(".")]


def test_nothing_sticks_out_of_a_figure():
    drawings = [*report.analysis_figures(analysis()).values()]
    lines = [(name, f.summary, "ratio") for name, f in FINDINGS.items() if "ratio" in f.summary]
    drawings.append(drawing.overview(lines))
    for made in DRAWINGS.values():
        drawings.extend(made.values())
    for made in drawings:
        figure = made.draw()
        FigureCanvasAgg(figure).draw()
        edges = figure.get_tightbbox().extents * figure.dpi
        assert (edges[:2] >= -1).all(), made.title
        assert (edges[2:] <= figure.bbox.extents[2:] + 1).all(), made.title
        for legend in figure.legends:
            axes = figure.axes[0].get_tightbbox()
            assert not legend.get_window_extent().overlaps(axes), made.title


@pytest.mark.parametrize("name", FINDINGS)
def test_tables_hold_every_number_of_the_summary(rendered, name):
    found = FINDINGS[name]
    text = shown(report.tables({name: found}))
    for variable in map(str, found.summary.data_vars):
        show = formatter(found.summary[variable])
        for value in found.summary[variable].values.ravel():
            assert show(value) in rendered.page.text
            if not variable.endswith(("_lo", "_hi")):
                assert show(value) in text
    for fit in found.fits:
        assert number(fit.exponent) in text
        assert interval(fit.low, fit.high) in rendered.page.text


def test_verdicts_come_first_in_a_terminal():
    text = shown(report.tables(FINDINGS))
    assert NASTY in text
    assert text.index(NASTY) < text.index("Radii and ratios")
    assert re.search(r"holds +Law A: medians 3 % above are excluded\.", text)
    assert re.search(r"r_pair/r_half +−0.497 \[−0.512,−0.483\] +−0.493", text)


def test_titles_say_what_is_in_a_table(rendered):
    titles = re.findall(r"<h3>(.*?)</h3>", rendered.html)
    for title in ("Radii and ratios", "What the network reads", "Law E, factor by factor"):
        assert title in titles
    assert str(subscripts("Measured and predicted: r_pair/r_half")) in titles
    assert str(subscripts("r_opt by N")) in titles
    assert "exact law of" in rendered.page.text
    assert rendered.page.text.count("drawn law of") == 1


@pytest.mark.parametrize("tested", ["ratio", "ratio_pair", "r_opt"])
def test_tests_stand_beside_the_law_that_they_are_of(tested):
    found = linear(dims=(8, 16))
    for name in ("ks_statistic", "ks_pvalue", "ks_largest"):
        found.summary[name].attrs["tested"] = tested
    symbol = drawing.quantity_of(found.summary[tested]).symbol
    kind = "Tests against the law" if tested == "r_opt" else "Measured and predicted"
    heads = {
        grid.title: [column.symbol for column in grid.columns] for grid in summary_grids(found)
    }
    assert [title for title, head in heads.items() if "KS" in head] == [f"{kind}: {symbol}"]


def test_two_axes_are_two_columns_and_every_row_is_there(rendered):
    (head, *rows) = rendered.page.tables["training-radii-and-ratios.csv"]
    assert head == ["t", "L", "seeds", "r_nn/r_opt", "r_nn/r_opt low", "r_nn/r_opt high"]
    assert [(int(row[0]), int(row[1])) for row in rows] == [
        (t, layers) for t in (0, 1, 10, 100) for layers in (1, 2, 4)
    ]
    summary = FINDINGS["training"].summary
    got = np.array([[float(entry) for entry in row[3:]] for row in rows])
    for at, end in enumerate(("", "_lo", "_hi")):
        np.testing.assert_allclose(got[:, at], summary[f"ratio{end}"].values.ravel(), rtol=1e-9)
    (head, *rows) = rendered.page.tables["training-fitted-exponents.csv"]
    assert rows == [["r_nn/r_opt", "L = 2", "-0.1", "-0.12", "-0.08", ""]]


def test_another_coordinate_is_the_columns_of_a_table(rendered):
    (head, *rows) = rendered.page.tables["digits-r_opt-by-n.csv"]
    assert head[:2] == ["d", "N = 1000 (input units)"]
    wanted = FINDINGS["digits"].summary["r_opt_by_references"]
    got = np.array([[float(entry) for entry in row[1::3]] for row in rows])
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def test_what_was_not_measured_is_empty_in_a_file(tmp_path):
    found = linear(dims=(8, 16))
    hollow = found._replace(summary=found.summary * np.nan)
    path = report.page({"hollow": hollow}, tmp_path, drawings={"hollow": {}})
    (_, *rows) = Page(path.read_text()).tables["hollow-what-the-network-reads.csv"]
    assert rows == [["8", "", "", ""], ["16", "", "", ""]]


def test_tables_fit_a_narrow_terminal():
    text = shown(report.tables(FINDINGS, analyses={"mlp": analysis()}), width=80)
    assert max(map(len, text.splitlines())) <= 80
    summary = FINDINGS["linear_points"].summary
    for name in ("ratio_lo", "predicted_ratio_hi", "ks_statistic", "ks_pvalue"):
        for value in summary[name].values:
            assert (pvalue if name == "ks_pvalue" else number)(value) in text


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda f: linear(dims=(8,)), id="one dimension"),
        pytest.param(lambda f: linear(seeds=1), id="one seed"),
        pytest.param(lambda f: f._replace(dataset=f.dataset * np.nan), id="dataset all NaN"),
        pytest.param(lambda f: f._replace(summary=f.summary * np.nan), id="summary all NaN"),
        pytest.param(lambda f: f._replace(summary=f.summary * np.inf), id="summary all infinite"),
        pytest.param(lambda f: f._replace(summary=f.summary * 0), id="all zero"),
        pytest.param(
            lambda f: f._replace(dataset=f.dataset.where(f.dataset["dim"] < 100)), id="padded"
        ),
        pytest.param(lambda f: f._replace(summary=f.summary[["seeds"]]), id="nothing but seeds"),
        pytest.param(
            lambda f: f._replace(summary=f.summary.drop_attrs()), id="variables without attributes"
        ),
    ],
)
def test_odd_results_are_reported_too(spoil, tmp_path):
    found = spoil(FINDINGS["linear_points"])
    drawings = figures(found) if "ratio" in found.summary else {}
    text = Page(report.page({"odd": found}, tmp_path, drawings={"odd": drawings}).read_text()).text
    told = shown(report.tables({"odd": found}))
    assert "Law A: medians 3 % above are excluded" in told
    if any(found.summary[name].isnull().all() for name in found.summary):
        assert "n/a" in told
        assert "n/a" in text


def test_quantities_that_the_vocabulary_does_not_have_are_shown(tmp_path):
    known = Quantity("θ_q", "angle between this and that", "degrees", "lower")
    found = training()
    summary = found.summary.rename({f"ratio{end}": f"angle{end}" for end in ("", "_lo", "_hi")})
    summary["angle"].attrs = known.attrs()
    made = {"angles": found._replace(summary=summary, fits=())}
    page = Page(report.page(made, tmp_path, drawings={"angles": {}}).read_text())
    assert "angle between this and that (a lower bound of the true one)" in page.text
    assert page.tables["angles-measured-θ_q.csv"][0][3:] == [
        "θ_q (degrees)",
        "θ_q low (degrees)",
        "θ_q high (degrees)",
    ]


@pytest.mark.fast
def test_names_that_only_look_like_ends_of_intervals_are_shown():
    names = {"cut_lo": "c_lo", "ratio": "q", "ratio_lo": "q", "ratio_hi": "q", "half": "h"}
    names["half_lo"] = "h_lo"  # without the other end
    variables = {
        name: ("knob", [0.5, 2.0], Quantity(symbol, f"meaning of {symbol}").attrs())
        for name, symbol in names.items()
    }
    summary = xr.Dataset(variables, {"knob": [1.0, np.inf]})
    (*_, grid) = summary_grids(Findings(xr.Dataset(attrs={"axes": ["knob"]}), summary))
    head = "knob,c_lo,h,h_lo"
    assert grid.csv() == f"{head}\n1,0.5,0.5,0.5\ninf,2,2,2\n"
    assert [row[0].value for row in grid.rows] == ["1", "∞"]
    told = drawing.glossary([("A", summary)])
    assert {"c_lo", "h_lo", "q", "h"} == set(told)


@pytest.mark.fast
def test_misuse(tmp_path):
    with pytest.raises(ValueError, match="at least one claim or analysis"):
        report.page({}, tmp_path)
    with pytest.raises(ValueError, match=r"got '\.\./up'"):
        report.page({"../up": FINDINGS["trained"]}, tmp_path, drawings={"../up": {}})
    with pytest.raises(ValueError, match="'example'"):
        report.page({}, tmp_path, analyses={"mlp": FINDINGS["linear_points"].dataset})
    old = analysis().rename(radius_pair="radius_pairwise")
    with pytest.raises(ValueError, match="of an earlier version"):
        report.page({}, tmp_path, analyses={"mlp": old})
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
def test_files_hold_all_digits_and_no_formulas():
    numbers = (1 / 3, -np.inf, np.nan)
    words = ("=1+1", "+x", "-2+3", "@x", "-1", "−∞", "a=b")
    columns = Column("=q", unit="m", interval="95 % CI"), Column("words"), Column("n")
    rows = [
        (Cell("0.333", "[−∞, n/a]", numbers), Cell(word), Cell("16", "", (16,))) for word in words
    ]
    (head, *got) = csv.reader(io.StringIO(Grid("t", columns, tuple(rows)).csv()))
    assert head == ["'=q (m)", "'=q low (m)", "'=q high (m)", "words", "n"]
    assert {tuple(row[:3]) for row in got} == {(repr(1 / 3), "-inf", "")}
    assert [row[3] for row in got] == ["'=1+1", "'+x", "'-2+3", "'@x", "-1", "−∞", "a=b"]
    assert {row[4] for row in got} == {"16"}


@pytest.mark.fast
def test_the_summary_of_an_analysis_is_a_file_of_numbers():
    dataset = analysis()
    (head, *rows) = csv.reader(io.StringIO(analysis_grids(dataset)[0].csv()))
    assert head == ["quantity", "inputs", "median", "25 %", "75 %", "5 %", "95 %", "meaning"]
    (row,) = (row for row in rows if row[0] == "ρ_net")
    wanted = np.quantile(dataset["rho_net"], [0.5, 0.25, 0.75, 0.05, 0.95])
    assert [float(entry) for entry in row[1:-1]] == [60, *wanted]


@pytest.mark.fast
def test_small_formats():
    assert (pvalue(1e-9), pvalue(0.25), pvalue(np.nan)) == ("<0.001", "0.250", "n/a")
    assert (interval(0.1, 0.2), interval(np.nan, np.nan)) == ("[0.100, 0.200]", "")
    assert subscripts("r_nn<ρ_net") == "<i>r</i><sub>nn</sub>&lt;<i>ρ</i><sub>net</sub>"


def test_analysis(tmp_path):
    dataset = analysis()
    assert set(report.analysis_figures(dataset)) == {
        "radii",
        "robust-accuracy",
        "compression",
        "spectrum",
        "layers",
        "layer-ranks",
        "gallery",
    }
    page = Page(report.page({}, tmp_path, analyses={"mlp": dataset}).read_text())
    assert "Digits <b>28</b>" in page.text
    assert "60 inputs: 58 found, 1 misclassified, 1 not found." in page.text
    assert "First 20 inputs: radii" in page.text
    assert "Verdicts" not in page.text
    assert all(target.startswith("data:") for target in page.loads)
    text = shown(report.tables({}, analyses={"mlp": dataset}))
    assert "∞" in text
    assert "Radii and distances are l∞ norms" in page.text
    (head, *rows) = page.tables["mlp-first-20-inputs-radii.csv"]
    radii = [float(row[head.index("r_nn (input units)")] or "inf") for row in rows]
    np.testing.assert_allclose(radii, dataset["radius"][:20])


@pytest.mark.fast
def test_summary_counts_only_inputs_whose_perturbation_was_found():
    dataset = analysis()
    text = shown(report.tables({}, analyses={"mlp": dataset}))
    (summary, *_) = (line for line in text.split("Layer by layer"))
    kept = {"radius": [3, 4], "ratio": [3, 4], "ratio_pair": [3, 4, 5], "midpoint": [3, 4, 5]}
    for name, out in kept.items():
        values = np.delete(dataset[name].values, out)
        points = [number(np.quantile(values, q)) for q in (0.5, 0.25, 0.75, 0.05, 0.95)]
        line = r"\s+{}\s+{}\s+\[{}, {}\]\s+\[{}, {}\]"
        assert re.search(line.format(values.size, *map(re.escape, points)), summary), name
    assert re.search(rf"ρ_net\s+60\s+{number(dataset['rho_net'].median())}", summary)


def test_compression_is_compared_with_the_pairwise_ratio():
    dataset = analysis()
    for name, label in (("ratio_pair", "pair"), ("ratio", "nn")):
        made = report.analysis_figures(dataset)["compression"]
        assert f"r_{label}/r_opt" in made.caption
        (axes,) = made.draw().axes
        assert f"{{{label}}}" in axes.get_ylabel()
        drawn = axes.lines[0].get_xydata()
        out = [3, 4, 5] if name == "ratio_pair" else [3, 4]
        explains = dataset["rho_net"] * (dataset["box"] if label == "pair" else 1)
        np.testing.assert_allclose(drawn[:, 0], np.delete(explains.values, out))
        np.testing.assert_allclose(drawn[:, 1], np.delete(dataset[name].values, out))
        assert ("β" in axes.lines[0].get_label()) == (label == "pair")
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
    for made in report.analysis_figures(dataset).values():
        assert made.encode("svg").startswith(b"<?xml")
    text = shown(report.tables({}, analyses={"mlp": dataset}))
    assert f"{dataset.sizes['example']} inputs" in text


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


def test_a_sweep_without_a_claim_is_a_page_of_all_that_it_measured(tmp_path):
    found = experiments.of_sweep(own_sweep())
    page = Page(report.page({"random_networks": found}, tmp_path).read_text())
    assert page.text.count("Random networks") == 2  # title and heading
    assert "Verdicts" not in page.text
    assert "Fitted exponents" in page.text
    assert "95 % confidence interval" in page.text
    names = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert names == {"random_networks-ratio", "random_networks-radius"}
    _, *rows = page.tables["random_networks-radii-and-ratios.csv"]
    np.testing.assert_allclose([float(row[2]) for row in rows], found.summary["radius"])
    both = {"random_networks": found, "linear_points": FINDINGS["linear_points"]}
    drawn = {name: {} for name in both}
    assert "Measured fragility laws" in report.page(both, tmp_path, drawings=drawn).read_text()
    two = {"one": found, "two": found}
    path = report.page(two, tmp_path, drawings={"one": {}, "two": {}})
    assert "<title>Sweeps</title>" in path.read_text()


@pytest.mark.parametrize("kind", ["analysis", "sweep", "claim", "labelled"])
def test_one_result_of_any_kind_is_presented_in_one_call(tmp_path, kind):
    inputs = jnp.asarray(np.random.default_rng(0).uniform(size=(4, 2, 2)), jnp.float32)
    labels = jnp.array([0, 1, 0, 1])
    apply = lambda weight, x: weight * (x.sum() - 2)
    measured = lambda: analyze(apply, 1.0, inputs, labels, inputs, labels, solver="affine")
    queries, title = None, "A title"
    if kind == "analysis":
        result, queries = measured(), Images(inputs, labels)
    elif kind == "labelled":
        result = analysis(examples=8)
    else:
        result = own_sweep() if kind == "sweep" else experiments.of_sweep(own_sweep())
    console = Console(file=io.StringIO(), width=100)
    said = {"queries": queries, "title": title, "console": console}
    assert report.present(result, **said) is None
    path = report.present(result, tmp_path, description="Some words.", **said)
    assert path == tmp_path / "index.html"
    page = path.read_text()
    for words in ("A title", "Some words."):
        assert words in page
    wanted = "Fitted exponents" if kind in ("sweep", "claim") else "Summary"
    assert console.file.getvalue().count(wanted) == 2
    assert ("Images, and what fools the network" in page) == (kind in ("analysis", "labelled"))
    assert ("label" in console.file.getvalue()) == (kind in ("analysis", "labelled"))


def test_what_is_no_result_is_not_presented():
    with pytest.raises((TypeError, TypeCheckError), match="result"):
        report.present({"radius": 1.0})
