"""Maths as MathML, which browsers draw by themselves: pages need no script and no network."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def convert(latex: str, *, block: bool) -> str:
    """MathML for what docutils understands, after mending what it misreads."""
    latex = re.sub(r"\\([td]?frac)(\d)(\d)", r"\\\1{\2}{\3}", latex)  # 1/2, not "12" over "x"
    latex = latex.replace(r"\dots", r"\ldots").replace(r"\lVert", r"\|").replace(r"\rVert", r"\|")
    mathml = tex2mathml(latex, as_block=block)
    # A label under a brace belongs below it, not at its lower right corner.
    return re.sub(
        r"<msub>(\s*<munder>.*?⏟.*?</munder>.*?)</msub>",
        r"<munder>\1</munder>",
        mathml,
        flags=re.DOTALL,
    )


def visit(translator, node: nodes.Node) -> None:
    block = isinstance(node, nodes.math_block)
    try:
        mathml = convert(node.astext(), block=block)
    except MathError as error:
        logger.warning("maths %r: %s", node.astext(), error, location=node)
        mathml = f"<code>{translator.encode(node.astext())}</code>"
    translator.body.append(f'<div class="math">{mathml}</div>' if block else mathml)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit, None), block_renderers=(visit, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
