"""The whole recipe, from meshes to generated shapes, runs as one chain on this machine."""

import shlex
from pathlib import Path

import pytest

import small_cascade
import small_run
from local_chain import Chains, step
from releases import save_tar, toy_meshes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_whole_recipe_runs_from_an_import_to_generated_shapes(tmp_path):
    chains = Chains(tmp_path)
    for split, names in (("train", ["ring", "slab", "bumpy"]), ("val", ["legs"])):
        members = {}
        for name in names:
            toy_meshes()[name].save(tmp_path / "toy.ply")
            members[f"chunk_0001/{name}.ply"] = (tmp_path / "toy.ply").read_bytes()
        save_tar(tmp_path / "hy3d" / split / "water_tight_meshes" / "chunk_0001.tar", members)
    folder = Path("{folder}")
    training = small_run.fit_on_prepared(folder / "prepared" / "data", folder / "autoencoder", steps=2)
    training += [small_cascade.LEVELS_OPTION, "--ckpt_path=last"]
    stages = [
        step(
            f"level_{level}",
            f"fit --config {ROOT}/experiments/cascade/meshes/level_{level}.yaml"
            " --data.init_args.root {folder}/latents/cache --data.init_args.condition none"
            " --data.init_args.batch_size 1 --model.init_args.num_categories null --model.init_args.drop_condition 0"
            " --model.init_args.depth 1 --trainer.max_steps 2 --ckpt_path last"
            " --trainer.val_check_interval 2 --trainer.callbacks"
            " '[{class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 1}}]'",
            after=["latents"],
        )
        for level in (3, 2, 1)
    ]
    last = "checkpoints/last.ckpt"
    weights = " ".join(f"{{folder}}/{name}/{last}" for name in ("autoencoder", "level_3", "level_2", "level_1"))
    names = ["level_3", "level_2", "level_1"]
    chains.write(
        step("imported", f"import hy3d {tmp_path}/hy3d --output {{folder}}/imported/meshes"),
        step(
            "prepared",
            "prepare {folder}/imported/meshes/manifest.csv --up y --output {folder}/prepared/data"
            " --surface 2500 --volume 2000 --near 1000 --inside 200",
            after=["imported"],
            array=2,
        ),
        step("autoencoder", shlex.join(training), after=["prepared"]),
        step(
            "scores",
            f"evaluate {{folder}}/autoencoder/{last} {{folder}}/prepared/data --output {{folder}}/scores/card"
            " --resolution 16 --points 500",
            after=["autoencoder"],
            array=2,
        ),
        step(
            "latents",
            f"encode {{folder}}/autoencoder/{last} {{folder}}/prepared/data --output {{folder}}/latents/cache",
            after=["autoencoder"],
        ),
        *stages,
        step("bundle", f"bundle {weights} --output {{folder}}/cascade", after=names),
        step(
            "samples",
            "generate {folder}/cascade --count 2 --steps 2 --resolution 16 --output {folder}/samples/meshes",
            after=["bundle"],
        ),
    )  # fmt: skip
    code, lines, _ = chains.run()
    assert code == 0, lines
    assert "legs" in (chains.folder / "scores" / "card" / "scores.csv").read_text()
    assert list((chains.folder / "samples" / "meshes").rglob("*.ply"))
    assert set(chains.results().values()) == {"skipped"}
