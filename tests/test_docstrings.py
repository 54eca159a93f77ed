"""The examples in docstrings run as they stand, and print what they say."""

import doctest
import importlib
import inspect

import jax
import pytest

import fracture


def examples():
    """Every public function and class with an example, by the name that users write."""
    found = {}
    for part in fracture._PARTS:
        module = importlib.import_module(f"fracture.{part}")
        for name in getattr(module, "__all__", ()):
            text = inspect.getdoc(getattr(module, name))
            if text is not None and ">>>" in text:
                found[f"{part}.{name}"] = text
    return found


EXAMPLES = examples()


def test_the_functions_that_are_used_most_have_an_example():
    most_used = {
        *("perturbation.minimal", "perturbation.solve", "perturbation.radius"),
        *("perturbation.robust_accuracy", "analysis.analyze", "optimal.nearest_neighbour"),
        *("compression.margin_compression", "theory.compression", "training.fit", "sweeps.run"),
        *("statistics.summarise", "data.mixed_hypercube"),
        *("certificates.certify", "certificates.margins", "certificates.certified_accuracy"),
    }
    assert most_used <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    parsed = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, 0)
    said = []
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        result = doctest.DocTestRunner(verbose=False).run(parsed, out=said.append)
    assert result.attempted > 0
    assert not result.failed, "".join(said)
