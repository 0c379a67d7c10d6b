"""Trainings on the command line write the right files.

A training gives the same weights if it is repeated, if it is killed and resumed, or if it accumulates gradients.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import training_process
from lagem.cli import main
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.mesh import Mesh
from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import load_autoencoder
from small_run import small_fit

completed, weights = training_process.completed, training_process.weights
killed = training_process.killed
assert_same_training = training_process.assert_same_training

STEPS = 60


def rows(folder: Path, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) for each time that a run logged the metric, over all starts of the run."""
    found = []
    for path in sorted(folder.glob("logs/version_*/metrics.csv")):
        with path.open() as file:
            found += [(int(row["step"]), float(row[metric])) for row in csv.DictReader(file) if row.get(metric)]
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    main(small_fit(folder, steps=STEPS))
    return folder


def test_a_run_folder_holds_checkpoints_logs_and_meshes(undisturbed):
    assert (undisturbed / "checkpoints" / "last.ckpt").is_file()
    assert len(rows(undisturbed, "train/loss")) == STEPS
    for metric in ("val/loss", "val/iou", "val/fscore", "val/iou_balanced"):
        ((step, value),) = rows(undisturbed, metric)
        assert step == STEPS - 1 and np.isfinite(value)
    assert (undisturbed / "logs" / "version_0" / "config.yaml").is_file()
    assert list(undisturbed.glob("logs/version_0/events.out.tfevents.*"))
    assert (undisturbed / "meshes" / f"step_{STEPS}.png").is_file()


def test_the_same_seed_gives_the_same_bytes(undisturbed, tmp_path):
    completed(small_fit(tmp_path, steps=STEPS))
    assert_same_training(undisturbed, tmp_path)
    assert rows(undisturbed, "train/loss") == rows(tmp_path, "train/loss")


def test_another_seed_gives_another_training(undisturbed, tmp_path):
    main(small_fit(tmp_path, "--seed_everything=1", steps=2))
    assert rows(tmp_path, "train/loss")[0] != rows(undisturbed, "train/loss")[0]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
def test_kills_leave_the_weights_of_the_undisturbed_run(undisturbed, tmp_path, times):
    """Each start is killed at a random moment, and the next one resumes from the last save."""
    command = small_fit(tmp_path, "--ckpt_path=last", "--data.init_args.num_workers=1", steps=STEPS)
    reached = killed(command, tmp_path, times)
    assert reached[0] > 0 and reached == sorted(set(reached)) and reached[-1] < STEPS
    completed(command)
    assert_same_training(undisturbed, tmp_path)


