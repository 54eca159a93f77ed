"""Every quantity that is measured, once: its symbol, its meaning, its unit, what it bounds."""

from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

Bound: TypeAlias = Literal["", "exact", "upper", "lower"]
"""Whether a value is exact, an upper or a lower bound of the true one; empty where there is no such
question."""


class Quantity(NamedTuple):
    """What one number is.

    Attributes
    ----------
    symbol
        Plain text; an underscore starts a subscript.
    meaning
        A phrase that explains the symbol, without a full stop.
    unit
        Empty for a pure number; `input units` for what is measured in those of the data.
    bound
        What a value is of the true one.
    form
        How people read it: a `number`, a `count`, a `share` (in percent) or a `p-value`.
    """

    symbol: str
    meaning: str
    unit: str = ""
    bound: Bound = ""
    form: Literal["number", "count", "share", "p-value"] = "number"

    def attrs(self) -> dict[str, str]:
        """Attributes of a variable that holds it, from which tables and figures are labelled."""
        return {
            "symbol": self.symbol,
            "long_name": self.meaning,
            "units": self.unit,
            "bound": self.bound,
            "form": self.form,
        }


_LENGTH = "input units"
_SPECTRUM = "of the gradients of the logit differences"

QUANTITIES: Mapping[str, Quantity] = {
    # Axes
    "dim": Quantity("d", "coordinates of an input", form="count"),
    "seed": Quantity("seed", "independent draw of everything random", form="count"),
    "width": Quantity("m", "units of a hidden layer", form="count"),
    "network": Quantity("network", "kind of network"),
    "depth": Quantity("depth", "layers of weights of a network", form="count"),
    "optimizer": Quantity("optimiser", "how the weights are updated"),
    "scale": Quantity("s", "scale of the initial weights; 1 keeps that of a signal"),
    "steps": Quantity("t", "steps of training", form="count"),
    "layers": Quantity("L", "mixing layers", form="count"),
    "widening": Quantity("n/d", "rows of a mixing matrix over the dimension", form="count"),
    "classes": Quantity("K", "classes", form="count"),
    "data": Quantity("data", "what networks are trained on and attacked at"),
    "embedding": Quantity("embedding", "how the same content is laid into d coordinates"),
    "norm": Quantity("norm", "in which distances and perturbations are measured"),
    "references": Quantity(
        "N", "references searched for the nearest of another class", form="count"
    ),
    "noise": Quantity("σ", "noise added to features, over their own standard deviation"),
    "defence": Quantity("defence", "what is added to the training"),
    "strength": Quantity("strength", "of a defence; 0 is none", form="count"),
    "setting": Quantity("setting", "of the training: how it differs from the centre"),
    "time": Quantity("time", "share of the steps of training"),
    "factor": Quantity("factor", "what is varied"),
    "model": Quantity("model", "architecture of the network"),
    "layer": Quantity("layer", "of the network, the input first"),
    "reads": Quantity("detector", "by what it reads"),
    "push": Quantity("push", "length of a perturbation over the smallest one found"),
    "seeds": Quantity(
        "seeds", "repetitions with a result, the unit of every interval", form="count"
    ),
    "epsilon": Quantity("ε", "largest norm of a perturbation", _LENGTH),
    "relative_epsilon": Quantity("ε/r_opt", "radius of an attack over the median optimal radius"),
    "attack": Quantity("attack", "how perturbations up to a radius are searched"),
    # Radii
    "radius": Quantity(
        "r_nn", "smallest perturbation found that changes the network's answer", _LENGTH, "upper"
    ),
    "radius_pair": Quantity(
        "r_pair",
        "smallest perturbation found that makes the network prefer the other point's class",
        _LENGTH,
        "upper",
    ),
    "radius_certified": Quantity(
        "r_cert",
        "certified radius: no perturbation of a smaller norm changes the network's answer",
        _LENGTH,
        "lower",
    ),
    "certified_share": Quantity(
        "r_cert/r_nn", "certified radius over the radius found; 1 is exact", "", "lower", "share"
    ),
    "radius_relative": Quantity("r_nn/‖x‖", "r_nn over the length of the input", "", "upper"),
    "r_opt": Quantity(
        "r_opt",
        "smallest perturbation that changes the optimal classifier's answer",
        _LENGTH,
        "exact",
    ),
    "r_half": Quantity(
        "r_half", "half the distance to the other point, optimal between the two", _LENGTH, "exact"
    ),
    "ratio": Quantity("r_nn/r_opt", "fragility ratio; 1 is as robust as possible"),
    "ratio_pair": Quantity("r_pair/r_half", "pairwise fragility ratio, against one other point"),
    "excess": Quantity(
        "excess", "pairwise ratio over the median of reading one random direction; law B says 1"
    ),
    # What a network reads
    "rho_net": Quantity(
        "ρ_net", "cosine between the margin's gradient and the displacement to the other point"
    ),
    "rho_span": Quantity("ρ_span", f"share of the displacement within the span {_SPECTRUM}"),
    "rho_theory": Quantity("ρ_theory", "ρ_net of the linear interpolator of the same data"),
    "null_ratio": Quantity(
        "ρ_null", "share within a random subspace of the same dimension (root mean square)"
    ),
    "null_pvalue": Quantity(
        "p_null", "chance that a random subspace contains as much as ρ_span", form="p-value"
    ),
    "span_rank": Quantity("rank", f"dimension of the span {_SPECTRUM}", form="count"),
    "singular_values": Quantity("σ_k", f"singular values {_SPECTRUM}", "logits per input unit"),
    "effective_rank": Quantity(
        "effective rank", f"exponential of the entropy of the singular values {_SPECTRUM}"
    ),
    "participation_ratio": Quantity(
        "participation", f"participation ratio of the squared singular values {_SPECTRUM}"
    ),
    "stable_rank": Quantity(
        "stable rank", f"squared Frobenius over squared spectral norm {_SPECTRUM}"
    ),
    # Law E
    "law_e": Quantity("law E", "pairwise ratio over ρ_net · β; the law says 1"),
    "midpoint": Quantity(
        "μ", "midpoint factor: 1 where the margin vanishes halfway to the other point"
    ),
    "secant": Quantity("κ", "secant over tangent of the margin along the displacement"),
    "tangent": Quantity("τ", "radius found over that of the linearised margin"),
    "box": Quantity(
        "β", "radius of the linearised margin within the bounds over that without them"
    ),
    # Layers
    "layer_rho": Quantity(
        "ρ_layer", "share of the displacement of a layer's features that later layers read"
    ),
    "layer_null": Quantity(
        "ρ_chance", "share that a random subspace would read (root mean square)"
    ),
    "layer_pvalue": Quantity(
        "p_chance", "chance that a random subspace reads as much", form="p-value"
    ),
    "layer_rank": Quantity("layer rank", "dimension of what later layers read", form="count"),
    "layer_effective_rank": Quantity(
        "effective layer rank", "exponential of the entropy of the singular values of later layers"
    ),
    # Networks and searches
    "accuracy": Quantity("accuracy", "share of inputs classified right", form="share"),
    "loss": Quantity("loss", "training loss"),
    "robust_accuracy": Quantity(
        "A_ε",
        "share of inputs that are classified right and that no perturbation found of norm up to ε "
        "changes",
        "",
        "upper",
        "share",
    ),
    "certified_accuracy": Quantity(
        "C_ε",
        "share of inputs that are classified right and that are certified to withstand every "
        "perturbation of norm up to ε",
        "",
        "lower",
        "share",
    ),
    "correct": Quantity("right", "whether the input is classified right", form="share"),
    "found": Quantity(
        "found", "share of attacked inputs with a verified perturbation", form="share"
    ),
    "proven": Quantity("proven", "share of optimal radii proven to be the smallest", form="share"),
    # Laws and tests
    "predicted": Quantity("law", "median and 90 % interval of the law for a single seed"),
    "ks_statistic": Quantity("KS", "Kolmogorov–Smirnov distance between measurement and law"),
    "ks_pvalue": Quantity("p", "chance of at least that distance if the law holds", form="p-value"),
    "ks_largest": Quantity("KS below", "distances above it are excluded with 95 % confidence"),
    "compile_seconds": Quantity("compilation", "time to trace and compile", "s"),
    "run_seconds": Quantity("run", "time to compute", "s"),
}


