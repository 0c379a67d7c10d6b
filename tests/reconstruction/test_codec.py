"""`ShapeCodec` encodes a shape in any form, decodes a mesh in its coordinates, and agrees with `lagem reconstruct`."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.surface import EmptySurfaceError
from lagem.reconstruction.codec import load_codec
from lagem.reconstruction.files import reconstruct_shape
from lagem.reconstruction.latents import Latents
from lagem.sources.unit_shape import load_shape
from lagem.weights.autoencoder import save_autoencoder
from reconstruction_codecs import constant_codec


def assert_covers(mesh: Mesh, frame: Frame) -> None:
    expected = frame.to_source(np.array([[-1, -1, -1], [1, 1, 1.0]]))
    found = np.array([mesh.vertices.min(0), mesh.vertices.max(0)])
    assert np.abs(found - expected).max() < 0.5 * (2 / 16) / frame.scale


def test_a_decoded_mesh_is_in_the_coordinates_of_the_shape_in_any_form(codec, box, tmp_path):
    box.save(tmp_path / "box.ply")
    np.savetxt(tmp_path / "cloud.xyz", box.vertices)
    forms = [
        box,
        tmp_path / "box.ply",
        str(tmp_path / "cloud.xyz"),
        box.vertices,
        box.vertices.astype(np.float32),
        box.vertices.tolist(),
        torch.tensor(box.vertices, requires_grad=True),
        load_shape(tmp_path / "box.ply"),
    ]
    for shape in forms:
        latents = codec.encode(shape)
        assert [tuple(z.shape) for z in latents.levels] == [(8, 4), (2, 6)]
        assert_covers(codec.decode(latents, resolution=16), Frame.of(box.vertices))


def test_latents_do_not_depend_on_where_and_how_large_a_shape_is(codec, box):
    moved = Mesh(box.vertices * 4 + [64, -32, 0], box.faces)
    for one, other in zip(codec.encode(box).levels, codec.encode(moved).levels, strict=True):
        torch.testing.assert_close(one, other)


def test_vertices_without_a_face_do_not_move_the_frame(codec, box):
    stray = Mesh(np.concatenate([box.vertices, [[100.0, 0, 0]]]), box.faces)
    np.testing.assert_array_equal(codec.encode(stray).frame.center, codec.encode(box).frame.center)


def test_the_seed_decides_the_draw(codec, box):
    one, same, other = (codec.encode(box, seed=seed).levels[0] for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_encoding_and_decoding_a_file_is_what_the_command_does(codec, box, tmp_path):
    box.save(tmp_path / "box.ply")
    expected = reconstruct_shape(codec, load_shape(tmp_path / "box.ply"), resolution=16, points=100, seed=3)
    latents = codec.encode(tmp_path / "box.ply", seed=3)
    mesh = codec.decode(latents, resolution=16)
    np.testing.assert_array_equal(mesh.vertices, expected.mesh.in_source(latents.frame).vertices)
    unit = codec.decode(latents.levels, resolution=16)
    np.testing.assert_array_equal(unit.vertices, expected.mesh.vertices)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (np.zeros((3, 100)), r"an \(N, 3\) array or tensor of points, but ndarray of shape \(3, 100\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.array([["a", "b", "c"]]), "type <U1"),
        (None, "NoneType"),
        (np.ones((5, 3)), "the points: points of extent .* have no frame"),
        (np.full((5, 3), np.nan), "the points: points of extent"),
        ("absent.ply", "absent.ply"),
        (Mesh(np.eye(3), np.array([[0, 1, 3]])), r"does not exist \(the mesh has 3 vertices\)"),
        (Mesh(np.eye(3), np.zeros((0, 3))), "the mesh has no faces"),
    ],
)
def test_what_is_no_shape_is_refused_with_what_was_found(codec, shape, expected):
    with pytest.raises(ValueError, match=expected):
        codec.encode(shape)


def test_a_field_without_an_inside_is_an_error_by_name(box):
    empty = constant_codec(-1.0)
    with pytest.raises(EmptySurfaceError):
        empty.decode(empty.encode(box), resolution=16)


def test_latents_of_another_autoencoder_or_another_size_are_refused(codec, box):
    latents = codec.encode(box)
    with pytest.raises(ValueError, match="does not belong to this autoencoder"):
        constant_codec(0.5).decode(latents)
    with pytest.raises(ValueError, match=r"latents must have the sizes \[\(8, 4\), \(2, 6\)\]"):
        codec.decode(latents.levels[::-1])


def test_latents_come_back_from_a_file_as_they_were(codec, box, tmp_path):
    latents = codec.encode(box)
    latents.save(tmp_path / "new" / "box.safetensors")
    loaded = Latents.load(tmp_path / "new" / "box.safetensors")
    assert all(torch.equal(one, other) for one, other in zip(latents.levels, loaded.levels, strict=True))
    one, other = (codec.decode(each, resolution=8) for each in (latents, loaded))
    np.testing.assert_array_equal(one.vertices, other.vertices)


def test_a_decoded_mesh_has_the_axis_of_the_shape_also_through_a_file(codec, box, tmp_path):
    box.save(tmp_path / "box.glb")
    box.save(tmp_path / "box.ply")
    shapes = {"y": [tmp_path / "box.glb", Mesh(box.vertices, box.faces, up="y")], "z": [tmp_path / "box.ply", box]}
    for up, forms in shapes.items():
        for shape in forms:
            latents = codec.encode(shape)
            latents.save(tmp_path / "box.safetensors")
            for each in (latents, Latents.load(tmp_path / "box.safetensors")):
                assert codec.decode(each, resolution=8).up == up


def test_a_decoded_mesh_stands_as_the_file_did(codec, box, tmp_path):
    box.save(tmp_path / "in.glb")
    codec.decode(codec.encode(tmp_path / "in.glb"), resolution=16).save(tmp_path / "out.glb")
    source, found = (trimesh.load_scene(tmp_path / name).to_mesh() for name in ("in.glb", "out.glb"))
    expected = Frame.of(source.vertices).to_source(np.array([[-1, -1, -1], [1, 1, 1.0]]))
    assert np.abs(found.bounds - expected).max() < 0.5


def rewritten(latents: Latents, path: Path, change: Callable[[dict], None]) -> Path:
    """Save latents to a file, apply `change` to the description in the file, and return its path."""
    latents.save(path)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["lagem"])
    change(about)
    save_file(load_file(path), path, metadata={"lagem": json.dumps(about)})
    return path


def test_latents_without_an_axis_are_z_up_and_another_axis_is_refused(codec, box, tmp_path):
    latents = replace(codec.encode(box), up="y")
    older = rewritten(latents, tmp_path / "older.safetensors", lambda about: (about.pop("up"), about.pop("crc32")))
    assert Latents.load(older).up == "z"
    for up in ("x", None, ["y"]):
        wrong = rewritten(
            latents, tmp_path / "wrong.safetensors", lambda about, up=up: (about.update(up=up), about.pop("crc32"))
        )
        with pytest.raises(ValueError, match="wrong.safetensors: up is .*, but must be one of y, z"):
            Latents.load(wrong)


def test_a_file_of_anything_else_holds_no_latents(codec, box, tmp_path):
    save_autoencoder(codec.autoencoder, tmp_path / "weights.safetensors", num_surface_points=64)
    (tmp_path / "garbage.safetensors").write_bytes(b"garbage")
    for name in ("weights.safetensors", "garbage.safetensors", "absent.safetensors"):
        with pytest.raises(ValueError, match=name):
            Latents.load(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match=r"pipe.safetensors: is a pipe, but a file is needed"):
        Latents.load(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match="is a folder, but a file is needed"):
        Latents.load(tmp_path)
    with pytest.raises(ValueError, match="rename"):
        codec.encode(box).save(tmp_path / "box.pt")


def test_a_codec_is_loaded_by_a_file_or_the_folder_of_a_run(codec, tmp_path):
    save_autoencoder(codec.autoencoder, tmp_path / "run" / "autoencoder.safetensors", num_surface_points=64)
    for name in (tmp_path / "run", str(tmp_path / "run" / "autoencoder.safetensors")):
        loaded = load_codec(name)
        assert (loaded.spec, loaded.fingerprint) == (codec.spec, codec.fingerprint)


def test_the_written_mesh_reads_back_in_every_format(codec, box, tmp_path):
    mesh = codec.decode(codec.encode(box), resolution=16)
    for ending in ("ply", "obj", "stl", "glb"):
        mesh.save(tmp_path / f"box.{ending}")
        assert_covers(load_mesh(tmp_path / f"box.{ending}").turned("z"), Frame.of(box.vertices))
