"""Sphinx configuration: nothing is fetched, and every example is run when the pages are built."""

import importlib.metadata
import os
import sys
from pathlib import Path

# This checkout, not an installed copy; the kernels that run the examples inherit the variable.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE / "results"), str(HERE.parent)]
# JAX spreads LAPACK calls over the cores; threads of their own would fight for them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# As in tests/conftest.py: the examples compile more than they compute, in half the time.
flags = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    flags += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags])
os.environ["MATPLOTLIBRC"] = str(HERE / "_static" / "matplotlibrc")

import fracture  # noqa: E402

project = "fracture"
author = "the fracture authors"
version = release = fracture.__version__
html_show_copyright = False

extensions = [
    "benchmark",  # in _ext: the stored run of the benchmark
    "claims",  # in _ext: a page for each claim with stored results, and the map of all
    "docstrings",  # in _ext: maths and commented fields in docstrings
    "mathml",  # in _ext: maths without a script from elsewhere
    "registry",  # in _ext: claims and quantities from where they are declared
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"fracture {release}"
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
templates_path: list[str] = []

autodoc_default_options = {"members": True, "member-order": "bysource", "no-value": True}
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # of classes, whose fields have a table; functions: docstrings.py
maximum_signature_line_length = 88  # longer ones have a line for each parameter
python_use_unqualified_type_names = True
default_role = "py:obj"
add_module_names = False
smartquotes_action = "D"  # dashes; the quotes inside types stay as they are
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False
napoleon_attr_annotations = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "remove"  # device chatter, which differs between machines
