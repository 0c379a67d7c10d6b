"""Arguments of a training that takes seconds, for the tests that run one."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "experiments" / "autoencoder" / "toy.yaml"

SMALL_MODEL = [
    "--model.init_args.levels=[{num_latents: 16, latent_dim: 4, depth: 1}, {num_latents: 4, latent_dim: 6, depth: 1}]",
    "--model.init_args.width=64",
    "--model.init_args.warmup_steps=2",
    "--model.init_args.level_dropout_start=0",
]
SMALL_DATA = [
    "--data.init_args.batch_size=4",
    "--data.init_args.num_train=48",
    "--data.init_args.num_val=6",
    "--data.init_args.num_surface_points=64",
    "--data.init_args.num_volume_queries=16",
    "--data.init_args.num_near_queries=16",
    "--data.init_args.num_workers=0",
    "--data.init_args.reference_points=200",
    "--data.init_args.reference_volume_points=200",
]
# Scores of an untrained network are slow at full size: its surfaces are far from the reference.
SMALL_CALLBACKS = [
    "--trainer.callbacks=[{class_path: LogGeometryMetrics, init_args: {num_shapes: 3, resolution: 16, points: 200}},"
    " {class_path: ExportMeshes, init_args: {num_shapes: 2, resolution: 16}},"
    " {class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 2, save_top_k: 1}},"
    " {class_path: EMAWeightAveraging, init_args: {decay: 0.9}}]",
]


def short_trainer(folder: Path, steps: int) -> list[str]:
    """Return options for a trainer that writes to `folder`, validates at the end, and prints little."""
    return [
        f"--trainer.default_root_dir={folder}",
        f"--trainer.max_steps={steps}",
        f"--trainer.val_check_interval={steps}",
        "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        "--trainer.precision=32-true",
    ]


def fit_on_prepared(data: Path, folder: Path, *, steps: int) -> list[str]:
    """Return the command line of a small fit in the run folder `folder`, on the prepared shapes in `data`."""
    unused = ("num_train", "num_val", "reference_points", "reference_volume_points", "batch_size")
    return [
        "fit",
        f"--config={ROOT / 'experiments' / 'autoencoder' / 'meshes.yaml'}",
        f"--data.init_args.root={data}",
        "--data.init_args.batch_size=2",
        *(word for word in SMALL_DATA if not any(name in word for name in unused)),
        *short_trainer(folder, steps),
        *SMALL_MODEL,
        *SMALL_CALLBACKS,
    ]


def small_fit(folder: Path, *extra: str, steps: int = 6, config: Path = TOY) -> list[str]:
    """Return the command line of a small fit in `folder`."""
    return [
        "fit",
        f"--config={config}",
        *short_trainer(folder, steps),
        *SMALL_MODEL,
        *SMALL_DATA,
        *SMALL_CALLBACKS,
        *extra,
    ]
