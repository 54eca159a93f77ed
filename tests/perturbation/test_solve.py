"""The batch front door: one compilation, chunks, devices, keys, and the check in float64."""

import functools
import os
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

from fracture import batching
from fracture.perturbation import (
    SOLVERS,
    affine,
    as_solver,
    ddn,
    fmn,
    margin,
    minimal,
    over_classes,
    over_radii,
    over_restarts,
    pgd,
    refine,
    solve,
    solver_name,
)
from fracture.perturbation._solve import _solve_one
from fracture.perturbation._verify import verify
from fracture.perturbation._widen import in_float64


def mlp(params, x):
    (w0, b0), (w1, b1) = params
    return w1 @ jax.nn.softplus(w0 @ x.ravel() + b0) + b1


def task(num=10, shape=(3, 2), classes=4, width=16, seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *size: jnp.asarray(rng.normal(size=size) / np.sqrt(size[-1]), jnp.float32)
    params = (draw(width, int(np.prod(shape))), draw(width)), (draw(classes, width), draw(classes))
    inputs = jnp.asarray(rng.uniform(0, 1, (num, *shape)), jnp.float32)
    return params, inputs, jax.vmap(lambda x: jnp.argmax(mlp(params, x)))(inputs)


def drawn(logits_fn, x, label, *, key, bounds=None, target=None):
    """A solver that starts somewhere random."""
    start = jax.random.normal(key, x.shape, x.dtype)
    return refine(logits_fn, x, label, start, bounds=bounds, target=target, steps=1)


def agree(got, want):
    """Equal but for rounding: a norm is known to within its bracket."""
    np.testing.assert_array_equal(got.found, want.found)
    np.testing.assert_array_equal(got.status, want.status)
    np.testing.assert_allclose(got.norm, want.norm, rtol=2 * np.max(want.gap[want.found]))


def reproduces(got, want):
    """What sweeps promise for other chunks and other numbers of devices."""
    np.testing.assert_array_equal(got.found, want.found)
    assert np.isclose(got.norm, want.norm, rtol=1e-5).mean() >= 0.99


@pytest.mark.fast
def test_compiles_once_and_maps_in_chunks():
    params, inputs, labels = task()
    solver = lambda *args, **options: affine(*args, num_classes=2, **options)
    run = functools.partial(solve, mlp, solver=solver, bounds=(-1.0, 2.0))
    first = run(params, inputs, labels)
    once = functools.partial(
        solve, mlp, solver=chex.assert_max_traces(solver, n=1), bounds=(-1.0, 2.0)
    )
    once(params, inputs, labels)
    again = once(jax.tree.map(lambda p: p * 2, params), inputs * 0.9, labels)
    assert (again.norm != first.norm).any()
    for batch_size in (1, 4, 99):
        agree(run(params, inputs, labels, batch_size=batch_size), first)


def test_partial_solvers_of_equal_parts_compile_once():
    params, inputs, labels = task()
    traces = []

    def solver(scale, *args, num_classes, **options):
        traces.append(scale)
        return affine(*args, num_classes=num_classes, **options)

    bound = lambda scale, **options: functools.partial(solver, scale, **options)
    run = lambda solver: solve(mlp, params, inputs, labels, solver=solver)
    first = run(bound(1, num_classes=2))
    again = run(functools.partial(bound(1), num_classes=2))
    np.testing.assert_array_equal(again.norm, first.norm)
    assert traces == [1]
    assert (run(bound(1, num_classes=1)).num_grads != first.num_grads).any()
    run(bound(2, num_classes=2))
    assert traces == [1, 1, 2]
    whole = bound(np.arange(2), num_classes=2)  # an array has no hash
    run(whole)
    run(whole)
    assert len(traces) == 4


@pytest.mark.fast
def test_partial_solvers_are_told_apart_by_the_types_of_their_parts():
    kinds = (1, 1.0, True, (1, 2), (1, 2.0))
    solvers = [as_solver(functools.partial(affine, num_classes=kind)) for kind in kinds]
    for solver, kind in zip(solvers, kinds, strict=True):
        assert repr(solver.keywords["num_classes"]) == repr(kind)
        assert as_solver(functools.partial(affine, num_classes=kind)) is solver


@pytest.mark.fast
def test_solvers_are_called_after_their_parts():
    bound = functools.partial(fmn, steps=7)
    names = {
        "minimal": "minimal",
        "pgd": "over_radii(pgd, 8)",
        over_classes(bound): "over_classes(fmn(steps=7), 9)",
        over_radii(over_restarts(pgd, 4), 2): "over_radii(over_restarts(pgd, 4), 2)",
        functools.partial(fmn, steps=7.0): "fmn(steps=7.0)",
        mlp: f"{mlp.__module__}.mlp",
    }
    for solver, name in names.items():
        assert solver_name(as_solver(solver)) == name
    assert over_radii(pgd) is over_radii(pgd, num=8) is SOLVERS["pgd"]
    assert over_classes(bound) is over_classes(functools.partial(fmn, steps=7), 9)
    rates = [functools.partial(pgd, optimizer=optax.adam(rate)) for rate in (0.1, 0.2)]
    assert len(set(map(solver_name, rates))) == 2
    arrays = (np.zeros(2000), np.eye(1, 2000, 1000)[0], jnp.zeros(2000, jnp.float32))
    assert len({solver_name(functools.partial(mlp, array)) for array in arrays}) == 3


@pytest.mark.fast
def test_targets_reach_their_class():
    params, inputs, labels = task()
    targets = (labels + 1) % 4
    got = solve(mlp, params, inputs, labels, targets=targets, solver=affine, batch_size=4)
    assert got.found.any()
    heights = jax.vmap(lambda x, y, t: margin(mlp(params, x), y, t))
    assert (heights(inputs + got.delta, labels, targets)[got.found] < 0).all()


@pytest.mark.fast
def test_an_empty_batch_has_an_empty_result():
    params, inputs, labels = task(num=1)
    got = solve(mlp, params, inputs[:0], labels[:0], targets=labels[:0], solver=ddn)
    full = solve(mlp, params, inputs, labels, solver=ddn, steps=2)
    for empty, leaf in zip(got, full, strict=True):
        assert empty.shape == (0, *leaf.shape[1:])
        assert empty.dtype == leaf.dtype
    checked = verify(mlp, params, inputs[:0], labels[:0], got)
    assert checked.norm.shape == (0,)


def test_draws_do_not_depend_on_chunks():
    params, inputs, labels = task()
    key = jax.random.key(3)
    want = jax.vmap(lambda i: jax.random.key_data(jax.random.fold_in(key, i)))(jnp.arange(10))

    def solver(*args, key, **options):
        return ddn(*args, steps=1, **options)._replace(status=jax.random.key_data(key))

    for batch_size in (None, 3):
        got = solve(mlp, params, inputs, labels, solver=solver, key=key, batch_size=batch_size)
        np.testing.assert_array_equal(got.status, want)
    a, b = (solve(mlp, params, inputs, labels, solver=drawn, key=jax.random.key(i)) for i in (0, 1))
    assert (a.norm != b.norm).any()


def test_chunks_get_smaller_until_the_program_fits(monkeypatch):
    params, inputs, labels = task(num=64)
    run = functools.partial(solve, mlp, params, inputs, labels, solver=affine)
    want = run()
    fixed = (_solve_one, (mlp, affine, ()), None)
    shared = (params, None, None)
    examples = (inputs, labels, None, jnp.arange(64, dtype=jnp.int32))
    size = lambda chunk: (
        batching._mapped.lower(*fixed, chunk if chunk < 64 else None, shared, examples)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
    )
    limit = (size(64) + size(4)) // 2
    monkeypatch.setattr(batching, "_memory", lambda device: limit / batching.SHARE)
    chunk = batching._fitting(fixed, 64, shared, examples, 64, jax.devices()[0])
    assert 1 <= chunk < 64
    assert size(chunk) <= limit
    agree(run(), want)
    monkeypatch.setattr(batching, "_memory", lambda device: 1)  # nothing fits
    agree(run(), want)


@pytest.mark.fast
def test_many_networks_in_one_call():
    _, inputs, _ = task(num=5)
    networks = [task(seed=seed)[0] for seed in range(6)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    label = lambda params: jax.vmap(lambda x: jnp.argmax(mlp(params, x)))(inputs)
    labels = jax.vmap(label)(stacked)
    run = functools.partial(solve, mlp, solver=affine, bounds=(-1.0, 2.0), batch_size=2)
    got = jax.jit(jax.vmap(lambda p, y: run(p, inputs, y)))(stacked, labels)
    assert got.delta.shape == (6, 5, 3, 2)
    for i, params in enumerate(networks):
        agree(jax.tree.map(lambda leaf, i=i: leaf[i], got), run(params, inputs, labels[i]))


def test_a_mesh_of_one_device_and_misuse():
    params, inputs, labels = task(num=5)
    run = functools.partial(solve, mlp, params, solver=affine)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("a", "b"))
    agree(run(inputs, labels, mesh=mesh, batch_size=2), run(inputs, labels))
    for wrong, error, message in [
        (lambda: run(inputs, labels[:3]), ValueError, "wanted inputs"),
        (lambda: run(inputs, labels[0]), ValueError, "wanted inputs"),
        (lambda: run(inputs[0, 0, 0], labels), ValueError, "wanted inputs"),
        (lambda: run(inputs, labels, targets=labels[:2]), ValueError, "wanted inputs"),
        (lambda: run(inputs, labels, batch_size=0), ValueError, "batch_size"),
        (lambda: run(inputs, labels, mesh="batch"), TypeError, "Mesh"),
        (lambda: run(inputs, labels, key=jax.random.key(0)), TypeError, "takes none"),
        (
            lambda: run(inputs, labels, num_classes=[]),
            TypeError,
            "option num_classes must be hashable",
        ),
        (lambda: run(inputs.astype(jnp.int32), labels), TypeError, "floating"),
        (lambda: run(inputs, labels.astype(jnp.float32)), TypeError, "labels must be integers"),
        (lambda: run(inputs[:, :0], labels), ValueError, "empty"),
    ]:
        with pytest.raises(error, match=message):
            wrong()


def test_eight_devices():
    """In another process, since the number of devices is fixed when JAX starts."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    path = os.pathsep.join(filter(None, sys.path))  # with this folder's neighbours
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, __file__], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def on_eight_devices():
    assert len(jax.devices()) == 8
    kinds = jax.sharding.AxisType
    params, inputs, labels = task(num=203)
    options = dict(effort="low", bounds=(-1.0, 2.0))
    run = functools.partial(solve, mlp, params, solver=minimal, **options)
    some = functools.partial(solve, mlp, params, inputs[:24], labels[:24], solver=drawn)
    want, random = run(inputs, labels), some(key=jax.random.key(0))
    for kind, count, batch_size in [(kinds.Auto, 203, None), (kinds.Explicit, 200, 7)]:
        mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind, kind))
        got = run(inputs[:count], labels[:count], mesh=mesh, batch_size=batch_size)
        reproduces(got, jax.tree.map(lambda leaf, n=count: leaf[:n], want))
        agree(some(key=jax.random.key(0), mesh=mesh), random)
    assert len(got.norm.sharding.device_set) == 8
    assert got.norm.addressable_shards[0].data.shape == (25,)
    for count in (3, 0):
        few = solve(mlp, params, inputs[:count], labels[:count], solver=affine, mesh=mesh)
        assert few.norm.shape == (count,)
    # Under a trace, and with a shard that is not full.
    want = solve(mlp, params, inputs[:21], labels[:21], solver=affine)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    one = lambda params: solve(mlp, params, inputs[:21], labels[:21], solver=affine, mesh=mesh)
    reproduces(jax.jit(one)(params), want)
    reproduces(jax.tree.map(lambda leaf: leaf[0], jax.jit(jax.vmap(one))(several)), want)

    spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(("a", "b")))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    index = jnp.arange(200, dtype=jnp.int32)
    examples = jax.device_put((inputs[:200], labels[:200], None, index), spec)
    shared = jax.device_put((params, (-1.0, 2.0), None), whole)
    fixed = (_solve_one, (mlp, minimal, (("effort", "low"),)), mesh)
    program = batching._mapped.lower(*fixed, 7, shared, examples).compile().as_text()
    for name in ("all-reduce", "all-gather", "all-to-all", "collective-", "reduce-scatter"):
        assert name not in program


@pytest.mark.fast
def test_verification_in_float64():
    problem = problems.affine(4, 2, True, np.float32)
    arguments = (problem.apply, problem.params, problem.inputs, problem.labels)
    got = solve(*arguments, solver=affine, bounds=problem.bounds)
    checked = verify(*arguments, got, bounds=problem.bounds)
    assert checked.confirmed.all()
    assert checked.norm.dtype == checked.margin.dtype == np.float64
    weight, bias = (np.asarray(p, float) for p in problem.params)
    logits = (problem.inputs + np.asarray(got.delta)).astype(float) @ weight.T + bias
    own = np.take_along_axis(logits, problem.labels[:, None], 1)[:, 0]
    np.put_along_axis(logits, problem.labels[:, None], -np.inf, 1)
    np.testing.assert_allclose(checked.margin, own - logits.max(1), rtol=1e-9, atol=1e-12)
    lengths = np.linalg.norm(np.asarray(got.delta, float), axis=1)
    np.testing.assert_allclose(checked.norm, lengths, rtol=1e-12)

    short = got._replace(delta=got.delta * 0.9)
    assert not verify(*arguments, short, bounds=problem.bounds).confirmed.any()
    long = got._replace(delta=got.delta * 1e6)
    assert not verify(*arguments, long, bounds=problem.bounds).confirmed.any()
    assert verify(*arguments, long).confirmed.sum() > 8
    nothing = got._replace(found=jnp.zeros_like(got.found))
    none = verify(*arguments, nothing)
    assert not none.confirmed.any()
    assert np.isinf(none.norm).all()
    targets = (problem.labels + 1) % 4
    aimed = solve(*arguments, solver=affine, targets=targets, ord=np.inf)
    checked = verify(*arguments, aimed, targets=targets, ord=np.inf)
    np.testing.assert_array_equal(checked.confirmed, aimed.found)
    np.testing.assert_allclose(checked.norm, aimed.norm, rtol=1e-6)
    for wrong, options, message in [
        (dict(delta=got.delta[:3]), {}, "shape of the inputs"),
        (dict(found=got.found[:1]), {}, "found must have shape"),
        ({}, dict(bounds=(1.0, 0.0)), "exceed"),
    ]:
        with pytest.raises(ValueError, match=message):
            verify(*arguments, got._replace(**wrong), **options)


def test_verification_does_not_depend_on_the_default_precision():
    problem = problems.affine(4, 2, False, np.float32)
    arguments = (problem.apply, problem.params, problem.inputs, problem.labels)
    with jax.enable_x64(False):
        got = solve(*arguments, solver=ddn)
        checked = verify(*arguments, got)
    assert checked.confirmed.all()
    assert checked.margin.dtype == np.float64
    assert len(np.unique(checked.margin)) == len(checked.margin)


if __name__ == "__main__":
    on_eight_devices()


def test_verification_widens_constants_and_takes_keys():
    blur = jax.random.uniform(jax.random.key(4), (3, 3, 1, 1), jnp.float32)
    dims = ("NHWC", "HWIO", "NHWC")

    def apply(params, x):
        smooth = jax.lax.conv_general_dilated(x[None], blur, (1, 1), "SAME", dimension_numbers=dims)
        noise = jax.random.uniform(params["key"], (3,), x.dtype)
        return params["weight"] @ smooth.ravel() + noise

    rng = np.random.default_rng(6)
    inputs = rng.normal(size=(6, 4, 4, 1)).astype(np.float32)
    weight = rng.normal(size=(3, 16)).astype(np.float32)
    params = {"weight": jnp.asarray(weight), "key": jax.random.key(1)}
    labels = np.arange(6) % 3
    nothing = affine(lambda z: jnp.sum(z) + 1, jnp.zeros((4, 4, 1), jnp.float32), 1)
    nothing = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (6, *leaf.shape)), nothing)
    got = verify(apply, params, inputs, labels, nothing)
    padded = np.pad(inputs.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))[..., 0]
    smooth = sum(
        float(blur[i, j, 0, 0]) * padded[:, i : i + 4, j : j + 4]
        for i in range(3)
        for j in range(3)
    )
    logits = smooth.reshape(6, -1) @ weight.astype(float).T
    logits += np.asarray(jax.random.uniform(params["key"], (3,), jnp.float32), float)
    others = np.where(np.arange(3) == labels[:, None], -np.inf, logits).max(1)
    want = logits[np.arange(6), labels] - others
    np.testing.assert_allclose(got.margin, want, rtol=1e-12, atol=1e-12)


def test_programs_are_widened_with_all_that_they_call():
    @jax.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))

    def network(weight, x):
        h = double(jax.nn.relu(weight @ x)) + jax.checkpoint(jnp.sin)(x)
        h = jax.lax.fori_loop(0, 3, lambda _, h: h + jnp.tanh(weight @ h), h)
        h = jax.lax.while_loop(lambda h: jnp.max(h) > 1, lambda h: h / 2, h)
        h, sums = jax.lax.scan(lambda h, w: (jnp.cos(h) * w, jnp.sum(h)), h, weight)
        h = jax.lax.cond(jnp.sum(h) > 0, jnp.exp, jnp.square, h)
        coarse = h.astype(jnp.bfloat16).astype(h.dtype)  # stays narrow
        return jax.nn.log_softmax(jnp.sort(h)) + jnp.cumsum(sums) + coarse - h.mean() / h.std()

    rng = np.random.default_rng(0)
    weight, x = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 5), 5))
    got = jax.jit(in_float64(network, weight, x))(weight, x)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, network(*map(np.float64, (weight, x))), rtol=1e-12)
