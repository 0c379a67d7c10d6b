"""Arrays that are written come back equal: shards, latents, weights, bundles, meshes, for odd names and values."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.random import Generator

from damage import chosen
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.latents.latent_shard import EncodedShape, LatentShard, RefusedShape, write_latent_shard
from lagem.levels import LevelSpec
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import ShapeArrays, ShardFile, write_shard
from lagem.reconstruction.latents import Latents
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder, save_autoencoder
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.stage import StageSpec, load_stage, save_stage
from odd import name, names, number, text

CASES = 12  # random cases for each property


@pytest.fixture(params=range(CASES))
def rng(request) -> Generator:
    return np.random.default_rng([request.param, 16])


def frame(rng: Generator) -> Frame:
    return Frame(np.array([number(rng) * chosen([-1, 1], rng) for _ in range(3)]), number(rng) or 1.0)


def pool(rng: Generator, pool: str) -> np.ndarray:
    """Return up to 5 rows for a pool: random integers from the whole range of the pool's type."""
    dtype = POOLS[pool][0]
    limits = np.iinfo(dtype)
    rows = rng.integers(-limits.max, limits.max, size=(int(rng.integers(0, 6)), 3), endpoint=True)
    return rows.astype(dtype)


def prepared_shape(rng: Generator, id: str) -> ShapeArrays:
    pools = {each: pool(rng, each) for each in POOLS}
    pools["surface_normals"] = np.zeros(pools["surface_points"].shape, np.int8)
    return ShapeArrays(
        id=id,
        category=text(rng),
        split=chosen(["train", "val", "test"], rng),
        frame=frame(rng),
        faces=int(rng.integers(1, 2**40)),
        volume_drawn_inside=len(pools["volume_inside"]) + int(rng.integers(1, 9)),
        volume_drawn_outside=len(pools["volume_outside"]) + int(rng.integers(1, 9)),
        near_sigmas=(number(rng), number(rng)),
        pools=pools,
    )


def test_a_shard_comes_back(rng, tmp_path):
    shapes = [prepared_shape(rng, id) for id in names(rng, 3)]
    write_shard(tmp_path / "shard.safetensors", shapes)
    file = ShardFile(tmp_path / "shard.safetensors")
    for row, shape in enumerate(shapes):
        back = file.shape(row)
        assert replace(back, pools={}, frame=shape.frame) == replace(shape, pools={})
        assert (back.frame.center == shape.frame.center).all() and back.frame.scale == shape.frame.scale
        for each in POOLS:
            np.testing.assert_array_equal(back.pools[each], shape.pools[each])


def test_a_latent_shard_comes_back(rng, tmp_path):
    levels = [LevelSpec(int(rng.integers(3, 9)), int(rng.integers(2, 5))), LevelSpec(2, 2)]
    subsets = int(rng.integers(1, 4))
    shapes = []
    for id in names(rng, int(rng.integers(0, 4))):
        latents = [rng.normal(size=(subsets, x.num_latents, x.latent_dim)).astype(np.float16) for x in levels]
        latents[0].flat[0] = chosen([65504, 6e-8, -0.0], rng)
        shapes.append(EncodedShape(id=id, category=text(rng), split="train", frame=frame(rng), latents=latents))
    refused = [RefusedShape(id=id, category=text(rng), split="val", reason=text(rng)) for id in names(rng, 2)]
    write_latent_shard(tmp_path / "shard.safetensors", shapes, refused, levels, subsets)
    file = LatentShard(tmp_path / "shard.safetensors")
    assert file.refused == refused
    assert (file.ids, file.categories) == ([x.id for x in shapes], [x.category for x in shapes])
    for row, shape in enumerate(shapes):
        assert file.frame(row).scale == shape.frame.scale and (file.frame(row).center == shape.frame.center).all()
        for subset in range(subsets):
            for written, read in zip(shape.latents, file.latents(row, subset), strict=True):
                np.testing.assert_array_equal(read, written[subset].astype(np.float32))


def levels(rng: Generator) -> tuple[LevelSpec, ...]:
    counts = sorted({int(n) for n in rng.integers(1, 12, size=3)}, reverse=True)
    return tuple(LevelSpec(n, int(rng.integers(2, 6)), depth=int(rng.integers(0, 2))) for n in counts)


