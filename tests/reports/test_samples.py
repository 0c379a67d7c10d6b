"""The report of samples shows them as a grid, each with its category, its index, its seed and what it is nearest to."""

import csv
import json
import shutil

import pytest

import small_cascade
from lagem.cli import main
from lagem.evaluation import neighbours
from lagem.evaluation.generation import shapes as judged_shapes
from lagem.generation.bundle import write_bundle
from lagem.reports.page.content import Gallery, View
from lagem.reports.reconstructions import ShapeSettings
from lagem.reports.samples import samples_sections

SETTINGS = ShapeSettings(resolution=16)
COUNT = 16
# The number of figures that stand next to each other, for each row of the grid.
ROWS = """(() => {
  const rows = {};
  for (const figure of document.querySelectorAll('.views figure')) {
    const top = Math.round(figure.getBoundingClientRect().top);
    rows[top] = (rows[top] || 0) + 1;
  }
  return Object.values(rows);
})()"""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Return a folder of 16 samples, which are copies of three, and of their evaluation with novelty."""
    made = tmp_path_factory.mktemp("many")
    autoencoder, *stages = small_cascade.write_cascade(made)
    bundle, folder = write_bundle(autoencoder, stages, made / "cascade"), made / "samples"
    main(["generate", str(bundle), "--category", "chair", "--count", "3", "--steps", "1", "--resolution", "16",
          "--output", str(folder)])  # fmt: skip
    with (folder / "samples.csv").open(newline="") as file:
        made = list(csv.DictReader(file))
    copies = [{**made[index % 3], "index": str(index), "seed": str(10**18 + index)} for index in range(COUNT)]
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, made[0])
        writer.writeheader()
        writer.writerows(copies)
    with pytest.MonkeyPatch.context() as patch:
        for module in (judged_shapes, neighbours):
            patch.setattr(module, "COMPARED_POINTS", 200)
        main(["evaluate-generation", str(folder), "procedural:8+16", "--train", "procedural:8+0", "--points", "30",
              "--output", str(folder)])  # fmt: skip
    return folder


def views_of(folder) -> list[View]:
    (section,) = samples_sections(folder, SETTINGS)
    (gallery,) = [block for block in section.blocks if isinstance(block, Gallery)]
    return list(gallery.views)


def test_each_sample_has_its_category_index_seed_and_nearest_training_shape(samples):
    shapes = json.loads((samples / "generation.json").read_text())["shapes"]
    nearest = {each["id"]: (each["nearest_train"], each["nearest_train_distance"]) for each in shapes}
    for index, view in enumerate(views_of(samples)):
        id, distance = nearest[f"{index:04d}"]
        assert view.title == f"chair {index:04d}"
        assert list(view.notes) == [f"seed {10**18 + index}", f"nearest training shape {id}, distance {distance:.4f}"]


@pytest.mark.parametrize("change", ["no card", "a card without a digest", "no novelty"])
def test_no_nearest_training_shape_is_shown_that_is_not_known(change, samples, tmp_path):
    folder = shutil.copytree(samples, tmp_path / "samples")
    card = json.loads((folder / "generation.json").read_text())
    if change == "a card without a digest":
        del card["about"]["samples' sha256"]
    elif change == "no novelty":
        for shape in card["shapes"]:
            shape["nearest_train"] = shape["nearest_train_distance"] = None
    (folder / "generation.json").write_text(json.dumps(card))
    if change == "no card":
        (folder / "generation.json").unlink()
    assert [list(view.notes) for view in views_of(folder)] == [[f"seed {10**18 + index}"] for index in range(COUNT)]


@pytest.mark.parametrize("change", ["other seeds", "other ids", "other categories", "other meshes"])
def test_no_nearest_training_shape_is_shown_that_is_that_of_earlier_samples(change, samples, tmp_path):
    folder = shutil.copytree(samples, tmp_path / "samples")
    with (folder / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if change == "other seeds":
            row["seed"] = str(int(row["seed"]) + 1)
        elif change == "other ids":
            row["index"] = str(int(row["index"]) + 1)
        elif change == "other categories":
            row["category"] = "lamp"
        else:
            row["faces"] = str(int(row["faces"]) + 2)
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert [list(view.notes) for view in views_of(folder)] == [[f"seed {row['seed']}"] for row in rows]


@pytest.mark.parametrize(("width", "least"), [(360, 2), (1200, 4), (1400, 5)])
def test_samples_fill_rows_of_the_window(width, least, browser, samples, tmp_path):
    page = tmp_path / "page.html"
    main(["report", str(samples), "--output", str(page)])
    browser.open(page, width=width)
    *full, last = browser.run(ROWS)
    assert full and min(full) == max(full) >= least and last <= full[0] and sum(full) + last == COUNT
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.messages == []


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_samples_share_a_row_at_1200_pixels(count, browser, samples, tmp_path):
    folder = shutil.copytree(samples, tmp_path / "samples")
    lines = (folder / "samples.csv").read_text().splitlines(keepends=True)
    (folder / "samples.csv").write_text("".join(lines[: 1 + count]))
    main(["report", str(folder)])
    browser.open(folder / "report.html", width=1200)
    assert browser.run(ROWS) == [count]
