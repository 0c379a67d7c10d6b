"""Fuzz the data sets that `lagem import` reads, and the folders that `lagem export` reads or continues."""

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from damage import Files, chosen, in_text
from formats.experiments import in_yaml
from formats.prepared import files_below, read
from formats.prepared import sound as prepared
from lagem.cli import main
from lagem.geometry.files.loading import load_mesh
from lagem.importing import furniture, hy3d
from lagem.preparation import pipeline
from preparation_here import run_in_this_process
from releases import Points, sampled, save_lagem, save_vecset, toy_meshes
from tries import Door, Format, in_file

FEW = ["--surface", "60", "--volume", "200", "--near", "60", "--inside", "20"]
MAPPING = """\
surface: cloud
volume_points: volume
near_points: near
normals: normals
frame: {frame}
sign: positive_inside
truncation: 0.5
dtype: float64
center: middle
scale: factor
up: z
"""
CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 2) for z in (0, 3)) + "".join(
    f"f {face}\n" for face in ("1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4")
)
CATALOGUE = """\
provider=Some
license=CC-BY 3.0 \\u00a9 Ann
name#1=Office chair
model#1=/a/seat.obj
category#1=Living \\
   room
width#1=100
depth#1=50.5
height#1=70
creator#1=Ann
modelRotation#1=1 0 0 0 0 1 0 -1 0
name#2=Desk lamp
model#2=/a/lamp.obj
"""
Damage = Callable[[], Any]


@cache
def points(*, box: bool) -> Points:
    """Return labelled points of a ring scaled into the unit sphere or, with `box`, into [-0.99, 0.99]^3."""
    return sampled(toy_meshes()["ring"], box=box, surface=1000, volume=1000, near=1000)


@cache
def vecset() -> Files:
    """Return the files of a data set of two shapes in the layout of 3DILG."""
    with TemporaryDirectory() as scratch:
        for split, name in (("train", "a"), ("val", "b")):
            save_vecset(Path(scratch) / "source", split, "chair", name, points(box=True))
        return files_below(Path(scratch))


@cache
def lagem() -> Files:
    """Return the files of a data set of two shapes in the layout of LaGeM."""
    with TemporaryDirectory() as scratch:
        for split, name in (("train", "a"), ("val", "b")):
            save_lagem(Path(scratch) / "source", split, "shard", name, "a ring", points(box=False))
        return files_below(Path(scratch))


@cache
def mapped(frame: str) -> Files:
    """Return layout.yaml, a manifest, and two npz files with the signed distances of queries in a fourth column."""
    found = points(box=frame == "box")
    arrays = {
        "cloud": found.surface,
        "normals": found.normals,
        "volume": np.column_stack([found.volume, np.clip(-found.volume_sdf, -0.5, 0.5)]),
        "near": np.column_stack([found.near, np.clip(-found.near_sdf, -0.5, 0.5)]),
        "middle": found.frame.center,
        "factor": np.array([found.frame.scale]),
    }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    files = {
        "layout.yaml": MAPPING.format(frame=frame).encode(),
        "source/list.csv": b"file,id,category,split\na.npz,a,ring,train\nb.npz,b,,\n",
    }
    return files | {f"source/{name}.npz": content.getvalue() for name in "ab"}


@cache
def catalogue() -> Files:
    """Return a furniture catalogue of Sweet Home 3D with two pieces of furniture."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        for name in ("seat", "lamp"):
            archive.writestr(f"a/{name}.obj", CUBE)
    return {"source/Some.sh3f": content.getvalue()}


@cache
def tars() -> Files:
    """Return a tar file of two npz files, a tar file of one mesh, and a separate npz file, as HY3D-Bench has them."""
    with TemporaryDirectory() as scratch:
        toy_meshes()["slab"].save(Path(scratch) / "slab.ply")
        slab = (Path(scratch) / "slab.ply").read_bytes()
    content, packed, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez_compressed(content, **{f"{name}.ply": np.frombuffer(slab, np.uint8) for name in ("full", "part_0")})
    for written, mode, members in (
        (packed, "w:gz", {"00/a.npz": content.getvalue(), "00/b.npz": content.getvalue()}),
        (plain, "w", {f"chunk/{'long' * 30}.ply": slab}),
    ):
        with tarfile.open(fileobj=written, mode=mode) as file:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return {
        "source/meshes/00.tar.gz": packed.getvalue(),
        "source/train/water_tight_meshes/1.tar": plain.getvalue(),
        "source/meshes/01/c.npz": content.getvalue(),
    }


@cache
def exported() -> Files:
    """Return the files of a prepared folder and of its exports in the layouts vecset and npz.

    Files below ShapeNetV2_surface are not returned, because it is only a link to another folder of the export.
    """
    with TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()):
        root = Path(scratch)
        for name, content in prepared().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        for layout in ("vecset", "npz"):
            main(["export", str(root / "data"), "--layout", layout, "--output", str(root / layout)])
        return {name: content for name, content in files_below(root).items() if "ShapeNetV2_surface" not in name}


def damaged_array(array: NDArray[Any], rng: Generator) -> NDArray[Any]:
    """Return the array with another size, type or content."""
    options: list[Damage] = [
        lambda: array[: int(chosen([0, 1, len(array) // 2, len(array) - 1], rng))],
        lambda: array.astype(chosen(["f2", "f4", ">f8", "c8", "i1", "?", "U3", "M8[s]", "f4,f4"], rng)),
        lambda: np.full_like(array, chosen([float("nan"), float("inf"), 1e300, 1e6, 5e-324, 0, 1], rng)),
        lambda: array * chosen([-1, 1.8, 1000, 1e-3, 1e-300, 0], rng),
        lambda: array + chosen([0.1, 1, 1e5], rng),
        lambda: 1 - array,
        lambda: rng.permutation(array),
        lambda: array[..., None],
        lambda: array.ravel(),
        lambda: np.asfortranarray(array.astype(">f4")),
        lambda: np.concatenate([array] * 3),
        lambda: np.array(array[0]),
    ]
    return np.asarray(chosen(options, rng)())


def in_npy(data: bytes, rng: Generator) -> bytes:
    """Damage the header or the array of an npy file."""
    if rng.random() < 0.3:
        length = int.from_bytes(data[8:10], "little")
        header = in_text(data[10 : 10 + length], rng)
        return data[:8] + len(header).to_bytes(2, "little") + header + data[10 + length :]
    content = io.BytesIO()
    array = np.load(io.BytesIO(data))
    changed = damaged_array(array if array.ndim else array.reshape(1), rng)
    np.save(content, changed.astype(object) if rng.random() < 0.03 else changed)
    return content.getvalue()


def in_members(data: bytes, rng: Generator, change: Callable[[str, bytes], bytes]) -> bytes:
    """Apply `change` to one member of a zip file, and return the new zip file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > 2**26:
            raise ValueError("the zip file is a bomb, which earlier damage made")
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = chosen(list(members), rng)
    members[name] = change(name, members[name])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, inner in members.items():
            archive.writestr(member, inner)
    return content.getvalue()


