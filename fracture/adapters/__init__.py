"""Networks of other frameworks as what the rest of fracture takes.

Each function returns an `Adapted`: `apply(params, x) -> logits[K]` for ONE input, in evaluation
mode, and `params`, a pytree of arrays that is traced rather than captured. A framework is imported
when its adapter is called; the user's object is never changed. Dtypes, devices, `jit` and `vmap`
stay yours.

`params["params"]` is what training changes; beside it stand batch statistics and the like. With
further training, `from_nnx(module).params` and its like are new parameters for the same `apply`:
nothing compiles again.
"""

from ._adapted import Adapted
from ._batched import from_batched
from ._equinox import from_equinox
from ._haiku import from_haiku
from ._keras import from_keras
from ._linen import from_linen
from ._nnx import from_nnx

__all__ = [
    "Adapted",
    "from_batched",
    "from_equinox",
    "from_haiku",
    "from_keras",
    "from_linen",
    "from_nnx",
]
