"""`fracture analyze`: one network, image by image."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from .._occasion import occasion
from ._process import load_object, prepare_jax, resumable, show
from ._types import COUNT, Bounds, out

_images = click.Path(exists=True, dir_okay=False, path_type=Path)


class _ImagesFirst(click.Group):
    """`fracture analyze …` without the name of a subcommand is `fracture analyze images …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["images", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ImagesFirst, subcommand_metavar="[images] [OPTIONS] … | imagenet [OPTIONS] …")
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
_certify = click.option(
    "--certify",
    is_flag=True,
    help="Also certify a radius: no smaller perturbation changes the answer.",
)
_out = out(default=Path("fracture-analysis"), help="Folder for the results.")


@analyze.command()
@click.argument("images", type=_images, required=False)
@click.option("--network", metavar="MODULE:NAME", help="Function of one input, or a list of them.")
@click.option("--references", type=_images, help="Images of the optimal classifier. [IMAGES]")
@click.option("--bounds", type=Bounds(), help="Box that perturbed inputs stay in.  [default: none]")
@click.option(
    "--ord",
    type=click.Choice(["1", "2", "inf"]),
    default="2",
    show_default=True,
    help="Norm that perturbations are measured in.",
)
@click.option(
    "--examples",
    type=COUNT,
    default=64,
    show_default=True,
    help="How many images are analysed, from the first.",
)
@_effort(default="medium", show_default=True)
@_certify
@_out
def images(
    images: Path | None,
    network: str | None,
    references: Path | None,
    bounds: tuple[float, float] | None,
    ord: str,
    examples: int,
    effort: str,
    certify: bool,
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
    prepare_jax(x64=False)  # as the user's network expects
    from .. import analysis, data, report as reports
    from ..analysis import claim, digest, digest_of_file, own_network, program
    from ..sweeps import exclusive, progress_bar, write_dataset

    order = float(ord) if ord == "inf" else int(ord)
    options: dict[str, Any] = {"ord": order, "effort": effort}
    if certify:
        options["certify"] = True
    identity = {"network": "digits", "examples": examples, **options, "ord": ord}
    shown: dict[str, Any] = {"say": click.echo}
    with exclusive(out):
        if images is None or network is None:
            known_as = claim(out / "analysis.nc", identity)
            with progress_bar() as shown["progress"]:
                dataset = analysis.of_digits(examples=examples, **options, **shown)
        else:
            own = load_object(network)
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
            with progress_bar() as shown["progress"]:
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
        analyses = {"analysis": dataset}
        draw = partial(reports.page, {}, out, analyses=analyses)
        show(reports.tables({}, analyses=analyses), draw)


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
    "--side", type=COUNT, help="Pixels a side.  [default: 224, 240, 260; 224 for a function]"
)
@click.option("--quick", is_flag=True, help="4 images, l2 alone and by ddn, 10 classes.")
@click.option("--full", is_flag=True, help="High effort, spectra of all 1000 classes.")
@click.option("--examples", type=COUNT, help="How many images, from the first.")
@click.option("--classes", type=click.IntRange(2), help="Logits of spectra and layers.  [50]")
@_effort(show_default="low")
@click.option(
    "--chunk-size",
    type=COUNT,
    default=10,
    show_default=True,
    help="Gradients computed together: fewer need less memory.",
)
@_out
@resumable()
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
    prepare_jax(x64=False, spread=False)
    from .. import analysis, data, models, perturbation, report as reports
    from ..analysis import claim, own_network
    from ..sweeps import exclusive, progress_bar, write_dataset

    if model in models.EFFICIENTNET_LITE_SIZES:
        published = models.efficientnet_lite(model)
        functions: dict[str, Any] = {
            "apply": published.apply,
            "params": models.pretrained(model),
            "stages": published.stages,
        }
        title, side = (
            f"EfficientNet-{model.capitalize()}",
            side or models.EFFICIENTNET_LITE_SIZES[model].side,
        )
    else:
        own = load_object(model)
        title, side = model, side or 224
    if images is None or labels is None:
        photos = data.imagenet_samples(side)
    else:
        photos = data.load_photographs(images, labels, side)
    if model not in models.EFFICIENTNET_LITE_SIZES:
        functions = own_network(own, photos.inputs[0])
    # What compiles in the least time finds nearly the same where the boundary is near.
    searched: dict[str, Any] = {"solver": perturbation.ddn, "steps": 30}
    if effort or not quick:
        searched = {"effort": effort or ("high" if full else "low")}
    number_of_classes = classes or (10 if quick else 50)
    number = examples or (4 if quick else len(photos.labels))
    with exclusive(out), progress_bar() as watch:
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
            progress=watch,
        )
        dataset = dataset.assign_attrs({**known_as, **occasion()})
        write_dataset(out / "analysis.nc", dataset)
        analyses = {"analysis": dataset}
        draw = partial(reports.page, {}, out, analyses=analyses)
        show(reports.tables({}, analyses=analyses), draw)
