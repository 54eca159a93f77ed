"""`fracture sweep` and `fracture reproduce`: claims, measured and judged."""

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from .. import _registry
from .._occasion import occasion
from ._engine import Engine, engines, executor, join
from ._process import prepare_jax, resumable, show
from ._types import COUNT, Integers, out

_MAIN = ("linear_points", "linear_hypercube", "trained", "digits")
_DATA = ("points", "hypercube", "mixture", "spheres", "subspace", "correlated", "spiked", "digits")
_MODELS = ("interpolator", "linear", "mlp", "cnn")
_SOLVERS = (
    *("affine", "deepfool", "superdeepfool", "ddn", "fmn", "fab", "alma"),
    *("fgsm", "pgd", "apgd", "minimal"),
)
_dims = partial(click.option, "--dims", type=Integers())
_seeds = click.option("--seeds", type=COUNT, help="Independent draws at each point.")
_key = click.option(
    "--key",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Root of all random draws.",
)
_out = out(
    default=Path("fracture-results"),
    help="Folder for the results; a run that was interrupted goes on from it.",
)


class _WithDims(click.Command):
    """A command whose --dims may be mistaken for an option of several words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            split = [word for one in given for word in one.split("=", 1)]
            words = split[split.index("--dims") + 1 :] if "--dims" in split else []
            numbers = list(itertools.takewhile(str.isdigit, words))
            if len(numbers) < 2:
                raise
            raise click.UsageError(
                f"dimensions are separated by commas: --dims {','.join(numbers)}."
            ) from None


@click.command(cls=_WithDims)
@click.option("--data", type=click.Choice(_DATA), help="Sweep this family only.")
@click.option("--model", type=click.Choice(_MODELS), help="Network.  [default: by the data]")
@_dims(help="Dimensions d; for digits, numbers of pixels.")
@_seeds
@click.option("--solver", type=click.Choice(_SOLVERS), help="How perturbations are searched.")
@click.option("--layers", type=COUNT, help="Mixing layers of the hypercube.")
@_key
@click.option("--quick", is_flag=True, help="A smaller default sweep, for a first look.")
@_out
@engines
@resumable()
def sweep(
    out: Path,
    quick: bool,
    data: str | None,
    key: int,
    seeds: int | None,
    engine: Engine,
    **options: Any,
) -> None:
    """Measure how fragility scales with the dimension, and judge the laws.

    Without options: linear interpolators on one Gaussian point per class and on the mixed
    hypercube, trained networks on the hypercube, and trained networks on real digits at four
    resolutions. With --data, one sweep of one's own.

    \b
    Examples:
      fracture sweep
      fracture sweep --data hypercube --layers 2 --dims 8,16,32 --seeds 256 --out mixing
      fracture sweep --data mixture --model mlp --dims 16,64 --seeds 8 --solver minimal --out mine
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    if data is None and (chosen or seeds):
        least = min([*chosen, *["seeds"][: bool(seeds)]])
        raise click.UsageError(f"--{least} needs --data, the family that it applies to.")
    if data is not None and quick:
        raise click.UsageError("--quick is the default sweep made smaller; it takes no --data.")
    if data is None:
        plan: dict[str, dict[str, Any]] = {name: {} for name in _MAIN}
    else:
        claim, settings = own_sweep(data, **chosen)
        plan = {claim: settings}
    size = "quick" if quick else "default"
    _run(plan, size=size, seeds=seeds, root=key, out=out, engine=engine)


def own_sweep(data: str, *, model: str | None = None, **options: Any) -> tuple[str, dict[str, Any]]:
    """The claim that measures a family, and its settings.

    Raises
    ------
    ValueError
        Where the options do not fit the family.
    """
    settings = {"dim" if name == "dims" else name: value for name, value in options.items()}
    if "layers" in settings and data != "hypercube":
        raise ValueError(f"layers belong to the hypercube, got {data!r}.")
    closed = {"points": "linear_points", "hypercube": "linear_hypercube"}
    if data in closed and model in (None, "interpolator"):
        return closed[data], settings
    if model == "interpolator" and data != "digits":
        raise ValueError(f"the interpolator exists for points and the hypercube, got {data!r}.")
    settings["model"] = model or "mlp"
    if data == "digits":
        return "digits", settings
    return "trained", {"data": data, **settings}


def _list(context: click.Context, _: Any, wanted: bool) -> None:
    """Print every claim: its name, what is claimed, and where."""
    if not wanted or context.resilient_parsing:
        return
    entries = _registry.entries()
    widest = max(map(len, entries))
    for name, entry in entries.items():
        said, source = _registry.statement(entry.path)
        click.echo(f"{name:<{widest}}  {said} ({source})")
    context.exit()


