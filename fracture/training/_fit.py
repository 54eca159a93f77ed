"""The training loop: passes of updates, each a pure function of the state before it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from .._checks import as_labels, check_counts
from .._typing import Apply, Key, Labels, TrainApply
from ..logits import as_logits
from ._losses import Loss, scoring
from ._moments import first_kept, keep, measured_at, moments_of

Objective = Callable[[Any, Array, Array], Array]


class Fit(NamedTuple):
    """A trained network and how it got there; `vmap` adds an axis to each field.

    Attributes
    ----------
    params
        Parameters after the last update.
    history
        Mean loss over each pass through the data, before its updates; NaN after an early stop.
    loss
        Mean loss of `params` over all the data.
    accuracy
        Share of the data that `params` classify correctly.
    steps
        Updates made.
    finite
        False if a loss was NaN or infinite (updates stop there) or a label out of range.
    measured
        What `measure` returns at the moments, stacked; None without `measure`.
    moments
        Updates made at each of them: fewer than asked for after an early stop.
    """

    params: Any
    history: Float[Array, " passes"]
    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    steps: Int[Array, ""]
    finite: Bool[Array, ""]
    measured: Any = None
    moments: Int[Array, " moments"] | None = None


def fit(
    key: Key,
    apply: Apply,
    params: Any,
    inputs: ArrayLike,
    labels: Labels,
    *,
    loss: str | Loss = "mse",
    steps: int,
    optimizer: optax.GradientTransformation | None = None,
    batch_size: int | None = None,
    target_loss: ArrayLike | None = None,
    train_apply: TrainApply | None = None,
    objective: Objective | None = None,
    measure: Callable[[Any], Any] | None = None,
    moments: int | Sequence[int] | np.ndarray = 2,
) -> Fit:
    """Minimise the mean loss over labelled inputs.

    A pure function of its arrays: `jax.vmap` over keys, parameters or data trains many networks in
    one program, `jax.jit` keeps the program for the next call.

    Parameters
    ----------
    key
        Shuffles the minibatches; unused without them.
    apply
        `apply(params, x) -> logits[K]` for one input; one output f (shape `()` or `(1,)`) stands
        for the logits (f/2, -f/2).
    params
        Initial parameters, a pytree of floating arrays.
    inputs, labels
        Shape `(n, …)` and integers `(n,)` from 0 to K - 1 (0 or 1 for one output).
    loss
        "mse" (`squared_error`), "cross_entropy", or `loss(logits, label)` of one example.
    steps
        Number of updates, at least 1.
    optimizer
        An Optax optimiser; Adam with learning rate 1e-3 if None.
    batch_size
        Examples per update, 1 to n; all of them if None. Every pass through the data follows a
        new permutation; the n mod batch_size examples at its end sit that pass out.
    target_loss
        Stops where the mean loss of a pass is at most this: with the full batch at the parameters
        that have this loss, with minibatches at the end of the pass. The loop ends there (under
        `vmap`, where the last of the networks stops; the others wait unchanged). Such a loop
        cannot be differentiated in reverse mode; without a target it can.
    train_apply
        What to train with in place of `apply` where the two differ, such as `Network.train_apply`
        of a network with batch normalisation: `train_apply(params, xs) -> (logits[n, K],
        statistics)` for a batch. `statistics` is `params` with new values for the leaves that are
        not trained and None for the others; each update of the others puts them in place.
        `history` has the losses of `train_apply`, `loss` and `accuracy` are those of `apply`.
    objective
        `objective(params, xs, ys)`, a scalar of a batch, to minimise in place of the mean loss: the
        loss at perturbed inputs, or with a penalty. `history` has its values, `loss` those of
        `loss`. Not together with `train_apply`.
    measure
        `measure(params)`, a pytree of arrays, evaluated at several moments of this one run. The
        parameters at these moments are kept until its end: memory grows with the number of
        moments, not of steps.
    moments
        Where to measure: numbers of updates in ascending order, from 0 (the initial parameters) to
        at most `steps`; or how many such moments, evenly spaced from 0 to `steps`, at least 2.

    Returns
    -------
    Fit
        Its `history` has one entry per pass: per update with the full batch, else one in
        n // batch_size updates.

    Raises
    ------
    ValueError
        If shapes do not fit, an option is out of range or unknown, or labels that are not traced
        are out of range (traced ones give NaN losses and `finite` False).
    TypeError
        If `labels` are not integers, or `apply` does not return one array of floating numbers.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from fracture.training import fit
    >>> inputs, labels = jnp.array([[-1.0], [-2.0], [1.0], [3.0]]), jnp.array([0, 0, 1, 1])
    >>> apply = lambda weight, x: weight * x  # one output f, for the logits (f/2, -f/2)
    >>> trained = fit(jax.random.key(0), apply, jnp.zeros(1), inputs, labels, steps=100)
    >>> print(f"accuracy {trained.accuracy:.2f}, {trained.steps} steps: {trained.finite}")
    accuracy 1.00, 100 steps: True
    """
    inputs, labels = jnp.asarray(inputs), as_labels(labels)
    _check(inputs, labels, steps, batch_size)
    when = moments_of(moments, steps)
    logits = jax.eval_shape(lambda params, x: as_logits(apply(params, x)), params, inputs[0])
    score = scoring(logits.size, labels, loss)
    labels = labels.astype(jnp.result_type(int))
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    mean_loss = _mean_loss(train_apply or _one_by_one(apply), score)
    if objective is not None:
        if train_apply is not None:
            raise ValueError("objective stands for the whole loss: give it or train_apply.")
        mean_loss = jax.value_and_grad(lambda *batch: (objective(*batch), None), has_aux=True)
    reached = partial(_reached, target_loss)

    def update(state: _State, xs: Array, ys: Array) -> tuple[_State, Array]:
        (value, statistics), grads = mean_loss(state.params, xs, ys)
        finite = jnp.isfinite(value)
        done = state.done | ~finite | (state.steps >= steps)
        if batch_size is None:  # this is the loss of all the data
            done |= reached(value)
        params, memory = _descend(optimizer, state, grads, statistics, done)
        made = state.steps + jnp.where(done, 0, 1).astype(jnp.int32)
        kept = keep(state.kept, params, when, made) if measure else ()
        finite = state.finite & (finite | state.done)
        return _State(params, memory, made, done, finite, kept), value

    def one_pass(state: _State, i: Array) -> tuple[_State, Array]:
        if batch_size is None:
            return update(state, inputs, labels)
        batches = _batches(jax.random.fold_in(key, i), labels.size, batch_size)
        take = lambda state, batch: update(state, inputs[batch], labels[batch])
        after, values = jax.lax.scan(take, state, batches)
        updates = jnp.maximum(after.steps - state.steps, 1)
        mean = jnp.mean(values, where=jnp.arange(len(batches), dtype=jnp.int32) < updates)
        mean = jnp.where(state.done, jnp.nan, mean)  # of no updates
        return after._replace(done=after.done | reached(mean)), mean

    start = _start(params, optimizer, first_kept(params, when) if measure else ())
    passes = -(-steps // (1 if batch_size is None else labels.size // batch_size))
    loop = _all_passes if target_loss is None else _until_done
    end, history = loop(one_pass, start, passes)

    mean, accuracy = _evaluate(partial(apply, end.params), score, inputs, labels, batch_size)
    found = Fit(end.params, history, mean, accuracy, end.steps, end.finite & jnp.isfinite(mean))
    if not measure:
        return found
    measured, reached_at = measured_at(measure, end.kept, when, end.steps)
    return found._replace(measured=measured, moments=reached_at)


class _State(NamedTuple):
    params: Any
    memory: Any  # of the optimiser
    steps: Array
    done: Array
    finite: Array
    kept: Any  # parameters at the moments, stacked; those not reached are stale


_OnePass = Callable[[_State, Array], tuple[_State, Array]]


def _start(params: Any, optimizer: optax.GradientTransformation, kept: Any) -> _State:
    zero, false = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return _State(params, optimizer.init(params), zero, false, ~false, kept)


def _one_by_one(apply: Apply) -> TrainApply:
    """What trains a network without batch statistics."""
    return lambda params, xs: (jax.vmap(apply, (None, 0))(params, xs), None)


def _mean_loss(train_apply: TrainApply, score: Callable[..., tuple[Array, Array]]) -> Callable:
    """`f(params, xs, ys) -> ((mean loss, statistics), gradient)` of a batch."""

    def mean(params: Any, xs: Array, ys: Array) -> tuple[Array, Any]:
        logits, statistics = train_apply(params, xs)
        return jnp.mean(jax.vmap(score)(logits, ys)[0]), statistics

    return jax.value_and_grad(mean, has_aux=True)


def _reached(target: ArrayLike | None, value: Array) -> Array:
    if target is None:
        return jnp.zeros((), bool)
    return value <= jnp.asarray(target).astype(value.dtype)


def _descend(
    optimizer: optax.GradientTransformation,
    state: _State,
    grads: Any,
    statistics: Any,
    done: Array,
) -> tuple[Any, Any]:
    """Parameters and memory of the optimiser after an update; as they were where `done`."""
    # Optax mixes Python and array scalars in ways that strict promotion rejects.
    with jax.numpy_dtype_promotion("standard"):
        change, memory = optimizer.update(grads, state.memory, state.params)
        params = optax.apply_updates(state.params, change)
    # Leaves that have new statistics are those, whatever the optimiser did to them.
    choose = lambda new, old: old if new is None else new
    params = jax.tree.map(choose, statistics, params, is_leaf=lambda new: new is None)
    stay = lambda old, new: jax.tree.map(lambda o, n: jnp.where(done, o, n), old, new)
    return stay(state.params, params), stay(state.memory, memory)


def _batches(key: Key, num: int, size: int) -> Array:
    """The examples of each update in one pass, in an order of its own."""
    updates = num // size
    return jax.random.permutation(key, num)[: updates * size].reshape(updates, size)


def _all_passes(one_pass: _OnePass, state: _State, passes: int) -> tuple[_State, Array]:
    return jax.lax.scan(one_pass, state, jnp.arange(passes))


def _until_done(one_pass: _OnePass, state: _State, passes: int) -> tuple[_State, Array]:
    """`_all_passes` that leaves as soon as the state is done; the loss is NaN after that."""

    def body(carry):
        state, history, i = carry
        state, value = one_pass(state, i)
        return state, history.at[i].set(value), i + 1

    start = jnp.zeros((), jnp.int32)
    _, value = jax.eval_shape(one_pass, state, start)
    history = jnp.full(passes, jnp.nan, value.dtype)
    state, history, _ = jax.lax.while_loop(
        lambda carry: ~carry[0].done & (carry[2] < passes), body, (state, history, start)
    )
    return state, history


def _evaluate(
    network: Callable[[Array], Array],
    score: Callable[..., tuple[Array, Array]],
    inputs: Array,
    labels: Array,
    batch_size: int | None,
) -> tuple[Array, Array]:
    """Mean loss and accuracy over all the data, as many at a time as in an update."""
    losses, correct = jax.lax.map(
        lambda example: score(network(example[0]), example[1]),
        (inputs, labels),
        batch_size=batch_size or labels.size,
    )
    mean = jnp.mean(losses)
    return mean, jnp.mean(correct.astype(mean.dtype))


def _check(inputs: Array, labels: Array, steps: int, batch_size: int | None) -> None:
    if inputs.ndim < 1 or labels.shape != inputs.shape[:1] or labels.size == 0:
        raise ValueError(
            "inputs and labels must have the shapes (n, …) and (n,) with n at least 1, got "
            f"{inputs.shape} and {labels.shape}."
        )
    check_counts(steps=steps)
    if batch_size is not None and not 1 <= batch_size <= labels.size:
        raise ValueError(f"batch_size must be from 1 to {labels.size}, got {batch_size}.")
