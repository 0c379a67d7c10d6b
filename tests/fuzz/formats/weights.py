"""Fuzz weights: safetensors files of lagem, checkpoints of a training, and checkpoints of the paper's authors."""

import atexit
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from numpy.random import Generator

import published
from containers import Payload
from damage import VALUES, chosen, copied, in_tree
from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.training.checkpoints import AtomicCheckpointIO, starting_checkpoint, steps_of
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder, save_autoencoder
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.stage import StageSpec, load_stage, save_stage
from tries import Door, Format, in_file

LEVELS = (LevelSpec(8, 4, depth=1), LevelSpec(4, 6, depth=0))
POINTS = 16


@cache
def place() -> Path:
    """Return a folder for files that all tries of the fuzzer share unchanged; it is removed when the process ends."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


@cache
def tiny_autoencoder() -> Autoencoder:
    """Return an untrained autoencoder with two levels."""
    torch.manual_seed(0)
    return Autoencoder(levels=LEVELS, width=64).eval()


@cache
def tiny_weights() -> Path:
    """Return a file with valid weights of the tiny autoencoder. The fuzzer's tries never change it."""
    save_autoencoder(tiny_autoencoder(), place() / "tiny.safetensors", num_surface_points=POINTS)
    return place() / "tiny.safetensors"


def stage_spec(level: int) -> StageSpec:
    """Return the spec of a stage of a cascade for the tiny autoencoder."""
    return StageSpec(
        levels=LEVELS,
        level=level,
        width=64,
        depth=1,
        num_categories=2,
        condition_dim=None,
        drop_condition=0.1,
        max_coarser_sigma=0.0,
        category_names=("flat", "tall"),
        autoencoder=fingerprint_of(tiny_autoencoder()),
    )


@cache
def stages() -> dict[int, Path]:
    """Return files with valid weights of the stages, by level."""
    found = {}
    for level in (1, 2):
        torch.manual_seed(level)
        save_stage(stage_spec(level).backbone(), stage_spec(level), place() / f"stage_{level}.safetensors")
        found[level] = place() / f"stage_{level}.safetensors"
    return found


@cache
def checkpoints() -> dict[str, dict[str, Any]]:
    """Return the contents of three checkpoints by file name.

    One is of a training of an autoencoder, one is of a training of a stage, and one is in the format of the authors'
    code.
    """
    autoencoder, (backbone, spec) = tiny_autoencoder(), load_stage(stages()[1])
    plain = AutoencoderSpec.of(autoencoder, num_surface_points=POINTS).as_plain()
    trained = {
        "epoch": 1,
        "global_step": 2,
        "pytorch-lightning_version": "2.6.1",
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": None, "dirpath": "checkpoints"}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "lr_schedulers": [],
    }
    weights = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    denoiser = {f"denoiser.backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    return {
        "autoencoder.ckpt": {**trained, "state_dict": weights, "autoencoder": plain},
        "stage.ckpt": {**trained, "state_dict": denoiser, "stage": replace(spec).as_plain()},
        "published.pth": {"model": published.published_state(), "epoch": 3},
    }


def saved(value: Any, *, legacy: bool = False) -> bytes:
    """Return the bytes that `torch.save` writes."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


@cache
def checkpoint(name: str) -> bytes:
    """Return the bytes of the valid checkpoint with this file name."""
    return saved(checkpoints()[name])


def in_checkpoint(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage a field or a tensor of a checkpoint and save it again, or damage its file as `in_file` does."""
    if rng.random() < 0.5:
        return in_file(name, data, rng, other)
    loaded = torch.load(io.BytesIO(data), weights_only=True)
    tree = in_tree({key: copied(value) for key, value in loaded.items() if key != "state_dict"}, rng)
    weights = dict(loaded.get("state_dict", {}))
    if weights and rng.random() < 0.3:
        tensor = chosen(sorted(weights), rng)
        weights[tensor] = damaged_tensor(weights[tensor], rng)
    if isinstance(tree, dict) and "state_dict" in loaded:
        tree["state_dict"] = weights if rng.random() < 0.95 else chosen(VALUES, rng)
    if rng.random() < 0.05:
        tree = {**loaded, "hyper_parameters": Payload()}
    return saved(tree, legacy=rng.random() < 0.1)


def damaged_tensor(tensor: torch.Tensor, rng: Generator) -> Any:
    """Return a value that is no tensor, or a tensor of another size, type, layout or content."""
    options: list[Callable[[], Any]] = [
        lambda: chosen(VALUES, rng),
        lambda: tensor[:-1],
        lambda: tensor.to(chosen([torch.float64, torch.int32, torch.bool, torch.complex64, torch.bfloat16], rng)),
        lambda: torch.full_like(tensor, chosen([float("nan"), float("inf"), 1e38], rng)),
        lambda: tensor.to_sparse(),
        lambda: torch.empty(tensor.shape, device="meta"),
        lambda: tensor.flatten()[:1].expand(tensor.shape),
        lambda: torch.zeros(0),
    ]
    return chosen(options, rng)()


def load(folder: Path) -> None:
    """Load an autoencoder, encode a cloud, and check that the latents have the sizes that the file states.

    The latents may be NaN, since the weights may be extreme.
    """
    network, spec = load_autoencoder(the_file(folder))
    points = torch.linspace(-1, 1, 3 * POINTS).reshape(1, POINTS, 3)
    latents = network.encode(points)
    assert [tuple(z.shape[1:]) for z in latents] == [(x.num_latents, x.latent_dim) for x in spec.levels], "other sizes"


def stage(folder: Path) -> None:
    """Load a stage of a cascade by `load_stage`."""
    load_stage(the_file(folder))


def bundle(folder: Path) -> None:
    """Run `lagem bundle` on the damaged file, together with valid files of the other networks."""
    paths = [tiny_weights(), *stages().values()]
    file = the_file(folder)
    at = 1 if "stage" in file.name else 0
    main(["bundle", *map(str, [*paths[:at], file, *paths[at + 1 :]]), "--output", "out"])


def resume(folder: Path) -> None:
    """Read a checkpoint as a resumed `lagem fit` does: its step, then its content, without running code from it."""
    file = the_file(folder)
    steps_of(file)
    starting_checkpoint("last", folder, [folder], requeued=False)
    AtomicCheckpointIO().load_checkpoint(file)


def authors(folder: Path) -> None:
    """Run `lagem import-weights` on the checkpoint."""
    main(["import-weights", the_file(folder).name, "--num-latents", "8", "4", "2", "--output", "out.safetensors"])


def the_file(folder: Path) -> Path:
    """Return the only file in a folder."""
    (file,) = [path for path in folder.iterdir() if path.is_file()]
    return file


def formats() -> Iterator[Format]:
    """Yield a format for each kind and layout of weights."""
    for name, path, own in (("autoencoder", tiny_weights(), load), ("stage", stages()[1], stage)):
        content = path.read_bytes()
        doors: dict[str, Door] = {f"load_{name}": own, "bundle": bundle}
        yield Format(name=f"{name}.st", sound=lambda _, n=name, c=content: {f"{n}.safetensors": c}, doors=doors)
        yield Format(
            name=f"{name}.ckpt",
            sound=lambda _, n=f"{name}.ckpt": {n: checkpoint(n)},
            doors={**doors, "fit, resumed": resume},
            damage=in_checkpoint,
        )
    yield Format(
        name="published.pth",
        sound=lambda _: {"published.pth": checkpoint("published.pth")},
        doors={"import-weights": authors},
        damage=in_checkpoint,
        weight=0.3,
    )
