"""Training as one compiled loop, a pure function: `jax.vmap` trains all seeds at once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from ._checks import as_labels
from ._typing import Apply, Key, Labels, TrainApply

__all__ = ["LOSSES", "Fit", "cross_entropy", "fit", "squared_error"]

Loss = Callable[[Array, Array], Array]


class Fit(NamedTuple):
    """A trained network and how it got there; `vmap` adds an axis to each field."""

    params: Any
    """Parameters after the last update."""
    history: Float[Array, " passes"]
    """Mean loss over each pass through the data, before its updates; NaN after an early stop."""
    loss: Float[Array, ""]
    """Mean loss of `params` over all the data."""
    accuracy: Float[Array, ""]
    """Share of the data that `params` classify correctly."""
    steps: Int[Array, ""]
    """Updates made."""
    finite: Bool[Array, ""]
    """False if a loss was NaN or infinite (updates stop there) or a label out of range."""
    measured: Any = None
    """What `measure` returns at the moments, stacked; None without `measure`."""
    moments: Int[Array, " moments"] | None = None
    """Updates made at each of them: fewer than asked for after an early stop."""


def squared_error(logits: Float[Array, " K"], label: Labels) -> Float[Array, ""]:
    """Mean squared error of one example.

    The targets are one-hot for K > 1 outputs. One output stands for the logits (f/2, -f/2), so its
    target is +1 for label 0 and -1 for label 1.
    """
    label = as_labels(label)
    if logits.shape[0] == 1:
        return (logits[0] - (1 - 2 * label).astype(logits.dtype)) ** 2
    return jnp.mean((logits - jax.nn.one_hot(label, logits.shape[0], dtype=logits.dtype)) ** 2)


def cross_entropy(logits: Float[Array, " K"], label: Labels) -> Float[Array, ""]:
    """Negative log-likelihood of one example, in nats; one output f stands for (f/2, -f/2)."""
    return -jax.nn.log_softmax(_at_least_two(logits))[as_labels(label)]


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": squared_error}


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
        If `labels` are not integers, or `apply` does not return one array.
    """
    inputs, labels = jnp.asarray(inputs), as_labels(labels)
    _check(inputs, labels, steps, batch_size)
    when = _moments(moments, steps)
    score = _score(jax.eval_shape(apply, params, inputs[0]), labels, loss)
    train_apply = train_apply or (lambda params, xs: (jax.vmap(apply, (None, 0))(params, xs), None))
    labels = labels.astype(jnp.result_type(int))
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    num = inputs.shape[0]
    updates = 1 if batch_size is None else num // batch_size  # of a pass
    passes = -(-steps // updates)

    @partial(jax.value_and_grad, has_aux=True)
    def value_and_grad(params, xs, ys):
        logits, statistics = train_apply(params, xs)
        return jnp.mean(jax.vmap(score)(logits, ys)[0]), statistics

    def reached(value):
        if target_loss is None:
            return jnp.zeros((), bool)
        return value <= jnp.asarray(target_loss).astype(value.dtype)

    def update(state: _State, indices):
        xs, ys = (inputs, labels) if indices is None else (inputs[indices], labels[indices])
        (value, statistics), grads = value_and_grad(state.params, xs, ys)
        finite = jnp.isfinite(value)
        done = state.done | ~finite | (state.steps >= steps)
        if indices is None:
            done |= reached(value)
        # Optax mixes Python and array scalars in ways that strict promotion rejects.
        with jax.numpy_dtype_promotion("standard"):
            change, memory = optimizer.update(grads, state.memory, state.params)
            moved = _replace(optax.apply_updates(state.params, change), statistics)
        keep = lambda old, new: jax.tree.map(lambda o, n: jnp.where(done, o, n), old, new)
        new = _State(
            keep(state.params, moved),
            keep(state.memory, memory),
            state.steps + jnp.where(done, 0, 1).astype(jnp.int32),
            done,
            state.finite & (finite | state.done),
            state.kept,
        )
        if measure:
            new = new._replace(kept=_keep(state.kept, new.params, _slot(when, new.steps)))
        return new, value

    def one_pass(state: _State, i):
        if batch_size is None:
            return update(state, None)
        order = jax.random.permutation(jax.random.fold_in(key, i), num)[: updates * batch_size]
        before = state.steps
        state, values = jax.lax.scan(update, state, order.reshape(updates, batch_size))
        made = jnp.arange(updates, dtype=jnp.int32) < jnp.maximum(state.steps - before, 1)
        mean = jnp.mean(values, where=made)
        return state._replace(done=state.done | reached(mean)), mean

    zero, false = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    kept = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(when)), params) if measure else ()
    state = _State(params, optimizer.init(params), zero, false, ~false, kept)
    if target_loss is None:
        state, history = jax.lax.scan(one_pass, state, jnp.arange(passes))
    else:
        state, history = _until_done(one_pass, state, passes)

    losses, correct = jax.lax.map(
        lambda example: score(apply(state.params, example[0]), example[1]),
        (inputs, labels),
        batch_size=batch_size or num,
    )
    final = jnp.mean(losses)
    accuracy = jnp.mean(correct.astype(final.dtype))
    finite = state.finite & jnp.isfinite(final)
    found = Fit(state.params, history, final, accuracy, state.steps, finite)
    if not measure:
        return found
    # After an early stop, the parameters stay what they are at all moments to come.
    held = jnp.minimum(np.arange(len(when), dtype=np.int32), _slot(when, state.steps))
    at = lambda i: jax.tree.map(lambda leaf: leaf[i], state.kept)
    measured = jax.lax.map(lambda i: measure(at(i)), held)
    return found._replace(measured=measured, moments=jnp.minimum(when, state.steps))


