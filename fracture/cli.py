"""The command line: `fracture sweep`, `fracture analyze`, `fracture report`."""

import contextlib
import importlib
import io
import itertools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import __version__
from ._files import printable
from ._occasion import occasion
from ._signals import keeping

# JAX and the experiments are imported inside the commands: `--help` and a mistyped option answer
# at once.

_DATA = ("points", "hypercube", "mixture", "spheres", "subspace", "correlated", "spiked", "digits")
_MODELS = ("interpolator", "linear", "mlp", "cnn")
_SOLVERS = (
    *("affine", "deepfool", "superdeepfool", "ddn", "fmn", "fab", "alma"),
    *("fgsm", "pgd", "apgd", "minimal"),
)
_COUNT = click.IntRange(1, 2**31 - 1)


def main() -> None:
    """Run the command line: a misuse is one line on standard error and exit code 2."""
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know no √
    try:
        arguments = sys.argv[1:] or ["--help"]
        sys.exit(cli.main(arguments, prog_name="fracture", standalone_mode=False))
    except click.ClickException as error:
        _fail(error.format_message())
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo(": ".join(("Interrupted", *error.args)) + ".", err=True)
        sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"fracture: error: {_line(message)}", err=True)
    sys.exit(2)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"fracture: warning: {_line(str(message))}", err=True)


def _line(message: str) -> str:
    return " ".join(printable(message).split())


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Say to whoever interrupts that nothing is lost."""
    said = "what was finished is stored, the same command goes on"
    try:
        with keeping(said):
            yield
    except KeyboardInterrupt:
        raise click.Abort(said) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Measure and explain why neural networks are adversarially fragile.

    Results are labelled arrays (netCDF, readable with xarray), figures (PNG, SVG) and one page
    (index.html) in the folder --out.
    """


class _Integers(click.ParamType):
    """Positive integers separated by commas."""

    name = "INT,INT,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        distinct = len(set(numbers)) == len(numbers) > 0
        if not distinct or min(numbers) < 1 or max(numbers) >= 2**31:
            self.fail(
                f"got {value!r}, wanted distinct positive integers below 2**31, such as 8,16,32."
            )
        return tuple(sorted(numbers))


_folder = partial(
    click.option,
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    show_default=True,
)
_out = _folder(
    default=Path("fracture-results"),
    help="Folder for the results; a sweep that was interrupted goes on from it.",
)


class _Sweep(click.Command):
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


@cli.command(cls=_Sweep)
@click.option("--data", type=click.Choice(_DATA), help="Sweep this family only.")
@click.option("--model", type=click.Choice(_MODELS), help="Network.  [default: by the data]")
@click.option("--dims", type=_Integers(), help="Dimensions d; for digits, numbers of pixels.")
@click.option("--seeds", type=_COUNT, help="Independent draws at each dimension.")
@click.option("--solver", type=click.Choice(_SOLVERS), help="How perturbations are searched.")
@click.option("--layers", type=_COUNT, help="Mixing layers of the hypercube.")
@click.option(
    "--key",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Root of all random draws.",
)
@click.option("--quick", is_flag=True, help="A smaller default sweep, for a first look.")
@_out
@_resumable()
def sweep(out: Path, quick: bool, data: str | None, key: int, **options: Any) -> None:
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
    if data is None and chosen:
        raise click.UsageError(f"--{min(chosen)} needs --data, the family that it applies to.")
    if data is not None and quick:
        raise click.UsageError("--quick is the default sweep made smaller; it takes no --data.")
    began = time.perf_counter()
    _prepare_jax(x64=True)  # the laws are tested to their last digits
    from . import experiments, report as reports
    from .sweeps import exclusive

    plan = experiments.plan(data, quick=quick, root=key, **chosen)
    with exclusive(out):
        results = {}
        with _progress() as progress:
            for name, run in plan.items():
                results[name] = run(out=out, progress=progress)
                told = results[name].dataset.assign_attrs(occasion())
                results[name] = results[name]._replace(dataset=told)
                experiments.save(results[name], out)
        _print(reports.tables(results), partial(reports.render, results, out))
    timings = [result.dataset for result in results.values()]
    compiled = sum(float(dataset["compile_seconds"].sum()) for dataset in timings)
    worked = sum(float(dataset["run_seconds"].sum()) for dataset in timings)
    click.echo(
        f"{time.perf_counter() - began:.0f} s in all; the stored results took {compiled:.0f} s of "
        f"compilation and {worked:.0f} s of work."
    )


