"""Bounds of every kind of step hold at random points of the domain, in a network of each kind."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates import certify
from fracture.certificates._bounds import every_row, fixed, lowest, relax
from fracture.certificates._domain import Domain
from fracture.certificates._graph import read_network, values

INF = float("inf")
POINTS = 10_000
SHAPE = 3, 4
SIZE = 12


def matrix(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) / np.sqrt(shape[-1])


def constant(x, *shape, seed=0):
    """Weights of the dtype of `x`, that are the same numbers in float64 as in float32."""
    return jnp.asarray(matrix(*shape, seed=seed).astype(np.float32), x.dtype)


def dense(x):
    return jax.nn.relu(constant(x, 5, 12) @ x.ravel() + constant(x, 5, seed=1))


def image(x):
    return x.reshape(1, 3, 4, 1)


def convolution(x):
    kernel = constant(x, 2, 3, 1, 4)
    names = ("NHWC", "HWIO", "NHWC")
    strided = jax.lax.conv_general_dilated(
        image(x), kernel, (1, 2), ((1, 0), (1, 1)), dimension_numbers=names
    )
    grouped = constant(x, 2, 2, 2, 4, seed=1)
    return jax.lax.conv_general_dilated(
        jax.nn.relu(strided), grouped, (1, 1), "SAME", dimension_numbers=names,
        feature_group_count=2, rhs_dilation=(2, 1),
    )  # fmt: skip


def pooling(x):
    window = (1, 2, 2, 1), (1, 1, 1, 1)
    mean = jax.lax.reduce_window(image(x), 0.0, jax.lax.add, *window, "SAME")
    most = jax.lax.reduce_window(mean, -jnp.inf, jax.lax.max, *window, "VALID")
    return jnp.concatenate([mean.ravel(), most.ravel()])


def normalised(x, axes, centred=True):
    middle = x.mean(axes, keepdims=True) if centred else 0 * x
    spread = jnp.square(x - middle).mean(axes, keepdims=True)
    return (x - middle) * jax.lax.rsqrt(spread + 1e-2) * constant(x, *SHAPE) + 0.1


def batch_norm(x):
    mean, scale = constant(x, 4), jnp.abs(constant(x, 4, seed=1)) + 0.5
    shifted = (x - mean[None]) * jax.lax.rsqrt(scale)[None]
    return jax.nn.elu(shifted * scale[None] + 0.3)


def heads(x, *shape, seed):
    return (x @ constant(x, 4, 4, seed=seed)).reshape(*shape)


def attention(x):
    query, key, value = (heads(x, 3, 2, 2, seed=seed) for seed in range(3))
    scores = jnp.einsum("ihd,jhd->hij", query, key)
    mixed = jnp.einsum("hij,jhd->ihd", jax.nn.softmax(scores), value).reshape(3, 4)
    return x + mixed @ constant(x, 4, 4, seed=3)


def soft(x):
    """With something in common taken off, and with something that is not."""
    apart = x[:2, :1] - x[2:]  # of another shape than what is exponentiated
    return jnp.concatenate([jax.nn.softmax(x[:2], axis=0), normal(jnp.exp(apart))])


def normal(powers):
    return powers / powers.sum(0, keepdims=True)


def divided_by_others(x):
    """Not a softmax, however like one it looks."""
    powers = jnp.exp(x[:, :3])
    return powers / powers.sum(0)[:, None]


def recurrent(x):
    inner, outer = constant(x, 4, 4), constant(x, 4, 4, seed=1)

    def step(carry, row):
        carry = jnp.tanh(inner @ carry + outer @ row)
        return carry, 2 * carry

    last, rows = jax.lax.scan(step, jnp.zeros(4, x.dtype), x, reverse=True)
    return jnp.concatenate([last[None], rows])


def moved(x):
    """Whatever only moves entries."""
    picked = jnp.take(jnp.pad(x, ((1, 0), (0, 2))), np.array([2, 0]), axis=1)
    sliced = jax.lax.dynamic_slice(x, (1, 2), (2, 2))
    first, *others = jnp.split(jnp.flip(x, 1), 2, axis=1)
    return jnp.concatenate(
        [
            picked.ravel(),
            jnp.abs(sliced).ravel(),
            jnp.stack([first, *others]).T.ravel(),
            jnp.roll(x, 1, axis=0)[::2].ravel(),
            x.at[0, 1:3].get(mode="promise_in_bounds"),
        ]
    )


def scattered(x):
    """Entries that are set, and that others are added to, taken from or multiplied with."""
    rows = np.array([2, 0, 2, 5])  # one is out of range
    flat = x.ravel()
    return jnp.concatenate(
        [
            x.at[1, :2].set(0.5).at[:, 3].set(x[:, 0]).ravel(),
            flat.at[rows].add(jnp.tanh(flat[:4])).at[rows].subtract(2 * flat[3:7])[:6],
            jnp.zeros((4, 4), x.dtype).at[rows[:3]].add(x).ravel(),
            jnp.tanh(x).at[rows].multiply(constant(x, 4, 4), mode="drop").ravel(),
            jax.lax.dynamic_update_slice(flat, jnp.sin(flat[:3]), (4,)),
            jax.ops.segment_sum(x, np.array([0, 1, 0]), 2).ravel(),
        ]
    )


def reduced(x):
    """Sums and greatest values, several in one network."""
    return jnp.concatenate(
        [
            jnp.cumsum(x, axis=1).ravel(),
            jnp.max(x, axis=0),
            jnp.min(x[:2], axis=0),
            x.mean(1),
        ]
    )


def chosen(x):
    """Greatest and least of two values, and cases."""
    first, second, third = x
    limits = jnp.clip(first, second - 1, second + 1)
    mask = jnp.asarray([True, False, True, False])
    cases = jnp.where(mask, first, 2 * second)
    ramp = third * (third > 0.1).astype(x.dtype) + (third < 0.2).astype(x.dtype)
    ends = jnp.maximum(first, second), jnp.minimum(second, third)
    return jnp.concatenate([*ends, limits, cases, ramp])


def products(x):
    gated = jax.nn.glu(x)
    return jnp.concatenate([gated.ravel(), (x[:, :2] @ gated.T @ gated).ravel()])


def stopped(x):
    """The gradient is not what is bounded."""
    return jax.lax.stop_gradient(x) + jnp.tanh(jax.lax.stop_gradient(2 * x) - x)


KINDS = {
    "dense": dense,
    "convolution": convolution,
    "pooling": pooling,
    "batch_norm": batch_norm,
    "layer_norm": lambda x: normalised(x, -1),
    "rms_norm": lambda x: normalised(x, -1, centred=False),
    "softmax": soft,
    "log_softmax": lambda x: jax.nn.log_softmax(x[:, :2]),
    "logsumexp": lambda x: jax.nn.logsumexp(x[:2], axis=0),
    "attention": attention,
    "divided_by_others": divided_by_others,
    "residual": lambda x: x + jax.nn.silu(x @ constant(x, 4, 4)) @ constant(x, 4, 4, seed=1),
    "recurrent": recurrent,
    "moved": moved,
    "reduced": reduced,
    "chosen": chosen,
    "products": products,
    "stopped": stopped,
    "scattered": scattered,
}
# In l2, in l∞, and in a box that cuts the ball.
PLACES = {"ball": (2, 0.5, None), "cube": (INF, 0.2, None), "cut": (2, 0.8, (0.2, 0.3))}
CASES = list(zip(KINDS, itertools.cycle(PLACES), strict=False))


def bounded(function, x, ord, radius, room):
    """What is known of the steps, and bounds of the outputs."""
    known = fixed(read_network(function, x), x)
    domain = Domain(x, jnp.asarray(radius, x.dtype), ord, room)
    relaxed, _ = relax(known, domain)
    rows = every_row(known.nodes, relaxed, len(known.nodes) - 1, x)
    low, high = jax.vmap(jax.vmap(lambda row: lowest(domain, row)))(rows)
    pieces = relaxed.pieces.items()
    inputs = {at: (each.points[0], each.points[-1]) for at, each in pieces}
    outputs = {at: (each.low, each.high) for at, each in pieces}
    return inputs, outputs, relaxed.lines, relaxed.balls, relaxed.products, (low, -high)


def random_points(rng, x, ord, radius, room):
    """Of the domain, half of them on the border of the ball."""
    steps = rng.normal(size=(POINTS, x.size))
    steps /= np.linalg.norm(steps, ord, axis=1, keepdims=True)
    lengths = np.where(np.arange(POINTS) % 2, 1, rng.uniform(size=POINTS) ** (1 / x.size))
    # In float64, but not past what is a radius in float32.
    steps *= radius * lengths[:, None] * (1 - 1e-15)
    if room is not None:
        steps = np.clip(steps, *(np.asarray(end, float) for end in room))
    return np.asarray(x, float) + steps


@pytest.mark.parametrize(("kind", "place"), CASES)
def test_no_point_leaves_the_bounds(kind, place):
    """Bounds in float32 of the steps, their values in float64."""
    function, (ord, radius, sides) = KINDS[kind], PLACES[place]
    rng = np.random.default_rng(len(kind))
    x = jnp.asarray(rng.normal(size=SIZE), jnp.float32)
    radius = np.float32(radius)
    room = None
    if sides is not None:
        room = jnp.full_like(x, -sides[0]), jnp.full_like(x, sides[1])
    flat = lambda x: function(x.reshape(SHAPE))
    run = jax.jit(lambda x, room: bounded(flat, x, ord, radius, room))
    known = jax.tree.map(lambda v: np.asarray(v, float), run(x, room))
    inputs, values_of, lines, balls, products, (low, high) = known
    points = random_points(rng, x, ord, radius, room)
    nodes = read_network(flat, jnp.asarray(x, float))
    both = jax.jit(jax.vmap(lambda x: (values(nodes, x), flat(x))))(points)
    found, outputs = jax.tree.map(np.asarray, both)
    np.testing.assert_allclose(found[-1], outputs, rtol=1e-9, atol=1e-12)

    def inside(low, value, high):
        own = 1e-13 * (1 + np.abs(value))  # of float64
        return (low - own <= value).all() and (value <= high + own).all()

    for at, line in lines.items():
        (parent,) = nodes[at].parents
        z, y = found[parent], found[at]
        assert inside(inputs[at][0], z, inputs[at][1])
        assert inside(values_of[at][0], y, values_of[at][1])
        assert inside(line.low_slope * z + line.low, y, line.high_slope * z + line.high)
        apart = (z - balls[at].center).reshape(POINTS, -1)
        assert (np.linalg.norm(apart, axis=1) <= balls[at].radius).all()
    for at, (*middles, wide, wider) in products.items():
        for parent, middle, width in zip(nodes[at].parents, middles, (wide, wider), strict=True):
            assert inside(middle - width, found[parent], middle + width)
    last = found[-1].reshape(POINTS, -1)
    assert inside(low, last, high)
    # And they are of use.
    assert (high - low <= 10 * (last.max(axis=0) - last.min(axis=0)) + 1e-4).all()


def test_a_convolution_of_two_values_is_no_affine_step():
    convolve = lambda x: jax.lax.conv(x[None, None], jnp.tanh(x)[None, None], (1, 1), "VALID")
    assert read_network(convolve, jnp.zeros((2, 2)))[-1].kind == "product"


ONE = np.float32(1)


def key_of(x):
    """A key that depends on the input."""
    return jax.random.wrap_key_data(jax.lax.bitcast_convert_type(x[:2], jnp.uint32))


UNKNOWN = {
    "sort": jnp.sort,
    "top_k": lambda x: jax.lax.top_k(x, 2)[0],
    "argmax": lambda x: jax.nn.one_hot(jnp.argmax(x), 3),
    "while": lambda x: jax.lax.while_loop(lambda v: v.sum() < 3, lambda v: 2 * v, x),
    "cond": lambda x: jax.lax.cond(x.sum() < 3, lambda v: 2 * v, lambda v: v, x),
    "fft": lambda x: jnp.abs(jnp.fft.rfft(x)),
    "complex": lambda x: jnp.abs(jax.lax.complex(x, x)),
    "select_n": lambda x: jnp.where(x.sum() > 0, x, -x),
    "pow": lambda x: x**x,
    "erf_inv": jax.scipy.special.erfinv,
    "cumprod": jnp.cumprod,
    "scatter-mul": lambda x: jnp.ones_like(x).at[np.array([0, 0, 1])].multiply(x),
    "scatter-max": lambda x: x.at[0].max(0.0),
    "scatter.*of values": lambda x: x.at[0].apply(jnp.tanh),
    "scatter": lambda x: x.at[(x[0] > 0).astype(jnp.int32)].set(0.0),
    "reduce_window": lambda x: jax.lax.reduce_window(x, ONE, jax.lax.mul, (2,), (1,), "VALID"),
    "bitcast_convert_type": lambda x: x * jax.random.uniform(key_of(x), dtype=x.dtype),
    # What stands for a value that is none need not be part of the outputs.
    "'ne'": lambda x: jnp.where(jnp.isnan(jnp.log(x)), -1.0, 1.0),
    "'ne'.*": lambda x: jnp.where(jnp.isnan(jnp.sqrt(x)[::-1]), -1.0, 1.0),
    "is_finite": lambda x: jnp.where(jnp.isfinite(jnp.sqrt(x)), x, -1.0),
    "float32 to int32": lambda x: x.astype(jnp.int32).astype(x.dtype),
    "float32 to complex64": lambda x: jnp.real(x.astype(jnp.complex64)),
    "float32 to bfloat16": lambda x: x.astype(jnp.bfloat16).astype(x.dtype),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_bounds_is_told_with_its_place(name):
    """However deep it stands in the network."""
    layer = jax.jit(UNKNOWN[name])
    with pytest.raises(NotImplementedError, match=rf"no bounds for .*{name}.*of test_kinds\.py"):
        certify(lambda x: jnp.tanh(layer(2 * x)), jnp.ones(3, jnp.float32), 0)


@pytest.mark.parametrize(
    "inner", [lambda x: x / 2, jax.nn.softplus, jnp.square, jax.nn.silu, lambda x: x @ x * x]
)
def test_what_is_always_a_number_may_be_asked_whether_it_is(inner):
    """As softplus asks."""
    nodes = read_network(lambda x: jax.nn.softplus(inner(x)), jnp.ones(3, jnp.float32))
    assert nodes[-1].shape == (3,)
