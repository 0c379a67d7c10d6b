"""Run `lagem report`: write one page about all results that a folder holds."""

from pathlib import Path

from lagem.reports.evaluation import evaluation_sections
from lagem.reports.page.content import Page, Row
from lagem.reports.page.html import html_of
from lagem.reports.reconstructions import ShapeSettings
from lagem.reports.run import run_sections
from lagem.reports.samples import samples_sections
from lagem.reports.study import study_sections
from lagem.storage.atomic import check_folder, write_text

KINDS = (run_sections, evaluation_sections, samples_sections, study_sections)


def report(folder: Path, output: Path | None, settings: ShapeSettings) -> Path:
    """Write a page about the results in a folder, and print the path of the page.

    Folders with the same name and the same content give pages with the same bytes.

    Args:
        folder: Folder of a run of `lagem fit`, of an evaluation, of samples or of a study.
        output: The page; None for report.html in the folder. An existing page is replaced.
        settings: How shapes are reconstructed.

    Returns:
        The path of the page.

    Raises:
        ValueError: If the folder holds nothing to report, or something damaged.
    """
    path = folder / "report.html" if output is None else output
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: there is no such folder; give the folder of a run, an evaluation, samples or a study."
        )
    check_folder(path.parent)
    sections = [section for find in KINDS for section in find(folder, settings)]
    if not sections:
        raise ValueError(
            f"{folder}: holds no run, evaluation, samples or study; give a folder that `lagem fit`, `evaluate`, "
            "`evaluate-generation`, `generate`, `levels` or `vary` wrote, or show meshes with `lagem view`."
        )
    rows = [block for section in sections for block in section.blocks if isinstance(block, Row)]
    if not rows and (settings.weights is not None or settings.data is not None):
        raise ValueError(
            f"{folder}: the report reconstructs no shapes, so it does not use --weights and --data; give both for the "
            "folder of a run, an evaluation or a study of levels, and neither for any other folder."
        )
    name = folder.resolve().name
    return written(Page(name, f"What lagem wrote to the folder {name}.", sections), path)


def written(page: Page, path: Path) -> Path:
    """Write a page, print its path and size, and return its path. Missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html_of(page))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; open it in any browser. It needs no other file.")
    return path