class _State(NamedTuple):
    params: Any
    memory: Any  # of the optimiser
    steps: Array
    done: Array
    finite: Array
    kept: Any  # parameters at the moments, stacked; those not reached are stale


def _moments(moments: int | Sequence[int] | np.ndarray, steps: int) -> np.ndarray:
    """Numbers of updates, after a check."""
    if isinstance(moments, int):
        if not 2 <= moments <= steps + 1:
            raise ValueError(f"moments must be from 2 to {steps + 1}, got {moments}.")
        return np.linspace(0, steps, moments).round().astype(np.int32)
    when = np.asarray(moments)
    whole = when.ndim == 1 and when.size > 0 and np.issubdtype(when.dtype, np.integer)
    if not whole or when[0] < 0 or when[-1] > steps or (np.diff(when) <= 0).any():
        raise ValueError(f"moments must be integers that ascend in 0 … {steps}, got {moments}.")
    return when.astype(np.int32)


def _slot(when: np.ndarray, steps: Array) -> Array:
    """The first moment that is not over after `steps` updates; `len(when)` if all are."""
    return jnp.sum(when < steps, dtype=jnp.int32)


def _keep(kept: Any, params: Any, slot: Array) -> Any:
    """The parameters in their slot, where the next ones replace them until the moment is there."""
    return jax.tree.map(lambda leaf, new: leaf.at[slot].set(new, mode="drop"), kept, params)


def _until_done(one_pass, state: _State, passes: int) -> tuple[_State, Array]:
    """`jax.lax.scan` over the passes that leaves as soon as the state is done."""

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


def _replace(params: Any, statistics: Any) -> Any:
    """`params`, whatever the optimiser did to the leaves that `statistics` has values for."""
    choose = lambda new, old: old if new is None else new
    return jax.tree.map(choose, statistics, params, is_leaf=lambda new: new is None)


def _score(logits: Any, labels: Array, loss: str | Loss):
    """`score(logits, label) -> (loss, correct)`, after a check of the shape and the labels."""
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(f"loss must be a function or one of {sorted(LOSSES)}, got {loss!r}.")
    loss_fn = loss if callable(loss) else LOSSES[loss]
    if not hasattr(logits, "ndim"):
        raise TypeError(f"apply must return one array of logits, got {type(logits).__name__}.")
    if logits.ndim > 1 or logits.size == 0:
        raise ValueError(f"apply must return logits of shape (K,) or (), got {logits.shape}.")
    classes = max(2, logits.size)
    if not isinstance(labels, jax.core.Tracer):
        values = np.asarray(labels)  # inside a jit, JAX's own comparison would be traced
        low, high = values.min(), values.max()
        if low < 0 or high >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}, got {low} to {high}.")

    def score(logits, label):
        logits = jnp.atleast_1d(logits)
        value = loss_fn(logits, label)
        if value.shape != ():
            raise ValueError(f"loss must return a scalar, got the shape {value.shape}.")
        valid = (label >= 0) & (label < classes)
        correct = jnp.argmax(_at_least_two(logits)) == label
        return jnp.where(valid, value, jnp.nan), correct & valid

    return score


def _at_least_two(logits: Array) -> Array:
    return jnp.concatenate([logits, -logits]) / 2 if logits.shape[0] == 1 else logits


def _check(inputs: Array, labels: Array, steps: int, batch_size: int | None) -> None:
    if inputs.ndim < 1 or labels.shape != inputs.shape[:1] or labels.size == 0:
        raise ValueError(
            "inputs and labels must have the shapes (n, …) and (n,) with n at least 1, got "
            f"{inputs.shape} and {labels.shape}."
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    if batch_size is not None and not 1 <= batch_size <= labels.size:
        raise ValueError(f"batch_size must be from 1 to {labels.size}, got {batch_size}.")