class _Bounds(click.ParamType):
    """Two numbers separated by a comma."""

    name = "LOW,HIGH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            low = high = 0.0
        if low > high:
            self.fail(f"got {value!r}, but the lower bound comes first: {high:g},{low:g}.")
        if not low < high:
            self.fail(f"got {value!r}, wanted two numbers such as 0,1.")
        return low, high


_images = click.Path(exists=True, dir_okay=False, path_type=Path)


class _ImagesFirst(click.Group):
    """`fracture analyze …` without the name of a subcommand is `fracture analyze images …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["images", *args]
        return super().parse_args(ctx, args)


@cli.group(cls=_ImagesFirst, subcommand_metavar="[images] [OPTIONS] … | imagenet [OPTIONS] …")
def analyze() -> None:
    """Measure one network image by image: radii, compression, spectra, layers.

    Without the name of a command, `images` is meant.

    \b
    Examples:
      fracture analyze
      fracture analyze images.npz --network my_module:logits_fn --bounds 0,1
      fracture analyze images --help
      fracture analyze imagenet --quick
    """


_effort = partial(
    click.option,
    "--effort",
    type=click.Choice(["low", "medium", "high"]),
    help="How thoroughly the nearest boundary is searched.",
)
_analysis_out = _folder(default=Path("fracture-analysis"), help="Folder for the results.")


@analyze.command()
@click.argument("images", type=_images, required=False)
@click.option("--network", metavar="MODULE:NAME", help="Function of one input, or a list of them.")
@click.option("--references", type=_images, help="Images of the optimal classifier. [IMAGES]")
@click.option(
    "--bounds", type=_Bounds(), help="Box that perturbed inputs stay in.  [default: none]"
)
@click.option(
    "--ord",
    type=click.Choice(["1", "2", "inf"]),
    default="2",
    show_default=True,
    help="Norm that perturbations are measured in.",
)
@click.option(
    "--examples",
    type=_COUNT,
    default=64,
    show_default=True,
    help="How many images are analysed, from the first.",
)
@_effort(default="medium", show_default=True)
@_analysis_out
def images(
    images: Path | None,
    network: str | None,
    references: Path | None,
    bounds: tuple[float, float] | None,
    ord: str,
    examples: int,
    effort: str,
    out: Path,
) -> None:
    """A network and images of yours, or a network trained on digits.

    IMAGES is an .npz file with arrays "images" (n, …) and "labels" (n,); --network names a function
    from ONE input to its logits, or a list of such stages applied in turn, which are then measured
    layer by layer. Without IMAGES, a network is trained on the digits that fracture ships.

    \b
    Examples:
      fracture analyze
      fracture analyze images.npz --network my_module:logits_fn --bounds 0,1
    """
    if (images is None) != (network is None):
        raise click.UsageError("IMAGES and --network belong together: give both or neither.")
    if images is None and (references or bounds):
        raise click.UsageError("--references and --bounds need IMAGES and --network.")
    _prepare_jax(x64=False)  # as the user's network expects
    from . import analysis, data, report as reports
    from .analysis import claim, digest, digest_of_file, own_network, program
    from .sweeps import exclusive, write_dataset

    order = float(ord) if ord == "inf" else int(ord)
    options: dict[str, Any] = {"ord": order, "effort": effort}
    identity = {"network": "digits", "examples": examples, **options, "ord": ord}
    shown: dict[str, Any] = {"say": click.echo}
    with exclusive(out):
        if images is None or network is None:
            known_as = claim(out / "analysis.nc", identity)
            with _progress() as shown["progress"]:
                dataset = analysis.of_digits(examples=examples, **options, **shown)
        else:
            own = _load_object(network)
            queries = analysis.Images(*data.load_npz(images)[:2])
            functions = own_network(own, queries.inputs[0])
            identity |= {
                "network": network,
                "program": digest(functions["params"], program(**functions, x=queries.inputs[0])),
                "images": digest_of_file(images),
                "references": digest_of_file(references or images),
                "bounds": bounds,
            }
            known_as = claim(out / "analysis.nc", identity)
            known = analysis.Images(*data.load_npz(references)[:2]) if references else queries
            queries = analysis.Images(*(array[:examples] for array in queries))
            with _progress() as shown["progress"]:
                dataset = analysis.of_images(
                    **functions,
                    queries=queries,
                    references=known,
                    bounds=bounds,
                    **options,
                    **shown,
                )
        dataset = dataset.assign_attrs({**known_as, **occasion()})
        write_dataset(out / "analysis.nc", dataset)
        _print(reports.analysis_tables(dataset), partial(reports.analysis_page, dataset, out))


@analyze.command()
@click.option(
    "--model",
    default="lite0",
    show_default=True,
    metavar="lite0|lite1|lite2|MODULE:NAME",
    help="EfficientNet-Lite with its published weights, or a function of one image, or a list.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photographs.  [default: 20 that the package foolbox brings]",
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lines FILE,LABEL for the folder, labels 0 to 999.",
)
@click.option(
    "--side", type=_COUNT, help="Pixels a side.  [default: 224, 240, 260; 224 for a function]"
)
@click.option("--quick", is_flag=True, help="4 images, l2 alone and by ddn, 10 classes.")
@click.option("--full", is_flag=True, help="High effort, spectra of all 1000 classes.")
@click.option("--examples", type=_COUNT, help="How many images, from the first.")
@click.option("--classes", type=click.IntRange(2), help="Logits of spectra and layers.  [50]")
@_effort(show_default="low")
@click.option(
    "--chunk-size",
    type=_COUNT,
    default=10,
    show_default=True,
    help="Gradients computed together: fewer need less memory.",
)
@_analysis_out
@_resumable()
def imagenet(
    model: str,
    images: Path | None,
    labels: Path | None,
    side: int | None,
    quick: bool,
    full: bool,
    examples: int | None,
    classes: int | None,
    effort: str | None,
    chunk_size: int,
    out: Path,
) -> None:
    """A published ImageNet network on photographs, image by image.

    Per image: the smallest l2 and l-infinity perturbations that change the answer, against half
    the distance to the nearest image of another class; how much of that displacement the network
    reads; the spectrum of its Jacobian; where in the network the displacement is lost. What is
    finished is stored, and the same command goes on from there.

    \b
    Examples:
      fracture analyze imagenet --quick
      fracture analyze imagenet --model lite2 --out lite2
      fracture analyze imagenet --images photos --labels photos.csv --model my_module:logits
    """
    if (images is None) != (labels is None):
        raise click.UsageError("--images and --labels belong together: give both or neither.")
    if quick and full:
        raise click.UsageError("--quick and --full exclude each other.")
    _prepare_jax(x64=False, spread=False)
    from . import analysis, data, models, perturbation, report as reports
    from .analysis import claim, own_network
    from .models._efficientnet_lite import SIZES
    from .sweeps import exclusive, write_dataset

    if model in SIZES:
        published = models.efficientnet_lite(model)
        functions: dict[str, Any] = {
            "apply": published.apply,
            "params": models.pretrained(model),
            "stages": published.stages,
        }
        title, side = f"EfficientNet-{model.capitalize()}", side or SIZES[model].side
    else:
        own = _load_object(model)
        title, side = model, side or 224
    if images is None or labels is None:
        photos = data.imagenet_samples(side)
    else:
        photos = data.load_photographs(images, labels, side)
    if model not in SIZES:
        functions = own_network(own, photos.inputs[0])
    # What compiles in the least time finds nearly the same where the boundary is near.
    searched: dict[str, Any] = {"solver": perturbation.ddn, "steps": 30}
    if effort or not quick:
        searched = {"effort": effort or ("high" if full else "low")}
    number_of_classes = classes or (10 if quick else 50)
    number = examples or (4 if quick else len(photos.labels))
    with exclusive(out), _progress() as progress:
        known_as = claim(out / "analysis.nc", {"network": title, "images": "photographs"})
        dataset = analysis.of_photographs(
            **functions,
            queries=analysis.Images(*photos),
            examples=number,
            names=data.imagenet_classes(),
            model=title,
            orders=(2,) if quick else (2, float("inf")),
            **searched,
            num_classes=None if full else number_of_classes,
            layer_classes=number_of_classes,
            chunk_size=chunk_size,
            out=out,
            say=click.echo,
            progress=progress,
        )
        dataset = dataset.assign_attrs({**known_as, **occasion()})
        write_dataset(out / "analysis.nc", dataset)
        _print(reports.analysis_tables(dataset), partial(reports.analysis_page, dataset, out))


@cli.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Draw tables, figures and the page of FOLDER again from its stored results."""
    _prepare_jax(x64=True)
    from . import experiments, report as reports
    from .sweeps import exclusive, read_dataset

    with exclusive(folder):
        if (folder / "analysis.nc").exists():
            dataset = read_dataset(folder / "analysis.nc")
            if "radius" not in dataset:
                raise ValueError(f"{folder / 'analysis.nc'} holds no analysis of fracture.")
            # What fails there is the file's fault; what fails in printing is not.
            concluded = experiments.concluding(folder / "analysis.nc")
            draw = concluded(partial(reports.analysis_page, dataset, folder))
            _print(concluded(reports.analysis_tables)(dataset), draw)
        else:
            results = experiments.load(folder)
            concluded = experiments.concluding(folder)
            draw = concluded(partial(reports.render, results, folder))
            _print(concluded(reports.tables)(results), draw)


