"""A page as one HTML file. It opens from the disk and loads nothing: scripts, style, pictures and shapes are inside.

Texts may come from files of strangers, so all texts are escaped. A content security policy allows the browser to run
only the scripts of this package, and to load nothing.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib import resources

from lagem import __version__
from lagem.reports.page.chart import svg_of
from lagem.reports.page.content import Block, Charts, Facts, Gallery, Image, Page, Paragraph, Row, Table, View
from lagem.reports.page.packed import PackedShape
from lagem.storage.names import printable

LONGEST, LONGEST_PARAGRAPH = 400, 6_000  # maximum numbers of characters of a text and of a paragraph
HINT = (
    "To turn a shape, drag it, or click it and use the arrow keys. To zoom, click it and use + and − or the wheel. "
    "A double click resets the view."
)
INTERVAL = re.compile(r"(?<=\d) (?=\[[^\]]*\]$)")  # the space between a value and its interval, which goes below it
FEW = 4  # a gallery of at most this number of views shows them large
LONG_FACT = 80  # a value with more characters fills a whole line
CREDITS = " Shapes are drawn by three.js.<details><summary>Its licence</summary><p>{licence}</p></details>"
DOCUMENT = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; base-uri 'none'; \
form-action 'none'; style-src {style_hash}; script-src {script_hashes}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
<p class="notice">This browser draws nothing in 3D, since WebGL is switched off; tables and curves are complete.</p>
<noscript><p>Without JavaScript, the shapes are not drawn; tables and curves are complete.</p></noscript>
{body}
<footer>Made by lagem {version}.{credits}</footer>
<script type="application/json" id="shapes">{shapes}</script>
{scripts}
</body>
</html>
"""


def html_of(page: Page) -> str:
    """Return the HTML of a page. Two equal pages give the same text."""
    shapes: list[PackedShape] = []
    sections = []
    for section in page.sections:
        blocks = "\n".join(_block(block, shapes) for block in section.blocks)
        sections.append(f"<section>\n<h2>{escaped(section.title)}</h2>\n{blocks}\n</section>")
    if shapes:
        sections.insert(0, f'<p class="hint">{HINT}</p>')
    scripts = [_file("three.min.js"), _file("viewer.js")] if shapes else []
    style = _file("page.css")
    return DOCUMENT.format(
        title=escaped(page.title),
        about=escaped(page.about),
        style=style,
        style_hash=_hash(style),
        script_hashes=" ".join(map(_hash, scripts)) or "'none'",
        body="\n".join(sections),
        version=__version__,
        credits=CREDITS.format(licence=escaped(_file("three.LICENSE.txt"), LONGEST_PARAGRAPH)) if shapes else "",
        shapes=_json([shape.entries for shape in shapes]),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def escaped(text: str, longest: int = LONGEST) -> str:
    """Return a text that is safe in HTML, inside an element or a quoted attribute.

    The middle of a long text is left out. Characters that cannot be printed are shown as escapes such as \\u202e. Among
    them are characters that reverse the direction of writing, and bytes of a file name that is not in UTF-8.
    """
    return html.escape(printable(text, longest))


def _block(block: Block, shapes: list[PackedShape]) -> str:
    """Return the HTML of a block, and append the shapes of the block to `shapes`."""
    match block:
        case Facts(entries):
            pairs = "".join(_fact(name, value) for name, value in entries)
            return f'<dl class="facts">{pairs}</dl>'
        case Paragraph(text):
            return f"<p>{escaped(' '.join(text.split()), LONGEST_PARAGRAPH)}</p>"
        case Table(rows):
            return _table(rows)
        case Charts(charts):
            return f'<div class="charts">{"".join(svg_of(chart, escaped) for chart in charts)}</div>'
        case Gallery(views):
            box = '<label><input type="checkbox"> turn all together</label>' if len(views) > 1 else ""
            few = ' class="few"' if len(views) <= FEW else ""
            return f"<div{few} data-together>{box}{_views(views, shapes)}</div>"
        case Row(title, views):
            return f'<div class="row" data-together><h3>{escaped(title)}</h3>{_views(views, shapes)}</div>'
        case Image(png, text):
            data = base64.b64encode(png).decode("ascii")
            return f'<figure><img src="data:image/png;base64,{data}" alt="{escaped(text)}"></figure>'


def _fact(name: str, value: str) -> str:
    wide = ' class="wide"' if len(value) > LONG_FACT else ""
    return f"<div{wide}><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    titles = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    cells = ([INTERVAL.sub("<br>", escaped(cell)) for cell in row] for row in others)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in cells)
    return f'<div class="table"><table><thead><tr>{titles}</tr></thead>\n<tbody>{lines}</tbody></table></div>'


def _views(views: Sequence[View], shapes: list[PackedShape]) -> str:
    figures = []
    for view in views:
        if view.shape is None:
            drawn = f'<div class="empty">{escaped(view.reason)}</div>'
        else:
            drawn = (
                f'<canvas data-shape="{len(shapes)}" data-kind="{view.kind}" tabindex="0" role="img" '
                f'aria-label="{escaped(view.title)}, a shape that can be turned"></canvas>'
            )
            shapes.append(view.shape)
        size = "" if view.shape is None else view.shape.size
        notes = "".join(f"<small>{escaped(note)}</small>" for note in (*view.notes, size) if note)
        figures.append(f"<figure>{drawn}<figcaption>{escaped(view.title)}{notes}</figcaption></figure>\n")
    return f'<div class="views">{"".join(figures)}</div>'


def _json(value: object) -> str:
    """Return a value as JSON for a script element; "<" is escaped, so that no text can end the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the expression by which a content security policy allows an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _file(name: str) -> str:
    return (resources.files("lagem.reports.page") / "viewer" / name).read_text(encoding="utf-8")