def written(folder: Path) -> list[str]:
    """Return the paths of a run's files; files of TensorBoard, whose names vary, are all called `events`."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.parent / "events" if path.name.startswith("events.") else path) for path in files)


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    """Both trainings also log the same scores, although one of two ranks has 4 validation shapes and the other 3."""
    one, two = tmp_path / "one", tmp_path / "two"
    main(small_fit(one, "--data.init_args.num_val=7", "--data.init_args.batch_size=8"))
    completed(small_fit(two, "--data.init_args.num_val=7", "--trainer.devices=2", "--trainer.strategy=ddp"))
    assert written(one) == written(two)
    for metric in ("train/loss", "val/loss", "val/iou_balanced", "val/iou", "val/fscore", "val/empty"):
        single, double = rows(one, metric), rows(two, metric)
        assert single, metric
        assert [step for step, _ in single] == [step for step, _ in double]  # logged once
        np.testing.assert_allclose([v for _, v in single], [v for _, v in double], rtol=2e-4, atol=2e-4)


def test_accumulated_batches_train_as_one_batch(tmp_path):
    """AdamW is used, because Muon rounds to bfloat16, which enlarges differences in the last digits of a gradient."""
    adamw = "--model.init_args.optimizer=adamw"
    parts = ["--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=6"]
    main(small_fit(tmp_path / "whole", adamw, "--data.init_args.batch_size=8", steps=3))
    main(small_fit(tmp_path / "parts", adamw, *parts, steps=3))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole["global_step"] == parts["global_step"]
    for name, tensor in whole["current_model_state"].items():
        torch.testing.assert_close(tensor, parts["current_model_state"][name], rtol=1e-3, atol=2e-5)


def test_a_checkpoint_holds_the_averaged_weights(undisturbed):
    checkpoint = weights(undisturbed)
    autoencoder, spec = load_autoencoder(undisturbed / "checkpoints" / "last.ckpt")
    assert spec.num_surface_points == 64
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(tensor, checkpoint["state_dict"][f"autoencoder.{name}"])
    trained = checkpoint["current_model_state"]["autoencoder.to_logits.weight"]
    assert not torch.equal(trained, autoencoder.to_logits.weight)


@pytest.mark.parametrize("every", [2, 1000], ids=["after a save", "before the first"])
def test_the_last_checkpoint_is_the_end_of_the_run_also_between_two_saves(tmp_path, every):
    callbacks = (
        f"[{{class_path: ModelCheckpoint, init_args: {{save_last: true, every_n_train_steps: {every}}}}},"
        " {class_path: EMAWeightAveraging, init_args: {decay: 0.9}}]"
    )
    main(small_fit(tmp_path, f"--trainer.callbacks={callbacks}", steps=3))
    assert [path.name for path in tmp_path.glob("checkpoints/last*")] == ["last.ckpt"]
    checkpoint = weights(tmp_path)
    assert checkpoint["global_step"] == 3
    trained = checkpoint["current_model_state"]["autoencoder.to_logits.weight"]
    assert not torch.equal(trained, checkpoint["state_dict"]["autoencoder.to_logits.weight"])


def test_validate_scores_a_checkpoint_as_the_fit_did(undisturbed, tmp_path):
    arguments = small_fit(tmp_path)[1:]
    main(["validate", *arguments, f"--ckpt_path={undisturbed / 'checkpoints' / 'last.ckpt'}"])
    for metric in ("val/loss", "val/iou"):
        assert rows(tmp_path, metric)[-1][1] == pytest.approx(rows(undisturbed, metric)[-1][1], rel=1e-4)


def test_predict_writes_a_mesh_for_each_shape_that_has_one(undisturbed, tmp_path):
    arguments = small_fit(tmp_path)[1:]
    main(["predict", *arguments, f"--ckpt_path={undisturbed / 'checkpoints' / 'last.ckpt'}"])
    meshes = list((tmp_path / "predictions").glob("*.ply"))
    assert meshes and all(len(load_mesh(path).faces) for path in meshes)


def test_fine_tuning_starts_from_the_given_weights(undisturbed, tmp_path):
    checkpoint = undisturbed / "checkpoints" / "last.ckpt"
    cli = main(small_fit(tmp_path, f"--model.init_args.init_from={checkpoint}", "--model.init_args.base_lr=0", steps=1))
    assert_holds_the_weights_of(cli.model.autoencoder, checkpoint)


def assert_holds_the_weights_of(autoencoder: Autoencoder, checkpoint: Path) -> None:
    given, _ = load_autoencoder(checkpoint)
    for name, tensor in given.state_dict().items():
        assert torch.equal(autoencoder.state_dict()[name], tensor)


def test_fine_tuning_may_ask_for_other_numbers_of_latents(undisturbed, tmp_path):
    levels = "[{num_latents: 32, latent_dim: 4, depth: 1}, {num_latents: 8, latent_dim: 6, depth: 1}]"
    start = f"--model.init_args.init_from={undisturbed / 'checkpoints' / 'last.ckpt'}"
    cli = main(small_fit(tmp_path, start, f"--model.init_args.levels={levels}", "--model.init_args.base_lr=0", steps=1))
    assert [z.shape[1] for z in cli.model.autoencoder.encode(torch.rand(1, 64, 3))] == [32, 8]
    assert_holds_the_weights_of(cli.model.autoencoder, undisturbed / "checkpoints" / "last.ckpt")


def test_fine_tuning_may_add_blocks_which_start_without_an_effect_and_learn(undisturbed, tmp_path):
    levels = "[{num_latents: 16, latent_dim: 4, depth: 3}, {num_latents: 4, latent_dim: 6, depth: 2}]"
    checkpoint, points = undisturbed / "checkpoints" / "last.ckpt", torch.rand(1, 64, 3)
    options = (f"--model.init_args.init_from={checkpoint}", f"--model.init_args.levels={levels}")
    deeper = main(small_fit(tmp_path / "unmoved", *options, "--model.init_args.base_lr=0", steps=1)).model.autoencoder
    given, _ = load_autoencoder(checkpoint)
    with torch.no_grad():
        torch.testing.assert_close(deeper(points, points).logits, given(points, points).logits)
    trained = main(small_fit(tmp_path / "trained", *options, steps=2)).model.autoencoder
    for blocks, added in ((trained.self_attention[0], 2), (trained.self_attention[1], 1)):
        for block in blocks[-added:]:
            assert block.attention.to_out.weight.any() and block.feed_forward.contract.weight.any()


def test_fine_tuning_may_leave_out_the_highest_octaves(undisturbed, tmp_path):
    """The new network equals the given one with the weights of its highest octaves set to zero."""
    checkpoint = undisturbed / "checkpoints" / "last.ckpt"
    octaves = ("--model.init_args.octaves=5", "--model.init_args.base_lr=0")
    cli = main(small_fit(tmp_path, f"--model.init_args.init_from={checkpoint}", *octaves, steps=1))
    given, _ = load_autoencoder(checkpoint)
    sizes = (2, 3, given.octaves)  # sines and cosines, axes, octaves
    waves = given.point_embedding.linear.weight[:, :-3].unflatten(1, sizes)
    with torch.no_grad():
        waves[..., 5:] = 0
    points = torch.rand(1, 64, 3)
    ours, theirs = (autoencoder.eval()(points, points).logits for autoencoder in (cli.model.autoencoder, given))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.slow  # torch.compile takes minutes on two cores
def test_a_compiled_network_trains_as_the_plain_one(tmp_path):
    for name in ("true", "false"):
        main(small_fit(tmp_path / name, f"--model.init_args.compile={name}", steps=2))
    compiled, plain = rows(tmp_path / "true", "train/loss"), rows(tmp_path / "false", "train/loss")
    assert len(plain) == 2
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)


def test_reconstruct_is_bitwise_repeatable(undisturbed, tmp_path):
    box = np.array([[x, y, z] for x in (0, 2.0) for y in (0, 1.0) for z in (0, 1.0)])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    Mesh(vertices=box, faces=np.array(faces)).save(tmp_path / "box.ply")
    for name in ("first", "second"):
        checkpoint = undisturbed / "checkpoints" / "last.ckpt"
        settings = ["--weights", str(checkpoint), "--output", str(tmp_path / name), "--resolution", "32"]
        main(["reconstruct", str(tmp_path / "box.ply"), *settings])
    assert (tmp_path / "first" / "box.ply").read_bytes() == (tmp_path / "second" / "box.ply").read_bytes()
    assert (tmp_path / "first" / "scores.csv").read_text() == (tmp_path / "second" / "scores.csv").read_text()
