"""Fuzz folders of results and meshes, which `lagem report` and `lagem view` show."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator

import dialects
import small_cascade
from containers import unchecked
from damage import Files
from formats.experiments import in_yaml
from formats.prepared import files_below
from formats.prepared import sound as prepared
from formats.scores import in_scores
from lagem.cli import main
from tries import Door, Format, in_file

SCRIPTS = (1, 3)  # number of scripts on a page without shapes, and on one with shapes
FEW = ["--category", "chair", "--steps", "1", "--resolution", "8"]
STUDIES = {"sharing": ["--variants", "2"], "noise": ["--noise", "0.5"], "mixing": ["--mix"]}
RUN = """\
seed_everything: 0
model: {class_path: lagem.modules.AutoencoderModule, init_args: {width: 64}}
data: {class_path: lagem.data_modules.ProceduralDataModule, init_args: {num_val: 2}}
"""
PREPARED = "data: {class_path: lagem.data_modules.OccupancyDataModule, init_args: {root: data}}"
METRICS = "epoch,step,train/loss,val/loss\n0,1,0.5,\n0,2,0.25,\n0,2,,0.375\n"
STARTS = '[{"time": "2026-01-01", "command": "lagem fit", "versions": {"torch": "2.13"}}]'


@cache
def sound() -> Files:
    """Return weights, a prepared folder, an evaluation, generated samples, their evaluation, and studies."""
    with TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()):
        root = Path(scratch)
        for name, content in prepared().items():
            if name.startswith("data/"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        (root / "parts").mkdir()
        autoencoder, *stages = small_cascade.write_cascade(root / "parts")
        shutil.copy(autoencoder, root / "weights.safetensors")
        words, small = [str(root / "weights.safetensors"), str(root / "data")], ["--points", "16", "--resolution", "8"]
        main(["evaluate", *words, "--output", str(root / "evaluation"), *small])
        main(["levels", *words, "--output", str(root / "studies"), *small])
        cascade = str(root / "parts/cascade")
        main(["bundle", str(autoencoder), *map(str, stages), "--output", cascade])
        main(["generate", cascade, *FEW, "--count", "2", "--output", str(root / "samples")])
        arguments = [str(root / "samples"), "procedural:0+16", "--points", "16", "--output", str(root / "scores")]
        main(["evaluate-generation", *arguments])
        for name, more in STUDIES.items():
            main(["vary", cascade, *FEW, "--groups", "2", *more, "--output", str(root / name)])
            for path in (root / name).glob(f"{name}*.[jp]*"):
                shutil.copy(path, root / "studies")
        shutil.rmtree(root / "parts")
        return {name: relative(root, name, content) for name, content in files_below(root).items()}


def relative(root: Path, name: str, content: bytes) -> bytes:
    """Return the content of a file; if it is JSON, remove `root` from the paths in it, so that they are relative."""
    return content.replace(f"{root}/".encode(), b"") if name.endswith(".json") else content


def below(*folders: str) -> Files:
    """Return the valid files whose paths begin with one of these texts."""
    return {name: content for name, content in sound().items() if name.startswith(folders)}


def run(rng: Generator) -> Files:
    """Return a training run on procedural or prepared shapes; it has either weights or only exported meshes."""
    config = RUN if rng.random() < 0.7 else "\n".join([*RUN.splitlines()[:2], PREPARED, ""])
    texts = {"logs/version_0/metrics.csv": METRICS, "run.json": STARTS, "config.yaml": config}
    files = {f"run/{name}": text.encode() for name, text in texts.items()} | below("data/")
    if rng.random() < 0.5:
        return files | {"run/autoencoder.safetensors": sound()["weights.safetensors"]}
    return files | {f"run/meshes/step_00000{step}/a.ply": mesh() for step in (1, 2)}


@cache
def mesh() -> bytes:
    (content,) = next(files for name, files in dialects.dialects(dialects.c_prism()) if name.startswith("ply")).values()
    return content


@cache
def shown() -> Files:
    """Return four meshes and point clouds, and a manifest."""
    cloud = io.BytesIO()
    np.save(cloud, dialects.ball().vertices)
    rows = "\n".join(" ".join(map(repr, row)) for row in dialects.ball().vertices.tolist())
    files = {
        "a.ply": mesh(),
        "b.xyz": rows.encode(),
        "c.npy": cloud.getvalue(),
        "d.obj": dialects.obj(dialects.box()).encode(),
    }
    files["list.csv"] = b"file,id,category,split\na.ply,one,box,train\nd.obj,two,,\n"
    return {f"meshes/{name}": content for name, content in files.items()}


def in_results(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage a field of a JSON or YAML file, or damage the file as `in_file` does."""
    if name.endswith(".json"):
        return in_scores(name, data, rng, other)
    return in_yaml(name, data, rng, other) if name.endswith(".yaml") else in_file(name, data, rng, other)