def _print(tables: Sequence[Any], draw: Callable[[], Path]) -> None:
    """Print the tables first: what is drawn may fail. Draw even where no one reads them."""
    from rich.console import Console

    console = Console()
    try:
        for table in tables:
            console.print(table)
    finally:  # rich ends the process where the pipe is closed: no old page beside new results
        page = draw()
    console.print(f"Page: {page}", highlight=False, markup=False, soft_wrap=True)


def _prepare_jax(*, x64: bool, spread: bool = True) -> None:
    """What an application may set, and a library must not; before JAX is imported.

    `spread` is for many small problems, which share the cores; a large network has them all.
    """
    if spread:
        # One CPU device per core, over which sweeps spread their seeds: small operations, of which
        # most cells consist, do not use several threads.
        cores = min(8, len(os.sched_getaffinity(0)) if sys.platform == "linux" else 4)
        flags = os.environ.get("XLA_FLAGS", "")
        if "xla_force_host_platform_device_count" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={cores}"
        # Batched LAPACK calls that run at the same time wait for threads that wait for them (jaxlib
        # 0.10, a pool of as many threads as cores): a larger pool has some to spare.
        os.environ.setdefault("NPROC", str(8 * cores))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import jax
    import platformdirs

    jax.config.update("jax_enable_x64", x64)
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR") or platformdirs.user_cache_dir("fracture")
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, a line per step elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        said: list[str] = []

        def say(what: str, done: int, total: int) -> None:
            if said[-1:] != [what]:
                said.append(what)
                click.echo(f"[{done}/{total}] {what}", err=True)

        yield say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            name = what.split(",")[0]
            if name not in tasks:
                tasks[name] = bar.add_task(what, total=total)
            bar.update(tasks[name], description=what, completed=done, total=total)

        yield update


def _load_object(name: str) -> Any:
    """What `module:name` names; modules in the working directory are found too."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise click.UsageError(f"got {name!r}, wanted module:function, such as my_model:logits.")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        raise click.UsageError(
            f"{name} cannot be loaded ({type(error).__name__}: {error})."
        ) from error
