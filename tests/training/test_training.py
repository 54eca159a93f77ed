"""Training against the closed form of least squares, against itself mapped, and on toys."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fracture import data, models, training


def affine(params, x):
    return params["weight"] @ x + params["bias"]


def affine_params(num_outputs, dim, dtype=jnp.float64):
    return {"weight": jnp.zeros((num_outputs, dim), dtype), "bias": jnp.zeros(num_outputs, dtype)}


def blobs(seed=0, num=60, dim=4, classes=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % classes
    centres = 4 * rng.normal(size=(classes, dim))
    return (centres[labels] + rng.normal(size=(num, dim))).astype(dtype), labels


KEY = jax.random.key(0)


def test_an_objective_is_minimised_in_place_of_the_mean_loss():
    """Ridge regression, whose minimum is known, with minibatches of all examples."""
    inputs, labels = blobs(classes=2)
    targets, penalty = 1.0 - 2.0 * labels, 0.3
    exact = np.linalg.solve(inputs.T @ inputs / 60 + penalty * np.eye(4), inputs.T @ targets / 60)

    def objective(weight, xs, ys):
        errors = xs @ weight - (1 - 2 * ys).astype(xs.dtype)
        return jnp.mean(errors**2) + penalty * jnp.sum(weight**2)

    apply = lambda weight, x: weight @ x
    run = lambda **options: training.fit(
        KEY, apply, jnp.zeros(4), inputs, labels, optimizer=optax.sgd(0.02), steps=2000, **options
    )
    got = run(objective=objective, batch_size=60)
    np.testing.assert_allclose(got.params, exact, atol=1e-8)
    np.testing.assert_allclose(got.loss, np.mean((inputs @ exact - targets) ** 2), rtol=1e-6)
    np.testing.assert_allclose(got.history[-1], objective(exact, inputs, labels), rtol=1e-6)
    plain = run(objective=lambda w, xs, ys: objective(w, xs, ys) - penalty * jnp.sum(w**2))
    np.testing.assert_allclose(plain.params, run().params, atol=1e-12)
    with pytest.raises(ValueError, match="objective stands for the whole loss"):
        run(objective=objective, train_apply=lambda params, xs: (xs, None))


@pytest.mark.fast
@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_squared_error_reaches_least_squares(num_outputs):
    inputs, labels = blobs(classes=max(2, num_outputs))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    targets = np.eye(num_outputs)[labels] if num_outputs > 1 else 1.0 - 2.0 * labels[:, None]
    design = np.column_stack([inputs, np.ones(len(inputs))])
    exact, *_ = np.linalg.lstsq(design, targets)
    got = training.fit(
        KEY,
        affine,
        affine_params(num_outputs, 4),
        inputs,
        labels,
        optimizer=optax.sgd(0.2 * num_outputs),
        steps=3000,
    )
    np.testing.assert_allclose(got.params["weight"], exact[:-1].T, atol=1e-6)
    np.testing.assert_allclose(got.params["bias"], exact[-1], atol=1e-6)
    scores = design @ exact
    np.testing.assert_allclose(got.loss, np.mean((scores - targets) ** 2), rtol=1e-6)
    answers = scores.argmax(1) if num_outputs > 1 else (scores[:, 0] < 0).astype(int)
    assert float(got.accuracy) == pytest.approx(np.mean(answers == labels))
    assert got.history.shape == (3000,)
    assert int(got.steps) == 3000
    assert bool(got.finite)
    np.testing.assert_allclose(got.history[0], np.mean(targets**2))
    assert jnp.all(jnp.diff(got.history) <= 1e-12)


def test_cross_entropy_is_stationary_and_calibrated():
    # At the optimum of logistic regression with a bias, mean probabilities are class frequencies.
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(90, 2)), rng.choice(3, size=90, p=[0.5, 0.3, 0.2])
    got = training.fit(
        KEY,
        affine,
        affine_params(3, 2),
        inputs,
        labels,
        loss="cross_entropy",
        optimizer=optax.adam(0.05),
        steps=1500,
    )
    chances = jax.nn.softmax(jax.vmap(affine, (None, 0))(got.params, jnp.asarray(inputs)))
    np.testing.assert_allclose(chances.mean(0), np.bincount(labels) / 90, atol=1e-5)
    truth = -np.log(np.asarray(chances)[np.arange(90), labels]).mean()
    np.testing.assert_allclose(got.loss, truth, rtol=1e-9)


@pytest.mark.fast
def test_losses_of_one_output_agree_with_two_logits():
    f = jnp.array([0.7])
    two = jnp.array([0.35, -0.35])
    for label in (0, 1):
        label = jnp.array(label)
        one, both = training.cross_entropy(f, label), training.cross_entropy(two, label)
        np.testing.assert_allclose(one, both)
    np.testing.assert_allclose(training.squared_error(f, jnp.array(0)), 0.3**2)
    np.testing.assert_allclose(training.squared_error(f, jnp.array(1)), 1.7**2)
    np.testing.assert_allclose(training.squared_error(two, jnp.array(0)), (0.65**2 + 0.35**2) / 2)


@pytest.mark.parametrize("options", [{}, {"target_loss": 0.12}, {"batch_size": 7}])
def test_vmap_is_loop(options):
    network = models.mlp(4, 3, widths=(6,), dtype=jnp.float64)
    tasks = [blobs(seed, num=30) for seed in (1, 2)]
    inputs, labels = (jnp.stack([jnp.asarray(task[i]) for task in tasks]) for i in (0, 1))
    keys = jax.random.split(KEY, 2)
    params = jax.tree.map(
        lambda leaf: np.random.default_rng(leaf.size).normal(size=(2, *leaf.shape)) / 2,
        jax.eval_shape(network.init, KEY),
    )

    @jax.jit
    def run(key, params, inputs, labels):
        optimizer = optax.adam(0.03)
        return training.fit(
            key, network.apply, params, inputs, labels, optimizer=optimizer, steps=60, **options
        )

    mapped = jax.vmap(run)(keys, params, inputs, labels)
    for i in range(2):
        start = jax.tree.map(lambda leaf, i=i: leaf[i], params)
        alone = run(keys[i], start, inputs[i], labels[i])
        jax.tree.map(
            lambda many, one, i=i: np.testing.assert_allclose(many[i], one, rtol=1e-6, atol=1e-9),
            mapped,
            alone,
        )
    if "target_loss" in options:
        assert mapped.steps.min() < mapped.steps.max()  # one waits for the other
        assert ((mapped.loss <= 0.12) | (mapped.steps == 60)).all()


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_stops_at_the_target(dtype):
    inputs, labels = blobs(dtype=dtype)
    run = functools.partial(
        training.fit, KEY, affine, affine_params(3, 4, dtype), inputs, labels, steps=200
    )
    optimizer = optax.adam(0.02)
    free = run(optimizer=optimizer)
    target = float(free.history[50])
    got = run(optimizer=optimizer, target_loss=target)
    stop = int(jnp.argmax(free.history <= target))
    assert int(got.steps) == stop
    assert got.loss.dtype == got.history.dtype == dtype
    rtol = 1000 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(got.history[: stop + 1], free.history[: stop + 1], rtol=rtol)
    assert jnp.isnan(got.history[stop + 1 :]).all()
    np.testing.assert_allclose(got.loss, free.history[stop], rtol=rtol)
    missed = run(optimizer=optimizer, target_loss=0.0)
    assert int(missed.steps) == 200
    np.testing.assert_allclose(missed.history, free.history, rtol=rtol)


def test_minibatches():
    inputs, labels = blobs(num=50)
    run = functools.partial(
        training.fit,
        affine,
        affine_params(3, 4),
        inputs,
        labels,
        loss="cross_entropy",
        optimizer=optax.adam(0.05),
    )
    fit = lambda key, **options: training.fit(
        key, *run.args, **{**run.keywords, "batch_size": 8, **options}
    )
    train = jax.jit(lambda key: fit(key, steps=100))
    got = train(KEY)
    assert got.history.shape == (17,)  # six updates a pass: 100 = 16 × 6 + 4
    assert int(got.steps) == 100
    assert float(got.accuracy) == 1
    again = train(KEY)
    jax.tree.map(np.testing.assert_array_equal, got, again)
    assert float(train(jax.random.key(1)).loss) != float(got.loss)
    # Ends with a pass, whose mean loss is at most the target.
    early = fit(KEY, steps=100, target_loss=0.1)
    assert int(early.steps) % 6 == 0
    assert 0 < int(early.steps) < 100
    last = int(early.steps) // 6 - 1
    assert early.history[last] <= 0.1 < early.history[last - 1]
    # One batch of everything is the full batch in another order.
    whole = fit(KEY, steps=20, batch_size=50)
    full = fit(KEY, steps=20, batch_size=None)
    np.testing.assert_allclose(whole.history, full.history, rtol=1e-9)
    # Once a batch is no number, nothing is learned, and passes have no losses.
    inputs[7] = np.nan
    broken = fit(KEY, steps=24)
    assert not broken.finite
    assert int(broken.steps) < 6
    assert jnp.isnan(broken.history[1:]).all()


def test_every_example_is_seen_in_a_pass():
    # The gradient of this loss counts the visits of each example.
    inputs = np.eye(12)
    got = training.fit(
        KEY,
        lambda params, x: params * x,
        jnp.zeros(12),
        inputs,
        np.arange(12),
        loss=lambda logits, label: -logits.sum(),
        optimizer=optax.sgd(1.0),
        batch_size=3,
        steps=8,
    )
    np.testing.assert_allclose(got.params, 2 / 3)


def test_learns_digits():
    digits = data.digits(7)
    inputs, labels = digits.inputs[:600], digits.labels[:600]
    network = models.mlp((7, 7, 1), 10, widths=(32,))
    got = training.fit(
        KEY,
        network.apply,
        network.init(KEY),
        inputs,
        labels,
        loss="cross_entropy",
        optimizer=optax.adam(0.01),
        batch_size=100,
        steps=240,
    )
    assert float(got.accuracy) > 0.93


@pytest.mark.fast
def test_divergence_is_a_value():
    inputs, labels = blobs()
    run = functools.partial(training.fit, KEY, affine, affine_params(3, 4), steps=30)
    got = run(inputs, labels, optimizer=optax.sgd(1e30))
    assert not bool(got.finite)
    assert 0 < int(got.steps) < 30
    assert not bool(run(np.full_like(inputs, np.nan), labels).finite)
    # Traced labels out of range cannot raise.
    traced = jax.jit(run)(inputs, labels + 1)
    assert not bool(traced.finite)
    assert int(traced.steps) == 0
    # One bad network does not touch the other.
    rates = jnp.array([1e30, 1e-2])
    both = jax.vmap(lambda rate: run(inputs, labels, optimizer=optax.sgd(rate)))(rates)
    assert both.finite.tolist() == [False, True]
    alone = run(inputs, labels, optimizer=optax.sgd(1e-2))
    np.testing.assert_allclose(both.loss[1], alone.loss, rtol=1e-9)


def measured_run(key, params, steps, **options):
    inputs, labels = blobs(num=30)
    optimizer = optax.adam(0.02)
    return training.fit(
        key, affine, params, inputs, labels, optimizer=optimizer, steps=steps, **options
    )


@pytest.mark.parametrize("options", [{}, {"batch_size": 8}])
def test_measuring_on_the_way_equals_shorter_runs(options):
    moments = [0, 4, 11]  # within passes of three updates, and before the end
    start = affine_params(3, 4)
    measure = lambda params: (params["bias"], params["weight"].sum())
    run = lambda key, **more: measured_run(key, start, 15, **options, **more)
    got = run(KEY, measure=measure, moments=moments)
    compiled = jax.jit(lambda key: run(key, measure=measure, moments=moments))
    same = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    jax.tree.map(same, compiled(KEY), got)
    bare = run(KEY)
    assert bare.measured is None
    assert bare.moments is None
    jax.tree.map(same, got._replace(measured=None, moments=None), bare)

    np.testing.assert_array_equal(got.moments, moments)
    assert got.measured[0].shape == (3, 3)
    assert got.measured[1].shape == (3,)
    for i, steps in enumerate(moments):
        params = measured_run(KEY, start, steps, **options).params if steps else start
        for many, one in zip(got.measured, measure(params), strict=True):
            same(many[i], one)
    # Networks side by side measure what each would measure alone.
    keys = jnp.stack([KEY, jax.random.key(1)])
    both = jax.vmap(compiled)(keys)
    for i, key in enumerate(keys):
        alone = compiled(key).measured
        for many, one in zip(both.measured, alone, strict=True):
            same(many[i], one)


def test_moments_evenly_spaced_include_both_ends():
    run = functools.partial(measured_run, KEY, affine_params(3, 4), 10)
    got = run(measure=lambda params: params, moments=4)
    np.testing.assert_array_equal(got.moments, [0, 3, 7, 10])
    first, last = (jax.tree.map(lambda leaf, i=i: leaf[i], got.measured) for i in (0, -1))
    jax.tree.map(np.testing.assert_array_equal, first, affine_params(3, 4))
    jax.tree.map(np.testing.assert_array_equal, last, got.params)
    np.testing.assert_array_equal(run(measure=lambda params: 1.0).moments, [0, 10])


def test_moments_after_an_early_stop_are_those_of_the_last_parameters():
    measure = lambda params: params["bias"]
    run = lambda scale, **options: measured_run(
        KEY,
        jax.tree.map(lambda leaf: leaf + scale, affine_params(3, 4)),
        40,
        measure=measure,
        moments=np.arange(41),
        **options,
    )
    free = run(jnp.array(0.0))
    target = free.history[8]
    stop = int(jnp.argmax(free.history <= target))
    both = jax.vmap(functools.partial(run, target_loss=target))(jnp.array([0.0, 0.3]))
    assert both.steps[0] == stop
    assert both.steps[1] != both.steps[0]
    for i in range(2):
        np.testing.assert_array_equal(both.moments[i], np.minimum(np.arange(41), both.steps[i]))
        np.testing.assert_array_equal(both.measured[i, -1], both.params["bias"][i])
        np.testing.assert_array_equal(both.measured[i], both.measured[i][both.moments[i]])
    got, want = both.measured[0, : stop + 1], free.measured[: stop + 1]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_measured_values_are_differentiable():
    measure = lambda params: (params["weight"] ** 2).sum()
    value = lambda scale: (
        measured_run(
            KEY, jax.tree.map(lambda leaf: leaf + scale, affine_params(3, 4)), 5, measure=measure
        ).measured
    )
    forward, backward = jax.jit(lambda s: (jax.jacfwd(value)(s), jax.jacrev(value)(s)))(0.5)
    np.testing.assert_allclose(forward, backward, rtol=1e-9)
    np.testing.assert_allclose(forward[0], 12.0)  # of 12 weights of 0.5


def test_one_class_and_scalar_output():
    inputs = np.random.default_rng(0).normal(size=(5, 3))
    scalar = lambda params, x: params["weight"][0] @ x + params["bias"][0]
    got = training.fit(KEY, scalar, affine_params(1, 3), inputs, np.zeros(5, int), steps=2000)
    assert float(got.accuracy) == 1


def test_differentiable_and_lowers():
    inputs, labels = map(jnp.asarray, blobs())  # captured by what is jitted
    train = lambda params: training.fit(KEY, affine, params, inputs, labels, steps=3)
    start = affine_params(3, 4)
    gradient = jax.grad(lambda params: train(params).loss)(start)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    early = lambda params: training.fit(
        KEY, affine, params, inputs, labels, steps=9, batch_size=20, target_loss=0.1
    )
    for function in (train, early):
        jax.export.export(jax.jit(function), platforms=["tpu", "cuda"])(start)


GOOD = (KEY, affine, affine_params(3, 4), *blobs())


@pytest.mark.fast
@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({}, {"steps": 0}),
        ({}, {"batch_size": 0}),
        ({}, {"batch_size": 61}),
        ({}, {"loss": "hinge"}),
        *[
            ({}, {"moments": m})
            for m in (1, 4, [], np.zeros((1, 1), int), [1, 1], [2, 1], [-1], [3], np.ones(1))
        ],
        ({}, {"loss": lambda logits, label: logits}),
        ({3: np.ones((59, 4))}, {}),
        ({3: np.ones((0, 4)), 4: np.zeros(0, int)}, {}),
        ({4: np.full(60, 3)}, {}),
        ({4: np.full(60, -1)}, {}),
        ({1: lambda params, x: jnp.ones((2, 2))}, {}),
    ],
)
def test_misuse_raises(change, options):
    arguments = [change.get(i, value) for i, value in enumerate(GOOD)]
    with pytest.raises(ValueError, match="got"):
        training.fit(*arguments, **{"steps": 2, **options})


@pytest.mark.fast
def test_labels_must_be_integers():
    with pytest.raises(TypeError, match="integers"):
        training.fit(*GOOD[:4], np.zeros(60), steps=2)
