"""Convolutions whose derivatives are written out, so that reverse mode is fast."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

Bilinear: TypeAlias = Callable[[Array, Array, int], Array]
"""`convolution(x, kernel, stride)`, linear in the image and in the kernel."""


def with_derivatives(in_image: Bilinear, in_kernel: Bilinear) -> Callable[[Bilinear], Bilinear]:
    """Decorate a convolution with its derivatives in the image and in the kernel.

    Both are the convolution itself, written such that what reverse mode makes of them is fast.
    """

    def decorate(convolution: Bilinear) -> Bilinear:
        function = jax.custom_jvp(convolution, nondiff_argnums=(2,))

        def derivative(stride, primals, tangents):
            (x, kernel), (dx, dkernel) = primals, tangents
            value = function(x, kernel, stride)
            change = jnp.zeros_like(value)
            if not isinstance(dx, SymbolicZero):
                change = change + in_image(dx, kernel, stride)
            if not isinstance(dkernel, SymbolicZero):
                change = change + in_kernel(x, dkernel, stride)
            return value, change

        function.defjvp(derivative, symbolic_zeros=True)
        return function

    return decorate