def filled(network: torch.nn.Module, rng: Generator) -> torch.nn.Module:
    """Fill a network with extreme but finite weights, and return it."""
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(rng.normal(size=tuple(parameter.shape)) * 10.0 ** rng.uniform(-30, 30)))
    return network


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


@pytest.mark.parametrize("seed", range(4))
def test_networks_their_specs_and_their_bundle_come_back(seed, tmp_path):
    rng = np.random.default_rng([seed, 17])
    points = int(rng.integers(1, 99))
    spec = AutoencoderSpec(
        levels=levels(rng), width=64, skip=chosen(["double", "single"], rng), octaves=3, num_surface_points=points
    )
    autoencoder = filled(spec.autoencoder(), rng)
    save_autoencoder(autoencoder, tmp_path / "autoencoder.safetensors", num_surface_points=points)
    back, spec_back = load_autoencoder(tmp_path / "autoencoder.safetensors")
    assert spec_back == spec == AutoencoderSpec.from_plain(json.loads(json.dumps(spec.as_plain())))
    assert_same_weights(back, autoencoder)
    categories = tuple(names(rng, 3))
    backbones = []
    for level in range(1, len(spec.levels) + 1):
        stage = StageSpec(
            levels=spec.levels,
            level=level,
            width=64,
            depth=1,
            num_categories=len(categories),
            condition_dim=None,
            drop_condition=0.1,
            max_coarser_sigma=0.5 if level < len(spec.levels) else 0.0,
            category_names=categories,
            autoencoder=fingerprint_of(autoencoder),
        )
        backbones.append(filled(stage.backbone(), rng))
        save_stage(backbones[-1], stage, tmp_path / f"{level}.safetensors")
        network, stage_back = load_stage(tmp_path / f"{level}.safetensors")
        assert stage_back == stage
        assert_same_weights(network, backbones[-1])
    paths = [tmp_path / f"{level}.safetensors" for level in range(1, len(spec.levels) + 1)]
    bundle = load_bundle(write_bundle(tmp_path / "autoencoder.safetensors", paths, tmp_path / "cascade"))
    assert bundle.category_names == categories
    assert_same_weights(bundle.codec.autoencoder, autoencoder)
    for denoiser, backbone in zip(bundle.denoisers, backbones, strict=True):
        assert_same_weights(denoiser.backbone, backbone)


def test_latents_of_a_shape_come_back(rng, tmp_path):
    z = [torch.from_numpy(rng.normal(size=(x.num_latents, x.latent_dim)) * 1e30).float() for x in levels(rng)]
    latents = Latents(z, frame(rng), name(rng))
    latents.save(tmp_path / f"{name(rng)}.safetensors")
    (path,) = tmp_path.iterdir()
    back = Latents.load(path)
    assert back.autoencoder == latents.autoencoder
    assert back.frame.scale == latents.frame.scale and (back.frame.center == latents.frame.center).all()
    assert all(torch.equal(one, other) for one, other in zip(z, back.levels, strict=True))


@pytest.mark.parametrize("ending", [".ply", ".obj", ".off", ".glb", ".stl"])
def test_a_mesh_comes_back(ending, rng, tmp_path):
    count = int(rng.integers(4, 30))
    size, far = 10.0 ** rng.uniform(-9, 9), 10.0 ** rng.uniform(-3, 2)
    vertices = size * (rng.normal(size=(count, 3)) + far * rng.normal(size=3))
    order = np.array([rng.permutation(count)[:3] for _ in range(2 * count)])
    mesh = Mesh(vertices, order)
    path = tmp_path / f"{name(rng)}{ending}"
    mesh.save(path)
    back = load_mesh(path).turned("z")  # a glb file is y-up; `mesh` is z-up
    extent = np.ptp(vertices[order].reshape(-1, 3), axis=0).max()
    allowed = {".glb": 2e-7 * extent, ".stl": 2e-7 * np.abs(vertices).max()}.get(ending, 0.0)
    moved = np.abs(back.vertices[back.faces] - vertices[order])
    assert moved.shape == (2 * count, 3, 3) and moved.max() <= allowed
