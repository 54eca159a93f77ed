"""Strict JAX for every test: 64-bit allowed, no silent rank or dtype promotion."""

import os

# Independent batched LAPACK calls of one program can wait for each other forever on jaxlib 0.10's
# CPU thread pool; without the pool they run one after the other. Set before JAX is imported.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
