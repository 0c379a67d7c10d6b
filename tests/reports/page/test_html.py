"""A page loads no other file, and no text that the page shows is taken for HTML or for a script."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
import trimesh

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.reports.page.content import Chart, Charts, Facts, Gallery, Image, Page, Paragraph, Row, Section, Table, View
from lagem.reports.page.html import escaped, html_of
from lagem.reports.page.packed import PackedShape, packed

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=\"alert('2')\">\u202e\udcff&amp;"
# Attributes by which an element could load something.
LOADING = ("src", "href", "srcset", "action", "data", "poster", "background", "formaction", "xlink:href")


class Elements(HTMLParser):
    """Parses a page into its tags with their attributes, and the texts by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(text)


@pytest.fixture(scope="module")
def box() -> PackedShape:
    made = trimesh.creation.box((1, 2, 3))
    return packed(Mesh(made.vertices, made.faces), Frame.of(made.vertices), most_faces=100)


def page_of(text: str, box: PackedShape) -> Page:
    """Return a page with every kind of content, in which all texts are `text`."""
    views = [View(text, box, notes=[text]), View(text, None, notes=[text], reason=text), View(text, box, kind="input")]
    blocks = [
        Facts([(text, text)]),
        Paragraph(text),
        Table([[text], [text]]),
        Charts([Chart(text, {text: [(1, 1.0)]})]),
        Gallery(views),
        Row(text, views),
        Image(b"png", text),
    ]
    return Page(text, text, [Section(text, blocks)])


def test_no_text_becomes_an_element_or_a_script(box):
    plain, hostile = (Elements(html_of(page_of(text, box))) for text in ("t" * len(HOSTILE), HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in hostile.tags] == [
        sorted(attributes) for _, attributes in plain.tags
    ]
    assert hostile.texts["script"] == plain.texts["script"]


def test_an_interval_in_a_table_stands_below_its_value():
    page = Page("", "", [Section("", [Table([["F@0.02"], ["75.66 [66.53, 84.04]"], ["–"]])])])
    assert "<td>75.66<br>[66.53, 84.04]</td>" in html_of(page) and "<td>–</td>" in html_of(page)


def test_nothing_is_loaded(box):
    for tag, attributes in Elements(html_of(page_of("text", box))).tags:
        for name in LOADING:
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)


def test_the_policy_lets_exactly_the_scripts_and_the_style_of_the_package_run(box):
    page = html_of(page_of("text", box))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = {name: set(values) for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == {"'none'"} and rules["img-src"] == {"data:"}
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    assert len(scripts) == 2 and rules["script-src"] == set(hashes)
    assert rules["style-src"] == {f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"}


def test_a_page_without_shapes_has_no_scripts():
    page = html_of(Page("text", "text", [Section("text", [Paragraph("text")])]))
    assert "<script>" not in page and len(page) < 20_000 and "script-src 'none'" in page


def test_equal_pages_give_equal_text(box):
    assert html_of(page_of("text", box)) == html_of(page_of("text", box))


def test_a_page_can_be_encoded_whatever_a_file_is_called(box):
    html_of(page_of("".join(map(chr, [*range(0x250), 0x202E, 0xD800, 0xDFFF, 0x10FFFF])), box)).encode()


def test_the_middle_of_a_long_text_is_left_out():
    assert escaped("a" * 200 + "b" * 10_000 + "c" * 200) == "a" * 200 + " … " + "c" * 200


def test_the_licence_of_threejs_is_kept(box):
    page = html_of(page_of("text", box))
    assert (
        "three.js authors" in page and "The above copyright notice and this permission notice shall be included" in page
    )
