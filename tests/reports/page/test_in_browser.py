"""A page in headless Chromium: shapes are drawn and turn, the console stays empty, and no other file is loaded."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.reports.page.content import Chart, Charts, Facts, Gallery, Page, Row, Section, Table, View
from lagem.reports.page.html import html_of
from lagem.reports.page.packed import PackedShape, packed

ATTACK = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"
WIDTHS = (60, 120, 320, 768, 1600)


def box(height: float) -> PackedShape:
    made = trimesh.creation.box((1, 1.5, height))
    return packed(Mesh(made.vertices, made.faces), Frame.of(made.vertices), most_faces=100)


def cloud() -> PackedShape:
    points = np.random.default_rng(0).normal(size=(500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return packed(points, Frame.of(points), most_faces=1_000)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Write a page and return its path.

    A row shows an input, two results and a result without a shape. Further down, a gallery shows twelve shapes.
    """
    views = [
        View("input", cloud(), kind="input"),
        View("Z3", box(1)),
        View("all levels", box(2)),
        View("none", None, [ATTACK], ATTACK),
    ]
    table = [["", *["Chamfer ×100"] * 8], ["mean over shapes " + ATTACK, *["8.80 [5.03, 15.38]"] * 8]]
    chart = Chart("loss", {"train": [(step, 1 / step) for step in range(1, 99)], "val": [(50, 0.1)]})
    first = Section("Shapes", [Facts([("id", ATTACK)]), Charts([chart] * 3), Table(table), Row(ATTACK, views)])
    last = Section("Gallery", [Gallery([View(f"{number}", box(1 + number / 20)) for number in range(12)])])
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html_of(Page("A page", ATTACK, [first, last])))
    return path


def colours(picture: np.ndarray) -> int:
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def canvas(number: int) -> str:
    return f"canvas[data-shape='{number}']"


@pytest.mark.parametrize("dark", [False, True])
def test_every_shape_in_view_is_drawn_the_console_stays_empty_and_nothing_is_asked_for(browser, page, dark):
    browser.open(page, height=1100, dark=dark)
    for number in range(3):
        assert colours(browser.picture(canvas(number))) > 3
    assert browser.messages == [] and browser.requests == [page.as_uri()]
    background = browser.picture()[0, 0]
    assert (background < 64).all() if dark else (background > 192).all()


def test_a_shape_turns_when_it_is_dragged_and_those_of_its_row_turn_with_it(browser, page):
    browser.open(page, height=1100)
    before = [browser.picture(canvas(number)) for number in range(4)]
    browser.drag(canvas(1), by=(70, 20))
    after = [browser.picture(canvas(number)) for number in range(4)]
    changed = [float((one != other).any(axis=2).mean()) for one, other in zip(before, after, strict=True)]
    assert min(changed[:3]) > 0.05 and changed[3] == 0
    assert browser.messages == [] and browser.requests == [page.as_uri()]


def test_shapes_of_a_gallery_turn_together_only_if_the_box_is_ticked(browser, page):
    browser.open(page, height=1100)
    browser.run(f"document.querySelector({canvas(3)!r}).scrollIntoView()")
    browser.settle()
    before = browser.picture(canvas(4))
    browser.drag(canvas(3), by=(50, 0))
    assert (browser.picture(canvas(4)) == before).all()
    browser.run("document.querySelector('input').click()")
    browser.drag(canvas(3), by=(50, 0))
    assert (browser.picture(canvas(4)) != before).any()


def test_the_keyboard_turns_zooms_and_a_double_click_resets(browser, page):
    browser.open(page, height=1100)
    selector = canvas(1)
    start = browser.picture(selector)
    browser.run(f"document.querySelector({selector!r}).focus({{focusVisible: false}})")
    pictures = [start]
    for key in ("ArrowLeft", "ArrowUp", "+"):
        browser.press(key)
        pictures.append(browser.picture(selector))
        assert (pictures[-1] != pictures[-2]).any(), key
    browser.run(f"document.querySelector({selector!r}).dispatchEvent(new MouseEvent('dblclick'))")
    browser.run(f"document.querySelector({selector!r}).blur()")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert (browser.picture(selector) == start).mean() > 0.999


def test_texts_of_files_do_not_run(browser, page):
    browser.open(page)
    assert browser.run("window.attacked") is None
    assert browser.run("document.querySelectorAll('script').length") == 3


def test_the_policy_stops_a_script_that_gets_into_the_page(browser, page, tmp_path):
    attacked = tmp_path / "attacked.html"
    attacked.write_text(
        page.read_text().replace("<h1>", "<script>window.attacked = true</script><img src='x.png'><h1>")
    )
    browser.open(attacked)
    assert browser.run("window.attacked") is None
    browser.wait_for(lambda: len(browser.messages) == 2)  # one for the script, one for the picture
    assert all("The action has been blocked." in message for message in browser.messages)


def test_shapes_far_below_are_not_drawn_before_they_come_into_view(browser, page):
    browser.open(page, width=320, height=600)
    last = f"document.querySelector({canvas(14)!r})"
    assert browser.run(f"{last}.dataset.drawn ?? null") is None
    browser.run(f"{last}.scrollIntoView()")
    browser.settle()
    assert colours(browser.picture(canvas(14))) > 3


def test_nothing_is_wider_than_the_window(browser, page):
    browser.open(page)
    for width in WIDTHS:
        browser.size(width, 900)
        browser.settle()
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_a_printed_page_has_every_shape(browser, page):
    browser.open(page)
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    drawn = browser.run("[...document.querySelectorAll('canvas')].filter(canvas => canvas.dataset.drawn).length")
    assert drawn == 15 and browser.messages == []


def test_without_webgl_the_page_says_so_and_keeps_the_rest(browser, page, tmp_path):
    """A script replaces `getContext`, so that a canvas gives no WebGL context, as in a browser without WebGL."""
    script = (
        "const canvas = HTMLCanvasElement.prototype, get = canvas.getContext;"
        "canvas.getContext = function (kind, ...more) { return kind === '2d' ? get.call(this, kind, ...more) : null; };"
    )
    number = browser.ask("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    try:
        browser.ask("Page.navigate", url=page.as_uri())
        browser.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")
        assert browser.run("getComputedStyle(document.querySelector('.notice')).display") == "block"
        assert browser.run("document.querySelectorAll('svg').length") == 3
    finally:
        browser.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=number)
