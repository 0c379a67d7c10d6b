"""Formulas as MathML, which browsers draw without a script, a font or a network.

docutils, a part of Sphinx, translates them from LaTeX. It does not know `\\tag`, so the number of an equation is taken
out first.
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

TAG = re.compile(r"\\tag\{([^{}]*)\}")
logger = getLogger(__name__)


def write_inline(writer: Any, node: Any) -> None:
    """Write a formula that stands in a line of text."""
    writer.body.append(mathml_of(node.astext(), node))
    raise nodes.SkipNode


def write_block(writer: Any, node: Any) -> None:
    """Write a formula that stands alone, with its number at the right."""
    tags = TAG.findall(node.astext())
    number = "".join(f'<span class="eqno">({writer.encode(tag)})</span>' for tag in tags)
    formula = mathml_of(TAG.sub("", node.astext()), node, as_block=True)
    writer.body.append(f'<div class="math" style="margin: 1em 0; overflow-x: auto">{number}{formula}</div>\n')
    raise nodes.SkipNode


def mathml_of(latex: str, node: Any = None, *, as_block: bool = False) -> str:
    """Return LaTeX as a `math` element; if docutils cannot read it, warn, and return an empty string."""
    try:
        return str(tex2mathml(latex, as_block=as_block))
    except MathError as error:
        logger.warning("this formula cannot be drawn: %s: %s", latex, error, location=node)
        return ""