class Variable(NamedTuple):
    """A quantity, and the dimensions that it has within one cell of a sweep."""

    quantity: Quantity
    dims: tuple[str, ...] = ()


def quantity(name: str, **changes: Any) -> Quantity:
    """The quantity of a name, with what is different here, such as `bound="upper"`.

    Raises
    ------
    ValueError
        For a name that the vocabulary does not have.
    """
    if name not in QUANTITIES:
        raise ValueError(f"{name!r} is no quantity of the vocabulary: give it a Quantity.")
    return QUANTITIES[name]._replace(**changes)


def axis_quantity(name: str) -> Quantity:
    """What the values of an axis are: as the vocabulary says, or by the name alone."""
    return QUANTITIES.get(name, Quantity(name, name.replace("_", " ")))


def level(axis: str, value: Any, attrs: Mapping[str, Any]) -> str:
    """A value of an axis in words, such as `L = 2`; a text stands for itself.

    `attrs` are those of the axis, whose `symbol` goes before what the vocabulary says.
    """
    if isinstance(value, str):
        return value
    return f"{attrs.get('symbol', axis_quantity(axis).symbol)} = {value}"


def variables(cell: type) -> dict[str, Variable]:
    """What the fields of a cell hold, from their annotations.

    A field is annotated with a jaxtyping array, whose axes are its dimensions, such as
    `Float[Array, "example"]`. Its name is one of the vocabulary, unless it is annotated with a
    quantity too: `Annotated[Float[Array, ""], Quantity("θ", "angle between …")]`.

    Raises
    ------
    TypeError
        Where a field is annotated with something else.
    ValueError
        Where a name is not known and no quantity is given.
    """
    found = {}
    for name, hint in get_type_hints(cell, include_extras=True).items():
        given = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Quantity)]
        array = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if not hasattr(array, "dim_str"):
            raise TypeError(f"{cell.__name__}.{name} must be a jaxtyping array, got {array}.")
        found[name] = Variable(given[0] if given else quantity(name), tuple(array.dim_str.split()))
    return found