def _settings(context: click.Context, _: Any, given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` each."""
    pairs = [one.partition("=") for one in given]
    for (name, sign, value), one in zip(pairs, given, strict=True):
        if not (name and sign and value):
            raise click.BadParameter(f"got {one!r}, wanted NAME=VALUE, such as solver=ddn.")
    names = [name for name, *_ in pairs]
    if len(set(names)) < len(names):
        raise click.BadParameter(f"got a name twice: {', '.join(names)}.")
    return {name: value for name, _, value in pairs}


@click.command(cls=_WithDims)
@click.argument("claims", nargs=-1, metavar="[CLAIM…|all]")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List claims."
)
@click.option(
    "--size",
    type=click.Choice(["quick", "default", "full"]),
    default="default",
    show_default=True,
    help="How much is measured.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="An option or an axis of the claim; may be repeated.",
)
@_dims(help="Dimensions d of the claims.")
@click.option(
    "--certify",
    is_flag=True,
    help="Judge by lower bounds too: trained, and law_e with --set network=clusters,spiked.",
)
@_seeds
@_key
@_out
@engines
@resumable()
def reproduce(
    claims: tuple[str, ...],
    size: str,
    settings: dict[str, str],
    dims: tuple[int, ...] | None,
    certify: bool,
    seeds: int | None,
    key: int,
    out: Path,
    engine: Engine,
) -> None:
    """Measure claims of the paper and questions about it, and judge them.

    \b
    Examples:
      fracture reproduce --list
      fracture reproduce linear_points --size quick
      fracture reproduce linear_hypercube --set layers=2 --dims 8,16,32 --out mixing
      fracture reproduce all --size quick --out everything
      fracture reproduce all --size full --out everything --dask tcp://login:8786
    """
    if not claims:
        raise click.UsageError("name claims, or all; fracture reproduce --list shows them.")
    if settings and (len(claims) > 1 or claims == ("all",)):
        raise click.UsageError("--set needs one claim, whose option or axis it is.")
    numbers = [claim for claim in claims if claim.isdigit()]
    if numbers:
        raise click.UsageError(
            f"values are separated by commas, such as --dims 8,16; got {' '.join(numbers)} apart."
        )
    if "dim" in settings and dims:
        raise click.UsageError("--dims and --set dim are the same: give one.")
    if "all" in claims and len(claims) > 1:
        raise click.UsageError("all stands alone, or name the claims.")
    names = tuple(_registry.entries()) if claims == ("all",) else dict.fromkeys(claims)
    for name in names:
        _registry.entry(name)
    given = settings | ({"dim": dims} if dims else {}) | ({"certify": True} if certify else {})
    plan = {name: given for name in names}
    whole = claims != ("all",)
    _run(plan, size=size, seeds=seeds, root=key, out=out, engine=engine, whole=whole)


def _run(
    plan: Mapping[str, Mapping[str, Any]],
    *,
    size: str,
    seeds: int | None,
    root: int,
    out: Path,
    engine: Engine,
    whole: bool = True,
) -> None:
    """Measure claims under settings, store the results, and show them.

    Unless all of the plan is wanted, what needs a package that is not installed is left out.
    """
    began = time.perf_counter()
    prepare_jax(x64=True)  # the laws are tested to their last digits
    process = join(engine)
    from .. import experiments, report as reports
    from ..sweeps import exclusive, progress_bar

    able = {}
    for name, settings in plan.items():  # all are checked before one is measured
        try:
            experiments.settle(experiments.claim(name), size=size, settings=settings, seeds=seeds)
        except ModuleNotFoundError as error:
            if whole or error.name is not None:  # not of `_packages.missing`: something is broken
                raise
            click.echo(f"{name} is left out: {error}", err=True)
        else:
            able[name] = settings
    with exclusive(out, process=process):
        results, pictures = {}, {}
        with (
            executor(engine) as elsewhere,
            progress_bar() as watch,
            contextlib.closing(
                experiments.reproduce_each(
                    able,
                    size=size,
                    seeds=seeds,
                    root=root,
                    out=out,
                    progress=watch,
                    executor=elsewhere,
                )
            ) as each,
        ):
            for found in each:
                found = found._replace(dataset=found.dataset.assign_attrs(occasion()))
                if process:
                    continue  # the first one puts all together
                experiments.save(found, out)
                name = str(found.dataset.attrs["experiment"])
                results[name] = found
                with contextlib.suppress(Exception):  # it is raised again after all tables
                    pictures[name] = reports.pictures(name, found, out)
        if process:
            return
        show(reports.tables(results), partial(reports.page, results, out, pictures=pictures))
    timings = [result.dataset for result in results.values()]
    compiled = sum(float(dataset["compile_seconds"].sum()) for dataset in timings)
    worked = sum(float(dataset["run_seconds"].sum()) for dataset in timings)
    click.echo(
        f"{time.perf_counter() - began:.0f} s in all; the stored results took {compiled:.0f} s of "
        f"compilation and {worked:.0f} s of work."
    )