def rehashed(files: Files, rng: Generator) -> Files:
    """Return the files. In most cases, update the hashes in the cards to match the damaged weights and index."""
    files = unchecked(files, rng)
    if rng.random() < 0.3:
        return files
    before = sound()
    for name in ("weights.safetensors", "data/index.csv"):
        if name in files:
            old, new = (sha256(each[name]).hexdigest().encode() for each in (before, files))
            files = {
                each: content.replace(old, new) if each.endswith(".json") else content
                for each, content in files.items()
            }
    return files


def report(name: str) -> Door:
    """Return a function that runs `lagem report` twice, and checks that both pages are valid and equal."""

    def door(folder: Path) -> None:
        for output in ("one.html", "two.html"):
            main(["report", name, "--resolution", "8", "--output", output])
        page = (folder / "one.html").read_bytes()
        assert page == (folder / "two.html").read_bytes(), "two pages of the same folder differ"
        check(page)

    return door


def view(*names: str) -> Door:
    """Return a function that runs `lagem view` on these files, and checks the page."""

    def door(folder: Path) -> None:
        main(["view", *names, "--output", "view.html"])
        check((folder / "view.html").read_bytes())

    return door


def check(page: bytes) -> None:
    """Fail if a page has an unexpected number of scripts, or a shape without points."""
    text = page.decode()
    assert text.count("</script>") in SCRIPTS, "another number of scripts"
    shapes = json.loads(text.partition('id="shapes">')[2].partition("</script>")[0])
    assert all(shape["points"] for shape in shapes), "a shape without points"


def formats() -> Iterator[Format]:
    """Yield formats for the folders that `lagem report` shows, and one for the meshes that `lagem view` shows."""
    cards = ("data/", "weights", "evaluation/", "studies/")
    for name, folder, files, targets in (
        ("evaluation", "evaluation", cards[:3], r"evaluation/card\.json"),
        ("evaluated", "evaluation", cards[:3], r"weights.*|data/(shards/.*|index.csv|format.json)"),
        ("generation.json", "scores", ("scores/",), r"scores/.*\.json"),
        ("levels.json", "studies", cards, r"studies/levels.json"),
        ("studies", "studies", ("studies/",), r"studies/.*"),
        ("sample folder", "samples", ("samples/",), r"samples/.*\.(ply|glb|csv|safetensors)"),
    ):
        yield Format(
            name=name,
            sound=lambda _, f=files: below(*f),
            doors={"report": report(folder)},
            targets=targets,
            damage=in_results,
            repair=rehashed,
            weight=0.3,
        )
    yield Format(
        name="trained run", sound=run, doors={"report": report("run")}, targets="run/.*", damage=in_results, weight=0.3
    )
    doors = {
        "view, files": view(*shown()),
        "view, folder": view("meshes"),
        "view, manifest": view("meshes/list.csv"),
    }
    yield Format(name="shown", sound=lambda _: dict(shown()), doors=doors, weight=0.4)
