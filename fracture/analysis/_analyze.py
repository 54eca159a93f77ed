"""Everything about one network and a batch of inputs: radii, ratios, compression, spectra."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree

from .._checks import as_labels, check_counts, narrow, require_classes
from .._network import takes_network
from .._typing import Apply, Bounds, Labels, Order
from ..batching import in_chunks
from ..certificates import certify as certified
from ..compression import (
    LayerCompression,
    contrast,
    effective_rank,
    jacobian,
    law_factors,
    layer_compression,
    participation_ratio,
    project_and_spectrum,
    stable_rank,
)
from ..norms import at_least_float32, broadcast_bounds, check_order, norm
from ..optimal import nearest_neighbour
from ..perturbation import Solver, as_solver, minimal
from ..theory import null_pvalue

__all__ = ["Analysis", "analyze"]


class Analysis(NamedTuple):
    r"""What was measured, per input; $\Delta$ goes to the nearest reference of another class.

    `ratio_pair` is `rho_net * midpoint * secant * tangent * box`, exactly. Quantities that
    need a reference are NaN where there is none of another class.

    Attributes
    ----------
    delta
        Smallest perturbation found, to any other class; zero where none was found.
    radius
        Its norm: 0 where misclassified, inf where none was found.
    radius_relative
        Radius over the norm of the input.
    status, adversarial_label
        Values of `perturbation.Status`; the class reached, -1 for none.
    radius_pair, status_pair
        The same for the class of the nearest reference: the distance to that pair's boundary.
    nearest, other
        Index of the nearest reference of another class, and its class; -1 for none.
    r_opt
        Half its distance: what the nearest-neighbour classifier of the references tolerates. For
        a finite sample of the classes an upper bound that falls with more references.
    ratio, ratio_pair
        `radius` and `radius_pair` over `r_opt`.
    rho_net
        Compression of $\Delta$ onto the margin's gradient, `compression.margin_compression`.
    rho_span, span_rank, null_ratio, null_pvalue
        Compression onto the span of the gradients of logit differences, its dimension, what a
        random subspace of that dimension would give, `compression.span_compression`, and the
        probability that it would give as much, `theory.null_pvalue`.
    midpoint, secant, tangent, box
        Why `ratio_pair` is not `rho_net`, `compression.LawFactors`.
    singular_values, effective_rank, participation_ratio, stable_rank
        Spectrum of the gradients of logit differences at the input, K - 1 values, and its
        dimensions; as of the layers.
    layers
        `compression.LayerCompression` with a leading axis; None without `stages`.
    radius_certified, status_certified
        No perturbation of a smaller norm, to any other class, changes the answer, and a value of
        `certificates.CertificateStatus`; None without `certify`.
    """

    delta: Float[Array, "n *input"]
    radius: Float[Array, " n"]
    radius_relative: Float[Array, " n"]
    status: Int[Array, " n"]
    adversarial_label: Int[Array, " n"]
    radius_pair: Float[Array, " n"]
    status_pair: Int[Array, " n"]
    nearest: Int[Array, " n"]
    other: Int[Array, " n"]
    r_opt: Float[Array, " n"]
    ratio: Float[Array, " n"]
    ratio_pair: Float[Array, " n"]
    rho_net: Float[Array, " n"]
    rho_span: Float[Array, " n"]
    span_rank: Int[Array, " n"]
    null_ratio: Float[Array, " n"]
    null_pvalue: Float[Array, " n"]
    midpoint: Float[Array, " n"]
    secant: Float[Array, " n"]
    tangent: Float[Array, " n"]
    box: Float[Array, " n"]
    singular_values: Float[Array, "n k"]
    effective_rank: Float[Array, " n"]
    participation_ratio: Float[Array, " n"]
    stable_rank: Float[Array, " n"]
    layers: LayerCompression | None
    radius_certified: Float[Array, " n"] | None = None
    status_certified: Int[Array, " n"] | None = None


@takes_network
def analyze(
    apply: Apply,
    params: PyTree,
    inputs: ArrayLike,
    labels: Labels,
    references: ArrayLike,
    reference_labels: Labels,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    solver: str | Solver = minimal,
    certify: bool = False,
    stages: Callable[[PyTree], Sequence[Callable[[Array], Array]]] | None = None,
    num_classes: int | None = None,
    layer_classes: int | None = None,
    chunk_size: int | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Analysis:
    """Measure the robustness of a network at a batch of inputs, and what explains it.

    Two compiled calls: the nearest references, and all the rest. A second call with arrays of
    the same shapes compiles nothing, whatever the parameters and the number of references.

    Parameters
    ----------
    apply, params
        `apply(params, x) -> logits[K]` for one input, any JAX function; one output f stands for
        the logits (f/2, -f/2), with the spectrum of f. What an adapter returned stands for both:
        `analyze(adapted, inputs, …)`.
    inputs, labels
        Shapes `(n, …)` and `(n,)`.
    references, reference_labels
        Points that the optimal classifier knows, shapes `(m, …)` and `(m,)`; may contain the
        inputs. Their labels are classes of the network, 0 to K - 1.
    ord
        Order of the norm of radii and distances: 1, 2 or `jnp.inf`. Spectra, `rho_span` and
        layers are of ℓ2 always.
    bounds
        `(lower, upper)` that perturbed inputs respect: scalars or arrays in the shape of an input.
    solver, **options
        Solver of `perturbation`, or its name, and its options, hashable, such as `effort="high"`.
    certify
        Whether to certify a radius for each input as well, by `certificates.certify` at the
        solver's `effort`: the norm of the smallest perturbation lies between the two.
    stages
        `stages(params)`: the network as a sequence of functions, each of one array, whose
        composition is `apply`; they are measured layer by layer.
    num_classes
        Spectra, `rho_span` and layers of so many logits only, K' instead of K: those of the label
        and of the nearest reference's class, and the largest others. Costs as many gradients.
    layer_classes
        The same for the layers alone, whose features may be larger than inputs; None for
        `num_classes`.
    chunk_size
        Gradients of logits computed together, as in `compression.jacobian`; None for all K'.
    batch_size
        Inputs processed together; None for all. Together they bound the memory: each input needs
        that of `chunk_size` backward passes, and K' times that of an input, or of a layer.

    Returns
    -------
    Analysis
        Arrays with a leading axis `n`.

    Raises
    ------
    NotImplementedError
        If the network has a primitive without certified bounds, with `certify`.
    TypeError
        If inputs or references are not floating-point arrays of one dtype, or labels are not
        integers.
    ValueError
        If shapes disagree, there are no inputs or references, a reference is of no class of the
        network (where its label is not traced), or an option is out of range or unknown.

    References
    ----------
    Gao et al. (2024), "Feature compression is the root cause of adversarial fragility in neural
    network classifiers", arXiv:2406.16200.

    Examples
    --------
    The network reads the first coordinate alone, the classes differ in both: it has 3/5 of the
    robustness that it could have, and that is what it reads.

    >>> import jax.numpy as jnp
    >>> from fracture.analysis import analyze
    >>> apply = lambda scale, x: scale * jnp.stack([x[0], -x[0]])
    >>> points, labels = jnp.array([[3.0, 4.0], [-3.0, -4.0]]), jnp.array([0, 1])
    >>> found = analyze(apply, 1.0, points, labels, points, labels, solver="affine")
    >>> for name in ("radius", "r_opt", "ratio", "rho_net"):
    ...     print(f"{name:7s} {getattr(found, name)[0]:.3f}")
    radius  3.000
    r_opt   5.000
    ratio   0.600
    rho_net 0.600
    """
    if 0 in jnp.shape(inputs):
        raise ValueError(f"inputs are empty: shape {jnp.shape(inputs)}.")
    if batch_size is not None:
        check_counts(batch_size=batch_size)
    layer_classes = num_classes if layer_classes is None else layer_classes
    for name, number in (("num_classes", num_classes), ("layer_classes", layer_classes)):
        if number is not None:
            check_counts(2, **{name: number})
    if bounds is not None:
        broadcast_bounds(bounds, jnp.zeros(jnp.shape(inputs)[1:], jnp.result_type(inputs)))
    labels = as_labels(labels)
    reference_labels = as_labels(reference_labels, "reference_labels")
    ord = check_order(ord)
    near = nearest_neighbour(inputs, labels, references, reference_labels, ord=ord)
    one = jax.ShapeDtypeStruct(jnp.shape(inputs)[1:], jnp.result_type(inputs))
    outputs = getattr(jax.eval_shape(apply, params, one), "shape", None)
    if outputs is not None and len(outputs) < 2:  # else the solver says what is wrong with them
        require_classes(reference_labels, max((2, *outputs)), "reference_labels")
    # Gathered here: the number of references is none of the compiled call's business.
    points = jnp.asarray(references)[near.index]
    other = jnp.where(near.index < 0, -1, narrow(reference_labels)[near.index])
    batch_size = None if batch_size is None else min(batch_size, len(labels))
    sizes = (num_classes, layer_classes, chunk_size, batch_size)
    options_of_solver = tuple(sorted(options.items()))
    static = (apply, as_solver(solver), certify, stages, ord, sizes, options_of_solver)
    examples = (
        jnp.asarray(inputs),
        narrow(labels),
        points,
        other,
        near.radius,
        near.index,
    )
    return _analyze(*static, params, bounds, examples)


@partial(jax.jit, static_argnums=range(7))
def _analyze(apply, solver, certify, stages, ord, sizes, options, params, bounds, examples):
    num_classes, layer_classes, chunk_size, batch_size = sizes
    network = jax.jit(partial(apply, params))  # traced once, however often it is called
    asked = {"ord": ord, "bounds": bounds}
    solve = partial(solver, network, **asked, **dict(options))
    effort = dict(options).get("effort", "medium")

    def one(example):
        x, label, point, other, r_opt, nearest = example
        r_opt = at_least_float32(r_opt)
        delta = jnp.where(other < 0, jnp.nan, point - x)
        any_class = solve(x, label)
        pair = solve(x, label, target=other)
        proof = None
        if certify:
            proof = certified(network, x, label, effort=effort, found=any_class, **asked)
        factors = law_factors(
            network, x, label, delta, pair.norm, other=other, ord=ord, bounds=bounds
        )
        most_probable = partial(_most_probable, network(x), label, other)
        read = most_probable(num_classes)
        rows = jacobian(lambda z: read(network(z)), x, chunk_size=chunk_size)
        # What all logits share moves no boundary.
        differences = contrast(rows) if len(rows) > 1 else rows
        span, values = project_and_spectrum(differences, delta, None)
        layers = None
        if stages is not None:
            *inner, last = stages(params)
            read_last = most_probable(layer_classes)
            inner.append(lambda h: read_last(last(h)))
            layers = layer_compression(inner, x, x + delta, chunk_size=chunk_size)
        defined = lambda quantity: jnp.where(other < 0, jnp.nan, quantity)
        return Analysis(
            delta=any_class.delta,
            radius=any_class.norm,
            radius_relative=any_class.norm / norm(at_least_float32(x), ord),
            status=any_class.status,
            adversarial_label=any_class.adversarial_label,
            radius_pair=defined(pair.norm),
            status_pair=pair.status,
            nearest=nearest,
            other=other,
            r_opt=r_opt,
            ratio=defined(any_class.norm / r_opt),
            ratio_pair=defined(pair.norm / r_opt),
            rho_net=factors.rho_net,
            rho_span=span.ratio,
            span_rank=span.rank,
            null_ratio=span.null_ratio,
            null_pvalue=null_pvalue(span.ratio, span.rank, x.size),
            midpoint=factors.midpoint,
            secant=factors.secant,
            tangent=factors.tangent,
            box=factors.box,
            singular_values=values,
            effective_rank=effective_rank(values),
            participation_ratio=participation_ratio(values),
            stable_rank=stable_rank(values),
            layers=layers,
            radius_certified=None if proof is None else proof.radius,
            status_certified=None if proof is None else proof.status,
        )

    return in_chunks(one, examples, batch_size)


def _most_probable(logits, label, other, number: int | None):
    """What picks `number` logits: of two classes (a negative one is none) and the largest rest."""
    if number is None or logits.ndim == 0 or number >= len(logits):
        return lambda logits: logits
    named = jnp.stack([label, other])
    first = logits.at[jnp.where(named < 0, len(logits), named)].set(jnp.inf, mode="drop")
    classes = jax.lax.top_k(first, number)[1]
    return lambda logits: logits[classes]
