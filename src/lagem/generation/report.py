"""The output of `lagem generate`: meshes, latents, a table, a picture and a progress bar."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from lagem.diffusion.sampler import SamplerStep
from lagem.generation.generator import GeneratedShape
from lagem.geometry.frame import Up
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture
from lagem.progress import long_progress
from lagem.signals import kept_on_stop
from lagem.storage.atomic import remove_leftovers, write_bytes, write_text
from lagem.storage.csv_table import csv_table
from lagem.storage.names import printable

COLUMNS, MOST_ROWS = 8, 8  # maximum numbers of columns in the picture, and of rows of one category
TABLE = "samples.csv"


@dataclass
class GenerationReport:
    """Writes meshes as samples are made, and the latents, table and picture at the end.

    Args:
        output: Folder to write to.
        total: Number of samples to make.
        format: File extension of the meshes.
        up: The axis that points up in the shapes; it is stored with the latents.
        about: Settings of the samples, in plain types; they are stored with the latents.
        num_categories: Number of categories. The categories share the rows of the picture; each gets at least one row.
        sources: Maps the index of a sample to an id: the id of the real shape that its coarse latents come from, or the
            id of the embedding that was its condition; "" if there is neither.

    num_meshes: number of samples with a mesh so far.
    """

    output: Path
    total: int
    format: str
    up: Up
    about: dict[str, Any]
    num_categories: int = 1
    sources: Mapping[int, str] = field(default_factory=dict)
    num_meshes: int = 0
    _rows: list[list[Any]] = field(default_factory=list)
    _latents: list[list[Tensor]] = field(default_factory=list)
    _pictures: dict[str | None, dict[int, NDArray[np.uint8] | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._progress = long_progress("{task.fields[doing]}")
        self._task = self._progress.add_task("generating", total=self.total, doing="")
        if (self.output / TABLE).exists():
            raise ValueError(f"{self.output} already holds samples. Remove the samples, or give another --output.")

    def on_step(self, level: int, step: SamplerStep) -> None:
        """Show in the progress bar which level is being sampled, and the step that was reached."""
        self._progress.update(self._task, doing=f"level {level}, step {step.step} of {step.num_steps}")

    def take(self, shapes: Iterable[GeneratedShape]) -> None:
        """Write the meshes as they are made, then latents.safetensors, samples.csv and picture.png."""
        self.output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.output)
        with kept_on_stop(self._kept), self._progress:
            for shape in shapes:
                self._add(shape)
                self._progress.advance(self._task)
        latents = {
            f"level_{i}": torch.stack(level) for i, level in enumerate(zip(*self._latents, strict=True), start=1)
        }
        about = json.dumps(self.about | {"up": self.up})
        write_bytes(self.output / "latents.safetensors", save(latents, metadata={"generation": about}))
        if self.num_meshes:
            save_picture(self._sheet(), self.output / "picture.png")
        write_text(self.output / TABLE, self._table())
        self._say()

    def _kept(self) -> str:
        return (
            f"{self.num_meshes} of {self.total} meshes are in {self.output}, but no {TABLE}; run the same command "
            "to start again with the same meshes."
        )

    def _add(self, shape: GeneratedShape) -> None:
        name = f"{shape.index:04d}.{self.format}"
        row = [shape.index, shape.seed, shape.category, self.sources.get(shape.index, "")]
        if shape.mesh is None:
            self._rows.append([*row, "", "", "", shape.reason])
        else:
            shape.mesh.save(self.output / name, up=self.up)
            self.num_meshes += 1
            self._rows.append([*row, name, len(shape.mesh.vertices), len(shape.mesh.faces), ""])
        self._latents.append(shape.latents)
        pictures = self._pictures.setdefault(shape.category, {})
        if len(pictures) < max(COLUMNS, COLUMNS * MOST_ROWS // self.num_categories):
            pictures[shape.index] = None if shape.mesh is None else render_mesh(shape.mesh, size=240, up=self.up)

    def _sheet(self) -> NDArray[np.uint8]:
        """Return the picture: rows of up to eight samples, each row of one category."""
        rows, titles = [], []
        columns = min(COLUMNS, max(map(len, self._pictures.values())))
        for category, pictures in self._pictures.items():
            for start in range(0, len(pictures), columns):
                row = list(pictures.values())[start : start + columns]
                rows.append([*row, *[None] * (columns - len(row))])
                indices = list(pictures)[start : start + columns]
                titles.append(f"{category or ''} {indices[0]} to {indices[-1]}".strip())
        return contact_sheet(rows, column_titles=[f"+{column}" for column in range(columns)], row_titles=titles)

    def _table(self) -> str:
        return csv_table(["index", "seed", "category", "source", "file", "vertices", "faces", "reason"], self._rows)

    def _say(self) -> None:
        for index, *_, reason in self._rows:
            if reason:
                print(printable(f"sample {index} has no mesh: {reason}"))
        picture = " and picture.png" if self.num_meshes else ""
        print(f"{self.num_meshes} of {self.total} meshes, latents.safetensors, {TABLE}{picture} are in {self.output}")
