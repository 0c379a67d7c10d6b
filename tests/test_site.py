"""The site that `make docs` builds is complete, and its pages open from a disk without a network."""

import importlib
import importlib.util
import posixpath
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from lagem.cli import TRAINING_VERBS, tool_modules
from source_files import ROOT, module_files

SOURCES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "experiments")
INDEX = "docs/index.html"
BY_SPHINX = {"genindex.html", "search.html", "py-modindex.html"}
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """The links of a page, the files that it loads, the ids that it defines, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "p":
            self.text += " "
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if LOADING.get(tag) in given:
            self.loaded.append(given[LOADING[tag]])

    def handle_data(self, data: str) -> None:
        self.text += data


def target(page: str, link: str) -> str | None:
    """Return the file that a link of a page leads to, relative to the site; None if the link leads to another site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path))) if parts.path else page


def reached(pages: dict[str, Page], start: str) -> set[str]:
    """Return all pages that can be reached by links from the page `start`."""
    found, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        new = {target(page, link) for link in pages[page].links} & pages.keys() - found
        found |= new
        waiting += new
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build the site and return its folder. The sources are copied first, because building writes files among them."""
    source = tmp_path_factory.mktemp("site") / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("reference", "__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    output = source.with_name("output")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs/site", ".", str(output)]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return output


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_page_is_reached_from_the_index(pages):
    assert len(pages) > 50
    assert pages.keys() - BY_SPHINX - reached(pages, INDEX) == set()


def test_every_page_of_the_repository_is_on_the_site(pages):
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "notebook", ROOT / "experiments")
    sources = [path for folder in folders for path in folder.glob("*.md")]
    assert {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in sources} - pages.keys() == set()


def test_links_of_the_site_lead_to_its_files(site, pages):
    places = {(name, link): target(name, link) for name, page in pages.items() for link in page.links + page.loaded}
    assert [link for link, place in places.items() if place is not None and not (site / place).is_file()] == []


def test_pages_load_nothing_from_a_network(pages):
    assert {name: link for name, page in pages.items() for link in page.loaded if target(name, link) is None} == {}


def test_every_public_name_has_an_entry(pages):
    packages = [name for name, path in module_files() if "\n__all__ = " in path.read_text()]
    assert {"lagem", "lagem.models", "lagem.callbacks"} <= set(packages)
    missing = [
        f"{package}.{name}"
        for package in packages
        for name in importlib.import_module(package).__all__
        if f"{package}.{name}" not in pages[f"docs/reference/python/{package}.html"].ids
    ]
    assert missing == []


def test_every_verb_is_listed(pages):
    text = pages["docs/reference/commands.html"].text
    assert [verb for verb in (*tool_modules(), *TRAINING_VERBS) if f"lagem {verb}" not in text] == []


def test_options_have_entries_with_their_defaults(pages):
    page = pages["docs/reference/commands/generate.html"]
    assert "cmdoption-lagem-generate-count" in page.ids
    assert "Number of shapes of each category (default: 16)." in page.text


def test_keys_of_experiments_have_types_and_defaults(pages):
    text = " ".join(pages["docs/reference/yaml.html"].text.split())
    assert "width (int, default 512) Number of feature channels C of every attention block, a multiple of 64." in text
    assert "root (str, required) Folder that lagem prepare wrote" in text


def of_the_site(name: str) -> ModuleType:
    """Import a module from docs/site, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def docstrings() -> ModuleType:
    return of_the_site("docstrings")


@pytest.mark.parametrize(
    ("line", "marked_up"),
    [("|a| * b_ and c_d", r"\|a\| \* b\_ and c_d"), ("`a|b_*` and *", r"`a|b_*` and \*"), (r"a\b", r"a\\b")],
)
def test_only_backquotes_are_markup(docstrings, line, marked_up):
    assert docstrings.marked_up([line]) == [marked_up]


def test_fields_of_a_class_become_paragraphs(docstrings):
    lines = docstrings.marked_up(
        ["A mesh.", "", "vertices: (V, 3).", "up: Axis", "    up.", "", "More."], is_class=True
    )
    assert lines == ["A mesh.", "", "", "``vertices``: (V, 3).", "", "``up``: Axis", "up.", "", "More."]


def test_indented_lines_of_a_module_are_code(docstrings):
    lines = docstrings.marked_up(["Use:", "", "    a * b", "    c", "", "End * of it."], is_module=True)
    assert lines == ["Use:", "", ".. code-block:: python", "", "    a * b", "    c", "", r"End \* of it."]


def test_formulas_are_drawn_without_a_script(site):
    html = (site / "docs" / "concepts.html").read_text()
    assert r"\mathcal" not in html
    blocks = re.findall(r'<div class="math".*?</div>', html, flags=re.DOTALL)
    assert len(blocks) > 10 and all('<math xmlns="http://www.w3.org/1998/Math/MathML"' in block for block in blocks)
    assert '<span class="eqno">(6)</span>' in html


def test_an_unknown_formula_is_a_warning(caplog):
    assert of_the_site("formulas").mathml_of(r"\no_such_command") == ""
    assert r"\no_such_command" in caplog.text


def test_curves_of_runs_are_one_picture(tmp_path):
    for name in ("a", "b"):
        log = tmp_path / name / "logs" / "version_0" / "metrics.csv"
        log.parent.mkdir(parents=True)
        log.write_text(
            "step,train/loss,val/loss,val/fscore\n" + "".join(f"{n},{9 - n},{9.5 - n},{n}\n" for n in range(8))
        )
    picture = ElementTree.fromstring(
        of_the_site("curves").picture_of([tmp_path / "a", tmp_path / "b"], ["loss", "fscore", "not logged"])
    )
    charts = picture.findall("{*}svg")
    assert [len(chart.findall("{*}polyline")) for chart in charts] == [2, 1, 2, 1]
    assert len({(chart.get("x"), chart.get("y")) for chart in charts}) == 4