def in_tar(data: bytes, rng: Generator) -> bytes:
    """Change one field of a header of a tar file, which may be gzipped, and correct the checksum."""
    is_packed = data.startswith(b"\x1f\x8b")
    content = bytearray(gzip.decompress(data) if is_packed else data)
    headers = [at for at in range(0, len(content), 512) if content[at + 257 : at + 262] == b"ustar"]
    at = chosen(headers, rng)
    names = [b"../canary/keep.ply\0", b"/etc/passwd\0", b"\xff.npz\0", b"\0", b"train/sample_points/a.ply\0"]
    numbers = [b"77777777777\0", b"00000000000\0", b"-0000000001\0", b"\x80" + bytes(10) + b"\x01", b"00000177777\0"]
    fields = [
        (0, chosen(names, rng)),
        (124, chosen(numbers, rng)),
        (156, chosen([b"1", b"2", b"3", b"5", b"6", b"S", b"L", b"K", b"x", b"g", b"V", b"\0"], rng)),
        (345, chosen(names, rng)),
    ]
    start, field = chosen(fields, rng)
    content[at + start : at + start + len(field)] = field
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    return gzip.compress(content) if is_packed else bytes(content)


def in_source(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage one array, member or field in a file, or damage the file as `in_file` does."""
    if rng.random() < 0.35:
        return in_file(name, data, rng, other)
    if name.endswith((".tar", ".tar.gz")):
        return in_tar(data, rng)
    if name.endswith(".npz"):
        return in_members(data, rng, lambda _, content: in_npy(content, rng))
    if name.endswith(".npy"):
        return in_npy(data, rng)
    if name.endswith(".sh3f"):
        return in_members(data, rng, lambda _, content: in_text(content, rng))
    if name.endswith(".yaml"):
        return in_yaml(name, data, rng, other)
    return in_file(name, data, rng, other)


def import_as(layout: str, source: str = "source") -> Door:
    """Return a function that runs `lagem import`, and reads the prepared folder that was made."""

    def door(folder: Path) -> None:
        with mock.patch.object(pipeline, "run_in_processes", run_in_this_process):
            main(["import", layout, source, "--output", "data", *FEW])
        read(folder)

    return door


def import_meshes(layout: str, module: ModuleType) -> Door:
    """Return a function that runs `lagem import` of meshes, and checks that every mesh that was made has an area."""

    def door(folder: Path) -> None:
        with (
            mock.patch.object(module, "run_in_processes", run_in_this_process),
            mock.patch.object(tempfile, "tempdir", str(folder)),
        ):
            main(["import", layout, "source", "--output", "out"])
        assert all(load_mesh(path).area > 0 for path in (folder / "out/meshes").iterdir()), "a mesh without area"

    return door


def export(folder: Path) -> None:
    """Run `lagem export` in each layout, into a folder of an earlier export or into a new one."""
    for layout in ("vecset", "npz"):
        main(["export", "data", "--layout", layout, "--output", layout])


def formats() -> Iterator[Format]:
    """Yield a format for each kind of data to import, one for the input of an export, and one for an earlier export."""
    for name, sound, doors in (
        ("vecset", lambda _: dict(vecset()), {"import": import_as("vecset")}),
        ("lagem", lambda _: dict(lagem()), {"import": import_as("lagem")}),
        (
            "mapping",
            lambda rng: dict(mapped(chosen(["box", "sphere"], rng))),
            {"import": import_as("layout.yaml"), "import, manifest": import_as("layout.yaml", "source/list.csv")},
        ),
        ("sh3f", lambda _: dict(catalogue()), {"import": import_meshes("sweethome3d", furniture)}),
        ("hy3d", lambda _: dict(tars()), {"import": import_meshes("hy3d", hy3d)}),
    ):
        yield Format(name=name, sound=sound, doors=doors, damage=in_source, weight=0.5)
    doors = {"export": export}
    yield Format(
        name="to export", sound=lambda _: dict(prepared()), doors=doors, targets=r"data/sh.*|data/[^/]*", weight=0.5
    )
    yield Format(name="export", sound=lambda _: dict(exported()), doors=doors, targets=r"(vecset|npz)/.*", weight=0.3)
